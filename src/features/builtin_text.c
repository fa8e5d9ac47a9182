/* builtin_text.c - views of a text without a model: a weak encoder.
 *
 *   words      the   quick  brown  fox          each with 3 lanes: is it in view 0, 1, 2?
 *                \   /   \  ...
 *   features   words, pairs, characters "^th" "the" "he$" ...  -> buckets, by kind
 *   buckets    | lane 0: 20 bits | lane 1 | lane 2 |           one addition counts for all views
 *   sums       [256][view]  += w sqrt(count) at +-1 in 4 places of each bucket that was touched
 *
 * Why weak, and why at all: it sees which words are there, not what they mean, so that a paraphrase
 * is far away and a template is near. It makes the first hour work; deploy/docs/scores.md has the
 * figures beside a real encoder.
 * Why nothing is learned (no weights by rarity): views must be a function of the payload alone, or
 * a restart would give other scores. Short words, which are the common ones, weigh less instead.
 * Why the square root: the second occurrence says less than the first.
 * Why the projection has no seed: the name stands for one encoder, whoever runs it. */
#include "features/builtin_text.h"
#include "features/utf8.h"

#include <stdlib.h>
#include <string.h>

#define LANE_BITS 20 /* counts: at most 8,192 x (2 + 32) in a bucket */
#define LANE_MASK ((UINT64_C(1) << LANE_BITS) - 1)
#define IN_ANCHOR UINT64_C(1)
#define IN_DROPS  (UINT64_C(1) << LANE_BITS)
#define IN_CROP   (UINT64_C(1) << 2 * LANE_BITS)

#define DROPPED     0.15F
#define CROP        0.70F
#define ROOTS       64
#define SHORT_BYTES 3 /* of a short word */

/* Kinds of features: their buckets, one kind after the other, and what they weigh. */
enum { SHORT_WORD, WORD, PAIR, GRAM, N_KINDS };
static const uint32_t bucket_bits[N_KINDS] = {10, 12, 12, 13};
static const uint32_t first_bucket[N_KINDS] = {0, 1024, 1024 + 4096, 1024 + 2 * 4096};
static const float weight[N_KINDS] = {0.1F, 1.0F, 0.15F, 0.3F};
#define N_BUCKETS (1024 + 2 * 4096 + 8192)

_Static_assert((SL_BUILTIN_TEXT_WORDS * (2 + SL_BUILTIN_TEXT_GRAMS)) < (1 << LANE_BITS), "lanes");

/* A number for each view; the fourth is padding. */
typedef float lanes_of_floats __attribute__((vector_size(16)));

struct sl_builtin_text {
    uint64_t count[N_BUCKETS]; /* all zero between calls */
    uint32_t n_touched;
    uint16_t touched[N_BUCKETS];
    lanes_of_floats sum[SL_BUILTIN_DIM];
    float root[ROOTS]; /* of small counts */
};

sluice_status sl_builtin_text_open(sl_builtin_text **out)
{
    *out = calloc(1, sizeof **out);
    if (*out == NULL) {
        return SLUICE_E_NOMEM;
    }
    for (uint32_t n = 0; n < ROOTS; n++) {
        (*out)->root[n] = sqrtf((float)n);
    }
    return SLUICE_OK;
}

void sl_builtin_text_close(sl_builtin_text **encoder_p)
{
    free(*encoder_p);
    *encoder_p = NULL;
}

/* ---- counting ------------------------------------------------------------------------------- */

/* `hash` is used from the top. */
static inline void count(sl_builtin_text *encoder, uint32_t kind, uint64_t hash, uint64_t lanes)
{
    uint32_t bucket = first_bucket[kind] + (uint32_t)(hash >> (64 - bucket_bits[kind]));
    if (encoder->count[bucket] == 0) {
        encoder->touched[encoder->n_touched++] = (uint16_t)bucket;
    }
    encoder->count[bucket] += lanes;
}

/* Three code points are 63 bits: a window of them is its own name. */
static inline uint64_t hash_window(uint64_t window)
{
    window ^= window >> 32;
    return window * UINT64_C(0x9fb21c651e98df25);
}

static void count_grams(sl_builtin_text *encoder, const uint8_t *at, const uint8_t *end,
                        uint64_t lanes)
{
    const uint64_t three = (UINT64_C(1) << 63) - 1;
    uint64_t window = ' ';
    uint32_t n = 0;
    while (at < end && n < SL_BUILTIN_TEXT_GRAMS) {
        size_t size;
        window = (window << 21 | sl_utf8_next(at, &size)) & three;
        at += size;
        if (++n > 1) {
            count(encoder, GRAM, hash_window(window), lanes);
        }
    }
    if (n > 1 && at == end) {
        count(encoder, GRAM, hash_window((window << 21 | ' ') & three), lanes);
    }
}

