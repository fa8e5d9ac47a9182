/* normalize.c - turns UTF-8 into the text that is compared.
 *
 *   text     | ASCII ASCII ASC | non-ASCII | ASCII ... |
 *                 |  64 bytes       |  one code point: SIMPLE = one look-up
 *                 |  at a time      |  else a segment (unicode.c): decompose, order, compose
 *                 v                 v
 *   normal   | folded, white space run = one space, no space at either end | zeros |
 *
 * Why one pass with a fall back per segment: nearly all text is ASCII or characters that stand for
 * themselves; only a combining mark needs what is before it. It is then taken back from the output
 * (its last code point), decomposed again from the source and composed with the marks.
 * Why the counts are made here: `auto` has to choose a profile before units are cut. */
#include "features/normalize.h"
#include "features/utf8.h"

#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

typedef struct text_cursor {
    const sl_unicode *unicode;
    const uint8_t *begin, *at, *end;
    sl_normal *normal;
} text_cursor;

void sl_normal_fini(sl_normal *normal)
{
    free(normal->data);
    free(normal->segment);
    *normal = (sl_normal){0};
}

sluice_status sl_normal_reserve(sl_normal *normal, size_t size)
{
    if (size > SL_LIMIT_NORMAL_BYTES) {
        return SLUICE_E_TOOBIG;
    }
    if (size + SL_NORMAL_SLACK_BYTES <= normal->capacity) {
        return SLUICE_OK;
    }
    size_t capacity = size + size / 4 + 4096;
    uint8_t *data = realloc(normal->data, capacity + SL_NORMAL_SLACK_BYTES);
    if (data == NULL) {
        return SLUICE_E_NOMEM;
    }
    normal->data = data;
    normal->capacity = capacity + SL_NORMAL_SLACK_BYTES;
    return SLUICE_OK;
}

static sluice_status reserve_segment(sl_normal *normal, size_t n)
{
    if (n <= normal->segment_capacity) {
        return SLUICE_OK;
    }
    size_t capacity = n + n / 2 + 256;
    int32_t *segment = realloc(normal->segment, 2 * capacity * sizeof *segment);
    if (segment == NULL) {
        return SLUICE_E_NOMEM;
    }
    normal->segment = segment;
    normal->segment_capacity = capacity;
    return SLUICE_OK;
}

static bool after_space(const sl_normal *normal)
{
    return normal->size == 0 || normal->data[normal->size - 1] == ' ';
}

static void put_space(sl_normal *normal)
{
    normal->data[normal->size] = ' ';
    normal->size += !after_space(normal);
}

/* ---- ASCII --------------------------------------------------------------------------------- */

static void fold_ascii_ref(text_cursor *cursor)
{
    sl_normal *normal = cursor->normal;
    const uint32_t *entry = cursor->unicode->entry;
    for (; cursor->at < cursor->end && *cursor->at < 0x80; cursor->at++) {
        sl_class class = sl_entry_class(entry[*cursor->at]);
        normal->n_class[class]++;
        if (class == SL_CLASS_SPACE) {
            put_space(normal);
        } else {
            normal->data[normal->size++] = (uint8_t)entry[*cursor->at];
        }
    }
}

#if defined(__x86_64__)
/* The same, 64 bytes at a time: a space is dropped if the byte before it is one, and what is left
 * moves together. Stores whole vectors; the slack takes what is beyond. */
