/* gemm.h - every product of matrices, and the eigenproblem; the only caller of BLAS. */
#ifndef SL_GEMM_H
#define SL_GEMM_H

#include "status.h"

#include <stdbool.h>
#include <stdint.h>

/* The slot rule: products over samples always have this many rows for each of what a sample has a
 * fixed number of (views, pairs of views), a sample's row is its offset modulo it, and rows without
 * a sample are zero. Then the bits of a row depend neither on its neighbours nor on how the samples
 * were put into messages. */
#define SL_SLOTS 64

/* BLAS in one thread: more make small products slower, and sums depend on their number. */
void sl_gemm_init(void);

/* Which kernels BLAS chose for this CPU: "SkylakeX". Static. */
const char *sl_gemm_core(void);

/* c[64 times][n] = a[64 times][k] b[k][n], or a b' with b[n][k]. Row-major; c may not overlap.
 * times    The same for every sample: K, or a number of pairs. One product of 64 K rows costs up to
 *          a fifth less than K of 64, as BLAS packs b once. */
void sl_gemm_slots(uint32_t times, const float *a, uint32_t k, const float *b, uint32_t n,
                   float *c);
void sl_gemm_slots_transposed(uint32_t times, const float *a, uint32_t k, const float *b,
                              uint32_t n, float *c);

/* c[m][n] += scale a' b over a[rows][m], b[rows][n]; rows a multiple of 64. */
void sl_gemm_add_outer(float scale, const float *a, uint32_t m, const float *b, uint32_t n,
                       uint32_t rows, float *c);

/* c[n][n] += a' a over a[rows][n], upper triangle only; rows a multiple of 64. */
void sl_gemm_add_gram(const float *a, uint32_t n, uint32_t rows, float *c);

/* c[m][n] = op(a) op(b) with inner dimension k; a is [m][k] or [k][m] when transposed. */
void sl_gemm_product(bool transpose_a, bool transpose_b, uint32_t m, uint32_t n, uint32_t k,
                     const float *a, const float *b, float *c);

/* sl_gemm_eigen - eigenvectors of a symmetric matrix, largest eigenvalue first.
 *
 * upper    Borrows [n][n]; the upper triangle is read.
 * vectors  Out [n][n]: column j belongs to values[j].
 * work     [n][n] of scratch.
 * Returns  NOMEM, or CORRUPT if the problem cannot be solved in double either. */
SLUICE_MUST_USE sluice_status sl_gemm_eigen(const float *upper, uint32_t n, float *vectors,
                                            float *values, float *work);

#endif
