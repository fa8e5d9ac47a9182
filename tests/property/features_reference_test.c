/* features_reference_test.c - normalizing and cutting, on random Unicode, against a plain
 * reference.
 *
 * The reference normalizes the whole text with utf8proc_map, folds white space in a loop, and cuts
 * code point by code point from utf8proc's categories. Both kernels must agree with it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <utf8proc.h>

#include "features/normalize.h"
#include "features/units.h"
#include "features/utf8.h"

#define N_TEXTS   20000
#define TEXT_MAX  1500
#define UNITS_MAX 20000
#define UNIT_SEED 7
#define DEFAULT_RUN                                                                                \
    UINT64_C(20261124) /* SLUICE_TEST_SEED: another one, and 20 times as many texts */

static uint64_t rng_state;

static uint32_t random_below(uint32_t n)
{
    rng_state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = rng_state;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)((z ^ z >> 31) % n);
}

/* ---- texts that are hard to get right ---------------------------------------------------------
 */

typedef struct pool {
    uint32_t first, last;
} pool;

static const pool pools[] = {
    {'a', 'z'},         {'A', 'Z'},         {' ', '~'},         {'(', '?'},
    {'+', ','},         {'z', '~'},         {0, 0x7f},          {0xa0, 0xff},
    {0x100, 0x24f},     {0x300, 0x36f},     {0x370, 0x3ff},     {0x400, 0x4ff},
    {0x590, 0x6ff},     {0x900, 0x97f},     {0x9be, 0x9d7},     {0xe00, 0xe7f},
    {0xe80, 0xeff},     {0x1000, 0x109f},   {0x1100, 0x11ff},   {0x1780, 0x17ff},
    {0x1e00, 0x1fff},   {0x2000, 0x206f},   {0x2190, 0x27bf},   {0x3000, 0x30ff},
    {0x3041, 0x309c},   {0x3100, 0x33ff},   {0x4e00, 0x4eff},   {0xac00, 0xacff},
    {0xf900, 0xfaff},   {0xfb00, 0xfdff},   {0xfe00, 0xfe0f},   {0xff00, 0xffef},
    {0x110a0, 0x110c0}, {0x1d100, 0x1d1ff}, {0x1d400, 0x1d4ff}, {0x1f1e6, 0x1f1ff},
    {0x1f300, 0x1f64f}, {0x1f3fb, 0x1f3ff}, {0x1f900, 0x1f9ff}, {0x20000, 0x20010},
    {0x2f800, 0x2fa1f}, {0xe0020, 0xe007f}, {0x200d, 0x200d},   {0x10000, 0x1ffff},
    {0, 0x10ffff},
};

static uint32_t random_code_point(uint32_t i_pool)
{
    uint32_t code_point;
    do {
        pool from = pools[i_pool];
        code_point = from.first + random_below(from.last - from.first + 1);
        /* utf8proc 2.8 lets U+11A7 vanish behind a Hangul syllable, which Unicode does not. */
    } while (code_point - 0xd800 < 0x800 || code_point == 0x11a7);
    return code_point;
}

/* Runs from one pool, so that both the wide and the narrow paths have something to run along. */
static size_t random_text(uint8_t *out)
{
    size_t size = 0;
    size_t wanted = random_below(4) == 0 ? random_below(TEXT_MAX) : random_below(80);
    uint32_t n_pools = sizeof pools / sizeof pools[0];
    while (size < wanted) {
        uint32_t i_pool = random_below(n_pools);
        uint32_t run = 1 + random_below(random_below(3) == 0 ? 100 : 5);
        for (uint32_t i = 0; i < run && size < wanted; i++) {
            if (random_below(8) == 0) {
                out[size++] = (uint8_t) " \n\t  "[random_below(5)];
            }
            size += sl_utf8_encode(random_code_point(i_pool), out + size);
        }
    }
    return size;
}

/* ---- the reference ----------------------------------------------------------------------------
 */

static bool reference_space(int32_t code_point)
{
    utf8proc_category_t category = utf8proc_category(code_point);
    return (code_point >= 9 && code_point <= 13) || code_point == 0x85 ||
           (category >= UTF8PROC_CATEGORY_ZS && category <= UTF8PROC_CATEGORY_ZP);
}

static bool any_of(uint32_t code_point, const char *list)
{
    return code_point > 0 && code_point < 0x80 && strchr(list, (int)code_point) != NULL;
}

static bool between(uint32_t code_point, uint32_t first, uint32_t last)
{
    return code_point >= first && code_point <= last;
}

