/* base_status_test.c - names and classes of status codes, failure sentences, assertions. */
#include "status.h"
#include "sluice/version.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void test_status_every_code_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int i = 0; i < SLUICE_N_STATUS; i++) {
        assert_non_null(sluice_status_name((sluice_status)i));
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(sluice_status_name((sluice_status)i),
                                    sluice_status_name((sluice_status)j));
        }
    }
    assert_string_equal(sluice_status_name(SLUICE_OK), "OK");
    assert_string_equal(sluice_status_name(SLUICE_E_BADSAMPLE), "BADSAMPLE");
    assert_string_equal(sluice_status_name(SLUICE_E_IO), "IO");
}

static void test_status_unknown_code_is_fatal_and_named_so(void **state)
{
    (void)state;
    assert_string_equal(sluice_status_name(SLUICE_N_STATUS), "UNKNOWN");
    assert_string_equal(sluice_status_name((sluice_status)-1), "UNKNOWN");
    assert_int_equal(sluice_status_class((sluice_status)-1), SLUICE_KIND_FATAL);
}

static void test_status_classes_are_those_of_the_header(void **state)
{
    (void)state;
    assert_int_equal(sluice_status_class(SLUICE_OK), SLUICE_KIND_OK);
    for (int i = SLUICE_E_BADSAMPLE; i <= SLUICE_E_NONFINITE; i++) {
        assert_int_equal(sluice_status_class((sluice_status)i), SLUICE_KIND_DATA);
    }
    for (int i = SLUICE_E_AGAIN; i <= SLUICE_E_CLOSED; i++) {
        assert_int_equal(sluice_status_class((sluice_status)i), SLUICE_KIND_RETRY);
    }
    for (int i = SLUICE_E_NOMEM; i < SLUICE_N_STATUS; i++) {
        assert_int_equal(sluice_status_class((sluice_status)i), SLUICE_KIND_FATAL);
    }
}

static void test_fail_writes_the_sentence_and_returns_the_status(void **state)
{
    (void)state;
    sluice_message why;
    assert_int_equal(sluice_fail(&why, SLUICE_E_IO, "cannot open %s: %d", "x", 2), SLUICE_E_IO);
    assert_string_equal(why.text, "cannot open x: 2");
    assert_int_equal(sluice_fail(NULL, SLUICE_E_CONFIG, "%s", "nobody asks"), SLUICE_E_CONFIG);
}

static void test_fail_long_sentence_is_cut_at_511_bytes(void **state)
{
    (void)state;
    sluice_message why;
    char text[1000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    assert_int_equal(sluice_fail(&why, SLUICE_E_IO, "%s", text), SLUICE_E_IO);
    assert_int_equal(strlen(why.text), 511);
}

static sluice_status try_it(sluice_status status, int *reached)
{
    SLUICE_TRY(status);
    *reached = 1;
    return SLUICE_OK;
}

static void test_try_forwards_errors_only(void **state)
{
    (void)state;
    int reached = 0;
    assert_int_equal(try_it(SLUICE_E_AGAIN, &reached), SLUICE_E_AGAIN);
    assert_int_equal(reached, 0);
    assert_int_equal(try_it(SLUICE_OK, &reached), SLUICE_OK);
    assert_int_equal(reached, 1);
}

static void test_assert_that_fails_says_where_and_aborts(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        SLUICE_ASSERT(1 + 1 == 3);
        _exit(0);
    }
    char text[512] = "";
    close(ends[1]);
    assert_true(read(ends[0], text, sizeof text - 1) > 0);
    close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(text, "base_status_test.c:"));
    assert_non_null(strstr(text, "1 + 1 == 3"));
}

static void test_version_is_the_numbers_of_the_header(void **state)
{
    (void)state;
    char text[32];
    snprintf(text, sizeof text, "%d.%d.%d", SLUICE_VERSION_MAJOR, SLUICE_VERSION_MINOR,
             SLUICE_VERSION_PATCH);
    assert_string_equal(sluice_version(), text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status_every_code_has_a_name_of_its_own),
        cmocka_unit_test(test_status_unknown_code_is_fatal_and_named_so),
        cmocka_unit_test(test_status_classes_are_those_of_the_header),
        cmocka_unit_test(test_fail_writes_the_sentence_and_returns_the_status),
        cmocka_unit_test(test_fail_long_sentence_is_cut_at_511_bytes),
        cmocka_unit_test(test_try_forwards_errors_only),
        cmocka_unit_test(test_assert_that_fails_says_where_and_aborts),
        cmocka_unit_test(test_version_is_the_numbers_of_the_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
