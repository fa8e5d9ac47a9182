/* leverage.h - how far a row lies outside what the stream has shown: leverage and residual. */
#ifndef SL_LEVERAGE_H
#define SL_LEVERAGE_H

#include "influence/slice.h"

/* What is frozen of the second moment of the inputs, in its eigenbasis. */
typedef struct sl_leverage {
    uint32_t dim, rank;
    double ridge, d_eff;
    double left_over;     /* 1 - sum p mt^2: falls as the stream leaves the basis        */
    double left_over_new; /* when the basis was new                                 */
    bool sound;           /* it is at least half of that, and above its noise       */
    double d_eff_plain;   /* d_eff by variances alone                               */
    double d_eff_off;     /* what d_eff by variances alone missed when the basis was new    */
    double *p;            /* [d] 1 / (eig + ridge)            */
    double *mt;           /* [d] U_A' mean                    */
    double *eig;          /* [d] diag(U_A' M U_A), mean form  */
    float *centred;       /* [d] eig - mt^2: variances around the mean, in the basis of M */
} sl_leverage;

/* sl_leverage_freeze - the numbers that follow from eig and mt (filled by the caller).
 *
 * weight       Of the samples that eig and mt are means of.
 * ridge_share  Of the mean variance; the ridge is ridge_share tr(M - mean mean') / d.
 * new_basis    It is that of M as it is now: d_eff is exact, and its difference to the sum over
 *              variances is kept for the blocks to come. */
void sl_leverage_freeze(sl_leverage *leverage, double ridge_share, double weight, bool new_basis);

/* sl_leverage_plain - leverage by the variances along the basis alone, of a rotated anchor [d]:
 *
 *     sum y^2 / (centred + ridge) / d_eff_plain       mean 1 over the stream, never negative
 *
 * Coarser than the other in a basis that fits, and still of use in one that does not: percentiles
 * are taken by it while the basis is not sound. */
double sl_leverage_plain(const sl_leverage *leverage, const float *a);

/* sl_leverage_rows - both statistics of all 64 rows.
 *
 *     leverage = y' (M - mean mean' + ridge)^-1 y / d_eff       mean 1 over the stream
 *     residual = 1 - |the first `rank` coordinates of y|^2 / |y|^2,   y = x_0 - mean in the basis
 *
 * a0       Borrows [64][d]: the anchors, rotated. */
void sl_leverage_rows(const sl_leverage *leverage, const float *a0, double out[SL_SLOTS],
                      double residual[SL_SLOTS]);

#endif
