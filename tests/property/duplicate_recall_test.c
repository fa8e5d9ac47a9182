/* duplicate_recall_test.c - near-duplicates clearly above the threshold are found, against a scan
 * of all kept sketches; and nothing is found that is not one. */
#include "duplicate/duplicate.h"
#include "duplicate/agreement.h"
#include "unit/duplicate_samples.h"

#include <stdlib.h>

#define N_SAMPLES 4000

/* Coordinates agree with chance J + (1 - J) / 256 each, as those of real sketches do. */
static void make_similar(sluice_sample *sample, const sluice_sample *with, double similarity,
                         uint64_t *random)
{
    make_sketch(next_random(random), sample->features.sketch);
    for (uint32_t i = 0; i < SLUICE_SKETCH_COORDINATES; i++) {
        if ((double)random_below(random, 1000000) < similarity * 1e6) {
            sample->features.sketch[i] = with->features.sketch[i];
        }
    }
}

/* The most similar kept sample at or above the threshold, then the oldest; UINT64_MAX = none. */
static uint64_t scan(const sluice_sample *samples, uint64_t n, const sluice_sample *sample,
                     uint32_t *n_equal)
{
    uint64_t best = UINT64_MAX;
    *n_equal = sl_agreement_least(0.8f) - 1;
    for (uint64_t i = 0; i < n; i++) {
        uint32_t equal = sl_agreement_ref(samples[i].features.sketch, sample->features.sketch);
        if (samples[i].verdict.decision == SLUICE_KEEP && equal > *n_equal) {
            *n_equal = equal;
            best = i;
        }
    }
    return best;
}

/* Share of the samples with a mate at `similarity` for which the mate that a scan names is named.
 */
static double measure_recall(double similarity, uint64_t seed)
{
    sluice_config config = make_config(1 << 20, 4 << 20);
    sl_duplicate *duplicate;
    assert_int_equal(sl_duplicate_open(&config, &duplicate, NULL), SLUICE_OK);
    sluice_sample *samples = calloc(N_SAMPLES, sizeof *samples);
    assert_non_null(samples);
    uint64_t random = seed, n_true = 0, n_found = 0;
    for (uint64_t i = 0; i < N_SAMPLES; i++) {
        samples[i] = make_sample(i, next_random(&random), "id", "source");
        if (i > 0 && i % 2 == 0) {
            make_similar(&samples[i], &samples[random_below(&random, (uint32_t)i)], similarity,
                         &random);
        }
        uint32_t n_equal;
        uint64_t best = scan(samples, i, &samples[i], &n_equal);
        sl_duplicate_probe(duplicate, &samples[i], &samples[i].match);
        bool found = samples[i].match.method != SLUICE_METHOD_NONE;
        assert_true(best != UINT64_MAX || !found);
        n_true += best != UINT64_MAX;
        n_found += found && samples[i].match.of_offset == best &&
                   samples[i].match.similarity == sl_agreement_similarity(n_equal);
        samples[i].verdict.decision = found ? SLUICE_DROP : SLUICE_KEEP;
        sl_duplicate_apply(duplicate, &samples[i]);
    }
    assert_true(n_true > N_SAMPLES / 5);
    assert_valid(sl_duplicate_validate, duplicate);
    sl_duplicate_close(&duplicate);
    free(samples);
    print_message("similarity %.2f: %.4f of %llu found\n", similarity,
                  (double)n_found / (double)n_true, (unsigned long long)n_true);
    return (double)n_found / (double)n_true;
}

/* 1 - (1 - .9^8)^16 = .99988 at .90; what is left is chance on 2,000 samples. */
static void test_recall_clearly_above_the_threshold_is_99_percent(void **state)
{
    (void)state;
    assert_true(measure_recall(0.90, 1) >= 0.99);
    assert_true(measure_recall(0.95, 2) >= 0.99);
    assert_true(measure_recall(1.00, 3) >= 0.999);
}

/* 1 - (1 - .85^8)^16 = .994; sketches that pass the threshold agree a little more than .85. */
static void test_recall_near_the_threshold_follows_the_curve(void **state)
{
    (void)state;
    assert_true(measure_recall(0.85, 4) >= 0.985);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recall_clearly_above_the_threshold_is_99_percent),
        cmocka_unit_test(test_recall_near_the_threshold_follows_the_curve),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
