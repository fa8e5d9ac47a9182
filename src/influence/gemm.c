/* gemm.c - every product of matrices, and the eigenproblem; the only caller of BLAS.
 *
 *   rows of samples     [64 j][k] x [k][n]         rotations, scores     j fixed (slot rule)
 *   sums over samples   [64 j][m]' x [64 j][n]     moments, curvature    at the end of a block
 *   whole matrices      [n][n] x [n][n]            refresh of the basis
 *
 * Why float32 with a double fallback: one digit more in the basis changes no score (the curvature
 * is measured in whatever basis there is), but a failed solve must not end the process. */
#include "influence/gemm.h"

#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void sl_gemm_init(void)
{
    openblas_set_num_threads(1);
}

const char *sl_gemm_core(void)
{
    return openblas_get_corename();
}

void sl_gemm_slots(uint32_t times, const float *a, uint32_t k, const float *b, uint32_t n, float *c)
{
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)(times * SL_SLOTS), (int)n, (int)k,
                1.0F, a, (int)k, b, (int)n, 0.0F, c, (int)n);
}

void sl_gemm_slots_transposed(uint32_t times, const float *a, uint32_t k, const float *b,
                              uint32_t n, float *c)
{
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)(times * SL_SLOTS), (int)n, (int)k,
                1.0F, a, (int)k, b, (int)k, 0.0F, c, (int)n);
}

void sl_gemm_add_outer(float scale, const float *a, uint32_t m, const float *b, uint32_t n,
                       uint32_t rows, float *c)
{
    SLUICE_DCHECK(rows % SL_SLOTS == 0);
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)m, (int)n, (int)rows, scale, a,
                (int)m, b, (int)n, 1.0F, c, (int)n);
}

void sl_gemm_add_gram(const float *a, uint32_t n, uint32_t rows, float *c)
{
    SLUICE_DCHECK(rows % SL_SLOTS == 0);
    cblas_ssyrk(CblasRowMajor, CblasUpper, CblasTrans, (int)n, (int)rows, 1.0F, a, (int)n, 1.0F, c,
                (int)n);
}

void sl_gemm_product(bool transpose_a, bool transpose_b, uint32_t m, uint32_t n, uint32_t k,
                     const float *a, const float *b, float *c)
{
    cblas_sgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans,
                transpose_b ? CblasTrans : CblasNoTrans, (int)m, (int)n, (int)k, 1.0F, a,
                (int)(transpose_a ? m : k), b, (int)(transpose_b ? k : n), 0.0F, c, (int)n);
}

/* LAPACK gives them with the smallest first, each in a row of `found`. */
static void put_largest_first(const float *found, uint32_t n, float *vectors, float *values)
{
    for (uint32_t i = 0; i < n / 2; i++) {
        float value = values[i];
        values[i] = values[n - 1 - i];
        values[n - 1 - i] = value;
    }
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t j = 0; j < n; j++) {
            vectors[(size_t)j * n + (n - 1 - i)] = found[(size_t)i * n + j];
        }
    }
}

/* A little ridge moves all eigenvalues alike and the vectors not at all. */
static sluice_status solve_in_double(const float *upper, uint32_t n, float *values, float *found)
{
    double *matrix = malloc(sizeof *matrix * n * (n + (size_t)1));
    if (matrix == NULL) {
        return SLUICE_E_NOMEM;
    }
    double *eigenvalue = matrix + (size_t)n * n;
    double trace = 0;
    for (uint32_t i = 0; i < n; i++) {
        trace += (double)upper[(size_t)i * (n + 1)];
        for (uint32_t j = i; j < n; j++) {
            matrix[(size_t)i * n + j] = (double)upper[(size_t)i * n + j];
        }
        matrix[(size_t)i * (n + 1)] += 1e-7 * trace / (i + 1);
    }
    int info = LAPACKE_dsyevd(LAPACK_COL_MAJOR, 'V', 'L', (int)n, matrix, (int)n, eigenvalue);
    for (uint32_t i = 0; i < n && info == 0; i++) {
        values[i] = (float)eigenvalue[i];
        for (uint32_t j = 0; j < n; j++) {
            found[(size_t)i * n + j] = (float)matrix[(size_t)i * n + j];
        }
    }
    free(matrix);
    return info == 0 ? SLUICE_OK : SLUICE_E_CORRUPT;
}

sluice_status sl_gemm_eigen(const float *upper, uint32_t n, float *vectors, float *values,
                            float *work)
{
    memcpy(work, upper, sizeof *work * n * n);
    /* Upper in rows is lower in columns. */
    int info = LAPACKE_ssyevd(LAPACK_COL_MAJOR, 'V', 'L', (int)n, work, (int)n, values);
    if (info != 0) {
        SLUICE_TRY(solve_in_double(upper, n, values, work));
    }
    put_largest_first(work, n, vectors, values);
    return SLUICE_OK;
}
