/* set_sketch_avx2.c - makes set sketches four elements at a time (AVX2).
 *
 * Few elements: as set_sketch_avx512.c does it, 64 bins at a time, for so many fit in registers.
 * Many: in round 0 the top bytes of 32 orders are compared with those of their bins; only those
 * that may win are looked at. The top bytes may be stale: they only fall.
 * Later rounds: 32 bins at a time are computed as bytes and looked up among the empty ones.
 *
 *   look up 128 bits    bin = | byte 4 bits . bit 3 bits |    two shuffles
 *   look up 128 bytes   bin = | row 3 bits . place 4 bits |   a shuffle a row
 *
 * A row is kept as what it differs in from the row before, and shuffles give 0 behind the bin's
 * row: the xor of all is the bin's row. */
#if defined(__x86_64__)
#include "features/set_sketch_kernels.h"

#include <immintrin.h>
#include <string.h>

#define FEW_MAX 64
#define WARM_UP 320 /* elements before asking the top bytes is worth it */
#define N_ROWS  (N_BINS / 16)
#define N       0x80 /* a shuffle puts 0 there */

SL_TARGET_AVX2 static inline __m256i load(const void *at)
{
    return _mm256_loadu_si256((const __m256i *)at);
}

SL_TARGET_AVX2 static inline void store(void *at, __m256i v)
{
    _mm256_storeu_si256((__m256i *)at, v);
}

/* Times MULTIPLIER, by halves: there is no product of 64 bits. */
SL_TARGET_AVX2 static inline __m256i multiply(__m256i x)
{
    const __m256i low = _mm256_set1_epi64x((long long)MULTIPLIER);
    const __m256i high = _mm256_set1_epi64x((long long)(MULTIPLIER >> 32));
    __m256i cross = _mm256_add_epi64(_mm256_mul_epu32(_mm256_srli_epi64(x, 32), low),
                                     _mm256_mul_epu32(x, high));
    return _mm256_add_epi64(_mm256_mul_epu32(x, low), _mm256_slli_epi64(cross, 32));
}

SL_TARGET_AVX2 static inline __m256i mix_avx2(const sl_set_sketch *sketcher, __m256i x)
{
    x = multiply(_mm256_xor_si256(x, _mm256_set1_epi64x((long long)sketcher->mask)));
    return _mm256_xor_si256(x, _mm256_srli_epi64(x, 32));
}

/* The 32 numbers of v, none above 255, as bytes in their order. */
SL_TARGET_AVX2 static inline __m256i narrow(const __m256i v[8])
{
    __m256i a =
        _mm256_packus_epi32(_mm256_packus_epi32(v[0], v[1]), _mm256_packus_epi32(v[2], v[3]));
    __m256i b =
        _mm256_packus_epi32(_mm256_packus_epi32(v[4], v[5]), _mm256_packus_epi32(v[6], v[7]));
    a = _mm256_packus_epi16(a, b); /* pairs 0 2 4 .. 14 in one half, 1 3 5 .. 15 in the other */
    __m128i even = _mm256_castsi256_si128(a), odd = _mm256_extracti128_si256(a, 1);
    return _mm256_set_m128i(_mm_unpackhi_epi16(even, odd), _mm_unpacklo_epi16(even, odd));
}

/* Mixes all elements, n <= DISTINCT_MAX. */
SL_TARGET_AVX2 static void mix_all(const sl_set_sketch *sketcher, const uint64_t *hash, size_t n,
                                   uint64_t *x)
{
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        store(x + i, mix_avx2(sketcher, load(hash + i)));
    }
    for (; i < n; i++) {
        x[i] = mix(hash[i], sketcher->mask);
    }
}

/* Element i has the key of the winner at some bins of the 64 from `first`, maybe by having won. */
SL_TARGET_AVX2 static void settle_ties(const sl_set_sketch *sketcher, const uint64_t *x,
                                       uint16_t *winner, uint16_t i, unsigned first,
                                       const uint16_t *best, const uint16_t *rank)
{
    for (unsigned b = first; b < first + 64; b++) {
        uint16_t key = (uint16_t)(rank[b] | ((uint8_t)(x[i] >> 56) ^ sketcher->flip[b]));
        if (key == best[b - first] &&
            flipped(sketcher, x[i], b) < flipped(sketcher, x[winner[b]], b)) {
            winner[b] = i;
        }
    }
}