SL_TARGET_AVX512 static void fold_ascii_avx512(text_cursor *cursor)
{
    sl_normal *normal = cursor->normal;
    uint8_t *out = normal->data + normal->size;
    uint64_t spaced = after_space(normal);
    uint64_t n_space = 0, n_word = 0, n_digit = 0, n_punct = 0, n_all = 0;
    const __m512i ascii0 = _mm512_loadu_si512(cursor->unicode->ascii);
    const __m512i ascii1 = _mm512_loadu_si512(cursor->unicode->ascii + 64);
    while (cursor->at < cursor->end) {
        size_t left = (size_t)(cursor->end - cursor->at);
        __mmask64 inside = left >= 64 ? ~UINT64_C(0) : ~UINT64_C(0) >> (64 - left);
        __m512i v = _mm512_maskz_loadu_epi8(inside, cursor->at);
        uint64_t wide = _mm512_movepi8_mask(v);
        size_t n = wide != 0 ? (size_t)__builtin_ctzll(wide) : left < 64 ? left : 64;
        if (n == 0) {
            break;
        }
        inside = ~UINT64_C(0) >> (64 - n);
        __mmask64 upper =
            _mm512_cmplt_epu8_mask(_mm512_sub_epi8(v, _mm512_set1_epi8('A')), _mm512_set1_epi8(26));
        v = _mm512_mask_add_epi8(v, upper, v, _mm512_set1_epi8(32));
        __m512i bits = _mm512_permutex2var_epi8(ascii0, v, ascii1);
        uint64_t space = _mm512_test_epi8_mask(bits, _mm512_set1_epi8(SL_ASCII_SPACE));
        uint64_t word = _mm512_test_epi8_mask(bits, _mm512_set1_epi8(SL_ASCII_WORD));
        uint64_t digit = _mm512_test_epi8_mask(bits, _mm512_set1_epi8(SL_ASCII_DIGIT));
        uint64_t punct = _mm512_test_epi8_mask(bits, _mm512_set1_epi8(SL_ASCII_PUNCT));
        n_space += (uint64_t)__builtin_popcountll(space & inside);
        n_word += (uint64_t)__builtin_popcountll(word & inside);
        n_digit += (uint64_t)__builtin_popcountll(digit & inside);
        n_punct += (uint64_t)__builtin_popcountll(punct & inside);
        n_all += n;
        v = _mm512_mask_blend_epi8(space, v, _mm512_set1_epi8(' '));
        uint64_t keep = inside & ~(space & (space << 1 | spaced));
        if (keep != inside) {
            v = _mm512_maskz_compress_epi8(keep, v);
        }
        _mm512_storeu_si512(out, v);
        out += __builtin_popcountll(keep);
        spaced = space >> (n - 1) & 1;
        cursor->at += n;
    }
    normal->size = (size_t)(out - normal->data);
    normal->n_class[SL_CLASS_SPACE] += (uint32_t)n_space;
    normal->n_class[SL_CLASS_LETTER] += (uint32_t)(n_word - n_digit);
    normal->n_class[SL_CLASS_DIGIT] += (uint32_t)n_digit;
    normal->n_class[SL_CLASS_PUNCT] += (uint32_t)n_punct;
    normal->n_class[SL_CLASS_OTHER] += (uint32_t)(n_all - n_space - n_word - n_punct);
}
#endif

/* ---- segments ------------------------------------------------------------------------------ */

static void put_code_point(const sl_unicode *unicode, sl_normal *normal, uint32_t code_point)
{
    uint32_t entry = sl_unicode_entry(unicode, code_point);
    normal->seen |= entry;
    if (sl_entry_class(entry) == SL_CLASS_SPACE) {
        put_space(normal);
    } else {
        normal->size += sl_utf8_encode(code_point, normal->data + normal->size);
    }
}

/* Takes back the character before, which the mark at the cursor may change. A space stays: nothing
 * composes with it. */
static const uint8_t *take_back(text_cursor *cursor)
{
    sl_normal *normal = cursor->normal;
    if (cursor->at == cursor->begin || after_space(normal)) {
        return cursor->at;
    }
    normal->size = (size_t)(sl_utf8_before(normal->data + normal->size) - normal->data);
    return sl_utf8_before(cursor->at);
}

/* Normalizes one segment, the cursor being at its first code point that is not SIMPLE; moves the
 * cursor behind it. */
