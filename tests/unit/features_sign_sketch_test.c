/* features_sign_sketch_test.c - sign bits follow the angle, whatever kernel makes them. */
#include "unit/embedding_samples.h"

static uint32_t distance_of(const uint64_t *a, const uint64_t *b)
{
    uint32_t n = 0;
    for (uint32_t k = 0; k < SLUICE_SIGN_WORDS; k++) {
        n += (uint32_t)__builtin_popcountll(a[k] ^ b[k]);
    }
    return n;
}

static void test_sign_sketch_kernels_give_the_same_bits(void **state)
{
    (void)state;
    sl_sign_sketch *sketch;
    assert_int_equal(sl_sign_sketch_open(3, &sketch), SLUICE_OK);
    uint64_t random = 1;
    static float row[SLUICE_EMBEDDING_MAX];
    static uint8_t vector[2][2 * SLUICE_EMBEDDING_MAX];
    for (uint32_t i = 0; i < 300; i++) {
        uint32_t dim = i == 0   ? SLUICE_EMBEDDING_MIN
                       : i == 1 ? SLUICE_EMBEDDING_MAX
                                : 8 + random_below(&random, i % 10 == 0 ? 4089 : 1000);
        draw_unit(row, dim, &random);
        row[random_below(&random, dim)] = i % 3 == 0 ? 0 : i % 3 == 1 ? -1 : 1e-30f;
        uint64_t bits[2][SLUICE_SIGN_WORDS];
        uint8_t margins[2][SLUICE_SIGN_BITS];
        sl_sign_sketch_make(sketch, row, dim, i, SL_KERNEL_REF, bits[0], margins[0]);
        sl_sign_sketch_make(sketch, row, dim, i, sl_kernel_best(), bits[1], margins[1]);
        assert_memory_equal(bits[0], bits[1], sizeof bits[0]);
        assert_memory_equal(margins[0], margins[1], sizeof margins[0]);
        sl_sign_quantize(row, dim, SL_KERNEL_REF, vector[0]);
        sl_sign_quantize(row, dim, sl_kernel_best(), vector[1]);
        assert_memory_equal(vector[0], vector[1], 2 * (size_t)dim);
    }
    sl_sign_sketch_close(&sketch);
}

/* Mean and deviation of the bits that differ, of 400 pairs at one cosine. */
static void assert_angle(sl_sign_sketch *sketch, uint32_t dim, double cosine, uint64_t *random)
{
    static float a[SLUICE_EMBEDDING_MAX], b[SLUICE_EMBEDDING_MAX];
    uint64_t bits[2][SLUICE_SIGN_WORDS];
    uint8_t margins[SLUICE_SIGN_BITS];
    double sum = 0, square = 0, n = 400, p = acos(cosine) / acos(-1);
    for (int i = 0; i < (int)n; i++) {
        draw_unit(a, dim, random);
        draw_near(a, cosine, b, dim, random);
        sl_sign_sketch_make(sketch, a, dim, 5, sl_kernel_best(), bits[0], margins);
        sl_sign_sketch_make(sketch, b, dim, 5, sl_kernel_best(), bits[1], margins);
        double d = distance_of(bits[0], bits[1]);
        sum += d;
        square += d * d;
    }
    double mean = sum / n, sd = sqrt(square / n - mean * mean), sd_of_one = sqrt(512 * p * (1 - p));
    print_message("dim %u, cosine %.2f: %.1f (%.1f) bits differ, formula %.1f (%.1f)\n", dim,
                  cosine, mean, sd, 512 * p, sd_of_one);
    assert_true(fabs(mean - 512 * p) <= 6 * sd_of_one / sqrt(n));
    assert_true(sd <= 1.5 * sd_of_one); /* few dimensions: hyperplanes are not independent */
}

static void test_sign_sketch_bits_follow_the_angle(void **state)
{
    (void)state;
    sl_sign_sketch *sketch;
    assert_int_equal(sl_sign_sketch_open(1, &sketch), SLUICE_OK);
    uint64_t random = 7;
    const uint32_t dims[] = {8, 20, 100, 384, 512, 768, 1536, 4096};
    for (size_t i = 0; i < sizeof dims / sizeof dims[0]; i++) {
        assert_angle(sketch, dims[i], 0.95, &random);
        assert_angle(sketch, dims[i], 0.7, &random);
    }
    sl_sign_sketch_close(&sketch);
}

