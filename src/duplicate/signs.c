/* signs.c - finds, among the newest rows, those whose sign bits are near.
 *
 *   word 0  | w | w | w | w | ...      of each row's 512 bits, a ring in order of age
 *    ...
 *   word 7  | w | w | w | w | ...
 *   place   | p | p | p | p | ...      of the row
 *                 ^ head % n_rows
 *
 * Why a scan: one word (from .90 on) is read in order, 8 bytes a row, and few rows get to the next;
 * up to 1e5 rows nothing that jumps through memory is faster, and it misses what the formula says.
 * Why all words lie in planes: vectors that all resemble each other (encoders with a high random
 * cosine) pass the first words often; then the next ones are read in order too. Why the radii are
 * exact tails of the binomial: one number, the share missed, decides them all. */
#include "signs.h"

#include "duplicate/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define TAIL_SHARE 3e-5
#define TAIL_FIRST 3e-4 /* of word 0, on which the speed depends */
#define PI         3.14159265358979323846

struct sl_signs {
    uint64_t *words[SLUICE_SIGN_WORDS];
    uint32_t *place;
    uint32_t n_rows;
    uint64_t head; /* rows appended since open */
    sl_signs_kernel *kernel;
};

/* ---- radii ----------------------------------------------------------------------------------- */

/* Smallest r with P(X > r) <= share, X binomial (n, p). */
static uint32_t tail_radius(uint32_t n, double p, double share)
{
    if (p <= 0) {
        return 0;
    }
    double log_p = log(p), log_q = log1p(-p), tail = 0;
    uint32_t r = n;
    while (r > 0) {
        double log_choose = lgamma(n + 1.0) - lgamma(r + 1.0) - lgamma(n - r + 1.0);
        tail += exp(log_choose + r * log_p + (n - r) * log_q);
        if (tail > share) {
            return r;
        }
        r--;
    }
    return 0;
}

sl_signs_radii sl_signs_radii_of(double cosine)
{
    sl_signs_radii radii;
    double p = acos(cosine < 1 ? cosine : 1) / PI;
    for (uint32_t k = 0; k < SLUICE_SIGN_WORDS; k++) {
        radii.word[k] = tail_radius(64 * (k + 1), p, k == 0 ? TAIL_FIRST : TAIL_SHARE);
    }
    return radii;
}

/* ---- kernels --------------------------------------------------------------------------------- */

/* Goes on behind the first `k` words, in which `distance` bits differ. */
static inline bool is_near(const uint64_t *const *words, const uint64_t *bits,
                           const sl_signs_radii *radii, uint32_t i, uint32_t k, uint32_t *distance)
{
    for (; k < SLUICE_SIGN_WORDS; k++) {
        *distance += (uint32_t)__builtin_popcountll(words[k][i] ^ bits[k]);
        if (*distance > radii->word[k]) {
            return false;
        }
    }
    return true;
}

static inline uint32_t find_plain(const uint64_t *const *words, const uint64_t *bits,
                                  const sl_signs_radii *radii, uint32_t from, uint32_t n,
                                  uint32_t *found, uint32_t *distance)
{
    uint32_t n_found = 0;
    for (uint32_t i = from; i < n; i++) {
        uint32_t differ = 0;
        if (is_near(words, bits, radii, i, 0, &differ)) {
            found[n_found] = i;
            distance[n_found++] = differ;
        }
    }
    return n_found;
}

uint32_t sl_signs_kernel_ref(const uint64_t *const *words, const uint64_t *bits,
                             const sl_signs_radii *radii, uint32_t n, uint32_t *found,
                             uint32_t *distance)
{
    return find_plain(words, bits, radii, 0, n, found, distance);
}

#if defined(__x86_64__)
/* How many words are looked at before anything is branched upon: so many that few rows of vectors
 * that have nothing to do with each other (half of their bits differ) get further. What is found
 * is the same. */
static uint32_t first_words(const sl_signs_radii *radii)
{
    return radii->word[0] <= 20 ? 1 : radii->word[1] <= 46 ? 2 : 4;
}

#define BLOCK_ROWS   8192 /* that a fast kernel lists before it looks at more words */
#define TRIAL_ROWS   256  /* the same, until few enough of them are listed         */
#define AHEAD_ROWS   128  /* that are on their way into the nearest cache          */
#define LIST_AT_ONCE 3
#define LIST_ROWS    (BLOCK_ROWS + LIST_AT_ONCE)
#define TARGET_AVX512                                                                              \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512vpopcntdq,bmi,popcnt"),                 \
                   always_inline)) static inline
#define TARGET_AVX2 __attribute__((target("avx2,popcnt"), always_inline)) static inline

