/* shingle.c - makes one hash of every n consecutive units.
 *
 *   units     u0   u1   u2   u3   u4 ...
 *              \____|____/                   C0 u0 + C1 u1 + C2 u2
 *                   \____|____/              C0 u1 + C1 u2 + C2 u3
 *
 * Why a sum of products and not a rolling hash: n multiplications are independent of each other and
 * of the shingle before, so they go eight at a time, and n is small.
 * Why that mixes well enough: unit hashes are uniform, so any two different n-grams differ by a
 * non-zero combination of them; different odd constants make the order count; the sketch mixes once
 * more.
 * Why in place: shingle i needs units i and later only. */
#include "features/shingle.h"

#include "status.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* Digits of pi, made odd. */
static const uint64_t constant[SL_SHINGLE_UNITS_MAX] = {
    0x243f6a8885a308d3, 0x13198a2e03707345, 0xa4093822299f31d1, 0x082efa98ec4e6c89,
    0x452821e638d01377, 0xbe5466cf34e90c6d, 0xc0ac29b7c97c50dd, 0x3f84d5b5b5470917,
    0x9216d5d98979fb1b, 0xd1310ba698dfb5ad, 0x2ffd72dbd01adfb7, 0xb8e1afed6a267e97,
    0xba7c9045f12c7f99, 0x24a19947b3916cf7, 0x0801f2e2858efc17, 0x636920d871574e69};

static void combine_ref(uint64_t *hash, size_t first, size_t n_shingles, unsigned n)
{
    for (size_t i = first; i < n_shingles; i++) {
        uint64_t sum = 0;
        for (unsigned j = 0; j < n; j++) {
            sum += hash[i + j] * constant[j];
        }
        hash[i] = sum;
    }
}

#if defined(__x86_64__)
SL_TARGET_AVX512 static size_t combine_avx512(uint64_t *hash, size_t n_shingles, unsigned n)
{
    size_t i = 0;
    for (; i + 8 <= n_shingles; i += 8) {
        __m512i sum = _mm512_setzero_si512();
        for (unsigned j = 0; j < n; j++) {
            __m512i unit = _mm512_loadu_si512(hash + i + j);
            __m512i weight = _mm512_set1_epi64((long long)constant[j]);
            sum = _mm512_add_epi64(sum, _mm512_mullo_epi64(unit, weight));
        }
        _mm512_storeu_si512(hash + i, sum);
    }
    return i;
}
#endif

size_t sl_shingle_make(uint64_t *hash, size_t n_units, unsigned n, sl_kernel kernel)
{
    SLUICE_DCHECK(n >= 1 && n <= SL_SHINGLE_UNITS_MAX);
    if (n_units == 0) {
        return 0;
    }
    if (n > n_units) {
        n = (unsigned)n_units;
    }
    size_t n_shingles = n_units - n + 1;
    size_t done = 0;
#if defined(__x86_64__)
    if (kernel == SL_KERNEL_AVX512) {
        done = combine_avx512(hash, n_shingles, n);
    }
#else
    (void)kernel;
#endif
    combine_ref(hash, done, n_shingles, n);
    return n_shingles;
}
