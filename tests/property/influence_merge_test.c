/* influence_merge_test.c - two states in one: the same whoever is merged into whom, and close to
 * the state that saw everything. */
#include "bytes.h"
#include "sluice/engine.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define DIM     24
#define N_VIEWS 3
#define N_PROBE 128

typedef struct stream {
    uint64_t seed;
    const char *encoder;
    uint32_t n_sources, first_source;
    uint32_t n_made;
} stream;

static const char *const sources[] = {"north", "east", "south", "west", "centre"};

static float random_normal(uint64_t *seed)
{
    double sum = 0;
    for (int i = 0; i < 4; i++) {
        *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        sum += (double)(*seed >> 33) / 2147483648.0 - 0.5;
    }
    return (float)(sum * 1.7320508);
}

/* An anchor in a cone of decaying variances, each source with its own mean, and two noisy copies.
 */
static sluice_sample make_sample(stream *from, float *rows, char *id)
{
    const uint32_t i_source = from->first_source + from->n_made % from->n_sources;
    const float noise = 0.2F + 0.3F * fabsf(random_normal(&from->seed));
    for (uint32_t k = 0; k < N_VIEWS; k++) {
        double square = 0;
        for (uint32_t j = 0; j < DIM; j++) {
            const float scale = 1 / sqrtf((float)(j + 1));
            const float mean = j == 0 ? 1.5F : j == i_source + 1 ? 0.7F : 0;
            rows[k * DIM + j] = k == 0 ? mean + scale * random_normal(&from->seed)
                                       : rows[j] + noise * scale * random_normal(&from->seed);
        }
        for (uint32_t j = 0; j < DIM; j++) {
            square += (double)rows[k * DIM + j] * (double)rows[k * DIM + j];
        }
        for (uint32_t j = 0; k > 0 && j < DIM; j++) {
            rows[k * DIM + j] = (float)((double)rows[k * DIM + j] / sqrt(square));
        }
    }
    double square = 0;
    for (uint32_t j = 0; j < DIM; j++) {
        square += (double)rows[j] * (double)rows[j];
    }
    for (uint32_t j = 0; j < DIM; j++) {
        rows[j] = (float)((double)rows[j] / sqrt(square));
    }
    sprintf(id, "%u-%u", (unsigned)from->seed, from->n_made++);
    return (sluice_sample){.id = sl_span_of(id),
                           .source = sl_span_of(sources[i_source]),
                           .encoder = sl_span_of(from->encoder),
                           .views = {.n_views = N_VIEWS, .dim = DIM, .rows = rows}};
}

static sluice_config config_of(void)
{
    sluice_config config;
    sluice_config_default(&config);
    config.duplicate.enabled = false;
    config.influence.n_references = 2;
    strcpy(config.influence.reference[0].name, "first");
    strcpy(config.influence.reference[0].source, sources[0]);
    config.influence.reference[0].samples = 100;
    strcpy(config.influence.reference[1].name, "late"); /* not complete in either half alone */
    strcpy(config.influence.reference[1].source, sources[1]);
    config.influence.reference[1].samples = 900;
    return config;
}

static sluice_engine *open_engine(void)
{
    sluice_config config = config_of();
    sluice_engine *engine;
    assert_int_equal(sluice_engine_open(&config, &engine, NULL), SLUICE_OK);
    return engine;
}

/* Runs n samples; scores of the last ones into `scores` (NULL: nobody wants them). */
static void run(sluice_engine *engine, stream *from, uint32_t n, sluice_scores *scores)
{
    static float rows[64][N_VIEWS * DIM];
    static char id[64][32];
    sluice_batch *batch;
    assert_int_equal(sluice_batch_open(&batch), SLUICE_OK);
    while (n > 0) {
        batch->n_samples = n < 64 ? n : 64;
        for (uint32_t i = 0; i < batch->n_samples; i++) {
            batch->samples[i] = make_sample(from, rows[i], id[i]);
        }
        sluice_engine_run(engine, batch);
        for (uint32_t i = 0; scores != NULL && i < batch->n_samples; i++) {
            *scores++ = batch->samples[i].scores;
        }
        n -= batch->n_samples;
    }
    sluice_batch_close(&batch);
}

static sluice_bytes save(const sluice_engine *engine)
{
    sluice_bytes out = {0};
    assert_int_equal(sluice_engine_save(engine, &out), SLUICE_OK);
    return out;
}

