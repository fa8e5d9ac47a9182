/* unicode.c - what normalizing and cutting into units need to know of one code point.
 *
 *   entry   | continue special folds | class 4 bits |   | mapped, 21 bits |
 *
 * Normalizing is NFKC with full case folding, as utf8proc does it: decompose and fold each code
 * point, put marks in canonical order, compose. Nearly all text is made of code points that become
 * one code point each and touch no neighbour (SIMPLE): for them a table look-up is the whole of it.
 *
 *   SPECIAL   becomes several code points (a ligature, sharp s)
 *   CONTINUE  its decomposition starts with a mark, or with something that may compose with the
 *             character before it (a Hangul vowel): whatever precedes has to be looked at again
 *
 * So text falls into segments "(SIMPLE or SPECIAL) CONTINUE*" that normalize independently.
 * Why at open and not at build time: the tables then are those of the utf8proc that runs, and there
 * is one source for both paths.
 * Why a stable counting sort for the order: utf8proc's own is quadratic on a hostile run of marks.
 * Source: Unicode Standard Annex 15 (normalization), 29 (text segmentation). */
#include "features/unicode.h"
#include "features/fold_chinese.h"

#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#define DECOMPOSITION (UTF8PROC_STABLE | UTF8PROC_COMPAT | UTF8PROC_COMPOSE | UTF8PROC_CASEFOLD)

typedef struct range {
    uint32_t first, last;
    sl_class class;
} range;

/* Scripts whose letters are not plain letters. Letters and numbers only; in order. */
static const range scripts[] = {
    {0x0e00, 0x0eff, SL_CLASS_SEA},    {0x1000, 0x109f, SL_CLASS_SEA},
    {0x1100, 0x11ff, SL_CLASS_HANGUL}, {0x1780, 0x17ff, SL_CLASS_SEA},
    {0x2e80, 0x2fdf, SL_CLASS_HAN},    {0x3005, 0x3007, SL_CLASS_HAN},
    {0x3021, 0x3029, SL_CLASS_HAN},    {0x3038, 0x303b, SL_CLASS_HAN},
    {0x3040, 0x30ff, SL_CLASS_KANA},   {0x3100, 0x312f, SL_CLASS_HAN},
    {0x3130, 0x318f, SL_CLASS_HANGUL}, {0x31a0, 0x31bf, SL_CLASS_HAN},
    {0x31f0, 0x31ff, SL_CLASS_KANA},   {0x3400, 0x4dbf, SL_CLASS_HAN},
    {0x4e00, 0x9fff, SL_CLASS_HAN},    {0xa960, 0xa97f, SL_CLASS_HANGUL},
    {0xa9e0, 0xa9ff, SL_CLASS_SEA},    {0xaa60, 0xaa7f, SL_CLASS_SEA},
    {0xac00, 0xd7ff, SL_CLASS_HANGUL}, {0xf900, 0xfaff, SL_CLASS_HAN},
    {0xff66, 0xff9d, SL_CLASS_KANA},   {0xffa0, 0xffdc, SL_CLASS_HANGUL},
    {0x1aff0, 0x1afff, SL_CLASS_KANA}, {0x1b000, 0x1b16f, SL_CLASS_KANA},
    {0x20000, 0x3ffff, SL_CLASS_HAN},
};

static sl_class script_of(uint32_t code_point, sl_class otherwise)
{
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
        if (code_point <= scripts[i].last) {
            return code_point >= scripts[i].first ? scripts[i].class : otherwise;
        }
    }
    return otherwise;
}

static sl_class class_of(uint32_t code_point)
{
    const utf8proc_property_t *property = utf8proc_get_property((utf8proc_int32_t)code_point);
    if (code_point == 0x200d) {
        return SL_CLASS_ZWJ;
    }
    if (code_point - 0x1f3fb < 5) {
        return SL_CLASS_MODIFIER;
    }
    if (code_point - 0x1f1e6 < 26) {
        return SL_CLASS_REGIONAL;
    }
    if (code_point - 0xe0020 < 0x60) {
        return SL_CLASS_TAG;
    }
    if ((code_point - 9 < 5) || code_point == 0x85) {
        return SL_CLASS_SPACE;
    }
    if (property->boundclass == UTF8PROC_BOUNDCLASS_EXTENDED_PICTOGRAPHIC) {
        return SL_CLASS_PICTO;
    }
    switch (property->category) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
        return script_of(code_point, SL_CLASS_LETTER);
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
        return script_of(code_point, SL_CLASS_DIGIT);
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
        return SL_CLASS_MARK;
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
        return SL_CLASS_SPACE;
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
        /* Planes 2 and 3 hold nothing but ideographs, also some that utf8proc does not know. */
        return code_point - 0x20000 < 0x20000 ? SL_CLASS_HAN : SL_CLASS_OTHER;
    default:
        return code_point == '_' ? SL_CLASS_LETTER : SL_CLASS_PUNCT;
    }
}

