/* duplicate_image_test.c - images by equal signature bits, in a window of bytes. */
#include "duplicate/image.h"
#include "features/image_hash.h"
#include "duplicate_samples.h"

#include <math.h>
#include <stdlib.h>

static sluice_config image_config(uint64_t memory, double threshold)
{
    sluice_config config = make_config(64 << 10, 64 << 10);
    config.duplicate.image_memory = memory;
    config.duplicate.image_threshold = threshold;
    return config;
}

static sl_image *open_image(double threshold)
{
    sluice_config config = image_config(256 << 10, threshold);
    sl_image *image;
    assert_int_equal(sl_image_open(&config, &image, NULL), SLUICE_OK);
    return image;
}

static void insert(sl_image *image, const sluice_sample *sample)
{
    sl_image_insert(image, sample);
    assert_valid(sl_image_validate, image);
}

/* UINT64_MAX: nothing found. */
static uint64_t probe(const sl_image *image, const sluice_sample *sample, double *similarity)
{
    sluice_match match = {0};
    if (!sl_image_probe(image, sample, &match)) {
        return UINT64_MAX;
    }
    assert_int_equal(match.method, SLUICE_METHOD_IMAGE);
    assert_false(match.redelivered);
    *similarity = (double)match.similarity;
    return match.of_offset;
}

static void test_image_at_the_threshold_is_found_and_below_is_not(void **state)
{
    (void)state;
    static const double thresholds[] = {0.7, 0.8, 0.9, 0.94, 1};
    for (size_t i = 0; i < sizeof thresholds / sizeof thresholds[0]; i++) {
        sl_image *image = open_image(thresholds[i]);
        uint32_t n_most = (uint32_t)((1 - thresholds[i]) * SLUICE_IMAGE_BITS + 1e-9);
        sluice_sample kept = make_image_sample(0, 1, "a", "s");
        insert(image, &kept);
        sluice_sample near = kept, far = kept;
        near.offset = far.offset = 1;
        flip_bits(&near, n_most);
        flip_bits(&far, n_most + 1);
        double similarity = 0;
        assert_int_equal(probe(image, &near, &similarity), 0);
        assert_true(fabs(similarity - (1 - (double)n_most / SLUICE_IMAGE_BITS)) < 1e-6);
        assert_int_equal(probe(image, &far, &similarity), UINT64_MAX);
        sl_image_close(&image);
    }
}

static void test_image_profiles_have_their_thresholds(void **state)
{
    (void)state;
    sluice_config config = image_config(0, 0);
    assert_true(sl_image_threshold(&config) == 0.94);
    config.duplicate.image_profile = SLUICE_IMAGE_ALIKE;
    assert_true(sl_image_threshold(&config) == 0.785);
    config.duplicate.image_threshold = 0.8;
    assert_true(sl_image_threshold(&config) == 0.8);
}

static void test_image_takes_highest_similarity_then_smallest_offset(void **state)
{
    (void)state;
    sl_image *image = open_image(0.8);
    sluice_sample center = make_image_sample(9, 1, "x", "s");
    static const uint32_t flips[] = {60, 40, 40, 50};
    for (uint64_t i = 0; i < 4; i++) {
        sluice_sample kept = center;
        kept.offset = i;
        flip_bits(&kept, flips[i]);
        insert(image, &kept);
    }
    double similarity;
    assert_int_equal(probe(image, &center, &similarity), 1);
    sl_image_close(&image);
}

static void test_image_of_other_colours_is_another(void **state)
{
    (void)state;
    sl_image *image = open_image(0.94);
    sluice_sample red = make_image_sample(0, 1, "a", "s");
    memset(red.features.image_colours, 40, sizeof red.features.image_colours);
    insert(image, &red);
    sluice_sample other = red;
    other.offset = 1;
    double similarity;
    memset(other.features.image_colours, 16, sizeof other.features.image_colours);
    assert_int_equal(probe(image, &other, &similarity), 0); /* 24 apart */
    memset(other.features.image_colours, 15, sizeof other.features.image_colours);
    assert_int_equal(probe(image, &other, &similarity), UINT64_MAX);
    memset(other.features.image_colours, 1, sizeof other.features.image_colours);
    assert_int_equal(probe(image, &other, &similarity), 0); /* a print in grey */
    memset(other.features.image_colours, -128, sizeof other.features.image_colours);
    memset(red.features.image_colours, 127, sizeof red.features.image_colours);
    assert_false(sl_image_colours_alike(red.features.image_colours, other.features.image_colours));
    sl_image_close(&image);
}

