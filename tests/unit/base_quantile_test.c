/* base_quantile_test.c - shares of a decayed histogram. */
#include "quantile.h"
#include "bytes.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static sl_quantile *of_range(int first, int last)
{
    sl_quantile *quantile = calloc(1, sizeof *quantile);
    for (int i = first; i < last; i++) {
        sl_quantile_add(quantile, i / 100.0);
    }
    sl_quantile_freeze(quantile);
    return quantile;
}

static void test_quantile_share_of_uniform_values_is_their_rank(void **state)
{
    (void)state;
    sl_quantile *quantile = of_range(-5000, 5000);
    for (int i = -4900; i < 4900; i += 7) {
        double want = (i + 5000) / 10000.0;
        double have = (double)sl_quantile_share(quantile, i / 100.0);
        assert_true(fabs(have - want) < 0.01); /* half a bucket at 49 */
    }
    free(quantile);
}

static void test_quantile_share_with_few_values_is_none(void **state)
{
    (void)state;
    sl_quantile *quantile = of_range(0, 63);
    assert_true(isnan(sl_quantile_share(quantile, 1)));
    assert_true(isnan(sl_quantile_share(quantile, NAN)));
    free(quantile);
}

static void test_quantile_extremes_stay_inside(void **state)
{
    (void)state;
    sl_quantile *quantile = of_range(-100, 100);
    sl_quantile_add(quantile, INFINITY);
    sl_quantile_add(quantile, -1e300);
    sl_quantile_add(quantile, NAN);
    sl_quantile_freeze(quantile);
    assert_true(sl_quantile_share(quantile, 1e30) <= 1);
    assert_true(sl_quantile_share(quantile, 1e30) > 0.99F);
    assert_true(sl_quantile_share(quantile, -INFINITY) < 0.01F);
    assert_true(fabsf(sl_quantile_share(quantile, 1e-30) - 0.5F) < 0.01F);
    free(quantile);
}

static void test_quantile_decay_forgets_the_old(void **state)
{
    (void)state;
    sl_quantile *quantile = of_range(0, 1000);
    sl_quantile_decay(quantile, 0.001);
    for (int i = 0; i < 1000; i++) {
        sl_quantile_add(quantile, 100);
    }
    sl_quantile_freeze(quantile);
    assert_true(sl_quantile_share(quantile, 50) < 0.002F);
    free(quantile);
}

static void test_quantile_merge_is_the_histogram_of_both(void **state)
{
    (void)state;
    sl_quantile *all = of_range(-1000, 1000);
    sl_quantile *left = of_range(-1000, 0);
    sl_quantile *right = of_range(0, 1000);
    sl_quantile_merge(left, right);
    sl_quantile_freeze(left);
    assert_memory_equal(left->below, all->below, sizeof all->below);
    free(all);
    free(left);
    free(right);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantile_share_of_uniform_values_is_their_rank),
        cmocka_unit_test(test_quantile_share_with_few_values_is_none),
        cmocka_unit_test(test_quantile_extremes_stay_inside),
        cmocka_unit_test(test_quantile_decay_forgets_the_old),
        cmocka_unit_test(test_quantile_merge_is_the_histogram_of_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