/* Over the normalized text before white space is folded, `at` being code point i of it. */
static void reference_count(const int32_t *at, size_t i, size_t n, bool *line_empty,
                            sl_counts *counts)
{
    uint32_t c = (uint32_t)at[i];
    counts->cjk += between(c, 0x3400, 0x9fff) || between(c, 0xf900, 0xfaff) ||
                   between(c, 0x20000, 0x3ffff) || (between(c, 0x3041, 0x30ff) && c != 0x30fb) ||
                   between(c, 0x31f0, 0x31ff);
    counts->sea +=
        between(c, 0xe00, 0xeff) || between(c, 0x1000, 0x109f) || between(c, 0x1780, 0x17ff);
    counts->blanks += any_of(c, " \t\n\r");
    counts->digits += any_of(c, "0123456789");
    counts->brackets += any_of(c, "()[]{}");
    counts->binders += any_of(c, "{};=");
    counts->angles += any_of(c, "<>");
    counts->fields += any_of(c, "|\t");
    counts->lines += *line_empty && !reference_space(at[i]);
    *line_empty = c == '\n' || (*line_empty && reference_space(at[i]));
    if (c == ',' && i + 1 < n && !reference_space(at[i + 1])) {
        bool number = i > 0 && any_of((uint32_t)at[i - 1], "0123456789") &&
                      any_of((uint32_t)at[i + 1], "0123456789");
        counts->commas += !number;
    }
}

static void reference_counts(const sl_unicode *unicode, const uint8_t *text, size_t size,
                             sl_counts *counts)
{
    static int32_t points[4 * TEXT_MAX * 12];
    size_t n = 0;
    size_t step = 0;
    for (size_t i = 0; i < size; i += step) {
        points[n++] = (int32_t)sl_utf8_next(text + i, &step);
    }
    memset(counts, 0, sizeof *counts);
    bool line_empty = true;
    for (size_t i = 0; i < n; i++) {
        counts->n_class[sl_entry_class(sl_unicode_entry(unicode, (uint32_t)points[i]))]++;
        reference_count(points, i, n, &line_empty, counts);
    }
}

static size_t reference_normalize(const sl_unicode *unicode, const uint8_t *text, size_t size,
                                  uint8_t **out, sl_counts *counts)
{
    utf8proc_uint8_t *mapped = NULL;
    utf8proc_ssize_t mapped_size =
        utf8proc_map(text, (utf8proc_ssize_t)size, &mapped,
                     UTF8PROC_STABLE | UTF8PROC_COMPAT | UTF8PROC_COMPOSE | UTF8PROC_CASEFOLD);
    assert_true(mapped_size >= 0);
    reference_counts(unicode, mapped, (size_t)mapped_size, counts);
    size_t n = 0;
    size_t step = 0;
    for (size_t i = 0; i < (size_t)mapped_size; i += step) {
        uint32_t code_point = sl_utf8_next(mapped + i, &step);
        if (!reference_space((int32_t)code_point)) {
            memmove(mapped + n, mapped + i, step);
            n += step;
        } else if (n > 0 && mapped[n - 1] != ' ') {
            mapped[n++] = ' ';
        }
    }
    *out = mapped;
    return n > 0 && mapped[n - 1] == ' ' ? n - 1 : n;
}

static bool is_letter(uint32_t c)
{
    utf8proc_category_t category = utf8proc_category((int32_t)c);
    bool counts = category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
    return counts || (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO);
}

static bool is_mark(uint32_t c)
{
    utf8proc_category_t category = utf8proc_category((int32_t)c);
    return category >= UTF8PROC_CATEGORY_MN && category <= UTF8PROC_CATEGORY_ME;
}

static bool is_tone(uint32_t c)
{
    return between(c, 0x1f3fb, 0x1f3ff);
}

static bool is_picto(uint32_t c)
{
    return utf8proc_get_property((int32_t)c)->boundclass ==
           UTF8PROC_BOUNDCLASS_EXTENDED_PICTOGRAPHIC;
}

static bool is_alone(uint32_t c)
{
    bool cjk =
        between(c, 0x2e80, 0x2fdf) || between(c, 0x3005, 0x3007) || between(c, 0x3021, 0x3029) ||
        between(c, 0x3038, 0x303b) || between(c, 0x3040, 0x312f) || between(c, 0x31a0, 0x31bf) ||
        between(c, 0x31f0, 0x31ff) || between(c, 0x3400, 0x9fff) || between(c, 0xf900, 0xfaff) ||
        between(c, 0x1aff0, 0x1afff) || between(c, 0x1b000, 0x1b16f);
    bool sea = between(c, 0xe00, 0xeff) || between(c, 0x1000, 0x109f) ||
               between(c, 0x1780, 0x17ff) || between(c, 0xa9e0, 0xa9ff) ||
               between(c, 0xaa60, 0xaa7f);
    return ((cjk || sea) && is_letter(c)) || between(c, 0x20000, 0x3ffff);
}

