/* duplicate_duplicate_test.c - which method answers, and what is remembered for how long. */
#include "duplicate/duplicate.h"
#include "duplicate_samples.h"

#include <malloc.h>

static sl_duplicate *open_config(const sluice_config *config)
{
    sl_duplicate *duplicate;
    assert_int_equal(sl_duplicate_open(config, &duplicate, NULL), SLUICE_OK);
    assert_valid(sl_duplicate_validate, duplicate);
    return duplicate;
}

static sl_duplicate *open_default(void)
{
    sluice_config config = make_config(64 << 10, 256 << 10);
    return open_config(&config);
}

static void apply(sl_duplicate *duplicate, sluice_sample *sample, sluice_decision decision)
{
    sample->verdict.decision = decision;
    sl_duplicate_apply(duplicate, sample);
    assert_valid(sl_duplicate_validate, duplicate);
}

static void keep(sl_duplicate *duplicate, uint64_t offset, uint64_t seed)
{
    sluice_sample sample = make_sample(offset, seed, "kept", "source");
    apply(duplicate, &sample, SLUICE_KEEP);
}

static sluice_match probe(const sl_duplicate *duplicate, const sluice_sample *sample)
{
    sluice_match match;
    memset(&match, 0xff, sizeof match); /* whatever was there before */
    sl_duplicate_prefetch(duplicate, sample);
    sl_duplicate_probe(duplicate, sample, &match);
    return match;
}

static sluice_match probe_copy(const sl_duplicate *duplicate, uint64_t offset, uint64_t seed)
{
    sluice_sample sample = make_sample(offset, seed, "copy", "elsewhere");
    return probe(duplicate, &sample);
}

static void test_duplicate_probe_prefers_exact_to_text(void **state)
{
    (void)state;
    sl_duplicate *duplicate = open_default();
    sluice_sample older = make_sample(0, 1, "older", "s0"); /* the same sketch, another text */
    older.features.raw_hash[0]++;
    older.features.normal_hash[0]++;
    apply(duplicate, &older, SLUICE_KEEP);
    sluice_match match = probe_copy(duplicate, 1, 1);
    assert_int_equal(match.method, SLUICE_METHOD_TEXT);
    assert_int_equal(match.of_offset, 0);
    keep(duplicate, 1, 1);
    match = probe_copy(duplicate, 2, 1);
    assert_int_equal(match.method, SLUICE_METHOD_EXACT);
    assert_int_equal(match.of_offset, 1);
    assert_true(sl_span_equal(match.of_id, sl_span_of("kept")));
    assert_true(sl_span_equal(match.of_source, sl_span_of("source")));
    assert_int_equal(probe_copy(duplicate, 2, 99).method, SLUICE_METHOD_NONE);
    sl_duplicate_close(&duplicate);
}

static void test_duplicate_apply_remembers_kept_and_flagged_only(void **state)
{
    (void)state;
    sl_duplicate *duplicate = open_default();
    for (int decision = 0; decision < SLUICE_N_DECISIONS; decision++) {
        uint64_t offset = (uint64_t)decision;
        sluice_sample sample = make_sample(offset, 100 + offset, "a", "s");
        apply(duplicate, &sample, (sluice_decision)decision);
        bool remembered = decision == SLUICE_KEEP || decision == SLUICE_FLAG;
        assert_int_equal(probe_copy(duplicate, 9, 100 + offset).method,
                         remembered ? SLUICE_METHOD_EXACT : SLUICE_METHOD_NONE);
        sluice_bytes row = {0};
        sl_durable_from from = sl_duplicate_row_from(duplicate);
        assert_int_equal(sl_duplicate_row_write(duplicate, &from, &sample, &row), SLUICE_OK);
        assert_int_equal(row.size > 0, remembered);
        sl_bytes_fini(&row);
    }
    sl_duplicate_close(&duplicate);
}