/* Bits of the axes and of constant vectors are as random as all others. */
static void test_sign_sketch_of_bare_vectors_is_no_pattern(void **state)
{
    (void)state;
    sl_sign_sketch *sketch;
    assert_int_equal(sl_sign_sketch_open(1, &sketch), SLUICE_OK);
    uint64_t bits[64][SLUICE_SIGN_WORDS];
    uint8_t margins[SLUICE_SIGN_BITS];
    for (uint32_t i = 0; i < 64; i++) {
        float row[64] = {0};
        row[i] = 1;
        sl_sign_sketch_make(sketch, row, 64, 0, sl_kernel_best(), bits[i], margins);
        for (uint32_t k = 0; k < i; k++) {
            assert_in_range(distance_of(bits[i], bits[k]), 256 - 80, 256 + 80); /* 7 deviations */
        }
    }
    sl_sign_sketch_close(&sketch);
}

static void test_sign_sketch_of_another_key_or_seed_is_unrelated(void **state)
{
    (void)state;
    sl_sign_sketch *sketch, *other;
    assert_int_equal(sl_sign_sketch_open(1, &sketch), SLUICE_OK);
    assert_int_equal(sl_sign_sketch_open(2, &other), SLUICE_OK);
    uint64_t random = 9, bits[4][SLUICE_SIGN_WORDS];
    uint8_t margins[SLUICE_SIGN_BITS];
    float row[384];
    draw_unit(row, 384, &random);
    sl_sign_sketch_make(sketch, row, 384, 1, sl_kernel_best(), bits[0], margins);
    sl_sign_sketch_make(sketch, row, 384, 1, sl_kernel_best(), bits[1], margins);
    sl_sign_sketch_make(sketch, row, 384, 2, sl_kernel_best(), bits[2], margins);
    sl_sign_sketch_make(other, row, 384, 1, sl_kernel_best(), bits[3], margins);
    assert_int_equal(distance_of(bits[0], bits[1]), 0);
    assert_in_range(distance_of(bits[0], bits[2]), 256 - 70, 256 + 70);
    assert_in_range(distance_of(bits[0], bits[3]), 256 - 70, 256 + 70);
    sl_sign_sketch_close(&sketch);
    sl_sign_sketch_close(&other);
}

/* Near the plane the margin is small: the bits that a near vector has otherwise. */
static void test_sign_sketch_margins_tell_the_bits_that_change(void **state)
{
    (void)state;
    sl_sign_sketch *sketch;
    assert_int_equal(sl_sign_sketch_open(1, &sketch), SLUICE_OK);
    uint64_t random = 11, bits[2][SLUICE_SIGN_WORDS];
    uint8_t margins[2][SLUICE_SIGN_BITS];
    float a[384], b[384];
    double changed = 0, n_changed = 0, all = 0;
    for (int i = 0; i < 100; i++) {
        draw_unit(a, 384, &random);
        draw_near(a, 0.95, b, 384, &random);
        sl_sign_sketch_make(sketch, a, 384, 1, sl_kernel_best(), bits[0], margins[0]);
        sl_sign_sketch_make(sketch, b, 384, 1, sl_kernel_best(), bits[1], margins[1]);
        for (uint32_t k = 0; k < SLUICE_SIGN_BITS; k++) {
            bool differs = ((bits[0][k / 64] ^ bits[1][k / 64]) >> k % 64 & 1) != 0;
            changed += differs ? margins[0][k] : 0;
            n_changed += differs;
            all += margins[0][k];
        }
    }
    assert_true(fabs(all / 51200 - 85 * 0.798) < 3); /* mean of |normal|, less the rounding down */
    assert_true(changed / n_changed < 25);
    sl_sign_sketch_close(&sketch);
}

static void test_sign_quantize_is_within_half_a_unit(void **state)
{
    (void)state;
    uint64_t random = 13;
    float row[300];
    uint8_t vector[600];
    draw_unit(row, 300, &random);
    sl_sign_quantize(row, 300, sl_kernel_best(), vector);
    double most = 0;
    int largest = 0;
    for (int i = 0; i < 300; i++) {
        most = fmax(most, fabs((double)row[i]));
    }
    for (int i = 0; i < 300; i++) {
        int16_t k = (int16_t)(vector[2 * i] | vector[2 * i + 1] << 8);
        assert_true(fabs((double)row[i] / most * 32767 - k) <= 0.5 + 1e-6);
        largest = abs(k) > largest ? abs(k) : largest;
    }
    assert_int_equal(largest, 32767);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sign_sketch_kernels_give_the_same_bits),
        cmocka_unit_test(test_sign_sketch_bits_follow_the_angle),
        cmocka_unit_test(test_sign_sketch_of_bare_vectors_is_no_pattern),
        cmocka_unit_test(test_sign_sketch_of_another_key_or_seed_is_unrelated),
        cmocka_unit_test(test_sign_sketch_margins_tell_the_bits_that_change),
        cmocka_unit_test(test_sign_quantize_is_within_half_a_unit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