static bool is_second(const sl_unicode *unicode, uint32_t code_point)
{
    return code_point < SL_UNICODE_SECONDS &&
           (unicode->second[code_point / 64] >> (code_point % 64) & 1) != 0;
}

static uint8_t combining_class(int32_t code_point)
{
    return (uint8_t)utf8proc_get_property(code_point)->combining_class;
}

uint32_t sl_unicode_decompose(uint32_t code_point, int32_t *out)
{
    int last_boundary = 0;
    utf8proc_ssize_t n = utf8proc_decompose_char(
        (utf8proc_int32_t)code_point, out, SL_UNICODE_EXPANDED, DECOMPOSITION, &last_boundary);
    SLUICE_ASSERT(n > 0 && n <= SL_UNICODE_EXPANDED);
    return (uint32_t)n;
}

/* Sorts one run of marks by combining class, equal classes as they came. */
static void order_marks(int32_t *mark, int32_t *order, uint32_t n)
{
    uint32_t place[256] = {0};
    for (uint32_t i = 0; i < n; i++) {
        place[combining_class(mark[i])]++;
    }
    uint32_t sum = 0;
    for (uint32_t class = 0; class < 256; class ++) {
        uint32_t count = place[class];
        place[class] = sum;
        sum += count;
    }
    for (uint32_t i = 0; i < n; i++) {
        order[place[combining_class(mark[i])]++] = mark[i];
    }
    memcpy(mark, order, n * sizeof *mark);
}

