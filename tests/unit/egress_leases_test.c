/* egress_leases_test.c - leases and committed ranges, against a model that keeps one state an
 * offset. */
#include "egress/leases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define assert_valid(group)                                                                        \
    do {                                                                                           \
        const char *reason = "";                                                                   \
        if (!sl_leases_validate(group, &reason)) {                                                 \
            fail_msg("%s", reason);                                                                \
        }                                                                                          \
    } while (0)

static sl_leases *leases;

static int open_leases(void **state)
{
    bool added;
    leases = NULL;
    if (sl_leases_open(&leases) != SLUICE_OK) {
        return -1;
    }
    *state = sl_leases_group(leases, "g", 10, &added);
    return added ? 0 : -1;
}

static int close_leases(void **state)
{
    (void)state;
    sl_leases_close(&leases);
    return 0;
}

static sl_offer offer_at(const sl_consumer_group *group, int64_t now_us)
{
    sl_offer offer;
    assert_int_equal(sl_leases_offer(group, now_us, &offer), SLUICE_OK);
    return offer;
}

static void lease(sl_consumer_group *group, uint64_t next, uint64_t holder, int64_t until_us)
{
    sl_offer offer = offer_at(group, 0);
    sl_leases_grant(group, &offer, next, holder, until_us);
    assert_valid(group);
}

static void test_leases_fresh_group_is_offered_its_floor(void **state)
{
    sl_offer offer = offer_at(*state, 0);
    assert_int_equal(offer.from, 10);
    assert_true(offer.below == UINT64_MAX);
    assert_int_equal(offer.delivery, 1);
}

static void test_leases_two_consumers_get_disjoint_ranges(void **state)
{
    sl_consumer_group *group = *state;
    lease(group, 20, 1, 1000);
    sl_offer offer = offer_at(group, 0);
    assert_int_equal(offer.from, 20);
}

static void test_leases_commit_out_of_order_moves_the_floor_once_the_gap_is_closed(void **state)
{
    sl_consumer_group *group = *state;
    lease(group, 20, 1, 1000);
    lease(group, 30, 2, 1000);
    assert_int_equal(sl_leases_commit(group, 20, 30, 2, 0), SLUICE_OK);
    assert_int_equal(group->progress.floor, 10);
    assert_int_equal(group->progress.n_ranges, 1);
    assert_valid(group);
    assert_int_equal(sl_leases_commit(group, 10, 20, 1, 0), SLUICE_OK);
    assert_int_equal(group->progress.floor, 30);
    assert_int_equal(group->progress.n_ranges, 0);
    assert_int_equal(group->n_leases, 0);
}

static void test_leases_expired_range_is_offered_again_with_a_higher_delivery(void **state)
{
    sl_consumer_group *group = *state;
    lease(group, 20, 1, 1000);
    for (uint32_t delivery = 2; delivery <= SLUICE_LIMIT_DELIVERIES + 1; delivery++) {
        sl_offer offer = offer_at(group, 1000 * (int64_t)delivery);
        assert_int_equal(offer.from, 10);
        assert_int_equal(offer.below, 20);
        assert_int_equal(offer.delivery, delivery);
        sl_leases_grant(group, &offer, 20, 2, 1000 * (int64_t)delivery + 500);
        assert_valid(group);
    }
}

static void test_leases_front_of_an_expired_range_leaves_the_rest_expired(void **state)
{
    sl_consumer_group *group = *state;
    lease(group, 20, 1, 1000);
    sl_offer offer = offer_at(group, 2000);
    sl_leases_grant(group, &offer, 14, 2, 9000);
    assert_valid(group);
    offer = offer_at(group, 2000);
    assert_int_equal(offer.from, 14);
    assert_int_equal(offer.below, 20);
    assert_int_equal(offer.delivery, 2);
}

