/* scan.c - finds, among the newest rows, those whose signature begins alike.
 *
 *   word 0  | w | w | w | w | ...      of each row's signature, a ring in order of age
 *   word 1  | w | w | w | w | ...      and so on
 *   place   | p | p | p | p | ...      of the row
 *                 ^ head % n_rows
 *
 * Why a scan: duplicates lie as far as a fifth of the bits apart, where substring tables need so
 * many probes that they touch more memory than a scan of a short prefix, and miss some besides.
 * Why a prefix: one or three words of eight are read in order, 8 or 24 bytes a row; about one row
 * in two hundred gets further. */
#include "duplicate/scan.h"

#include "duplicate/memory.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

struct sl_scan {
    uint64_t *words[SL_SCAN_WORDS];
    uint32_t *place;
    uint32_t n_rows;
    uint64_t head; /* rows appended since open or clear */
    sl_scan_kernel *kernel;
};

/* ---- kernels --------------------------------------------------------------------------------- */

static inline uint32_t count_plain(const uint64_t *const *words, const uint64_t *query,
                                   uint32_t n_words, uint32_t from, uint32_t n, uint32_t radius,
                                   uint32_t *found)
{
    uint32_t n_found = 0;
    for (uint32_t i = from; i < n; i++) {
        uint32_t distance = 0;
        for (uint32_t k = 0; k < n_words; k++) {
            distance += (uint32_t)__builtin_popcountll(words[k][i] ^ query[k]);
        }
        if (distance <= radius) {
            found[n_found++] = i;
        }
    }
    return n_found;
}

uint32_t sl_scan_kernel_ref(const uint64_t *const *words, const uint64_t *query, uint32_t n_words,
                            uint32_t n, uint32_t radius, uint32_t *found)
{
    return count_plain(words, query, n_words, 0, n, radius, found);
}

#if defined(__x86_64__)
#define LANES 8

/* n_words is a constant where it is inlined, so that the loop over words is none. */
__attribute__((target("avx512f,avx512vl,avx512vpopcntdq,popcnt"),
               always_inline)) static inline uint32_t
count_lanes(const uint64_t *const *words, const uint64_t *query, const uint32_t n_words, uint32_t n,
            uint32_t radius, uint32_t *found)
{
    __m512i wanted[SL_SCAN_WORDS];
    for (uint32_t k = 0; k < n_words; k++) {
        wanted[k] = _mm512_set1_epi64((long long)query[k]);
    }
    const __m512i limit = _mm512_set1_epi64(radius);
    const __m256i step = _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0);
    uint32_t n_found = 0, i = 0;
    for (; i + LANES <= n; i += LANES) {
        __m512i distance = _mm512_setzero_si512();
        for (uint32_t k = 0; k < n_words; k++) {
            __m512i word = _mm512_xor_si512(_mm512_loadu_si512(words[k] + i), wanted[k]);
            distance = _mm512_add_epi64(distance, _mm512_popcnt_epi64(word));
        }
        __mmask8 near = _mm512_cmple_epu64_mask(distance, limit);
        if (near != 0) {
            __m256i index = _mm256_add_epi32(_mm256_set1_epi32((int)i), step);
            _mm256_mask_compressstoreu_epi32(found + n_found, near, index);
            n_found += (uint32_t)__builtin_popcount(near);
        }
    }
    return n_found + count_plain(words, query, n_words, i, n, radius, found + n_found);
}

__attribute__((target("avx512f,avx512vl,avx512vpopcntdq,popcnt"))) static uint32_t
kernel_avx512(const uint64_t *const *words, const uint64_t *query, uint32_t n_words, uint32_t n,
              uint32_t radius, uint32_t *found)
{
    switch (n_words) {
    case 1:
        return count_lanes(words, query, 1, n, radius, found);
    case 2:
        return count_lanes(words, query, 2, n, radius, found);
    default:
        return count_lanes(words, query, SL_SCAN_WORDS, n, radius, found);
    }
}

