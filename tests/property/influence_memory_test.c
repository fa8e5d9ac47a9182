/* influence_memory_test.c - what an encoder takes, beside the formula of deploy/docs/scores.md. */
#include "influence/influence.h"
#include "bytes.h"

#include <malloc.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define N_REFERENCE 40
#define WARMUP      512

static double allocated(void)
{
    const struct mallinfo2 info = mallinfo2();
    return (double)info.uordblks + (double)info.hblkhd;
}

/* The formula, in bytes. `live`: there is a basis, so the rows of the warm-up are gone. */
static double formula(double k, double d, double r, double n, bool live)
{
    const double work = fmax(2 * d * d, fmax(128 * (2 * k - 1) * d, 512 * d));
    const double floats = (17 + 3 * r) * d * d + 2 * work + (2048 * k + 3100) * d + r * n * k * d;
    return 4 * floats + (live ? 0 : 4 * (WARMUP + 256) * k * d) + 0.8e6;
}

/* Unit rows of n samples, each view near the same direction of its sample. */
static float *make_rows(uint32_t n, uint32_t k, uint32_t d)
{
    float *rows = malloc(sizeof *rows * n * k * d);
    uint64_t seed = 7;
    for (size_t i = 0; i < (size_t)n * k; i++) {
        double square = 0;
        for (uint32_t j = 0; j < d; j++) {
            seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            rows[i * d + j] = (float)((double)(seed >> 33) / 2147483648.0 - (j == 0 ? 3.0 : 0.5));
            square += (double)rows[i * d + j] * (double)rows[i * d + j];
        }
        for (uint32_t j = 0; j < d; j++) {
            rows[i * d + j] = (float)((double)rows[i * d + j] / sqrt(square));
        }
    }
    return rows;
}

static sl_influence *open_influence(uint32_t n_references)
{
    sluice_config config;
    sl_influence *influence;
    sluice_config_default(&config);
    config.influence.expert.warmup = WARMUP;
    config.influence.n_references = n_references;
    for (uint32_t r = 0; r < n_references; r++) {
        snprintf(config.influence.reference[r].name, 64, "r%u", r);
        strcpy(config.influence.reference[r].source, "source");
        config.influence.reference[r].samples = N_REFERENCE;
    }
    assert_int_equal(sl_influence_open(&config, &influence, NULL), SLUICE_OK);
    return influence;
}

static sluice_sample sample_of(const float *rows, uint32_t i, uint32_t k, uint32_t d)
{
    return (sluice_sample){.offset = i,
                           .source = sl_span_of("source"),
                           .views = {.n_views = k, .dim = d, .rows = rows + (size_t)i * k * d}};
}

/* A stream until there is a basis; a refresh beyond, so that nothing is left to be allocated. */
static void run(sl_influence *influence, const float *rows, uint32_t n, uint32_t k, uint32_t d)
{
    for (uint32_t i = 0; i < n; i++) {
        const sluice_sample sample = sample_of(rows, i, k, d);
        sl_influence_apply(influence, &sample, 1);
        if ((i + 1) % 256 == 0) {
            sl_influence_freeze(influence, i + 1);
        }
    }
}

static void check(uint32_t k, uint32_t d, uint32_t n_references)
{
    const uint32_t n = d <= 64 ? 9 * 256 : 3 * 256;
    float *rows = make_rows(n, k, d);
    sl_influence *influence = open_influence(n_references);
    const sluice_sample first = sample_of(rows, 0, k, d);
    const double before = allocated();
    assert_null(sl_influence_admit(influence, &first));
    const double warming = allocated() - before;
    run(influence, rows, n, k, d);
    const double live = allocated() - before;
    const double said[2] = {formula(k, d, n_references, N_REFERENCE, false),
                            formula(k, d, n_references, N_REFERENCE, true)};
    printf("d %4u K %u references %u: %6.1f MiB warming (formula %6.1f), %6.1f live (%6.1f)\n", d,
           k, n_references, warming / 1048576, said[0] / 1048576, live / 1048576,
           said[1] / 1048576);
    sl_influence_close(&influence);
    free(rows);
    /* What a refresh needs for references is allocated by the first one that is not the very first.
     */
    assert_true(warming <= 1.03 * said[0]);
    assert_true(live <= 1.03 * said[1]);
    assert_true(live >= 0.9 * said[1] - 4.0 * n_references * d * d);
}

static void test_memory_of_an_encoder_is_what_the_formula_says(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* their allocators do not tell */
#endif
    static const uint32_t dims[] = {64, 384, 1024};
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++) {
        for (uint32_t k = 2; k <= 3; k++) {
            for (uint32_t r = 0; r <= 8; r += dims[i] > 64 ? 8 : 4) {
                check(k, dims[i], r);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_of_an_encoder_is_what_the_formula_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
