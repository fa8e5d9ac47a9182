/* stability.c - the stability loss of views at an adapter, and its gradient as K products.
 *
 *   l = 1 - mean_k u_0.u_k = mean_k |u_k - u_0|^2 / 2        anchor against its augmentations
 *   D = dl/dW = sum_k g_k a_k'                               g_k = dl/dh_k
 *             = left_0 x_0' + sum_{k>=1} left_k (x_k - x_0)'   the same sum, collected by x_0
 *
 * Why collected: g_0 and the other g_k cancel but for second order, and so do a_0 and a_k. In
 * float32 the plain sum loses half its digits when views agree, which they do in any good encoder.
 * Collected, every term is of the size of the result.
 * Source: Influence-SSL, arXiv 2412.17170, for the loss; the collected form is ours. */
#include "influence/stability.h"
#include "influence/rows.h"

#include <math.h>
#include <string.h>

/* Below, a row has no direction: an empty slot, or a view that the adapter maps to nothing. */
#define LEAST_NORM 1e-12

SL_ROWS_INLINE void scale_row(const float *from, float factor, uint32_t n, float *to)
{
    for (uint32_t i = 0; i < n; i++) {
        to[i] = from[i] * factor;
    }
}

/* h' = h + (W - W_0) a, then both sides over |h'|. */
SL_WIDE static void move_views(const sl_shape *shape, const float *moved, const sl_slice *slice)
{
    const uint32_t m = shape->dim_out;
    const uint32_t d = shape->dim_in;
    sl_gemm_slots_transposed(shape->n_views, slice->inputs, d, moved, m, slice->u);
    for (size_t i = 0; i < (size_t)shape->n_views * SL_SLOTS; i++) {
        float *row = slice->u + i * m;
        const float *as_it_came = slice->outputs + i * m;
        for (uint32_t j = 0; j < m; j++) {
            row[j] += as_it_came[j];
        }
        double norm = sqrt(sl_rows_dot_double(row, row, m));
        float factor = norm > LEAST_NORM ? (float)(1 / norm) : 0.0F;
        scale_row(row, factor, m, row);
        scale_row(slice->inputs + i * d, factor, d, slice->right + i * d);
    }
}

SL_WIDE static void subtract_anchor(float *views, uint32_t n_views, uint32_t dim)
{
    const size_t size = sl_view_floats(dim);
    for (uint32_t k = 1; k < n_views; k++) {
        for (size_t i = 0; i < size; i++) {
            views[k * size + i] -= views[i];
        }
    }
}

SL_WIDE static void find_deltas(const sl_shape *shape, sl_slice *slice)
{
    const uint32_t m = shape->dim_out;
    memset(slice->delta, 0, sizeof slice->delta);
    for (uint32_t k = 1; k < shape->n_views; k++) {
        for (uint32_t i = 0; i < SL_SLOTS; i++) {
            const float *e = slice->u + k * sl_view_floats(m) + (size_t)i * m;
            slice->delta[k][i] = (float)(sl_rows_dot_double(e, e, m) / 2);
            slice->delta[0][i] += slice->delta[k][i] / (float)(shape->n_views - 1);
        }
    }
}

void sl_stability_prepare(const sl_shape *shape, const float *moved, sl_slice *slice)
{
    const size_t size_out = sl_view_floats(shape->dim_out);
    const size_t size_in = sl_view_floats(shape->dim_in);
    bool two_sides = slice->right != slice->u;
    SLUICE_DCHECK(two_sides || (moved == NULL && !shape->own_inputs));
    if (moved == NULL) {
        memcpy(slice->u, slice->outputs, sizeof(float) * shape->n_views * size_out);
        if (two_sides) {
            memcpy(slice->right, slice->inputs, sizeof(float) * shape->n_views * size_in);
        }
    } else {
        move_views(shape, moved, slice);
    }
    subtract_anchor(slice->u, shape->n_views, shape->dim_out);
    if (two_sides) {
        subtract_anchor(slice->right, shape->n_views, shape->dim_in);
    }
    find_deltas(shape, slice);
}

SL_WIDE void sl_stability_left(const sl_shape *shape, const sl_slice *slice, const float *v,
                               uint32_t dim, float *left)
{
    const size_t size = sl_view_floats(dim);
    const float share = 1.0F / (float)(shape->n_views - 1);
    for (uint32_t i = 0; i < SL_SLOTS; i++) {
        const float *anchor = v + (size_t)i * dim;
        float *left0 = left + (size_t)i * dim;
        scale_row(anchor, -slice->delta[0][i], dim, left0);
        for (uint32_t k = 1; k < shape->n_views; k++) {
            const float *e = anchor + k * size;
            float *left_k = left0 + k * size;
            const float delta = slice->delta[k][i];
            for (uint32_t j = 0; j < dim; j++) {
                float pulled = delta * (anchor[j] + e[j]);
                left_k[j] = (e[j] - pulled) * share;
                left0[j] -= pulled * share;
            }
        }
    }
}

SL_WIDE void sl_stability_norm2(const sl_shape *shape, const float *left, const float *right,
                                double norm2[SL_SLOTS])
{
    const uint32_t m = shape->dim_out;
    const uint32_t d = shape->dim_in;
    for (uint32_t i = 0; i < SL_SLOTS; i++) {
        norm2[i] = 0;
        for (uint32_t k = 0; k < shape->n_views; k++) {
            for (uint32_t l = k; l < shape->n_views; l++) {
                const float *left_k = left + k * sl_view_floats(m) + (size_t)i * m;
                const float *left_l = left + l * sl_view_floats(m) + (size_t)i * m;
                const float *right_k = right + k * sl_view_floats(d) + (size_t)i * d;
                const float *right_l = right + l * sl_view_floats(d) + (size_t)i * d;
                double product =
                    sl_rows_dot_double(left_k, left_l, m) * sl_rows_dot_double(right_k, right_l, d);
                norm2[i] += k == l ? product : 2 * product;
            }
        }
    }
}
