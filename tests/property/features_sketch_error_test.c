/* features_sketch_error_test.c - how far the sketch's estimate is from the exact Jaccard
 * similarity.
 *
 * P = J + (1 - J) / 256 is the chance of a coordinate to be equal; independent ones would give the
 * share of equal coordinates the deviation sqrt(P (1 - P) / 128), which is MinHash's. Bounds are
 * six of those: 2e-9 a check. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "features/features.h"
#include "features/profile.h"
#include "features/set_sketch.h"

#define COORDINATES SLUICE_SKETCH_COORDINATES
#define UNION_MAX   2000

static uint64_t rng_state = 20261124;

static uint64_t next_random(void)
{
    rng_state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = rng_state;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static int open_sketcher(void **state)
{
    print_message("seed %llu\n", (unsigned long long)rng_state);
    return sl_set_sketch_open(1, (sl_set_sketch **)state) == SLUICE_OK ? 0 : -1;
}

static int close_sketcher(void **state)
{
    sl_set_sketch_close((sl_set_sketch **)state);
    return 0;
}

typedef struct sketch_pair {
    uint8_t a[COORDINATES], b[COORDINATES];
} sketch_pair;

/* Two random sets of `n_union` elements in all, the first n_common of them in both. */
static void make_pair(const sl_set_sketch *sketcher, int n_union, int n_common, sketch_pair *pair)
{
    uint64_t a[UNION_MAX], b[UNION_MAX];
    size_t n_a = 0, n_b = 0;
    for (int i = 0; i < n_union; i++) {
        uint64_t element = next_random();
        bool both = i < n_common;
        if (both || i % 2 == 0) {
            a[n_a++] = element;
        }
        if (both || i % 2 == 1) {
            b[n_b++] = element;
        }
    }
    sl_set_sketch_make(sketcher, a, n_a, sl_kernel_best(), pair->a);
    sl_set_sketch_make(sketcher, b, n_b, sl_kernel_best(), pair->b);
}

static double estimate(const uint8_t *a, const uint8_t *b)
{
    int equal = 0;
    for (int i = 0; i < COORDINATES; i++) {
        equal += a[i] == b[i];
    }
    return ((double)equal / COORDINATES - 1.0 / 256) / (1 - 1.0 / 256);
}

static double minhash_deviation(double jaccard)
{
    double p = jaccard + (1 - jaccard) / 256;
    return sqrt(p * (1 - p) / COORDINATES) / (1 - 1.0 / 256);
}

typedef struct grid_row {
    int n_union, n_common, n_pairs;
    double ratio_max; /* root mean square error to MinHash's: what the method promises, and 3 % */
} grid_row;

static const grid_row grid[] = {
    {2, 1, 20000, .75},    {3, 2, 20000, .75},    {5, 1, 20000, .75},     {10, 8, 20000, .75},
    {20, 10, 20000, .75},  {31, 28, 20000, .75},  {33, 26, 20000, .75},   {40, 8, 20000, .75},
    {64, 32, 10000, .76},  {100, 80, 10000, .76}, {100, 50, 10000, .76},  {200, 160, 6000, .81},
    {400, 200, 4000, .89}, {600, 480, 4000, .93}, {1200, 960, 3000, .99}, {2000, 400, 3000, 1.03},
};

static void test_estimate_is_unbiased_and_varies_less_than_minhash(void **state)
{
    for (size_t row = 0; row < sizeof grid / sizeof grid[0]; row++) {
        const grid_row *at = &grid[row];
        double jaccard = (double)at->n_common / at->n_union;
        double deviation = minhash_deviation(jaccard);
        double sum = 0, squares = 0;
        for (int i = 0; i < at->n_pairs; i++) {
            sketch_pair pair;
            make_pair(*state, at->n_union, at->n_common, &pair);
            double error = estimate(pair.a, pair.b) - jaccard;
            assert_true(fabs(error) <= 6 * deviation);
            sum += error;
            squares += error * error;
        }
        double ratio = sqrt(squares / at->n_pairs) / deviation;
        print_message("union %4d J %.2f bias %+.5f error / MinHash's %.3f\n", at->n_union, jaccard,
                      sum / at->n_pairs, ratio);
        assert_true(fabs(sum / at->n_pairs) <= 6 * deviation / sqrt(at->n_pairs));
        assert_true(ratio <= at->ratio_max);
    }
}