static void test_image_without_signature_is_neither_found_nor_remembered(void **state)
{
    (void)state;
    sl_image *image = open_image(0.94);
    sluice_sample flat = make_image_sample(0, 1, "a", "s");
    flat.features.has = SLUICE_HAS_RAW;
    insert(image, &flat);
    assert_int_equal(sl_image_usage(image).rows, 0);
    double similarity;
    assert_int_equal(probe(image, &flat, &similarity), UINT64_MAX);
    sl_image_close(&image);
}

static void test_image_outside_the_window_is_new(void **state)
{
    (void)state;
    sluice_config config = image_config(256 << 10, 0);
    config.duplicate.window_samples = 10;
    sl_image *image;
    assert_int_equal(sl_image_open(&config, &image, NULL), SLUICE_OK);
    sluice_sample kept = make_image_sample(5, 1, "a", "s");
    insert(image, &kept);
    double similarity;
    kept.offset = 15;
    assert_int_equal(probe(image, &kept, &similarity), 5);
    kept.offset = 16;
    assert_int_equal(probe(image, &kept, &similarity), UINT64_MAX);
    sl_image_close(&image);
}

/* Three times what fits: the newest are found, the oldest are not, and the bytes hold. */
static void expect_eviction(double threshold, uint64_t n_least)
{
    sluice_config config = image_config(512 << 10, threshold);
    sl_image *image;
    assert_int_equal(sl_image_open(&config, &image, NULL), SLUICE_OK);
    uint64_t n_fit = sl_image_rows_of(&config, 1);
    assert_true(n_fit > n_least);
    double similarity;
    for (uint64_t i = 0; i < 3 * n_fit; i++) {
        sluice_sample sample = make_image_sample(i, i, "a", "12345678");
        sl_image_insert(image, &sample);
    }
    assert_valid(sl_image_validate, image);
    sl_duplicate_usage usage = sl_image_usage(image);
    assert_true(usage.rows >= n_fit && usage.evicted == 3 * n_fit - usage.rows);
    for (uint64_t age = 0; age < n_fit + 100; age++) {
        sluice_sample sample =
            make_image_sample(3 * n_fit - 1 - age, 3 * n_fit - 1 - age, "b", "s");
        sample.offset = 3 * n_fit;
        uint64_t expected = age < usage.rows ? 3 * n_fit - 1 - age : UINT64_MAX;
        assert_int_equal(probe(image, &sample, &similarity), expected);
    }
    sl_image_close(&image);
}

static void test_image_memory_evicts_the_oldest(void **state)
{
    (void)state;
    expect_eviction(0.785, 2500); /* 172 bytes and a head */
    expect_eviction(0.94, 2200);  /* 224 */
}

static void expect_forgotten(double threshold)
{
    sl_image *image = open_image(threshold);
    for (uint64_t i = 0; i < 500; i++) {
        sluice_sample sample = make_image_sample(i, i, "an id", "s");
        sl_image_insert(image, &sample);
    }
    assert_false(sl_image_forget(image, 500));
    for (uint64_t i = 0; i < 500; i += 3) {
        assert_true(sl_image_forget(image, i));
        assert_valid(sl_image_validate, image);
    }
    double similarity;
    for (uint64_t i = 0; i < 500; i++) {
        sluice_sample sample = make_image_sample(i, i, "b", "s");
        sample.offset = 600;
        assert_int_equal(probe(image, &sample, &similarity), i % 3 == 0 ? UINT64_MAX : i);
    }
    sluice_sample sample = make_image_sample(501, 501, "c", "s");
    insert(image, &sample);
    sl_image_evict(image, 400);
    assert_valid(sl_image_validate, image);
    sample = make_image_sample(399, 398, "b", "s");
    sample.offset = 600;
    assert_int_equal(probe(image, &sample, &similarity), UINT64_MAX);
    sl_image_close(&image);
}

static void test_image_forgotten_leaves_what_the_rest_alone_would_make(void **state)
{
    (void)state;
    expect_forgotten(0.8);
    expect_forgotten(0.94);
}

