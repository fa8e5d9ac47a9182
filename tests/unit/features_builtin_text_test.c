/* features_builtin_text_test.c - views of texts without a model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "features/builtin_text.h"
#include "features/utf8.h"

#define ROWS (SL_BUILTIN_VIEWS * SL_BUILTIN_DIM)

typedef struct fixture {
    sl_unicode *unicode;
    sl_builtin_text *encoder;
    sl_normal normal;
    sl_units units;
} fixture;

static int open_fixture(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    *state = f;
    if (f == NULL || sl_unicode_open(&f->unicode) != SLUICE_OK) {
        return -1;
    }
    f->units.keep_spans = true;
    return sl_builtin_text_open(&f->encoder) == SLUICE_OK ? 0 : -1;
}

static int close_fixture(void **state)
{
    fixture *f = *state;
    sl_builtin_text_close(&f->encoder);
    sl_unicode_close(&f->unicode);
    sl_normal_fini(&f->normal);
    sl_units_fini(&f->units);
    free(f);
    return 0;
}

static bool make_with(fixture *f, const char *text, size_t size, uint64_t seed, sl_kernel kernel,
                      float *rows)
{
    sluice_span span = {(const uint8_t *)text, size};
    assert_int_equal(sl_normalize(f->unicode, span, false, kernel, &f->normal), SLUICE_OK);
    assert_int_equal(sl_units_make(f->unicode, &f->normal, 'w', 0, kernel, &f->units), SLUICE_OK);
    return sl_builtin_text_make(f->encoder, &f->normal, &f->units, seed, rows);
}

static bool make(fixture *f, const char *text, uint64_t seed, float *rows)
{
    return make_with(f, text, strlen(text), seed, sl_kernel_best(), rows);
}

static double cosine(const float *a, const float *b)
{
    double sum = 0;
    for (uint32_t i = 0; i < SL_BUILTIN_DIM; i++) {
        sum += (double)a[i] * (double)b[i];
    }
    return sum;
}

static void assert_unit_rows(const float *rows)
{
    for (uint32_t v = 0; v < SL_BUILTIN_VIEWS; v++) {
        const float *row = rows + (size_t)v * SL_BUILTIN_DIM;
        assert_true(fabs(cosine(row, row) - 1) < 1e-6);
    }
}

static const char fox[] =
    "The quick brown fox jumps over the lazy dog while eleven other animals watch from the fence, "
    "and none of them has seen such a thing before in all of their long and uneventful lives.";

static void test_views_of_a_text_are_unit_rows_that_differ(void **state)
{
    float rows[ROWS];
    assert_true(make(*state, fox, 3, rows));
    assert_unit_rows(rows);
    double drops = cosine(rows, rows + SL_BUILTIN_DIM);
    double crop = cosine(rows, rows + 2 * SL_BUILTIN_DIM);
    assert_true(drops > 0.7 && drops < 0.999);
    assert_true(crop > 0.7 && crop < 0.999);
    assert_true(cosine(rows + SL_BUILTIN_DIM, rows + 2 * SL_BUILTIN_DIM) < 0.999);
}

static void test_views_made_again_after_other_texts_are_the_same_bits(void **state)
{
    float first[ROWS], other[ROWS], again[ROWS];
    assert_true(make(*state, fox, 3, first));
    assert_true(make(*state, "something quite different, and longer than nothing", 9, other));
    assert_true(make(*state, fox, 3, again));
    assert_memory_equal(first, again, sizeof first);
}

static void test_views_of_every_kernel_are_the_same_bits(void **state)
{
    float fast[ROWS], plain[ROWS];
    assert_true(make_with(*state, fox, sizeof fox - 1, 3, sl_kernel_best(), fast));
    assert_true(make_with(*state, fox, sizeof fox - 1, 3, SL_KERNEL_REF, plain));
    assert_memory_equal(fast, plain, sizeof fast);
}

static void test_seed_changes_the_augmentations_and_not_the_anchor(void **state)
{
    float one[ROWS], two[ROWS];
    assert_true(make(*state, fox, 3, one));
    assert_true(make(*state, fox, 4, two));
    assert_memory_equal(one, two, sizeof *one * SL_BUILTIN_DIM);
    assert_memory_not_equal(one + SL_BUILTIN_DIM, two + SL_BUILTIN_DIM,
                            sizeof *one * SL_BUILTIN_DIM);
    assert_memory_not_equal(one + 2 * SL_BUILTIN_DIM, two + 2 * SL_BUILTIN_DIM,
                            sizeof *one * SL_BUILTIN_DIM);
}

static void test_texts_without_words_have_no_views(void **state)
{
    float rows[ROWS];
    assert_false(make(*state, "", 1, rows));
    assert_false(make(*state, " \n\t ", 1, rows));
    assert_false(make(*state, "... --- !!!", 1, rows));
}

static void test_a_single_word_is_in_every_view(void **state)
{
    float rows[ROWS];
    for (uint64_t seed = 0; seed < 200; seed++) {
        assert_true(make(*state, "word", seed, rows));
        assert_memory_equal(rows, rows + SL_BUILTIN_DIM, sizeof *rows * SL_BUILTIN_DIM);
        assert_memory_equal(rows, rows + 2 * SL_BUILTIN_DIM, sizeof *rows * SL_BUILTIN_DIM);
    }
}

/* Words of Korean syllables at random have hardly a piece in common: the share of the anchor that a
 * view has is that of its words. */
