/* decide_portfolio_groups_test.c - a portfolio by group says of a group what one by source says of
 * a source; whose samples are whose; saved, loaded, merged, and what it takes. */
#include "bytes.h"
#include "decide/membership.h"
#include "sluice/portfolio.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static uint16_t number_out[SLUICE_LIMIT_SOURCES + 1];

static sluice_portfolio *open_groups(void)
{
    sluice_portfolio *groups;
    assert_int_equal(sluice_portfolio_open_groups("attributes.region", &groups), SLUICE_OK);
    return groups;
}

/* One sample of a stream in which every fourth is a duplicate of the one 50 before it. */
typedef struct made {
    sluice_sample sample;
    char id[32], of[32];
} made;

static const char *group_of(uint64_t offset)
{
    static const char *const names[] = {"north", "south", "east"};
    return names[offset % 3];
}

static void make(uint64_t offset, made *out)
{
    float value = (float)(offset % 40) / 10;
    snprintf(out->id, sizeof out->id, "id %llu", (unsigned long long)offset);
    snprintf(out->of, sizeof out->of, "id %llu", (unsigned long long)(offset - 50));
    out->sample = (sluice_sample){.offset = offset,
                                  .source = sl_span_of("any"),
                                  .id = sl_span_of(out->id),
                                  .arrived_us = (int64_t)(offset + 1) * 1000000,
                                  .cost = 0.5,
                                  .verdict = {.decision = SLUICE_KEEP},
                                  .scores = {.state = SLUICE_LIVE,
                                             .n_toward = 1,
                                             .loss = value,
                                             .self = value * 2,
                                             .leverage = value * 3,
                                             .residual = NAN,
                                             .source_shift = 0,
                                             .reliability = NAN,
                                             .toward = {value - 1},
                                             .percentile = {.loss = 0.5F,
                                                            .self = value / 4,
                                                            .leverage = value / 4,
                                                            .toward = {value / 4}},
                                             .toward_name = {"near"}}};
    if (offset % 4 == 3 && offset >= 50) {
        out->sample.verdict.decision = SLUICE_DROP;
        out->sample.match = (sluice_match){.method = SLUICE_METHOD_TEXT,
                                           .of_source = sl_span_of("any"),
                                           .of_id = sl_span_of(out->of),
                                           .of_offset = UINT64_MAX};
    }
}

static void fill(sluice_portfolio *groups, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i < to; i++) {
        made one;
        make(i, &one);
        sluice_portfolio_apply_group(groups, &one.sample, sl_span_of(group_of(i)));
    }
}

static sluice_bytes save(const sluice_portfolio *portfolio)
{
    sluice_bytes saved = {0};
    assert_int_equal(sluice_portfolio_save(portfolio, &saved), SLUICE_OK);
    return saved;
}

/* The same stream with the group as its source: every number of a row must be the same. */
static void test_group_row_is_that_of_a_source_of_the_same_name(void **state)
{
    (void)state;
    sluice_portfolio *groups = open_groups(), *sources;
    assert_int_equal(sluice_portfolio_open(&sources), SLUICE_OK);
    for (uint64_t i = 0; i < 6000; i++) {
        made one;
        make(i, &one);
        sluice_portfolio_apply_group(groups, &one.sample, sl_span_of(group_of(i)));
        one.sample.source = sl_span_of(group_of(i));
        one.sample.match.of_source = sl_span_of(group_of(i + 1)); /* i - 50 */
        sluice_portfolio_apply(sources, &one.sample);
    }
    assert_int_equal(sluice_portfolio_n_sources(groups), 4);
    for (uint32_t i = 1; i < 4; i++) {
        sluice_source_row a = sluice_portfolio_row(groups, i);
        uint32_t there = sluice_portfolio_find(sources, a.source);
        sluice_source_row b = sluice_portfolio_row(sources, there);
        assert_true(a.kept == b.kept && a.dropped == b.dropped && a.duplicates == b.duplicates);
        assert_true(a.own == b.own && a.scored == b.scored && a.rare == b.rare && a.kept > 0);
        assert_true(a.cost == b.cost && a.self == b.self && a.first_us == b.first_us);
        assert_memory_equal(&a.toward[0], &b.toward[0], sizeof a.toward[0]);
        const double q[] = {0.05, 0.5, 0.95};
        double x[3], y[3];
        for (uint32_t s = 0; s <= SLUICE_STATISTIC_TOWARD; s++) {
            sluice_portfolio_quantiles(groups, i, s, q, 3, x);
            sluice_portfolio_quantiles(sources, there, s, q, 3, y);
            assert_true(x[1] == x[1]); /* not NaN */
            assert_memory_equal(x, y, sizeof x);
        }
        sluice_trend_point points[2][SLUICE_TREND_POINTS];
        uint64_t span[2];
        uint32_t n = sluice_portfolio_trend(groups, i, points[0], &span[0]);
        assert_int_equal(n, sluice_portfolio_trend(sources, there, points[1], &span[1]));
        assert_memory_equal(points[0], points[1], n * sizeof points[0][0]);
    }
    sluice_repeat cells[2][16];
    uint32_t n = sluice_portfolio_repeats(groups, cells[0], 16);
    assert_int_equal(n, sluice_portfolio_repeats(sources, cells[1], 16));
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(cells[0][i].count, cells[1][i].count);
    }
    sluice_portfolio_close(&groups);
    sluice_portfolio_close(&sources);
}

