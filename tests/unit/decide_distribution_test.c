/* decide_distribution_test.c - counts in buckets of 1 % by octaves, pages from one pool. */
#include "decide/distribution.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static uint64_t buckets[SL_DISTRIBUTION_BUCKETS];

static uint64_t total_of(const sl_distribution *distribution, const sl_distribution_pool *pool)
{
    uint64_t total = 0;
    memset(buckets, 0, sizeof buckets);
    sl_distribution_unfold(distribution, pool, buckets);
    for (uint32_t i = 0; i < SL_DISTRIBUTION_BUCKETS; i++) {
        total += buckets[i];
    }
    return total;
}

static void test_bucket_of_any_value_has_a_middle_within_one_percent(void **state)
{
    (void)state;
    for (double value = 1e-11; value < 1.6e7; value *= 1.0037) {
        for (int sign = -1; sign <= 1; sign += 2) {
            double middle = sl_distribution_middle(sl_distribution_bucket(sign * value));
            assert_true(fabs(middle - sign * value) <= 0.01 * value);
        }
    }
    assert_true(sl_distribution_middle(sl_distribution_bucket(0)) == 0);
    assert_true(sl_distribution_middle(sl_distribution_bucket(1e-300)) == 0);
    assert_int_equal(sl_distribution_bucket(1e300), SL_DISTRIBUTION_BUCKETS - 1);
    assert_int_equal(sl_distribution_bucket(-1e300), 0);
}

static void test_buckets_rise_with_their_values(void **state)
{
    (void)state;
    for (uint32_t i = 1; i < SL_DISTRIBUTION_BUCKETS; i++) {
        assert_true(sl_distribution_middle(i) > sl_distribution_middle(i - 1));
        assert_int_equal(sl_distribution_bucket(sl_distribution_middle(i)), i);
    }
}

static void test_merge_counts_like_one(void **state)
{
    (void)state;
    sl_distribution_pool pool;
    sl_distribution a = {0};
    sl_distribution b = {0};
    sl_distribution both = {0};
    assert_int_equal(sl_distribution_pool_open(64, &pool), SLUICE_OK);
    for (int i = -50; i < 50; i++) {
        sl_distribution_add(i % 2 == 0 ? &a : &b, &pool, i * 0.37);
        sl_distribution_add(&both, &pool, i * 0.37);
    }
    sl_distribution_add(&b, &pool, 0);
    sl_distribution_add(&both, &pool, 0);
    sl_distribution_add(&both, &pool, NAN);
    sl_distribution_merge(&a, &pool, &b, &pool);
    assert_int_equal(total_of(&both, &pool), 101);
    uint64_t *expected = malloc(sizeof buckets);
    memcpy(expected, buckets, sizeof buckets);
    assert_int_equal(total_of(&a, &pool), 101);
    assert_memory_equal(buckets, expected, sizeof buckets);
    free(expected);
    sl_distribution_pool_close(&pool);
}

static void test_full_pool_counts_what_it_lost(void **state)
{
    (void)state;
    sl_distribution_pool pool;
    sl_distribution a = {0};
    assert_int_equal(sl_distribution_pool_open(3, &pool), SLUICE_OK); /* page 0 is never given */
    sl_distribution_add(&a, &pool, 1.0);
    sl_distribution_add(&a, &pool, 2.0);
    assert_int_equal(a.lost, 0);
    sl_distribution_add(&a, &pool, 4.0);
    sl_distribution_add(&a, &pool, 1.5);
    assert_int_equal(a.lost, 1);
    assert_int_equal(total_of(&a, &pool), 3);
    sl_distribution_pool_close(&pool);
}

static void test_save_and_load_keep_every_count(void **state)
{
    (void)state;
    sl_distribution_pool pool;
    sl_distribution a = {0};
    sl_distribution b = {0};
    sluice_bytes saved = {0};
    assert_int_equal(sl_distribution_pool_open(64, &pool), SLUICE_OK);
    for (int i = -40; i < 40; i++) {
        sl_distribution_add(&a, &pool, i * 0.11);
    }
    assert_int_equal(sl_distribution_save(&a, &pool, &saved), SLUICE_OK);
    sl_reader reader = sl_reader_of((sluice_span){saved.data, saved.size});
    assert_true(sl_distribution_load(&b, &pool, &reader));
    assert_true(reader.at == reader.end);
    assert_int_equal(total_of(&b, &pool), 80);
    for (size_t size = 0; size < saved.size; size++) { /* a cut one is refused */
        sl_distribution cut = {0};
        sl_distribution_pool room;
        assert_int_equal(sl_distribution_pool_open(64, &room), SLUICE_OK);
        reader = sl_reader_of((sluice_span){saved.data, size});
        assert_false(sl_distribution_load(&cut, &room, &reader));
        sl_distribution_pool_close(&room);
    }
    sl_bytes_fini(&saved);
    sl_distribution_pool_close(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bucket_of_any_value_has_a_middle_within_one_percent),
        cmocka_unit_test(test_buckets_rise_with_their_values),
        cmocka_unit_test(test_merge_counts_like_one),
        cmocka_unit_test(test_full_pool_counts_what_it_lost),
        cmocka_unit_test(test_save_and_load_keep_every_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
