/* sign_sketch.c - a pseudo-random rotation of a vector, and the signs of what comes out.
 *
 *   x ->| pad to n |->| signs | Hadamard |->| signs | Hadamard |->| signs | Hadamard |-> y[0..511]
 *                                                                                   sign, |margin|
 *
 * Why three rounds: one leaves the structure of sparse and of constant vectors in place; after
 * three the distances of bits on real vectors have the mean and deviation of random hyperplanes.
 * Why not a random matrix: 512 x dim products a sample; this takes 3 n log n additions.
 * Why additions only: they give the same bits in any width of register, so the sketch does not
 * depend on the machine. Nothing is scaled on the way: the largest value is n^1.5 < 2^18. */
#include "features/sign_sketch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define ROUNDS       3
#define N_MIN        SLUICE_SIGN_BITS
#define N_MAX        SLUICE_EMBEDDING_MAX
#define MOST_AT_ONCE 8     /* registers' worth of numbers that are mixed before they are written */
#define MARGIN_SCALE 85.0f /* steps a standard deviation: 255 is three of them */

struct sl_sign_sketch {
    uint32_t flip[ROUNDS][N_MAX]; /* 0 or the sign bit of a float */
    float y[N_MAX] __attribute__((aligned(64)));
};

static uint64_t next_random(uint64_t *state) /* splitmix64 */
{
    uint64_t value = *state += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return value ^ value >> 31;
}

sluice_status sl_sign_sketch_open(uint64_t seed, sl_sign_sketch **out)
{
    *out = NULL;
    sl_sign_sketch *sketch = aligned_alloc(64, (sizeof *sketch + 63) / 64 * 64);
    if (sketch == NULL) {
        return SLUICE_E_NOMEM;
    }
    uint64_t state = seed ^ UINT64_C(0x5349474e53); /* "SIGNS" */
    for (uint32_t round = 0; round < ROUNDS; round++) {
        for (uint32_t i = 0; i < N_MAX; i++) {
            sketch->flip[round][i] = (uint32_t)(next_random(&state) & 1) << 31;
        }
    }
    *out = sketch;
    return SLUICE_OK;
}

void sl_sign_sketch_close(sl_sign_sketch **sketch_p)
{
    free(*sketch_p);
    *sketch_p = NULL;
}

/* ---- one round ------------------------------------------------------------------------------- */

static void flip_signs(float *y, const uint32_t *flip, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t word;
        memcpy(&word, y + i, sizeof word);
        word ^= flip[i];
        memcpy(y + i, &word, sizeof word);
    }
}

static void round_ref(float *y, const uint32_t *flip, uint32_t n)
{
    flip_signs(y, flip, n);
    for (uint32_t step = 1; step < n; step *= 2) {
        for (uint32_t i = 0; i < n; i += 2 * step) {
            for (uint32_t k = i; k < i + step; k++) {
                float low = y[k], high = y[k + step];
                y[k] = low + high;
                y[k + step] = low - high;
            }
        }
    }
}

#if defined(__x86_64__)
/* Steps 1 to 8 inside one register: the partner of each lane, added or subtracted. */
SL_TARGET_AVX512 static inline __m512 mix_lanes(__m512 y)
{
    __m512 other = _mm512_permute_ps(y, 0xb1);
    y = _mm512_mask_sub_ps(_mm512_add_ps(other, y), 0xaaaa, other, y);
    other = _mm512_permute_ps(y, 0x4e);
    y = _mm512_mask_sub_ps(_mm512_add_ps(other, y), 0xcccc, other, y);
    other = _mm512_shuffle_f32x4(y, y, 0xb1);
    y = _mm512_mask_sub_ps(_mm512_add_ps(other, y), 0xf0f0, other, y);
    other = _mm512_shuffle_f32x4(y, y, 0x4e);
    return _mm512_mask_sub_ps(_mm512_add_ps(other, y), 0xff00, other, y);
}

