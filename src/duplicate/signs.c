/* signs.c - finds, among the newest rows, those whose sign bits are near.
 *
 *   word 0  | w | w | w | w | ...      of each row's 512 bits, a ring in order of age
 *    ...
 *   word 7  | w | w | w | w | ...
 *   place   | p | p | p | p | ...      of the row
 *                 ^ head % n_rows
 *
 * Why a scan: one word (from .84 on) is read in order, 8 bytes a row, and few rows get to the next;
 * up to 1e5 rows nothing that jumps through memory is faster, and it misses what the formula says.
 * Why all words lie in planes: vectors that all resemble each other (encoders with a high random
 * cosine) pass the first words often; then the next ones are read in order too.
 * Why every step of a query counts, also those that a kernel passes over: what is found must not
 * depend on the processor, nor on where in the ring a row lies. */
#include "duplicate/signs.h"

#include "duplicate/memory.h"

#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>

#define LAST_FIRST_STEP 2    /* that a fast kernel begins with: four words                        */
#define ALL_STEP        3    /* looks at all bits of all words, asked or not                      */
#define DEVIATIONS      3    /* of unrelated rows, that they do not get past it                   */
#define BLOCK_ROWS      8192 /* that a fast kernel lists before it looks at more words            */
#define TRIAL_ROWS      128  /* the same, until few enough of them are listed: one of TOO_MANY    */
#define TOO_MANY        64
#define AHEAD_ROWS      128 /* that are on their way into the nearest cache                       */
#define LIST_ROWS       BLOCK_ROWS
#define XOR_THEN_AND    0x28 /* (a ^ b) & c */
#define TARGET_AVX512                                                                              \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512vpopcntdq,bmi,popcnt"),                 \
                   always_inline)) static inline
#define TARGET_AVX2 __attribute__((target("avx2,popcnt"), always_inline)) static inline

typedef struct sl_differ { /* bits of a row on a list that do */
    uint16_t all, asked;
} sl_differ;
#endif

struct sl_signs {
    uint64_t *words[SLUICE_SIGN_WORDS];
    uint32_t *place;
    uint32_t n_rows;
    uint64_t head; /* rows appended since open */
    sl_signs_kernel *kernel;
};

/* ---- kernels --------------------------------------------------------------------------------- */

static inline bool is_near(const uint64_t *const *words, const sl_sign_query *query, uint32_t i,
                           uint32_t *distance)
{
    uint32_t asked = 0, s = 0;
    *distance = 0;
    for (uint32_t k = 0; k < SLUICE_SIGN_WORDS; k++) {
        uint64_t differ = words[k][i] ^ query->bits[k];
        *distance += (uint32_t)__builtin_popcountll(differ);
        asked += (uint32_t)__builtin_popcountll(differ & query->asked[k]);
        if (k + 1 == UINT32_C(1) << s && asked > query->most[s++]) {
            return false;
        }
    }
    return *distance <= query->most_of_all;
}

static inline uint32_t find_plain(const uint64_t *const *words, const sl_sign_query *query,
                                  uint32_t from, uint32_t n, uint32_t *found, uint32_t *distance)
{
    uint32_t n_found = 0;
    for (uint32_t i = from; i < n; i++) {
        uint32_t differ;
        if (is_near(words, query, i, &differ)) {
            found[n_found] = i;
            distance[n_found++] = differ;
        }
    }
    return n_found;
}

uint32_t sl_signs_kernel_ref(const uint64_t *const *words, const sl_sign_query *query, uint32_t n,
                             uint32_t *found, uint32_t *distance)
{
    return find_plain(words, query, 0, n, found, distance);
}

#if defined(__x86_64__)
/* The step that a fast kernel begins with: the first that hardly any row of vectors that have
 * nothing to do with each other gets past (half of the bits asked differ, by a deviation of
 * sqrt(n) / 2). At least 2^s words. */
