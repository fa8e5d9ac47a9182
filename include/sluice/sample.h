/* sample.h - a sample on its way through the stages, the batch it came in, and its verdict. */
#ifndef SLUICE_SAMPLE_H
#define SLUICE_SAMPLE_H

#include "sluice/status.h"

#include <stdbool.h>
#include <stdint.h>

/* Everything a sender can name is bounded; each limit has a test at the limit and one beyond. */
#define SLUICE_LIMIT_ID_BYTES        256         /* id, producer, group and consumer names */
#define SLUICE_LIMIT_SOURCE_BYTES    256         /* also media type and encoder */
#define SLUICE_LIMIT_SOURCES         1024        /* beyond: counted under "(other)" */
#define SLUICE_LIMIT_PRODUCERS       4096        /* beyond: HELLO is refused */
#define SLUICE_LIMIT_ATTRIBUTES      64          /* a sample */
#define SLUICE_LIMIT_TEXT_BYTES      (1u << 20)  /* payload that is text */
#define SLUICE_LIMIT_IMAGE_BYTES     (32u << 20) /* payload that is an image */
#define SLUICE_LIMIT_BATCH_BYTES     (4u << 20)  /* one wire message of several samples */
#define SLUICE_LIMIT_MESSAGE_BYTES   (33u << 20) /* one wire message of a single sample */
#define SLUICE_LIMIT_BATCH_SAMPLES   4096        /* one wire message */
#define SLUICE_LIMIT_REASONS         8           /* a verdict */
#define SLUICE_LIMIT_GROUPS          64          /* of fairness.group_by; beyond: "(other)" */
#define SLUICE_SKETCH_COORDINATES    128         /* bytes of a set sketch */
#define SLUICE_BOTTOM_HASHES         128         /* smallest of a text, to find what contains it */
#define SLUICE_TRACE_BYTES           16          /* in what a text differs from one alike */
#define SLUICE_IMAGE_BITS            495         /* of an image signature */
#define SLUICE_IMAGE_BYTES           64          /* that hold them */
#define SLUICE_IMAGE_COLOURS         32          /* bytes of the mean colours of an image */
#define SLUICE_SIGN_BITS             512         /* of an embedding */
#define SLUICE_SIGN_WORDS            8           /* of 64 bits, that hold them */
#define SLUICE_EMBEDDING_MIN         8           /* dimensions of an embedding that is compared */
#define SLUICE_EMBEDDING_MAX         4096
#define SLUICE_LIMIT_VIEWS           8    /* a sample: an anchor and its augmentations */
#define SLUICE_LIMIT_DIMENSION       8192 /* of an embedding or activation */
#define SLUICE_LIMIT_ENCODERS        4    /* encoder, shape and number of views; beyond: refused */
#define SLUICE_LIMIT_REFERENCES      8    /* sets toward which influence is measured */
#define SLUICE_LIMIT_REFERENCE       1000 /* samples of one reference set */
#define SLUICE_LIMIT_REFERENCE_BYTES (64u << 20) /* of one sent to a running filter, as a Batch */
#define SLUICE_LIMIT_ALSO            3 /* findings of methods other than the one that won */

typedef struct sluice_span {
    const uint8_t *data; /* borrowed; may be NULL when size is 0 */
    size_t size;
} sluice_span;

typedef struct sluice_bytes {
    uint8_t *data; /* owned */
    size_t size, capacity;
} sluice_bytes;

typedef struct sluice_arena sluice_arena;

/* Which features a sample has; a method answers only where its feature is there. */
enum {
    SLUICE_HAS_RAW = 1,        /* raw_hash                                                    */
    SLUICE_HAS_NORMAL = 2,     /* normal_hash: the payload is text, not empty once normalized */
    SLUICE_HAS_SKETCH = 4,     /* sketch, profile, n_shingles                                 */
    SLUICE_HAS_IMAGE = 8,      /* image_signature, image_colours, image_quality               */
    SLUICE_HAS_EMBEDDING = 16, /* embedding_key, embedding, sign_bits: of view 0            */
    SLUICE_HAS_BOTTOM = 32     /* bottom, n_bottom: only where containment is asked for       */
};

typedef enum sluice_profile {
    SLUICE_PROFILE_AUTO, /* configuration only: a sample's features name one of the others */
    SLUICE_PROFILE_NEWS,
    SLUICE_PROFILE_PROSE,
    SLUICE_PROFILE_RECORDS,
    SLUICE_PROFILE_CODE,
    SLUICE_PROFILE_CJK,
    SLUICE_PROFILE_PAGES,
    SLUICE_PROFILE_LEGAL,
    SLUICE_N_PROFILES
} sluice_profile;

