/* score.c - what each row of a slice does to the block: on itself, and toward each reference.
 *
 *   left_k, right_k rotated     D in the basis = sum_k left_k right_k', rank K, never formed
 *
 *   self    sum_{k<=l} (2 - [k=l]) (left_k left_l)' S (right_k right_l)      S = inverse
 *           one matrix product for each view k: its pairs (k, l) at once
 *   toward  sum_k left_k' Q right_k                                          Q = solved
 *           one matrix product
 *
 * Source: Influence-SSL, arXiv 2412.17170 (what is measured); EK-FAC, George et al. 2018 (the
 * inverse). Sign and units: neither is divided by the number of samples; removing sample i would
 * raise the loss of the reference by about toward / weight. */
#include "influence/score.h"
#include "influence/rows.h"

void sl_score_rotate(const sl_shape *shape, const float *basis_out, const float *basis_in,
                     sl_slice *slice)
{
    sl_gemm_slots(shape->n_views, slice->u, shape->dim_out, basis_out, shape->dim_out, slice->s);
    if (slice->a != slice->s) {
        sl_gemm_slots(shape->n_views, slice->right, shape->dim_in, basis_in, shape->dim_in,
                      slice->a);
    }
}

size_t sl_score_floats(const sl_shape *shape)
{
    return shape->n_views * (sl_view_floats(shape->dim_out) + sl_view_floats(shape->dim_in));
}

/* All pairs (k, l) of one k, l >= k: their products, then through the inverse at once. */
SL_WIDE static void add_pairs(const sl_shape *shape, const sl_slice *slice, const float *left,
                              const float *inverse, uint32_t k, float *work, double self[SL_SLOTS])
{
    const uint32_t d = shape->dim_in;
    const size_t size_out = sl_view_floats(shape->dim_out);
    const size_t size_in = sl_view_floats(d);
    const uint32_t n_pairs = shape->n_views - k;
    float *through = work + n_pairs * size_out;
    const float *left_k = left + k * size_out;
    const float *right_k = slice->a + k * size_in;
    for (uint32_t p = 0; p < n_pairs; p++) {
        const float *left_l = left_k + p * size_out;
        float *pair = work + p * size_out;
        for (size_t j = 0; j < size_out; j++) {
            pair[j] = left_k[j] * left_l[j];
        }
    }
    sl_gemm_slots(n_pairs, work, shape->dim_out, inverse, d, through);
    for (uint32_t p = 0; p < n_pairs; p++) {
        for (uint32_t i = 0; i < SL_SLOTS; i++) {
            const size_t row = (size_t)i * d;
            double sum = sl_rows_dot3(through + p * size_in + row, right_k + row,
                                      right_k + p * size_in + row, d);
            self[i] += p == 0 ? sum : 2 * sum;
        }
    }
}

void sl_score_self(const sl_shape *shape, const sl_slice *slice, const float *left,
                   const float *inverse, float *work, double self[SL_SLOTS])
{
    for (uint32_t i = 0; i < SL_SLOTS; i++) {
        self[i] = 0;
    }
    for (uint32_t k = 0; k < shape->n_views; k++) {
        add_pairs(shape, slice, left, inverse, k, work, self);
    }
    for (uint32_t i = 0; i < SL_SLOTS; i++) {
        self[i] = self[i] > 0 ? self[i] : 0; /* a sum of squares, whatever rounding says */
    }
}

SL_WIDE void sl_score_toward(const sl_shape *shape, const sl_slice *slice, const float *left,
                             const float *solved, float *work, double toward[SL_SLOTS])
{
    const uint32_t d = shape->dim_in;
    sl_gemm_slots(shape->n_views, left, shape->dim_out, solved, d, work);
    for (uint32_t i = 0; i < SL_SLOTS; i++) {
        toward[i] = 0;
        for (uint32_t k = 0; k < shape->n_views; k++) {
            const size_t row = k * sl_view_floats(d) + (size_t)i * d;
            toward[i] += sl_rows_dot(work + row, slice->a + row, d);
        }
    }
}