static void test_views_hold_the_stated_share_of_the_words(void **state)
{
    char text[8192];
    size_t size = 0;
    uint64_t random = 1;
    for (int i = 0; i < 200 * 6; i++) {
        uint32_t syllable = 0xac00 + (uint32_t)(sl_builtin_draw(&random) % 11172);
        size += i % 6 == 5 ? 0 : sl_utf8_encode(syllable, (uint8_t *)text + size);
        text[size] = ' ';
        size += i % 6 == 5;
    }
    text[size] = '\0';
    double drops = 0, crop = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        float rows[ROWS];
        assert_true(make(*state, text, seed, rows));
        double c1 = cosine(rows, rows + SL_BUILTIN_DIM);
        double c2 = cosine(rows, rows + 2 * SL_BUILTIN_DIM);
        drops += c1 * c1 / 20; /* |part|^2 / |all|^2 where parts do not overlap */
        crop += c2 * c2 / 20;
    }
    assert_float_equal(drops, 0.85, 0.03); /* pairs drop at twice the rate and weigh little */
    assert_float_equal(crop, 0.70, 0.03);
}

static void test_texts_that_share_words_are_nearer_than_others(void **state)
{
    float fire[ROWS], again[ROWS], bank[ROWS];
    assert_true(make(*state, "firefighters battle a forest fire in northern Spain", 1, fire));
    assert_true(make(*state, "a forest fire in Spain: firefighters battle on", 1, again));
    assert_true(make(*state, "central bank raises interest rates by half a point", 1, bank));
    assert_true(cosine(fire, again) > 0.6);
    assert_true(cosine(fire, bank) < 0.3);
}

static void test_chinese_texts_that_share_pairs_are_nearer_than_anagrams(void **state)
{
    float one[ROWS], near[ROWS], anagram[ROWS];
    assert_true(make(*state, "白日依山尽黄河入海流", 1, one));
    assert_true(make(*state, "黄河入海流白日依山尽", 1, near));
    assert_true(make(*state, "流尽海山入依河日黄白", 1, anagram));
    assert_true(cosine(one, near) > cosine(one, anagram) + 0.2);
}

static void fill(char *text, size_t size, const char *pattern)
{
    for (size_t i = 0; i < size; i++) {
        text[i] = pattern[i % strlen(pattern)];
    }
}

static void test_texts_beyond_the_limits_are_told_by_their_beginning(void **state)
{
    const size_t size = SLUICE_LIMIT_TEXT_BYTES;
    char *text = malloc(size);
    assert_non_null(text);
    float rows[ROWS], longer[ROWS], word[ROWS];
    const char *const patterns[] = {"a ", "ab", "a b c d e f g h ", "q"};
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        fill(text, size, patterns[i]);
        assert_true(make_with(*state, text, size, 5, sl_kernel_best(), rows));
        assert_unit_rows(rows);
    }
    /* one word more than is looked at */
    fill(text, size, "word ");
    assert_true(make_with(*state, text, 5 * SL_BUILTIN_TEXT_WORDS, 5, sl_kernel_best(), rows));
    memcpy(text + 5 * SL_BUILTIN_TEXT_WORDS, "other", 5);
    assert_true(
        make_with(*state, text, 5 * SL_BUILTIN_TEXT_WORDS + 5, 5, sl_kernel_best(), longer));
    assert_memory_equal(rows, longer, sizeof rows);
    /* a word with one more character differs as a word, and in no piece of it */
    fill(text, size, "abcdefg");
    assert_true(make_with(*state, text, SL_BUILTIN_TEXT_GRAMS + 1, 5, sl_kernel_best(), rows));
    assert_true(make_with(*state, text, SL_BUILTIN_TEXT_GRAMS + 2, 5, sl_kernel_best(), word));
    assert_true(cosine(rows, word) > 0.2 && cosine(rows, word) < 0.99);
    free(text);
}

/* The values themselves: another machine, compiler or a careless change shows here, and asks for a
 * new name of the encoder (builtin.h). */
static void test_values_are_those_that_the_name_stands_for(void **state)
{
    float rows[ROWS];
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    assert_true(make(*state, fox, 3, rows));
    for (size_t i = 0; i < sizeof rows; i++) {
        hash = (hash ^ ((const uint8_t *)rows)[i]) * UINT64_C(0x100000001b3);
    }
    assert_string_equal(SL_BUILTIN_TEXT_NAME, "sluice-text-1");
    assert_int_equal(hash, UINT64_C(0x1fbd3329104d99c1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_views_of_a_text_are_unit_rows_that_differ),
        cmocka_unit_test(test_views_made_again_after_other_texts_are_the_same_bits),
        cmocka_unit_test(test_views_of_every_kernel_are_the_same_bits),
        cmocka_unit_test(test_seed_changes_the_augmentations_and_not_the_anchor),
        cmocka_unit_test(test_texts_without_words_have_no_views),
        cmocka_unit_test(test_a_single_word_is_in_every_view),
        cmocka_unit_test(test_views_hold_the_stated_share_of_the_words),
        cmocka_unit_test(test_texts_that_share_words_are_nearer_than_others),
        cmocka_unit_test(test_chinese_texts_that_share_pairs_are_nearer_than_anagrams),
        cmocka_unit_test(test_texts_beyond_the_limits_are_told_by_their_beginning),
        cmocka_unit_test(test_values_are_those_that_the_name_stands_for),
    };
    return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}
