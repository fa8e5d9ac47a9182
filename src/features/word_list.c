/* word_list.c - which units of a text are words of a fixed list.
 *
 *   hash    | 3 bits: kind | .................... | 7 bits | 7 bits | 7 bits |   of three bytes
 *                   |                                  |        |        |
 *   table                                            u8[128]  u8[128]  u8[128]
 *                   \--> bit `kind` of all three:  maybe; then it is searched for
 *
 * Why 3 bytes of 7 bits: a table is two registers, so eight units are looked up without touching
 * memory, and a few hundred words leave one in a hundred other units to search for. */
#include "features/word_list.h"

#include "features/normalize.h"
#include "features/units.h"

#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define N_TABLES 3

struct sl_word_list {
    uint8_t table[N_TABLES][128];
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
        for (unsigned j = 0; j < N_TABLES; j++) {
            list->table[j][hash >> 8 * j & 127] |= (uint8_t)(1u << (hash >> 61));
        }
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
        uint64_t kinds = list->table[0][hash[i] & 127] & list->table[1][hash[i] >> 8 & 127] &
                         list->table[2][hash[i] >> 16 & 127];
        maybe |= (kinds >> (hash[i] >> 61) & 1) << i;
    }
    return maybe;
}

#if defined(__x86_64__)
SL_TARGET_AVX512 static uint64_t look_avx512(const sl_word_list *list, const uint64_t *hash,
                                             size_t n)
{
    const uint8_t *tables = list->table[0];
    const __m512i low0 = _mm512_loadu_si512(tables), high0 = _mm512_loadu_si512(tables + 64);
    const __m512i low1 = _mm512_loadu_si512(tables + 128), high1 = _mm512_loadu_si512(tables + 192);
    const __m512i low2 = _mm512_loadu_si512(tables + 256), high2 = _mm512_loadu_si512(tables + 320);
    const __m512i one = _mm512_set1_epi64(1);
    uint64_t maybe = 0;
    for (size_t i = 0; i < n; i += 8) {
        __mmask8 inside = (__mmask8)(n - i < 8 ? (1u << (n - i)) - 1 : 255u);
        __m512i h = _mm512_maskz_loadu_epi64(inside, hash + i);
        /* every byte is looked up; of each only one counts */
        __m512i kinds0 = _mm512_permutex2var_epi8(low0, h, high0);
        __m512i kinds1 = _mm512_srli_epi64(_mm512_permutex2var_epi8(low1, h, high1), 8);
        __m512i kinds2 = _mm512_srli_epi64(_mm512_permutex2var_epi8(low2, h, high2), 16);
        __m512i kind = _mm512_sllv_epi64(one, _mm512_srli_epi64(h, 61));
        __m512i hits = _mm512_and_si512(_mm512_and_si512(kinds0, kinds1), kinds2);
        maybe |= (uint64_t)(_mm512_test_epi64_mask(hits, kind) & inside) << i;
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
