/* set_sketch_avx512.c - makes set sketches eight elements at a time (AVX-512).
 *
 * Few elements: all 128 keys (round, top byte of the order) of one are a slice of its walk's table,
 * four vectors of 16 bits; the smallest so far and its number are kept. Equal keys are looked at
 * one by one: about one in 65,536, or an element that was there before.
 * Many: in round 0 the order of eight is compared with the top bytes of their bins (128 bytes, one
 * permutation); only those that may win are looked at. The top bytes may be stale: they only fall.
 * Later rounds: 64 bins at a time are computed as bytes and looked up among the empty ones. */
#if defined(__x86_64__)
#include "features/set_sketch_kernels.h"

#include <immintrin.h>
#include <string.h>

#define FEW_MAX 32
#define WARM_UP 256 /* elements before asking the top bytes is worth it */

SL_TARGET_AVX512 static inline __m512i mix_avx512(const sl_set_sketch *sketcher, __m512i x)
{
    x = _mm512_xor_si512(x, _mm512_set1_epi64((long long)sketcher->mask));
    x = _mm512_mullo_epi64(x, _mm512_set1_epi64((long long)MULTIPLIER));
    return _mm512_xor_si512(x, _mm512_srli_epi64(x, 32));
}

SL_TARGET_AVX512 static inline void put_stamped(uint8_t *out, __m512i x, const uint64_t *stamp)
{
    x = _mm512_xor_si512(x, _mm512_loadu_si512(stamp));
    x = _mm512_mullo_epi64(x, _mm512_set1_epi64((long long)MULTIPLIER));
    _mm_storel_epi64((__m128i *)(void *)out, _mm512_cvtepi64_epi8(_mm512_srli_epi64(x, 56)));
}

/* Mixes all elements, n <= DISTINCT_MAX. */
SL_TARGET_AVX512 static void mix_all(const sl_set_sketch *sketcher, const uint64_t *hash, size_t n,
                                     uint64_t *x)
{
    for (size_t i = 0; i < n; i += 8) {
        __mmask8 inside = (__mmask8)(n - i >= 8 ? 0xff : 0xff >> (8 - (n - i)));
        __m512i v = _mm512_maskz_loadu_epi64(inside, hash + i);
        _mm512_storeu_si512(x + i, mix_avx512(sketcher, v));
    }
}

/* Element i has the key of the winner at the bins of `tie` (of the 32 from `first`). */
static void settle_ties(const sl_set_sketch *sketcher, const uint64_t *x, uint16_t *winner,
                        uint16_t i, unsigned first, uint32_t tie)
{
    for (; tie != 0; tie &= tie - 1) {
        unsigned b = first + (unsigned)__builtin_ctz(tie);
        if (flipped(sketcher, x[i], b) < flipped(sketcher, x[winner[b]], b)) {
            winner[b] = i;
        }
    }
}

SL_TARGET_AVX512 static void find_winners(const sl_set_sketch *sketcher, const uint64_t *x,
                                          size_t n, uint16_t winner[N_BINS])
{
    __m512i flip[4], best[4], number[4];
    for (int j = 0; j < 4; j++) {
        const void *flips = sketcher->flip + 32 * j;
        flip[j] = _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)flips));
        best[j] = _mm512_set1_epi16(-1);
        number[j] = _mm512_setzero_si512();
    }
    for (size_t i = 0; i < n; i++) {
        const uint16_t *rank = sketcher->rank[walk_of(x[i])] + (N_BINS - x[i] % N_BINS) % N_BINS;
        __m512i top = _mm512_set1_epi16((short)(x[i] >> 56));
        uint32_t tie[4];
        for (int j = 0; j < 4; j++) {
            __m512i key =
                _mm512_or_si512(_mm512_loadu_si512(rank + 32 * j), _mm512_xor_si512(top, flip[j]));
            tie[j] = _mm512_cmpeq_epi16_mask(key, best[j]);
            __mmask32 less = _mm512_cmplt_epu16_mask(key, best[j]);
            best[j] = _mm512_min_epu16(key, best[j]);
            number[j] = _mm512_mask_mov_epi16(number[j], less, _mm512_set1_epi16((short)i));
        }
        if (__builtin_expect((tie[0] | tie[1] | tie[2] | tie[3]) != 0, 0)) {
            for (int j = 0; j < 4; j++) {
                _mm512_storeu_si512(winner + 32 * j, number[j]);
                settle_ties(sketcher, x, winner, (uint16_t)i, 32 * (unsigned)j, tie[j]);
                number[j] = _mm512_loadu_si512(winner + 32 * j);
            }
        }
    }
    for (int j = 0; j < 4; j++) {
        _mm512_storeu_si512(winner + 32 * j, number[j]);
    }
}