static sluice_status put_segment(text_cursor *cursor, uint32_t entry)
{
    sl_normal *normal = cursor->normal;
    const uint8_t *at = cursor->at;
    const uint8_t *counted = at;
    if ((entry & SL_ENTRY_CONTINUE) != 0) {
        at = take_back(cursor);
    }
    size_t n = 0;
    bool first = true;
    while (at < cursor->end) {
        size_t size = 0;
        uint32_t code_point = sl_utf8_decode(at, (size_t)(cursor->end - at), &size);
        if (code_point == SL_UTF8_BAD) {
            return SLUICE_E_BADSAMPLE;
        }
        entry = sl_unicode_entry(cursor->unicode, code_point);
        if (!first && (entry & SL_ENTRY_CONTINUE) == 0) {
            break;
        }
        SLUICE_TRY(reserve_segment(normal, n + SL_UNICODE_EXPANDED));
        n += sl_unicode_decompose(code_point, normal->segment + n);
        normal->n_class[sl_entry_class(entry)] += at >= counted;
        first = false;
        at += size;
    }
    n = sl_unicode_compose(normal->segment, normal->segment + normal->segment_capacity,
                           (uint32_t)n);
    /* SIMPLE code points grow by half at most. */
    size_t rest = (size_t)(cursor->end - at);
    SLUICE_TRY(sl_normal_reserve(normal, normal->size + 4 * n + rest + rest / 2));
    for (size_t i = 0; i < n; i++) {
        put_code_point(cursor->unicode, normal, (uint32_t)normal->segment[i]);
    }
    cursor->at = at;
    return SLUICE_OK;
}

/* As long as characters of three bytes come that stay as they are: most of Chinese, Japanese and
 * Korean. Reads and writes four bytes, which the slack and `left` allow. */
static void copy_plain(text_cursor *cursor)
{
    sl_normal *normal = cursor->normal;
    const uint32_t *table = cursor->unicode->entry;
    const uint8_t *at = cursor->at;
    uint8_t *out = normal->data + normal->size;
    uint32_t seen = 0;
    while (cursor->end - at >= 4 && (at[0] & 0xf0) == 0xe0) {
        uint32_t tails = (at[1] ^ 0x80u) | (at[2] ^ 0x80u);
        uint32_t code_point = (at[0] & 0xfu) << 12 | (at[1] & 0x3fu) << 6 | (at[2] & 0x3fu);
        uint32_t entry = table[code_point];
        if (tails > 0x3f || code_point < 0x800 ||
            (entry & (SL_ENTRY_MAPPED | SL_ENTRY_SPECIAL | SL_ENTRY_CONTINUE)) != code_point) {
            break;
        }
        normal->n_class[sl_entry_class(entry)]++;
        seen |= entry;
        memcpy(out, at, 4);
        at += 3;
        out += 3;
    }
    normal->seen |= seen;
    normal->size = (size_t)(out - normal->data);
    cursor->at = at;
}

/* Up to the next ASCII byte. */
static sluice_status fold_wide(text_cursor *cursor)
{
    sl_normal *normal = cursor->normal;
    while (cursor->at < cursor->end && *cursor->at >= 0x80) {
        size_t size = 0;
        uint32_t code_point = sl_utf8_decode(cursor->at, (size_t)(cursor->end - cursor->at), &size);
        if (code_point == SL_UTF8_BAD) {
            return SLUICE_E_BADSAMPLE;
        }
        uint32_t entry = sl_unicode_entry(cursor->unicode, code_point);
        if (!sl_entry_simple(entry)) {
            SLUICE_TRY(put_segment(cursor, entry));
            continue;
        }
        normal->n_class[sl_entry_class(entry)]++;
        put_code_point(cursor->unicode, normal, entry & SL_ENTRY_MAPPED);
        cursor->at += size;
        copy_plain(cursor);
    }
    return SLUICE_OK;
}

sluice_status sl_normalize(const sl_unicode *unicode, sluice_span text, sl_kernel kernel,
                           sl_normal *normal)
{
    normal->size = 0;
    normal->seen = 0;
    memset(normal->n_class, 0, sizeof normal->n_class);
    SLUICE_TRY(sl_normal_reserve(normal, text.size + text.size / 2));
    text_cursor cursor = {unicode, text.data, text.data, text.data + text.size, normal};
    while (cursor.at < cursor.end) {
#if defined(__x86_64__)
        if (kernel == SL_KERNEL_AVX512) {
            fold_ascii_avx512(&cursor);
        } else {
            fold_ascii_ref(&cursor);
        }
#else
        (void)kernel;
        fold_ascii_ref(&cursor);
#endif
        SLUICE_TRY(fold_wide(&cursor));
    }
    if (normal->size > 0 && normal->data[normal->size - 1] == ' ') {
        normal->size--;
    }
    memset(normal->data + normal->size, 0, SL_NORMAL_SLACK_BYTES);
    return SLUICE_OK;
}