/* a, and what b learned; then the scores of the same samples. */
static sluice_engine *merge(sluice_bytes a, sluice_bytes b, const char *encoder,
                            sluice_scores scores[N_PROBE])
{
    stream probe = {.seed = 99, .encoder = encoder, .n_sources = 5};
    sluice_engine *engine = open_engine();
    sluice_message why = {""};
    assert_int_equal(sluice_engine_load(engine, (sluice_span){a.data, a.size}), SLUICE_OK);
    assert_int_equal(sluice_engine_merge(engine, (sluice_span){b.data, b.size}, &why), SLUICE_OK);
    /* Within one block, so that all are scored by the merged state. */
    uint64_t odd = sluice_engine_next_offset(engine) % SLUICE_BLOCK_SAMPLES;
    assert_true(odd + N_PROBE <= SLUICE_BLOCK_SAMPLES);
    run(engine, &probe, N_PROBE, scores);
    return engine;
}

enum { N_FIELDS = 12 };

static void fields_of(const sluice_scores *scores, float field[N_FIELDS])
{
    const float all[N_FIELDS] = {scores->loss,
                                 scores->self,
                                 scores->ratio,
                                 scores->leverage,
                                 scores->residual,
                                 scores->source_shift,
                                 scores->reliability,
                                 scores->percentile.self,
                                 scores->toward[0],
                                 scores->toward[1],
                                 scores->percentile.toward[0],
                                 scores->percentile.toward[1]};
    memcpy(field, all, sizeof all);
}

/* To 1e-6 of the largest value of the field: samples stand in other slots in the two engines. */
static void expect_same(const sluice_scores *a, const sluice_scores *b)
{
    double largest[N_FIELDS] = {0};
    float x[N_FIELDS], y[N_FIELDS];
    for (uint32_t i = 0; i < N_PROBE; i++) {
        fields_of(&a[i], x);
        for (int f = 0; f < N_FIELDS; f++) {
            largest[f] = fmax(largest[f], fabs((double)x[f]));
        }
    }
    for (uint32_t i = 0; i < N_PROBE; i++) {
        assert_int_equal(a[i].state, b[i].state);
        fields_of(&a[i], x);
        fields_of(&b[i], y);
        for (int f = 0; f < N_FIELDS; f++) {
            assert_int_equal(isnan(x[f]), isnan(y[f]));
            assert_false(fabs((double)x[f] - (double)y[f]) > 1e-6 * largest[f]);
        }
    }
}

static uint64_t n_of_source(const sluice_engine *engine, const char *name)
{
    for (uint32_t i = 0; i < sluice_portfolio_n_sources(sluice_engine_portfolio(engine)); i++) {
        sluice_source_row counts = sluice_portfolio_row(sluice_engine_portfolio(engine), i);
        if (sl_span_equal(counts.source, sl_span_of(name))) {
            return counts.kept + counts.flagged;
        }
    }
    return 0;
}

/* Two streams of n_a and n_b samples, merged both ways. */
static void check_order(uint32_t n_a, const char *encoder_a, uint32_t n_b, const char *encoder_b)
{
    static sluice_scores forth[N_PROBE], back[N_PROBE];
    sluice_engine *engine[2] = {open_engine(), open_engine()};
    stream from[2] = {{.seed = 1, .encoder = encoder_a, .n_sources = 3},
                      {.seed = 2, .encoder = encoder_b, .n_sources = 4, .first_source = 1}};
    sluice_bytes saved[2];
    for (int i = 0; i < 2; i++) {
        run(engine[i], &from[i], i == 0 ? n_a : n_b, NULL);
        saved[i] = save(engine[i]);
        sluice_engine_close(&engine[i]);
    }
    for (int e = 0; e < 2; e++) {
        const char *encoder = e == 0 ? encoder_a : encoder_b;
        sluice_engine *ab = merge(saved[0], saved[1], encoder, forth);
        sluice_engine *ba = merge(saved[1], saved[0], encoder, back);
        expect_same(forth, back);
        for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
            assert_int_equal(n_of_source(ab, sources[i]), n_of_source(ba, sources[i]));
        }
        sluice_engine_close(&ab);
        sluice_engine_close(&ba);
    }
    sl_bytes_fini(&saved[0]);
    sl_bytes_fini(&saved[1]);
}

static void test_merge_of_live_states_is_the_same_both_ways(void **state)
{
    (void)state;
    check_order(2048, "e", 3072, "e");
    check_order(2048 + 77, "e", 3072 + 5, "e"); /* blocks that are open */
    check_order(256 * 9, "e", 256 * 17, "e");   /* a refresh is under way in the first */
}

