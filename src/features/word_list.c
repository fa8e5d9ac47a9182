/* word_list.c - which units of a text are words of a fixed list.
 *
 *   hash | 6 bits: word | 6 bits: bit | 6 bits: word | 6 bits: bit | ...
 *              first look                  second look
 *
 * Why two looks of 12 bits: a few hundred words leave one in some hundred other units to search
 * for, and eight units are looked up at once. */
#include "features/word_list.h"

#include "features/normalize.h"
#include "features/units.h"

#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

struct sl_word_list {
    uint64_t first[64], second[64];
    size_t n;
    uint64_t *sorted; /* [n] */
};

static int compare_hash(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static sluice_status cut_words(const sl_unicode *unicode, const char *words, uint64_t seed,
                               sl_units *units)
{
    sl_normal normal = {0};
    sluice_span span = {(const uint8_t *)words, strlen(words)};
    sluice_status status = sl_normalize(unicode, span, false, SL_KERNEL_REF, &normal);
    if (status == SLUICE_OK) {
        status = sl_units_make(unicode, &normal, 'w', seed, SL_KERNEL_REF, units);
    }
    sl_normal_fini(&normal);
    return status;
}

sluice_status sl_word_list_open(const sl_unicode *unicode, const char *words, uint64_t seed,
                                sl_word_list **out)
{
    *out = NULL;
    sl_word_list *list = calloc(1, sizeof *list);
    sl_units *units = calloc(1, sizeof *units);
    sluice_status status = list != NULL && units != NULL ? SLUICE_OK : SLUICE_E_NOMEM;
    if (status == SLUICE_OK) {
        status = cut_words(unicode, words, seed, units);
    }
    if (status != SLUICE_OK) {
        free(list);
        free(units);
        return status;
    }
    list->sorted = units->hash; /* taken */
    list->n = units->n;
    free(units);
    qsort(list->sorted, list->n, sizeof *list->sorted, compare_hash);
    for (size_t i = 0; i < list->n; i++) {
        uint64_t hash = list->sorted[i];
        list->first[hash >> 58] |= UINT64_C(1) << (hash >> 52 & 63);
        list->second[hash >> 46 & 63] |= UINT64_C(1) << (hash >> 40 & 63);
    }
    *out = list;
    return SLUICE_OK;
}

void sl_word_list_close(sl_word_list **list_p)
{
    if (*list_p != NULL) {
        free((*list_p)->sorted);
        free(*list_p);
        *list_p = NULL;
    }
}

static uint64_t look_ref(const sl_word_list *list, const uint64_t *hash, size_t n)
{
    uint64_t maybe = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t hits = list->first[hash[i] >> 58] >> (hash[i] >> 52 & 63) &
                        list->second[hash[i] >> 46 & 63] >> (hash[i] >> 40 & 63);
        maybe |= (hits & 1) << i;
    }
    return maybe;
}

#if defined(__x86_64__)
SL_TARGET_AVX512 static uint64_t look_avx512(const sl_word_list *list, const uint64_t *hash,
                                             size_t n)
{
    const __m512i low = _mm512_set1_epi64(63), one = _mm512_set1_epi64(1);
    uint64_t maybe = 0;
    for (size_t i = 0; i < n; i += 8) {
        __mmask8 inside = (__mmask8)(n - i < 8 ? (1u << (n - i)) - 1 : 255u);
        __m512i h = _mm512_maskz_loadu_epi64(inside, hash + i);
        __m512i word = _mm512_and_si512(_mm512_srli_epi64(h, 46), low);
        __m512i first = _mm512_i64gather_epi64(_mm512_srli_epi64(h, 58), list->first, 8);
        __m512i second = _mm512_i64gather_epi64(word, list->second, 8);
        first = _mm512_srlv_epi64(first, _mm512_and_si512(_mm512_srli_epi64(h, 52), low));
        second = _mm512_srlv_epi64(second, _mm512_and_si512(_mm512_srli_epi64(h, 40), low));
        __m512i hits = _mm512_and_si512(first, second);
        maybe |= (uint64_t)(_mm512_test_epi64_mask(hits, one) & inside) << i;
    }
    return maybe;
}
#endif

static uint64_t look(const sl_word_list *list, const uint64_t *hash, size_t n, sl_kernel kernel)
{
#if defined(__x86_64__)
    if (kernel == SL_KERNEL_AVX512) {
        return look_avx512(list, hash, n);
    }
#endif
    (void)kernel;
    return look_ref(list, hash, n);
}

uint64_t sl_word_list_find(const sl_word_list *list, const uint64_t *hash, size_t n,
                           sl_kernel kernel)
{
    SLUICE_DCHECK(n <= SL_WORD_LIST_LOOK);
    uint64_t found = 0;
    for (uint64_t maybe = look(list, hash, n, kernel); maybe != 0; maybe &= maybe - 1) {
        const uint64_t *wanted = hash + __builtin_ctzll(maybe);
        bool is_there =
            bsearch(wanted, list->sorted, list->n, sizeof *wanted, compare_hash) != NULL;
        found |= is_there ? maybe & -maybe : 0;
    }
    return found;
}
