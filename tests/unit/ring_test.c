/* ring_test.c - hand-over between threads: order, end, wake-ups. */
#include "ring.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define N_ITEMS 20000

static void test_ring_pop_returns_items_in_order_of_push(void **state)
{
    (void)state;
    sl_ring *ring = NULL;
    int item[3];
    assert_int_equal(sl_ring_open(3, false, &ring), SLUICE_OK);
    for (int round = 0; round < 5; round++) { /* more than once around */
        for (int i = 0; i < 3; i++) {
            sl_ring_push(ring, &item[i]);
        }
        for (int i = 0; i < 3; i++) {
            assert_ptr_equal(sl_ring_try_pop(ring), &item[i]);
        }
        assert_null(sl_ring_try_pop(ring));
    }
    sl_ring_close(&ring);
    assert_null(ring);
}

static void test_ring_pop_after_end_gives_what_is_left_then_null(void **state)
{
    (void)state;
    sl_ring *ring = NULL;
    int item;
    assert_int_equal(sl_ring_open(2, false, &ring), SLUICE_OK);
    sl_ring_push(ring, &item);
    sl_ring_end(ring);
    assert_ptr_equal(sl_ring_pop(ring), &item);
    assert_null(sl_ring_pop(ring));
    sl_ring_close(&ring);
}

static bool readable(const sl_ring *ring)
{
    struct pollfd one = {sl_ring_fd(ring), POLLIN, 0};
    return poll(&one, 1, 0) == 1;
}

static void test_ring_fd_is_readable_from_push_or_wake_until_drained(void **state)
{
    (void)state;
    sl_ring *ring = NULL;
    int item;
    assert_int_equal(sl_ring_open(2, true, &ring), SLUICE_OK);
    assert_false(readable(ring));
    sl_ring_push(ring, &item);
    assert_true(readable(ring));
    sl_ring_drain_fd(ring);
    assert_false(readable(ring));
    assert_ptr_equal(sl_ring_try_pop(ring), &item);
    sl_ring_wake(ring);
    assert_true(readable(ring));
    sl_ring_close(&ring);
}

typedef struct pair {
    sl_ring *there, *back;
} pair;

static void *echo(void *context)
{
    pair *rings = context;
    for (void *item = sl_ring_pop(rings->there); item != NULL; item = sl_ring_pop(rings->there)) {
        sl_ring_push(rings->back, item);
    }
    sl_ring_end(rings->back);
    return NULL;
}

static void test_ring_two_threads_lose_and_reorder_nothing(void **state)
{
    (void)state;
    static int item[N_ITEMS];
    pair rings = {NULL, NULL};
    pthread_t thread;
    assert_int_equal(sl_ring_open(N_ITEMS, false, &rings.there), SLUICE_OK);
    assert_int_equal(sl_ring_open(N_ITEMS, false, &rings.back), SLUICE_OK);
    assert_int_equal(pthread_create(&thread, NULL, echo, &rings), 0);
    for (int i = 0; i < N_ITEMS; i++) {
        sl_ring_push(rings.there, &item[i]);
    }
    sl_ring_end(rings.there);
    for (int i = 0; i < N_ITEMS; i++) {
        assert_ptr_equal(sl_ring_pop(rings.back), &item[i]);
    }
    assert_null(sl_ring_pop(rings.back));
    pthread_join(thread, NULL);
    sl_ring_close(&rings.there);
    sl_ring_close(&rings.back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ring_pop_returns_items_in_order_of_push),
        cmocka_unit_test(test_ring_pop_after_end_gives_what_is_left_then_null),
        cmocka_unit_test(test_ring_fd_is_readable_from_push_or_wake_until_drained),
        cmocka_unit_test(test_ring_two_threads_lose_and_reorder_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