SL_TARGET_AVX512 static void make_few(const sl_set_sketch *sketcher, const uint64_t *hash, size_t n,
                                      uint8_t out[N_BINS])
{
    uint64_t x[FEW_MAX] = {0};
    uint16_t winner[N_BINS];
    mix_all(sketcher, hash, n, x);
    find_winners(sketcher, x, n, winner);
    /* What is not written of x is not asked for. */
    const __m512i x0 = _mm512_loadu_si512(x), x1 = _mm512_loadu_si512(x + 8);
    const __m512i x2 = _mm512_loadu_si512(x + 16), x3 = _mm512_loadu_si512(x + 24);
    for (unsigned b = 0; b < N_BINS; b += 8) {
        __m128i numbers = _mm_loadu_si128((const __m128i *)(const void *)(winner + b));
        __m512i which = _mm512_cvtepu16_epi64(numbers);
        __mmask8 upper = _mm512_test_epi64_mask(which, _mm512_set1_epi64(16));
        __m512i element = _mm512_mask_mov_epi64(_mm512_permutex2var_epi64(x0, which, x1), upper,
                                                _mm512_permutex2var_epi64(x2, which, x3));
        put_stamped(out + b, element, sketcher->stamp + b);
    }
}

/* Top bytes as they are now. */
SL_TARGET_AVX512 static void read_tops(const sketch_bins *bins, uint8_t top[N_BINS])
{
    for (unsigned b = 0; b < N_BINS; b += 8) {
        __m512i order = _mm512_srli_epi64(_mm512_loadu_si512(bins->smallest + b), 56);
        _mm_storel_epi64((__m128i *)(void *)(top + b), _mm512_cvtepi64_epi8(order));
    }
}

/* Orders of 64 elements at their bins in round 0; bit i of the result: element i is not larger
 * there than `top` allows. */
SL_TARGET_AVX512 static inline uint64_t order_block(const sl_set_sketch *sketcher,
                                                    const uint64_t *hash, const uint8_t *top,
                                                    uint64_t order[64])
{
    const __m512i top0 = _mm512_loadu_si512(top);
    const __m512i top1 = _mm512_loadu_si512(top + 64);
    const __m512i flip0 = _mm512_loadu_si512(sketcher->flip);
    const __m512i flip1 = _mm512_loadu_si512(sketcher->flip + 64);
    const __m512i rest = _mm512_set1_epi64(0x00ffffffffffffff);
    uint64_t likely = 0;
    for (unsigned j = 0; j < 64; j += 8) {
        __m512i v = mix_avx512(sketcher, _mm512_loadu_si512(hash + j));
        __m512i limit = _mm512_slli_epi64(_mm512_permutex2var_epi8(top0, v, top1), 56);
        __m512i flip = _mm512_slli_epi64(_mm512_permutex2var_epi8(flip0, v, flip1), 56);
        v = _mm512_xor_si512(v, flip);
        _mm512_storeu_si512(order + j, v);
        uint64_t less = _mm512_cmple_epu64_mask(v, _mm512_or_si512(limit, rest));
        likely |= less << j;
    }
    return likely;
}

SL_TARGET_AVX512 static void first_round_avx512(const sl_set_sketch *sketcher, sketch_bins *bins,
                                                const uint64_t *hash, size_t n)
{
    uint64_t order[64];
    uint8_t top[N_BINS] = {0};
    size_t at = 0;
    for (; at < WARM_UP && n - at >= 64; at += 64) {
        (void)order_block(sketcher, hash + at, top, order);
        for (unsigned j = 0; j < 64; j++) {
            offer(bins, (unsigned)order[j] % N_BINS, order[j]);
        }
    }
    size_t refresh = at;
    for (; n - at >= 64; at += 64) {
        if (at >= refresh) {
            /* Top bytes may be as old as two thirds of what was seen. */
            read_tops(bins, top);
            refresh = at + at / 2;
        }
        uint64_t likely = order_block(sketcher, hash + at, top, order);
        for (; likely != 0; likely &= likely - 1) {
            uint64_t candidate = order[__builtin_ctzll(likely)];
            offer(bins, (unsigned)candidate % N_BINS, candidate);
        }
    }
    first_round(sketcher, bins, hash + at, n - at);
}