/* Which of the n words are in which views. */
typedef struct drawing {
    uint64_t state;
    uint32_t crop_begin, crop_end;
    uint32_t always; /* is not dropped, so that something is left */
} drawing;

static drawing draw_views(uint64_t seed, uint32_t n)
{
    drawing made = {.state = seed};
    uint32_t size = (uint32_t)(CROP * (float)n + 0.5F);
    size = size == 0 ? 1 : size;
    made.crop_begin = (uint32_t)(sl_builtin_draw(&made.state) % (n - size + 1));
    made.crop_end = made.crop_begin + size;
    made.always = (uint32_t)(sl_builtin_draw(&made.state) % n);
    return made;
}

static inline uint64_t lanes_of(drawing *views, uint32_t i)
{
    uint64_t lanes = IN_ANCHOR;
    if (sl_builtin_uniform(&views->state) >= DROPPED || i == views->always) {
        lanes |= IN_DROPS;
    }
    if (i >= views->crop_begin && i < views->crop_end) {
        lanes |= IN_CROP;
    }
    return lanes;
}

static void count_features(sl_builtin_text *encoder, const sl_normal *normal, const sl_units *units,
                           uint32_t n, uint64_t seed)
{
    drawing views = draw_views(seed, n);
    uint64_t lanes_before = 0;
    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *begin = normal->data + units->span_begin[i];
        const uint8_t *end = normal->data + units->span_end[i];
        uint64_t hash = units->hash[i];
        uint64_t lanes = lanes_of(&views, i);
        count(encoder, end - begin <= SHORT_BYTES ? SHORT_WORD : WORD, hash, lanes);
        if (i > 0) {
            uint64_t pair = units->hash[i - 1] * UINT64_C(0xd6e8feb86659fd93) + hash;
            count(encoder, PAIR, pair * UINT64_C(0x9fb21c651e98df25), lanes & lanes_before);
        }
        count_grams(encoder, begin, end, lanes);
        lanes_before = lanes;
    }
}

/* ---- projecting ----------------------------------------------------------------------------- */

static inline void project(sl_builtin_text *encoder, uint32_t bucket, lanes_of_floats value)
{
    static const float sign[2] = {1.0F, -1.0F}; /* a branch would be guessed wrong half the time */
    const uint32_t quarter = SL_BUILTIN_DIM / 4;
    uint64_t state = bucket;
    uint64_t random = sl_builtin_draw(&state);
    for (uint32_t j = 0; j < 4; j++) {
        lanes_of_floats *sum = &encoder->sum[j * quarter + (random >> 8 * j) % quarter];
        *sum += sign[random >> (40 + j) & 1] * value;
    }
}

static void project_counts(sl_builtin_text *encoder)
{
    memset(encoder->sum, 0, sizeof encoder->sum);
    for (uint32_t i = 0; i < encoder->n_touched; i++) {
        uint32_t bucket = encoder->touched[i];
        uint64_t counts = encoder->count[bucket];
        encoder->count[bucket] = 0;
        uint32_t kind = GRAM;
        while (bucket < first_bucket[kind]) {
            kind--;
        }
        lanes_of_floats value = {0};
        for (uint32_t lane = 0; lane < SL_BUILTIN_VIEWS; lane++) {
            uint32_t n = (uint32_t)(counts >> lane * LANE_BITS & LANE_MASK);
            value[lane] = n < ROOTS ? encoder->root[n] : sqrtf((float)n);
        }
        project(encoder, bucket, weight[kind] * value);
    }
    encoder->n_touched = 0;
}

bool sl_builtin_text_make(sl_builtin_text *encoder, const sl_normal *normal, const sl_units *units,
                          uint64_t seed, float *rows)
{
    uint32_t n = units->n < SL_BUILTIN_TEXT_WORDS ? (uint32_t)units->n : SL_BUILTIN_TEXT_WORDS;
    if (n == 0) {
        return false;
    }
    count_features(encoder, normal, units, n, seed);
    project_counts(encoder);
    bool good = true;
    for (uint32_t v = 0; v < SL_BUILTIN_VIEWS; v++) {
        float *row = rows + (size_t)v * SL_BUILTIN_DIM;
        for (uint32_t i = 0; i < SL_BUILTIN_DIM; i++) {
            row[i] = encoder->sum[i][v];
        }
        good = sl_builtin_unit(row) && good;
    }
    return good;
}
