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
#include "features/ascii_avx2.h"
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
    bool counting;
    bool line_empty;        /* nothing but white space since the last LF */
    uint64_t behind_comma;  /* bit 0: the byte before the block is one */
    uint64_t behind_digits; /* bit 1: the byte before the block, bit 0: the one before that */
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

static bool is_digit(uint32_t code_point)
{
    return code_point - '0' < 10;
}

/* ---- counting ------------------------------------------------------------------------------ */

/* A comma just put, and whether a digit is before it: read from the output, so without state. */
static bool after_comma(const sl_normal *normal)
{
    return normal->size > 0 && normal->data[normal->size - 1] == ',';
}

static bool digit_before(const sl_normal *normal, size_t back)
{
    return normal->size >= back && is_digit(normal->data[normal->size - back]);
}

/* Something that is not white space is about to be put. */
static void count_visible(text_cursor *cursor, uint32_t code_point)
{
    sl_normal *normal = cursor->normal;
    normal->counts.lines += cursor->line_empty;
    cursor->line_empty = false;
    if (after_comma(normal)) {
        normal->counts.commas += !(is_digit(code_point) && digit_before(normal, 2));
    }
}

/* Adds `one` (or takes it back: UINT32_MAX) for a code point of the normalized text. */
static void count_point(text_cursor *cursor, uint32_t code_point, uint32_t entry, uint32_t one)
{
    sl_counts *counts = &cursor->normal->counts;
    counts->n_class[sl_entry_class(entry)] += one;
    counts->cjk += (entry & SL_ENTRY_CJK) != 0 ? one : 0;
    counts->sea += (entry & SL_ENTRY_SEA) != 0 ? one : 0;
    if (code_point < 0x80) {
        uint8_t bits = cursor->unicode->ascii[code_point];
        bool blank = (bits & SL_ASCII_SPACE) != 0 && code_point != '\v' && code_point != '\f';
        counts->blanks += blank ? one : 0;
        counts->digits += (bits & SL_ASCII_DIGIT) != 0 ? one : 0;
        counts->brackets += (bits & SL_ASCII_BRACKET) != 0 ? one : 0;
        counts->binders += (bits & SL_ASCII_BINDER) != 0 ? one : 0;
        counts->angles += (bits & SL_ASCII_ANGLE) != 0 ? one : 0;
        counts->fields += (bits & SL_ASCII_FIELD) != 0 ? one : 0;
        cursor->line_empty |= code_point == '\n';
    }
}

/* Puts one code point of the normalized text. */
static void put_point(text_cursor *cursor, uint32_t code_point, uint32_t entry)
{
    sl_normal *normal = cursor->normal;
    normal->seen |= entry;
    count_point(cursor, code_point, entry, 1);
    if (sl_entry_class(entry) == SL_CLASS_SPACE) {
        normal->data[normal->size] = ' ';
        normal->size += !after_space(normal);
    } else {
        count_visible(cursor, code_point);
        normal->size += sl_utf8_encode(code_point, normal->data + normal->size);
    }
}

/* ---- ASCII --------------------------------------------------------------------------------- */

static void fold_ascii_ref(text_cursor *cursor)
{
    const uint32_t *entry = cursor->unicode->entry;
    for (; cursor->at < cursor->end && *cursor->at < 0x80; cursor->at++) {
        uint32_t about = entry[*cursor->at];
        put_point(cursor, about & SL_ENTRY_MAPPED, about);
    }
}

#if defined(__x86_64__)
/* Which bytes of a block of ASCII are what. */
typedef struct ascii_block {
    uint64_t space, word, punct, digit, bracket, binder, angle, field;
    uint64_t comma, feed, not_blank; /* not_blank: VT, FF */
} ascii_block;

/* What a block of ASCII adds to the counts. A line counts at its first byte that is not white
 * space: a carry, started behind each LF, runs through white space and stops there, or at the next
 * LF. A comma counts at the byte behind it. */
