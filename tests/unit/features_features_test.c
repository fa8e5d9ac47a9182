/* features_features_test.c - which features a sample gets, by its media type and text. */
#include "images.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "features/features.h"
#include "sluice/engine.h"

#define ALL (SLUICE_HAS_RAW | SLUICE_HAS_NORMAL | SLUICE_HAS_SKETCH)

static int open_features(void **state)
{
    sluice_config config = {.seed = 7};
    return sl_features_open(&config, (sl_features **)state) == SLUICE_OK ? 0 : -1;
}

static int close_features(void **state)
{
    sl_features_close((sl_features **)state);
    return 0;
}

static sluice_sample make_bytes(sl_features *features, const char *media_type, const void *payload,
                                size_t size)
{
    sluice_sample sample = {.media_type = {(const uint8_t *)media_type, strlen(media_type)},
                            .payload = {payload, size}};
    sl_features_make(features, &sample);
    return sample;
}

static sluice_sample make(sl_features *features, const char *text)
{
    return make_bytes(features, "", text, strlen(text));
}

static bool same_hash(const uint64_t a[2], const uint64_t b[2])
{
    return a[0] == b[0] && a[1] == b[1];
}

static int n_equal(const sluice_sample *a, const sluice_sample *b)
{
    int n = 0;
    for (int i = 0; i < SLUICE_SKETCH_COORDINATES; i++) {
        n += a->features.sketch[i] == b->features.sketch[i];
    }
    return n;
}

static void assert_equal_but_raw(sl_features *features, const char *a, const char *b)
{
    sluice_sample one = make(features, a), two = make(features, b);
    assert_int_equal(one.features.has, ALL);
    assert_int_equal(two.features.has, ALL);
    assert_false(same_hash(one.features.raw_hash, two.features.raw_hash));
    assert_true(same_hash(one.features.normal_hash, two.features.normal_hash));
    assert_memory_equal(one.features.sketch, two.features.sketch, SLUICE_SKETCH_COORDINATES);
}

static void test_texts_that_normalize_alike_differ_in_the_raw_hash_only(void **state)
{
    assert_equal_but_raw(*state, "Café au lait, s'il vous plaît",
                         "cafe\xcc\x81  au\tlait, s'il vous plai\xcc\x82t\n");
    assert_equal_but_raw(*state, "ＧＰＵ　サーバー", "gpu サーバー");
    assert_equal_but_raw(*state, "ﬁne Straße", "FINE STRASSE");
    assert_equal_but_raw(*state, "한국 문",
                         "\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab\xe1\x84\x80\xe1\x85\xae\xe1\x86\xa8 "
                         "\xe1\x84\x86\xe1\x85\xae\xe1\x86\xab");
}

static void test_both_chinese_scripts_are_one_under_cjk(void **state)
{
    assert_equal_but_raw(*state, "漢字與國語的書寫系統在東亞地區廣為使用並且歷史悠久",
                         "汉字与国语的书写系统在东亚地区广为使用并且历史悠久");
    /* Here the profile is known only once units are cut. */
    static const char latin[] = " internationalization internationalization internationalization "
                                "internationalization internationalization internationalization "
                                "internationalization internationalization internationalization ";
    char one[512], two[512];
    strcat(strcpy(one, "漢字與國語的書寫系統在東亞地區廣為使用"), latin);
    strcat(strcpy(two, "汉字与国语的书写系统在东亚地区广为使用"), latin);
    assert_equal_but_raw(*state, one, two);
}

static void test_empty_sample_has_the_hash_of_its_id_only(void **state)
{
    sluice_sample sample = make(*state, "");
    assert_int_equal(sample.features.has, SLUICE_HAS_RAW);
    assert_int_equal(sample.verdict.decision, SLUICE_KEEP);
    sample = make_bytes(*state, "image/png", "", 0);
    assert_int_equal(sample.features.has, SLUICE_HAS_RAW);
}

static void test_text_of_white_space_has_the_raw_hash_only(void **state)
{
    sluice_sample sample = make(*state, " \n\t\xe3\x80\x80");
    assert_int_equal(sample.features.has, SLUICE_HAS_RAW);
}