static bool is_symbol(uint32_t c)
{
    utf8proc_category_t category = utf8proc_category((int32_t)c);
    return c != '_' && category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_SO;
}

typedef struct text_points {
    uint32_t c[4 * TEXT_MAX * 12];
    size_t n;
} text_points;

static size_t skip_marks(const text_points *points, size_t i)
{
    while (i < points->n && is_mark(points->c[i])) {
        i++;
    }
    return i;
}

/* After a pictograph: marks, tones, tags, and joiners with the pictograph they join. */
static size_t skip_cluster(const text_points *points, size_t i)
{
    bool joined = false;
    for (; i < points->n; i++) {
        uint32_t c = points->c[i];
        if (is_mark(c) || ((is_tone(c) || between(c, 0xe0020, 0xe007f)) && !joined)) {
            joined = false;
        } else if (c == 0x200d && !joined) {
            joined = true;
        } else if (joined && is_picto(c)) {
            joined = false;
        } else {
            break;
        }
    }
    return i;
}

static size_t skip_word(const text_points *points, size_t i)
{
    while (i < points->n &&
           (is_letter(points->c[i]) || is_mark(points->c[i]) || points->c[i] == '_') &&
           !is_alone(points->c[i]) && !is_picto(points->c[i])) {
        i++;
    }
    return i;
}

/* End of the unit that begins at i; i if none does. */
static size_t reference_unit(const text_points *points, size_t i, char unit)
{
    uint32_t c = points->c[i];
    if (between(c, 0x1f1e6, 0x1f1ff)) {
        bool flag = i + 1 < points->n && between(points->c[i + 1], 0x1f1e6, 0x1f1ff);
        if (flag || (i + 1 < points->n && is_mark(points->c[i + 1]))) {
            return skip_cluster(points, i + 2);
        }
        return i + 1;
    }
    if (is_picto(c) || is_tone(c)) {
        return skip_cluster(points, i + 1);
    }
    if (is_alone(c)) {
        return skip_marks(points, i + 1);
    }
    if (is_letter(c) || is_mark(c) || c == '_') {
        return skip_word(points, i);
    }
    return unit == 't' && is_symbol(c) ? i + 1 : i;
}

static void decode_points(const uint8_t *text, size_t size, text_points *points)
{
    points->n = 0;
    size_t step = 0;
    for (size_t i = 0; i < size; i += step) {
        points->c[points->n++] = sl_utf8_next(text + i, &step);
    }
}

/* The units as spans of bytes, each ended by a line feed. */
static size_t reference_cut(const uint8_t *text, size_t size, char unit, size_t *begin, size_t *end)
{
    static text_points points;
    decode_points(text, size, &points);
    size_t n = 0;
    size_t at = 0;
    for (size_t i = 0; i < points.n;) {
        size_t until = reference_unit(&points, i, unit);
        uint8_t ignored[4];
        begin[n] = at;
        for (size_t j = i; j < until || j == i; j++) {
            at += sl_utf8_encode(points.c[j], ignored);
        }
        end[n] = at;
        n += until > i;
        i = until > i ? until : i + 1;
    }
    return n;
}

/* ---- the comparison ---------------------------------------------------------------------------
 */

typedef struct text_fixture {
    sl_unicode *unicode;
    sl_normal normal, one;
    sl_units units, single;
} text_fixture;

static int open_fixture(void **state)
{
    static text_fixture fixture;
    *state = &fixture;
    return sl_unicode_open(&fixture.unicode) == SLUICE_OK ? 0 : -1;
}

static int close_fixture(void **state)
{
    text_fixture *fixture = *state;
    sl_unicode_close(&fixture->unicode);
    sl_normal_fini(&fixture->normal);
    sl_normal_fini(&fixture->one);
    sl_units_fini(&fixture->units);
    sl_units_fini(&fixture->single);
    return 0;
}

static void print_text(const uint8_t *text, size_t size)
{
    size_t step = 0;
    for (size_t i = 0; i < size; i += step) {
        fprintf(stderr, "U+%04X ", sl_utf8_next(text + i, &step));
    }
    fprintf(stderr, "\n");
}