/* Winners at the 64 bins from `first`. Keys are below 2^15. */
SL_TARGET_AVX2 static void find_winners(const sl_set_sketch *sketcher, const uint64_t *x, size_t n,
                                        unsigned first, uint16_t winner[N_BINS])
{
    __m256i flip[4], best[4], number[4];
    for (unsigned j = 0; j < 4; j++) {
        const void *flips = sketcher->flip + first + 16 * j;
        flip[j] = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)flips));
        best[j] = _mm256_set1_epi16(INT16_MAX);
        number[j] = _mm256_setzero_si256();
    }
    for (size_t i = 0; i < n; i++) {
        const uint16_t *rank = sketcher->rank[walk_of(x[i])] + (N_BINS - x[i] % N_BINS) % N_BINS;
        const __m256i top = _mm256_set1_epi16((short)(x[i] >> 56));
        const __m256i me = _mm256_set1_epi16((short)i);
        __m256i tie = _mm256_setzero_si256();
        for (unsigned j = 0; j < 4; j++) {
            __m256i key =
                _mm256_or_si256(load(rank + first + 16 * j), _mm256_xor_si256(top, flip[j]));
            tie = _mm256_or_si256(tie, _mm256_cmpeq_epi16(key, best[j]));
            number[j] = _mm256_blendv_epi8(number[j], me, _mm256_cmpgt_epi16(best[j], key));
            best[j] = _mm256_min_epi16(key, best[j]);
        }
        if (__builtin_expect(!_mm256_testz_si256(tie, tie), 0)) {
            uint16_t key[64];
            for (unsigned j = 0; j < 4; j++) {
                store(key + 16 * j, best[j]);
                store(winner + first + 16 * j, number[j]);
            }
            settle_ties(sketcher, x, winner, (uint16_t)i, first, key, rank);
            for (unsigned j = 0; j < 4; j++) {
                number[j] = load(winner + first + 16 * j);
            }
        }
    }
    for (unsigned j = 0; j < 4; j++) {
        store(winner + first + 16 * j, number[j]);
    }
}

SL_TARGET_AVX2 static void put_stamped(const uint64_t order[N_BINS], const uint64_t stamp[N_BINS],
                                       uint8_t out[N_BINS])
{
    for (unsigned b = 0; b < N_BINS; b += 32) {
        __m256i v[8];
        for (unsigned j = 0; j < 8; j++) {
            __m256i x = _mm256_xor_si256(load(order + b + 4 * j), load(stamp + b + 4 * j));
            v[j] = _mm256_srli_epi64(multiply(x), 56);
        }
        store(out + b, narrow(v));
    }
}

SL_TARGET_AVX2 static void make_few(const sl_set_sketch *sketcher, const uint64_t *hash, size_t n,
                                    uint8_t out[N_BINS])
{
    uint64_t x[FEW_MAX], won[N_BINS];
    uint16_t winner[N_BINS];
    mix_all(sketcher, hash, n, x);
    find_winners(sketcher, x, n, 0, winner);
    find_winners(sketcher, x, n, 64, winner);
    for (unsigned b = 0; b < N_BINS; b++) {
        won[b] = x[winner[b]];
    }
    put_stamped(won, sketcher->stamp, out);
}

/* 128 bytes as what each row of 16 differs in from the one before. */
SL_TARGET_AVX2 static void split_rows(const uint8_t table[N_BINS], __m256i row[N_ROWS])
{
    __m128i before = _mm_setzero_si128();
    for (unsigned r = 0; r < N_ROWS; r++) {
        const void *bytes = table + 16 * r;
        __m128i now = _mm_loadu_si128((const __m128i *)bytes);
        row[r] = _mm256_broadcastsi128_si256(_mm_xor_si128(now, before));
        before = now;
    }
}

/* Top bytes as they are now, by rows. */
SL_TARGET_AVX2 static void read_tops(const sketch_bins *bins, __m256i row[N_ROWS])
{
    uint8_t top[N_BINS];
    for (unsigned b = 0; b < N_BINS; b += 32) {
        __m256i v[8];
        for (unsigned j = 0; j < 8; j++) {
            v[j] = _mm256_srli_epi64(load(bins->smallest + b + 4 * j), 56);
        }
        store(top + b, narrow(v));
    }
    split_rows(top, row);
}

/* Mixes 32 elements; bit i of the result: element[i] is not larger at its bin in round 0 than the
 * top bytes in `top` allow. */
