/* features_word_list_test.c - words of a list are found, others are not, by every kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "features/normalize.h"
#include "features/units.h"
#include "features/word_list.h"

static void test_word_list_finds_its_words_only(void **state)
{
    (void)state;
    sl_unicode *unicode;
    sl_word_list *list;
    sl_normal normal = {0};
    static sl_units units;
    assert_int_equal(sl_unicode_open(&unicode), SLUICE_OK);
    static char words[16 * 1000] = "alpha beta \xc3\xa9t\xc3\xa9";
    for (int i = 0; i < 1000; i++) { /* so many that the look lets others pass */
        sprintf(words + strlen(words), " list%d", i);
    }
    assert_int_equal(sl_word_list_open(unicode, words, 7, &list), SLUICE_OK);
    char text[64 * 400] = "Alpha or gamma, beta ALPHA; \xc3\x89t\xc3\xa9 ";
    for (int i = 0; i < 3000; i++) {
        sprintf(text + strlen(text), "n%d ", i);
    }
    sluice_span span = {(const uint8_t *)text, strlen(text)};
    assert_int_equal(sl_normalize(unicode, span, false, SL_KERNEL_REF, &normal), SLUICE_OK);
    assert_int_equal(sl_units_make(unicode, &normal, 'w', 7, SL_KERNEL_REF, &units), SLUICE_OK);
    assert_int_equal(units.n, 3006);
    for (sl_kernel kernel = SL_KERNEL_REF; kernel <= sl_kernel_best(); kernel++) {
        for (size_t n = 0; n <= SL_WORD_LIST_LOOK; n++) {
            uint64_t all = n == 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1;
            assert_int_equal(sl_word_list_find(list, units.hash, n, kernel), 0x39 & all);
        }
        for (size_t at = 6; at + 64 <= units.n; at += 64) {
            assert_int_equal(sl_word_list_find(list, units.hash + at, 64, kernel), 0);
        }
    }
    span = (sluice_span){(const uint8_t *)words, strlen(words)};
    assert_int_equal(sl_normalize(unicode, span, false, SL_KERNEL_REF, &normal), SLUICE_OK);
    assert_int_equal(sl_units_make(unicode, &normal, 'w', 7, SL_KERNEL_REF, &units), SLUICE_OK);
    for (sl_kernel kernel = SL_KERNEL_REF; kernel <= sl_kernel_best(); kernel++) {
        for (size_t at = 0; at + 64 <= units.n; at += 64) {
            assert_true(sl_word_list_find(list, units.hash + at, 64, kernel) == UINT64_MAX);
        }
    }
    sl_units_fini(&units);
    sl_normal_fini(&normal);
    sl_word_list_close(&list);
    sl_unicode_close(&unicode);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_word_list_finds_its_words_only)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
