/* decide_groups_test.c - counts by group, and when they are called unequal. */
#include "bytes.h"
#include "decide/groups.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static sl_groups groups;

static int open_groups(void **state)
{
    (void)state;
    sl_groups_init(&groups);
    return 0;
}

static void add(const char *name, uint32_t received, uint32_t dropped)
{
    for (uint32_t i = 0; i < received; i++) {
        sl_groups_apply(&groups, sl_span_of(name), i < dropped);
    }
}

static void test_groups_compares_those_with_enough_samples(void **state)
{
    (void)state;
    assert_true(isnan(sl_groups_fairness(&groups, 1.25, 1).ratio));
    add("north", 1000, 100);
    add("few", 99, 99);
    assert_true(isnan(sl_groups_fairness(&groups, 1.25, 100).ratio));
    assert_false(sl_groups_fairness(&groups, 1.25, 100).unfair);
    add("south", 1000, 125);
    sluice_fairness fairness = sl_groups_fairness(&groups, 1.25, 100);
    assert_float_equal(fairness.ratio, 1.25, 1e-9);
    assert_false(fairness.unfair); /* not more than allowed */
    add("south", 1, 1);
    fairness = sl_groups_fairness(&groups, 1.25, 100);
    assert_true(fairness.unfair);
    assert_true(sl_span_equal(sl_groups_at(&groups, fairness.i_high).group, sl_span_of("south")));
    assert_true(sl_span_equal(sl_groups_at(&groups, fairness.i_low).group, sl_span_of("north")));
    assert_true(sl_groups_fairness(&groups, 5, 99).unfair);
}

static void test_groups_without_drops_count_as_half_a_drop(void **state)
{
    (void)state;
    add("north", 1000, 0);
    add("south", 1000, 0);
    assert_float_equal(sl_groups_fairness(&groups, 1.25, 100).ratio, 1, 0);
    add("south", 0, 0);
    sl_groups_apply(&groups, sl_span_of("south"), true);
    assert_true(fabs(sl_groups_fairness(&groups, 1.25, 100).ratio - 2 / 1.001) < 1e-9);
}

static void test_groups_beyond_the_limit_are_one(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < SLUICE_LIMIT_GROUPS + 5; i++) {
        char name[16];
        snprintf(name, sizeof name, "g%u", i);
        assert_int_equal(sl_groups_n(&groups),
                         i <= SLUICE_LIMIT_GROUPS ? i : SLUICE_LIMIT_GROUPS + 1);
        sl_groups_apply(&groups, sl_span_of(name), true);
    }
    sluice_group_counts other = sl_groups_at(&groups, SLUICE_LIMIT_GROUPS);
    assert_true(sl_span_equal(other.group, sl_span_of("(other)")));
    assert_int_equal(other.received, 5);
    assert_int_equal(other.dropped, 5);
    add("g3", 2, 0);
    assert_int_equal(sl_groups_at(&groups, 3).received, 3);
}

static void test_groups_nothing_is_a_group_and_long_names_are_cut(void **state)
{
    (void)state;
    char name[400];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    add("", 2, 1);
    add(name, 1, 0);
    assert_true(sl_span_equal(sl_groups_at(&groups, 0).group, sl_span_of("(none)")));
    assert_int_equal(sl_groups_at(&groups, 0).dropped, 1);
    assert_int_equal(sl_groups_at(&groups, 1).group.size, 256);
}

static void test_groups_saved_and_loaded_are_the_same(void **state)
{
    (void)state;
    static sl_groups loaded;
    sluice_bytes saved = {0}, again = {0};
    for (uint32_t i = 0; i < SLUICE_LIMIT_GROUPS + 5; i++) {
        char name[16];
        snprintf(name, sizeof name, "g%u", i);
        add(name, i + 1, i);
    }
    assert_int_equal(sl_groups_save(&groups, &saved), SLUICE_OK);
    sl_reader reader = sl_reader_of((sluice_span){saved.data, saved.size});
    assert_int_equal(sl_groups_load(&loaded, &reader), SLUICE_OK);
    assert_true(reader.at == reader.end);
    assert_int_equal(sl_groups_save(&loaded, &again), SLUICE_OK);
    assert_int_equal(saved.size, again.size);
    assert_memory_equal(saved.data, again.data, saved.size);
    for (size_t size = 0; size < saved.size; size++) {
        reader = sl_reader_of((sluice_span){saved.data, size});
        assert_int_equal(sl_groups_load(&loaded, &reader), SLUICE_E_CORRUPT);
    }
    sl_bytes_fini(&saved);
    sl_bytes_fini(&again);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, open_groups)
    const struct CMUnitTest tests[] = {
        TEST(test_groups_compares_those_with_enough_samples),
        TEST(test_groups_without_drops_count_as_half_a_drop),
        TEST(test_groups_beyond_the_limit_are_one),
        TEST(test_groups_nothing_is_a_group_and_long_names_are_cut),
        TEST(test_groups_saved_and_loaded_are_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
