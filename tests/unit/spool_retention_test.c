/* spool_retention_test.c - what may be deleted, what never is, and that it is counted. */
#include "unit/spool_state.h"
#include "spool/retention.h"

#define MAX_BYTES (1u << 20)

static int setup_small(void **state)
{
    setup_state(state);
    spool_state *s = *state;
    s->options.max_bytes = MAX_BYTES;
    reopen_state(s);
    return 0;
}

/* Sixteen groups of 16 samples of 8 KiB: about twice what is allowed. */
static void fill_twice(spool_state *s)
{
    for (int i = 0; i < 16; i++) {
        append_samples(s, 16, 8192);
    }
}

static sl_spool_extent extent_of(spool_state *s)
{
    return sl_spool_extent_of(s->spool);
}

static void test_retention_without_a_checkpoint_deletes_nothing(void **state)
{
    spool_state *s = *state;
    fill_twice(s);
    sl_spool_extent extent = extent_of(s);
    assert_int_equal(extent.first_offset, 0);
    assert_int_equal(extent.deleted_samples, 0);
    assert_true(extent.log_bytes >= extent.max_bytes);
}

static void test_retention_without_groups_is_limited_by_the_checkpoint(void **state)
{
    spool_state *s = *state;
    fill_twice(s);
    put_checkpoint(s, 20); /* inside the second group */
    sl_spool_extent extent = extent_of(s);
    assert_int_equal(extent.first_offset, 16);
    assert_int_equal(extent.deleted_samples, 16);
}

static void test_retention_never_passes_the_lowest_floor(void **state)
{
    spool_state *s = *state;
    put_floor(s, "slow", 0);
    put_floor(s, "fast", 0);
    fill_twice(s);
    put_checkpoint(s, 256);
    put_floor(s, "fast", 256);
    assert_int_equal(extent_of(s).deleted_samples, 0);
    put_floor(s, "slow", 31); /* one short of the second group's end */
    assert_int_equal(extent_of(s).first_offset, 16);
    put_floor(s, "slow", 32);
    assert_int_equal(extent_of(s).first_offset, 32);
    assert_int_equal(extent_of(s).deleted_samples, 32);
    verify_ok(s);
}

static void test_retention_stops_once_there_is_headroom(void **state)
{
    spool_state *s = *state;
    fill_twice(s);
    put_checkpoint(s, 256);
    sl_spool_extent extent = extent_of(s);
    uint64_t enough = MAX_BYTES - sl_retention_headroom(MAX_BYTES);
    assert_true(extent.log_bytes <= enough);
    assert_true(extent.log_bytes + 17 * 8192 > enough); /* and not one group more */
    assert_true(extent.first_offset > 0 && extent.first_offset < 256);
    assert_int_equal(extent.deleted_samples, extent.first_offset);
}

static void test_retention_below_the_headroom_deletes_nothing(void **state)
{
    spool_state *s = *state;
    append_samples(s, 16, 8192);
    put_checkpoint(s, 16);
    assert_int_equal(extent_of(s).deleted_samples, 0);
}

static void test_retention_is_counted_over_restarts(void **state)
{
    spool_state *s = *state;
    fill_twice(s);
    put_checkpoint(s, 256);
    sl_spool_extent before = extent_of(s);
    reopen_state(s);
    sl_spool_extent after = extent_of(s);
    assert_memory_equal(&before, &after, sizeof before);
    assert_true(after.deleted_samples > 0);
}

static void test_retention_after_a_smaller_limit_goes_on_in_steps(void **state)
{
    spool_state *s = *state;
    sl_spool_close(&s->spool);
    s->options.max_bytes = UINT64_C(64) << 20;
    open_state(s);
    for (int i = 0; i < 1500; i++) {
        append_samples(s, 1, 4000);
    }
    put_checkpoint(s, 1500);
    assert_int_equal(extent_of(s).deleted_samples, 0);
    sl_spool_close(&s->spool);
    s->options.max_bytes = MAX_BYTES;
    open_state(s);
    put_checkpoint(s, 1500);
    assert_int_equal(extent_of(s).deleted_samples, 1024);
    put_checkpoint(s, 1500);
    assert_true(extent_of(s).deleted_samples > 1024);
    assert_true(extent_of(s).log_bytes < MAX_BYTES);
    verify_ok(s);
}

/* A log that runs for long at its limit must not make the file grow: freed pages are used again,
 * also when groups are of many sizes and a reader looks in between. */
static void test_retention_at_the_limit_keeps_the_file_small(void **state)
{
    spool_state *s = *state;
    char path[300];
    snprintf(path, sizeof path, "%s/data.mdb", s->path);
    long most = 0;
    for (uint64_t i = 0; i < 1500; i++) {
        append_samples(s, 1 + (uint32_t)(mix(i) % 12), 1 + mix(i * 3) % 12000);
        put_checkpoint(s, extent_of(s).next_offset);
        FILE *file = fopen(path, "rb");
        assert_non_null(file);
        fseek(file, 0, SEEK_END);
        most = ftell(file);
        fclose(file);
    }
    print_message("%lld samples went through, the file is %ld bytes for %u of log\n",
                  (long long)extent_of(s).next_offset, most, MAX_BYTES);
    assert_true(most < 2 * (long)MAX_BYTES);
    verify_ok(s);
}

#define SMALL_TEST(f) cmocka_unit_test_setup_teardown(f, setup_small, teardown_state)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SMALL_TEST(test_retention_without_a_checkpoint_deletes_nothing),
        SMALL_TEST(test_retention_without_groups_is_limited_by_the_checkpoint),
        SMALL_TEST(test_retention_never_passes_the_lowest_floor),
        SMALL_TEST(test_retention_stops_once_there_is_headroom),
        SMALL_TEST(test_retention_below_the_headroom_deletes_nothing),
        SMALL_TEST(test_retention_is_counted_over_restarts),
        SMALL_TEST(test_retention_after_a_smaller_limit_goes_on_in_steps),
        SMALL_TEST(test_retention_at_the_limit_keeps_the_file_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