/* What became of a payload that is an image by its media type; HAS_IMAGE with USABLE only. Those
 * that are not usable are found by their bytes alone. */
typedef enum sluice_image_state {
    SLUICE_IMAGE_NONE,        /* not an image                                               */
    SLUICE_IMAGE_USABLE,      /*                                                            */
    SLUICE_IMAGE_FLAT,        /* tiny, or too little structure: quality below the least     */
    SLUICE_IMAGE_FOREIGN,     /* neither JPEG, PNG nor WebP                                 */
    SLUICE_IMAGE_UNSUPPORTED, /* animated WebP, JPEG of 12 bits                             */
    SLUICE_N_IMAGE_STATES
} sluice_image_state;

/* Pure functions of a sample's bytes, the configuration and the seed. */
typedef struct sluice_features {
    uint64_t raw_hash[2];    /* XXH3-128 of media type class and payload, as they came; of the
                                encoder and the unit views where there is no payload              */
    uint64_t normal_hash[2]; /* XXH3-128 of the normalized text                                   */
    uint8_t has;             /* SLUICE_HAS_ bits                                                  */
    uint8_t profile;         /* sluice_profile that made the sketch; two profiles never compare   */
    uint32_t n_shingles;     /* distinct or not, as counted by the sketch; tells brief texts      */
    uint8_t sketch[SLUICE_SKETCH_COORDINATES]; /* P(coordinate equal) = J + (1 - J) / 256         */
    uint8_t trace[SLUICE_TRACE_BYTES];         /* zeros: too long for one, or no sketch           */
    uint8_t image_signature[SLUICE_IMAGE_BYTES]; /* similar pictures have most bits in common     */
    int8_t image_colours[SLUICE_IMAGE_COLOURS];  /* mean chroma of 4 x 4 cells                    */
    uint8_t image_quality; /* 0..100: how far the signature is above noise                        */
    uint8_t image_state;   /* sluice_image_state                                                  */
    uint32_t n_bottom;
    uint32_t bottom[SLUICE_BOTTOM_HASHES]; /* smallest hashes of its word 3-grams, ascending;
                                            * last, undefined from n_bottom on              */
    uint32_t embedding_key; /* of encoder and dimension; two keys never compare                   */
    uint64_t sign_bits[SLUICE_SIGN_WORDS]; /* P(bit differs) = angle / pi                         */
    const uint8_t *sign_margins; /* [SLUICE_SIGN_BITS] how sure each is; NULL: of a stored row    */
    sluice_span embedding; /* view 0 as 16-bit integers of any scale, little-endian; lent         */
} sluice_features;

/* Views as unit rows, float32, row-major [n_views][dim]; view 0 is the anchor. */
typedef struct sluice_views {
    uint32_t n_views; /* 0: there are none */
    uint32_t dim;
    uint32_t dim_in;     /* 0: no activations came along                             */
    const float *rows;   /* h / |h|                          in the batch's arena    */
    const float *inputs; /* [n_views][dim_in] a / |h|, or NULL                       */
    bool builtin; /* made here, by a weak encoder: not for duplicates, and not on the wire      */
} sluice_views;

typedef enum sluice_influence_state {
    SLUICE_INFLUENCE_NONE, /* no views, or influence is off: `influence` is null     */
    SLUICE_WARMING,        /* too little is known: the loss only                     */
    SLUICE_LIVE,
    SLUICE_STALE, /* scored, but the stream has moved and the new basis is not out yet */
    SLUICE_N_INFLUENCE_STATES
} sluice_influence_state;

/* What a sample does to the linear block; NaN where there is no value. */
typedef struct sluice_scores {
    sluice_influence_state state;
    uint32_t n_toward;
    float loss, self, ratio, leverage, residual, source_shift, reliability;
    float toward[SLUICE_LIMIT_REFERENCES];
    struct {
        float loss, self, leverage;
        float toward[SLUICE_LIMIT_REFERENCES];
    } percentile;
    const char *toward_name[SLUICE_LIMIT_REFERENCES]; /* in the arena */
} sluice_scores;

typedef enum sluice_method {
    SLUICE_METHOD_NONE,
    SLUICE_METHOD_EXACT,
    SLUICE_METHOD_TEXT,
    SLUICE_METHOD_IMAGE,
    SLUICE_METHOD_EMBEDDING,
    SLUICE_N_METHODS
} sluice_method;

