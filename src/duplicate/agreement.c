/* agreement.c - counts the coordinates in which two set sketches agree.
 *
 * Why one byte a coordinate: 128 bytes are two cache lines, and a byte that agrees by chance
 * (1 in 256) is taken out of the estimate (b-bit minwise hashing, Li and Koenig 2010). */
#include "duplicate/agreement.h"

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("avx512bw,avx512f,popcnt"))) static uint32_t
agreement_avx512(const uint8_t *a, const uint8_t *b)
{
    __mmask64 low = _mm512_cmpeq_epi8_mask(_mm512_loadu_si512(a), _mm512_loadu_si512(b));
    __mmask64 high = _mm512_cmpeq_epi8_mask(_mm512_loadu_si512(a + 64), _mm512_loadu_si512(b + 64));
    return (uint32_t)(__builtin_popcountll(low) + __builtin_popcountll(high));
}

__attribute__((target("avx2,popcnt"))) static uint32_t agreement_avx2(const uint8_t *a,
                                                                      const uint8_t *b)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < SLUICE_SKETCH_COORDINATES; i += 32) {
        __m256i left = _mm256_loadu_si256((const __m256i *)(const void *)(a + i));
        __m256i right = _mm256_loadu_si256((const __m256i *)(const void *)(b + i));
        int equal = _mm256_movemask_epi8(_mm256_cmpeq_epi8(left, right));
        n += (uint32_t)__builtin_popcount((unsigned)equal);
    }
    return n;
}

__attribute__((target("avx512bw,avx512f"))) static uint32_t
weighted_avx512(const uint8_t *a, const uint8_t *b, const uint8_t *weight)
{
    __m512i sum = _mm512_setzero_si512();
    for (uint32_t i = 0; i < SLUICE_SKETCH_COORDINATES; i += 64) {
        __mmask64 equal =
            _mm512_cmpeq_epi8_mask(_mm512_loadu_si512(a + i), _mm512_loadu_si512(b + i));
        __m512i agreed = _mm512_maskz_mov_epi8(equal, _mm512_loadu_si512(weight + i));
        sum = _mm512_add_epi64(sum, _mm512_sad_epu8(agreed, _mm512_setzero_si512()));
    }
    return (uint32_t)_mm512_reduce_add_epi64(sum);
}

__attribute__((target("avx2"))) static uint32_t weighted_avx2(const uint8_t *a, const uint8_t *b,
                                                              const uint8_t *weight)
{
    __m256i sum = _mm256_setzero_si256();
    for (uint32_t i = 0; i < SLUICE_SKETCH_COORDINATES; i += 32) {
        __m256i left = _mm256_loadu_si256((const __m256i *)(const void *)(a + i));
        __m256i right = _mm256_loadu_si256((const __m256i *)(const void *)(b + i));
        __m256i own = _mm256_loadu_si256((const __m256i *)(const void *)(weight + i));
        __m256i agreed = _mm256_and_si256(_mm256_cmpeq_epi8(left, right), own);
        sum = _mm256_add_epi64(sum, _mm256_sad_epu8(agreed, _mm256_setzero_si256()));
    }
    uint64_t lanes[4];
    _mm256_storeu_si256((__m256i *)(void *)lanes, sum);
    return (uint32_t)(lanes[0] + lanes[1] + lanes[2] + lanes[3]);
}
#endif

uint32_t sl_agreement_weighted_ref(const uint8_t *a, const uint8_t *b, const uint8_t *weight)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < SLUICE_SKETCH_COORDINATES; i++) {
        sum += a[i] == b[i] ? weight[i] : 0u;
    }
    return sum;
}

sl_agreement_weighted *sl_agreement_weighted_best(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512bw")) {
        return weighted_avx512;
    }
    if (__builtin_cpu_supports("avx2")) {
        return weighted_avx2;
    }
#endif
    return sl_agreement_weighted_ref;
}

uint32_t sl_agreement_ref(const uint8_t *a, const uint8_t *b)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < SLUICE_SKETCH_COORDINATES; i++) {
        n += a[i] == b[i];
    }
    return n;
}

sl_agreement *sl_agreement_best(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("popcnt")) {
        return agreement_avx512;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt")) {
        return agreement_avx2;
    }
#endif
    return sl_agreement_ref;
}

float sl_agreement_weighted_similarity(uint32_t sum, uint32_t all)
{
    double chance = 1.0 / 256;
    double similarity = ((double)sum / all - chance) / (1 - chance);
    return similarity < 0 ? 0 : (float)similarity;
}

float sl_agreement_similarity(uint32_t n)
{
    return sl_agreement_weighted_similarity(n, SLUICE_SKETCH_COORDINATES);
}

uint32_t sl_agreement_least(float threshold)
{
    uint32_t n = 0;
    while (n <= SLUICE_SKETCH_COORDINATES && !(sl_agreement_similarity(n) >= threshold)) {
        n++;
    }
    return n;
}
