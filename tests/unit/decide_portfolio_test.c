/* decide_portfolio_test.c - rows, repeats, trend, labels, limits; saved, loaded, merged, corrupt.
 */
#include "sluice/portfolio.h"
#include "bytes.h"
#include "decide/repeats.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static uint16_t number_out[SLUICE_LIMIT_SOURCES + 1];

static int open_portfolio(void **state)
{
    return sluice_portfolio_open((sluice_portfolio **)state) == SLUICE_OK ? 0 : -1;
}

static int close_portfolio(void **state)
{
    sluice_portfolio_close((sluice_portfolio **)state);
    return 0;
}

static sluice_sample sample_of(const char *source, uint64_t offset)
{
    return (sluice_sample){.offset = offset,
                           .source = sl_span_of(source),
                           .id = sl_span_of("an id"),
                           .arrived_us = (int64_t)(offset + 1) * 1000000,
                           .cost = 0.5,
                           .verdict = {.decision = SLUICE_KEEP}};
}

static sluice_sample duplicate_of(const char *source, uint64_t offset, const char *of)
{
    sluice_sample sample = sample_of(source, offset);
    sample.match = (sluice_match){.method = SLUICE_METHOD_TEXT, .of_source = sl_span_of(of)};
    sample.verdict.decision = SLUICE_DROP;
    return sample;
}

static sluice_sample scored(const char *source, uint64_t offset, float value)
{
    sluice_sample sample = sample_of(source, offset);
    sample.scores = (sluice_scores){.state = SLUICE_LIVE,
                                    .n_toward = 1,
                                    .loss = value,
                                    .self = value * 2,
                                    .leverage = value * 3,
                                    .residual = NAN,
                                    .source_shift = 0,
                                    .reliability = NAN,
                                    .toward = {value - 1},
                                    .percentile = {.loss = 0.5F,
                                                   .self = value / 4,
                                                   .leverage = value / 4,
                                                   .toward = {value / 4}},
                                    .toward_name = {"near"}};
    return sample;
}

/* A stream with something of everything. */
static void fill(sluice_portfolio *portfolio, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        sluice_sample sample = i % 5 == 4 ? duplicate_of("b", i, i % 2 == 0 ? "a" : "b")
                                          : scored(i % 3 == 0 ? "a" : "b", i, (float)(i % 40) / 10);
        sluice_portfolio_apply(portfolio, &sample);
    }
}

static sluice_bytes save(const sluice_portfolio *portfolio)
{
    sluice_bytes saved = {0};
    assert_int_equal(sluice_portfolio_save(portfolio, &saved), SLUICE_OK);
    return saved;
}

static void test_row_counts_decisions_cost_and_repeats(void **state)
{
    sluice_portfolio *portfolio = *state;
    sluice_sample kept = sample_of("a", 0);
    sluice_sample other = duplicate_of("b", 1, "a");
    sluice_sample own = duplicate_of("b", 2, "b");
    sluice_portfolio_apply(portfolio, &kept);
    sluice_portfolio_apply(portfolio, &other);
    sluice_portfolio_apply(portfolio, &own);
    sluice_source_row b = sluice_portfolio_row(portfolio, 2);
    assert_memory_equal(b.source.data, "b", 1);
    assert_int_equal(b.dropped, 2);
    assert_int_equal(b.duplicates, 2);
    assert_int_equal(b.own, 1);
    assert_true(b.cost == 1.0 && b.first_us == 2000000 && b.last_us == 3000000);
    sluice_repeat repeats[4];
    assert_int_equal(sluice_portfolio_repeats(portfolio, repeats, 4), 2);
    assert_int_equal(repeats[0].count + repeats[1].count, 2);
    assert_int_equal(repeats[0].i_of, 1); /* of equal counts the smaller numbers come first */
}

static void test_restored_sample_is_no_second_arrival(void **state)
{
    sluice_portfolio *portfolio = *state;
    sluice_sample kept = sample_of("a", 0);
    sluice_sample dropped = duplicate_of("b", 1, "a");
    sluice_portfolio_apply(portfolio, &kept);
    sluice_portfolio_apply(portfolio, &dropped);
    sluice_sample restored = duplicate_of("b", 2, "a");
    restored.verdict = (sluice_verdict){
        .decision = SLUICE_KEEP, .n_reasons = 1, .reasons = {SLUICE_REASON_RESTORED}};
    sluice_portfolio_apply(portfolio, &restored);
    sluice_bytes saved = save(portfolio);
    assert_int_equal(sluice_portfolio_load(portfolio, (sluice_span){saved.data, saved.size}),
                     SLUICE_OK);
    sl_bytes_fini(&saved);
    sluice_source_row b = sluice_portfolio_row(portfolio, 2);
    assert_int_equal(b.restored, 1);
    assert_int_equal(b.kept, 0);
    assert_int_equal(b.dropped, 1);
    assert_int_equal(b.duplicates, 1);
    assert_true(b.cost == 0.5 && b.last_us == 2000000);
    assert_int_equal(sluice_portfolio_row(portfolio, 1).restored, 0);
}