__attribute__((always_inline)) static inline void
count_block(text_cursor *cursor, const ascii_block *block, uint64_t inside)
{
    sl_counts *counts = &cursor->normal->counts;
    uint64_t word = block->word & inside, punct = block->punct & inside;
    uint64_t digit = block->digit & inside, space = block->space & inside;
    uint64_t comma = block->comma & inside, feed = block->feed & inside;
    uint64_t visible = inside & ~space;
    uint32_t n_digits = (uint32_t)__builtin_popcountll(digit);
    uint32_t n_words = (uint32_t)__builtin_popcountll(word);
    counts->n_class[SL_CLASS_SPACE] += (uint32_t)__builtin_popcountll(space);
    counts->n_class[SL_CLASS_LETTER] += n_words - n_digits;
    counts->n_class[SL_CLASS_DIGIT] += n_digits;
    counts->n_class[SL_CLASS_PUNCT] += (uint32_t)__builtin_popcountll(punct);
    counts->n_class[SL_CLASS_OTHER] += (uint32_t)__builtin_popcountll(visible & ~word & ~punct);
    counts->blanks += (uint32_t)__builtin_popcountll(space & ~block->not_blank);
    counts->digits += n_digits;
    counts->brackets += (uint32_t)__builtin_popcountll(block->bracket & inside);
    counts->binders += (uint32_t)__builtin_popcountll(block->binder & inside);
    counts->angles += (uint32_t)__builtin_popcountll(block->angle & inside);
    counts->fields += (uint32_t)__builtin_popcountll(block->field & inside);
    uint64_t begins = feed << 1 | cursor->line_empty;
    counts->lines += (uint32_t)__builtin_popcountll(((space & ~feed) + begins) & visible);
    cursor->line_empty = feed != 0 ? visible >> (63 - __builtin_clzll(feed)) == 0
                                   : cursor->line_empty && visible == 0;
    uint64_t behind_comma = (comma << 1 | cursor->behind_comma) & visible;
    uint64_t two_behind_digit = digit << 2 | cursor->behind_digits;
    counts->commas += (uint32_t)__builtin_popcountll(behind_comma & ~(digit & two_behind_digit));
    unsigned last = (unsigned)__builtin_popcountll(inside) - 1;
    cursor->behind_comma = comma >> last & 1;
    cursor->behind_digits = last > 0 ? digit >> (last - 1) & 3 : (digit & 1) << 1;
}

static void begin_blocks(text_cursor *cursor)
{
    cursor->behind_comma = after_comma(cursor->normal);
    cursor->behind_digits =
        (uint64_t)digit_before(cursor->normal, 1) << 1 | (uint64_t)digit_before(cursor->normal, 2);
}

SL_TARGET_AVX512 static inline ascii_block read_block_avx512(__m512i v, __m512i bits,
                                                             uint64_t space)
{
    return (ascii_block){
        .space = space,
        .word = _mm512_test_epi8_mask(bits, _mm512_set1_epi8(SL_ASCII_WORD)),
        .punct = _mm512_test_epi8_mask(bits, _mm512_set1_epi8(SL_ASCII_PUNCT)),
        .digit = _mm512_test_epi8_mask(bits, _mm512_set1_epi8(SL_ASCII_DIGIT)),
        .bracket = _mm512_test_epi8_mask(bits, _mm512_set1_epi8(SL_ASCII_BRACKET)),
        .binder = _mm512_test_epi8_mask(bits, _mm512_set1_epi8(SL_ASCII_BINDER)),
        .angle = _mm512_test_epi8_mask(bits, _mm512_set1_epi8(SL_ASCII_ANGLE)),
        .field = _mm512_test_epi8_mask(bits, _mm512_set1_epi8((char)SL_ASCII_FIELD)),
        .comma = _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8(',')),
        .feed = _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('\n')),
        .not_blank = _mm512_cmplt_epu8_mask(_mm512_sub_epi8(v, _mm512_set1_epi8('\v')),
                                            _mm512_set1_epi8(2))};
}

/* The same, 64 bytes at a time: a space is dropped if the byte before it is one, and what is left
 * moves together. Stores whole vectors; the slack takes what is beyond. */
SL_TARGET_AVX512 static void fold_ascii_avx512(text_cursor *cursor)
{
    sl_normal *normal = cursor->normal;
    uint8_t *out = normal->data + normal->size;
    uint64_t spaced = after_space(normal);
    begin_blocks(cursor);
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
        __m512i bits = _mm512_permutex2var_epi8(ascii0, v, ascii1);
        uint64_t space = _mm512_test_epi8_mask(bits, _mm512_set1_epi8(SL_ASCII_SPACE));
        if (cursor->counting) {
            ascii_block block = read_block_avx512(v, bits, space);
            count_block(cursor, &block, inside);
        }
        __mmask64 upper =
            _mm512_cmplt_epu8_mask(_mm512_sub_epi8(v, _mm512_set1_epi8('A')), _mm512_set1_epi8(26));
        v = _mm512_mask_add_epi8(v, upper, v, _mm512_set1_epi8(32));
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
}

