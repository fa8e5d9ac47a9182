/* spool_log_store_test.c - selecting for consumers: runs, limits, shards, what is gone. */
#include "unit/spool_state.h"

/* Commits of these sizes; sample i is dropped where i % 4 == 2. */
static void append_pattern(spool_state *s, uint32_t n)
{
    sl_spool_sample samples[16];
    uint64_t first = sl_spool_extent_of(s->spool).next_offset;
    make_samples(samples, first, n, sl_span_of("12345678"));
    for (uint32_t i = 0; i < n; i++) {
        samples[i].decision = (first + i) % 4 == 2   ? SLUICE_DROP
                              : (first + i) % 4 == 3 ? SLUICE_FLAG
                                                     : SLUICE_KEEP;
    }
    append_ok(s, &(sl_spool_write){.samples = samples, .n_samples = n});
}

#define ENTRY_BYTES 12 /* 0A, length, 8 of wire, 2 of annotation */

static int setup_pattern(void **state)
{
    setup_state(state);
    append_pattern(*state, 10); /* ordinal 0: 0..9   */
    append_pattern(*state, 2);  /* ordinal 1: 10..11 */
    append_pattern(*state, 4);  /* ordinal 2: 12..15 */
    return 0;
}

static sl_spool_selected select_ok(spool_state *s, const sl_spool_select *select, size_t *bytes)
{
    sluice_bytes out = {0};
    sl_spool_selected selected;
    sluice_status status = sl_spool_select_batch(s->spool, select, &out, &selected, &s->why);
    if (status != SLUICE_OK) {
        fail_msg("%s", s->why.text);
    }
    *bytes = out.size;
    for (size_t i = 0; i < out.size; i += ENTRY_BYTES) {
        assert_memory_equal(out.data + i, "\x0a\x0a\x31\x32\x33\x34\x35\x36\x37\x38zA",
                            ENTRY_BYTES);
    }
    assert_int_equal(out.size, (size_t)selected.count * ENTRY_BYTES);
    sl_bytes_fini(&out);
    return selected;
}

static void assert_selected(sl_spool_selected selected, uint64_t first, uint64_t next,
                            uint32_t count)
{
    assert_int_equal(selected.first_offset, first);
    assert_int_equal(selected.next_offset, next);
    assert_int_equal(selected.count, count);
}

static void test_select_skips_the_dropped_unless_all(void **state)
{
    spool_state *s = *state;
    size_t bytes;
    sl_spool_select select = {.below_offset = UINT64_MAX, .max_bytes = 1 << 20};
    assert_selected(select_ok(s, &select, &bytes), 0, 16, 12);
    select.all = true;
    assert_selected(select_ok(s, &select, &bytes), 0, 16, 16);
}

static void test_select_begins_and_ends_inside_groups(void **state)
{
    spool_state *s = *state;
    size_t bytes;
    sl_spool_select select = {.from_offset = 3, .below_offset = 13, .max_bytes = 1 << 20};
    assert_selected(select_ok(s, &select, &bytes), 3, 13, 8); /* 3 4 5 7 8 9 11 12 */
    select.from_offset = 2;
    select.below_offset = 3;
    assert_selected(select_ok(s, &select, &bytes), 2, 3, 0);
}

static void test_select_at_max_bytes_takes_it_and_one_less_does_not(void **state)
{
    spool_state *s = *state;
    size_t bytes;
    sl_spool_select select = {.below_offset = UINT64_MAX, .max_bytes = 3 * ENTRY_BYTES};
    assert_selected(select_ok(s, &select, &bytes), 0, 4, 3); /* 0 1 3 */
    assert_int_equal(bytes, 3 * ENTRY_BYTES);
    select.max_bytes--;
    assert_selected(select_ok(s, &select, &bytes), 0, 3, 2); /* the dropped one is passed */
}

static void test_select_of_a_sample_larger_than_max_bytes_gives_it_alone(void **state)
{
    spool_state *s = *state;
    size_t bytes;
    sl_spool_select select = {.from_offset = 4, .below_offset = UINT64_MAX, .max_bytes = 1};
    assert_selected(select_ok(s, &select, &bytes), 4, 5, 1);
}

static void test_select_pages_cover_everything_once(void **state)
{
    spool_state *s = *state;
    uint64_t from = 0;
    uint32_t count = 0;
    size_t bytes;
    while (from < 16) {
        sl_spool_select select = {
            .from_offset = from, .below_offset = UINT64_MAX, .max_bytes = 2 * ENTRY_BYTES};
        sl_spool_selected selected = select_ok(s, &select, &bytes);
        assert_true(selected.next_offset > from);
        from = selected.next_offset;
        count += selected.count;
    }
    assert_int_equal(from, 16);
    assert_int_equal(count, 12);
}

