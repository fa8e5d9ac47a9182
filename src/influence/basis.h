/* basis.h - the eigenbasis of the moments, and what is carried over from the one before. */
#ifndef SL_BASIS_H
#define SL_BASIS_H

#include "influence/slice.h"

/* out[n][n] = (U_new' U_old)^2 elementwise: what of each old direction lies in each new one. */
void sl_basis_overlap(const float *new_basis, const float *old_basis, uint32_t n, float *out);

/* sl_basis_transport - a sum of curvature from the old basis into the new one.
 *
 *     Lambda' = P_out Lambda P_in',   P = the overlap of the two bases
 *
 * Exact where the Hessian was diagonal in the old basis; keeps the sum; signs and order of the
 * eigenvectors do not matter.
 *
 * work     Scratch of m d floats.
 * lambda   In and out [m][d]. */
void sl_basis_transport(const sl_shape *shape, const float *overlap_out, const float *overlap_in,
                        float *work, float *lambda);

/* out[j] = (U' M U)_jj; M symmetric, its upper triangle is read. work: 2 d^2 floats. */
void sl_basis_diagonal(const float *upper, const float *basis, uint32_t d, float *work,
                       double *out);

#endif