/* Looks at two more words of the rows of a list; those still within the radii move up. */
__attribute__((target("popcnt"), always_inline)) static inline uint32_t
narrow_list(const uint64_t *const *words, const uint64_t *bits, const sl_signs_radii *radii,
            const uint32_t k, uint16_t *list, uint32_t *differ, uint32_t n)
{
    const uint64_t *even = words[k], *odd = words[k + 1];
    uint32_t n_near = 0;
    for (uint32_t j = 0; j < n; j++) {
        uint32_t i = list[j], before = k == 0 ? 0 : differ[j];
        uint32_t d = before + (uint32_t)__builtin_popcountll(even[i] ^ bits[k]);
        uint32_t d_both = d + (uint32_t)__builtin_popcountll(odd[i] ^ bits[k + 1]);
        list[n_near] = (uint16_t)i;
        differ[n_near] = d_both;
        n_near += (uint32_t)(d <= radii->word[k]) & (uint32_t)(d_both <= radii->word[k + 1]);
    }
    return n_near;
}

/* Of the rows of a list, those within all radii. Written so that no branch depends on a row: which
 * of them pass cannot be foreseen, and a wrong guess costs as much as ten rows. */
__attribute__((target("popcnt"))) static uint32_t
finish_list(const uint64_t *const *words, const uint64_t *bits, const sl_signs_radii *radii,
            uint16_t *list, uint32_t n, uint32_t base, uint32_t *found, uint32_t *distance)
{
    uint32_t differ[LIST_ROWS];
    const uint64_t *from_base[SLUICE_SIGN_WORDS];
    for (uint32_t k = 0; k < SLUICE_SIGN_WORDS; k++) {
        from_base[k] = words[k] + base;
    }
    n = narrow_list(from_base, bits, radii, 0, list, differ, n);
    for (uint32_t k = 2; k < SLUICE_SIGN_WORDS && n > 0; k += 2) {
        n = narrow_list(from_base, bits, radii, k, list, differ, n);
    }
    for (uint32_t j = 0; j < n; j++) {
        found[j] = base + list[j];
        distance[j] = differ[j];
    }
    return n;
}

/* Which of eight rows are within the radius in the first n_first words, a constant. */
TARGET_AVX512 __mmask8 near_lanes(const uint64_t *const *words, const __m512i *wanted,
                                  __m512i limit, const uint32_t n_first, size_t i)
{
    __m512i differ = _mm512_setzero_si512();
    for (uint32_t k = 0; k < n_first; k++) {
        __m512i word = _mm512_xor_si512(_mm512_loadu_si512(words[k] + i), wanted[k]);
        word = _mm512_popcnt_epi64(word);
        differ = k == 0 ? word : _mm512_add_epi64(differ, word);
    }
    return _mm512_cmple_epu64_mask(differ, limit);
}

/* Which of 64 are. */
TARGET_AVX512 uint64_t near_rows(const uint64_t *const *words, const __m512i *wanted, __m512i limit,
                                 const uint32_t n_first, size_t i)
{
    __mmask8 near[8];
    for (uint32_t k = 0; k < 8; k++) {
        near[k] = near_lanes(words, wanted, limit, n_first, i + 8 * k);
    }
    __mmask16 first = _mm512_kunpackb(near[1], near[0]), second = _mm512_kunpackb(near[3], near[2]);
    __mmask16 third = _mm512_kunpackb(near[5], near[4]), last = _mm512_kunpackb(near[7], near[6]);
    return _mm512_kunpackd(_mm512_kunpackw(last, third), _mm512_kunpackw(second, first));
}

/* Whole 64s of rows from `base` on, at most BLOCK_ROWS; returns how many are on the list. Of 64
 * rows mostly none to three pass: three are written, there or not. */
TARGET_AVX512 uint32_t list_avx512(const uint64_t *const *words, const uint64_t *bits,
                                   const sl_signs_radii *radii, const uint32_t n_first,
                                   uint32_t base, uint32_t n, uint16_t *list)
{
    __m512i wanted[SLUICE_SIGN_WORDS];
    const uint64_t *from[SLUICE_SIGN_WORDS];
    for (uint32_t k = 0; k < n_first; k++) {
        wanted[k] = _mm512_set1_epi64((long long)bits[k]);
        from[k] = words[k] + base;
    }
    const __m512i limit = _mm512_set1_epi64(radii->word[n_first - 1]);
    uint32_t n_list = 0;
    for (size_t i = 0; i < n; i += 64) {
        for (uint32_t k = 0; k < 8 && n_first == 1; k++) { /* one plane alone waits for memory */
            _mm_prefetch((const char *)(from[0] + i + 8 * k + AHEAD_ROWS), _MM_HINT_T0);
        }
        uint64_t near = near_rows(from, wanted, limit, n_first, i);
        do {
            for (uint32_t k = 0; k < LIST_AT_ONCE; k++) {
                list[n_list] = (uint16_t)(i + _tzcnt_u64(near));
                n_list += near != 0;
                near = _blsr_u64(near);
            }
        } while (near != 0);
    }
    return n_list;
}

