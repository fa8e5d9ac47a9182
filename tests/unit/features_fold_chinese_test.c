/* features_fold_chinese_test.c - Traditional characters become Simplified ones, others stay. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "features/fold_chinese.h"

typedef struct fold_fixture {
    sl_unicode *unicode;
    sl_normal normal, folded;
} fold_fixture;

static int open_fixture(void **state)
{
    static fold_fixture fixture;
    *state = &fixture;
    return sl_unicode_open(&fixture.unicode) == SLUICE_OK ? 0 : -1;
}

static int close_fixture(void **state)
{
    fold_fixture *fixture = *state;
    sl_unicode_close(&fixture->unicode);
    sl_normal_fini(&fixture->normal);
    sl_normal_fini(&fixture->folded);
    return 0;
}

static void assert_folds(void **state, const char *text, const char *wanted)
{
    fold_fixture *fixture = *state;
    sluice_span span = {(const uint8_t *)text, strlen(text)};
    assert_int_equal(
        sl_normalize(fixture->unicode, span, false, sl_kernel_best(), &fixture->normal), SLUICE_OK);
    assert_int_equal((fixture->normal.seen & SL_ENTRY_FOLDS) != 0, strcmp(text, wanted) != 0);
    assert_int_equal(sl_fold_chinese(fixture->unicode, &fixture->normal, &fixture->folded),
                     SLUICE_OK);
    assert_int_equal(fixture->folded.size, strlen(wanted));
    assert_memory_equal(fixture->folded.data, wanted, strlen(wanted));
    static const uint8_t zeros[SL_NORMAL_SLACK_BYTES];
    assert_memory_equal(fixture->folded.data + fixture->folded.size, zeros, sizeof zeros);
}

static void test_traditional_text_becomes_simplified(void **state)
{
    assert_folds(state, "漢字與國語 é x", "汉字与国语 é x");
    assert_folds(state, "發髮", "发发"); /* merged in Simplified */
}

static void test_other_text_stays(void **state)
{
    assert_folds(state, "汉字与国语", "汉字与国语");
    assert_folds(state, "plain ascii ひらがな 한국어 😀", "plain ascii ひらがな 한국어 😀");
    assert_folds(state, "", "");
}

/* The first candidate where OpenCC lists several. */
static void test_first_candidate_counts(void **state)
{
    (void)state;
    assert_int_equal(sl_fold_character(0x5e79), 0x5e72); /* 幹 */
    assert_int_equal(sl_fold_character(0x962a), 0x962a); /* 阪 is its own first candidate */
}

static void test_three_bytes_may_become_four_and_four_three(void **state)
{
    assert_folds(state, "䂎䆉𨋢𨦫𩀨𩅙", "𥎝𫁂䢂䦀𫕚𫕨");
}

static void test_long_text_that_grows_fits(void **state)
{
    enum { N = 60000 };
    fold_fixture *fixture = *state;
    char *text = malloc(3 * N);
    assert_non_null(text);
    for (size_t i = 0; i < N; i++) {
        memcpy(text + 3 * i, "䂎", 3); /* 4 bytes once folded */
    }
    sl_normal_fini(&fixture->folded);
    sluice_span span = {(const uint8_t *)text, 3 * N};
    assert_int_equal(
        sl_normalize(fixture->unicode, span, false, sl_kernel_best(), &fixture->normal), SLUICE_OK);
    assert_int_equal(sl_fold_chinese(fixture->unicode, &fixture->normal, &fixture->folded),
                     SLUICE_OK);
    assert_int_equal(fixture->folded.size, 4 * N);
    free(text);
}

static void test_folding_twice_changes_nothing_more(void **state)
{
    (void)state;
    int folds = 0;
    for (uint32_t code_point = 0; code_point < 0x40000; code_point++) {
        uint32_t once = sl_fold_character(code_point);
        assert_int_equal(sl_fold_character(once), once);
        folds += once != code_point;
    }
    assert_true(folds > 4000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_traditional_text_becomes_simplified),
        cmocka_unit_test(test_other_text_stays),
        cmocka_unit_test(test_first_candidate_counts),
        cmocka_unit_test(test_three_bytes_may_become_four_and_four_three),
        cmocka_unit_test(test_long_text_that_grows_fits),
        cmocka_unit_test(test_folding_twice_changes_nothing_more),
    };
    return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}