static uint32_t first_step(const sl_sign_query *query)
{
    uint32_t n = 0, s = 0;
    for (uint32_t k = 0; s < LAST_FIRST_STEP; k++) {
        n += (uint32_t)__builtin_popcountll(query->asked[k]);
        if (k + 1 == UINT32_C(1) << s) {
            uint32_t most = 2 * query->most[s];
            if (most < n && (n - most) * (n - most) >= DEVIATIONS * DEVIATIONS * n) {
                break;
            }
            s++;
        }
    }
    return s;
}

/* Looks at more words of the rows of a list; those still within the step's bound move up. Written
 * so that no branch depends on a row: which of them pass cannot be foreseen, and a wrong guess
 * costs as much as ten rows. */
__attribute__((target("popcnt"), always_inline)) static inline uint32_t
narrow_list(const uint64_t *const *words, const sl_sign_query *query, const uint32_t s,
            uint16_t *list, sl_differ *differ, uint32_t n)
{
    const uint32_t most = query->most[s];
    uint32_t n_near = 0;
    for (uint32_t j = 0; j < n; j++) {
        uint32_t i = list[j];
        uint32_t all = s == 0 ? 0 : differ[j].all, asked = s == 0 ? 0 : differ[j].asked;
        for (uint32_t k = s == 0 ? 0 : UINT32_C(1) << (s - 1); k < UINT32_C(1) << s; k++) {
            uint64_t bits = words[k][i] ^ query->bits[k];
            all += (uint32_t)__builtin_popcountll(bits);
            asked += (uint32_t)__builtin_popcountll(bits & query->asked[k]);
        }
        list[n_near] = (uint16_t)i;
        differ[n_near] = (sl_differ){(uint16_t)all, (uint16_t)asked};
        n_near += asked <= most;
    }
    return n_near;
}

/* Of the rows of a list, those within all bounds. */
__attribute__((target("popcnt"))) static uint32_t
finish_list(const uint64_t *const *words, const sl_sign_query *query, uint16_t *list, uint32_t n,
            uint32_t base, uint32_t *found, uint32_t *distance)
{
    sl_differ differ[LIST_ROWS];
    const uint64_t *from[SLUICE_SIGN_WORDS];
    for (uint32_t k = 0; k < SLUICE_SIGN_WORDS; k++) {
        from[k] = words[k] + base;
    }
    n = narrow_list(from, query, 0, list, differ, n);
    n = narrow_list(from, query, 1, list, differ, n);
    n = narrow_list(from, query, 2, list, differ, n);
    n = narrow_list(from, query, 3, list, differ, n);
    uint32_t n_found = 0;
    for (uint32_t j = 0; j < n; j++) {
        found[n_found] = base + list[j];
        distance[n_found] = differ[j].all;
        n_found += differ[j].all <= query->most_of_all;
    }
    return n_found;
}

/* Of eight rows, how many of the bits asked differ in the first n_first words, a constant. */
TARGET_AVX512 __m512i count_lanes(const uint64_t *const *words, const __m512i *bits,
                                  const __m512i *asked, const uint32_t n_first, size_t i)
{
    __m512i differ = _mm512_setzero_si512();
    for (uint32_t k = 0; k < n_first; k++) {
        __m512i word = _mm512_ternarylogic_epi64(bits[k], _mm512_loadu_si512(words[k] + i),
                                                 asked[k], XOR_THEN_AND);
        word = _mm512_popcnt_epi64(word);
        differ = k == 0 ? word : _mm512_add_epi64(differ, word);
    }
    return differ;
}

/* Of eight times eight rows from i on. */
TARGET_AVX512 void count_rows(const uint64_t *const *words, const __m512i *bits,
                              const __m512i *asked, const uint32_t n_first, size_t i,
                              __m512i *differ)
{
    for (uint32_t k = 0; k < 8; k++) {
        differ[k] = count_lanes(words, bits, asked, n_first, i + 8 * k);
    }
}

TARGET_AVX512 __m512i least_of(const __m512i *differ)
{
    __m512i first = _mm512_min_epu64(differ[0], differ[1]);
    __m512i second = _mm512_min_epu64(differ[2], differ[3]);
    __m512i third = _mm512_min_epu64(differ[4], differ[5]);
    __m512i last = _mm512_min_epu64(differ[6], differ[7]);
    return _mm512_min_epu64(_mm512_min_epu64(first, second), _mm512_min_epu64(third, last));
}

