/* basis.c - the eigenbasis of the moments, and what is carried over from the one before.
 *
 *   old basis: Lambda is a diagonal (of m x d entries)      R = U_new' U_old, one a side
 *   new basis: the diagonal of  R diag(Lambda) R'           = (R_out . R_out) Lambda (R_in . R_in)'
 *
 * Why transport and not a fresh start: curvature is a long average, and throwing it away at each
 * refresh costs more agreement than any stale basis (rank correlation of `toward` .92-.99 against
 * .998 and more).
 * Why not keep it as it is: eigenvectors change places. */
#include "influence/basis.h"

#include <string.h>

void sl_basis_overlap(const float *new_basis, const float *old_basis, uint32_t n, float *out)
{
    sl_gemm_product(true, false, n, n, n, new_basis, old_basis, out);
    for (size_t i = 0; i < (size_t)n * n; i++) {
        out[i] *= out[i];
    }
}

void sl_basis_transport(const sl_shape *shape, const float *overlap_out, const float *overlap_in,
                        float *work, float *lambda)
{
    const uint32_t m = shape->dim_out;
    const uint32_t d = shape->dim_in;
    sl_gemm_product(false, false, m, d, m, overlap_out, lambda, work);
    sl_gemm_product(false, true, m, d, d, work, overlap_in, lambda);
}

/* Both triangles from the upper one. */
static void mirror(float *upper, uint32_t d)
{
    for (size_t i = 0; i < d; i++) {
        for (size_t j = i + 1; j < d; j++) {
            upper[j * d + i] = upper[i * d + j];
        }
    }
}

void sl_basis_diagonal(const float *upper, const float *basis, uint32_t d, float *work, double *out)
{
    float *full = work;
    float *through = work + (size_t)d * d;
    memcpy(full, upper, sizeof *full * d * d);
    mirror(full, d);
    sl_gemm_product(false, false, d, d, d, full, basis, through);
    for (uint32_t j = 0; j < d; j++) {
        double sum = 0;
        for (size_t i = 0; i < d; i++) {
            sum += (double)basis[i * d + j] * (double)through[i * d + j];
        }
        out[j] = sum;
    }
}
