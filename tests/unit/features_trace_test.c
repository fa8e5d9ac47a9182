/* features_trace_test.c - numbers, a slot, or more: in what two texts differ. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "features/trace.h"

#define SEED 7

typedef struct trace_fixture {
    sl_unicode *unicode;
    sl_word_list *numbers;
    sl_normal normal;
    sl_units units;
} trace_fixture;

static int open_fixture(void **state)
{
    static trace_fixture fixture;
    *state = &fixture;
    bool good = sl_unicode_open(&fixture.unicode) == SLUICE_OK &&
                sl_trace_open(fixture.unicode, SEED, &fixture.numbers) == SLUICE_OK;
    return good ? 0 : -1;
}

static int close_fixture(void **state)
{
    trace_fixture *fixture = *state;
    sl_word_list_close(&fixture->numbers);
    sl_unicode_close(&fixture->unicode);
    sl_normal_fini(&fixture->normal);
    sl_units_fini(&fixture->units);
    return 0;
}

/* The same by every kernel. */
static void make(trace_fixture *fixture, const char *text, char unit, uint8_t *out)
{
    sluice_span span = {(const uint8_t *)text, strlen(text)};
    for (sl_kernel kernel = SL_KERNEL_REF; kernel <= sl_kernel_best(); kernel++) {
        uint8_t made[SLUICE_TRACE_BYTES];
        assert_int_equal(sl_normalize(fixture->unicode, span, false, kernel, &fixture->normal),
                         SLUICE_OK);
        assert_int_equal(
            sl_units_make(fixture->unicode, &fixture->normal, unit, SEED, kernel, &fixture->units),
            SLUICE_OK);
        sl_trace_make(fixture->numbers, &fixture->units, kernel, made);
        if (kernel != SL_KERNEL_REF) {
            assert_memory_equal(out, made, sizeof made);
        }
        memcpy(out, made, sizeof made);
    }
}

static sluice_differs differs(trace_fixture *fixture, const char *a, const char *b)
{
    uint8_t trace_a[SLUICE_TRACE_BYTES], trace_b[SLUICE_TRACE_BYTES];
    make(fixture, a, 'w', trace_a);
    make(fixture, b, 'w', trace_b);
    sluice_differs found = sl_trace_compare(trace_a, trace_b);
    assert_int_equal(sl_trace_compare(trace_b, trace_a), found);
    return found;
}

static void test_trace_numbers_and_ordinals(void **state)
{
    trace_fixture *fixture = *state;
    static const char *const pairs[][2] = {
        {"La tabla tras la octava fecha de la liga", "La tabla tras la d\xc3\xa9"
                                                     "cima fecha de la liga"},
        {"Results of day 13 of the season", "Results of day 14 of the season"},
        {"The bank bought 1,250 shares", "The bank bought 99 shares"},
        {"The Fed enters two billion repurchase", "The Fed enters 1.5 billion repurchase"},
        {"GNU C library 32bit", "GNU C library 64bit"},
        {"iPhone case", "iPhone 14 case"},
        {"La tabla en la decimos\xc3\xa9ptima fecha", "La tabla en la fecha 18"},
        {"\xe7\xac\xac\xe4\xb8\x89\xe7\xab\xa0", "\xe7\xac\xac\xe4\xba\x94\xe7\xab\xa0"}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        assert_int_equal(differs(fixture, pairs[i][0], pairs[i][1]), SLUICE_DIFFERS_NUMBERS);
    }
}

static void test_trace_slot_of_one_run(void **state)
{
    trace_fixture *fixture = *state;
    static const char *const pairs[][2] = {
        {"GNU C compiler for the armhf architecture",
         "GNU C compiler for the ppc64el architecture"},
        {"galician language package for the office suite", "afrikaans language package for the "
                                                           "office suite"},
        {"debug symbols for the library", "debug symbols for the library of python"},
        {"modules of perl for parsing text", "modules of common lisp for parsing text"}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        assert_int_equal(differs(fixture, pairs[i][0], pairs[i][1]), SLUICE_DIFFERS_SLOT);
    }
}