static void test_text_without_units_has_no_sketch(void **state)
{
    sluice_sample sample = make(*state, "... !?");
    assert_int_equal(sample.features.has, SLUICE_HAS_RAW | SLUICE_HAS_NORMAL);
    assert_int_equal(sample.features.n_shingles, 0);
}

/* One unit is less than a shingle: the whole is one, so different texts do not look alike. */
static void test_texts_of_one_unit_are_told_apart(void **state)
{
    sluice_sample one = make(*state, "one"), two = make(*state, "two"),
                  again = make(*state, "One!");
    assert_int_equal(one.features.has, ALL);
    assert_int_equal(one.features.n_shingles, 1);
    assert_true(n_equal(&one, &two) < 8);
    assert_int_equal(n_equal(&one, &again), SLUICE_SKETCH_COORDINATES);
}

static void test_foreign_images_and_unknown_media_have_the_raw_hash_only(void **state)
{
    static const char *const types[] = {"image/gif", "image/svg+xml", "application/octet-stream",
                                        "video/mp4"};
    uint8_t bytes[4] = {0xff, 0xd8, 0x00, 0xe0}; /* not UTF-8, which must not matter */
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        sluice_sample sample = make_bytes(*state, types[i], bytes, sizeof bytes);
        assert_int_equal(sample.features.has, SLUICE_HAS_RAW);
        assert_int_equal(sample.verdict.decision, SLUICE_KEEP);
    }
}

/* Takes `bytes`. */
static sluice_sample make_image(sl_features *features, sluice_span bytes)
{
    sluice_sample sample = make_bytes(features, "image/png", bytes.data, bytes.size);
    span_free(bytes);
    return sample;
}

static void test_image_has_a_signature_if_it_is_usable(void **state)
{
    picture scene = picture_make(1, 90, 60), flat = picture_flat(90, 60, 200);
    sluice_sample usable = make_image(*state, jpeg_of(&scene, 90, 0));
    assert_int_equal(usable.features.has, SLUICE_HAS_RAW | SLUICE_HAS_IMAGE);
    assert_int_equal(usable.features.image_state, SLUICE_IMAGE_USABLE);
    assert_in_range(usable.features.image_quality, 50, 100);
    sluice_sample useless = make_image(*state, png_of_rgb(&flat));
    assert_int_equal(useless.features.has, SLUICE_HAS_RAW);
    assert_int_equal(useless.features.image_state, SLUICE_IMAGE_FLAT);
    assert_int_equal(useless.verdict.decision, SLUICE_KEEP);
    sluice_sample foreign = make_bytes(*state, "image/png", "GIF89a", 6);
    assert_int_equal(foreign.features.image_state, SLUICE_IMAGE_FOREIGN);
    free(scene.rgb);
    free(flat.rgb);
}

static void test_image_that_is_damaged_is_refused(void **state)
{
    sluice_sample sample = make_bytes(*state, "image/png", "\x89PNG\r\n\x1a\n", 8);
    assert_int_equal(sample.verdict.decision, SLUICE_REFUSE);
    assert_string_equal(sample.verdict.reasons[0], "image_broken");
    assert_int_equal(sample.features.has, 0);
}

static void test_text_by_any_of_its_media_types_is_text(void **state)
{
    static const char *const types[] = {"",
                                        "text/plain",
                                        "Text/HTML; charset=utf-8",
                                        "application/json",
                                        "application/ld+json",
                                        "application/xml ; q=1"};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        assert_int_equal(make_bytes(*state, types[i], "a b", 3).features.has, ALL);
    }
}

static void test_raw_hash_depends_on_the_class_of_media_not_the_type(void **state)
{
    sluice_sample plain = make_bytes(*state, "text/plain", "x y", 3);
    sluice_sample html = make_bytes(*state, "text/html", "x y", 3);
    sluice_sample image = make_bytes(*state, "image/png", "x y", 3);
    assert_true(same_hash(plain.features.raw_hash, html.features.raw_hash));
    assert_false(same_hash(plain.features.raw_hash, image.features.raw_hash));
}

static void test_text_that_is_not_utf8_is_refused(void **state)
{
    sluice_sample sample = make(*state, "caf\xe9");
    assert_int_equal(sample.verdict.decision, SLUICE_REFUSE);
    assert_int_equal(sample.verdict.n_reasons, 1);
    assert_string_equal(sample.verdict.reasons[0], "not_utf8");
    assert_non_null(sample.verdict.text);
    assert_int_equal(sample.features.has, 0);
}

