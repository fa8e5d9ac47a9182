/* adapter.c - the Newton step of the block toward the minimum of the stream.
 *
 *   W_0 (the user's block) --step--> W, near the minimiser of  mean loss + mu/2 |W - W_0|^2
 *
 * Why: influence is a statement about a minimum, and W_0 is not at one. The prior keeps W near W_0;
 * without it the loss has its minimum at a collapsed W. mu comes from W_0 and is held: taken anew
 * at a moved W it would shrink from step to step, and W could run to the collapse. */
#include "influence/adapter.h"

void sl_adapter_move(const sl_shape *shape, const sl_adapter_step *step, float *work, float *moved)
{
    const uint32_t m = shape->dim_out;
    const uint32_t d = shape->dim_in;
    const size_t size = (size_t)m * d;
    float *pull = work;
    float *half = work + size;
    const double share = step->gradient_weight > 0 ? 1 / step->gradient_weight : 0;
    for (size_t i = 0; i < size; i++) {
        pull[i] = (float)((double)step->gradient[i] * share + step->mu * (double)moved[i]);
    }
    sl_gemm_product(true, false, m, d, m, step->basis_out, pull, half);
    sl_gemm_product(false, false, m, d, d, half, step->basis_in, pull);
    for (size_t i = 0; i < size; i++) {
        double curvature = (double)step->lambda[i] / step->lambda_weight;
        pull[i] = (float)((double)pull[i] / ((curvature > 0 ? curvature : 0) + step->mu));
    }
    sl_gemm_product(false, false, m, d, m, step->basis_out, pull, half);
    sl_gemm_product(false, true, m, d, d, half, step->basis_in, pull);
    for (size_t i = 0; i < size; i++) {
        moved[i] -= pull[i];
    }
}
