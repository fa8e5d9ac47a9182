/* basis.h - the eigenbasis of the moments, and what is carried over from the one before. */
#ifndef SL_BASIS_H
#define SL_BASIS_H

#include "influence/slice.h"

/* sl_basis_transport - a sum of curvature from the old basis into the new one.
 *
 *     Lambda' = P_out Lambda P_in',   P = (U_new' U_old)^2 elementwise
 *
 * Exact where the Hessian was diagonal in the old basis; keeps the sum; signs and order of the
 * eigenvectors do not matter. old_out == old_in and new_out == new_in where there is one basis.
 *
 * lambda   In and out [m][d].      work  Scratch of sl_basis_floats. */
void sl_basis_transport(const sl_shape *shape, const float *old_out, const float *old_in,
                        const float *new_out, const float *new_in, float *work, float *lambda);

size_t sl_basis_floats(const sl_shape *shape);

/* out[j] = (U' M U)_jj; M symmetric, its upper triangle is read. work: 2 d^2 floats. */
void sl_basis_diagonal(const float *upper, const float *basis, uint32_t d, float *work,
                       double *out);

/* Both triangles from the upper one. */
void sl_basis_mirror(float *upper, uint32_t d);

#endif
