/* influence_shift_test.c - a source that moves stands out, one that does not stays near 0. */
#include "influence/shift.h"
#include "influence/project.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define D 32

static uint64_t seed = 7;

static float random_normal(void)
{
    double sum = 0;
    for (int i = 0; i < 12; i++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        sum += (double)(seed >> 33) / 2147483648.0 - 0.5;
    }
    return (float)sum;
}

static double mt[D], eig[D], p[D];
static float centred[D], mean[D], basis[D * D], work[2 * 64 * D];

/* Unit variances around zero; the basis is the identity. */
static sl_leverage plain_leverage(void)
{
    for (uint32_t j = 0; j < D; j++) {
        centred[j] = 1;
        basis[j * D + j] = 1;
    }
    return (sl_leverage){.dim = D, .p = p, .mt = mt, .eig = eig, .centred = centred};
}

static void add(sl_shift *shift, uint32_t i_source, uint32_t n, float moved)
{
    for (uint32_t i = 0; i < n; i++) {
        float row[D];
        for (uint32_t j = 0; j < D; j++) {
            row[j] = random_normal() + (j < 4 ? moved : 0);
        }
        sl_shift_add(shift, i_source, row, 0);
    }
}

static void test_shift_of_a_small_coherent_source_stands_out(void **state)
{
    (void)state;
    sl_shift shift;
    const sl_leverage leverage = plain_leverage();
    assert_int_equal(sl_shift_open(D, &shift), SLUICE_OK);
    for (uint32_t i = 1; i < 40; i++) {
        add(&shift, i, 22, 0);
    }
    add(&shift, 40, 22, 1);
    sl_shift_freeze(&shift, mean, basis, &leverage, work);
    assert_true(shift.z[40] > 6);
    for (uint32_t i = 1; i < 40; i++) {
        assert_true(fabsf(shift.z[i]) < 4);
    }
    assert_true(isnan(shift.z[41]));
    sl_shift_close(&shift);
}

static void test_shift_of_a_source_of_its_own_kind_fades_and_a_turn_is_seen(void **state)
{
    (void)state;
    sl_shift shift;
    const sl_leverage leverage = plain_leverage();
    assert_int_equal(sl_shift_open(D, &shift), SLUICE_OK);
    add(&shift, 3, 2000, 1);
    sl_shift_freeze(&shift, mean, basis, &leverage, work);
    assert_true(fabsf(shift.z[3]) < 4); /* always like that: no news */
    add(&shift, 3, 100, -1);
    sl_shift_freeze(&shift, mean, basis, &leverage, work);
    assert_true(shift.z[3] > 20);
    sl_shift_close(&shift);
}

static void test_project_keeps_angles(void **state)
{
    (void)state;
    sl_project project;
    static float a[2048], b[2048], short_a[SL_PROJECT_DIM], short_b[SL_PROJECT_DIM];
    assert_int_equal(sl_project_open(2048, 1, &project), SLUICE_OK);
    double long_dot = 0, long_a = 0, dot = 0, square = 0;
    for (uint32_t i = 0; i < 2048; i++) {
        a[i] = random_normal();
        b[i] = a[i] + random_normal();
        long_dot += (double)a[i] * (double)b[i];
        long_a += (double)a[i] * (double)a[i];
    }
    sl_project_row(&project, a, short_a);
    sl_project_row(&project, b, short_b);
    for (uint32_t i = 0; i < SL_PROJECT_DIM; i++) {
        dot += (double)short_a[i] * (double)short_b[i];
        square += (double)short_a[i] * (double)short_a[i];
    }
    assert_true(fabs(square / long_a - 1) < 0.25); /* 4 deviations of sqrt(2 / 512) */
    assert_true(fabs(dot / long_dot - 1) < 0.35);
    sl_project_close(&project);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shift_of_a_small_coherent_source_stands_out),
        cmocka_unit_test(test_shift_of_a_source_of_its_own_kind_fades_and_a_turn_is_seen),
        cmocka_unit_test(test_project_keeps_angles),
    };
    sl_gemm_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