static void test_text_is_refused_one_byte_beyond_the_limit(void **state)
{
    size_t size = SLUICE_LIMIT_TEXT_BYTES;
    char *text = malloc(size + 1);
    assert_non_null(text);
    memset(text, 'a', size + 1);
    assert_int_equal(make_bytes(*state, "", text, size).features.has, ALL);
    sluice_sample sample = make_bytes(*state, "", text, size + 1);
    assert_int_equal(sample.verdict.decision, SLUICE_REFUSE);
    assert_string_equal(sample.verdict.reasons[0], "text_too_large");
    assert_int_equal(make_bytes(*state, "image/png", text, size + 1).features.has, SLUICE_HAS_RAW);
    free(text);
}

static void test_text_that_expands_too_far_is_refused(void **state)
{
    size_t n = SLUICE_LIMIT_TEXT_BYTES / 3;
    char *text = malloc(3 * n);
    assert_non_null(text);
    for (size_t i = 0; i < n; i++) {
        memcpy(text + 3 * i, "\xef\xb7\xba", 3); /* U+FDFA becomes 33 bytes */
    }
    sluice_sample sample = make_bytes(*state, "", text, 3 * n);
    assert_int_equal(sample.verdict.decision, SLUICE_REFUSE);
    assert_string_equal(sample.verdict.reasons[0], "text_too_large");
    assert_int_equal(make(*state, "fine").features.has, ALL); /* the scratch still works */
    free(text);
}

/* A million times one word is the set of one word. */
static void test_longest_text_of_one_repeated_word_equals_two_of_it(void **state)
{
    size_t n = SLUICE_LIMIT_TEXT_BYTES / 2;
    char *text = malloc(2 * n);
    assert_non_null(text);
    for (size_t i = 0; i < n; i++) {
        memcpy(text + 2 * i, "a ", 2);
    }
    sluice_sample many = make_bytes(*state, "", text, 2 * n);
    sluice_sample two = make(*state, "a a"); /* shorter than its shingles: one of two words */
    assert_int_equal(many.features.n_shingles, n - 1); /* pages: pairs of words */
    assert_int_equal(n_equal(&many, &two), SLUICE_SKETCH_COORDINATES);
    free(text);
}

/* Word 3-grams, whatever the profile; the smallest of a whole are among those of its part. */
static void test_bottom_is_made_where_containment_is_asked_for(void **state)
{
    (void)state;
    sluice_config config = {.seed = 7, .duplicate.text_containment = 0.8};
    static char text[16 * 2000];
    for (int i = 0; i < 2000; i++) {
        sprintf(text + strlen(text), "word%d ", i * 7919 % 2000);
    }
    sl_features *features;
    assert_int_equal(sl_features_open(&config, &features), SLUICE_OK);
    sluice_sample whole = make(features, text);
    assert_int_equal(whole.features.has, ALL | SLUICE_HAS_BOTTOM);
    assert_int_equal(whole.features.n_bottom, SLUICE_BOTTOM_HASHES);
    text[16 * 400] = 0;
    sluice_sample part = make(features, text);
    uint32_t n_common = 0;
    for (uint32_t i = 0; i < SLUICE_BOTTOM_HASHES; i++) {
        assert_true(i == 0 || whole.features.bottom[i - 1] < whole.features.bottom[i]);
        for (uint32_t j = 0; j < part.features.n_bottom; j++) {
            n_common += whole.features.bottom[i] == part.features.bottom[j];
        }
    }
    assert_in_range(n_common, 10, 70); /* about a third of the text */
    assert_int_equal(make(features, "two words").features.n_bottom, 1);
    assert_int_equal(make(features, "a b c a b c").features.n_bottom, 3);
    assert_int_equal(make(*state, text).features.has, ALL);
    sl_features_close(&features);
}

static void test_features_depend_on_the_seed(void **state)
{
    sluice_config config = {.seed = 8};
    sl_features *other = NULL;
    assert_int_equal(sl_features_open(&config, &other), SLUICE_OK);
    sluice_sample one = make(*state, "some words of a text"),
                  two = make(other, "some words of a text");
    assert_false(same_hash(one.features.raw_hash, two.features.raw_hash));
    assert_false(same_hash(one.features.normal_hash, two.features.normal_hash));
    assert_true(n_equal(&one, &two) < 8);
    sl_features_close(&other);
}

