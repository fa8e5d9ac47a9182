/* shift.h - how far each source has moved from its own past and from the stream. */
#ifndef SL_SHIFT_H
#define SL_SHIFT_H

#include "influence/leverage.h"

#define SL_SHIFT_SOURCES 1025 /* SLUICE_LIMIT_SOURCES and "(other)" */
#define SL_SHIFT_RECENT  64   /* samples of a source that make one bucket */

/* Of each source: sums of rows in two recent buckets, and of everything older (decayed). */
typedef struct sl_shift {
    uint32_t dim;
    float *sums;          /* [3][SL_SHIFT_SOURCES][dim]: current, previous, older         */
    float *n;             /* [3][SL_SHIFT_SOURCES]                                        */
    float *z;             /* [SL_SHIFT_SOURCES] as of the last block the source was in; NaN */
    double spread;        /* decayed sum of `sum p y^2` over single samples */
    double spread_weight; /* their number, decayed alike */
    uint8_t *seen;        /* [SL_SHIFT_SOURCES] in the block that is being closed */
} sl_shift;

SLUICE_MUST_USE sluice_status sl_shift_open(uint32_t dim, sl_shift *out);
void sl_shift_close(sl_shift *shift);

/* One absorbed sample: row [dim] is its mean view. */
void sl_shift_add(sl_shift *shift, uint32_t i_source, const float *row, uint64_t half_life);

/* Adds the buckets of another stream's sources, source i there being source_of[i] here; all are
 * seen by the next freeze. */
void sl_shift_merge(sl_shift *shift, const sl_shift *other, const uint16_t *source_of);

/* How much single samples scatter: rows [n][dim] are mean views, rotated. Decay is the caller's. */
void sl_shift_add_spread(sl_shift *shift, const float *rows, uint32_t n,
                         const sl_leverage *leverage);

/* sl_shift_freeze - z of the sources that were added to since the last freeze.
 *
 *     y = U'(recent mean - baseline),  p = 1/(e + 0.1 mean e),  e = centred variances
 *     T = n sum p y^2,                 z = (T / T_1 - 1) sum p e / sqrt(2 sum (p e)^2)
 *
 * T_1 = the stream's mean of sum p y^2 over single samples: sum p e, but for views that scatter.
 *
 * The baseline is the source's older samples, with the stream's mean as 64 samples among them; n is
 * the number at which the difference of the two means has variance e / n.
 *
 * mean     Borrows [dim], of the stream.
 * basis    Borrows [dim][dim], eigenvectors in columns.
 * work     Scratch of 2 x 64 dim floats.
 * Source   chi-square of a mean; the details are ours (shift.c). */
void sl_shift_freeze(sl_shift *shift, const float *mean, const float *basis,
                     const sl_leverage *leverage, float *work);

#endif