SL_TARGET_AVX2 static inline ascii_block read_block_avx2(sl_bytes64 v, sl_bytes64 bits)
{
    return (ascii_block){.space = sl_bytes64_test(bits, SL_ASCII_SPACE),
                         .word = sl_bytes64_test(bits, SL_ASCII_WORD),
                         .punct = sl_bytes64_test(bits, SL_ASCII_PUNCT),
                         .digit = sl_bytes64_test(bits, SL_ASCII_DIGIT),
                         .bracket = sl_bytes64_test(bits, SL_ASCII_BRACKET),
                         .binder = sl_bytes64_test(bits, SL_ASCII_BINDER),
                         .angle = sl_bytes64_test(bits, SL_ASCII_ANGLE),
                         .field = sl_bytes64_test(bits, SL_ASCII_FIELD),
                         .comma = sl_bytes64_equal(v, ','),
                         .feed = sl_bytes64_equal(v, '\n'),
                         .not_blank = sl_bytes64_equal(v, '\v') | sl_bytes64_equal(v, '\f')};
}

/* Capitals become small, white space becomes spaces. */
SL_TARGET_AVX2 static inline __m256i fold_half(__m256i v, __m256i bits)
{
    __m256i from_a = _mm256_sub_epi8(v, _mm256_set1_epi8('A'));
    __m256i upper = _mm256_cmpeq_epi8(_mm256_min_epu8(from_a, _mm256_set1_epi8(25)), from_a);
    __m256i space = _mm256_slli_epi16(bits, 7); /* SL_ASCII_SPACE is 1 */
    v = _mm256_or_si256(v, _mm256_and_si256(upper, _mm256_set1_epi8(32)));
    return _mm256_blendv_epi8(v, _mm256_set1_epi8(' '), space);
}

/* Writes the bytes of v that are to be kept, one run after the other; returns where they end. */
SL_TARGET_AVX2 static uint8_t *put_runs(uint8_t *out, sl_bytes64 v, uint64_t keep)
{
    uint8_t block[128] = {0}; /* so that a run may be read as a whole vector */
    sl_bytes64_store(block, v);
    while (keep != 0) {
        unsigned begin = (unsigned)__builtin_ctzll(keep);
        sl_bytes64_store(out, sl_bytes64_load(block + begin));
        out += __builtin_ctzll(~(keep >> begin));
        keep &= keep + (keep & -keep);
    }
    return out;
}

/* As fold_ascii_avx512, but what is left moves a run at a time. */
SL_TARGET_AVX2 static void fold_ascii_avx2(text_cursor *cursor)
{
    sl_normal *normal = cursor->normal;
    uint8_t *out = normal->data + normal->size;
    uint64_t spaced = after_space(normal);
    begin_blocks(cursor);
    while (cursor->at < cursor->end && *cursor->at < 0x80) {
        size_t left = (size_t)(cursor->end - cursor->at);
        uint8_t rest[64] = {0};
        if (left < 64) {
            memcpy(rest, cursor->at, left);
        }
        sl_bytes64 v = sl_bytes64_load(left < 64 ? rest : cursor->at);
        uint64_t wide = sl_bytes64_high(v);
        size_t n = wide != 0 ? (size_t)__builtin_ctzll(wide) : left < 64 ? left : 64;
        uint64_t inside = ~UINT64_C(0) >> (64 - n);
        sl_bytes64 bits = sl_bytes64_look_up(v, cursor->unicode->ascii_steps);
        uint64_t space = sl_bytes64_test(bits, SL_ASCII_SPACE);
        if (cursor->counting) {
            ascii_block block = read_block_avx2(v, bits);
            count_block(cursor, &block, inside);
        }
        for (unsigned h = 0; h < 2; h++) {
            v.half[h] = fold_half(v.half[h], bits.half[h]);
        }
        uint64_t keep = inside & ~(space & (space << 1 | spaced));
        if (keep == inside) {
            sl_bytes64_store(out, v);
            out += n;
        } else {
            out = put_runs(out, v, keep);
        }
        spaced = space >> (n - 1) & 1;
        cursor->at += n;
    }
    normal->size = (size_t)(out - normal->data);
}
#endif

/* ---- segments ------------------------------------------------------------------------------ */

/* Takes back the character before, which the mark at the cursor may change. A space stays: nothing
 * composes with it. */