SL_TARGET_AVX2 static inline uint32_t mix_block(const sl_set_sketch *sketcher, const uint64_t *hash,
                                                const __m256i top[N_ROWS],
                                                const __m256i flip[N_ROWS], uint64_t x[32])
{
    /* The lowest and the highest byte of both elements of a half. */
    static const uint8_t pick[4][16] = {{0, 8, N, N, N, N, N, N, 7, 15, N, N, N, N, N, N},
                                        {N, N, 0, 8, N, N, N, N, N, N, 7, 15, N, N, N, N},
                                        {N, N, N, N, 0, 8, N, N, N, N, N, N, 7, 15, N, N},
                                        {N, N, N, N, N, N, 0, 8, N, N, N, N, N, N, 7, 15}};
    __m256i bytes[2];
    for (unsigned half = 0; half < 2; half++) {
        bytes[half] = _mm256_setzero_si256();
        for (unsigned j = 0; j < 4; j++) {
            const void *picks = pick[j];
            __m256i v = mix_avx2(sketcher, load(hash + 16 * half + 4 * j));
            store(x + 16 * half + 4 * j, v);
            v = _mm256_shuffle_epi8(
                v, _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)picks)));
            bytes[half] = _mm256_or_si256(bytes[half], v);
        }
    }
    __m256i place = _mm256_unpacklo_epi64(bytes[0], bytes[1]);
    __m256i order = _mm256_unpackhi_epi64(bytes[0], bytes[1]);
    __m256i limit = _mm256_setzero_si256();
    place = _mm256_and_si256(place, _mm256_set1_epi8(N_BINS - 1));
    for (unsigned r = 0; r < N_ROWS; r++) {
        limit = _mm256_xor_si256(limit, _mm256_shuffle_epi8(top[r], place));
        order = _mm256_xor_si256(order, _mm256_shuffle_epi8(flip[r], place));
        place = _mm256_sub_epi8(place, _mm256_set1_epi8(16)); /* below 0: gives 0 from here on */
    }
    __m256i less = _mm256_cmpeq_epi8(_mm256_min_epu8(order, limit), order);
    return (uint32_t)_mm256_movemask_epi8(less);
}

SL_TARGET_AVX2 static inline void offer_mixed(const sl_set_sketch *sketcher, sketch_bins *bins,
                                              uint64_t x)
{
    unsigned b = (unsigned)x % N_BINS;
    offer(bins, b, flipped(sketcher, x, b));
}

/* Takes the first elements one by one, while the order of a bin is likely to change; returns their
 * number. */
SL_TARGET_AVX2 static size_t warm_up(const sl_set_sketch *sketcher, sketch_bins *bins,
                                     const uint64_t *hash, size_t n)
{
    size_t at = 0;
    for (; at < WARM_UP && n - at >= 8; at += 8) {
        uint64_t x[8];
        store(x, mix_avx2(sketcher, load(hash + at)));
        store(x + 4, mix_avx2(sketcher, load(hash + at + 4)));
        for (unsigned j = 0; j < 8; j++) {
            offer_mixed(sketcher, bins, x[j]);
        }
    }
    return at;
}

/* A block is mixed before the likely ones of the block before it are offered: how many there are is
 * badly guessed by a processor, but known long before the vectors of the next are done. */
SL_TARGET_AVX2 static void first_round_avx2(const sl_set_sketch *sketcher, sketch_bins *bins,
                                            const uint64_t *hash, size_t n)
{
    /* Where mix_block's shuffles leave the elements. */
    static const uint8_t element[32] = {0, 1, 4, 5, 8,  9,  12, 13, 16, 17, 20, 21, 24, 25, 28, 29,
                                        2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23, 26, 27, 30, 31};
    size_t at = warm_up(sketcher, bins, hash, n);
    if (n - at >= 32) {
        uint64_t x[2][32];
        __m256i top[N_ROWS], flip[N_ROWS];
        uint32_t likely = 0;
        size_t refresh = at + at / 2;
        read_tops(bins, top);
        split_rows(sketcher->flip, flip);
        for (unsigned side = 0; likely != 0 || n - at >= 32; side ^= 1) {
            uint32_t next = 0;
            if (at >= refresh) {
                /* Top bytes may be as old as two thirds of what was seen. */
                read_tops(bins, top);
                refresh = at + at / 2;
            }
            if (n - at >= 32) {
                next = mix_block(sketcher, hash + at, top, flip, x[side]);
                at += 32;
            }
            for (; likely != 0; likely &= likely - 1) {
                offer_mixed(sketcher, bins, x[side ^ 1][element[__builtin_ctz(likely)]]);
            }
            likely = next;
        }
    }
    first_round(sketcher, bins, hash + at, n - at);
}

