/* features_profile_test.c - settings of the named profiles, overrides, and what `auto` takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "features/features.h"
#include "features/profile.h"
#include "features/units.h"

static const sluice_config plain_config; /* zero: no override */

static int open_unicode(void **state)
{
    return sl_unicode_open((sl_unicode **)state) == SLUICE_OK ? 0 : -1;
}

static int close_unicode(void **state)
{
    sl_unicode_close((sl_unicode **)state);
    return 0;
}

static void test_profiles_are_as_documented(void **state)
{
    (void)state;
    static const struct {
        sluice_profile profile;
        char unit;
        uint8_t n, n_bands, band_rows;
        float threshold, brief;
        bool fold_chinese, weighted, numbers;
    } rows[] = {{SLUICE_PROFILE_NEWS, 'w', 3, 17, 5, 0.65F, 0.80F, false, false, true},
                {SLUICE_PROFILE_PROSE, 'w', 1, 32, 4, 0.35F, 0, false, true, false},
                {SLUICE_PROFILE_RECORDS, 'w', 1, 31, 4, 0.52F, 0, false, true, false},
                {SLUICE_PROFILE_CODE, 't', 3, 31, 4, 0.50F, 0, false, true, false},
                {SLUICE_PROFILE_CJK, 'w', 2, 32, 3, 0.35F, 0, true, true, false},
                {SLUICE_PROFILE_PAGES, 'w', 2, 25, 5, 0.65F, 0, true, true, false},
                {SLUICE_PROFILE_LEGAL, 'w', 3, 4, 7, 0.995F, 0, false, false, false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        sl_text_settings settings = sl_text_settings_of(&plain_config, rows[i].profile);
        assert_int_equal(settings.shingle.unit, rows[i].unit);
        assert_int_equal(settings.shingle.n, rows[i].n);
        assert_int_equal(settings.n_bands, rows[i].n_bands);
        assert_int_equal(settings.band_rows, rows[i].band_rows);
        assert_true(settings.threshold == rows[i].threshold);
        assert_true(settings.brief == rows[i].brief);
        assert_int_equal(settings.numbers, rows[i].numbers);
        assert_int_equal(settings.fold_chinese, rows[i].fold_chinese);
        assert_int_equal(settings.weighted, rows[i].weighted);
    }
}

static void test_bands_follow_the_threshold(void **state)
{
    (void)state;
    static const struct {
        double threshold;
        uint8_t n_bands, rows;
    } rows[] = {{.001, 32, 2}, {.30, 32, 2}, {.40, 32, 3}, {.45, 31, 3}, {.50, 32, 4},
                {.55, 31, 4},  {.60, 22, 4}, {.65, 25, 5}, {.70, 17, 5}, {.75, 16, 6},
                {.80, 10, 6},  {.85, 7, 6},  {.90, 5, 7},  {.95, 4, 7},  {1.0, 4, 8}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t n_bands = 0, band_rows = 0;
        sl_bands_of(rows[i].threshold, &n_bands, &band_rows);
        assert_int_equal(n_bands, rows[i].n_bands);
        assert_int_equal(band_rows, rows[i].rows);
    }
    for (double threshold = 0.001; threshold <= 1; threshold += 0.001) {
        uint8_t n_bands = 0, band_rows = 0;
        sl_bands_of(threshold, &n_bands, &band_rows);
        assert_true(n_bands * band_rows <= SLUICE_SKETCH_COORDINATES);
    }
}

static void test_overrides_apply_to_every_profile(void **state)
{
    (void)state;
    sluice_config config = plain_config;
    config.duplicate.text_shingle = (sluice_shingle){'c', 5};
    config.duplicate.text_threshold = 1;
    config.duplicate.text_fold_chinese = SLUICE_YES;
    config.duplicate.text_weights = SLUICE_NO;
    config.duplicate.text_numbers = SLUICE_YES;
    for (int profile = SLUICE_PROFILE_AUTO + 1; profile < SLUICE_N_PROFILES; profile++) {
        sl_text_settings settings = sl_text_settings_of(&config, (sluice_profile)profile);
        assert_int_equal(settings.shingle.unit, 'c');
        assert_int_equal(settings.shingle.n, 5);
        assert_true(settings.threshold == 1 && settings.brief == 0);
        assert_int_equal(settings.n_bands, 4);
        assert_int_equal(settings.band_rows, 8);
        assert_true(settings.fold_chinese);
        assert_false(settings.weighted);
        assert_true(settings.numbers);
    }
    config.duplicate.text_numbers = SLUICE_NO;
    assert_false(sl_text_settings_of(&config, SLUICE_PROFILE_NEWS).numbers);
    config.duplicate.text_weights = SLUICE_YES;
    assert_true(sl_text_settings_of(&config, SLUICE_PROFILE_NEWS).weighted);
    config.duplicate.text_fold_chinese = SLUICE_NO;
    assert_false(sl_text_settings_of(&config, SLUICE_PROFILE_CJK).fold_chinese);
}

static void assert_auto(void **state, const char *text, sluice_profile wanted)
{
    static sl_normal normal;
    static sl_units units;
    sluice_span span = {(const uint8_t *)text, strlen(text)};
    assert_int_equal(sl_normalize(*state, span, true, sl_kernel_best(), &normal), SLUICE_OK);
    assert_int_equal(sl_units_make(*state, &normal, 'w', 1, sl_kernel_best(), &units), SLUICE_OK);
    sl_word_list *legal;
    assert_int_equal(sl_profile_open(*state, 1, &legal), SLUICE_OK);
    sluice_profile chosen = sl_profile_choose(
        &normal.counts, units.n, sl_profile_legal(legal, units.hash, units.n, sl_kernel_best()));
    sluice_profile foreseen = sl_profile_foresee(&normal.counts);
    assert_int_equal(chosen, wanted);
    assert_true(foreseen == SLUICE_PROFILE_AUTO || foreseen == chosen);
    sl_normal_fini(&normal);
    sl_units_fini(&units);
    sl_word_list_close(&legal);
}

static void test_auto_takes_the_profile_of_the_text(void **state)
{
    assert_auto(state, "Lima: el presidente inaugura hoy el puente", SLUICE_PROFILE_NEWS);
    assert_auto(state, "", SLUICE_PROFILE_NEWS);
    assert_auto(state, "今天天气很好我们去公园散步吧大家一起来玩", SLUICE_PROFILE_CJK);
    assert_auto(state, "今天天气很好我们去公园散步吧大家一起来", SLUICE_PROFILE_NEWS); /* 19 */
    assert_auto(state, "public int f ( int a ) { return a ; }", SLUICE_PROFILE_CODE);
    assert_auto(state, "Smith J | On sketches | VLDB | 1999", SLUICE_PROFILE_RECORDS);
    assert_auto(state, "a,b,c,d\n1,x,y,z\n", SLUICE_PROFILE_RECORDS);
    assert_auto(state, "library for sketches\n\nThis package holds\nthe headers.\n",
                SLUICE_PROFILE_PROSE);
    assert_auto(state, "one\ntwo", SLUICE_PROFILE_NEWS);                   /* two lines only */
    assert_auto(state, "call 12\nor 345\nor 6789\n", SLUICE_PROFILE_NEWS); /* digits */
}

static void test_auto_knows_a_licence_by_its_words(void **state)
{
    static const char clause[] = "Permission to redistribute this work is hereby granted and the "
                                 "contributors shall not be liable for any damages ";
    char text[8 * sizeof clause] = "";
    for (int i = 0; i < 3; i++) {
        strcat(text, clause);
        assert_auto(state, text, SLUICE_PROFILE_NEWS); /* 19, 38, 57 words: too short to be one */
    }
    strcat(text, clause);
    assert_auto(state, text, SLUICE_PROFILE_LEGAL);
}

static void test_auto_limits_of_length_and_of_law_are_exact(void **state)
{
    (void)state;
    sl_counts counts = {.n_class[SL_CLASS_LETTER] = 4000, .lines = 1};
    assert_int_equal(sl_profile_choose(&counts, 191, 0), SLUICE_PROFILE_NEWS);
    assert_int_equal(sl_profile_choose(&counts, 192, 0), SLUICE_PROFILE_PAGES);
    assert_int_equal(sl_profile_choose(&counts, 64, 2), SLUICE_PROFILE_LEGAL);
    assert_int_equal(sl_profile_choose(&counts, 63, 2), SLUICE_PROFILE_NEWS);
    assert_int_equal(sl_profile_choose(&counts, 81, 2), SLUICE_PROFILE_NEWS);
    assert_int_equal(sl_profile_choose(&counts, 5000, 7), SLUICE_PROFILE_LEGAL); /* of 256 */
    assert_int_equal(sl_profile_choose(&counts, 5000, 6), SLUICE_PROFILE_PAGES);
    counts = (sl_counts){.n_class[SL_CLASS_HAN] = 400, .cjk = 400};
    assert_int_equal(sl_profile_choose(&counts, 383, 0), SLUICE_PROFILE_CJK);
    assert_int_equal(sl_profile_choose(&counts, 384, 0), SLUICE_PROFILE_PAGES);
}

/* Each limit at its value and one beyond. */
static void test_auto_limits_are_exact(void **state)
{
    (void)state;
    sl_counts counts = {.n_class[SL_CLASS_HAN] = 20, .cjk = 20};
    assert_int_equal(sl_profile_choose(&counts, 160, 0), SLUICE_PROFILE_CJK);
    assert_int_equal(sl_profile_choose(&counts, 161, 0), SLUICE_PROFILE_NEWS);
    assert_int_equal(sl_profile_choose(&counts, 19, 0), SLUICE_PROFILE_NEWS);

    counts = (sl_counts){.n_class[SL_CLASS_LETTER] = 280, .brackets = 7, .binders = 3};
    assert_int_equal(sl_profile_choose(&counts, 50, 0), SLUICE_PROFILE_CODE);
    counts.n_class[SL_CLASS_LETTER] = 281;
    assert_int_equal(sl_profile_choose(&counts, 50, 0), SLUICE_PROFILE_NEWS);
    counts = (sl_counts){.n_class[SL_CLASS_LETTER] = 100, .brackets = 20, .binders = 1};
    assert_int_equal(sl_profile_choose(&counts, 50, 0), SLUICE_PROFILE_CODE);
    counts.n_class[SL_CLASS_LETTER] = 101;
    assert_int_equal(sl_profile_choose(&counts, 50, 0), SLUICE_PROFILE_NEWS);
    counts = (sl_counts){.n_class[SL_CLASS_LETTER] = 10, .binders = 10};
    assert_int_equal(sl_profile_choose(&counts, 50, 0), SLUICE_PROFILE_NEWS);

    counts = (sl_counts){.n_class[SL_CLASS_LETTER] = 500, .fields = 2, .commas = 2, .lines = 2};
    assert_int_equal(sl_profile_choose(&counts, 96, 0), SLUICE_PROFILE_RECORDS);
    assert_int_equal(sl_profile_choose(&counts, 97, 0), SLUICE_PROFILE_NEWS);
    counts.fields = 8;
    assert_int_equal(sl_profile_choose(&counts, 127, 0), SLUICE_PROFILE_RECORDS);
    assert_int_equal(sl_profile_choose(&counts, 128, 0), SLUICE_PROFILE_NEWS);
    counts.lines = 6;
    assert_int_equal(sl_profile_choose(&counts, 127, 0), SLUICE_PROFILE_PROSE);
    counts = (sl_counts){.n_class[SL_CLASS_LETTER] = 20, .fields = 2, .lines = 1};
    assert_int_equal(sl_profile_choose(&counts, 3, 0), SLUICE_PROFILE_NEWS);

    counts = (sl_counts){.n_class[SL_CLASS_LETTER] = 300, .lines = 3, .digits = 18, .angles = 2};
    assert_int_equal(sl_profile_choose(&counts, 127, 0), SLUICE_PROFILE_PROSE);
    assert_int_equal(sl_profile_choose(&counts, 128, 0), SLUICE_PROFILE_NEWS);
    counts.digits = 19;
    assert_int_equal(sl_profile_choose(&counts, 127, 0), SLUICE_PROFILE_NEWS);
    counts.digits = 0;
    counts.angles = 3;
    assert_int_equal(sl_profile_choose(&counts, 127, 0), SLUICE_PROFILE_NEWS);
    counts.angles = 0;
    counts.sea = 16;
    assert_int_equal(sl_profile_choose(&counts, 127, 0), SLUICE_PROFILE_NEWS);
    counts.sea = 15;
    assert_int_equal(sl_profile_choose(&counts, 127, 0), SLUICE_PROFILE_PROSE);
}

/* Between the fewest and the most units a text may have, another profile than at both may lie. */
static void test_auto_foresees_only_what_units_cannot_change(void **state)
{
    (void)state;
    sl_counts counts = {
        .n_class[SL_CLASS_SEA] = 10, .n_class[SL_CLASS_LETTER] = 200, .sea = 10, .lines = 3};
    assert_int_equal(sl_profile_choose(&counts, 10, 0), SLUICE_PROFILE_NEWS);
    assert_int_equal(sl_profile_choose(&counts, 210, 0), SLUICE_PROFILE_PAGES);
    assert_int_equal(sl_profile_choose(&counts, 100, 0), SLUICE_PROFILE_PROSE);
    assert_int_equal(sl_profile_foresee(&counts), SLUICE_PROFILE_AUTO);
    counts = (sl_counts){.n_class[SL_CLASS_HAN] = 20, .cjk = 20};
    assert_int_equal(sl_profile_foresee(&counts), SLUICE_PROFILE_CJK);
    counts.n_class[SL_CLASS_LETTER] = 141;
    assert_int_equal(sl_profile_foresee(&counts), SLUICE_PROFILE_AUTO);
    counts = (sl_counts){.n_class[SL_CLASS_LETTER] = 100, .brackets = 10, .binders = 10};
    assert_int_equal(sl_profile_foresee(&counts), SLUICE_PROFILE_CODE);
}

static sluice_profile of_media(const char *type)
{
    return sl_profile_of_media((sluice_span){(const uint8_t *)type, strlen(type)});
}

static void test_media_type_comes_first(void **state)
{
    (void)state;
    assert_int_equal(of_media(""), SLUICE_PROFILE_AUTO);
    assert_int_equal(of_media("text/plain"), SLUICE_PROFILE_AUTO);
    assert_int_equal(of_media("text/csv"), SLUICE_PROFILE_RECORDS);
    assert_int_equal(of_media("Text/Tab-Separated-Values"), SLUICE_PROFILE_RECORDS);
    assert_int_equal(of_media("text/x-python"), SLUICE_PROFILE_CODE);
    assert_int_equal(of_media("text/html"), SLUICE_PROFILE_CODE);
    assert_int_equal(of_media("application/json"), SLUICE_PROFILE_CODE);
    assert_int_equal(of_media("application/ld+json"), SLUICE_PROFILE_CODE);
    assert_int_equal(of_media("text/csvx"), SLUICE_PROFILE_AUTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_profiles_are_as_documented),
        cmocka_unit_test(test_bands_follow_the_threshold),
        cmocka_unit_test(test_overrides_apply_to_every_profile),
        cmocka_unit_test(test_auto_takes_the_profile_of_the_text),
        cmocka_unit_test(test_auto_limits_are_exact),
        cmocka_unit_test(test_auto_knows_a_licence_by_its_words),
        cmocka_unit_test(test_auto_limits_of_length_and_of_law_are_exact),
        cmocka_unit_test(test_auto_foresees_only_what_units_cannot_change),
        cmocka_unit_test(test_media_type_comes_first),
    };
    return cmocka_run_group_tests(tests, open_unicode, close_unicode);
}
