/* features_shingle_test.c - n-grams of units. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "features/shingle.h"

#define N_UNITS 100

static void make_units(uint64_t *unit, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unit[i] = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
    }
}

static void test_shingles_are_one_fewer_for_each_unit_more(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= SL_SHINGLE_UNITS_MAX; n++) {
        uint64_t hash[N_UNITS];
        make_units(hash, N_UNITS);
        assert_int_equal(sl_shingle_make(hash, N_UNITS, n, SL_KERNEL_REF), N_UNITS - n + 1);
    }
}

static void test_fewer_units_than_n_are_one_shingle_and_none_are_none(void **state)
{
    (void)state;
    uint64_t hash[3], two[2];
    make_units(hash, 3);
    make_units(two, 2);
    assert_int_equal(sl_shingle_make(hash, 3, 5, sl_kernel_best()), 1);
    assert_int_equal(sl_shingle_make(two, 2, 5, sl_kernel_best()), 1);
    assert_true(hash[0] != two[0]);
    assert_int_equal(sl_shingle_make(hash, 0, 5, sl_kernel_best()), 0);
}

/* Equal n-grams have equal hashes wherever they stand; another order is another n-gram. */
static void test_shingle_depends_on_its_units_and_their_order_only(void **state)
{
    (void)state;
    uint64_t unit[3], hash[7];
    make_units(unit, 3);
    const uint64_t text[7] = {unit[0], unit[1], unit[2], unit[0], unit[1], unit[0], unit[2]};
    memcpy(hash, text, sizeof hash);
    assert_int_equal(sl_shingle_make(hash, 7, 2, sl_kernel_best()), 6);
    assert_true(hash[0] == hash[3]); /* 0 1 */
    assert_true(hash[2] != hash[5]); /* 2 0, 0 2 */
    assert_true(hash[0] != hash[4]); /* 0 1, 1 0 */
}

static void test_shingle_kernels_are_equal(void **state)
{
    (void)state;
    for (size_t n_units = 1; n_units <= N_UNITS; n_units++) {
        for (unsigned n = 1; n <= SL_SHINGLE_UNITS_MAX; n++) {
            uint64_t plain[N_UNITS], fast[N_UNITS];
            make_units(plain, n_units);
            make_units(fast, n_units);
            size_t n_plain = sl_shingle_make(plain, n_units, n, SL_KERNEL_REF);
            assert_int_equal(sl_shingle_make(fast, n_units, n, sl_kernel_best()), n_plain);
            assert_memory_equal(plain, fast, n_plain * sizeof *plain);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shingles_are_one_fewer_for_each_unit_more),
        cmocka_unit_test(test_fewer_units_than_n_are_one_shingle_and_none_are_none),
        cmocka_unit_test(test_shingle_depends_on_its_units_and_their_order_only),
        cmocka_unit_test(test_shingle_kernels_are_equal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