/* Bins and walks of all elements, as bytes; bins may have a top bit. */
SL_TARGET_AVX2 static void read_places(const uint64_t *x, size_t n, uint8_t *bin, uint8_t *walk)
{
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        __m256i low[8], next[8];
        for (unsigned j = 0; j < 8; j++) {
            __m256i v = load(x + i + 4 * j);
            low[j] = _mm256_and_si256(v, _mm256_set1_epi64x(N_BINS - 1));
            next[j] = _mm256_and_si256(_mm256_srli_epi64(v, 8), _mm256_set1_epi64x(N_WALKS - 1));
        }
        store(bin + i, narrow(low));
        store(walk + i, narrow(next));
    }
    for (; i < n; i++) {
        bin[i] = (uint8_t)(x[i] % N_BINS);
        walk[i] = (uint8_t)walk_of(x[i]);
    }
}

SL_TARGET_AVX2 static void later_rounds_avx2(const sl_set_sketch *sketcher, sketch_bins *bins,
                                             const uint64_t *x, size_t n)
{
    uint8_t bin[DISTINCT_MAX], walk[DISTINCT_MAX];
    const __m256i bits = _mm256_set1_epi64x((long long)0x8040201008040201);
    read_places(x, n, bin, walk);
    for (unsigned round = 1; round < N_ROUNDS && any_empty(bins); round++) {
        const void *steps = sketcher->step[round];
        __m256i step = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)steps));
        __m256i empty = _mm256_broadcastsi128_si256(
            _mm_set_epi64x((long long)bins->empty[1], (long long)bins->empty[0]));
        uint64_t taken[2] = {0, 0};
        for (size_t i = 0; i < n; i += 32) {
            __m256i at = _mm256_add_epi8(_mm256_shuffle_epi8(step, load(walk + i)), load(bin + i));
            __m256i byte = _mm256_and_si256(_mm256_srli_epi16(at, 3), _mm256_set1_epi8(15));
            __m256i bit = _mm256_shuffle_epi8(bits, _mm256_and_si256(at, _mm256_set1_epi8(7)));
            __m256i found = _mm256_and_si256(_mm256_shuffle_epi8(empty, byte), bit);
            uint32_t hit = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(found, bit));
            hit &= n - i >= 32 ? ~0u : ~0u >> (32 - (n - i));
            uint8_t bins_hit[32];
            store(bins_hit, at);
            for (; hit != 0; hit &= hit - 1) {
                unsigned j = (unsigned)__builtin_ctz(hit);
                unsigned b = bins_hit[j] % N_BINS;
                offer(bins, b, flipped(sketcher, x[i + j], b));
                take(taken, b);
            }
        }
        bins->empty[0] &= ~taken[0];
        bins->empty[1] &= ~taken[1];
    }
}

SL_TARGET_AVX2 static void note_empty_avx2(sketch_bins *bins)
{
    const __m256i nothing = _mm256_set1_epi64x(-1);
    for (unsigned half = 0; half < 2; half++) {
        bins->empty[half] = 0;
        for (unsigned b = 0; b < 64; b += 4) {
            __m256i empty = _mm256_cmpeq_epi64(load(bins->smallest + 64 * half + b), nothing);
            uint64_t four = (unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(empty));
            bins->empty[half] |= four << b;
        }
    }
}

SL_TARGET_AVX2 void sl_set_sketch_make_avx2(const sl_set_sketch *sketcher, const uint64_t *hash,
                                            size_t n, uint8_t out[N_BINS])
{
    if (n <= FEW_MAX) {
        make_few(sketcher, hash, n, out);
        return;
    }
    sketch_bins bins;
    memset(bins.smallest, 0xff, sizeof bins.smallest);
    first_round_avx2(sketcher, &bins, hash, n);
    note_empty_avx2(&bins);
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
            later_rounds_avx2(sketcher, &bins, x, n_x);
        }
    }
    put_stamped(bins.smallest, sketcher->order_stamp, out);
}
#endif