static void test_source_beyond_the_limit_is_counted_as_other(void **state)
{
    sluice_portfolio *portfolio = *state;
    for (uint64_t i = 0; i < SLUICE_LIMIT_SOURCES + 3; i++) {
        char name[32];
        snprintf(name, sizeof name, "source %llu", (unsigned long long)i);
        sluice_sample sample = sample_of(name, i);
        sluice_portfolio_apply(portfolio, &sample);
    }
    assert_int_equal(sluice_portfolio_n_sources(portfolio), 1 + SLUICE_LIMIT_SOURCES);
    assert_int_equal(sluice_portfolio_row(portfolio, SLUICE_OTHER_SOURCES).kept, 3);
    assert_int_equal(sluice_portfolio_find(portfolio, sl_span_of("never seen")),
                     SLUICE_OTHER_SOURCES);
    const char *reason = NULL;
    assert_true(sluice_portfolio_validate(portfolio, &reason));
}

static void test_quantiles_and_counts_of_known_values(void **state)
{
    sluice_portfolio *portfolio = *state;
    for (uint64_t i = 0; i < 1000; i++) {
        sluice_sample sample = scored("a", i, (float)(i + 1) / 1000);
        sluice_portfolio_apply(portfolio, &sample);
    }
    const double q[] = {0, 0.1, 0.5, 0.9, 1};
    double values[5];
    sluice_portfolio_quantiles(portfolio, 1, SLUICE_STATISTIC_LOSS, q, 5, values);
    for (int i = 0; i < 5; i++) {
        double exact = floor(q[i] * 999) / 1000 + 0.001;
        assert_true(fabs(values[i] - exact) <= 0.01 * exact);
    }
    const double limit[] = {0.25, 0.5, 2};
    uint64_t counts[3];
    sluice_portfolio_counts(portfolio, SLUICE_ALL_SOURCES, SLUICE_STATISTIC_LOSS, limit, 3, counts);
    assert_true(counts[0] >= 248 && counts[0] <= 255 && counts[1] >= 498 && counts[1] <= 510);
    assert_int_equal(counts[2], 1000);
    sluice_portfolio_quantiles(portfolio, SLUICE_OTHER_SOURCES, SLUICE_STATISTIC_LOSS, q, 1,
                               values);
    assert_true(isnan(values[0]));
    sluice_toward toward = sluice_portfolio_row(portfolio, 1).toward[0];
    assert_string_equal(sluice_portfolio_reference(portfolio, 0), "near");
    assert_true(toward.n == 1000 && fabs(toward.mean + 0.4995) < 1e-6 && toward.positive == 0);
    assert_true(toward.low < toward.mean && toward.mean < toward.high);
}

static void test_trend_holds_all_samples_at_any_length(void **state)
{
    sluice_portfolio *portfolio = *state;
    for (uint64_t i = 0; i < 70000; i++) {
        sluice_sample sample = sample_of(i % 7 == 0 ? "a" : "b", 1000 + i);
        sluice_portfolio_apply(portfolio, &sample);
    }
    sluice_trend_point points[SLUICE_TREND_POINTS];
    uint64_t span;
    uint32_t n = sluice_portfolio_trend(portfolio, 1, points, &span);
    uint64_t received = 0;
    for (uint32_t i = 0; i < n; i++) {
        received += points[i].received;
        assert_true(isnan(points[i].loss));
    }
    assert_int_equal(received, 10000);
    assert_int_equal(span, 2048);
    assert_int_equal(n, (70000 + span - 1) / span);
}

static void test_labels_are_the_best_of_all(void **state)
{
    sluice_portfolio *portfolio = *state;
    for (uint64_t i = 0; i < 5000; i++) {
        sluice_sample sample = scored("a", i, (float)(i * 37 % 5000) / 1250);
        sample.match.method = i % 2 == 0 ? SLUICE_METHOD_NONE : SLUICE_METHOD_TEXT;
        sluice_portfolio_apply(portfolio, &sample);
    }
    sluice_label labels[SLUICE_LIMIT_LABELS];
    assert_int_equal(sluice_portfolio_labels(portfolio, labels), SLUICE_LIMIT_LABELS);
    for (uint32_t i = 0; i < SLUICE_LIMIT_LABELS; i++) {
        assert_true(labels[i].offset % 2 == 0);
        assert_true(i == 0 || labels[i].score <= labels[i - 1].score);
        assert_memory_equal(labels[i].id.data, "an id", 5);
    }
    assert_true((double)labels[0].leverage > 0.99);
    assert_true((double)labels[SLUICE_LIMIT_LABELS - 1].leverage > 0.79); /* 512 of 2,500 */
}