static void test_duplicate_flagged_match_represents_too(void **state)
{
    (void)state;
    sluice_config config = make_config(64 << 10, 256 << 10);
    config.duplicate.window_samples = 2;
    sl_duplicate *duplicate = open_config(&config);
    keep(duplicate, 0, 1);
    sluice_sample copy = make_sample(1, 1, "flagged", "s");
    copy.match = probe(duplicate, &copy);
    assert_int_equal(copy.match.of_offset, 0);
    apply(duplicate, &copy, SLUICE_FLAG);
    assert_int_equal(probe_copy(duplicate, 2, 1).of_offset, 0); /* the smallest offset ... */
    assert_int_equal(probe_copy(duplicate, 3, 1).of_offset, 1); /* ... that the window shows */
    sl_duplicate_close(&duplicate);
}

static void test_duplicate_dropped_copies_refresh_nothing(void **state)
{
    (void)state;
    sluice_config config = make_config(64 << 10, 256 << 10);
    config.duplicate.window_samples = 5;
    sl_duplicate *duplicate = open_config(&config);
    keep(duplicate, 0, 1);
    for (uint64_t offset = 1; offset <= 5; offset++) {
        sluice_sample copy = make_sample(offset, 1, "copy", "s");
        copy.match = probe(duplicate, &copy);
        assert_int_equal(copy.match.method, SLUICE_METHOD_EXACT);
        assert_int_equal(copy.match.of_offset, 0);
        apply(duplicate, &copy, SLUICE_DROP);
    }
    assert_int_equal(probe_copy(duplicate, 6, 1).method, SLUICE_METHOD_NONE);
    sl_duplicate_close(&duplicate);
}

static void test_duplicate_never_matches_itself(void **state)
{
    (void)state;
    sl_duplicate *duplicate = open_default();
    sluice_sample sample = make_sample(4, 1, "a", "s");
    assert_int_equal(probe(duplicate, &sample).method, SLUICE_METHOD_NONE);
    apply(duplicate, &sample, SLUICE_KEEP);
    assert_int_equal(probe(duplicate, &sample).method, SLUICE_METHOD_NONE);
    sl_duplicate_close(&duplicate);
}

static void test_duplicate_redelivery_is_told_from_a_copy(void **state)
{
    (void)state;
    sl_duplicate *duplicate = open_default();
    sluice_sample sample = make_sample(0, 1, "a", "s");
    apply(duplicate, &sample, SLUICE_KEEP);
    sluice_sample again = make_sample(1, 1, "a", "s");
    again.match = probe(duplicate, &again);
    assert_true(again.match.redelivered);
    assert_int_equal(again.match.of_offset, 0);
    apply(duplicate, &again, SLUICE_KEEP); /* leaves nothing, takes no place in the log */
    assert_int_equal(sl_duplicate_usage_of(duplicate, SLUICE_METHOD_EXACT).rows, 1);
    assert_false(probe_copy(duplicate, 1, 1).redelivered);
    sl_duplicate_close(&duplicate);
}

static void test_duplicate_window_of_samples_counts_positions_of_the_log(void **state)
{
    (void)state;
    for (int decision = SLUICE_KEEP; decision <= SLUICE_DROP; decision++) {
        sluice_config config = make_config(64 << 10, 256 << 10);
        config.duplicate.window_samples = 10;
        sl_duplicate *duplicate = open_config(&config);
        keep(duplicate, 5, 1);
        for (uint64_t offset = 6; offset < 15; offset++) { /* dropped ones count too */
            sluice_sample sample = make_sample(offset, 100 + offset, "a", "s");
            apply(duplicate, &sample, (sluice_decision)decision);
        }
        assert_int_equal(sl_duplicate_oldest(duplicate), 5);
        assert_int_equal(probe_copy(duplicate, 15, 1).of_offset, 5);
        assert_int_equal(probe_copy(duplicate, 16, 1).method, SLUICE_METHOD_NONE);
        sluice_sample last = make_sample(15, 115, "a", "s");
        apply(duplicate, &last, (sluice_decision)decision);
        assert_int_equal(sl_duplicate_oldest(duplicate), decision == SLUICE_DROP ? UINT64_MAX : 6);
        sl_duplicate_close(&duplicate);
    }
}