SL_TARGET_AVX512 static void later_rounds_avx512(const sl_set_sketch *sketcher, sketch_bins *bins,
                                                 const uint64_t *x, size_t n)
{
    uint8_t bin[DISTINCT_MAX], walk[DISTINCT_MAX]; /* of each element */
    for (size_t i = 0; i < n; i += 8) {
        __mmask8 inside = (__mmask8)(n - i >= 8 ? 0xff : 0xff >> (8 - (n - i)));
        __m512i v = _mm512_maskz_loadu_epi64(inside, x + i);
        _mm_storel_epi64((__m128i *)(void *)(bin + i), _mm512_cvtepi64_epi8(v));
        v = _mm512_and_si512(_mm512_srli_epi64(v, 8), _mm512_set1_epi64(N_WALKS - 1));
        _mm_storel_epi64((__m128i *)(void *)(walk + i), _mm512_cvtepi64_epi8(v));
    }
    for (unsigned round = 1; round < N_ROUNDS && any_empty(bins); round++) {
        const void *steps = sketcher->step[round];
        __m512i step = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)steps));
        __m512i empty0 = _mm512_movm_epi8(bins->empty[0]);
        __m512i empty1 = _mm512_movm_epi8(bins->empty[1]);
        uint64_t taken[2] = {0, 0};
        for (size_t i = 0; i < n; i += 64) {
            __m512i at = _mm512_shuffle_epi8(step, _mm512_loadu_si512(walk + i));
            at = _mm512_add_epi8(at, _mm512_loadu_si512(bin + i));
            uint64_t hit = _mm512_movepi8_mask(_mm512_permutex2var_epi8(empty0, at, empty1));
            hit &= n - i >= 64 ? ~UINT64_C(0) : ~UINT64_C(0) >> (64 - (n - i));
            uint8_t bins_hit[64];
            _mm512_storeu_si512(bins_hit, at);
            for (; hit != 0; hit &= hit - 1) {
                unsigned j = (unsigned)__builtin_ctzll(hit);
                unsigned b = bins_hit[j] % N_BINS;
                offer(bins, b, flipped(sketcher, x[i + j], b));
                take(taken, b);
            }
        }
        bins->empty[0] &= ~taken[0];
        bins->empty[1] &= ~taken[1];
    }
}

SL_TARGET_AVX512 static void note_empty_avx512(sketch_bins *bins)
{
    const __m512i nothing = _mm512_set1_epi64(-1);
    for (unsigned half = 0; half < 2; half++) {
        bins->empty[half] = 0;
        for (unsigned b = 0; b < 64; b += 8) {
            __m512i smallest = _mm512_loadu_si512(bins->smallest + 64 * half + b);
            uint64_t empty = _mm512_cmpeq_epi64_mask(smallest, nothing);
            bins->empty[half] |= empty << b;
        }
    }
}

SL_TARGET_AVX512 void sl_set_sketch_make_avx512(const sl_set_sketch *sketcher, const uint64_t *hash,
                                                size_t n, uint8_t out[N_BINS])
{
    if (n <= FEW_MAX) {
        make_few(sketcher, hash, n, out);
        return;
    }
    sketch_bins bins;
    memset(bins.smallest, 0xff, sizeof bins.smallest);
    first_round_avx512(sketcher, &bins, hash, n);
    note_empty_avx512(&bins);
    if (any_empty(&bins)) {
        uint64_t x[DISTINCT_MAX];
        size_t n_x = n;
        if (may_repeat(&bins, n)) {
            n_x = sl_set_sketch_mix_distinct(sketcher, hash, n, x);
        } else {
            mix_all(sketcher, hash, n, x);
        }
        if (n_x == 0) {
            sl_set_sketch_go_long(sketcher, &bins, hash, n);
        } else {
            later_rounds_avx512(sketcher, &bins, x, n_x);
        }
    }
    for (unsigned b = 0; b < N_BINS; b += 8) {
        put_stamped(out + b, _mm512_loadu_si512(bins.smallest + b), sketcher->order_stamp + b);
    }
}
#endif