static void test_group_of_an_unknown_representative_is_other(void **state)
{
    (void)state;
    sluice_portfolio *groups = open_groups();
    made before, after;
    make(53, &before);
    make(103, &after); /* of id 53 */
    sluice_portfolio_apply_group(groups, &after.sample, sl_span_of("south"));
    sluice_repeat cell;
    assert_int_equal(sluice_portfolio_repeats(groups, &cell, 1), 1);
    assert_int_equal(cell.i_of, SLUICE_OTHER_SOURCES);
    sluice_portfolio_note_group(groups, &before.sample, sl_span_of("north"));
    for (int i = 0; i < 2; i++) {
        sluice_portfolio_apply_group(groups, &after.sample, sl_span_of("south"));
    }
    assert_int_equal(sluice_portfolio_repeats(groups, &cell, 1), 2);
    uint32_t north = sluice_portfolio_find(groups, sl_span_of("north"));
    assert_true(cell.i_of == north && cell.count == 2);
    assert_int_equal(sluice_portfolio_row(groups, north).kept, 0); /* noted, not counted */
    before.sample.verdict.decision =
        SLUICE_DROP; /* of the same name, and nothing that is repeated */
    sluice_portfolio_apply_group(groups, &before.sample, sl_span_of("south"));
    sluice_portfolio_apply_group(groups, &after.sample, sl_span_of("south"));
    sluice_source_row south = sluice_portfolio_row(groups, 1);
    assert_true(south.duplicates == 4 && south.own == 0);
    sluice_portfolio_close(&groups);
}

static void test_groups_saved_and_loaded_go_on_as_if_never_stopped(void **state)
{
    (void)state;
    sluice_portfolio *whole = open_groups(), *loaded, *sources;
    assert_int_equal(sluice_portfolio_open_groups("", &loaded), SLUICE_OK);
    assert_int_equal(sluice_portfolio_open(&sources), SLUICE_OK);
    fill(whole, 0, 5000);
    sluice_bytes saved = save(whole);
    const sluice_span span = {saved.data, saved.size};
    assert_int_equal(sluice_portfolio_load(loaded, span), SLUICE_OK);
    assert_string_equal(sluice_portfolio_group_by(loaded), "attributes.region");
    assert_int_equal(sluice_portfolio_load(sources, span), SLUICE_E_CORRUPT); /* another kind */
    fill(whole, 5000, 6000);
    fill(loaded, 5000, 6000);
    sluice_bytes a = save(whole), b = save(loaded);
    assert_int_equal(a.size, b.size);
    assert_memory_equal(a.data, b.data, a.size);
    for (size_t size = 0; size < saved.size; size += 1 + saved.size / 300) {
        assert_int_equal(sluice_portfolio_load(loaded, (sluice_span){saved.data, size}),
                         SLUICE_E_CORRUPT);
    }
    sluice_bytes of_sources = save(sources);
    assert_int_equal(sluice_portfolio_load(loaded, (sluice_span){of_sources.data, of_sources.size}),
                     SLUICE_E_CORRUPT);
    sl_bytes_fini(&a);
    sl_bytes_fini(&b);
    sl_bytes_fini(&saved);
    sl_bytes_fini(&of_sources);
    sluice_portfolio_close(&whole);
    sluice_portfolio_close(&loaded);
    sluice_portfolio_close(&sources);
}

static void test_groups_merged_are_added(void **state)
{
    (void)state;
    sluice_portfolio *a = open_groups(), *b = open_groups();
    fill(a, 0, 1000);
    fill(b, 1, 2000); /* numbers differ: the first is another group */
    uint64_t before = 0, after = 0;
    for (uint32_t i = 1; i < 4; i++) {
        before += sluice_portfolio_row(a, i).duplicates + sluice_portfolio_row(b, i).duplicates;
    }
    sluice_portfolio_merge(a, b, number_out);
    for (uint32_t i = 1; i < 4; i++) {
        after += sluice_portfolio_row(a, i).duplicates;
    }
    assert_int_equal(before, after);
    assert_int_equal(sluice_portfolio_n_sources(a), 4);
    sluice_portfolio_close(&a);
    sluice_portfolio_close(&b);
}

