/* cosine.c - the cosine of a unit vector and a remembered one, exactly.
 *
 *   q  int32, 2^-30        k  int16, the largest 32767
 *   \________ sum of products, int64 ________/     \__ sum of squares, int64 __/
 *
 * Why 16-bit integers and not half floats: the same two bytes a number, a fifth of the error on
 * real vectors, and sums that no order of adding changes.
 * Why the least that the cosine can be: nothing is dropped for a vector that is below the
 * threshold, so what rounding may have added is taken off before the comparison. */
#include "duplicate/cosine.h"

#include <math.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "stored vectors are read as they lie");

void sl_cosine_ask(const float *row, uint32_t dim, sl_cosine_query *query)
{
    SLUICE_ASSERT(dim <= SLUICE_EMBEDDING_MAX);
    query->dim = dim;
    for (uint32_t i = 0; i < dim; i++) {
        query->number[i] = (int32_t)(row[i] * 0x1p30f);
    }
}

/* |sum| <= |q| |k| sqrt(d) < 2^30 x 2^15 x 2^6, by Cauchy and Schwarz. */
__attribute__((always_inline)) static inline void
add_up(const int32_t *q, const uint8_t *stored, uint32_t dim, int64_t *dot, int64_t *square)
{
    int64_t sum = 0, squares = 0;
    for (uint32_t i = 0; i < dim; i++) {
        int16_t k;
        memcpy(&k, stored + 2 * (size_t)i, sizeof k);
        sum += (int64_t)q[i] * k;
        squares += (int32_t)k * k;
    }
    *dot = sum;
    *square = squares;
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void add_up_avx2(const int32_t *q, const uint8_t *stored,
                                                        uint32_t dim, int64_t *dot, int64_t *square)
{
    add_up(q, stored, dim, dot, square);
}
#endif

sl_cosine sl_cosine_of(const sl_cosine_query *query, const uint8_t *stored)
{
    int64_t dot, square;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        add_up_avx2(query->number, stored, query->dim, &dot, &square);
    } else {
        add_up(query->number, stored, query->dim, &dot, &square);
    }
#else
    add_up(query->number, stored, query->dim, &dot, &square);
#endif
    if (square <= 0) {
        return (sl_cosine){-1, -1};
    }
    double length = sqrt((double)square);
    double value = (double)dot * 0x1p-30 / length;
    value = value > 1 ? 1 : value;
    double sine = sqrt(value > -1 ? 1 - value * value : 0);
    double error = sqrt((double)query->dim) / 2 / length; /* sine of the largest angle of k and x */
    error = error < 1 ? error : 1;
    return (sl_cosine){value, value * sqrt(1 - error * error) - sine * error};
}
