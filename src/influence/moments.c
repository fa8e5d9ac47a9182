/* moments.c - decayed sums over samples: mean, second moments, gradient.
 *
 *   S_t = rho^n S + sum w x x',   w_t = rho^n w + sum w,   mean form = S / w
 *
 * Why sums and not averages: they need no start-up correction and merge by addition.
 * Why x = a/|h| and u = h/|h|: one sample of huge norm cannot own the basis. */
#include "influence/moments.h"
#include "influence/rows.h"

#include <math.h>

double sl_moments_fade(uint64_t half_life, uint32_t n)
{
    return half_life == 0 ? 1 : exp2(-(double)n / (double)half_life);
}

SL_WIDE static void scale_all(float *values, size_t n, float factor)
{
    for (size_t i = 0; i < n; i++) {
        values[i] *= factor;
    }
}

void sl_moments_decay(const sl_shape *shape, sl_moments *moments, double factor)
{
    if (factor >= 1) {
        return;
    }
    moments->weight *= factor;
    for (uint32_t j = 0; j < shape->dim_in; j++) {
        moments->mean[j] *= factor;
    }
    scale_all(moments->second_in, (size_t)shape->dim_in * shape->dim_in, (float)factor);
    if (moments->second_out != NULL) {
        scale_all(moments->second_out, (size_t)shape->dim_out * shape->dim_out, (float)factor);
    }
}

/* rows[k][i] = sqrt(weight / K) times the unit row of view k, out of anchor and differences. */
SL_WIDE static void put_rows(const sl_shape *shape, const float *views, uint32_t dim,
                             const float weight[SL_SLOTS], float *rows)
{
    for (uint32_t k = 0; k < shape->n_views; k++) {
        for (uint32_t i = 0; i < SL_SLOTS; i++) {
            const float factor = sqrtf(weight[i] / (float)shape->n_views);
            const float *anchor = views + (size_t)i * dim;
            const float *view = anchor + k * sl_view_floats(dim);
            float *row = rows + k * sl_view_floats(dim) + (size_t)i * dim;
            for (uint32_t j = 0; j < dim; j++) {
                row[j] = factor * (k == 0 ? view[j] : anchor[j] + view[j]);
            }
        }
    }
}

SL_WIDE static void add_mean(const sl_shape *shape, const sl_slice *slice,
                             const float weight[SL_SLOTS], double *mean)
{
    const uint32_t d = shape->dim_in;
    for (uint32_t i = 0; i < SL_SLOTS; i++) {
        if (weight[i] <= 0) {
            continue;
        }
        for (uint32_t k = 0; k < shape->n_views; k++) {
            const double share = (double)weight[i] / shape->n_views * (k == 0 ? shape->n_views : 1);
            const float *row = slice->right + k * sl_view_floats(d) + (size_t)i * d;
            for (uint32_t j = 0; j < d; j++) { /* mean_k x_k = x_0 + mean_k (x_k - x_0) */
                mean[j] += share * (double)row[j];
            }
        }
    }
}

void sl_moments_add(const sl_shape *shape, const sl_slice *slice, const float weight[SL_SLOTS],
                    float *work, sl_moments *moments)
{
    for (uint32_t i = 0; i < SL_SLOTS; i++) {
        moments->weight += (double)weight[i];
    }
    add_mean(shape, slice, weight, moments->mean);
    put_rows(shape, slice->right, shape->dim_in, weight, work);
    sl_gemm_add_gram(work, shape->dim_in, shape->n_views * SL_SLOTS, moments->second_in);
    if (moments->second_out != NULL) {
        put_rows(shape, slice->u, shape->dim_out, weight, work);
        sl_gemm_add_gram(work, shape->dim_out, shape->n_views * SL_SLOTS, moments->second_out);
    }
}

SL_WIDE void sl_moments_add_gradient(const sl_shape *shape, const float *left, const float *right,
                                     const float weight[SL_SLOTS], float *work, float *gradient)
{
    const uint32_t m = shape->dim_out;
    for (uint32_t k = 0; k < shape->n_views; k++) {
        for (uint32_t i = 0; i < SL_SLOTS; i++) {
            const size_t at = k * sl_view_floats(m) + (size_t)i * m;
            for (uint32_t j = 0; j < m; j++) {
                work[at + j] = weight[i] * left[at + j];
            }
        }
    }
    sl_gemm_add_outer(1.0F, work, m, right, shape->dim_in, shape->n_views * SL_SLOTS, gradient);
}
