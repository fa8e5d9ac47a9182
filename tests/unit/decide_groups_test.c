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

static sluice_portfolio *groups;

static int open_groups(void **state)
{
    (void)state;
    return sluice_portfolio_open_groups("attributes.region", &groups) == SLUICE_OK ? 0 : -1;
}

static int close_groups(void **state)
{
    (void)state;
    sluice_portfolio_close(&groups);
    return 0;
}

static void add(const char *name, uint32_t received, uint32_t dropped)
{
    for (uint32_t i = 0; i < received; i++) {
        const sluice_sample sample = {.verdict.decision = i < dropped  ? SLUICE_DROP
                                                          : i % 2 == 0 ? SLUICE_KEEP
                                                                       : SLUICE_FLAG};
        sl_groups_apply(groups, sl_span_of(name), &sample);
    }
}

static void test_groups_compares_those_with_enough_samples(void **state)
{
    (void)state;
    assert_true(isnan(sl_groups_fairness(groups, 1.25, 1).ratio));
    add("north", 1000, 100);
    add("few", 99, 99);
    assert_true(isnan(sl_groups_fairness(groups, 1.25, 100).ratio));
    assert_false(sl_groups_fairness(groups, 1.25, 100).unfair);
    add("south", 1000, 125);
    sluice_fairness fairness = sl_groups_fairness(groups, 1.25, 100);
    assert_float_equal(fairness.ratio, 1.25, 1e-9);
    assert_false(fairness.unfair); /* not more than allowed */
    add("south", 1, 1);
    fairness = sl_groups_fairness(groups, 1.25, 100);
    assert_true(fairness.unfair);
    assert_true(sl_span_equal(sl_groups_at(groups, fairness.i_high).group, sl_span_of("south")));
    assert_true(sl_span_equal(sl_groups_at(groups, fairness.i_low).group, sl_span_of("north")));
    assert_true(sl_groups_fairness(groups, 5, 99).unfair);
}

static void test_groups_without_drops_count_as_half_a_drop(void **state)
{
    (void)state;
    add("north", 1000, 0);
    add("south", 1000, 0);
    assert_float_equal(sl_groups_fairness(groups, 1.25, 100).ratio, 1, 0);
    add("south", 1, 1);
    assert_true(fabs(sl_groups_fairness(groups, 1.25, 100).ratio - 2 / 1.001) < 1e-9);
}

static void test_groups_beyond_the_limit_are_one(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < SLUICE_LIMIT_GROUPS + 5; i++) {
        char name[16];
        snprintf(name, sizeof name, "g%u", i);
        assert_int_equal(sl_groups_n(groups),
                         i <= SLUICE_LIMIT_GROUPS ? i : SLUICE_LIMIT_GROUPS + 1);
        add(name, 1, 1);
    }
    sluice_group_counts other = sl_groups_at(groups, SLUICE_LIMIT_GROUPS);
    assert_true(sl_span_equal(other.group, sl_span_of("(other)")));
    assert_int_equal(other.received, 5);
    assert_int_equal(other.dropped, 5);
    add("g3", 2, 0);
    assert_int_equal(sl_groups_at(groups, 3).received, 3);
}

static void test_groups_nothing_is_a_group_and_long_names_are_cut(void **state)
{
    (void)state;
    char name[400];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    add("", 2, 1);
    add(name, 1, 0);
    assert_true(sl_span_equal(sl_groups_at(groups, 0).group, sl_span_of("(none)")));
    assert_int_equal(sl_groups_at(groups, 0).dropped, 1);
    assert_int_equal(sl_groups_at(groups, 1).group.size, 256);
}

static void test_groups_keys_are_texts(void **state)
{
    (void)state;
    static sl_names names;
    sl_name key;
    sluice_message wrong;
    assert_true(sl_groups_key(&names, "attributes.page.url", &key, &wrong));
    assert_string_equal(names.attribute[key.index], "page.url"); /* a NAME may have dots in it */
    assert_true(sl_groups_key(&names, "sample.source", &key, &wrong));
    assert_false(sl_groups_key(&names, "influence.self", &key, &wrong));
    assert_non_null(strstr(wrong.text, "attributes.NAME"));
    assert_false(sl_groups_key(&names, "", &key, &wrong));
    sluice_sample sample = {.source = sl_span_of("a")};
    assert_true(sl_groups_key(&names, "sample.source", &key, &wrong));
    assert_true(sl_span_equal(sl_groups_of(&names, &key, &(sl_facts){&sample, NULL, false}),
                              sl_span_of("a")));
}

/* n, then name, received, dropped of each and of "(other)". */
static void put_counts(sluice_bytes *out, uint64_t dropped)
{
    static const char *const names[] = {"north", "south", "(other)"};
    assert_int_equal(sl_bytes_put_u32(out, 2), SLUICE_OK);
    for (uint64_t i = 0; i < 3; i++) {
        assert_int_equal(sl_bytes_put_u32(out, (uint32_t)strlen(names[i])), SLUICE_OK);
        assert_int_equal(sl_bytes_append(out, names[i], strlen(names[i])), SLUICE_OK);
        assert_int_equal(sl_bytes_put_u64(out, 10 + i), SLUICE_OK);
        assert_int_equal(sl_bytes_put_u64(out, dropped), SLUICE_OK);
    }
}

static void test_groups_counts_of_an_earlier_checkpoint_are_read(void **state)
{
    (void)state;
    sluice_bytes saved = {0}, broken = {0};
    put_counts(&saved, 3);
    sl_reader reader = sl_reader_of((sluice_span){saved.data, saved.size});
    assert_int_equal(sl_groups_load_counts(groups, &reader), SLUICE_OK);
    assert_true(reader.at == reader.end);
    assert_int_equal(sl_groups_n(groups), 3);
    sluice_group_counts south = sl_groups_at(groups, 1), other = sl_groups_at(groups, 2);
    assert_true(south.received == 11 && south.dropped == 3 && other.received == 12);
    assert_true(sl_span_equal(south.group, sl_span_of("south")));
    for (size_t size = 0; size < saved.size; size++) {
        reader = sl_reader_of((sluice_span){saved.data, size});
        assert_int_equal(sl_groups_load_counts(NULL, &reader), SLUICE_E_CORRUPT);
    }
    put_counts(&broken, 11); /* more than were received */
    reader = sl_reader_of((sluice_span){broken.data, broken.size});
    assert_int_equal(sl_groups_load_counts(NULL, &reader), SLUICE_E_CORRUPT);
    sl_bytes_fini(&saved);
    sl_bytes_fini(&broken);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_groups, close_groups)
    const struct CMUnitTest tests[] = {
        TEST(test_groups_compares_those_with_enough_samples),
        TEST(test_groups_without_drops_count_as_half_a_drop),
        TEST(test_groups_beyond_the_limit_are_one),
        TEST(test_groups_nothing_is_a_group_and_long_names_are_cut),
        TEST(test_groups_keys_are_texts),
        TEST(test_groups_counts_of_an_earlier_checkpoint_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