static void test_leases_late_commit_is_good_until_somebody_else_holds_the_range(void **state)
{
    sl_consumer_group *group = *state;
    lease(group, 20, 1, 1000);
    sl_offer offer = offer_at(group, 2000);
    sl_leases_grant(group, &offer, 20, 2, 9000);
    assert_int_equal(sl_leases_commit(group, 10, 20, 1, 3000), SLUICE_E_CLOSED);
    assert_int_equal(group->progress.floor, 10);
    assert_int_equal(sl_leases_commit(group, 10, 20, 2, 3000), SLUICE_OK);
    assert_int_equal(sl_leases_commit(group, 10, 20, 1, 3000), SLUICE_OK); /* done is done */
    assert_int_equal(group->progress.floor, 20);
}

static void test_leases_ranges_beyond_the_limit_are_refused_and_change_nothing(void **state)
{
    sl_consumer_group *group = *state;
    uint64_t at = 12;
    for (uint32_t i = 0; i < SLUICE_LIMIT_RANGES; i++, at += 2) {
        assert_int_equal(sl_leases_commit(group, at, at + 1, 1, 0), SLUICE_OK);
    }
    assert_int_equal(sl_leases_commit(group, at, at + 1, 1, 0), SLUICE_E_AGAIN);
    assert_int_equal(group->progress.n_ranges, SLUICE_LIMIT_RANGES);
    assert_valid(group);
    assert_int_equal(sl_leases_commit(group, 10, 12, 1, 0), SLUICE_OK); /* closing a gap is fine */
    assert_int_equal(group->progress.floor, 13);
    assert_valid(group);
}

static void test_leases_groups_beyond_the_limit_are_refused(void **state)
{
    (void)state;
    bool added;
    char name[16];
    for (int i = 1; i < SLUICE_LIMIT_CONSUMER_GROUPS; i++) {
        snprintf(name, sizeof name, "g%d", i);
        assert_non_null(sl_leases_group(leases, name, 0, &added));
    }
    assert_null(sl_leases_group(leases, "one-more", 0, &added));
    assert_non_null(sl_leases_group(leases, "g", 0, &added));
    assert_false(added);
}

/* Random consumers that commit, forget to, and come late. Every offset must end up done, and
 * nothing is offered while somebody else holds it or after it is done. */
static void test_leases_random_consumers_agree_with_a_model(void **state)
{
    sl_consumer_group *group = *state;
    enum { N = 400 };
    bool done[N] = {false};
    unsigned seed = 7;
    int64_t now = 0;
    sl_lease held[4] = {{0}};
    while (group->progress.floor < N) {
        now += 10;
        unsigned i = (unsigned)rand_r(&seed) % 4;
        if (held[i].next > held[i].first && rand_r(&seed) % 3 != 0) {
            sluice_status status = sl_leases_commit(group, held[i].first, held[i].next, i + 1, now);
            assert_valid(group);
            for (uint64_t at = held[i].first; status == SLUICE_OK && at < held[i].next; at++) {
                done[at] = true;
            }
            held[i] = (sl_lease){0};
        } else {
            sl_offer offer = offer_at(group, now);
            uint64_t end = offer.below < N ? offer.below : N;
            if (offer.from >= end) {
                continue;
            }
            uint64_t next = offer.from + 1 + (unsigned)rand_r(&seed) % (end - offer.from);
            for (uint64_t at = offer.from; at < next; at++) {
                assert_false(done[at]);
            }
            sl_leases_grant(group, &offer, next, i + 1, now + 50);
            assert_valid(group);
            held[i] = (sl_lease){.first = offer.from, .next = next};
        }
    }
    for (int at = 10; at < N; at++) {
        assert_true(done[at]);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_leases, close_leases)
    const struct CMUnitTest tests[] = {
        TEST(test_leases_fresh_group_is_offered_its_floor),
        TEST(test_leases_two_consumers_get_disjoint_ranges),
        TEST(test_leases_commit_out_of_order_moves_the_floor_once_the_gap_is_closed),
        TEST(test_leases_expired_range_is_offered_again_with_a_higher_delivery),
        TEST(test_leases_front_of_an_expired_range_leaves_the_rest_expired),
        TEST(test_leases_late_commit_is_good_until_somebody_else_holds_the_range),
        TEST(test_leases_ranges_beyond_the_limit_are_refused_and_change_nothing),
        TEST(test_leases_groups_beyond_the_limit_are_refused),
        TEST(test_leases_random_consumers_agree_with_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