static void test_select_shards_split_by_value_and_pass_the_others(void **state)
{
    spool_state *s = *state;
    size_t bytes;
    sl_spool_select select = {
        .below_offset = UINT64_MAX, .max_bytes = 1 << 20, .all = true, .shards = 2};
    assert_selected(select_ok(s, &select, &bytes), 0, 16, 14); /* values 0 and 2 */
    select.shard = 1;
    assert_selected(select_ok(s, &select, &bytes), 0, 16, 2);
    select.below_offset = 5;
    assert_selected(select_ok(s, &select, &bytes), 0, 5, 0);
}

static void test_select_at_the_end_gives_nothing(void **state)
{
    spool_state *s = *state;
    size_t bytes;
    sl_spool_select select = {.from_offset = 16, .below_offset = UINT64_MAX, .max_bytes = 100};
    assert_selected(select_ok(s, &select, &bytes), 16, 16, 0);
    select.from_offset = 99;
    assert_selected(select_ok(s, &select, &bytes), 99, 99, 0);
}

static void test_select_appends_behind_what_is_there(void **state)
{
    spool_state *s = *state;
    sluice_bytes out = {0};
    assert_int_equal(sl_bytes_append(&out, "head", 4), SLUICE_OK);
    sl_spool_select select = {.below_offset = 1, .max_bytes = 1};
    sl_spool_selected selected;
    assert_int_equal(sl_spool_select_batch(s->spool, &select, &out, &selected, &s->why), SLUICE_OK);
    assert_int_equal(out.size, 4 + ENTRY_BYTES);
    assert_memory_equal(out.data, "head\x0a", 5);
    sl_bytes_fini(&out);
}

static void test_select_below_the_first_there_is_begins_at_it(void **state)
{
    spool_state *s = *state;
    sl_spool_close(&s->spool);
    s->options.max_bytes = 8192; /* one page with the pattern and the large sample are more */
    open_state(s);
    append_samples(s, 1, 8000);
    put_floor(s, "g", 12);
    put_checkpoint(s, 17);
    sl_spool_extent extent = sl_spool_extent_of(s->spool);
    assert_int_equal(extent.first_offset, 12);
    assert_int_equal(extent.deleted_samples, 12);
    sluice_bytes out = {0};
    sl_spool_select select = {.below_offset = UINT64_MAX, .max_bytes = 1 << 20, .all = true};
    sl_spool_selected selected;
    assert_int_equal(sl_spool_select_batch(s->spool, &select, &out, &selected, &s->why), SLUICE_OK);
    assert_selected(selected, 12, 17, 5);
    assert_int_equal(sl_spool_sample_at(s->spool, 11, &out, &s->why), SLUICE_E_AGAIN);
    /* All of it: then the end is where one reads on. */
    put_floor(s, "g", 17);
    assert_int_equal(sl_spool_extent_of(s->spool).first_offset, 17);
    assert_int_equal(sl_spool_select_batch(s->spool, &select, &out, &selected, &s->why), SLUICE_OK);
    assert_selected(selected, 17, 17, 0);
    sl_bytes_fini(&out);
    reopen_state(s);
    assert_int_equal(sl_spool_extent_of(s->spool).next_offset, 17);
    append_samples(s, 1, 10);
    verify_ok(s);
}

static void test_select_looks_at_a_bounded_number_of_values(void **state)
{
    spool_state *s = *state;
    sl_spool_sample sample;
    for (uint32_t i = 0; i < 1100; i++) {
        make_samples(&sample, 16 + i, 1, sl_span_of("12345678"));
        sample.decision = SLUICE_DROP;
        append_ok(s, &(sl_spool_write){.samples = &sample, .n_samples = 1});
    }
    size_t bytes;
    sl_spool_select select = {.from_offset = 16, .below_offset = UINT64_MAX, .max_bytes = 100};
    sl_spool_selected selected = select_ok(s, &select, &bytes);
    assert_selected(selected, 16, 16 + 1024, 0);
    select.from_offset = selected.next_offset;
    assert_selected(select_ok(s, &select, &bytes), 16 + 1024, 16 + 1100, 0);
}

#define PATTERN_TEST(f) cmocka_unit_test_setup_teardown(f, setup_pattern, teardown_state)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PATTERN_TEST(test_select_skips_the_dropped_unless_all),
        PATTERN_TEST(test_select_begins_and_ends_inside_groups),
        PATTERN_TEST(test_select_at_max_bytes_takes_it_and_one_less_does_not),
        PATTERN_TEST(test_select_of_a_sample_larger_than_max_bytes_gives_it_alone),
        PATTERN_TEST(test_select_pages_cover_everything_once),
        PATTERN_TEST(test_select_shards_split_by_value_and_pass_the_others),
        PATTERN_TEST(test_select_at_the_end_gives_nothing),
        PATTERN_TEST(test_select_appends_behind_what_is_there),
        PATTERN_TEST(test_select_below_the_first_there_is_begins_at_it),
        PATTERN_TEST(test_select_looks_at_a_bounded_number_of_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
