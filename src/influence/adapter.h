/* adapter.h - the Newton step of the block toward the minimum of the stream. */
#ifndef SL_ADAPTER_H
#define SL_ADAPTER_H

#include "influence/slice.h"

typedef struct sl_adapter_step {
    const float *basis_out, *basis_in; /* [m][m], [d][d]                          */
    const float *lambda;               /* [m][d] sum of curvature in that basis   */
    double lambda_weight;              /* mean form = lambda / lambda_weight      */
    const float *gradient;             /* [m][d] sum of D since the last step     */
    double gradient_weight;
    double mu;
} sl_adapter_step;

/* sl_adapter_move - one EK-FAC Newton step.
 *
 *     W - W_0  -=  U_G [ U_G' (J + mu (W - W_0)) U_A / (max(Lambda_H, 0) + mu) ] U_A'
 *
 * work     Scratch of 2 m d floats.
 * moved    In and out: W - W_0 [m][d].
 * Source   measured in research; with scores taken there, rank correlation of `toward` with true
 *          leave-one-out rises from .92-.96 to .99. */
void sl_adapter_move(const sl_shape *shape, const sl_adapter_step *step, float *work, float *moved);

#endif