static const uint8_t *take_back(text_cursor *cursor)
{
    sl_normal *normal = cursor->normal;
    if (cursor->at == cursor->begin || after_space(normal)) {
        return cursor->at;
    }
    const uint8_t *last = sl_utf8_before(normal->data + normal->size);
    size_t size = 0;
    uint32_t code_point = sl_utf8_next(last, &size);
    normal->size = (size_t)(last - normal->data);
    count_point(cursor, code_point, sl_unicode_entry(cursor->unicode, code_point), UINT32_MAX);
    if (after_comma(normal)) {
        normal->counts.commas -= !(is_digit(code_point) && digit_before(normal, 2));
    }
    return sl_utf8_before(cursor->at);
}

/* Normalizes one segment, the cursor being at its first code point that is not SIMPLE; moves the
 * cursor behind it. */
static sluice_status put_segment(text_cursor *cursor, uint32_t entry)
{
    sl_normal *normal = cursor->normal;
    const uint8_t *at = cursor->at;
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
        first = false;
        at += size;
    }
    n = sl_unicode_compose(normal->segment, normal->segment + normal->segment_capacity,
                           (uint32_t)n);
    /* SIMPLE code points grow by half at most. */
    size_t rest = (size_t)(cursor->end - at);
    SLUICE_TRY(sl_normal_reserve(normal, normal->size + 4 * n + rest + rest / 2));
    for (size_t i = 0; i < n; i++) {
        uint32_t code_point = (uint32_t)normal->segment[i];
        put_point(cursor, code_point, sl_unicode_entry(cursor->unicode, code_point));
    }
    cursor->at = at;
    return SLUICE_OK;
}

/* As long as characters of three bytes come that stay as they are: most of Chinese, Japanese and
 * Korean. Reads and writes four bytes, which the slack and `left` allow. */
static void copy_plain(text_cursor *cursor)
{
    sl_normal *normal = cursor->normal;
    const uint8_t *brief = cursor->unicode->brief;
    const uint8_t *at = cursor->at;
    uint8_t *out = normal->data + normal->size;
    uint32_t seen = 0, n_cjk = 0, n_sea = 0;
    while (cursor->end - at >= 4 && (at[0] & 0xf0) == 0xe0) {
        uint32_t tails = (at[1] ^ 0x80u) | (at[2] ^ 0x80u);
        uint32_t code_point = (at[0] & 0xfu) << 12 | (at[1] & 0x3fu) << 6 | (at[2] & 0x3fu);
        uint32_t about = brief[code_point];
        if (tails > 0x3f || code_point < 0x800 || (about & SL_BRIEF_SAME) == 0) {
            break;
        }
        normal->counts.n_class[about & SL_BRIEF_CLASS]++;
        n_cjk += about / SL_BRIEF_CJK & 1;
        n_sea += about / SL_BRIEF_SEA & 1;
        seen |= about;
        memcpy(out, at, 4);
        at += 3;
        out += 3;
    }
    if (at > cursor->at) {
        count_visible(cursor, 0x800); /* the first one may end an empty line or follow a comma */
    }
    normal->counts.cjk += n_cjk;
    normal->counts.sea += n_sea;
    normal->seen |= (seen & SL_BRIEF_FOLDS) != 0 ? SL_ENTRY_FOLDS : 0;
    normal->size = (size_t)(out - normal->data);
    cursor->at = at;
}

/* Up to the next ASCII byte. */
static sluice_status fold_wide(text_cursor *cursor)
{
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
        code_point = entry & SL_ENTRY_MAPPED;
        put_point(cursor, code_point, sl_unicode_entry(cursor->unicode, code_point));
        cursor->at += size;
        copy_plain(cursor);
    }
    return SLUICE_OK;
}

sluice_status sl_normalize(const sl_unicode *unicode, sluice_span text, bool counting,
                           sl_kernel kernel, sl_normal *normal)
{
    normal->size = 0;
    normal->seen = 0;
    normal->counts = (sl_counts){0};
    SLUICE_TRY(sl_normal_reserve(normal, text.size + text.size / 2));
    text_cursor cursor = {.unicode = unicode,
                          .begin = text.data,
                          .at = text.data,
                          .end = text.data + text.size,
                          .normal = normal,
                          .counting = counting,
                          .line_empty = true};
    while (cursor.at < cursor.end) {
#if defined(__x86_64__)
        if (kernel == SL_KERNEL_AVX512) {
            fold_ascii_avx512(&cursor);
        } else if (kernel == SL_KERNEL_AVX2) {
            fold_ascii_avx2(&cursor);
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
