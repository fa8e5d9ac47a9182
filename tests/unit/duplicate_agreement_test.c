/* duplicate_agreement_test.c - counting equal coordinates, and what the count says. */
#include "duplicate/agreement.h"
#include "duplicate_samples.h"

static void test_agreement_best_kernel_is_as_its_reference(void **state)
{
    (void)state;
    sl_agreement *best = sl_agreement_best();
    uint8_t a[SLUICE_SKETCH_COORDINATES + 7], b[SLUICE_SKETCH_COORDINATES + 7];
    uint64_t random = 1;
    for (uint32_t i = 0; i < 5000; i++) {
        for (uint32_t j = 0; j < sizeof a; j++) {
            a[j] = (uint8_t)next_random(&random);
            b[j] = random_below(&random, 1 + i % 10) ? (uint8_t)next_random(&random) : a[j];
        }
        uint32_t shift = i % 8; /* rows lie at any address */
        assert_int_equal(best(a + shift, b + shift), sl_agreement_ref(a + shift, b + shift));
    }
    assert_int_equal(best(a, a), SLUICE_SKETCH_COORDINATES);
}

static void test_agreement_counts_every_single_coordinate(void **state)
{
    (void)state;
    sl_agreement *best = sl_agreement_best();
    uint8_t a[SLUICE_SKETCH_COORDINATES] = {0}, b[SLUICE_SKETCH_COORDINATES];
    memset(b, 1, sizeof b);
    assert_int_equal(best(a, b), 0);
    for (uint32_t i = 0; i < sizeof a; i++) {
        b[i] = 0;
        assert_int_equal(best(a, b), 1);
        assert_int_equal(sl_agreement_ref(a, b), 1);
        b[i] = 1;
    }
}

static void test_agreement_weighted_is_as_its_reference(void **state)
{
    (void)state;
    sl_agreement_weighted *best = sl_agreement_weighted_best();
    uint8_t a[SLUICE_SKETCH_COORDINATES + 7], b[sizeof a], weight[sizeof a];
    uint64_t random = 1;
    for (uint32_t i = 0; i < 5000; i++) {
        uint32_t sum = 0, shift = i % 8;
        for (uint32_t j = 0; j < sizeof a; j++) {
            a[j] = (uint8_t)next_random(&random);
            b[j] = random_below(&random, 1 + i % 10) ? (uint8_t)next_random(&random) : a[j];
            weight[j] = (uint8_t)next_random(&random);
        }
        for (uint32_t j = shift; j < shift + SLUICE_SKETCH_COORDINATES; j++) {
            sum += a[j] == b[j] ? weight[j] : 0;
        }
        assert_int_equal(best(a + shift, b + shift, weight + shift), sum);
        assert_int_equal(sl_agreement_weighted_ref(a + shift, b + shift, weight + shift), sum);
    }
    assert_true(sl_agreement_weighted_similarity(640, 1280) == sl_agreement_similarity(64));
}

static void test_similarity_takes_chance_out(void **state)
{
    (void)state;
    assert_true(sl_agreement_similarity(SLUICE_SKETCH_COORDINATES) == 1.0f);
    assert_true(sl_agreement_similarity(0) == 0.0f); /* below chance */
    assert_float_equal(sl_agreement_similarity(64), 127.0f / 255.0f, 1e-6f);
}

static void test_agreement_least_is_the_first_at_the_threshold(void **state)
{
    (void)state;
    for (int i = 1; i <= 100; i++) {
        float threshold = (float)i / 100;
        uint32_t n = sl_agreement_least(threshold);
        assert_true(sl_agreement_similarity(n) >= threshold);
        assert_true(sl_agreement_similarity(n - 1) < threshold);
    }
    assert_int_equal(sl_agreement_least(1), SLUICE_SKETCH_COORDINATES);
    assert_int_equal(sl_agreement_least(1.01f), SLUICE_SKETCH_COORDINATES + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_agreement_best_kernel_is_as_its_reference),
        cmocka_unit_test(test_agreement_counts_every_single_coordinate),
        cmocka_unit_test(test_agreement_weighted_is_as_its_reference),
        cmocka_unit_test(test_similarity_takes_chance_out),
        cmocka_unit_test(test_agreement_least_is_the_first_at_the_threshold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
