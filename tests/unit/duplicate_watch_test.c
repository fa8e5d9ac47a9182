/* duplicate_watch_test.c - recall.c and the counters: what is watched, found, missed and counted.
 */
#include "duplicate/duplicate.h"
#include "duplicate/recall.h"
#include "duplicate_samples.h"

typedef struct watching {
    sluice_config config;
    sl_duplicate *duplicate;
    uint64_t next;
} watching;

static int open_watching(void **state)
{
    static watching test;
    test = (watching){.config = make_config(64 << 10, 1 << 20), .next = 1};
    test.config.seed = 9;
    test.config.duplicate.image_profile = SLUICE_IMAGE_ALIKE; /* found by the scan of a prefix */
    *state = &test;
    return sl_duplicate_open(&test.config, &test.duplicate, NULL) == SLUICE_OK ? 0 : -1;
}

static int close_watching(void **state)
{
    watching *test = *state;
    sl_duplicate_close(&test->duplicate);
    return 0;
}

/* The next offset that is watched, or is not. */
static uint64_t next_offset(watching *test, bool watched)
{
    while (sl_recall_watches(test->config.seed, test->next) != watched) {
        test->next++;
    }
    return test->next++;
}

static void apply(watching *test, sluice_sample *sample, sluice_decision decision)
{
    sample->verdict.decision = decision;
    sl_duplicate_apply(test->duplicate, sample);
}

static sluice_method_counters counters_of(const watching *test, sluice_method method)
{
    sluice_counters counters;
    sl_duplicate_counters(test->duplicate, &counters);
    return counters.method[method];
}

static void assert_recall(const watching *test, sluice_method method, uint64_t checked,
                          uint64_t found, uint64_t missed)
{
    sluice_method_counters counters = counters_of(test, method);
    assert_int_equal(counters.recall_checked, checked);
    assert_int_equal(counters.recall_found, found);
    assert_int_equal(counters.recall_missed, missed);
}

static void test_watches_one_sample_in_1024_by_seed_and_offset(void **state)
{
    (void)state;
    uint64_t n = 0, n_both = 0;
    for (uint64_t offset = 0; offset < 1 << 20; offset++) {
        n += sl_recall_watches(1, offset);
        n_both += sl_recall_watches(1, offset) && sl_recall_watches(2, offset);
    }
    assert_true(n > 850 && n < 1200); /* 1,024, deviation 32 */
    assert_true(n_both < 10);
}

static void test_watch_copy_that_the_index_finds_is_found(void **state)
{
    watching *test = *state;
    sluice_sample kept = make_sample(next_offset(test, false), 1, "kept", "s");
    apply(test, &kept, SLUICE_KEEP);
    sluice_sample copy = make_sample(next_offset(test, true), 2, "copy", "s");
    make_agree(&copy, &kept, 120);
    apply(test, &copy, SLUICE_DROP);
    assert_recall(test, SLUICE_METHOD_TEXT, 1, 1, 0);
    sluice_sample other = make_sample(next_offset(test, true), 3, "other", "s");
    apply(test, &other, SLUICE_KEEP);
    assert_recall(test, SLUICE_METHOD_TEXT, 2, 1, 0);
    sluice_sample unwatched = make_sample(next_offset(test, false), 3, "again", "s");
    apply(test, &unwatched, SLUICE_DROP);
    assert_recall(test, SLUICE_METHOD_TEXT, 2, 1, 0);
}

/* One coordinate of each of the 16 bands differs: 112 of 128 agree, and no band does. */
static void test_watch_copy_without_a_common_band_is_missed(void **state)
{
    watching *test = *state;
    sluice_sample kept = make_sample(next_offset(test, false), 1, "kept", "s");
    apply(test, &kept, SLUICE_KEEP);
    sluice_sample copy = make_sample(next_offset(test, true), 2, "copy", "s");
    make_agree(&copy, &kept, 128);
    for (uint32_t i = 0; i < 128; i += 8) {
        copy.features.sketch[i]++;
    }
    apply(test, &copy, SLUICE_KEEP);
    assert_recall(test, SLUICE_METHOD_TEXT, 1, 0, 1);
}

