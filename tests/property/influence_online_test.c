/* influence_online_test.c - whole runs of the estimator beside float64 (data/influence), and the
 * same bits however the samples arrive. */
#include "influence/influence.h"
#include "influence_golden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

enum { LOSS, SELF, RATIO, LEVERAGE, RESIDUAL, TOWARD0, TOWARD1, N_FIELDS };

typedef struct online_run {
    uint32_t n, n_views, dim;
    float *rows; /* unit */
    bool *refused;
    sluice_scores *scores; /* of the accepted, in order */
    uint32_t n_accepted;
} online_run;

static bool read_rows(const char *name, const char *file, online_run *run)
{
    golden_array views = golden_read(name, file);
    if (views.n == 0) {
        return false;
    }
    run->n = (uint32_t)views.shape[0];
    run->n_views = (uint32_t)views.shape[1];
    run->dim = (uint32_t)views.shape[2];
    run->rows = malloc(sizeof *run->rows * views.n);
    run->refused = calloc(run->n, sizeof *run->refused);
    for (uint32_t i = 0; i < run->n * run->n_views; i++) {
        double square = 0;
        for (uint32_t j = 0; j < run->dim; j++) {
            square += views.at[(size_t)i * run->dim + j] * views.at[(size_t)i * run->dim + j];
        }
        run->refused[i / run->n_views] |= !(square > 1e-24) || isinf(square);
        for (uint32_t j = 0; j < run->dim; j++) {
            run->rows[(size_t)i * run->dim + j] =
                (float)(views.at[(size_t)i * run->dim + j] / sqrt(square));
        }
    }
    free(views.at);
    return true;
}

static sluice_sample sample_of(const online_run *run, uint32_t i)
{
    return (sluice_sample){.offset = UINT64_MAX,
                           .views = {.n_views = run->n_views,
                                     .dim = run->dim,
                                     .rows = run->rows + (size_t)i * run->n_views * run->dim}};
}

static sluice_config config_of(const char *name)
{
    sluice_config config = {.seed = 1};
    config.influence.enabled = true;
    config.influence.half_life = (uint64_t)golden_number(name, "half_life", 0);
    config.influence.damping.relative = golden_number(name, "prior_strength", 0);
    config.influence.damping.margin = golden_number(name, "negative_margin", 0);
    config.influence.expert.adapter = config.influence.damping.margin > 0 ? 0 : 1;
    config.influence.expert.warmup = (uint32_t)golden_number(name, "warmup", 0);
    config.influence.expert.ridge = golden_number(name, "ridge_rel", 0);
    config.influence.expert.rank = (uint32_t)golden_number(name, "rank", 0);
    static const uint64_t refresh[][3] = {{512, 1024, 2048}, {512, 1280, 0}};
    bool second = strcmp(name, "online-b") == 0;
    config.influence.expert.n_refresh = second ? 2 : 3;
    memcpy(config.influence.expert.refresh, refresh[second], sizeof refresh[0]);
    config.influence.n_references = 2;
    for (int r = 0; r < 2; r++) {
        snprintf(config.influence.reference[r].name, 64, "ref%d", r);
        snprintf(config.influence.reference[r].path, 64, "some");
    }
    return config;
}

static void add_references(sl_influence *influence, const char *name)
{
    for (int r = 0; r < 2; r++) {
        char file[64], reference[64];
        online_run rows;
        snprintf(file, sizeof file, "ref%d_views.npy", r);
        snprintf(reference, sizeof reference, "ref%d", r);
        assert_true(read_rows(name, file, &rows));
        for (uint32_t i = 0; i < rows.n; i++) {
            sluice_sample sample = sample_of(&rows, i);
            assert_int_equal(sl_influence_reference_add(influence, reference, &sample), SLUICE_OK);
        }
        free(rows.rows);
        free(rows.refused);
    }
}

/* One call of score for at most n samples of one slice, then apply each. */
static uint64_t run_slice(sl_influence *influence, online_run *run, uint64_t next,
                          const uint32_t *index, uint32_t n)
{
    sluice_sample sample[64];
    static const uint16_t i_source[64];
    static sl_arena *arena;
    if (arena == NULL) {
        assert_int_equal(sl_arena_open(&arena), SLUICE_OK);
    }
    sl_arena_reset(arena, 1 << 16);
    for (uint32_t i = 0; i < n; i++) {
        sample[i] = sample_of(run, index[i]);
        assert_null(sl_influence_admit(influence, &sample[i]));
        sample[i].offset = next + i;
    }
    sl_influence_score(influence, sample, n, i_source, arena);
    for (uint32_t i = 0; i < n; i++) {
        run->scores[run->n_accepted++] = sample[i].scores;
        sl_influence_apply(influence, &sample[i], 0);
        if ((next + i + 1) % 256 == 0) {
            sl_influence_freeze(influence, next + i + 1);
        }
    }
    return next + n;
}

