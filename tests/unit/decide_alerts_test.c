/* decide_alerts_test.c - which alerts are remembered when there are more than there is room for. */
#include "decide/alerts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#define SECOND INT64_C(1000000)

static uint64_t next_offset;
static int64_t now_us;
static sluice_alert alert[SLUICE_LIMIT_ALERTS];

static void add(sl_alerts *alerts, uint32_t i_source)
{
    sluice_sample sample = {.offset = next_offset++, .arrived_us = now_us};
    sl_alerts_add(alerts, i_source, &sample);
}

/* The sources [first, end) send for a minute; then only the one that never falls silent does. */
static void fall_silent(sl_alerts *alerts, uint32_t first, uint32_t end)
{
    const uint32_t awake = SLUICE_LIMIT_SOURCES;
    for (int round = 0; round < 60; round++, now_us += SECOND) {
        for (uint32_t i = first; i < end; i++) {
            add(alerts, i);
        }
        add(alerts, awake);
    }
    for (int i = 0; i < 1024; i++, now_us += SECOND) {
        add(alerts, awake);
    }
}

static sl_alerts *open_alerts(void)
{
    sl_alerts *alerts = NULL;
    next_offset = 0;
    now_us = SECOND;
    assert_int_equal(sl_alerts_open(&alerts), SLUICE_OK);
    return alerts;
}

static const sluice_alert *find(uint32_t n, uint32_t i_source)
{
    for (uint32_t i = 0; i < n; i++) {
        if (alert[i].i_source == i_source) {
            return &alert[i];
        }
    }
    return NULL;
}

static void test_alerts_beyond_the_room_forget_the_oldest_and_count_it(void **state)
{
    (void)state;
    sl_alerts *alerts = open_alerts();
    fall_silent(alerts, 1, 301);
    assert_int_equal(sl_alerts_read(alerts, alert), SLUICE_LIMIT_ALERTS);
    assert_int_equal(sl_alerts_counts(alerts).raised, 300);
    for (uint32_t i = 0; i < SLUICE_LIMIT_ALERTS; i++) { /* newest first */
        assert_int_equal(alert[i].i_source, 300 - i);
        assert_int_equal(alert[i].kind, SLUICE_ALERT_SILENCE);
    }
    sl_alerts_close(&alerts);
}

static void test_alerts_that_hold_outlive_those_that_are_over(void **state)
{
    (void)state;
    sl_alerts *alerts = open_alerts();
    fall_silent(alerts, 1, 257);
    add(alerts, 5); /* is back, as is 9 */
    add(alerts, 9);
    assert_int_equal(sl_alerts_counts(alerts).cleared, 2);
    fall_silent(alerts, 300, 303); /* the third finds nothing that is over */
    uint32_t n = sl_alerts_read(alerts, alert);
    assert_int_equal(n, SLUICE_LIMIT_ALERTS);
    assert_int_equal(sl_alerts_counts(alerts).raised, 259);
    for (uint32_t i = 1; i < 257; i++) {
        assert_true((find(n, i) == NULL) == (i == 5 || i == 9 || i == 1));
    }
    assert_int_equal(alert[0].i_source, 302);
    for (uint32_t i = 1; i < n; i++) {
        assert_true(alert[i].offset <= alert[i - 1].offset);
    }
    sl_alerts_close(&alerts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alerts_beyond_the_room_forget_the_oldest_and_count_it),
        cmocka_unit_test(test_alerts_that_hold_outlive_those_that_are_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
