/* base_log_test.c - what a log line looks like on standard error, and how often. */
#include "log.h"

#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char captured[8192];
static int saved, ends[2];

static int setup(void **state)
{
    (void)state;
    saved = dup(STDERR_FILENO);
    return pipe(ends) != 0 || dup2(ends[1], STDERR_FILENO) < 0;
}

/* What was written since setup. */
static const char *capture(void)
{
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(ends[1]);
    ssize_t size = read(ends[0], captured, sizeof captured - 1);
    captured[size > 0 ? size : 0] = 0;
    close(ends[0]);
    close(saved);
    return captured;
}

static void assert_matches(const char *text, const char *pattern)
{
    regex_t regex;
    assert_int_equal(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
    if (regexec(&regex, text, 0, NULL, 0) != 0) {
        fail_msg("%s does not match %s", text, pattern);
    }
    regfree(&regex);
}

#define TIME "^20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]\\.[0-9]{3}Z "

static void test_log_line_is_time_level_id_and_values(void **state)
{
    (void)state;
    sl_log(1, "INGEST-GAP", "producer=%s have=%d", "p", 12);
    assert_matches(capture(), TIME "notice INGEST-GAP producer=p have=12\n$");
}

static void test_log_error_without_values_has_no_trailing_space(void **state)
{
    (void)state;
    sl_log(0, "STATE-LOCKED", "%s", "");
    assert_matches(capture(), TIME "error STATE-LOCKED\n$");
}

static void test_log_debug_is_silent_unless_asked_for(void **state)
{
    (void)state;
    sl_log(2, "DECODE-BATCH", "n=%d", 1);
    sl_log(1, "LAST", "n=%d", 2);
    assert_matches(capture(), TIME "notice LAST n=2\n$");
}

static void test_log_newline_in_a_value_starts_no_line(void **state)
{
    (void)state;
    sl_log(1, "INGEST-HELLO", "producer=%s", "a\nerror FORGED\r\x1b[0m\x7f é");
    assert_matches(capture(), "INGEST-HELLO producer=a\\?error FORGED\\?\\?\\[0m\\? é\n$");
}

static void test_log_long_value_is_cut_to_one_line(void **state)
{
    (void)state;
    char value[3000];
    memset(value, 'x', sizeof value - 1);
    value[sizeof value - 1] = 0;
    sl_log(1, "LONG", "value=%s", value);
    const char *text = capture();
    assert_int_equal(strlen(text), 1024);
    assert_int_equal(text[1023], '\n');
}

static void test_log_allowed_counts_and_says_the_rest_next_second(void **state)
{
    (void)state;
    sl_log_limit limit = {0};
    int n_allowed = 0;
    do { /* again if the clock went on meanwhile */
        n_allowed = 0;
        limit = (sl_log_limit){0};
        for (int i = 0; i < 10; i++) {
            n_allowed += sl_log_allowed(&limit, 3);
        }
    } while (limit.seen + limit.suppressed < 10);
    assert_int_equal(n_allowed, 3);
    assert_int_equal(limit.suppressed, 7);
    limit.second -= 1;
    limit.suppressed = 7;
    assert_true(sl_log_allowed(&limit, 3));
    assert_int_equal(limit.suppressed, 0);
    assert_matches(capture(), "notice LOG-SUPPRESSED lines=7 like the next\n$");
}

int main(void)
{
    unsetenv("SLUICE_DEBUG");
#define T(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        T(test_log_line_is_time_level_id_and_values),
        T(test_log_error_without_values_has_no_trailing_space),
        T(test_log_debug_is_silent_unless_asked_for),
        T(test_log_newline_in_a_value_starts_no_line),
        T(test_log_long_value_is_cut_to_one_line),
        T(test_log_allowed_counts_and_says_the_rest_next_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
