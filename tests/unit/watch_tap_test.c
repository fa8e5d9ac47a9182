/* watch_tap_test.c - what a watcher is sent, and what it is told that it missed. */
#include "watch/tap.h"
#include "bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static char got[2 * SL_TAP_BYTES];

static const char *take_all(sl_watcher *watcher)
{
    size_t n = 0;
    for (size_t more; (more = sl_watcher_take(watcher, got + n, 1000)) > 0;) {
        n += more;
    }
    got[n] = '\0';
    return got;
}

static sluice_sample sample_of(uint64_t offset, const char *source, sluice_decision decision)
{
    return (sluice_sample){
        .offset = offset, .source = sl_span_of(source), .verdict = {.decision = decision}};
}

static void record(sl_tap *tap, const sluice_sample *sample, const char *json)
{
    if (sl_tap_wants(tap, sample)) {
        sl_tap_record(tap, sample, sl_span_of(json), 0);
    }
}

static void test_tap_filters_by_decision_source_and_method(void **state)
{
    (void)state;
    sl_tap *tap;
    assert_int_equal(sl_tap_open(&tap), SLUICE_OK);
    sl_tap_filter filter = {.decisions = 1u << SLUICE_DROP,
                            .methods = 1u << SLUICE_METHOD_TEXT,
                            .by_source = true,
                            .source = "s"};
    sl_watcher *watcher = sl_tap_join(tap, &filter, 0);
    assert_int_equal(take_all(watcher)[0], ':');
    sluice_sample wanted = sample_of(7, "s", SLUICE_DROP);
    wanted.match.method = SLUICE_METHOD_TEXT;
    sluice_sample kept = wanted, other = wanted, exact = wanted;
    kept.verdict.decision = SLUICE_KEEP;
    other.source = sl_span_of("t");
    exact.match.method = SLUICE_METHOD_EXACT;
    record(tap, &kept, "{}");
    record(tap, &other, "{}");
    record(tap, &exact, "{}");
    assert_false(sl_watcher_has(watcher));
    record(tap, &wanted, "{\"id\": 1}");
    assert_string_equal(take_all(watcher), "id: 7\ndata: {\"id\": 1}\n\n");
    sl_tap_leave(tap, watcher);
    assert_int_equal(sl_tap_n_watchers(tap), 0);
    sl_tap_close(&tap);
}

static void test_tap_slow_watcher_misses_and_is_told_how_many(void **state)
{
    (void)state;
    sl_tap *tap;
    assert_int_equal(sl_tap_open(&tap), SLUICE_OK);
    sl_tap_filter all = {0};
    sl_watcher *slow = sl_tap_join(tap, &all, 0), *quick = sl_tap_join(tap, &all, 0);
    (void)take_all(slow);
    char json[1001];
    memset(json, 'x', 1000);
    json[1000] = '\0';
    uint32_t n_quick = 0;
    for (uint32_t i = 0; i < 400; i++) {
        sluice_sample sample = sample_of(i, "s", SLUICE_KEEP);
        record(tap, &sample, json);
        n_quick += strstr(take_all(quick), "xxx") != NULL;
    }
    assert_int_equal(n_quick, 400);
    uint32_t n_slow = 0, lost = 0; /* said once, not record by record */
    const char *at = take_all(slow);
    assert_true(strlen(at) <= SL_TAP_BYTES);
    for (; (at = strstr(at, "\ndata: x")) != NULL; at++) {
        n_slow++;
    }
    sl_tap_skip(tap, 11);
    sluice_sample next = sample_of(400, "s", SLUICE_KEEP);
    record(tap, &next, "{}");
    assert_int_equal(
        sscanf(take_all(slow), "event: gap\ndata: {\"lost\": %u, \"skipped\": 11}", &lost), 1);
    assert_int_equal(n_slow + lost, 400);
    assert_non_null(strstr(got, "id: 400\ndata: {}"));
    sl_tap_close(&tap);
}

static void test_tap_that_nobody_can_take_from_wants_no_json(void **state)
{
    (void)state;
    sl_tap *tap;
    assert_int_equal(sl_tap_open(&tap), SLUICE_OK);
    sluice_sample kept = sample_of(0, "s", SLUICE_KEEP), dropped = sample_of(1, "s", SLUICE_DROP);
    assert_false(sl_tap_wants(tap, &kept));
    sl_tap_filter drops = {.decisions = 1u << SLUICE_DROP};
    sl_watcher *watcher = sl_tap_join(tap, &drops, 0);
    assert_false(sl_tap_wants(tap, &kept));
    assert_true(sl_tap_wants(tap, &dropped));
    static char json[SL_TAP_BYTES / 4];
    memset(json, 'x', sizeof json - 1);
    uint32_t n_put = 0;
    while (sl_tap_wants(tap, &dropped) && n_put < 100) { /* the fourth does not fit */
        record(tap, &dropped, json);
        n_put++;
    }
    assert_int_equal(n_put, 4);
    (void)take_all(watcher);
    assert_true(sl_tap_wants(tap, &dropped)); /* and what was not wanted is told */
    assert_string_equal(take_all(watcher), "event: gap\ndata: {\"lost\": 2, \"skipped\": 0}\n\n");
    sl_tap_close(&tap);
}

static void test_tap_sixteen_watch_and_no_more(void **state)
{
    (void)state;
    sl_tap *tap;
    assert_int_equal(sl_tap_open(&tap), SLUICE_OK);
    sl_tap_filter all = {0};
    sl_watcher *last = NULL;
    for (uint32_t i = 0; i < SL_TAP_WATCHERS; i++) {
        last = sl_tap_join(tap, &all, 0);
        assert_non_null(last);
    }
    assert_null(sl_tap_join(tap, &all, 0));
    sl_tap_leave(tap, last);
    assert_non_null(sl_tap_join(tap, &all, 0));
    sl_tap_close(&tap);
}

static void test_tap_silence_is_broken_by_a_comment(void **state)
{
    (void)state;
    sl_tap *tap;
    assert_int_equal(sl_tap_open(&tap), SLUICE_OK);
    sl_tap_filter all = {0};
    sl_watcher *watcher = sl_tap_join(tap, &all, 0);
    (void)take_all(watcher);
    sl_tap_beat(tap, 4999999);
    assert_false(sl_watcher_has(watcher));
    sl_tap_beat(tap, 5000000);
    assert_string_equal(take_all(watcher), ":\n\n");
    sl_tap_beat(tap, 5000001);
    assert_false(sl_watcher_has(watcher));
    sl_tap_close(&tap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tap_filters_by_decision_source_and_method),
        cmocka_unit_test(test_tap_slow_watcher_misses_and_is_told_how_many),
        cmocka_unit_test(test_tap_that_nobody_can_take_from_wants_no_json),
        cmocka_unit_test(test_tap_sixteen_watch_and_no_more),
        cmocka_unit_test(test_tap_silence_is_broken_by_a_comment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