/* The bound that deploy/docs/portfolio.md names; and every group has room for all of its scores. */
static void test_groups_take_no_more_than_the_stated_memory(void **state)
{
    (void)state;
    assert_true(sluice_portfolio_bytes(true) <= 7u << 20);
    assert_true(sluice_portfolio_bytes(true) < sluice_portfolio_bytes(false) / 5);
    sluice_portfolio *groups = open_groups();
    for (uint64_t i = 0; i < 65 * 400; i++) {
        made one;
        char name[16];
        make(i, &one);
        snprintf(name, sizeof name, "g%u", (unsigned)(i % 70));
        one.sample.scores.loss = exp2f((float)(i / 70 % 12) - 8);
        sluice_portfolio_apply_group(groups, &one.sample, sl_span_of(name));
    }
    assert_int_equal(sluice_portfolio_n_sources(groups), 1 + SLUICE_LIMIT_GROUPS);
    for (uint32_t i = 0; i <= SLUICE_LIMIT_GROUPS; i++) {
        double q = 0.5, value;
        sluice_portfolio_quantiles(groups, i, SLUICE_STATISTIC_TOWARD, &q, 1, &value);
        assert_true(value == value);
    }
    sluice_alert alerts[SLUICE_LIMIT_ALERTS];
    assert_int_equal(sluice_portfolio_alerts(groups, alerts), 0);
    sluice_portfolio_close(&groups);
}

static sluice_span id_of(uint32_t i, char *room, size_t size)
{
    snprintf(room, size, "sample %u", i);
    return sl_span_of(room);
}

static void test_membership_knows_the_last_ones(void **state)
{
    (void)state;
    enum { N = 2 * SLUICE_GROUPS_REMEMBERED, NEAR = SLUICE_GROUPS_REMEMBERED / 3 };
    char room[32];
    sl_membership *membership;
    assert_int_equal(sl_membership_open(&membership), SLUICE_OK);
    for (uint32_t i = 0; i < N; i++) {
        sl_membership_note(membership, sl_span_of("a"), id_of(i, room, sizeof room),
                           (uint8_t)(1 + i % 64));
    }
    uint32_t n_near = 0, n_old = 0, n_wrong = 0;
    for (uint32_t i = 0; i < N; i++) {
        uint8_t row = sl_membership_find(membership, sl_span_of("a"), id_of(i, room, sizeof room));
        n_wrong += row != 0 && row != 1 + i % 64;
        n_near += i >= N - NEAR && row != 0;
        n_old += row != 0;
    }
    assert_true(n_wrong <= 2);
    assert_true(n_near >= NEAR * 998 / 1000);
    assert_true(n_old <= SLUICE_GROUPS_REMEMBERED);
    assert_int_equal(sl_membership_find(membership, sl_span_of("b"), id_of(N - 1, room, 32)), 0);
    sl_membership_note(membership, sl_span_of("a"), id_of(N - 1, room, sizeof room), 7);
    assert_int_equal(sl_membership_find(membership, sl_span_of("a"), id_of(N - 1, room, 32)), 7);
    sl_membership_close(&membership);
}

static void test_membership_of_rows_that_are_not_there_is_refused(void **state)
{
    (void)state;
    sluice_bytes saved = {0};
    sl_membership *membership, *loaded;
    assert_int_equal(sl_membership_open(&membership), SLUICE_OK);
    sl_membership_note(membership, sl_span_of("a"), sl_span_of("x"), 7);
    assert_int_equal(sl_membership_save(membership, &saved), SLUICE_OK);
    for (uint32_t n_rows = 7; n_rows <= 8; n_rows++) {
        sl_reader reader = sl_reader_of((sluice_span){saved.data, saved.size});
        assert_int_equal(sl_membership_open(&loaded), SLUICE_OK);
        assert_int_equal(sl_membership_load(loaded, &reader, n_rows), n_rows == 8);
        sl_membership_close(&loaded);
    }
    assert_int_equal(sl_membership_find(membership, sl_span_of("a"), sl_span_of("x")), 7);
    sl_membership_close(&membership);
    sl_bytes_fini(&saved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_group_row_is_that_of_a_source_of_the_same_name),
        cmocka_unit_test(test_group_of_an_unknown_representative_is_other),
        cmocka_unit_test(test_groups_saved_and_loaded_go_on_as_if_never_stopped),
        cmocka_unit_test(test_groups_merged_are_added),
        cmocka_unit_test(test_groups_take_no_more_than_the_stated_memory),
        cmocka_unit_test(test_membership_knows_the_last_ones),
        cmocka_unit_test(test_membership_of_rows_that_are_not_there_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
