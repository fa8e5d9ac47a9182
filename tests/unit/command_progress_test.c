/* command_progress_test.c - what people are told: numbers, the bar, the sums of a pass. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "command/progress.h"
#include "command/settings.h"
#include "command/summary.h"

static char text[256];

static void test_progress_numbers_read_as_people_write_them(void **state)
{
    (void)state;
    assert_string_equal(sl_progress_bytes(0, text, sizeof text), "0 B");
    assert_string_equal(sl_progress_bytes(999, text, sizeof text), "999 B");
    assert_string_equal(sl_progress_bytes(12345678, text, sizeof text), "12.3 MB");
    assert_string_equal(sl_progress_bytes(999960, text, sizeof text), "1.0 MB");
    assert_string_equal(sl_progress_duration(0.04, text, sizeof text), "0.0 s");
    assert_string_equal(sl_progress_duration(59.4, text, sizeof text), "59 s");
    assert_string_equal(sl_progress_duration(200, text, sizeof text), "3 min 20 s");
    assert_string_equal(sl_progress_duration(7320, text, sizeof text), "2 h 2 min");
    assert_string_equal(sl_progress_count(0, text, sizeof text), "0");
    assert_string_equal(sl_progress_count(1234567, text, sizeof text), "1,234,567");
    assert_string_equal(sl_progress_count(UINT64_MAX, text, sizeof text),
                        "18,446,744,073,709,551,615");
}

static void test_progress_line_shows_share_rate_and_time_left(void **state)
{
    (void)state;
    sl_progress bar = {.terminal = true};
    sl_progress line = {.terminal = false};
    sl_progress_line(&bar, 10, 50000000, 100000000, 1000, 250, text, sizeof text);
    assert_string_equal(
        text, "[##########----------]  50%  1,000 samples  25% dropped  5.0 MB/s  10 s left");
    sl_progress_line(&line, 10, 50000000, 100000000, 1000, 250, text, sizeof text);
    assert_string_equal(text, "50%  1,000 samples  25% dropped  5.0 MB/s  10 s left");
    sl_progress_line(&bar, 10, 50000000, 0, 1000, 250, text, sizeof text); /* a pipe */
    assert_string_equal(text, "1,000 samples  25% dropped  5.0 MB/s");
    sl_progress_line(&bar, 0, 200, 100, 0, 0, text, sizeof text);
    assert_string_equal(text, "[####################] 100%  0 samples  0% dropped  0 B/s");
}

static void test_summary_add_counts_every_sample_once(void **state)
{
    (void)state;
    sl_summary summary = {0};
    sluice_sample kept = {.verdict.decision = SLUICE_KEEP};
    sluice_sample flagged = {.verdict.decision = SLUICE_FLAG};
    sluice_sample dropped = {.verdict.decision = SLUICE_DROP, .match.method = SLUICE_METHOD_TEXT};
    sluice_sample refused = {.verdict.decision = SLUICE_REFUSE};
    sluice_sample again = {.verdict.decision = SLUICE_KEEP, .match.redelivered = true};
    sl_summary_add(&summary, &kept);
    sl_summary_add(&summary, &flagged);
    sl_summary_add(&summary, &dropped);
    sl_summary_add(&summary, &refused);
    sl_summary_add(&summary, &again);
    assert_int_equal(summary.received, 5);
    assert_int_equal(summary.kept, 1);
    assert_int_equal(summary.flagged, 1);
    assert_int_equal(summary.dropped, 1);
    assert_int_equal(summary.refused, 1);
    assert_int_equal(summary.redelivered, 1);
    assert_int_equal(summary.duplicates[SLUICE_METHOD_TEXT], 1);
    assert_int_equal(summary.duplicates[SLUICE_METHOD_NONE], 0);
}

static void test_settings_load_collects_faults_of_file_and_assignments(void **state)
{
    (void)state;
    sl_settings_faults *faults = calloc(1, sizeof *faults);
    assert_non_null(faults);
    sluice_config config;
    sl_settings settings = {.file = "/nonexistent.yaml"};
    assert_true(sl_settings_assign(&settings, "seed=7"));
    assert_true(sl_settings_assign(&settings, "sede=7"));
    assert_true(sl_settings_assign(&settings, "workers=0"));
    assert_int_equal(sl_settings_load(&settings, &config, faults), SLUICE_E_CONFIG);
    assert_int_equal(faults->n, 3);
    assert_string_equal(faults->fault[0].file, "/nonexistent.yaml");
    assert_non_null(strstr(faults->fault[0].error.text, "No such file"));
    assert_string_equal(faults->fault[2].assignment, "workers=0");
    assert_int_equal(config.seed, 7); /* what could be read */
    while (settings.n_assignments < SL_SETTINGS_ASSIGNMENTS) {
        assert_true(sl_settings_assign(&settings, "seed=7"));
    }
    assert_false(sl_settings_assign(&settings, "seed=7"));
    free(faults);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_progress_numbers_read_as_people_write_them),
        cmocka_unit_test(test_progress_line_shows_share_rate_and_time_left),
        cmocka_unit_test(test_summary_add_counts_every_sample_once),
        cmocka_unit_test(test_settings_load_collects_faults_of_file_and_assignments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
