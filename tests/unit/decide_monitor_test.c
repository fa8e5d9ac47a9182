/* decide_monitor_test.c - a signal against its own past: quiet, raised, cleared, saved. */
#include "decide/monitor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static const sl_monitor_limits limits = {0.1, 0.0002};

static uint64_t random_state;

static double draw(void) /* uniform in [0, 1) */
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(random_state >> 11) / 9007199254740992.0;
}

/* Feeds n values that are 1 with probability p; returns how many times it raised. */
static int feed(sl_monitor *monitor, int n, double p, int *n_cleared)
{
    int n_raised = 0;
    for (int i = 0; i < n; i++) {
        sl_monitor_news news = sl_monitor_add(monitor, &limits, draw() < p ? 1 : 0);
        n_raised += news.raised;
        *n_cleared += news.cleared;
    }
    return n_raised;
}

static void test_monitor_of_a_constant_rate_is_quiet(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        sl_monitor monitor = {.n = 0};
        int n_cleared = 0;
        random_state = seed;
        assert_int_equal(feed(&monitor, 20000, 0.2, &n_cleared), 0);
        assert_true(fabs(monitor.mean - 0.2) < 0.03);
    }
}

static void test_monitor_of_a_changed_rate_raises_once_and_clears_once(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        sl_monitor monitor = {.n = 0};
        int n_cleared = 0;
        random_state = seed;
        assert_int_equal(feed(&monitor, 6400, 0.05, &n_cleared), 0);
        assert_int_equal(feed(&monitor, 256, 0.6, &n_cleared), 1);
        assert_true(monitor.raised);
        assert_int_equal(feed(&monitor, 20000, 0.6, &n_cleared), 0); /* it becomes the new past */
        assert_int_equal(n_cleared, 1);
        assert_false(monitor.raised);
    }
}

/* How often two bursts of `n` values of p = 0.4 in a rate of 0.02 are raised, in 20 streams:
 * [first, second, else]. */
static void raise_bursts(int n_before, int n, int n_between, int n_raised[3])
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        sl_monitor monitor = {.n = 0};
        int n_cleared = 0;
        random_state = seed;
        n_raised[2] += feed(&monitor, n_before, 0.02, &n_cleared);
        n_raised[0] += feed(&monitor, n, 0.4, &n_cleared);
        n_raised[2] += feed(&monitor, n_between, 0.02, &n_cleared);
        n_raised[1] += feed(&monitor, n, 0.4, &n_cleared);
        n_raised[2] += feed(&monitor, 20000, 0.02, &n_cleared);
        assert_false(monitor.raised);
    }
}

static void test_monitor_of_two_equal_bursts_raises_twice(void **state)
{
    (void)state;
    const int n_before[] = {1280, 3840, 12800}, n_between[] = {3200, 6400};
    for (int i = 0; i < 6; i++) {
        int n_raised[3] = {0, 0, 0};
        raise_bursts(n_before[i % 3], 1024, n_between[i / 3], n_raised);
        assert_int_equal(n_raised[0], 20);
        assert_int_equal(n_raised[1], 20);
        assert_int_equal(n_raised[2], 0);
    }
}

static void test_monitor_of_a_long_burst_raises_once(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        sl_monitor monitor = {.n = 0};
        int n_cleared = 0;
        random_state = seed;
        assert_int_equal(feed(&monitor, 1280, 0.02, &n_cleared), 0);
        assert_int_equal(feed(&monitor, 2560, 0.4, &n_cleared), 1);
        assert_int_equal(feed(&monitor, 20000, 0.02, &n_cleared), 0);
        assert_int_equal(n_cleared, 1);
    }
}

static void test_monitor_says_nothing_before_it_knows(void **state)
{
    (void)state;
    sl_monitor monitor = {.n = 0};
    int n_cleared = 0;
    random_state = 7;
    assert_int_equal(feed(&monitor, SL_MONITOR_BLOCK * (SL_MONITOR_LEAST - 1), 0, &n_cleared), 0);
    assert_int_equal(feed(&monitor, SL_MONITOR_BLOCK, 1, &n_cleared), 0);
}

static void test_monitor_leaves_out_what_is_no_number(void **state)
{
    (void)state;
    sl_monitor monitor = {.n = 0};
    for (int i = 0; i < 10000; i++) {
        sl_monitor_news news = sl_monitor_add(&monitor, &limits, NAN);
        assert_false(news.raised || news.cleared);
    }
    assert_int_equal(monitor.blocks, 0);
}

static void test_monitor_goes_on_after_save_and_load(void **state)
{
    (void)state;
    sl_monitor whole = {.n = 0};
    int n_cleared = 0;
    random_state = 3;
    feed(&whole, 5000, 0.3, &n_cleared);
    sluice_bytes saved = {0};
    sl_monitor loaded = {.n = 0};
    assert_int_equal(sl_monitor_save(&whole, &saved), SLUICE_OK);
    sl_reader reader = sl_reader_of((sluice_span){saved.data, saved.size});
    assert_true(sl_monitor_load(&loaded, &reader));
    sl_bytes_fini(&saved);
    for (int i = 0; i < 1000; i++) {
        double value = draw();
        sl_monitor_add(&whole, &limits, value);
        sl_monitor_add(&loaded, &limits, value);
    }
    assert_true(whole.n == loaded.n && whole.sum == loaded.sum && whole.fast == loaded.fast);
    assert_true(whole.mean == loaded.mean && whole.variance == loaded.variance);
    assert_true(whole.blocks == loaded.blocks && whole.raised == loaded.raised);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_monitor_of_a_constant_rate_is_quiet),
        cmocka_unit_test(test_monitor_of_a_changed_rate_raises_once_and_clears_once),
        cmocka_unit_test(test_monitor_of_two_equal_bursts_raises_twice),
        cmocka_unit_test(test_monitor_of_a_long_burst_raises_once),
        cmocka_unit_test(test_monitor_says_nothing_before_it_knows),
        cmocka_unit_test(test_monitor_leaves_out_what_is_no_number),
        cmocka_unit_test(test_monitor_goes_on_after_save_and_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
