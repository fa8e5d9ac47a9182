/* features_normalize_test.c - what texts become before they are compared, by every kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "features/normalize.h"

typedef struct normal_fixture {
    sl_unicode *unicode;
    sl_normal normal;
} normal_fixture;

static int open_fixture(void **state)
{
    static normal_fixture fixture;
    *state = &fixture;
    return sl_unicode_open(&fixture.unicode) == SLUICE_OK ? 0 : -1;
}

static int close_fixture(void **state)
{
    normal_fixture *fixture = *state;
    sl_unicode_close(&fixture->unicode);
    sl_normal_fini(&fixture->normal);
    return 0;
}

static sluice_status normalize(normal_fixture *fixture, const char *text, size_t size,
                               sl_kernel kernel)
{
    /* A copy of exactly that size, so that reading past the end is seen by a sanitizer. */
    uint8_t *copy = malloc(size + (size == 0));
    assert_non_null(copy);
    memcpy(copy, text, size);
    sluice_status status =
        sl_normalize(fixture->unicode, (sluice_span){copy, size}, true, kernel, &fixture->normal);
    free(copy);
    return status;
}

static void assert_normal(void **state, const char *text, const char *wanted)
{
    normal_fixture *fixture = *state;
    for (int kernel = 0; kernel <= (int)sl_kernel_best(); kernel++) {
        assert_int_equal(normalize(fixture, text, strlen(text), (sl_kernel)kernel), SLUICE_OK);
        assert_int_equal(fixture->normal.size, strlen(wanted));
        assert_memory_equal(fixture->normal.data, wanted, strlen(wanted));
        static const uint8_t zeros[SL_NORMAL_SLACK_BYTES];
        assert_memory_equal(fixture->normal.data + fixture->normal.size, zeros, sizeof zeros);
    }
}

static void test_white_space_becomes_one_space_and_none_at_the_ends(void **state)
{
    assert_normal(state,
                  " \t\r\n a \v\f b\xc2\xa0\xe3\x80\x80\xe2\x80\xa8"
                  "c\xc2\x85 ",
                  "a b c");
    assert_normal(state, "", "");
    assert_normal(state, " \n ", "");
    assert_normal(state, "\xe3\x80\x80", "");
    char wide[300];
    memset(wide, ' ', sizeof wide);
    wide[130] = 'A';
    wide[299] = 0;
    assert_normal(state, wide, "a");
}

static void test_case_is_folded_in_full(void **state)
{
    assert_normal(state, "ÀÉ STRASSE Straße ẞ", "àé strasse strasse ss");
    assert_normal(state, "İI", "i̇i");
    assert_normal(state, "ΟΔΥΣΣΕΥΣ ὀδυσσεύς", "οδυσσευσ ὀδυσσεύσ");
    assert_normal(state, "Ⱥ Ꭰ ꭰ", "ⱥ Ꭰ Ꭰ"); /* Cherokee folds to upper case */
}

static void test_composed_and_decomposed_texts_become_equal(void **state)
{
    assert_normal(state, "Cafe\xcc\x81 n\xcc\x83o", "café ño");
    assert_normal(state, "a\xcc\x88\xcc\xa3", "ạ̈"); /* marks in canonical order */
    assert_normal(state, "\xc3\xa4\xcc\xa3", "ạ̈");  /* composed ä, then a mark below it */
    assert_normal(state, "\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab\xe1\x84\x80\xe1\x85\xae\xe1\x86\xa8",
                  "한국"); /* jamo */
    assert_normal(state, "は\xe3\x82\x99か\xe3\x82\x9a", "ばか゚");
}

static void test_compatibility_forms_become_the_usual_ones(void **state)
{
    assert_normal(state, "ﬁ Ｆｕｌｌ ① ｶﾞ ㍿ … ™", "fi full 1 ガ 株式会社 ... tm");
    assert_normal(state, "x²½", "x21⁄2");
    assert_normal(state, "\xc2\xa8x", "\xcc\x88x"); /* a spacing accent is a space and a mark */
}

static void test_default_ignorables_and_controls_stay(void **state)
{
    assert_normal(state,
                  "a\x01"
                  "b\xc2\xad"
                  "c\xe2\x80\x8d",
                  "a\x01"
                  "b\xc2\xad"
                  "c\xe2\x80\x8d");
}

static void test_nul_is_a_character(void **state)
{
    normal_fixture *fixture = *state;
    assert_int_equal(normalize(fixture, "A\0 B", 4, sl_kernel_best()), SLUICE_OK);
    assert_int_equal(fixture->normal.size, 4);
    assert_memory_equal(fixture->normal.data, "a\0 b", 4);
}

static void test_what_is_not_utf8_is_refused(void **state)
{
    static const char *const bad[] = {"\xff",       "abc\x80",       "caf\xe9",
                                      "\xc0\xaf",   "\xed\xa0\x80",  "\xf4\x90\x80\x80",
                                      "世\xe4\xb8", "e\xcc\x81\xcc", "世世世世\xe4\x41\x41"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        for (int kernel = 0; kernel <= (int)sl_kernel_best(); kernel++) {
            assert_int_equal(normalize(*state, bad[i], strlen(bad[i]), (sl_kernel)kernel),
                             SLUICE_E_BADSAMPLE);
        }
    }
}