static void test_saved_and_loaded_goes_on_as_if_never_stopped(void **state)
{
    sluice_portfolio *whole = *state;
    sluice_portfolio *loaded = NULL;
    fill(whole, 20000);
    sluice_bytes saved = save(whole);
    assert_int_equal(sluice_portfolio_open(&loaded), SLUICE_OK);
    fill(loaded, 77); /* what was there goes */
    assert_int_equal(sluice_portfolio_load(loaded, (sluice_span){saved.data, saved.size}),
                     SLUICE_OK);
    sluice_portfolio *both[] = {whole, loaded};
    for (int i = 0; i < 2; i++) {
        for (uint64_t offset = 20000; offset < 20500; offset++) {
            sluice_sample sample = scored("c", offset, 1.5F);
            sluice_portfolio_apply(both[i], &sample);
        }
    }
    sluice_bytes a = save(whole);
    sluice_bytes b = save(loaded);
    assert_int_equal(a.size, b.size);
    assert_memory_equal(a.data, b.data, a.size);
    sl_bytes_fini(&a);
    sl_bytes_fini(&b);
    sl_bytes_fini(&saved);
    sluice_portfolio_close(&loaded);
}

static void test_cut_or_changed_bytes_change_nothing(void **state)
{
    sluice_portfolio *portfolio = *state;
    fill(portfolio, 3000);
    sluice_bytes saved = save(portfolio);
    for (size_t size = 0; size < saved.size; size += 1 + saved.size / 200) {
        assert_int_equal(sluice_portfolio_load(portfolio, (sluice_span){saved.data, size}),
                         SLUICE_E_CORRUPT);
    }
    assert_int_equal(sl_bytes_put_u8(&saved, 0), SLUICE_OK);
    assert_int_equal(sluice_portfolio_load(portfolio, (sluice_span){saved.data, saved.size}),
                     SLUICE_E_CORRUPT);
    sluice_bytes after = save(portfolio);
    assert_memory_equal(after.data, saved.data, after.size);
    sl_bytes_fini(&after);
    sl_bytes_fini(&saved);
}

static void test_merge_adds_what_is_counted_in_either_order(void **state)
{
    sluice_portfolio *a = *state;
    sluice_portfolio *b = NULL;
    sluice_portfolio *into = NULL;
    assert_int_equal(sluice_portfolio_open(&b), SLUICE_OK);
    assert_int_equal(sluice_portfolio_open(&into), SLUICE_OK);
    fill(a, 2000);
    sluice_sample first = sample_of("c", 0); /* numbers differ between the two */
    sluice_portfolio_apply(b, &first);
    fill(b, 1000);
    sluice_portfolio_merge(into, b, number_out);
    sluice_portfolio_merge(into, a, number_out);
    sluice_portfolio_merge(a, b, number_out);
    for (uint32_t i = 1; i < sluice_portfolio_n_sources(a); i++) {
        sluice_source_row x = sluice_portfolio_row(a, i);
        uint32_t there = sluice_portfolio_find(into, x.source);
        sluice_source_row y = sluice_portfolio_row(into, there);
        assert_true(x.kept == y.kept && x.dropped == y.dropped && x.duplicates == y.duplicates);
        assert_true(x.own == y.own && x.scored == y.scored && x.rare == y.rare);
        assert_true(fabs(x.cost - y.cost) < 1e-9);
        assert_true(x.toward[0].n == y.toward[0].n);
        assert_true(x.toward[0].n == 0 || fabs(x.toward[0].mean - y.toward[0].mean) < 1e-12);
        double q = 0.5;
        double u;
        double v;
        sluice_portfolio_quantiles(a, i, SLUICE_STATISTIC_SELF, &q, 1, &u);
        sluice_portfolio_quantiles(into, there, SLUICE_STATISTIC_SELF, &q, 1, &v);
        assert_true(u == v || (isnan(u) && isnan(v)));
    }
    assert_int_equal(sluice_portfolio_row(a, sluice_portfolio_find(a, sl_span_of("b"))).dropped,
                     600);
    sluice_portfolio_close(&b);
    sluice_portfolio_close(&into);
}