static void test_named_profile_is_taken_for_every_text(void **state)
{
    (void)state;
    sluice_config config = {.seed = 7, .duplicate.text_profile = SLUICE_PROFILE_CODE};
    sl_features *features = NULL;
    assert_int_equal(sl_features_open(&config, &features), SLUICE_OK);
    sluice_sample sample = make(features, "a plain sentence of words");
    assert_int_equal(sample.features.profile, SLUICE_PROFILE_CODE);
    sl_features_close(&features);
}

static void test_auto_names_the_profile_it_took(void **state)
{
    assert_int_equal(make(*state, "a plain sentence of words").features.profile,
                     SLUICE_PROFILE_NEWS);
    assert_int_equal(make(*state, "Smith J | On sketches | VLDB | 1999").features.profile,
                     SLUICE_PROFILE_RECORDS);
    assert_int_equal(make_bytes(*state, "text/x-c", "int a", 5).features.profile,
                     SLUICE_PROFILE_CODE);
}

/* How similar two texts look does not depend on what the scratch was used for before. */
static void test_features_are_a_pure_function_of_the_sample(void **state)
{
    static const char *const texts[] = {
        "first text, plain", "漢字與國語的書寫系統", "if (a) {b;}", "x", "é", "first text, plain"};
    sluice_sample first[6];
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < 6; i++) {
            sluice_sample sample = make(*state, texts[i]);
            if (round == 0) {
                first[i] = sample;
            }
            assert_memory_equal(&sample.features, &first[i].features, sizeof sample.features);
        }
    }
}

static void test_batch_skips_what_is_refused_already(void **state)
{
    (void)state;
    sluice_config config = {.seed = 7};
    sluice_sample samples[2] = {
        {.payload = {(const uint8_t *)"a b", 3}},
        {.payload = {(const uint8_t *)"a b", 3}, .verdict = {.decision = SLUICE_REFUSE}}};
    sluice_batch batch = {.samples = samples, .n_samples = 2};
    assert_int_equal(sluice_batch_features(&batch, &config), SLUICE_OK);
    assert_int_equal(samples[0].features.has, ALL);
    assert_int_equal(samples[1].features.has, 0);
    assert_non_null(batch.features);
    sl_features_close(&batch.features);
    assert_null(batch.features);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts_that_normalize_alike_differ_in_the_raw_hash_only),
        cmocka_unit_test(test_both_chinese_scripts_are_one_under_cjk),
        cmocka_unit_test(test_empty_sample_has_the_hash_of_its_id_only),
        cmocka_unit_test(test_text_of_white_space_has_the_raw_hash_only),
        cmocka_unit_test(test_text_without_units_has_no_sketch),
        cmocka_unit_test(test_texts_of_one_unit_are_told_apart),
        cmocka_unit_test(test_image_has_a_signature_if_it_is_usable),
        cmocka_unit_test(test_image_that_is_damaged_is_refused),
        cmocka_unit_test(test_foreign_images_and_unknown_media_have_the_raw_hash_only),
        cmocka_unit_test(test_text_by_any_of_its_media_types_is_text),
        cmocka_unit_test(test_raw_hash_depends_on_the_class_of_media_not_the_type),
        cmocka_unit_test(test_text_that_is_not_utf8_is_refused),
        cmocka_unit_test(test_text_is_refused_one_byte_beyond_the_limit),
        cmocka_unit_test(test_text_that_expands_too_far_is_refused),
        cmocka_unit_test(test_longest_text_of_one_repeated_word_equals_two_of_it),
        cmocka_unit_test(test_bottom_is_made_where_containment_is_asked_for),
        cmocka_unit_test(test_features_depend_on_the_seed),
        cmocka_unit_test(test_named_profile_is_taken_for_every_text),
        cmocka_unit_test(test_auto_names_the_profile_it_took),
        cmocka_unit_test(test_features_are_a_pure_function_of_the_sample),
        cmocka_unit_test(test_batch_skips_what_is_refused_already),
    };
    return cmocka_run_group_tests(tests, open_features, close_features);
}