static void run_all(const char *name, uint32_t batch, online_run *run)
{
    sluice_config config = config_of(name);
    sl_influence *influence;
    assert_int_equal(sl_influence_open(&config, &influence, NULL), SLUICE_OK);
    add_references(influence, name);
    run->scores = calloc(run->n, sizeof *run->scores);
    run->n_accepted = 0;
    uint32_t index[64], n = 0;
    uint64_t next = 0;
    for (uint32_t i = 0; i < run->n; i++) {
        if (!run->refused[i]) {
            index[n++] = i;
        }
        if (n > 0 && (n == batch || (next + n) % 64 == 0)) {
            next = run_slice(influence, run, next, index, n);
            n = 0;
        }
    }
    if (n > 0) {
        run_slice(influence, run, next, index, n);
    }
    sl_influence_close(&influence);
}

static double field_of(const sluice_scores *scores, int field)
{
    const float values[N_FIELDS] = {scores->loss,     scores->self,     scores->ratio,
                                    scores->leverage, scores->residual, scores->toward[0],
                                    scores->toward[1]};
    return (double)values[field];
}

/* Spearman over the rows that have both. */
static double rank_correlation(const double *a, const double *b, size_t n)
{
    double cross = 0, square_a = 0, square_b = 0;
    double *rank[2] = {calloc(n, sizeof(double)), calloc(n, sizeof(double))};
    size_t n_used = 0;
    for (size_t i = 0; i < n; i++) {
        n_used += isnan(b[i]) ? 0 : 1;
        for (size_t j = 0; j < n && !isnan(b[i]); j++) {
            rank[0][i] += !isnan(b[j]) && a[j] < a[i];
            rank[1][i] += !isnan(b[j]) && b[j] < b[i];
        }
    }
    double mean = ((double)n_used - 1) / 2;
    for (size_t i = 0; i < n; i++) {
        if (!isnan(b[i])) {
            cross += (rank[0][i] - mean) * (rank[1][i] - mean);
            square_a += (rank[0][i] - mean) * (rank[0][i] - mean);
            square_b += (rank[1][i] - mean) * (rank[1][i] - mean);
        }
    }
    free(rank[0]);
    free(rank[1]);
    return cross / sqrt(square_a * square_b);
}

static void expect_field(const char *name, const online_run *run, int field)
{
    static const char *const file[] = {
        "expect_loss.npy",     "expect_self.npy",   "expect_ratio.npy", "expect_leverage.npy",
        "expect_residual.npy", "expect_toward.npy", "expect_toward.npy"};
    golden_array want = golden_read(name, file[field]);
    double *have = malloc(sizeof *have * run->n), *wanted = malloc(sizeof *wanted * run->n);
    uint32_t at = 0;
    for (uint32_t i = 0; i < run->n; i++) {
        wanted[i] = field >= TOWARD0 ? want.at[2 * i + (size_t)(field - TOWARD0)] : want.at[i];
        have[i] = run->refused[i] ? NAN : field_of(&run->scores[at], field);
        at += !run->refused[i];
        assert_true(isnan(have[i]) == isnan(wanted[i]) || field == RATIO);
    }
    double p99, worst, rank = rank_correlation(have, wanted, run->n);
    golden_errors(have, wanted, run->n, &p99, &worst);
    printf("%s %-20s spearman %.6f p99 %.1e max %.1e\n", name, file[field], rank, p99, worst);
    assert_true(rank >= .999 && p99 <= 1e-2);
    free(have);
    free(wanted);
    free(want.at);
}

static void check_case(const char *name)
{
    online_run run;
    if (!read_rows(name, "views.npy", &run)) {
        print_message("skipped: no data/influence/%s\n", name);
        skip();
    }
    run_all(name, 64, &run);
    for (int field = 0; field < N_FIELDS; field++) {
        expect_field(name, &run, field);
    }
    static const uint32_t batches[] = {1, 7};
    for (int i = 0; i < 2; i++) {
        online_run other = run;
        run_all(name, batches[i], &other);
        for (uint32_t j = 0; j < run.n_accepted; j++) { /* all but the names, which are copies */
            assert_memory_equal(&run.scores[j], &other.scores[j],
                                offsetof(sluice_scores, toward_name));
        }
        free(other.scores);
    }
    free(run.scores);
    free(run.rows);
    free(run.refused);
}

static void test_online_fixed_adapter_agrees_with_float64(void **state)
{
    (void)state;
    check_case("online-a");
}

static void test_online_half_life_agrees_with_float64(void **state)
{
    (void)state;
    check_case("online-b");
}

static void test_online_stepped_adapter_agrees_with_float64(void **state)
{
    (void)state;
    check_case("online-c");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_online_fixed_adapter_agrees_with_float64),
        cmocka_unit_test(test_online_half_life_agrees_with_float64),
        cmocka_unit_test(test_online_stepped_adapter_agrees_with_float64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