static void test_duplicate_window_of_age_is_of_arrival(void **state)
{
    (void)state;
    sluice_config config = make_config(64 << 10, 256 << 10);
    config.duplicate.window_age_us = 5000;
    sl_duplicate *duplicate = open_config(&config);
    keep(duplicate, 0, 1);
    sluice_sample copy = make_sample(3, 1, "copy", "s");
    copy.features.has = SLUICE_HAS_SKETCH; /* both methods */
    for (int i = 0; i < 2; i++) {
        copy.arrived_us = 5000;
        assert_int_equal(probe(duplicate, &copy).of_offset, 0);
        assert_int_not_equal(probe(duplicate, &copy).method, SLUICE_METHOD_NONE);
        copy.arrived_us = 5001;
        assert_int_equal(probe(duplicate, &copy).method, SLUICE_METHOD_NONE);
        copy.features.has = SLUICE_HAS_RAW;
    }
    sl_duplicate_close(&duplicate);
}

static void test_duplicate_forget_answers_once_and_for_all_methods(void **state)
{
    (void)state;
    sl_duplicate *duplicate = open_default();
    keep(duplicate, 0, 1);
    keep(duplicate, 1, 2);
    assert_false(sl_duplicate_forget(duplicate, 7));
    assert_true(sl_duplicate_forget(duplicate, 0));
    assert_false(sl_duplicate_forget(duplicate, 0));
    assert_int_equal(probe_copy(duplicate, 9, 1).method, SLUICE_METHOD_NONE);
    assert_int_equal(probe_copy(duplicate, 9, 2).of_offset, 1);
    assert_int_equal(sl_duplicate_oldest(duplicate), 1);
    assert_true(sl_duplicate_forget(duplicate, 1));
    assert_int_equal(sl_duplicate_oldest(duplicate), UINT64_MAX);
    keep(duplicate, 10, 1);
    assert_int_equal(probe_copy(duplicate, 11, 1).of_offset, 10);
    sl_duplicate_close(&duplicate);
}

/* Over a ring that has wrapped, with gaps and without: the same ids as remembered one by one. */
static void test_duplicate_id_is_found_wherever_its_rows_lie(void **state)
{
    (void)state;
    sl_duplicate *duplicate = open_default();
    uint64_t out[8];
    static const char *const names[] = {"even", "odd"};
    for (uint64_t offset = 0; offset < 5000; offset++) {
        sluice_sample sample = make_sample(offset, offset, names[offset % 2], "source");
        apply(duplicate, &sample, SLUICE_KEEP);
        if (offset % 16 == 0) { /* wherever the ring begins and ends just now */
            uint64_t first = sl_duplicate_oldest(duplicate);
            assert_int_equal(sl_duplicate_find_id(duplicate, sample.id, offset, out, 8), 1);
            assert_int_equal(
                sl_duplicate_find_id(duplicate, sl_span_of(names[first % 2]), first, out, 8), 1);
        }
    }
    uint64_t oldest = sl_duplicate_oldest(duplicate);
    assert_true(oldest > 0 && oldest < 4990); /* it has wrapped */
    assert_int_equal(sl_duplicate_find_id(duplicate, sl_span_of("odd"), UINT64_MAX, out, 8), 9);
    assert_int_equal(sl_duplicate_find_id(duplicate, sl_span_of("eve"), UINT64_MAX, out, 8), 0);
    for (uint64_t offset = oldest; offset < 5000; offset++) {
        sluice_span id = sl_span_of(names[offset % 2]);
        assert_int_equal(sl_duplicate_find_id(duplicate, id, offset, out, 8), 1);
        assert_int_equal(out[0], offset);
        if (offset < 4995) { /* leaves a gap, which nothing closes meanwhile */
            assert_true(sl_duplicate_forget(duplicate, offset));
            assert_int_equal(sl_duplicate_find_id(duplicate, id, offset, out, 8), 0);
        }
    }
    assert_int_equal(sl_duplicate_find_id(duplicate, sl_span_of("odd"), UINT64_MAX, out, 8), 3);
    assert_int_equal(out[0] + out[1] + out[2], 4995 + 4997 + 4999);
    sl_duplicate_close(&duplicate);
}