static void test_watch_goes_by_the_window_of_the_verdict(void **state)
{
    watching *test = *state;
    sl_duplicate_close(&test->duplicate);
    test->config.duplicate.window_samples = 10;
    assert_int_equal(sl_duplicate_open(&test->config, &test->duplicate, NULL), SLUICE_OK);
    sluice_sample kept = make_sample(next_offset(test, false), 1, "kept", "s");
    apply(test, &kept, SLUICE_KEEP);
    test->next += 10;
    sluice_sample copy = make_sample(next_offset(test, true), 1, "copy", "s");
    apply(test, &copy, SLUICE_KEEP);
    assert_recall(test, SLUICE_METHOD_TEXT, 1, 0, 0);
}

static void test_watch_images_by_the_whole_signature(void **state)
{
    watching *test = *state;
    sluice_sample kept = make_image_sample(next_offset(test, false), 1, "kept", "s");
    apply(test, &kept, SLUICE_KEEP);
    sluice_sample near = make_image_sample(next_offset(test, true), 1, "near", "s");
    flip_bits(&near, 10);
    apply(test, &near, SLUICE_DROP);
    assert_recall(test, SLUICE_METHOD_IMAGE, 1, 1, 0);
    assert_recall(test, SLUICE_METHOD_TEXT, 0, 0, 0);
    sluice_sample hidden = make_image_sample(next_offset(test, true), 1, "hidden", "s");
    for (uint32_t i = 0; i < 100; i++) { /* like enough, but all of it differs in the prefix */
        hidden.features.image_signature[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    apply(test, &hidden, SLUICE_KEEP);
    assert_recall(test, SLUICE_METHOD_IMAGE, 2, 1, 1);
}

/* Erased rows leave gaps until the next probe, which the watch makes itself. */
static void test_watch_after_a_forget_walks_the_rows_that_are_left(void **state)
{
    watching *test = *state;
    uint64_t first = next_offset(test, false);
    for (uint64_t i = 0; i < 50; i++) {
        sluice_sample kept =
            make_sample(i == 0 ? first : next_offset(test, false), 100 + i, "kept", "s");
        apply(test, &kept, SLUICE_KEEP);
    }
    assert_true(sl_duplicate_forget(test->duplicate, first));
    sluice_sample copy = make_sample(next_offset(test, true), 100, "copy", "s");
    apply(test, &copy, SLUICE_KEEP);
    assert_recall(test, SLUICE_METHOD_TEXT, 1, 0, 0);
    assert_valid(sl_duplicate_validate, test->duplicate);
}

static void test_counters_tell_what_a_probe_compared(void **state)
{
    watching *test = *state;
    sluice_sample kept = make_sample(next_offset(test, false), 1, "kept", "s");
    apply(test, &kept, SLUICE_KEEP);
    sluice_sample near = make_sample(next_offset(test, false), 2, "near", "s");
    sluice_match match;
    make_agree(&near, &kept, 120);
    sl_duplicate_probe(test->duplicate, &near, &match);
    make_agree(&near, &kept, 64); /* half of the bands, and not similar enough */
    sl_duplicate_probe(test->duplicate, &near, &match);
    sluice_method_counters text = counters_of(test, SLUICE_METHOD_TEXT);
    assert_int_equal(text.probes, 2);
    assert_int_equal(text.candidates, 2);
    assert_int_equal(text.verified, 1);
    assert_int_equal(text.rejected, 1);
    assert_int_equal(counters_of(test, SLUICE_METHOD_EXACT).probes, 2);
    assert_int_equal(counters_of(test, SLUICE_METHOD_IMAGE).probes, 0);
    assert_int_equal(counters_of(test, SLUICE_METHOD_EMBEDDING).memory_bytes,
                     test->config.duplicate.embedding_memory);
}

/* A bucket has ten slots: the eleventh row of the same bands pushes out the first. */
static void test_counters_tell_buckets_that_lose_live_entries(void **state)
{
    watching *test = *state;
    for (int i = 0; i < SL_TABLE_SLOTS - 1; i++) {
        sluice_sample kept = make_sample(next_offset(test, false), 1, "kept", "s");
        apply(test, &kept, SLUICE_KEEP);
    }
    sluice_sample tenth = make_sample(next_offset(test, true), 1, "tenth", "s");
    apply(test, &tenth, SLUICE_KEEP);
    sluice_method_counters text = counters_of(test, SLUICE_METHOD_TEXT);
    assert_int_equal(text.buckets_checked, 16);
    assert_int_equal(text.buckets_overflowed, 0);
    sluice_sample eleventh = make_sample(next_offset(test, true), 1, "eleventh", "s");
    apply(test, &eleventh, SLUICE_KEEP);
    text = counters_of(test, SLUICE_METHOD_TEXT);
    assert_int_equal(text.buckets_checked, 32);
    assert_int_equal(text.buckets_overflowed, 16);
}

static void test_also_lists_the_methods_behind_the_winner_in_their_order(void **state)
{
    watching *test = *state;
    sluice_sample image = make_image_sample(0, 7, "", "");
    sluice_sample text_twin = make_sample(next_offset(test, false), 1, "text", "a");
    apply(test, &text_twin, SLUICE_KEEP);
    sluice_sample image_twin = make_image_sample(next_offset(test, false), 7, "image", "b");
    apply(test, &image_twin, SLUICE_KEEP);
    sluice_sample exact_twin = make_sample(next_offset(test, false), 3, "exact", "c");
    exact_twin.features.has = SLUICE_HAS_RAW;
    apply(test, &exact_twin, SLUICE_KEEP);
    sluice_sample sample = make_sample(next_offset(test, false), 3, "x", "d");
    memcpy(sample.features.sketch, text_twin.features.sketch, SLUICE_SKETCH_COORDINATES);
    memcpy(sample.features.image_signature, image.features.image_signature, SLUICE_IMAGE_BYTES);
    sample.features.has |= SLUICE_HAS_IMAGE;
    sluice_match match;
    sluice_finding also[SLUICE_LIMIT_ALSO];
    sl_duplicate_probe(test->duplicate, &sample, &match);
    assert_int_equal(match.method, SLUICE_METHOD_EXACT);
    assert_int_equal(sl_duplicate_also(test->duplicate, &sample, &match, also), 2);
    assert_int_equal(also[0].method, SLUICE_METHOD_TEXT);
    assert_true(sl_span_equal(also[0].of_id, sl_span_of("text")));
    assert_int_equal(also[1].method, SLUICE_METHOD_IMAGE);
    assert_true(sl_span_equal(also[1].of_source, sl_span_of("b")) && also[1].similarity == 1);
    match.method = SLUICE_METHOD_IMAGE;
    assert_int_equal(sl_duplicate_also(test->duplicate, &sample, &match, also), 0);
}

#define WATCH_TEST(f) cmocka_unit_test_setup_teardown(f, open_watching, close_watching)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_watches_one_sample_in_1024_by_seed_and_offset),
        WATCH_TEST(test_watch_copy_that_the_index_finds_is_found),
        WATCH_TEST(test_watch_copy_without_a_common_band_is_missed),
        WATCH_TEST(test_watch_goes_by_the_window_of_the_verdict),
        WATCH_TEST(test_watch_images_by_the_whole_signature),
        WATCH_TEST(test_watch_after_a_forget_walks_the_rows_that_are_left),
        WATCH_TEST(test_counters_tell_what_a_probe_compared),
        WATCH_TEST(test_counters_tell_buckets_that_lose_live_entries),
        WATCH_TEST(test_also_lists_the_methods_behind_the_winner_in_their_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