/* What one more method found, where all findings are asked for (duplicate.findings: all). */
typedef struct sluice_finding {
    sluice_method method;
    float similarity; /* as in sluice_match */
    sluice_span of_id, of_source;
} sluice_finding;

/* All in which a text differs from its match. */
typedef enum sluice_differs {
    SLUICE_DIFFERS_NONE,    /* nothing, more than the below, or it cannot be told */
    SLUICE_DIFFERS_NUMBERS, /* numbers, words of number and of order */
    SLUICE_DIFFERS_SLOT,    /* one run of words: another value in the same template */
    SLUICE_N_DIFFERS
} sluice_differs;

struct sluice_verdict;

typedef struct sluice_match {
    sluice_method method;   /* NONE: nothing found */
    bool redelivered;       /* exact, and the row has the same producer and id */
    float similarity;       /* 1; estimated Jaccard; share of equal bits; cosine: by the method */
    sluice_differs differs; /* text only */
    uint64_t of_offset;     /* the kept sample that represents this one */
    sluice_span of_id, of_source; /* its names, in the batch's arena */
    float contained; /* share of this text that `contained_in` has; 0: none, or not looked for */
    sluice_span contained_in;           /* id, in the batch's arena */
    const sluice_finding *also;         /* of the methods behind `method`, in order; in the arena */
    uint32_t n_also;                    /* at most SLUICE_LIMIT_ALSO */
    const struct sluice_verdict *first; /* redelivered: the verdict of then; lent by the engine */
} sluice_match;

typedef enum sluice_decision {
    SLUICE_KEEP,
    SLUICE_FLAG,
    SLUICE_DROP,
    SLUICE_REFUSE,
    SLUICE_N_DECISIONS
} sluice_decision;

/* The one reason of a sample that a person offers again; no rule can give it. */
#define SLUICE_REASON_RESTORED "restored"

typedef struct sluice_verdict {
    sluice_decision decision;
    float weight;
    uint32_t n_reasons;
    const char *reasons[SLUICE_LIMIT_REASONS]; /* lent by the configuration, static, or the arena */
    const char *text; /* REFUSE: a sentence for the sender, in the arena or static; else NULL */
} sluice_verdict;

/* One arrival; each group of fields is written by one stage only. Spans are lent by the batch. */
typedef struct sluice_sample {
    /* ingest */
    int64_t arrived_us; /* microseconds since 1970, never smaller than the sample before          */
    uint32_t i_producer; /* number of the producer in the durable state */
    bool restored; /* offered again by hand: kept for the reason "restored", whatever is found */
    /* engine: given to accepted samples only, in order of arrival */
    uint64_t offset;
    /* decode */
    sluice_span wire; /* the Sample message exactly as it came */
    sluice_span id, source, media_type, encoder, payload;
    int64_t event_time_us;
    double cost;
    sluice_views views;
    /* features */
    sluice_features features;
    /* duplicate */
    sluice_match match;
    /* influence */
    sluice_scores scores;
    /* decide; decode and features set REFUSE, reason and text, which later stages leave alone */
    sluice_verdict verdict;
} sluice_sample;

/* What came in one message. The arrays are sized once and reused from message to message. */
typedef struct sluice_batch {
    sluice_sample *samples; /* [SLUICE_LIMIT_BATCH_SAMPLES] */
    uint32_t n_samples;
    uint64_t first_sequence; /* place of samples[0] in its producer */
    sluice_arena *arena; /* lends what the samples point to, until the next decode             */
    struct sl_features *features; /* scratch of the features stage, opened on first use */
} sluice_batch;

SLUICE_MUST_USE sluice_status sluice_batch_open(sluice_batch **out); /* Gives *out     */
void sluice_batch_close(sluice_batch **batch_p);                     /* Takes; NULL ok */

/* sluice_batch_decode - finds the samples of one encoded sluice.v1.Batch.
 *
 * batch    Reset first, so what it lent before is gone.
 * bytes    Borrows until the next decode of this batch: `wire` points into it.
 * Returns  OK: every sample is there; a sample that breaks a rule of its own has decision REFUSE,
 *          its reason and a text. BADSAMPLE or TOOBIG: the frame as a whole cannot be walked, holds
 *          more than SLUICE_LIMIT_BATCH_SAMPLES or would need more than 4 x its size to parse; the
 *          batch is empty and `why` says so.
 * Threads  Pure; any thread, one batch each. */
SLUICE_MUST_USE sluice_status sluice_batch_decode(sluice_batch *batch, sluice_span bytes,
                                                  sluice_message *why);

#endif