/* Half a million marks of alternating class: canonical order must not take quadratic time. */
static void test_hostile_run_of_marks_is_ordered_in_time(void **state)
{
    normal_fixture *fixture = *state;
    size_t size = SLUICE_LIMIT_TEXT_BYTES;
    char *text = malloc(size);
    assert_non_null(text);
    for (size_t i = 0; i < size; i += 4) {
        memcpy(text + i, "\xcc\x81\xcc\xa3", 4);
    }
    assert_int_equal(normalize(fixture, text, size, sl_kernel_best()), SLUICE_OK);
    assert_int_equal(fixture->normal.size, size);
    assert_memory_equal(fixture->normal.data, "\xcc\xa3\xcc\xa3", 4);
    assert_memory_equal(fixture->normal.data + size - 4, "\xcc\x81\xcc\x81", 4);
    free(text);
}

/* Marks that become two each, any number of them, every time in new memory. */
static void test_run_of_marks_of_any_length_fits(void **state)
{
    normal_fixture *fixture = *state;
    char text[2 * 700 + 1] = "a";
    for (size_t n = 1; n < 700; n++) {
        memcpy(text + 1 + 2 * (n - 1), "\xcd\x84", 2); /* U+0344: U+0308 U+0301 */
        sl_normal_fini(&fixture->normal);
        assert_int_equal(normalize(fixture, text, 1 + 2 * n, sl_kernel_best()), SLUICE_OK);
        assert_int_equal(fixture->normal.size, 4 * n); /* the first diaeresis goes into an a */
    }
}

static sluice_status normalize_many(normal_fixture *fixture, const char *character, size_t n)
{
    size_t size = strlen(character);
    char *text = malloc(n * size);
    assert_non_null(text);
    for (size_t i = 0; i < n; i++) {
        memcpy(text + i * size, character, size);
    }
    sluice_status status = normalize(fixture, text, n * size, sl_kernel_best());
    free(text);
    return status;
}

/* U+FDFA is 3 bytes and becomes 33, 3 of them spaces between words. */
static void test_expansion_is_bounded(void **state)
{
    size_t most = SL_LIMIT_NORMAL_BYTES / 33 - 4; /* the reserve counts 4 bytes a code point */
    assert_int_equal(normalize_many(*state, "ﷺ", most), SLUICE_OK);
    assert_int_equal(((normal_fixture *)*state)->normal.size, most * 33);
    assert_int_equal(normalize_many(*state, "ﷺ", SL_LIMIT_NORMAL_BYTES / 33 + 1), SLUICE_E_TOOBIG);
    assert_int_equal(normalize_many(*state, "ﷺ", SLUICE_LIMIT_TEXT_BYTES / 3), SLUICE_E_TOOBIG);
    assert_int_equal(normalize_many(*state, "Ⱥ", SLUICE_LIMIT_TEXT_BYTES / 2), SLUICE_OK);
}

static void test_characters_are_counted_by_class(void **state)
{
    normal_fixture *fixture = *state;
    const char *text = "Ab1 世カ한é\xcc\x81,😀\n";
    for (int kernel = 0; kernel <= (int)sl_kernel_best(); kernel++) {
        assert_int_equal(normalize(fixture, text, strlen(text), (sl_kernel)kernel), SLUICE_OK);
        static const uint32_t wanted[SL_N_CLASSES] = {
            [SL_CLASS_LETTER] = 3, [SL_CLASS_DIGIT] = 1, [SL_CLASS_SPACE] = 2,
            [SL_CLASS_HAN] = 1,    [SL_CLASS_KANA] = 1,  [SL_CLASS_HANGUL] = 1,
            [SL_CLASS_MARK] = 1,   [SL_CLASS_PUNCT] = 1, [SL_CLASS_PICTO] = 1};
        assert_memory_equal(fixture->normal.counts.n_class, wanted, sizeof wanted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_white_space_becomes_one_space_and_none_at_the_ends),
        cmocka_unit_test(test_case_is_folded_in_full),
        cmocka_unit_test(test_composed_and_decomposed_texts_become_equal),
        cmocka_unit_test(test_compatibility_forms_become_the_usual_ones),
        cmocka_unit_test(test_default_ignorables_and_controls_stay),
        cmocka_unit_test(test_nul_is_a_character),
        cmocka_unit_test(test_what_is_not_utf8_is_refused),
        cmocka_unit_test(test_hostile_run_of_marks_is_ordered_in_time),
        cmocka_unit_test(test_run_of_marks_of_any_length_fits),
        cmocka_unit_test(test_expansion_is_bounded),
        cmocka_unit_test(test_characters_are_counted_by_class),
    };
    return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}