/* Steps `step` to radix / 2 x step at once, radix a constant: each number is touched once. */
SL_TARGET_AVX512 __attribute__((always_inline)) static inline void
mix_far(float *y, uint32_t n, uint32_t step, const uint32_t radix)
{
    __m512 part[MOST_AT_ONCE];
    for (uint32_t i = 0; i < n; i += radix * step) {
        for (uint32_t k = i; k < i + step; k += 16) {
            for (uint32_t r = 0; r < radix; r++) {
                part[r] = _mm512_load_ps(y + k + r * step);
            }
            for (uint32_t half = 1; half < radix; half *= 2) {
                for (uint32_t r = 0; r < radix; r++) {
                    if ((r & half) == 0) {
                        __m512 low = part[r], high = part[r | half];
                        part[r] = _mm512_add_ps(low, high);
                        part[r | half] = _mm512_sub_ps(low, high);
                    }
                }
            }
            for (uint32_t r = 0; r < radix; r++) {
                _mm512_store_ps(y + k + r * step, part[r]);
            }
        }
    }
}

SL_TARGET_AVX512 static void round_avx512(float *y, const uint32_t *flip, uint32_t n)
{
    for (uint32_t i = 0; i < n; i += 16) {
        __m512i word = _mm512_xor_si512(_mm512_load_si512(y + i), _mm512_loadu_si512(flip + i));
        _mm512_store_ps(y + i, mix_lanes(_mm512_castsi512_ps(word)));
    }
    uint32_t step = 16;
    for (; MOST_AT_ONCE * step <= n; step *= MOST_AT_ONCE) {
        mix_far(y, n, step, MOST_AT_ONCE);
    }
    if (4 * step == n) {
        mix_far(y, n, step, 4);
    } else if (2 * step == n) {
        mix_far(y, n, step, 2);
    }
}
#endif

/* ---- what is read off it --------------------------------------------------------------------- */

static void read_signs_ref(const float *y, uint64_t *bits)
{
    for (uint32_t w = 0; w < SLUICE_SIGN_WORDS; w++) {
        bits[w] = 0;
        for (uint32_t i = 0; i < 64; i++) {
            bits[w] |= (uint64_t)(y[w * 64 + i] > 0) << i;
        }
    }
}

static void read_margins_ref(const float *y, float scale, uint8_t *margins)
{
    for (uint32_t i = 0; i < SLUICE_SIGN_BITS; i++) {
        float margin = fabsf(y[i]) * scale;
        margins[i] = margin < 255.0f ? (uint8_t)margin : 255;
    }
}

/* From `from` on. */
static void quantize_ref(const float *row, uint32_t from, uint32_t dim, double scale, uint8_t *out)
{
    for (uint32_t i = from; i < dim; i++) {
        double scaled = (double)row[i] * scale;
        int value = (int)(scaled + (scaled < 0 ? -0.5 : 0.5));
        out[2 * i] = (uint8_t)(value & 255);
        out[2 * i + 1] = (uint8_t)(value >> 8 & 255);
    }
}

#if defined(__x86_64__)
SL_TARGET_AVX512 static void read_signs_avx512(const float *y, uint64_t *bits)
{
    const __m512 zero = _mm512_setzero_ps();
    for (uint32_t w = 0; w < SLUICE_SIGN_WORDS; w++) {
        bits[w] = 0;
        for (uint32_t i = 0; i < 64; i += 16) {
            __m512 four = _mm512_load_ps(y + w * 64 + i);
            bits[w] |= (uint64_t)_mm512_cmp_ps_mask(four, zero, _CMP_GT_OQ) << i;
        }
    }
}

SL_TARGET_AVX512 static void read_margins_avx512(const float *y, float scale, uint8_t *margins)
{
    const __m512 most = _mm512_set1_ps(255.0f), by = _mm512_set1_ps(scale);
    for (uint32_t i = 0; i < SLUICE_SIGN_BITS; i += 16) {
        __m512 margin = _mm512_mul_ps(_mm512_abs_ps(_mm512_load_ps(y + i)), by);
        __m512i value = _mm512_cvttps_epi32(_mm512_min_ps(margin, most));
        _mm_storeu_si128((__m128i *)(void *)(margins + i), _mm512_cvtepi32_epi8(value));
    }
}

