/* rows.h - sums of products along rows of floats, in lanes that every processor adds alike. */
#ifndef SL_INFLUENCE_ROWS_H
#define SL_INFLUENCE_ROWS_H

#include <stdint.h>
#include <string.h>

/* A function with loops over rows: compiled for wider registers as well, and chosen when the
 * program starts. Lanes are in the source and products are not fused into sums, so every form gives
 * the same bits. Sanitizers are not ready as early as that choice. */
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__clang__) &&                        \
    !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
#define SL_WIDE __attribute__((target_clones("arch=x86-64-v4", "avx2", "default")))
#else
#define SL_WIDE
#endif

/* All of it is inlined, so no vector is ever passed as an argument. */
#pragma GCC diagnostic ignored "-Wpsabi"
#define SL_ROWS_INLINE static inline __attribute__((always_inline))

typedef float sl_float4 __attribute__((vector_size(16)));
typedef float sl_float8 __attribute__((vector_size(32)));
typedef double sl_double4 __attribute__((vector_size(32)));

SL_ROWS_INLINE sl_float8 sl_rows_load(const float *from)
{
    sl_float8 out;
    memcpy(&out, from, sizeof out);
    return out;
}

SL_ROWS_INLINE sl_double4 sl_rows_widen(const float *from)
{
    sl_float4 out;
    memcpy(&out, from, sizeof out);
    return __builtin_convertvector(out, sl_double4);
}

SL_ROWS_INLINE sl_double4 sl_rows_load4(const double *from)
{
    sl_double4 out;
    memcpy(&out, from, sizeof out);
    return out;
}

SL_ROWS_INLINE double sl_rows_sum4(const sl_double4 *sum)
{
    return ((*sum)[0] + (*sum)[1]) + ((*sum)[2] + (*sum)[3]);
}

/* Float32 within a lane, double between lanes. */
SL_ROWS_INLINE double sl_rows_sum8(const sl_float8 *sum)
{
    double total = 0;
    for (uint32_t j = 0; j < 8; j++) {
        total += (double)(*sum)[j];
    }
    return total;
}

/* sum_j a_j b_j, all in double. */
SL_ROWS_INLINE double sl_rows_dot_double(const float *a, const float *b, uint32_t n)
{
    sl_double4 even = {0};
    sl_double4 odd = {0};
    uint32_t i = 0;
    for (; i + 8 <= n; i += 8) {
        even += sl_rows_widen(a + i) * sl_rows_widen(b + i);
        odd += sl_rows_widen(a + i + 4) * sl_rows_widen(b + i + 4);
    }
    even += odd;
    double total = sl_rows_sum4(&even);
    for (; i < n; i++) {
        total += (double)a[i] * (double)b[i];
    }
    return total;
}

/* sum_j a_j b_j; with three rows, sum_j a_j b_j c_j: float32 in eight lanes. */
SL_ROWS_INLINE double sl_rows_dot(const float *a, const float *b, uint32_t n)
{
    sl_float8 sum = {0};
    uint32_t i = 0;
    for (; i + 8 <= n; i += 8) {
        sum += sl_rows_load(a + i) * sl_rows_load(b + i);
    }
    double total = sl_rows_sum8(&sum);
    for (; i < n; i++) {
        total += (double)(a[i] * b[i]);
    }
    return total;
}

SL_ROWS_INLINE double sl_rows_dot3(const float *a, const float *b, const float *c, uint32_t n)
{
    sl_float8 sum = {0};
    uint32_t i = 0;
    for (; i + 8 <= n; i += 8) {
        sum += sl_rows_load(a + i) * sl_rows_load(b + i) * sl_rows_load(c + i);
    }
    double total = sl_rows_sum8(&sum);
    for (; i < n; i++) {
        total += (double)(a[i] * b[i] * c[i]);
    }
    return total;
}

#endif