static void test_duplicate_disabled_remembers_nothing(void **state)
{
    (void)state;
    sluice_config config = {0};
    sl_duplicate *duplicate = open_config(&config);
    keep(duplicate, 0, 1);
    assert_int_equal(probe_copy(duplicate, 1, 1).method, SLUICE_METHOD_NONE);
    assert_int_equal(sl_duplicate_oldest(duplicate), UINT64_MAX);
    assert_false(sl_duplicate_forget(duplicate, 0));
    assert_int_equal(sl_duplicate_usage_of(duplicate, SLUICE_METHOD_TEXT).rows, 0);
    assert_int_equal(sl_duplicate_plan_of(&config, 16).text_rows, 0);
    sl_duplicate_close(&duplicate);
    assert_null(duplicate);
    sl_duplicate_close(&duplicate);
}

static void test_duplicate_open_with_too_little_memory_says_so(void **state)
{
    (void)state;
    sl_duplicate *duplicate;
    sluice_message why;
    sluice_config config = make_config(64 << 10, 100);
    assert_int_equal(sl_duplicate_open(&config, &duplicate, &why), SLUICE_E_CONFIG);
    assert_null(duplicate);
    assert_non_null(strstr(why.text, "duplicate.text.memory"));
    config = make_config(0, 64 << 10);
    assert_int_equal(sl_duplicate_open(&config, &duplicate, &why), SLUICE_E_CONFIG);
    assert_non_null(strstr(why.text, "duplicate.exact.memory"));
}

static void read_row(sl_duplicate *duplicate, const sluice_sample *sample, sluice_status expected)
{
    sluice_bytes row = {0};
    uint64_t offset;
    sl_durable_from from = sl_duplicate_row_from(duplicate);
    assert_int_equal(sl_duplicate_row_write(duplicate, &from, sample, &row), SLUICE_OK);
    assert_int_equal(sl_duplicate_row_read(duplicate, (sluice_span){row.data, row.size}, &offset),
                     expected);
    assert_int_equal(offset, expected == SLUICE_OK ? sample->offset : 0);
    assert_valid(sl_duplicate_validate, duplicate);
    sl_bytes_fini(&row);
}

static void test_duplicate_row_read_out_of_order_is_refused(void **state)
{
    (void)state;
    sl_duplicate *duplicate = open_default();
    sluice_sample sample = make_sample(5, 1, "a", "s");
    read_row(duplicate, &sample, SLUICE_OK);
    read_row(duplicate, &sample, SLUICE_E_BADSAMPLE);
    sample.offset = 4;
    read_row(duplicate, &sample, SLUICE_E_BADSAMPLE);
    sample.offset = 6;
    read_row(duplicate, &sample, SLUICE_OK);
    uint64_t offset;
    assert_int_equal(sl_duplicate_row_read(duplicate, (sluice_span){0}, &offset),
                     SLUICE_E_BADSAMPLE);
    assert_int_equal(sl_duplicate_usage_of(duplicate, SLUICE_METHOD_TEXT).rows, 2);
    sl_duplicate_apply(duplicate, &sample); /* the log behind the rows: known already */
    assert_int_equal(sl_duplicate_usage_of(duplicate, SLUICE_METHOD_TEXT).rows, 2);
    sl_duplicate_close(&duplicate);
}