static void test_trace_none_for_nothing_and_for_more(void **state)
{
    trace_fixture *fixture = *state;
    static const char *const pairs[][2] = {{"the same words", "The same, words!"},
                                           {"day 12 of the season", "day 12, of the season"},
                                           {"", "day 13"},
                                           {"red house by the long river of the north today",
                                            "blue house by the long river of the "
                                            "south today"},
                                           {"one thing", "quite another"}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        assert_int_equal(differs(fixture, pairs[i][0], pairs[i][1]), SLUICE_DIFFERS_NONE);
    }
}

/* A text of n words with another word at some places. */
static void make_text(char *text, size_t n, size_t other_at, size_t other_too)
{
    char *at = text;
    for (size_t i = 0; i < n; i++) {
        at += sprintf(at, "%s%c%c%zu ", i == other_at || i == other_too ? "x" : "w",
                      (char)('a' + i % 26), (char)('a' + i / 26), i);
    }
}

static void test_trace_of_every_length_and_slot(void **state)
{
    trace_fixture *fixture = *state;
    static char a[8 * 300], b[8 * 300];
    uint32_t n_wrong = 0, n_all = 0;
    for (size_t n = 3; n <= SL_TRACE_UNITS_MAX; n += 1 + n / 9) {
        make_text(a, n, SIZE_MAX, SIZE_MAX);
        for (size_t at = 0; at < n; at += 1 + n / 7) {
            make_text(b, n, at, SIZE_MAX);
            assert_int_equal(differs(fixture, a, b), SLUICE_DIFFERS_SLOT);
        }
        for (size_t at = 0; at < n / 3 && n >= 12; at++) { /* two places far apart */
            make_text(b, n, at, n - 1 - n / 8);
            n_wrong += differs(fixture, a, b) == SLUICE_DIFFERS_SLOT;
            n_all++;
        }
    }
    assert_true(n_wrong * 100 <= n_all * 20); /* 1 in 15 is not seen, and either of them will do */
    make_text(a, 144, SIZE_MAX, SIZE_MAX);    /* parts of 12 units: the differences touch four */
    make_text(b, 144, 20, 50);
    assert_int_equal(differs(fixture, a, b), SLUICE_DIFFERS_NONE);
    make_text(a, SL_TRACE_UNITS_MAX + 1, SIZE_MAX, SIZE_MAX); /* no trace: nothing is said */
    make_text(b, SL_TRACE_UNITS_MAX + 1, 5, SIZE_MAX);
    assert_int_equal(differs(fixture, a, b), SLUICE_DIFFERS_NONE);
}

static void test_trace_finds_a_number_at_every_place(void **state)
{
    trace_fixture *fixture = *state;
    /* 21 units a block of 64 bytes, but for the first, which is long. */
    static char a[3 * SL_TRACE_UNITS_MAX + 32], b[sizeof a];
    static const char first[] = "thefirstwordislong ";
    for (size_t at = 1; at < SL_TRACE_UNITS_MAX; at++) {
        char *in_a = stpcpy(a, first), *in_b = stpcpy(b, first);
        for (size_t i = 1; i < SL_TRACE_UNITS_MAX; i++) {
            in_a = stpcpy(in_a, i == at ? "7x " : "ab ");
            in_b = stpcpy(in_b, i == at ? "8x " : "ab ");
        }
        assert_int_equal(differs(fixture, a, b), SLUICE_DIFFERS_NUMBERS);
    }
}

static void test_trace_of_other_units(void **state)
{
    trace_fixture *fixture = *state;
    uint8_t a[SLUICE_TRACE_BYTES], b[SLUICE_TRACE_BYTES];
    make(fixture, "f ( 1 ) ;", 't', a);
    make(fixture, "f ( 22 ) ;", 't', b);
    assert_int_equal(sl_trace_compare(a, b), SLUICE_DIFFERS_NUMBERS);
    make(fixture, "model 1 a", 'c', a);
    make(fixture, "model 23 a", 'c', b);
    assert_int_equal(sl_trace_compare(a, b), SLUICE_DIFFERS_NUMBERS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trace_numbers_and_ordinals),
        cmocka_unit_test(test_trace_slot_of_one_run),
        cmocka_unit_test(test_trace_none_for_nothing_and_for_more),
        cmocka_unit_test(test_trace_of_every_length_and_slot),
        cmocka_unit_test(test_trace_finds_a_number_at_every_place),
        cmocka_unit_test(test_trace_of_other_units),
    };
    return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}
