/* watch_changes_test.c - orders on their way: places, the deadline, who goes away, what is said. */
#include "watch/changes.h"
#include "bytes.h"
#include "job.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define LATE_US ((SL_CHANGES_S + 1) * INT64_C(1000000))

static sl_view_meters meters;
static sl_ring *estimator, *ingest;
static sluice_message why;

static int open_changes(void **state)
{
    memset(&meters, 0, sizeof meters);
    sl_changes_options options = {.meters = &meters};
    if (sl_ring_open(8, false, &estimator) != SLUICE_OK ||
        sl_ring_open(8, false, &ingest) != SLUICE_OK) {
        return -1;
    }
    options.estimator = estimator;
    options.ingest = ingest;
    return sl_changes_open(&options, (sl_changes **)state) == SLUICE_OK ? 0 : -1;
}

static int close_changes(void **state)
{
    sl_changes_close((sl_changes **)state);
    sl_ring_close(&estimator);
    sl_ring_close(&ingest);
    return 0;
}

static sl_order *forget(sl_changes *changes, const char *id)
{
    sl_order *order = NULL;
    assert_int_equal(
        sl_changes_begin(changes, SL_CHANGE_FORGET, id, sl_span_of("{}"), &order, &why), 0);
    assert_non_null(order);
    return order;
}

/* The estimator and the committer. */
static void do_one(uint32_t n_rows, sl_code code, const char *text)
{
    sl_job *job = sl_ring_try_pop(estimator);
    assert_non_null(job);
    job->forgotten = (sl_forgotten){n_rows, 3, 9};
    job->code = code;
    (void)sluice_fail(&job->why, SLUICE_E_BADSAMPLE, "%s", text);
    atomic_store(job->back, true);
}

static uint32_t end(sl_order **order, const char *said)
{
    sluice_bytes out = {0};
    uint32_t code = sl_order_write(*order, &out);
    assert_int_equal(sl_bytes_put_u8(&out, 0), SLUICE_OK);
    assert_non_null(strstr((const char *)out.data, said));
    sl_bytes_fini(&out);
    sl_order_leave(order);
    assert_null(*order);
    return code;
}

static void test_order_waits_until_it_is_back(void **state)
{
    sl_order *order = forget(*state, "a");
    int64_t now = sl_view_clock_us();
    assert_false(sl_order_step(order, now, 1000));
    do_one(2, SL_CODE_UNSPECIFIED, "");
    assert_true(sl_order_step(order, now, 1000));
    assert_int_equal(end(&order, "\"forgotten\": 2, \"from_offset\": 9"), 200);
    order = forget(*state, "a");
    do_one(0, SL_CODE_UNSPECIFIED, "");
    assert_int_equal(end(&order, "forgotten before"), 404);
    order = forget(*state, "a");
    do_one(0, SL_CODE_TOO_LARGE, "more than 1024");
    assert_int_equal(end(&order, "more than 1024"), 409);
    order = forget(*state, "a");
    do_one(0, SL_CODE_SHUTTING_DOWN, "it ends");
    assert_int_equal(end(&order, "it ends"), 503);
}

static void test_order_that_is_late_may_still_happen_and_keeps_its_place(void **state)
{
    sl_order *order[SL_CHANGES_AT_ONCE], *more = NULL;
    for (int i = 0; i < SL_CHANGES_AT_ONCE; i++) {
        order[i] = forget(*state, "a");
    }
    for (int i = 0; i < SL_CHANGES_AT_ONCE; i++) {
        assert_false(sl_order_step(order[i], sl_view_clock_us(), 1000));
        assert_true(sl_order_step(order[i], sl_view_clock_us() + LATE_US, 1000));
        assert_int_equal(end(&order[i], "may still happen"), 503);
    }
    sluice_span body = sl_span_of("{}");
    assert_int_equal(sl_changes_begin(*state, SL_CHANGE_FORGET, "b", body, &more, &why), 503);
    assert_null(more);
    assert_int_equal(atomic_load(&meters.changes_refused[SL_CHANGE_FORGET]), 1);
    do_one(1, SL_CODE_UNSPECIFIED, ""); /* nobody waits for it; its place is free now */
    more = forget(*state, "b");
    for (int i = 0; i < SL_CHANGES_AT_ONCE; i++) {
        do_one(1, SL_CODE_UNSPECIFIED, "");
    }
    assert_int_equal(end(&more, "\"forgotten\": 1"), 200);
}

static void test_order_with_a_wrong_body_or_id_is_refused_at_once(void **state)
{
    static const struct {
        sl_change what;
        const char *id, *body;
    } cases[] = {{SL_CHANGE_FORGET, "", "{}"},
                 {SL_CHANGE_FORGET, "a", ""},
                 {SL_CHANGE_FORGET, "a", "[]"},
                 {SL_CHANGE_FORGET, "a", "{\"offset\": -1}"},
                 {SL_CHANGE_FORGET, "a", "{\"offset\": 1, \"offset\": 1}"},
                 {SL_CHANGE_FORGET, "a", "{\"of\": 1}"},
                 {SL_CHANGE_FORGET, "a", "{} {}"},
                 {SL_CHANGE_RESTORE, "a", "{}"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sl_order *order = NULL;
        assert_int_equal(sl_changes_begin(*state, cases[i].what, cases[i].id,
                                          sl_span_of(cases[i].body), &order, &why),
                         400);
        assert_null(order);
    }
    assert_null(sl_ring_try_pop(estimator));
    assert_null(sl_ring_try_pop(ingest));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_order_waits_until_it_is_back, open_changes,
                                        close_changes),
        cmocka_unit_test_setup_teardown(
            test_order_that_is_late_may_still_happen_and_keeps_its_place, open_changes,
            close_changes),
        cmocka_unit_test_setup_teardown(test_order_with_a_wrong_body_or_id_is_refused_at_once,
                                        open_changes, close_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