/* All that is asked of the allocator, as it counts itself. Sanitizers do not count: then 0. */
static size_t allocated(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static void test_duplicate_allocates_its_budget_at_open_and_nothing_after(void **state)
{
    (void)state;
    sluice_config config = make_config(1 << 20, 4 << 20);
    size_t before = allocated();
    sl_duplicate *duplicate;
    assert_int_equal(sl_duplicate_open(&config, &duplicate, NULL), SLUICE_OK);
    size_t opened = allocated();
    assert_true(opened - before <= (5u << 20) + config.duplicate.image_memory +
                                       config.duplicate.embedding_memory + 512);
    sl_duplicate_plan plan = sl_duplicate_plan_of(&config, 4);
    for (uint64_t offset = 0; offset < 20000; offset++) {
        sluice_sample sample = make_sample(offset, offset + 1, "kept", "source 8");
        sample.match = probe_copy(duplicate, offset, offset / 2);
        sl_duplicate_apply(duplicate, &sample);
    }
    assert_int_equal(allocated(), opened);
    assert_valid(sl_duplicate_validate, duplicate);
    sl_duplicate_usage exact = sl_duplicate_usage_of(duplicate, SLUICE_METHOD_EXACT);
    sl_duplicate_usage text = sl_duplicate_usage_of(duplicate, SLUICE_METHOD_TEXT);
    assert_true(exact.rows >= plan.exact_rows && exact.evicted > 0);
    assert_true(text.rows >= plan.text_rows && text.evicted > 0);
    sl_duplicate_close(&duplicate);
}

/* The flood that evicts everything in a filter which remembers what it drops. */
static void test_duplicate_copies_shorten_the_window_by_no_row(void **state)
{
    (void)state;
    sl_duplicate *duplicate = open_default();
    sl_duplicate *alone = open_default();
    uint64_t offset = 0;
    for (uint64_t i = 0; i < 2000; i++) {
        sluice_sample sample = make_sample(offset++, i + 10, "kept", "source");
        sl_duplicate_apply(duplicate, &sample);
        sl_duplicate_apply(alone, &sample);
        for (int j = 0; j < 5; j++) {
            sluice_sample copy = make_sample(offset++, 10 + i / 100 * 100, "copy", "source");
            copy.match = probe(duplicate, &copy);
            apply(duplicate, &copy,
                  copy.match.method == SLUICE_METHOD_NONE ? SLUICE_KEEP : SLUICE_DROP);
        }
    }
    assert_int_equal(sl_duplicate_oldest(duplicate), sl_duplicate_oldest(alone));
    assert_int_equal(sl_duplicate_usage_of(duplicate, SLUICE_METHOD_TEXT).rows,
                     sl_duplicate_usage_of(alone, SLUICE_METHOD_TEXT).rows);
    sl_duplicate_close(&alone);
    sl_duplicate_close(&duplicate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_duplicate_probe_prefers_exact_to_text),
        cmocka_unit_test(test_duplicate_apply_remembers_kept_and_flagged_only),
        cmocka_unit_test(test_duplicate_flagged_match_represents_too),
        cmocka_unit_test(test_duplicate_dropped_copies_refresh_nothing),
        cmocka_unit_test(test_duplicate_never_matches_itself),
        cmocka_unit_test(test_duplicate_redelivery_is_told_from_a_copy),
        cmocka_unit_test(test_duplicate_window_of_samples_counts_positions_of_the_log),
        cmocka_unit_test(test_duplicate_window_of_age_is_of_arrival),
        cmocka_unit_test(test_duplicate_forget_answers_once_and_for_all_methods),
        cmocka_unit_test(test_duplicate_id_is_found_wherever_its_rows_lie),
        cmocka_unit_test(test_duplicate_disabled_remembers_nothing),
        cmocka_unit_test(test_duplicate_open_with_too_little_memory_says_so),
        cmocka_unit_test(test_duplicate_row_read_out_of_order_is_refused),
        cmocka_unit_test(test_duplicate_allocates_its_budget_at_open_and_nothing_after),
        cmocka_unit_test(test_duplicate_copies_shorten_the_window_by_no_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