/* Whole 64s of rows from `base` on, at most BLOCK_ROWS; returns how many are on the list. Of 64
 * rows mostly none passes: the least of them decides, without a branch, whether they are looked at
 * again. */
TARGET_AVX512 uint32_t list_avx512(const uint64_t *const *words, const sl_sign_query *query,
                                   const uint32_t s, uint32_t base, uint32_t n, uint16_t *list)
{
    const uint32_t n_first = UINT32_C(1) << s;
    __m512i bits[SLUICE_SIGN_WORDS], asked[SLUICE_SIGN_WORDS], differ[8];
    const uint64_t *from[SLUICE_SIGN_WORDS];
    for (uint32_t k = 0; k < n_first; k++) {
        bits[k] = _mm512_set1_epi64((long long)query->bits[k]);
        asked[k] = _mm512_set1_epi64(s == ALL_STEP ? -1 : (long long)query->asked[k]);
        from[k] = words[k] + base;
    }
    const __m512i limit = _mm512_set1_epi64(s == ALL_STEP ? query->most_of_all : query->most[s]);
    uint16_t again[BLOCK_ROWS / 64 + 1];
    uint32_t n_again = 0, n_list = 0;
    for (size_t i = 0; i < n; i += 64) {
        for (uint32_t k = 0; k < 8 && n_first == 1; k++) { /* one plane alone waits for memory */
            _mm_prefetch((const char *)(from[0] + i + 8 * k + AHEAD_ROWS), _MM_HINT_T0);
        }
        count_rows(from, bits, asked, n_first, i, differ);
        again[n_again] = (uint16_t)i;
        n_again += _mm512_cmple_epu64_mask(least_of(differ), limit) != 0;
    }
    for (uint32_t j = 0; j < n_again; j++) {
        uint64_t near = 0;
        count_rows(from, bits, asked, n_first, again[j], differ);
        for (uint32_t k = 0; k < 8; k++) {
            near |= (uint64_t)_mm512_cmple_epu64_mask(differ[k], limit) << 8 * k;
        }
        do {
            list[n_list++] = (uint16_t)(again[j] + _tzcnt_u64(near));
            near = _blsr_u64(near);
        } while (near != 0);
    }
    return n_list;
}

/* Where more rows than expected pass (vectors that all resemble each other), the next block looks
 * at twice as many words; at all bits at last, where few differ in those that are nearest already.
 * So the first one is short. Whatever the lengths, the same is found. */
__attribute__((target("avx512f,avx512bw,avx512vl,avx512vpopcntdq,bmi,popcnt"))) uint32_t
sl_signs_kernel_avx512(const uint64_t *const *words, const sl_sign_query *query, uint32_t n,
                       uint32_t *found, uint32_t *distance)
{
    uint16_t list[LIST_ROWS];
    uint32_t n_found = 0, s = first_step(query), base = 0;
    const uint32_t last = query->most_of_all < SLUICE_SIGN_BITS ? ALL_STEP : LAST_FIRST_STEP;
    bool is_trial = true;
    for (uint32_t n_block; n - base >= 64; base += n_block) {
        uint32_t n_list;
        n_block = is_trial ? TRIAL_ROWS : BLOCK_ROWS;
        n_block = n - base < n_block ? (n - base) / 64 * 64 : n_block;
        if (s == 0) {
            n_list = list_avx512(words, query, 0, base, n_block, list);
        } else if (s == 1) {
            n_list = list_avx512(words, query, 1, base, n_block, list);
        } else if (s == 2) {
            n_list = list_avx512(words, query, 2, base, n_block, list);
        } else {
            n_list = list_avx512(words, query, ALL_STEP, base, n_block, list);
        }
        n_found +=
            finish_list(words, query, list, n_list, base, found + n_found, distance + n_found);
        is_trial = s < last && n_list * TOO_MANY > n_block;
        s += is_trial;
    }
    return n_found + find_plain(words, query, base, n, found + n_found, distance + n_found);
}

