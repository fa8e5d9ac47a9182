/* decide_budget_test.c - the share that is kept, over every window, whatever the scores do. */
#include "bytes.h"
#include "decide/budget.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define N      100000u
#define WINDOW 20000u

typedef double (*score_function)(uint32_t i, double chance);

static double next_chance(uint64_t *state) /* splitmix64 */
{
    uint64_t value = *state += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return (double)((value ^ value >> 31) >> 11) * 0x1p-53;
}

static double steady(uint32_t i, double chance)
{
    (void)i;
    return chance;
}

static double drifting(uint32_t i, double chance)
{
    return chance + i * 1e-4; /* each 10,000 samples a whole spread further */
}

static double jumping(uint32_t i, double chance)
{
    return chance + (i / 3000 % 2 == 0 ? 0 : 10);
}

static double waving(uint32_t i, double chance)
{
    return chance + 3 * sin(i / 700.0);
}

static double few_values(uint32_t i, double chance)
{
    (void)i;
    return floor(chance * 3);
}

static double one_value(uint32_t i, double chance)
{
    (void)i;
    (void)chance;
    return 7;
}

static double often_missing(uint32_t i, double chance)
{
    return i % 3 == 0 ? (double)NAN : chance;
}

static double always_missing(uint32_t i, double chance)
{
    (void)i;
    (void)chance;
    return (double)NAN;
}

static double infinite(uint32_t i, double chance)
{
    return i % 2 == 0 ? HUGE_VAL : chance * 1e300;
}

/* The kept ones of N samples, of which every `dropped_every`th is dropped by a rule; 0: none. */
static void run(double fraction, score_function score, uint32_t dropped_every, uint8_t *kept)
{
    static sl_budget budget;
    uint64_t scores = 1, chances = 2;
    sl_budget_init(&budget, fraction);
    for (uint32_t i = 0; i < N; i++) {
        double value = score(i, next_chance(&scores));
        bool offered = dropped_every == 0 || i % dropped_every != 0;
        double chance = next_chance(&chances);
        kept[i] = offered && sl_budget_judge(&budget, value, chance);
        sl_budget_apply(&budget, offered, kept[i], value);
        if ((i + 1) % 256 == 0) {
            sl_budget_freeze(&budget);
        }
    }
}

static double worst_window(const uint8_t *kept, double fraction)
{
    uint32_t n = 0;
    double worst = 0;
    for (uint32_t i = 0; i < N; i++) {
        n += kept[i];
        n -= i >= WINDOW ? kept[i - WINDOW] : 0;
        if (i + 1 >= WINDOW) {
            worst = fmax(worst, fabs((double)n / WINDOW - fraction));
        }
    }
    return worst;
}

static void test_budget_holds_the_share_over_every_window(void **state)
{
    (void)state;
    static uint8_t kept[N];
    static const struct {
        const char *name;
        score_function score;
    } streams[] = {{"steady", steady},
                   {"drifting", drifting},
                   {"jumping", jumping},
                   {"waving", waving},
                   {"few values", few_values},
                   {"one value", one_value},
                   {"some missing", often_missing},
                   {"all missing", always_missing},
                   {"infinite", infinite}};
    static const double fractions[] = {0.05, 0.5, 0.9};
    for (size_t i = 0; i < sizeof streams / sizeof streams[0]; i++) {
        for (size_t j = 0; j < sizeof fractions / sizeof fractions[0]; j++) {
            for (uint32_t dropped_every = 0; dropped_every <= 10; dropped_every += 10) {
                if (fractions[j] > 0.89 && dropped_every > 0) {
                    continue; /* rules leave exactly as many as are wanted */
                }
                run(fractions[j], streams[i].score, dropped_every, kept);
                double worst = worst_window(kept, fractions[j]);
                if (worst > 0.01) {
                    fail_msg("%s, %.2f, a rule drops every %u: off by %.4f", streams[i].name,
                             fractions[j], dropped_every, worst);
                }
            }
        }
    }
}

static void test_budget_keeps_the_samples_of_high_score(void **state)
{
    (void)state;
    static uint8_t kept[N];
    run(0.5, steady, 0, kept);
    uint64_t scores = 1;
    uint32_t wrong = 0;
    for (uint32_t i = 0; i < N; i++) {
        double score = next_chance(&scores);
        wrong += i >= 1024 && fabs(score - 0.5) > 0.1 && kept[i] != (score > 0.5);
    }
    assert_in_range(wrong, 0, N / 1000);
}