__attribute__((target("popcnt"))) static uint32_t kernel_popcnt(const uint64_t *const *words,
                                                                const uint64_t *query,
                                                                uint32_t n_words, uint32_t n,
                                                                uint32_t radius, uint32_t *found)
{
    return count_plain(words, query, n_words, 0, n, radius, found);
}
#endif

sl_scan_kernel *sl_scan_kernel_best(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512vpopcntdq") && __builtin_cpu_supports("avx512vl")) {
        return kernel_avx512;
    }
    if (__builtin_cpu_supports("popcnt")) {
        return kernel_popcnt;
    }
#endif
    return sl_scan_kernel_ref;
}

/* ---- the ring -------------------------------------------------------------------------------- */

size_t sl_scan_bytes(uint32_t n_rows)
{
    return sizeof(sl_scan) + 64 + (size_t)n_rows * SL_SCAN_ROW_BYTES;
}

sluice_status sl_scan_open(uint32_t n_rows, sl_scan **out)
{
    *out = NULL;
    SLUICE_ASSERT(n_rows > 0);
    sl_scan *scan = sl_memory_reserve(sl_scan_bytes(n_rows));
    if (scan == NULL) {
        return SLUICE_E_NOMEM;
    }
    uintptr_t after = ((uintptr_t)(scan + 1) + 63) & ~(uintptr_t)63;
    for (uint32_t k = 0; k < SL_SCAN_WORDS; k++) {
        scan->words[k] = (uint64_t *)after + (size_t)k * n_rows;
    }
    scan->place = (uint32_t *)(scan->words[SL_SCAN_WORDS - 1] + n_rows);
    scan->n_rows = n_rows;
    scan->kernel = sl_scan_kernel_best();
    *out = scan;
    return SLUICE_OK;
}

void sl_scan_close(sl_scan **scan_p)
{
    free(*scan_p);
    *scan_p = NULL;
}

void sl_scan_append(sl_scan *scan, const uint8_t *signature, uint32_t place)
{
    uint64_t i = scan->head++ % scan->n_rows;
    for (uint32_t k = 0; k < SL_SCAN_WORDS; k++) {
        memcpy(&scan->words[k][i], signature + k * sizeof(uint64_t), sizeof(uint64_t));
    }
    scan->place[i] = place;
}

void sl_scan_clear(sl_scan *scan)
{
    scan->head = 0;
}

uint32_t sl_scan_find(const sl_scan *scan, const uint8_t *signature, uint32_t n_words,
                      uint32_t radius, uint32_t n_newest, uint32_t i_from, uint32_t *places)
{
    SLUICE_ASSERT(n_newest <= scan->head && n_newest <= scan->n_rows && i_from <= n_newest);
    SLUICE_ASSERT(n_words >= 1 && n_words <= SL_SCAN_WORDS);
    uint64_t query[SL_SCAN_WORDS];
    memcpy(query, signature, sizeof query);
    uint32_t n_left = n_newest - i_from < SL_SCAN_CHUNK ? n_newest - i_from : SL_SCAN_CHUNK;
    uint64_t i = (scan->head - n_newest + i_from) % scan->n_rows;
    uint32_t n_found = 0;
    while (n_left > 0) { /* twice where the ring turns */
        uint64_t until_turn = scan->n_rows - i;
        uint32_t n = n_left < until_turn ? n_left : (uint32_t)until_turn;
        uint32_t *found = places + n_found;
        const uint64_t *words[SL_SCAN_WORDS];
        for (uint32_t k = 0; k < SL_SCAN_WORDS; k++) {
            words[k] = scan->words[k] + i;
        }
        uint32_t n_here = scan->kernel(words, query, n_words, n, radius, found);
        for (uint32_t k = 0; k < n_here; k++) {
            found[k] = scan->place[i + found[k]];
        }
        n_found += n_here;
        n_left -= n;
        i = 0;
    }
    return n_found;
}