static void test_merge_with_a_warming_state_is_the_same_both_ways(void **state)
{
    (void)state;
    check_order(2048, "e", 256, "e");
    check_order(256, "e", 100, "e"); /* both warming, and still together */
    check_order(300, "e", 310, "e"); /* both warming, together enough */
    check_order(0, "e", 2048, "e");
}

static void test_merge_of_encoders_that_only_one_knows_is_the_same_both_ways(void **state)
{
    (void)state;
    check_order(2048 + 9, "one", 1024 + 70, "two");
}

/* Spearman by counting. */
static double correlate(const float *a, const float *b, uint32_t n)
{
    double square = 0;
    for (uint32_t i = 0; i < n; i++) {
        double rank_a = 0, rank_b = 0;
        for (uint32_t j = 0; j < n; j++) {
            rank_a += a[j] < a[i];
            rank_b += b[j] < b[i];
        }
        square += (rank_a - rank_b) * (rank_a - rank_b);
    }
    return 1 - 6 * square / ((double)n * ((double)n * n - 1));
}

static void test_merge_of_halves_is_close_to_the_whole(void **state)
{
    (void)state;
    static sluice_scores merged[N_PROBE], whole[N_PROBE];
    sluice_engine *half[2] = {open_engine(), open_engine()};
    sluice_engine *all = open_engine();
    sluice_bytes saved[2];
    for (int i = 0; i < 2; i++) {
        stream from = {.seed = 10 + (uint64_t)i, .encoder = "e", .n_sources = 5};
        stream again = from;
        run(half[i], &from, 4096, NULL);
        run(all, &again, 4096, NULL);
        saved[i] = save(half[i]);
        sluice_engine_close(&half[i]);
    }
    sluice_engine *engine = merge(saved[0], saved[1], "e", merged);
    stream probe = {.seed = 99, .encoder = "e", .n_sources = 5};
    run(all, &probe, N_PROBE, whole);
    static float value[4][2][N_PROBE];
    for (uint32_t i = 0; i < N_PROBE; i++) {
        const sluice_scores *both[2] = {&merged[i], &whole[i]};
        for (int k = 0; k < 2; k++) {
            value[0][k][i] = both[k]->self;
            value[1][k][i] = both[k]->leverage;
            value[2][k][i] = both[k]->toward[0];
            value[3][k][i] = both[k]->percentile.self;
        }
    }
    static const char *const names[] = {"self", "leverage", "toward", "percentile.self"};
    static const double least[] = {.997, .99, .995, .997};
    for (int f = 0; f < 4; f++) {
        const double found = correlate(value[f][0], value[f][1], N_PROBE);
        printf("halves beside the whole: %-16s rank correlation %.5f\n", names[f], found);
        assert_true(found >= least[f]);
    }
    sluice_engine_close(&engine);
    sluice_engine_close(&all);
    sl_bytes_fini(&saved[0]);
    sl_bytes_fini(&saved[1]);
}

static void test_merge_of_what_does_not_go_together_changes_nothing(void **state)
{
    (void)state;
    sluice_engine *engine = open_engine();
    stream from = {.seed = 5, .encoder = "e", .n_sources = 2};
    sluice_message why = {""};
    run(engine, &from, 1100, NULL);
    sluice_bytes before = save(engine);
    for (size_t cut = 0; cut < before.size; cut += before.size / 7) {
        assert_int_equal(sluice_engine_merge(engine, (sluice_span){before.data, cut}, &why),
                         SLUICE_E_CORRUPT);
    }
    static const char *const names[] = {"f", "g", "h", "i"};
    sluice_engine *full = open_engine();
    for (int i = 0; i < 4; i++) {
        stream other = {.seed = 6, .encoder = names[i], .n_sources = 2};
        run(full, &other, 10, NULL);
    }
    sluice_bytes four = save(full);
    assert_int_equal(sluice_engine_merge(engine, (sluice_span){four.data, four.size}, &why),
                     SLUICE_E_CONFIG);
    sluice_bytes after = save(engine);
    assert_int_equal(after.size, before.size);
    assert_memory_equal(after.data, before.data, before.size);
    sluice_engine_close(&engine);
    sluice_engine_close(&full);
    sl_bytes_fini(&before);
    sl_bytes_fini(&after);
    sl_bytes_fini(&four);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_merge_of_live_states_is_the_same_both_ways),
        cmocka_unit_test(test_merge_with_a_warming_state_is_the_same_both_ways),
        cmocka_unit_test(test_merge_of_encoders_that_only_one_knows_is_the_same_both_ways),
        cmocka_unit_test(test_merge_of_halves_is_close_to_the_whole),
        cmocka_unit_test(test_merge_of_what_does_not_go_together_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
