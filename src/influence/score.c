/* score.c - what each row of a slice does to the block: on itself, and toward each reference.
 *
 *   left_k, right_k rotated     D in the basis = sum_k left_k right_k', rank K, never formed
 *
 *   self    sum_{k<=l} (2 - [k=l]) (left_k left_l)' S (right_k right_l)    one product a pair
 *   toward  sum_k left_k' Q right_k                                       one product a view
 *
 * Source: Influence-SSL, arXiv 2412.17170 (what is measured); EK-FAC, George et al. 2018 (the
 * inverse). Sign and units: neither is divided by the number of samples; removing sample i would
 * raise the loss of the reference by about toward / weight. */
#include "influence/score.h"

void sl_score_rotate(const sl_shape *shape, const float *basis_out, const float *basis_in,
                     sl_slice *slice)
{
    const uint32_t m = shape->dim_out;
    const uint32_t d = shape->dim_in;
    for (uint32_t k = 0; k < shape->n_views; k++) {
        sl_gemm_slots(slice->u + k * sl_view_floats(m), m, basis_out, m,
                      slice->s + k * sl_view_floats(m));
        if (slice->a != slice->s) {
            sl_gemm_slots(slice->right + k * sl_view_floats(d), d, basis_in, d,
                          slice->a + k * sl_view_floats(d));
        }
    }
}

size_t sl_score_floats(const sl_shape *shape)
{
    return sl_view_floats(shape->dim_out) + sl_view_floats(shape->dim_in);
}

/* sum_j a_j b_j c_j in eight partial sums: float32 within a lane, double between lanes. */
static double dot3(const float *a, const float *b, const float *c, uint32_t n)
{
    float sum[8] = {0};
    uint32_t i = 0;
    for (; i + 8 <= n; i += 8) {
        for (uint32_t j = 0; j < 8; j++) {
            sum[j] += a[i + j] * b[i + j] * c[i + j];
        }
    }
    double total = 0;
    for (uint32_t j = 0; j < 8; j++) {
        total += (double)sum[j];
    }
    for (; i < n; i++) {
        total += (double)(a[i] * b[i] * c[i]);
    }
    return total;
}

static double dot2(const float *a, const float *b, uint32_t n)
{
    float sum[8] = {0};
    uint32_t i = 0;
    for (; i + 8 <= n; i += 8) {
        for (uint32_t j = 0; j < 8; j++) {
            sum[j] += a[i + j] * b[i + j];
        }
    }
    double total = 0;
    for (uint32_t j = 0; j < 8; j++) {
        total += (double)sum[j];
    }
    for (; i < n; i++) {
        total += (double)(a[i] * b[i]);
    }
    return total;
}

void sl_score_self(const sl_shape *shape, const sl_slice *slice, const float *left,
                   const float *inverse, float *work, double self[SL_SLOTS])
{
    const uint32_t m = shape->dim_out;
    const uint32_t d = shape->dim_in;
    float *pair = work;
    float *through = work + sl_view_floats(m);
    for (uint32_t i = 0; i < SL_SLOTS; i++) {
        self[i] = 0;
    }
    for (uint32_t k = 0; k < shape->n_views; k++) {
        const float *left_k = left + k * sl_view_floats(m);
        const float *right_k = slice->a + k * sl_view_floats(d);
        for (uint32_t l = k; l < shape->n_views; l++) {
            const float *left_l = left + l * sl_view_floats(m);
            const float *right_l = slice->a + l * sl_view_floats(d);
            for (size_t j = 0; j < sl_view_floats(m); j++) {
                pair[j] = left_k[j] * left_l[j];
            }
            sl_gemm_slots(pair, m, inverse, d, through);
            for (uint32_t i = 0; i < SL_SLOTS; i++) {
                const size_t row = (size_t)i * d;
                double sum = dot3(through + row, right_k + row, right_l + row, d);
                self[i] += k == l ? sum : 2 * sum;
            }
        }
    }
    for (uint32_t i = 0; i < SL_SLOTS; i++) {
        self[i] = self[i] > 0 ? self[i] : 0; /* a sum of squares, whatever rounding says */
    }
}

void sl_score_toward(const sl_shape *shape, const sl_slice *slice, const float *left,
                     const float *solved, float *work, double toward[SL_SLOTS])
{
    const uint32_t m = shape->dim_out;
    const uint32_t d = shape->dim_in;
    for (uint32_t i = 0; i < SL_SLOTS; i++) {
        toward[i] = 0;
    }
    for (uint32_t k = 0; k < shape->n_views; k++) {
        const float *right_k = slice->a + k * sl_view_floats(d);
        sl_gemm_slots(left + k * sl_view_floats(m), m, solved, d, work);
        for (uint32_t i = 0; i < SL_SLOTS; i++) {
            toward[i] += dot2(work + (size_t)i * d, right_k + (size_t)i * d, d);
        }
    }
}