/* Where more rows than expected pass (vectors that all resemble each other), the next block looks
 * at twice as many words. So the first one is short. Whatever the lengths, the same is found. */
__attribute__((target("avx512f,avx512bw,avx512vl,avx512vpopcntdq,bmi,popcnt"))) uint32_t
sl_signs_kernel_avx512(const uint64_t *const *words, const uint64_t *bits,
                       const sl_signs_radii *radii, uint32_t n, uint32_t *found, uint32_t *distance)
{
    uint16_t list[LIST_ROWS];
    uint32_t n_found = 0, n_first = first_words(radii), base = 0;
    bool is_trial = true;
    for (uint32_t n_block; n - base >= 64; base += n_block) {
        uint32_t n_list;
        n_block = is_trial ? TRIAL_ROWS : BLOCK_ROWS;
        n_block = n - base < n_block ? (n - base) / 64 * 64 : n_block;
        if (n_first == 1) {
            n_list = list_avx512(words, bits, radii, 1, base, n_block, list);
        } else if (n_first == 2) {
            n_list = list_avx512(words, bits, radii, 2, base, n_block, list);
        } else {
            n_list = list_avx512(words, bits, radii, 4, base, n_block, list);
        }
        n_found += finish_list(words, bits, radii, list, n_list, base, found + n_found,
                               distance + n_found);
        is_trial = n_first < 4 && n_list * 8 > n_block;
        n_first *= is_trial ? 2 : 1;
    }
    return n_found + find_plain(words, bits, radii, base, n, found + n_found, distance + n_found);
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

TARGET_AVX2 uint32_t find_avx2(const uint64_t *const *words, const uint64_t *bits,
                               const sl_signs_radii *radii, const uint32_t n_first, uint32_t n,
                               uint32_t *found, uint32_t *distance)
{
    const __m256i limit = _mm256_set1_epi64x(radii->word[n_first - 1]);
    uint16_t list[LIST_ROWS];
    uint32_t n_found = 0, n_list = 0, base = 0, i = 0;
    for (; i + 4 <= n; i += 4) {
        __m256i counts = _mm256_setzero_si256(); /* of bytes: at most 8 n_first */
        for (uint32_t k = 0; k < n_first; k++) {
            const __m256i wanted = _mm256_set1_epi64x((long long)bits[k]);
            __m256i word = _mm256_loadu_si256((const __m256i *)(const void *)(words[k] + i));
            counts = _mm256_add_epi8(counts, count_bits(_mm256_xor_si256(word, wanted)));
        }
        __m256i differ = _mm256_sad_epu8(counts, _mm256_setzero_si256());
        __m256i far = _mm256_cmpgt_epi64(differ, limit);
        uint32_t near = ~(uint32_t)_mm256_movemask_pd(_mm256_castsi256_pd(far)) & 15;
        for (; near != 0; near &= near - 1) {
            list[n_list++] = (uint16_t)(i - base + (uint32_t)__builtin_ctz(near));
        }
        if (i - base == BLOCK_ROWS - 4) {
            n_found += finish_list(words, bits, radii, list, n_list, base, found + n_found,
                                   distance + n_found);
            base = i + 4;
            n_list = 0;
        }
    }
    n_found +=
        finish_list(words, bits, radii, list, n_list, base, found + n_found, distance + n_found);
    return n_found + find_plain(words, bits, radii, i, n, found + n_found, distance + n_found);
}

__attribute__((target("avx2,popcnt"))) uint32_t
sl_signs_kernel_avx2(const uint64_t *const *words, const uint64_t *bits,
                     const sl_signs_radii *radii, uint32_t n, uint32_t *found, uint32_t *distance)
{
    switch (first_words(radii)) {
    case 1:
        return find_avx2(words, bits, radii, 1, n, found, distance);
    case 2:
        return find_avx2(words, bits, radii, 2, n, found, distance);
    default:
        return find_avx2(words, bits, radii, 4, n, found, distance);
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

uint32_t sl_signs_find(const sl_signs *signs, const uint64_t *bits, const sl_signs_radii *radii,
                       uint64_t number, sl_signs_hit *hits)
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
        uint32_t n_found = signs->kernel(words, bits, radii, n, found, distance);
        for (uint32_t i = 0; i < n_found; i++) {
            hits[n_hits++] = (sl_signs_hit){number + found[i], distance[i]};
        }
        number += n;
        n_left -= n;
    }
    return n_hits;
}

bool sl_signs_check(const sl_signs *signs, const uint64_t *bits, const sl_signs_radii *radii,
                    uint32_t slot, uint32_t *distance)
{
    *distance = 0;
    return is_near((const uint64_t *const *)signs->words, bits, radii, slot, 0, distance);
}

void sl_signs_prefetch(const sl_signs *signs, uint32_t slot)
{
    __builtin_prefetch(&signs->words[0][slot]);
}
