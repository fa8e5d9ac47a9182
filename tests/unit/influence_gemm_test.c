/* influence_gemm_test.c - the slot rule, and eigenvectors by their residual. */
#include "influence/gemm.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static uint64_t seed;

static float random_float(void)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (float)((double)(seed >> 33) / 2147483648.0 - 0.5);
}

static float *random_matrix(size_t n)
{
    float *out = malloc(n * sizeof *out);
    for (size_t i = 0; i < n; i++) {
        out[i] = random_float();
    }
    return out;
}

/* One row among zeros, and the same row among others: the same bits, in every slot. */
static void test_slots_row_does_not_depend_on_its_neighbours(void **state)
{
    (void)state;
    static const uint32_t dims[] = {2, 7, 16, 33, 100, 384};
    for (size_t c = 0; c < sizeof dims / sizeof *dims; c++) {
        const uint32_t d = dims[c];
        float *full = random_matrix((size_t)SL_SLOTS * d);
        float *alone = calloc((size_t)SL_SLOTS * d, sizeof *alone);
        float *b = random_matrix((size_t)d * d);
        float *out_full = calloc((size_t)SL_SLOTS * d, sizeof *out_full);
        float *out_alone = calloc((size_t)SL_SLOTS * d, sizeof *out_alone);
        sl_gemm_slots(1, full, d, b, d, out_full);
        for (uint32_t i = 0; i < SL_SLOTS; i += 9) {
            memset(alone, 0, sizeof *alone * SL_SLOTS * d);
            memcpy(alone + (size_t)i * d, full + (size_t)i * d, sizeof *alone * d);
            sl_gemm_slots(1, alone, d, b, d, out_alone);
            assert_memory_equal(out_alone + (size_t)i * d, out_full + (size_t)i * d,
                                sizeof *alone * d);
        }
        free(full);
        free(alone);
        free(b);
        free(out_full);
        free(out_alone);
    }
}

static void test_eigen_vectors_solve_the_problem_largest_first(void **state)
{
    (void)state;
    const uint32_t d = 40;
    float *rows = random_matrix((size_t)SL_SLOTS * d);
    float *matrix = calloc((size_t)d * d, sizeof *matrix);
    float *vectors = calloc((size_t)d * d, sizeof *vectors);
    float *work = calloc((size_t)d * d, sizeof *work);
    float *values = calloc(d, sizeof *values);
    sl_gemm_add_gram(rows, d, SL_SLOTS, matrix);
    assert_int_equal(sl_gemm_eigen(matrix, d, vectors, values, work), SLUICE_OK);
    for (uint32_t j = 0; j < d; j++) {
        assert_true(j == 0 || values[j] <= values[j - 1]);
        for (uint32_t i = 0; i < d; i++) {
            double product = 0;
            for (uint32_t k = 0; k < d; k++) {
                const size_t at = i < k ? (size_t)i * d + k : (size_t)k * d + i;
                product += (double)matrix[at] * (double)vectors[(size_t)k * d + j];
            }
            assert_true(fabs(product - (double)values[j] * (double)vectors[(size_t)i * d + j]) <
                        1e-5 * (double)values[0]);
        }
    }
    free(rows);
    free(matrix);
    free(vectors);
    free(work);
    free(values);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slots_row_does_not_depend_on_its_neighbours),
        cmocka_unit_test(test_eigen_vectors_solve_the_problem_largest_first),
    };
    sl_gemm_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
