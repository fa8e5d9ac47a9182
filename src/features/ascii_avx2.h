/* ascii_avx2.h - looks 64 bytes up in a table of ASCII and tells them apart as 64 bits (AVX2).
 *
 * Why steps: a shuffle looks up among 16 bytes. Each row of 16 of the table is kept as what it
 * differs in from the row before; a byte takes the xor of the rows up to its own, since shuffles
 * give 0 where the byte less 16 a row is negative. */
#ifndef SL_ASCII_AVX2_H
#define SL_ASCII_AVX2_H

#include "features/kernel.h"

#include <stdint.h>

#if defined(__x86_64__)
#include <immintrin.h>

typedef struct sl_bytes64 {
    __m256i half[2];
} sl_bytes64;

SL_TARGET_AVX2 static inline sl_bytes64 sl_bytes64_load(const uint8_t *at)
{
    const void *bytes = at;
    const __m256i *vectors = bytes;
    return (sl_bytes64){{_mm256_loadu_si256(vectors), _mm256_loadu_si256(vectors + 1)}};
}

SL_TARGET_AVX2 static inline void sl_bytes64_store(uint8_t *at, sl_bytes64 v)
{
    void *bytes = at;
    __m256i *vectors = bytes;
    _mm256_storeu_si256(vectors, v.half[0]);
    _mm256_storeu_si256(vectors + 1, v.half[1]);
}

/* The highest bit of each. */
SL_TARGET_AVX2 static inline uint64_t sl_bytes64_high(sl_bytes64 v)
{
    return (uint64_t)(uint32_t)_mm256_movemask_epi8(v.half[1]) << 32 |
           (uint32_t)_mm256_movemask_epi8(v.half[0]);
}

/* Which have the bit, one of 1, 2, 4 ... 128; a constant where it is inlined. */
SL_TARGET_AVX2 static inline uint64_t sl_bytes64_test(sl_bytes64 v, unsigned bit)
{
    const int up = __builtin_clz(bit) - 24;
    return sl_bytes64_high(
        (sl_bytes64){{_mm256_slli_epi16(v.half[0], up), _mm256_slli_epi16(v.half[1], up)}});
}

SL_TARGET_AVX2 static inline uint64_t sl_bytes64_equal(sl_bytes64 v, char byte)
{
    const __m256i all = _mm256_set1_epi8(byte);
    return sl_bytes64_high(
        (sl_bytes64){{_mm256_cmpeq_epi8(v.half[0], all), _mm256_cmpeq_epi8(v.half[1], all)}});
}

/* What the table says of each; of bytes above 127 anything. */
SL_TARGET_AVX2 static inline sl_bytes64 sl_bytes64_look_up(sl_bytes64 v, const uint8_t steps[128])
{
    sl_bytes64 found = {{_mm256_setzero_si256(), _mm256_setzero_si256()}};
    for (unsigned row = 0; row < 128; row += 16) {
        const void *bytes = steps + row;
        __m256i step = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)bytes));
        for (unsigned h = 0; h < 2; h++) {
            found.half[h] = _mm256_xor_si256(found.half[h], _mm256_shuffle_epi8(step, v.half[h]));
            v.half[h] = _mm256_sub_epi8(v.half[h], _mm256_set1_epi8(16));
        }
    }
    return found;
}
#endif

#endif