uint32_t sl_unicode_compose(int32_t *code_point, int32_t *order, uint32_t n)
{
    uint32_t i = 0;
    while (i < n) {
        uint32_t first = i;
        while (i < n && combining_class(code_point[i]) != 0) {
            i++;
        }
        if (i - first > 1) {
            order_marks(code_point + first, order, i - first);
        }
        i += i == first;
    }
    utf8proc_ssize_t composed = utf8proc_normalize_utf32(code_point, (utf8proc_ssize_t)n,
                                                         UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    SLUICE_ASSERT(composed > 0 || n == 0);
    return (uint32_t)composed;
}

/* What sl_counts counts of scripts, and whether folding changes the character. */
static uint32_t script_flags(uint32_t code_point)
{
    uint32_t c = code_point;
    bool ideograph = c - 0x3400 < 0xa000 - 0x3400 || c - 0xf900 < 0x200 || c - 0x20000 < 0x20000;
    bool kana = (c - 0x3041 < 0x3100 - 0x3041 && c != 0x30fb) || c - 0x31f0 < 0x10;
    bool sea = c - 0xe00 < 0x100 || c - 0x1000 < 0xa0 || c - 0x1780 < 0x80;
    return (ideograph || kana ? SL_ENTRY_CJK : 0) | (sea ? SL_ENTRY_SEA : 0) |
           (sl_fold_character(c) != c ? SL_ENTRY_FOLDS : 0);
}

uint32_t sl_unicode_compute(const sl_unicode *unicode, uint32_t code_point)
{
    uint32_t about = (uint32_t)class_of(code_point) << SL_ENTRY_CLASS_SHIFT;
    about |= script_flags(code_point);
    int32_t expanded[SL_UNICODE_EXPANDED];
    int32_t order[SL_UNICODE_EXPANDED];
    uint32_t n = sl_unicode_decompose(code_point, expanded);
    if (combining_class(expanded[0]) != 0 || is_second(unicode, (uint32_t)expanded[0])) {
        return about | SL_ENTRY_CONTINUE;
    }
    n = sl_unicode_compose(expanded, order, n);
    /* White space that stays as it is (U+2028) must not be copied as if it were a letter. */
    bool copied = sl_entry_class(about) == SL_CLASS_SPACE && code_point > 0x7f &&
                  (uint32_t)expanded[0] == code_point;
    return n == 1 && !copied ? about | (uint32_t)expanded[0] : about | SL_ENTRY_SPECIAL;
}

/* Marks what any canonical decomposition holds after its first code point: a superset of what
 * composes backwards. */
static void find_seconds(sl_unicode *unicode, uint32_t first, uint32_t last)
{
    for (uint32_t code_point = first; code_point <= last; code_point++) {
        int32_t expanded[SL_UNICODE_EXPANDED];
        int last_boundary = 0;
        utf8proc_ssize_t n =
            utf8proc_decompose_char((utf8proc_int32_t)code_point, expanded, SL_UNICODE_EXPANDED,
                                    UTF8PROC_STABLE | UTF8PROC_DECOMPOSE, &last_boundary);
        for (utf8proc_ssize_t i = 1; i < n; i++) {
            uint32_t second = (uint32_t)expanded[i];
            unicode->second[second / 64] |= UINT64_C(1) << (second % 64);
        }
    }
}

uint8_t sl_entry_brief(uint32_t entry, uint32_t code_point)
{
    bool same = sl_entry_simple(entry) && (entry & SL_ENTRY_MAPPED) == code_point &&
                sl_entry_class(entry) != SL_CLASS_SPACE && code_point != 0;
    return (uint8_t)((uint32_t)sl_entry_class(entry) |
                     ((entry & SL_ENTRY_FOLDS) != 0 ? SL_BRIEF_FOLDS : 0u) |
                     ((entry & SL_ENTRY_CJK) != 0 ? SL_BRIEF_CJK : 0u) |
                     ((entry & SL_ENTRY_SEA) != 0 ? SL_BRIEF_SEA : 0u) |
                     (same ? SL_BRIEF_SAME : 0u));
}

static bool is_surrogate(uint32_t code_point)
{
    return code_point - 0xd800 < 0x800;
}

/* The large ranges in which every character stands for itself. */
static bool is_plain_han_or_hangul(uint32_t code_point)
{
    return code_point - 0x3400 < 0x4dc0 - 0x3400 || code_point - 0x4e00 < 0xa000 - 0x4e00 ||
           code_point - 0xac00 < 0xd7a4 - 0xac00;
}

static uint32_t describe(const sl_unicode *unicode, uint32_t code_point)
{
    if (is_surrogate(code_point)) {
        return 0;
    }
    if (is_plain_han_or_hangul(code_point)) {
        sl_class plain = code_point < 0xac00 ? SL_CLASS_HAN : SL_CLASS_HANGUL;
        return code_point | (uint32_t)plain << SL_ENTRY_CLASS_SHIFT | script_flags(code_point);
    }
    return sl_unicode_compute(unicode, code_point);
}

static bool is_one_of(uint32_t code_point, const char *list)
{
    return code_point != 0 && strchr(list, (int)code_point) != NULL;
}

static uint8_t ascii_bits(uint32_t code_point, sl_class class)
{
    bool digit = code_point - '0' < 10;
    bool word = class == SL_CLASS_LETTER || class == SL_CLASS_DIGIT;
    return (uint8_t)((class == SL_CLASS_SPACE ? SL_ASCII_SPACE : 0) |
                     (class == SL_CLASS_PUNCT ? SL_ASCII_PUNCT : 0) | (word ? SL_ASCII_WORD : 0) |
                     (digit ? SL_ASCII_DIGIT : 0) |
                     (is_one_of(code_point, "()[]{}") ? SL_ASCII_BRACKET : 0) |
                     (is_one_of(code_point, "{};=") ? SL_ASCII_BINDER : 0) |
                     (is_one_of(code_point, "<>") ? SL_ASCII_ANGLE : 0) |
                     (is_one_of(code_point, "|\t") ? SL_ASCII_FIELD : 0));
}

sluice_status sl_unicode_open(sl_unicode **out)
{
    *out = NULL;
    sl_unicode *unicode = calloc(1, sizeof *unicode);
    if (unicode == NULL) {
        return SLUICE_E_NOMEM;
    }
    /* All composites there are outside these ranges, but Hangul, would be found by
     * tests/unit/features_unicode_test.c. */
    find_seconds(unicode, 0xc0, 0x33ff);
    find_seconds(unicode, 0xac00, 0xac00 + 28 * 21);
    find_seconds(unicode, 0xf900, 0xfaff);
    find_seconds(unicode, 0x11000, 0x11fff);
    find_seconds(unicode, 0x1d100, 0x1d1ff);
    for (uint32_t code_point = 0; code_point < SL_UNICODE_PLANE; code_point++) {
        unicode->entry[code_point] = describe(unicode, code_point);
    }
    for (uint32_t i = SL_UNICODE_PLANE; i < SL_UNICODE_ENTRIES; i++) {
        unicode->entry[i] = describe(unicode, SL_UNICODE_PICTO + i - SL_UNICODE_PLANE);
    }
    for (uint32_t code_point = 0; code_point < SL_UNICODE_PLANE; code_point++) {
        unicode->brief[code_point] = sl_entry_brief(unicode->entry[code_point], code_point);
    }
    for (uint32_t code_point = 0; code_point < 128; code_point++) {
        unicode->ascii[code_point] = ascii_bits(code_point, class_of(code_point));
        unicode->ascii_steps[code_point] =
            unicode->ascii[code_point] ^ (code_point < 16 ? 0 : unicode->ascii[code_point - 16]);
    }
    *out = unicode;
    return SLUICE_OK;
}

void sl_unicode_close(sl_unicode **unicode_p)
{
    free(*unicode_p);
    *unicode_p = NULL;
}