/* Of three values the middle one is split, evenly; the others are kept and dropped whole. */
static void test_budget_splits_equal_scores_at_the_threshold_alone(void **state)
{
    (void)state;
    static uint8_t kept[N];
    run(0.5, few_values, 0, kept);
    uint64_t scores = 1;
    uint32_t n[3] = {0}, n_kept[3] = {0};
    for (uint32_t i = 0; i < N; i++) {
        uint32_t value = (uint32_t)few_values(i, next_chance(&scores));
        n[value] += i >= 4096;
        n_kept[value] += i >= 4096 && kept[i];
    }
    assert_in_range(n_kept[0], 0, n[0] / 100);
    assert_in_range(n_kept[1], n[1] * 2 / 5, n[1] * 3 / 5);
    assert_in_range(n_kept[2], n[2] - n[2] / 100, n[2]);
}

/* Rules that leave less than the share are no debt for later. */
static void test_budget_does_not_pay_back_what_rules_have_dropped(void **state)
{
    (void)state;
    static sl_budget budget;
    sl_budget_init(&budget, 0.5);
    for (uint32_t i = 0; i < 10240; i++) {
        bool kept = i % 4 == 0 && sl_budget_judge(&budget, 1, 0.9);
        sl_budget_apply(&budget, i % 4 == 0, kept, 1);
        assert_true(i < 1024 || i % 4 != 0 || kept); /* all that is left is kept */
        if ((i + 1) % 256 == 0) {
            sl_budget_freeze(&budget);
        }
    }
    uint64_t chances = 5;
    uint32_t n = 0;
    for (uint32_t i = 0; i < 2560; i++) {
        double chance = next_chance(&chances);
        bool kept = sl_budget_judge(&budget, chance, chance);
        n += kept;
        sl_budget_apply(&budget, true, kept, chance);
        if ((i + 1) % 256 == 0) {
            sl_budget_freeze(&budget);
        }
    }
    assert_in_range(n, 1280 - 2 * SL_BUDGET_SLACK - 2, 1280 + 2 * SL_BUDGET_SLACK + 2);
}

static void test_budget_saved_and_loaded_goes_on_the_same(void **state)
{
    (void)state;
    static sl_budget one, two;
    sluice_bytes saved = {0};
    uint64_t scores = 1;
    sl_budget_init(&one, 0.3);
    for (uint32_t i = 0; i < 5000; i++) {
        double score = next_chance(&scores);
        if (i == 3333) { /* in the middle of a block */
            assert_int_equal(sl_budget_save(&one, &saved), SLUICE_OK);
            sl_reader reader = sl_reader_of((sluice_span){saved.data, saved.size});
            assert_int_equal(sl_budget_load(&two, &reader), SLUICE_OK);
            assert_true(reader.at == reader.end);
        }
        bool kept = sl_budget_judge(&one, score, score);
        sl_budget_apply(&one, true, kept, score);
        if (i >= 3333) {
            assert_int_equal(sl_budget_judge(&two, score, score), kept);
            sl_budget_apply(&two, true, kept, score);
        }
        if ((i + 1) % 256 == 0) {
            sl_budget_freeze(&one);
            if (i >= 3333) {
                sl_budget_freeze(&two);
            }
        }
    }
    for (size_t size = 0; size < saved.size; size++) {
        sl_reader reader = sl_reader_of((sluice_span){saved.data, size});
        assert_int_equal(sl_budget_load(&two, &reader), SLUICE_E_CORRUPT);
    }
    sl_bytes_fini(&saved);
}

static void test_budget_without_a_share_keeps_everything(void **state)
{
    (void)state;
    static sl_budget budget;
    sl_budget_init(&budget, 0);
    for (uint32_t i = 0; i < 1000; i++) {
        assert_true(sl_budget_judge(&budget, -1, 0.999));
        sl_budget_apply(&budget, true, true, -1);
        sl_budget_freeze(&budget);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_budget_holds_the_share_over_every_window),
        cmocka_unit_test(test_budget_keeps_the_samples_of_high_score),
        cmocka_unit_test(test_budget_splits_equal_scores_at_the_threshold_alone),
        cmocka_unit_test(test_budget_does_not_pay_back_what_rules_have_dropped),
        cmocka_unit_test(test_budget_saved_and_loaded_goes_on_the_same),
        cmocka_unit_test(test_budget_without_a_share_keeps_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