SL_TARGET_AVX512 static void quantize_avx512(const float *row, uint32_t dim, double scale,
                                             uint8_t *out)
{
    const __m512d by = _mm512_set1_pd(scale), half = _mm512_set1_pd(0.5);
    const __m512d sign = _mm512_set1_pd(-0.0);
    uint32_t i = 0;
    for (; i + 8 <= dim; i += 8) {
        __m512d scaled = _mm512_mul_pd(_mm512_cvtps_pd(_mm256_loadu_ps(row + i)), by);
        __m512d away = _mm512_or_pd(half, _mm512_and_pd(scaled, sign));
        __m256i value = _mm512_cvttpd_epi32(_mm512_add_pd(scaled, away));
        _mm_storeu_si128((__m128i *)(void *)(out + 2 * (size_t)i), _mm256_cvtepi32_epi16(value));
    }
    quantize_ref(row, i, dim, scale, out);
}

SL_TARGET_AVX512 static float largest_avx512(const float *row, uint32_t dim)
{
    __m512 largest = _mm512_setzero_ps();
    for (uint32_t i = 0; i < dim; i += 16) {
        uint32_t n = dim - i < 16 ? dim - i : 16;
        __m512 some = _mm512_maskz_loadu_ps((__mmask16)((UINT32_C(1) << n) - 1), row + i);
        largest = _mm512_max_ps(largest, _mm512_abs_ps(some));
    }
    return _mm512_reduce_max_ps(largest);
}
#endif

static float largest_ref(const float *row, uint32_t dim)
{
    float largest = 0;
    for (uint32_t i = 0; i < dim; i++) {
        float size = fabsf(row[i]);
        largest = size > largest ? size : largest;
    }
    return largest;
}

/* ---- the whole ------------------------------------------------------------------------------- */

void sl_sign_sketch_make(sl_sign_sketch *sketch, const float *row, uint32_t dim, uint64_t key,
                         sl_kernel kernel, uint64_t *bits, uint8_t *margins)
{
    SLUICE_ASSERT(dim >= SLUICE_EMBEDDING_MIN && dim <= SLUICE_EMBEDDING_MAX);
    uint32_t n = N_MIN;
    while (n < dim) {
        n *= 2;
    }
    float *y = sketch->y, scale = MARGIN_SCALE / (float)n; /* |x| = 1: y deviates by n^1.5 / n^.5 */
    memcpy(y, row, dim * sizeof *row);
    memset(y + dim, 0, (n - dim) * sizeof *row);
#if defined(__x86_64__)
    if (kernel == SL_KERNEL_AVX512) {
        for (uint32_t i = 0; i < ROUNDS; i++) {
            round_avx512(y, sketch->flip[i], n);
        }
        read_signs_avx512(y, bits);
        read_margins_avx512(y, scale, margins);
    } else
#endif
    {
        for (uint32_t i = 0; i < ROUNDS; i++) {
            round_ref(y, sketch->flip[i], n);
        }
        read_signs_ref(y, bits);
        read_margins_ref(y, scale, margins);
    }
    (void)kernel;
    for (uint32_t w = 0; w < SLUICE_SIGN_WORDS; w++) {
        bits[w] ^= next_random(&key);
    }
}

void sl_sign_quantize(const float *row, uint32_t dim, sl_kernel kernel, uint8_t *out)
{
#if defined(__x86_64__)
    if (kernel == SL_KERNEL_AVX512) {
        float most = largest_avx512(row, dim);
        quantize_avx512(row, dim, most > 0 ? 32767.0 / (double)most : 0, out);
        return;
    }
#endif
    (void)kernel;
    float largest = largest_ref(row, dim);
    quantize_ref(row, 0, dim, largest > 0 ? 32767.0 / (double)largest : 0, out);
}
