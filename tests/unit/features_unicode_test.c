/* features_unicode_test.c - the table of code points against utf8proc itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <utf8proc.h>

#include "features/unicode.h"
#include "features/utf8.h"

#define LAST_CODE_POINT 0x10ffffu

static int open_unicode(void **state)
{
    return sl_unicode_open((sl_unicode **)state) == SLUICE_OK ? 0 : -1;
}

static int close_unicode(void **state)
{
    sl_unicode_close((sl_unicode **)state);
    return 0;
}

static bool is_surrogate(uint32_t code_point)
{
    return code_point - 0xd800 < 0x800;
}

static void test_unicode_table_equals_computation(void **state)
{
    const sl_unicode *unicode = *state;
    for (uint32_t code_point = 0; code_point <= 0x1ffff; code_point++) {
        if (!is_surrogate(code_point)) {
            assert_int_equal(sl_unicode_entry(unicode, code_point),
                             sl_unicode_compute(unicode, code_point));
        }
    }
}

/* Every code point that ends a canonical composition must be known to the table as one, or a text
 * would depend on how it was composed. */
static void test_unicode_seconds_are_complete(void **state)
{
    const sl_unicode *unicode = *state;
    for (uint32_t code_point = 0; code_point <= LAST_CODE_POINT; code_point++) {
        int32_t parts[SL_UNICODE_EXPANDED];
        int boundary = 0;
        utf8proc_ssize_t n =
            is_surrogate(code_point)
                ? 0
                : utf8proc_decompose_char((int32_t)code_point, parts, SL_UNICODE_EXPANDED,
                                          UTF8PROC_STABLE | UTF8PROC_DECOMPOSE, &boundary);
        for (utf8proc_ssize_t i = 1; i < n; i++) {
            uint32_t entry = sl_unicode_entry(unicode, (uint32_t)parts[i]);
            bool folded_away = parts[i] == 0x345; /* the iota below, which folds to an iota */
            assert_true((entry & SL_ENTRY_CONTINUE) != 0 || folded_away);
        }
    }
}

/* sl_normalize sizes its output by this. */
static void test_unicode_simple_mapping_grows_by_half_at_most(void **state)
{
    for (uint32_t code_point = 0; code_point <= LAST_CODE_POINT; code_point++) {
        uint32_t entry =
            is_surrogate(code_point) ? SL_ENTRY_SPECIAL : sl_unicode_entry(*state, code_point);
        if (sl_entry_simple(entry)) {
            uint8_t from[4], to[4];
            size_t size = sl_utf8_encode(code_point, from);
            size_t mapped = sl_utf8_encode(entry & SL_ENTRY_MAPPED, to);
            assert_true(2 * mapped <= 3 * size);
        }
    }
}

static void test_unicode_classes_are_as_documented(void **state)
{
    static const struct {
        uint32_t code_point;
        sl_class class;
    } rows[] = {
        {'a', SL_CLASS_LETTER},       {'_', SL_CLASS_LETTER},       {'7', SL_CLASS_DIGIT},
        {'-', SL_CLASS_PUNCT},        {'$', SL_CLASS_PUNCT},        {'\t', SL_CLASS_SPACE},
        {0xa0, SL_CLASS_SPACE},       {0x85, SL_CLASS_SPACE},       {0x2028, SL_CLASS_SPACE},
        {0x3000, SL_CLASS_SPACE},     {0, SL_CLASS_OTHER},          {0xad, SL_CLASS_OTHER},
        {0x200b, SL_CLASS_OTHER},     {0x301, SL_CLASS_MARK},       {0xfe0f, SL_CLASS_MARK},
        {0x4e16, SL_CLASS_HAN},       {0x3007, SL_CLASS_HAN},       {0x2ffff - 2, SL_CLASS_HAN},
        {0x30ab, SL_CLASS_KANA},      {0x30fc, SL_CLASS_KANA},      {0x30fb, SL_CLASS_PUNCT},
        {0xac00, SL_CLASS_HANGUL},    {0x1100, SL_CLASS_HANGUL},    {0xe01, SL_CLASS_SEA},
        {0xe50, SL_CLASS_SEA},        {0x1f600, SL_CLASS_PICTO},    {0xa9, SL_CLASS_PICTO},
        {0x1f3fd, SL_CLASS_MODIFIER}, {0x1f1f5, SL_CLASS_REGIONAL}, {0x200d, SL_CLASS_ZWJ},
        {0xe0067, SL_CLASS_TAG},      {0x10ffff, SL_CLASS_OTHER}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(sl_entry_class(sl_unicode_entry(*state, rows[i].code_point)),
                         rows[i].class);
    }
}

static void test_utf8_decode_accepts_exactly_the_scalar_values(void **state)
{
    (void)state;
    for (uint32_t code_point = 0; code_point <= LAST_CODE_POINT; code_point++) {
        uint8_t bytes[4];
        size_t size = sl_utf8_encode(code_point, bytes);
        size_t read = 0;
        uint32_t wanted = is_surrogate(code_point) ? SL_UTF8_BAD : code_point;
        assert_int_equal(sl_utf8_decode(bytes, size, &read), wanted);
        if (size > 1) {
            assert_int_equal(sl_utf8_decode(bytes, size - 1, &read), SL_UTF8_BAD);
            bytes[size - 1] &= 0x7f;
            assert_int_equal(sl_utf8_decode(bytes, size, &read), SL_UTF8_BAD);
        }
    }
    static const char *const bad[] = {"\x80",         "\xc0\x80",         "\xc1\xbf",
                                      "\xe0\x80\x80", "\xf0\x80\x80\x80", "\xf4\x90\x80\x80",
                                      "\xff",         "\xe1\x80\xc0",     "\xf8\x88\x80\x80\x80"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        size_t read = 0;
        assert_int_equal(sl_utf8_decode((const uint8_t *)bad[i], 4, &read), SL_UTF8_BAD);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unicode_table_equals_computation),
        cmocka_unit_test(test_unicode_seconds_are_complete),
        cmocka_unit_test(test_unicode_simple_mapping_grows_by_half_at_most),
        cmocka_unit_test(test_unicode_classes_are_as_documented),
        cmocka_unit_test(test_utf8_decode_accepts_exactly_the_scalar_values),
    };
    return cmocka_run_group_tests(tests, open_unicode, close_unicode);
}
