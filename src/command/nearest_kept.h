/* nearest_kept.h - the kept sample whose embedding is nearest to that of another one. */
#ifndef SL_NEAREST_KEPT_H
#define SL_NEAREST_KEPT_H

#include "sluice/sample.h"

typedef struct sl_nearest_kept {
    sluice_batch *batch;
    sluice_bytes frame, anchor; /* scratch; the unit row of view 0 */
    char encoder[SLUICE_LIMIT_SOURCE_BYTES + 1];
    double cosine; /* of the nearest so far; below -1: none */
    uint64_t offset;
    char id[SLUICE_LIMIT_ID_BYTES + 1], source[SLUICE_LIMIT_SOURCE_BYTES + 1];
} sl_nearest_kept;

/* The sample itself, as encoded. BADSAMPLE: it has no views to compare by; then there is nothing to
 * close. */
SLUICE_MUST_USE sluice_status sl_nearest_kept_open(sluice_span wire, sl_nearest_kept *out);
void sl_nearest_kept_close(sl_nearest_kept *nearest); /* zero is fine */

/* One kept sample that came before it; others than of its encoder and dimension do not count. */
void sl_nearest_kept_look(sl_nearest_kept *nearest, uint64_t offset, sluice_span wire);

#endif
