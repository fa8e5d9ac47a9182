/* stability.h - the stability loss of views at an adapter, and its gradient as K products. */
#ifndef SL_STABILITY_H
#define SL_STABILITY_H

#include "influence/slice.h"

/* sl_stability_prepare - u, right and delta of all 64 rows, from outputs and inputs.
 *
 * moved    Borrows W - W_0 [m][d]; NULL while it is zero.
 * Error    differences of unit rows: a relative 1e-7 / |e_k|. */
void sl_stability_prepare(const sl_shape *shape, const float *moved, sl_slice *slice);

/* sl_stability_left - the output side of the gradient, D = sum_k left_k right_k':
 *
 *     left_0 = -(mean_k delta_k) v_0 - mean_k delta_k (v_0 + v_k)
 *     left_k = (v_k - delta_k (v_0 + v_k)) / (K - 1)               means over k = 1..K-1
 *
 * v        Borrows [K][64][dim]: slice->u, or slice->s for the rotated gradient. View 0 is the
 *          anchor, the others are differences from it.
 * left     Out, same shape. */
void sl_stability_left(const sl_shape *shape, const sl_slice *slice, const float *v, uint32_t dim,
                       float *left);

/* |D|^2 of every row, from left and right in any pair of orthonormal bases.
 *
 *     |D|^2 = sum_{k,l} (left_k . left_l) (right_k . right_l)
 *
 * left, right  Borrow [K][64][m] and [K][64][d]. */
void sl_stability_norm2(const sl_shape *shape, const float *left, const float *right,
                        double norm2[SL_SLOTS]);

#endif
