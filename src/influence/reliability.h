/* reliability.h - how well a second draw of augmentations would rank the same samples. */
#ifndef SL_RELIABILITY_H
#define SL_RELIABILITY_H

#include "influence/slice.h"

/* Decayed mean of rank correlations between single augmentations. */
typedef struct sl_reliability {
    double weight, sum;
} sl_reliability;

/* sl_reliability_add - one slice: rank correlation of the score `self` from view 0 and view k with
 * that from view 0 and view l, over all pairs k < l.
 *
 * slice    Borrows; rotated. Nothing happens at K = 2 or with fewer than 16 rows that count.
 * inverse  Borrows [m][d].
 * work     Scratch of 4 x 64 (m + d) floats. */
void sl_reliability_add(const sl_shape *shape, const sl_slice *slice, const float *inverse,
                        const float weight[SL_SLOTS], double fade, float *work,
                        sl_reliability *reliability);

/* Spearman-Brown: the correlation that K-1 augmentations have with K-1 others; NaN at K = 2. */
float sl_reliability_of(const sl_reliability *reliability, uint32_t n_views);

#endif
