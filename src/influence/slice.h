/* slice.h - the rows of 64 neighbouring offsets, and what is derived from them once. */
#ifndef SL_SLICE_H
#define SL_SLICE_H

#include "influence/gemm.h"

#define SL_VIEWS_MAX 8 /* SLUICE_LIMIT_VIEWS */

/* What all samples of one encoder have in common. `own_inputs`: activations came along, so that the
 * input side is not the output side. */
typedef struct sl_shape {
    uint32_t n_views; /* K                     */
    uint32_t dim_out; /* m, of h               */
    uint32_t dim_in;  /* d, of a; m unless own */
    bool own_inputs;
} sl_shape;

/* Row-major [K][64][...]. h, a as they came are scaled by 1/|h|; h' = h + (W - W_0) a is the output
 * at the adapter, n' its norm.
 *
 *   u[0] = h'_0/n'_0        u[k]     = e_k = u_k - u_0          differences, as everything that
 *   right[0] = a_0/n'_0     right[k] = x_k - x_0                follows is of their order
 *   delta[k] = 1 - u_0.u_k = |e_k|^2 / 2
 *   s = u rotated by U_G    a = right rotated by U_A
 *
 * Where both sides are the same, `right` is `u` and `a` is `s`. */
typedef struct sl_slice {
    float *outputs, *inputs; /* as they came; the same where there are no own inputs */
    float *u, *right;
    float *s, *a;
    float delta[SL_VIEWS_MAX][SL_SLOTS]; /* [0]: the mean over k >= 1 = the loss */
} sl_slice;

static inline size_t sl_view_floats(uint32_t dim)
{
    return (size_t)SL_SLOTS * dim;
}

/* two_sides  right and a have memory of their own. */
SLUICE_MUST_USE sluice_status sl_slice_open(const sl_shape *shape, bool two_sides, sl_slice *out);
void sl_slice_close(sl_slice *slice);

/* The views of one sample, as they came, into a slot; and zeros into all slots. */
void sl_slice_put(const sl_shape *shape, sl_slice *slice, uint32_t i_slot, const float *outputs,
                  const float *inputs);
void sl_slice_clear(const sl_shape *shape, sl_slice *slice);

#endif