/* Disjoint sets agree in one coordinate of 256. */
static void test_disjoint_sets_agree_by_chance_only(void **state)
{
    enum { PAIRS = 20000 };
    static const int unions[] = {2, 10, 60, 200};
    for (size_t row = 0; row < 4; row++) {
        double sum = 0;
        for (int i = 0; i < PAIRS; i++) {
            sketch_pair pair;
            make_pair(*state, unions[row], 0, &pair);
            sum += estimate(pair.a, pair.b);
        }
        assert_true(fabs(sum / PAIRS) <= 6 * minhash_deviation(0) / sqrt(PAIRS));
    }
}

/* Banding counts on coordinates of one band to agree nearly independently of each other. */
static void test_pairs_at_the_threshold_share_a_band_as_promised(void **state)
{
    enum { PAIRS = 5000 };
    static const int unions[] = {20, 60, 200, 600};
    static const double thresholds[] = {.5, .55, .6, .75, .9};
    for (size_t row = 0; row < 4; row++) {
        for (size_t i = 0; i < sizeof thresholds / sizeof thresholds[0]; i++) {
            uint8_t n_bands = 0, rows = 0;
            sl_bands_of(thresholds[i], &n_bands, &rows);
            double p = thresholds[i] + (1 - thresholds[i]) / 256;
            double wanted = 1 - pow(1 - pow(p, rows), n_bands);
            int found = 0;
            for (int j = 0; j < PAIRS; j++) {
                sketch_pair pair;
                int n_common = (int)ceil(unions[row] * thresholds[i] - 1e-9);
                make_pair(*state, unions[row], n_common, &pair);
                bool any = false;
                for (int band = 0; band < n_bands; band++) {
                    any |= memcmp(pair.a + band * rows, pair.b + band * rows, rows) == 0;
                }
                found += any;
            }
            double slack = 6 * sqrt(wanted * (1 - wanted) / PAIRS);
            assert_true((double)found / PAIRS >= wanted - slack);
        }
    }
}

/* ---- from text ------------------------------------------------------------------------------- */

/* Words are numbers, so that exact shingle sets are easy: shingle i of a text is its words i..i+2.
 */
#define WORDS 300

static size_t write_words(const int *word, char *out)
{
    size_t size = 0;
    for (int i = 0; i < WORDS; i++) {
        size += (size_t)sprintf(out + size, "w%dx%s", word[i], i % 7 == 0 ? ", " : " ");
    }
    return size;
}

static bool holds(const int *word, const int *shingle)
{
    for (int i = 0; i + 3 <= WORDS; i++) {
        if (memcmp(word + i, shingle, 3 * sizeof *word) == 0) {
            return true;
        }
    }
    return false;
}

/* All shingles are different, as words are drawn from a large vocabulary. */
static double exact_jaccard(const int *a, const int *b)
{
    int common = 0;
    for (int i = 0; i + 3 <= WORDS; i++) {
        common += holds(b, a + i);
    }
    return (double)common / (2 * (WORDS - 2) - common);
}

static void test_sketches_of_edited_texts_estimate_their_jaccard(void **state)
{
    (void)state;
    sluice_config config = {.seed = 3, .duplicate.text_profile = SLUICE_PROFILE_NEWS};
    sl_features *features = NULL;
    assert_int_equal(sl_features_open(&config, &features), SLUICE_OK);
    for (int i = 0; i < 1000; i++) {
        int word[2][WORDS];
        sluice_sample sample[2];
        memset(sample, 0, sizeof sample);
        for (int j = 0; j < WORDS; j++) {
            word[0][j] = (int)(next_random() % 1000000);
            word[1][j] = next_random() % 100 < (uint64_t)(i % 40) ? (int)(next_random() % 1000000)
                                                                  : word[0][j];
        }
        static char text[2][WORDS * 12];
        for (int j = 0; j < 2; j++) {
            sample[j].payload.size = write_words(word[j], text[j]);
            sample[j].payload.data = (const uint8_t *)text[j];
            sl_features_make(features, &sample[j]);
            assert_int_equal(sample[j].features.n_shingles, WORDS - 2);
        }
        double jaccard = exact_jaccard(word[0], word[1]);
        double error = estimate(sample[0].features.sketch, sample[1].features.sketch) - jaccard;
        assert_true(fabs(error) <= 6 * minhash_deviation(jaccard) + 1e-9);
    }
    sl_features_close(&features);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_estimate_is_unbiased_and_varies_less_than_minhash),
        cmocka_unit_test(test_disjoint_sets_agree_by_chance_only),
        cmocka_unit_test(test_pairs_at_the_threshold_share_a_band_as_promised),
        cmocka_unit_test(test_sketches_of_edited_texts_estimate_their_jaccard),
    };
    return cmocka_run_group_tests(tests, open_sketcher, close_sketcher);
}
