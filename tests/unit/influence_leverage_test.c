/* influence_leverage_test.c - leverage in a new basis, and what it does when the stream moves on.
 */
#include "influence/leverage.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#define D 4

/* Variances around a mean that lies along the first direction and a little of the second. */
static void put(sl_leverage *leverage, const double variance[D], double first, double second)
{
    const double mean[D] = {first, second};
    for (uint32_t j = 0; j < D; j++) {
        leverage->mt[j] = mean[j];
        leverage->eig[j] = variance[j] + mean[j] * mean[j];
    }
}

static double score(const sl_leverage *leverage, const float row[D])
{
    float rows[SL_SLOTS * D] = {0};
    double out[SL_SLOTS], residual[SL_SLOTS];
    memcpy(rows, row, sizeof(float) * D);
    sl_leverage_rows(leverage, rows, out, residual);
    return out[0];
}

static void open_new(sl_leverage *leverage, bool follow)
{
    static const double variance[D] = {0.02, 0.02, 0.01, 0.01};
    assert_int_equal(sl_leverage_open(D, 1, leverage), SLUICE_OK);
    leverage->follow = follow;
    put(leverage, variance, 0.95, 0);
    sl_leverage_freeze(leverage, 0.01, true);
}

static void test_leverage_in_a_new_basis_is_the_distance_over_its_mean(void **state)
{
    (void)state;
    sl_leverage leverage;
    open_new(&leverage, true);
    const float row[D] = {0.95F, 0.2F, 0, 0}; /* 0.04 / 0.02 along one direction */
    assert_true(fabs(leverage.d_eff - D) < 0.1);
    assert_true(fabs(score(&leverage, row) - 0.04 / (0.02 + leverage.ridge) / leverage.d_eff) <
                1e-6);
    sl_leverage_close(&leverage);
}

/* A mean that is shared by two directions, of which only the diagonal is seen: 1 - sum p mt^2 falls
 * to less than nothing, and the rank-one form has no meaning. */
static void test_leverage_in_an_old_basis_follows_the_variances(void **state)
{
    (void)state;
    static const double variance[D] = {0.02, 0.02, 0.04, 0.01};
    static const float apart[D] = {0.9F, 0.4F, 0.2F, 0};
    for (int follow = 0; follow < 2; follow++) {
        sl_leverage leverage;
        open_new(&leverage, follow != 0);
        put(&leverage, variance, 0.85, 0.4);
        sl_leverage_freeze(&leverage, 0.01, false);
        assert_true(leverage.left_over <= 0);
        const double have = score(&leverage, apart);
        /* The third direction varies four times as much now. */
        const double want = (0.05 * 0.05 / 0.02 + 0.2 * 0.2 / 0.04) / D;
        assert_true((fabs(have - want) < 0.1 * want) == (follow != 0));
        sl_leverage_close(&leverage);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_leverage_in_a_new_basis_is_the_distance_over_its_mean),
        cmocka_unit_test(test_leverage_in_an_old_basis_follows_the_variances),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