static void test_counts_of_the_first_format_are_read(void **state)
{
    sluice_portfolio *portfolio = *state;
    sluice_bytes old = {0};
    const char *const names[] = {"(other)", "a"};
    assert_int_equal(sl_bytes_put_u32(&old, 2), SLUICE_OK);
    for (uint64_t i = 0; i < 2; i++) {
        assert_int_equal(sl_bytes_put_u32(&old, (uint32_t)strlen(names[i])), SLUICE_OK);
        assert_int_equal(sl_bytes_append(&old, names[i], strlen(names[i])), SLUICE_OK);
        for (uint64_t j = 0; j < 4; j++) {
            assert_int_equal(sl_bytes_put_u64(&old, i * (10 + j)), SLUICE_OK);
        }
    }
    assert_int_equal(sluice_portfolio_load(portfolio, (sluice_span){old.data, old.size}),
                     SLUICE_OK);
    sluice_source_row row = sluice_portfolio_row(portfolio, 1);
    assert_true(row.kept == 10 && row.flagged == 11 && row.dropped == 12 && row.duplicates == 13);
    sluice_repeat repeat;
    assert_int_equal(sluice_portfolio_repeats(portfolio, &repeat, 1), 1);
    assert_int_equal(repeat.count, 13);
    sl_bytes_fini(&old);
}

static void test_full_repeats_are_counted_under_other(void **state)
{
    (void)state;
    sl_repeats *repeats = NULL;
    assert_int_equal(sl_repeats_open(SL_REPEATS_CELLS, &repeats), SLUICE_OK);
    uint64_t n = 0;
    for (uint32_t i = 1; i <= 1024; i++) {
        for (uint32_t of = 1; of <= 70; of++) {
            sl_repeats_add(repeats, i, of, 1);
            n++;
        }
    }
    sluice_repeat *cells = calloc(SL_REPEATS_CELLS + 2048, sizeof *cells);
    uint32_t n_cells = sl_repeats_list(repeats, cells, SL_REPEATS_CELLS + 2048);
    assert_true(n_cells > SL_REPEATS_CELLS && n_cells <= SL_REPEATS_CELLS + 1025);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < n_cells; i++) {
        sum += cells[i].count;
    }
    assert_int_equal(sum, n);
    free(cells);
    sl_repeats_close(&repeats);
}

static void test_advice_is_not_given_on_few_samples(void **state)
{
    sluice_portfolio *portfolio = *state;
    sluice_advice advice[SLUICE_LIMIT_ADVICE];
    for (uint64_t i = 0; i < 400; i++) {
        sluice_sample sample = i % 2 == 0 ? sample_of("a", i) : duplicate_of("b", i, "a");
        sluice_portfolio_apply(portfolio, &sample);
        uint32_t n = sluice_portfolio_advise(portfolio, advice);
        assert_int_equal(n, i < 399 ? 0 : 1);
    }
    assert_int_equal(advice[0].kind, SLUICE_ADVICE_STOP);
    assert_int_equal(advice[0].i_source, 2);
    assert_true(advice[0].confidence >= 0.99);
    assert_non_null(strstr(advice[0].text, "100 % the source \"a\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_row_counts_decisions_cost_and_repeats, open_portfolio,
                                        close_portfolio),
        cmocka_unit_test_setup_teardown(test_restored_sample_is_no_second_arrival, open_portfolio,
                                        close_portfolio),
        cmocka_unit_test_setup_teardown(test_source_beyond_the_limit_is_counted_as_other,
                                        open_portfolio, close_portfolio),
        cmocka_unit_test_setup_teardown(test_quantiles_and_counts_of_known_values, open_portfolio,
                                        close_portfolio),
        cmocka_unit_test_setup_teardown(test_trend_holds_all_samples_at_any_length, open_portfolio,
                                        close_portfolio),
        cmocka_unit_test_setup_teardown(test_labels_are_the_best_of_all, open_portfolio,
                                        close_portfolio),
        cmocka_unit_test_setup_teardown(test_saved_and_loaded_goes_on_as_if_never_stopped,
                                        open_portfolio, close_portfolio),
        cmocka_unit_test_setup_teardown(test_cut_or_changed_bytes_change_nothing, open_portfolio,
                                        close_portfolio),
        cmocka_unit_test_setup_teardown(test_merge_adds_what_is_counted_in_either_order,
                                        open_portfolio, close_portfolio),
        cmocka_unit_test_setup_teardown(test_counts_of_the_first_format_are_read, open_portfolio,
                                        close_portfolio),
        cmocka_unit_test(test_full_repeats_are_counted_under_other),
        cmocka_unit_test_setup_teardown(test_advice_is_not_given_on_few_samples, open_portfolio,
                                        close_portfolio),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