/* Against all rows one by one, with near ones at every distance and colours that differ. */
static void test_image_keys_find_what_looking_at_all_rows_finds(void **state)
{
    (void)state;
    enum { N = 300 };
    static sluice_sample kept[N];
    uint64_t random = 5;
    sluice_config config = image_config(4 << 20, 0.94); /* no bucket overflows */
    sl_image *image;
    assert_int_equal(sl_image_open(&config, &image, NULL), SLUICE_OK);
    for (uint64_t i = 0; i < N; i++) {
        kept[i] = make_image_sample(i, i % 60, "a", "s");
        flip_bits(&kept[i], random_below(&random, 30));
        memset(kept[i].features.image_colours, random_below(&random, 2) ? 40 : 5, 32);
        insert(image, &kept[i]);
    }
    uint32_t n_found = 0;
    for (uint64_t round = 0; round < 2000; round++) {
        sluice_sample sample = make_image_sample(N, round % 75, "b", "s");
        flip_bits(&sample, random_below(&random, 45));
        memset(sample.features.image_colours, 40, 32);
        uint64_t best = UINT64_MAX;
        uint32_t n_best = 30;
        for (uint64_t i = 0; i < N; i++) {
            uint32_t n = 0;
            for (uint32_t k = 0; k < SLUICE_IMAGE_BYTES; k++) {
                n += (uint32_t)__builtin_popcount((unsigned)kept[i].features.image_signature[k] ^
                                                  sample.features.image_signature[k]);
            }
            if (n < n_best && sl_image_colours_alike(kept[i].features.image_colours,
                                                     sample.features.image_colours)) {
                n_best = n;
                best = i;
            }
        }
        double similarity;
        assert_int_equal(probe(image, &sample, &similarity), best);
        n_found += best != UINT64_MAX;
    }
    assert_in_range(n_found, 500, 1900);
    sl_image_close(&image);
}

static void test_image_turned_is_found_when_asked_for(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        sluice_config config = image_config(256 << 10, i == 0 ? 0.94 : 0.785);
        sl_image *plain, *turning;
        assert_int_equal(sl_image_open(&config, &plain, NULL), SLUICE_OK);
        config.duplicate.image_turns = true;
        assert_int_equal(sl_image_open(&config, &turning, NULL), SLUICE_OK);
        sluice_sample kept = make_image_sample(0, 1, "a", "s");
        insert(plain, &kept);
        insert(turning, &kept);
        for (uint32_t turn = 1; turn < SL_RASTER_TURNS; turn++) {
            sluice_sample turned = kept;
            turned.offset = 1;
            sl_image_turn(kept.features.image_signature, kept.features.image_colours, turn,
                          turned.features.image_signature, turned.features.image_colours);
            double similarity = 0;
            assert_int_equal(probe(plain, &turned, &similarity), UINT64_MAX);
            assert_int_equal(probe(turning, &turned, &similarity), 0);
            assert_true(similarity == 1);
        }
        sluice_sample twin = kept; /* as near, but later: whichever turn it is met in */
        twin.offset = 1;
        sl_image_turn(kept.features.image_signature, kept.features.image_colours, 6,
                      twin.features.image_signature, twin.features.image_colours);
        insert(turning, &twin);
        twin.offset = 2;
        double similarity;
        assert_int_equal(probe(turning, &twin, &similarity), 0);
        sl_image_close(&plain);
        sl_image_close(&turning);
    }
}

static void test_image_memory_too_small_is_refused(void **state)
{
    (void)state;
    sluice_config config = image_config(1000, 0);
    sl_image *image;
    sluice_message why;
    assert_int_equal(sl_image_open(&config, &image, &why), SLUICE_E_CONFIG);
    assert_null(image);
    assert_non_null(strstr(why.text, "duplicate.image.memory"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_image_at_the_threshold_is_found_and_below_is_not),
        cmocka_unit_test(test_image_profiles_have_their_thresholds),
        cmocka_unit_test(test_image_takes_highest_similarity_then_smallest_offset),
        cmocka_unit_test(test_image_of_other_colours_is_another),
        cmocka_unit_test(test_image_without_signature_is_neither_found_nor_remembered),
        cmocka_unit_test(test_image_outside_the_window_is_new),
        cmocka_unit_test(test_image_memory_evicts_the_oldest),
        cmocka_unit_test(test_image_forgotten_leaves_what_the_rest_alone_would_make),
        cmocka_unit_test(test_image_keys_find_what_looking_at_all_rows_finds),
        cmocka_unit_test(test_image_turned_is_found_when_asked_for),
        cmocka_unit_test(test_image_memory_too_small_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
