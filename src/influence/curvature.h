/* curvature.h - the diagonal of the exact Hessian in the eigenbasis, summed over samples. */
#ifndef SL_CURVATURE_H
#define SL_CURVATURE_H

#include "influence/slice.h"

/* sl_curvature_add - adds what the 64 rows of a slice put into the sum.
 *
 *     Lambda_H[i][j] += sum over rows of weight * d2 l / d(U_G' W U_A)_ij^2
 *
 * slice    Borrows; s, a and delta are those of the basis in which lambda is.
 * weight   Borrows [64]; 0 leaves a row out.
 * work     Scratch of sl_curvature_floats.
 * lambda   In and out [m][d]; entries may be negative.
 * Cost     2 (2K - 1) m d flops a row.
 * Source   EK-FAC, George et al. 2018; the closed form is at the head of curvature.c. */
void sl_curvature_add(const sl_shape *shape, const sl_slice *slice, const float weight[SL_SLOTS],
                      float *work, float *lambda);

size_t sl_curvature_floats(const sl_shape *shape);

#endif
