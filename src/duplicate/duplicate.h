/* duplicate.h - whether a kept sample already represents this one, and which. */
#ifndef SL_DUPLICATE_H
#define SL_DUPLICATE_H

#include "duplicate/durable.h"
#include "status.h"
#include "sluice/config.h"
#include "sluice/counters.h"
#include "sluice/sample.h"

typedef struct sl_duplicate sl_duplicate; /* opaque; one writer */

SLUICE_MUST_USE sluice_status sl_duplicate_open(const sluice_config *config, sl_duplicate **out,
                                                sluice_message *why);
void sl_duplicate_close(sl_duplicate **duplicate_p);

/* Makes the memory of hashes and texts real now, instead of at the first use of each page. That of
 * images stays as it is: most streams have none, and beside decoding a picture a fresh page is
 * nothing. */
void sl_duplicate_touch(sl_duplicate *duplicate);

/* Brings the memory that a probe of this sample will touch closer; changes nothing. */
void sl_duplicate_prefetch(const sl_duplicate *duplicate, const sluice_sample *sample);

/* The first method that finds anything: exact, text, image, embedding; within it the highest
 * similarity, then the smallest offset. of_id and of_source are lent until the next apply or
 * forget. `offset` of the sample is the offset it would get: the log's end. */
void sl_duplicate_probe(const sl_duplicate *duplicate, const sluice_sample *sample,
                        sluice_match *match);

/* What the methods behind match->method find too, in the order exact, text, image, embedding; what
 * it lends as probe does. Changes no match: for the record alone.
 *
 * also     Out, SLUICE_LIMIT_ALSO.
 * Returns  how many. */
uint32_t sl_duplicate_also(const sl_duplicate *duplicate, const sluice_sample *sample,
                           const sluice_match *match, sluice_finding *also);

/* Whether a probe would say that the sample came before; costs less. */
bool sl_duplicate_redelivers(const sl_duplicate *duplicate, const sluice_sample *sample);

/* Remembers a judged sample if it was kept or flagged; cannot fail. Samples come in order of
 * offset; one at or below the last sample applied, or row read, is known and changes nothing. */
void sl_duplicate_apply(sl_duplicate *duplicate, const sluice_sample *sample);

/* Finds the kept samples of an id that some method remembers, whoever sent them.
 *
 * offset   Only the one at this offset; UINT64_MAX: all.
 * out      Out [max]: their offsets, in no order, each once.
 * Returns  how many; more than `max`: there are more, and `max` are in `out`.
 * Cost     a walk over all rows: 10 ms for 1e6. */
uint32_t sl_duplicate_find_id(const sl_duplicate *duplicate, sluice_span id, uint64_t offset,
                              uint64_t *out, uint32_t max);

/* Erases what every method remembers of the sample; false if nothing was. The state is then what
 * the remaining rows alone would make. The next probe or apply closes the gaps of all samples
 * forgotten before it at once, in a time that grows with the rows (0.2 s for 1e6). */
bool sl_duplicate_forget(sl_duplicate *duplicate, uint64_t offset);

/* Smallest offset that a sample to come may still be told of; UINT64_MAX if there is none. */
uint64_t sl_duplicate_oldest(const sl_duplicate *duplicate);

/* The durable form of what apply has remembered of this sample (nothing if it did not), and its way
 * back, in the order in which rows were written. Rows may be missing (forgotten), and older ones
 * than are remembered may still be there: what is found is the same. `from` is taken after apply,
 * of this sample or of a later one that becomes durable with it. Writing reads nothing that apply
 * changes: another thread may apply meanwhile.
 * BADSAMPLE: not a row, or out of order; nothing changed. */
sl_durable_from sl_duplicate_row_from(const sl_duplicate *duplicate);
SLUICE_MUST_USE sluice_status sl_duplicate_row_write(const sl_duplicate *duplicate,
                                                     const sl_durable_from *from,
                                                     const sluice_sample *sample,
                                                     sluice_bytes *out);
SLUICE_MUST_USE sluice_status sl_duplicate_row_read(sl_duplicate *duplicate, sluice_span row,
                                                    uint64_t *offset);

bool sl_duplicate_validate(const sl_duplicate *duplicate, const char **reason);

#define SL_DUPLICATE_PLAN_DIM 384 /* numbers of the vectors that a plan reckons with */

/* What a budget buys, before opening: rows each method remembers for ids of `id_bytes` and sources
 * of 8 bytes, both hashes and a sketch. */
typedef struct sl_duplicate_plan {
    uint64_t exact_rows, text_rows, image_rows; /* at least this many                         */
    double exact_row_bytes, text_row_bytes, image_row_bytes;
    double image_threshold;  /* the profile's where none is configured                     */
    bool image_keyed;        /* else a scan, whose time grows with what is remembered      */
    uint64_t embedding_rows; /* vectors of SL_DUPLICATE_PLAN_DIM numbers                       */
    double embedding_row_bytes;
} sl_duplicate_plan;
sl_duplicate_plan sl_duplicate_plan_of(const sluice_config *config, uint32_t id_bytes);

/* What is remembered now. */
typedef struct sl_duplicate_usage {
    uint64_t rows, rows_max;   /* most of the present mean length that fit                        */
    uint64_t bytes, bytes_max; /* of rows; the table's share of the memory is not in it           */
    uint64_t evicted;          /* rows, since open                                                */
    uint64_t hot_bands;        /* text: met by probes since open (text.h)                         */
} sl_duplicate_usage;
sl_duplicate_usage sl_duplicate_usage_of(const sl_duplicate *duplicate, sluice_method method);

/* What probes of one method came to; the fields of sluice_method_counters. */
typedef struct sl_probe_counts {
    uint64_t probes, candidates, verified, buckets_checked, buckets_overflowed;
} sl_probe_counts;

/* All numbers; by the thread that applies. */
void sl_duplicate_counters(const sl_duplicate *duplicate, sluice_counters *out);

#endif
