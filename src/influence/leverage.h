/* leverage.h - how far a row lies outside what the stream has shown: leverage and residual. */
#ifndef SL_LEVERAGE_H
#define SL_LEVERAGE_H

#include "influence/slice.h"

/* What is frozen of the second moment of the inputs, in its eigenbasis. */
typedef struct sl_leverage {
    uint32_t dim, rank;
    bool follow; /* may take the second form, see leverage.c */
    double ridge, d_eff;
    double left_over; /* 1 - sum p mt^2; <= 0: the basis no longer describes the stream */
    double left_over_then, d_eff_then; /* when the basis was new                        */
    double left_over_used, d_eff_used;
    double d_eff_off;           /* what d_eff by variances alone missed when the basis was new    */
    double *p;                  /* [d] 1 / (eig + ridge)            */
    double *mt;                 /* [d] U_A' mean                    */
    double *eig;                /* [d] diag(U_A' M U_A), mean form  */
    float *centred;             /* [d] eig - mt^2: variances around the mean, in the basis of M */
    double *eig_then, *mt_then; /* [d] when the basis was new                     */
    double *weight, *pull; /* [d] what rows are scored with: of y^2, and of y toward the mean */
} sl_leverage;

SLUICE_MUST_USE sluice_status sl_leverage_open(uint32_t dim, uint32_t rank, sl_leverage *out);
void sl_leverage_close(sl_leverage *leverage);

/* sl_leverage_freeze - the numbers that follow from eig and mt (filled by the caller).
 *
 * ridge_share  Of the mean variance; the ridge is ridge_share tr(M - mean mean') / d.
 * new_basis    It is that of M as it is now: d_eff is exact, and its difference to the sum over
 *              variances is kept for the blocks to come; so are eig_then and mt_then. */
void sl_leverage_freeze(sl_leverage *leverage, double ridge_share, bool new_basis);

/* sl_leverage_rows - both statistics of all 64 rows.
 *
 *     leverage = y' (M - mean mean' + ridge)^-1 y / d_eff       mean 1 over the stream
 *     residual = 1 - |the first `rank` coordinates of y|^2 / |y|^2,   y = x_0 - mean in the basis
 *
 * a0       Borrows [64][d]: the anchors, rotated. */
void sl_leverage_rows(const sl_leverage *leverage, const float *a0, double out[SL_SLOTS],
                      double residual[SL_SLOTS]);

#endif
