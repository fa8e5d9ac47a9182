/* reference.c - a reference set of one encoder: its rows, and its mean gradient at the adapter.
 *
 *   rows as they came (kept) --at the adapter--> mean D --rotated--> over the curvature, each block
 *
 * Why the rows are kept: after a step of the adapter their gradients are others. */
#include "influence/reference.h"
#include "influence/moments.h"
#include "influence/stability.h"

#include <stdlib.h>
#include <string.h>

sluice_status sl_reference_open(const sl_shape *shape, uint32_t n_wanted, sl_reference *out)
{
    const size_t size = (size_t)shape->dim_out * shape->dim_in;
    const size_t rows = (size_t)n_wanted * shape->n_views;
    SLUICE_ASSERT(n_wanted >= 1 && n_wanted <= SLUICE_LIMIT_REFERENCE);
    *out = (sl_reference){.n_wanted = n_wanted};
    out->outputs = calloc(rows * shape->dim_out, sizeof(float));
    out->inputs = shape->own_inputs ? calloc(rows * shape->dim_in, sizeof(float)) : NULL;
    out->rotated = calloc(size, sizeof(float));
    out->solved = calloc(size, sizeof(float));
    if (out->outputs == NULL || (shape->own_inputs && out->inputs == NULL) ||
        out->rotated == NULL || out->solved == NULL) {
        sl_reference_close(out);
        return SLUICE_E_NOMEM;
    }
    return SLUICE_OK;
}

void sl_reference_close(sl_reference *reference)
{
    free(reference->outputs);
    free(reference->inputs);
    free(reference->rotated);
    free(reference->solved);
    *reference = (sl_reference){.n = 0};
}

void sl_reference_add(const sl_shape *shape, sl_reference *reference, const sluice_views *views)
{
    if (reference->n == reference->n_wanted) {
        return;
    }
    const size_t at = (size_t)reference->n * shape->n_views;
    memcpy(reference->outputs + at * shape->dim_out, views->rows,
           sizeof(float) * shape->n_views * shape->dim_out);
    if (reference->inputs != NULL) {
        memcpy(reference->inputs + at * shape->dim_in, views->inputs,
               sizeof(float) * shape->n_views * shape->dim_in);
    }
    reference->n++;
}

void sl_reference_rotate(const sl_shape *shape, const sl_reference *reference, const float *moved,
                         const float *basis_out, const float *basis_in, sl_slice *slice,
                         float *left, float *work, float *rotated)
{
    const uint32_t m = shape->dim_out;
    const uint32_t d = shape->dim_in;
    float *mean = work;
    float *rest = work + (size_t)m * d;
    memset(mean, 0, sizeof *mean * m * d);
    for (uint32_t first = 0; first < reference->n; first += SL_SLOTS) {
        float weight[SL_SLOTS] = {0};
        sl_slice_clear(shape, slice);
        for (uint32_t i = 0; i < SL_SLOTS && first + i < reference->n; i++) {
            const size_t at = (size_t)(first + i) * shape->n_views;
            sl_slice_put(shape, slice, i, reference->outputs + at * m,
                         reference->inputs != NULL ? reference->inputs + at * d : NULL);
            weight[i] = 1.0F / (float)reference->n;
        }
        sl_stability_prepare(shape, moved, slice);
        sl_stability_left(shape, slice, slice->u, m, left);
        sl_moments_add_gradient(shape, left, slice->right, weight, rest, mean);
    }
    sl_gemm_product(true, false, m, d, m, basis_out, mean, rest);
    sl_gemm_product(false, false, m, d, d, rest, basis_in, rotated);
}
