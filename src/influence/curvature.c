/* curvature.c - the diagonal of the exact Hessian in the eigenbasis, summed over samples.
 *
 *   plain   -2/(K-1) sum_k [ X_k a_0 a_k + Y_0 a_0^2 + Y_k a_k^2 ]      X, Y of s_0, s_k, c_k
 *   here    -2/(K-1) sum_k [ P_k a_0^2 + Q_k a_0 b_k + R_k b_k^2 ]      products elementwise
 *
 *       b_k = a_k - a_0,   e_k = s_k - s_0,   c_k = cosine of views 0 and k,   delta_k = 1 - c_k
 *
 *       P = delta (1 - 4 s_0 s_k) + (1 - 3 delta) e^2 / 2
 *       Q = delta (1 - 3 s_k^2 - s_0 s_k) + 3 s_k e - e^2
 *       R = -s_0 s_k - c/2 + (3c/2) s_k^2
 *
 * Why the second form: as views agree, the three terms of the first are of order 1 and their sum of
 * order |e|^2; in float32 that leaves nothing. Here each term is of the order of the sum, and one
 * product fewer is needed, because P is summed over k before it meets a_0^2.
 * Source: EK-FAC, George et al. 2018, for the diagonal in the basis; the closed form is ours,
 * checked by finite differences in tests/property/influence_static_test.c. */
#include "influence/curvature.h"
#include "influence/rows.h"

#include <string.h>

size_t sl_curvature_floats(const sl_shape *shape)
{
    size_t n_blocks = 2 * (size_t)shape->n_views - 1;
    return n_blocks * SL_SLOTS * ((size_t)shape->dim_out + shape->dim_in);
}

/* The output side of one row against one view. `scale` is the row's weight. */
SL_WIDE static void add_output_side(const float *s0, const float *e, uint32_t m, float delta,
                                    float scale, float *p, float *q, float *r)
{
    const float c = 1 - delta;
    for (uint32_t j = 0; j < m; j++) {
        float sk = s0[j] + e[j];
        float product = s0[j] * sk;
        p[j] += scale * (delta * (1 - 4 * product) + (0.5F - 1.5F * delta) * e[j] * e[j]);
        q[j] = scale * (delta * (1 - 3 * sk * sk - product) + (3 * sk - e[j]) * e[j]);
        r[j] = scale * (-product - 0.5F * c + 1.5F * c * sk * sk);
    }
}

SL_WIDE static void put_input_side(const float *a0, const float *b, uint32_t d, float *q, float *r)
{
    for (uint32_t j = 0; j < d; j++) {
        q[j] = a0[j] * b[j];
        r[j] = b[j] * b[j];
    }
}

void sl_curvature_add(const sl_shape *shape, const sl_slice *slice, const float weight[SL_SLOTS],
                      float *work, float *lambda)
{
    const uint32_t m = shape->dim_out;
    const uint32_t d = shape->dim_in;
    const size_t size_out = sl_view_floats(m);
    const size_t size_in = sl_view_floats(d);
    const uint32_t n_blocks = 2 * shape->n_views - 1; /* P, then Q and R of every k */
    float *left = work;
    float *right = work + n_blocks * size_out;
    memset(left, 0, sizeof *left * size_out);
    for (uint32_t i = 0; i < SL_SLOTS; i++) {
        const float *s0 = slice->s + (size_t)i * m;
        const float *a0 = slice->a + (size_t)i * d;
        float *p = left + (size_t)i * m;
        float *p_in = right + (size_t)i * d;
        for (uint32_t j = 0; j < d; j++) {
            p_in[j] = a0[j] * a0[j];
        }
        for (uint32_t k = 1; k < shape->n_views; k++) {
            const size_t at = 2 * (size_t)k - 1;
            add_output_side(s0, s0 + k * size_out, m, slice->delta[k][i], weight[i], p,
                            p + at * size_out, p + (at + 1) * size_out);
            put_input_side(a0, a0 + k * size_in, d, p_in + at * size_in, p_in + (at + 1) * size_in);
        }
    }
    sl_gemm_add_outer(-2.0F / (float)(shape->n_views - 1), left, m, right, d, n_blocks * SL_SLOTS,
                      lambda);
}