/* Bits set in each of four words: Mula's nibble table. */
TARGET_AVX2 __m256i count_bits(__m256i word)
{
    const __m256i table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1,
                                           2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    const __m256i low = _mm256_set1_epi8(15);
    __m256i count = _mm256_shuffle_epi8(table, _mm256_and_si256(word, low));
    word = _mm256_and_si256(_mm256_srli_epi16(word, 4), low);
    return _mm256_add_epi8(count, _mm256_shuffle_epi8(table, word));
}

TARGET_AVX2 uint32_t find_avx2(const uint64_t *const *words, const sl_sign_query *query,
                               const uint32_t s, uint32_t n, uint32_t *found, uint32_t *distance)
{
    const __m256i limit = _mm256_set1_epi64x(query->most[s]);
    uint16_t list[LIST_ROWS];
    uint32_t n_found = 0, n_list = 0, base = 0, i = 0;
    for (; i + 4 <= n; i += 4) {
        __m256i counts = _mm256_setzero_si256(); /* of bytes: at most 8 a word */
        for (uint32_t k = 0; k < UINT32_C(1) << s; k++) {
            const __m256i bits = _mm256_set1_epi64x((long long)query->bits[k]);
            const __m256i asked = _mm256_set1_epi64x((long long)query->asked[k]);
            __m256i word = _mm256_loadu_si256((const __m256i *)(const void *)(words[k] + i));
            word = _mm256_and_si256(_mm256_xor_si256(word, bits), asked);
            counts = _mm256_add_epi8(counts, count_bits(word));
        }
        __m256i differ = _mm256_sad_epu8(counts, _mm256_setzero_si256());
        __m256i far = _mm256_cmpgt_epi64(differ, limit);
        uint32_t near = ~(uint32_t)_mm256_movemask_pd(_mm256_castsi256_pd(far)) & 15;
        for (; near != 0; near &= near - 1) {
            list[n_list++] = (uint16_t)(i - base + (uint32_t)__builtin_ctz(near));
        }
        if (i - base == BLOCK_ROWS - 4) {
            n_found +=
                finish_list(words, query, list, n_list, base, found + n_found, distance + n_found);
            base = i + 4;
            n_list = 0;
        }
    }
    n_found += finish_list(words, query, list, n_list, base, found + n_found, distance + n_found);
    return n_found + find_plain(words, query, i, n, found + n_found, distance + n_found);
}

__attribute__((target("avx2,popcnt"))) uint32_t sl_signs_kernel_avx2(const uint64_t *const *words,
                                                                     const sl_sign_query *query,
                                                                     uint32_t n, uint32_t *found,
                                                                     uint32_t *distance)
{
    switch (first_step(query)) {
    case 0:
        return find_avx2(words, query, 0, n, found, distance);
    case 1:
        return find_avx2(words, query, 1, n, found, distance);
    default:
        return find_avx2(words, query, 2, n, found, distance);
    }
}
#endif

sl_signs_kernel *sl_signs_kernel_best(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512vpopcntdq") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("bmi")) {
        return sl_signs_kernel_avx512;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt")) {
        return sl_signs_kernel_avx2;
    }
#endif
    return sl_signs_kernel_ref;
}

/* ---- the ring -------------------------------------------------------------------------------- */

size_t sl_signs_bytes(uint32_t n_rows)
{
    return sizeof(sl_signs) + 64 + (size_t)n_rows * SL_SIGNS_ROW_BYTES;
}

sluice_status sl_signs_open(uint32_t n_rows, sl_signs **out)
{
    *out = NULL;
    SLUICE_ASSERT(n_rows > 0);
    sl_signs *signs = sl_memory_reserve(sl_signs_bytes(n_rows));
    if (signs == NULL) {
        return SLUICE_E_NOMEM;
    }
    uintptr_t after = ((uintptr_t)(signs + 1) + 63) & ~(uintptr_t)63;
    for (uint32_t k = 0; k < SLUICE_SIGN_WORDS; k++) {
        signs->words[k] = (uint64_t *)after + (size_t)k * n_rows;
    }
    signs->place = (uint32_t *)(signs->words[SLUICE_SIGN_WORDS - 1] + n_rows);
    signs->n_rows = n_rows;
    signs->kernel = sl_signs_kernel_best();
    *out = signs;
    return SLUICE_OK;
}