/* A span alone is one unit with the same hash. */
static uint64_t hash_alone(text_fixture *fixture, const uint8_t *text, size_t size, char unit)
{
    assert_int_equal(sl_normal_reserve(&fixture->one, size), SLUICE_OK);
    memcpy(fixture->one.data, text, size);
    memset(fixture->one.data + size, 0, SL_NORMAL_SLACK_BYTES);
    fixture->one.size = size;
    assert_int_equal(sl_units_make(fixture->unicode, &fixture->one, unit, UNIT_SEED, SL_KERNEL_REF,
                                   &fixture->single),
                     SLUICE_OK);
    if (fixture->single.n != 1) {
        print_text(text, size);
    }
    assert_int_equal(fixture->single.n, 1);
    return fixture->single.hash[0];
}

static void compare_units(text_fixture *fixture, const uint8_t *text, size_t size, char unit,
                          sl_kernel kernel)
{
    static size_t begin[UNITS_MAX], end[UNITS_MAX];
    size_t n = reference_cut(text, size, unit, begin, end);
    assert_int_equal(
        sl_units_make(fixture->unicode, &fixture->normal, unit, UNIT_SEED, kernel, &fixture->units),
        SLUICE_OK);
    for (size_t i = 0; i < n && i < fixture->units.n; i++) {
        uint64_t wanted = hash_alone(fixture, text + begin[i], end[i] - begin[i], unit);
        if (fixture->units.hash[i] != wanted) {
            fprintf(stderr, "unit %zu: ", i);
            print_text(text + begin[i], end[i] - begin[i]);
            print_text(text, size);
        }
        assert_true(fixture->units.hash[i] == wanted);
    }
    if (fixture->units.n != n) {
        print_text(text, size);
    }
    assert_int_equal(fixture->units.n, n);
}

static void compare_text(text_fixture *fixture, const uint8_t *text, size_t size, sl_kernel kernel)
{
    uint8_t *wanted = NULL;
    sl_counts counts;
    size_t wanted_size = reference_normalize(fixture->unicode, text, size, &wanted, &counts);
    assert_int_equal(
        sl_normalize(fixture->unicode, (sluice_span){text, size}, true, kernel, &fixture->normal),
        SLUICE_OK);
    if (fixture->normal.size != wanted_size ||
        memcmp(fixture->normal.data, wanted, wanted_size) != 0) {
        print_text(text, size);
        print_text(wanted, wanted_size);
        print_text(fixture->normal.data, fixture->normal.size);
    }
    assert_int_equal(fixture->normal.size, wanted_size);
    assert_memory_equal(fixture->normal.data, wanted, wanted_size);
    if (memcmp(&fixture->normal.counts, &counts, sizeof counts) != 0) {
        print_text(text, size);
    }
    assert_memory_equal(&fixture->normal.counts, &counts, sizeof counts);
    compare_units(fixture, wanted, wanted_size, 'w', kernel);
    compare_units(fixture, wanted, wanted_size, 't', kernel);
    free(wanted);
}

static void test_random_text_equals_reference(void **state)
{
    const char *seed = getenv("SLUICE_TEST_SEED");
    rng_state = seed != NULL ? strtoull(seed, NULL, 10) : DEFAULT_RUN;
    int n_texts = seed != NULL ? 20 * N_TEXTS : N_TEXTS;
    print_message("seed %llu\n", (unsigned long long)rng_state);
    static uint8_t text[TEXT_MAX + 8];
    for (int i = 0; i < n_texts; i++) {
        size_t size = random_text(text);
        for (sl_kernel kernel = SL_KERNEL_REF; kernel <= sl_kernel_best(); kernel++) {
            compare_text(*state, text, size, kernel);
        }
    }
}

/* Broken at a random place, a text is refused by all kernels exactly if it is not UTF-8. */
static void test_random_bytes_are_refused_or_not_by_all_kernels(void **state)
{
    text_fixture *fixture = *state;
    static uint8_t text[TEXT_MAX + 8];
    for (int i = 0; i < N_TEXTS; i++) {
        sluice_span span = {text, random_text(text)};
        if (span.size == 0) {
            continue;
        }
        text[random_below((uint32_t)span.size)] = (uint8_t)random_below(256);
        bool valid = true;
        utf8proc_int32_t ignored;
        for (size_t at = 0; at < span.size && valid;) {
            utf8proc_ssize_t size =
                utf8proc_iterate(text + at, (utf8proc_ssize_t)(span.size - at), &ignored);
            valid = size > 0;
            at += valid ? (size_t)size : 0;
        }
        sluice_status wanted = valid ? SLUICE_OK : SLUICE_E_BADSAMPLE;
        for (sl_kernel kernel = SL_KERNEL_REF; kernel <= sl_kernel_best(); kernel++) {
            assert_int_equal(sl_normalize(fixture->unicode, span, true, kernel, &fixture->normal),
                             wanted);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_text_equals_reference),
        cmocka_unit_test(test_random_bytes_are_refused_or_not_by_all_kernels),
    };
    return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}