void sl_signs_close(sl_signs **signs_p)
{
    free(*signs_p);
    *signs_p = NULL;
}

uint64_t sl_signs_append(sl_signs *signs, const uint64_t *bits, uint32_t place)
{
    uint64_t i = signs->head % signs->n_rows;
    for (uint32_t k = 0; k < SLUICE_SIGN_WORDS; k++) {
        signs->words[k][i] = bits[k];
    }
    signs->place[i] = place;
    return signs->head++;
}

uint64_t sl_signs_head(const sl_signs *signs)
{
    return signs->head;
}

uint32_t sl_signs_slot(const sl_signs *signs, uint64_t number)
{
    return (uint32_t)(number % signs->n_rows);
}

uint64_t sl_signs_number_at(const sl_signs *signs, uint32_t slot)
{
    uint64_t last = signs->head - 1; /* the newest; `slot` lies up to a lap behind it */
    uint64_t lap = (last % signs->n_rows + signs->n_rows - slot) % signs->n_rows;
    return last - lap;
}

uint32_t sl_signs_place(const sl_signs *signs, uint64_t number)
{
    return signs->place[sl_signs_slot(signs, number)];
}

void sl_signs_set_place(sl_signs *signs, uint64_t number, uint32_t place)
{
    signs->place[sl_signs_slot(signs, number)] = place;
}

void sl_signs_bits(const sl_signs *signs, uint64_t number, uint64_t *bits)
{
    uint32_t slot = sl_signs_slot(signs, number);
    for (uint32_t k = 0; k < SLUICE_SIGN_WORDS; k++) {
        bits[k] = signs->words[k][slot];
    }
}

void sl_signs_copy(sl_signs *signs, uint64_t to, uint64_t from)
{
    uint32_t target = sl_signs_slot(signs, to), source = sl_signs_slot(signs, from);
    for (uint32_t k = 0; k < SLUICE_SIGN_WORDS; k++) {
        signs->words[k][target] = signs->words[k][source];
    }
    signs->place[target] = signs->place[source];
}

void sl_signs_cut(sl_signs *signs, uint64_t head)
{
    SLUICE_ASSERT(head <= signs->head);
    signs->head = head;
}

uint32_t sl_signs_find(const sl_signs *signs, const sl_sign_query *query, uint64_t number,
                       sl_signs_hit *hits)
{
    SLUICE_ASSERT(number <= signs->head && signs->head - number <= signs->n_rows);
    uint32_t found[SL_SIGNS_CHUNK], distance[SL_SIGNS_CHUNK];
    uint64_t n_rest = signs->head - number;
    uint32_t n_left = n_rest < SL_SIGNS_CHUNK ? (uint32_t)n_rest : SL_SIGNS_CHUNK;
    uint32_t n_hits = 0;
    while (n_left > 0) { /* twice where the ring turns */
        uint32_t slot = sl_signs_slot(signs, number);
        uint32_t n = n_left < signs->n_rows - slot ? n_left : signs->n_rows - slot;
        const uint64_t *words[SLUICE_SIGN_WORDS];
        for (uint32_t k = 0; k < SLUICE_SIGN_WORDS; k++) {
            words[k] = signs->words[k] + slot;
        }
        uint32_t n_found = signs->kernel(words, query, n, found, distance);
        for (uint32_t i = 0; i < n_found; i++) {
            hits[n_hits++] = (sl_signs_hit){number + found[i], distance[i]};
        }
        number += n;
        n_left -= n;
    }
    return n_hits;
}

bool sl_signs_check(const sl_signs *signs, const sl_sign_query *query, uint32_t slot,
                    uint32_t *distance)
{
    return is_near((const uint64_t *const *)signs->words, query, slot, distance);
}

void sl_signs_prefetch(const sl_signs *signs, uint32_t slot)
{
    __builtin_prefetch(&signs->words[0][slot]);
}
