/* decide_expression_test.c - what expressions give, and what never gets into the box or out of it.
 */
#include "bytes.h"
#include "decide/expression.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct fixture {
    sluice_config config;
    sl_names names;
    sl_box *box;
    sluice_sample sample;
    sluice_span attribute[SL_NAMES_ATTRIBUTES];
} fixture;

static int open_fixture(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    sluice_config_default(&f->config);
    f->config.influence.n_references = 2;
    strcpy(f->config.influence.reference[0].name, "catalogue");
    strcpy(f->config.influence.reference[1].name, "my-shop");
    sl_names_init(&f->names, &f->config);
    f->sample = (sluice_sample){.source = sl_span_of("Web"),
                                .media_type = sl_span_of("text/plain"),
                                .payload = sl_span_of("0123456789"),
                                .cost = 0.5,
                                .event_time_us = 1000000,
                                .arrived_us = 4500000};
    f->sample.match = (sluice_match){.method = SLUICE_METHOD_TEXT,
                                     .similarity = 0.75F,
                                     .of_id = sl_span_of("a0"),
                                     .differs = SLUICE_DIFFERS_NUMBERS,
                                     .contained = 0.5f,
                                     .of_source = sl_span_of("Shop")};
    sluice_scores *scores = &f->sample.scores;
    *scores = (sluice_scores){.state = SLUICE_STALE,
                              .n_toward = 2,
                              .loss = 1,
                              .self = 2,
                              .leverage = 3,
                              .source_shift = -4,
                              .reliability = NAN,
                              .toward = {5, -6},
                              .toward_name = {"my-shop", "catalogue"}};
    scores->percentile.loss = 0.125F;
    scores->percentile.self = 0.25F;
    scores->percentile.leverage = 0.99F;
    scores->percentile.toward[0] = 0.5F;
    scores->percentile.toward[1] = 0.75F;
    *state = f;
    return sl_box_open(&f->box) == SLUICE_OK ? 0 : -1;
}

static int close_fixture(void **state)
{
    fixture *f = *state;
    sl_box_close(&f->box);
    free(f);
    return 0;
}

/* A box of its own, so that a test may have any number of expressions. */
static sl_outcome outcome_of(fixture *f, const char *text, sl_value_type wanted, double *value,
                             sluice_message *fault)
{
    uint32_t number;
    sl_expression_fault wrong;
    sl_box_close(&f->box);
    assert_int_equal(sl_box_open(&f->box), SLUICE_OK);
    if (sl_expression_compile(f->box, text, &f->names, wanted, &number, &wrong) != SLUICE_OK) {
        fail_msg("%s: at %zu: %s", text, wrong.at, wrong.text.text);
    }
    for (uint32_t i = 0; i < f->names.n_attributes; i++) {
        if (strcmp(f->names.attribute[i], "region") == 0) {
            f->attribute[i] = sl_span_of("north");
        }
    }
    sl_facts facts = {&f->sample, f->attribute, false};
    return sl_expression_run(f->box, number, &facts, value, fault);
}

static void assert_says(fixture *f, const char *text, bool says)
{
    sluice_message fault = {""};
    double value;
    sl_outcome outcome = outcome_of(f, text, SL_VALUE_BOOLEAN, &value, &fault);
    if (outcome != (says ? SL_OUTCOME_TRUE : SL_OUTCOME_FALSE)) {
        fail_msg("%s gives %d %s", text, outcome, fault.text);
    }
}

static void assert_number(fixture *f, const char *text, double number)
{
    sluice_message fault = {""};
    double value = -1;
    if (outcome_of(f, text, SL_VALUE_NUMBER, &value, &fault) != SL_OUTCOME_NUMBER) {
        fail_msg("%s gives no number: %s", text, fault.text);
    }
    assert_float_equal(value, number, 1e-9);
}

static void assert_refused(fixture *f, const char *text, size_t at, const char *says)
{
    uint32_t number;
    sl_expression_fault wrong;
    assert_int_equal(
        sl_expression_compile(f->box, text, &f->names, SL_VALUE_BOOLEAN, &number, &wrong),
        SLUICE_E_CONFIG);
    if (strstr(wrong.text.text, says) == NULL || wrong.at != at) {
        fail_msg("%s: \"%s\" at %zu; expected \"%s\" at %zu", text, wrong.text.text, wrong.at, says,
                 at);
    }
}

static void test_expression_names_have_the_values_of_the_sample(void **state)
{
    fixture *f = *state;
    assert_says(f, "duplicate", true);
    assert_says(f, "duplicate.method == 'text' and duplicate.of == 'a0'", true);
    assert_says(f, "duplicate.source == \"Shop\"", true);
    assert_says(f, "duplicate.differs == \"numbers\" and duplicate.contained == 0.5", true);
    assert_number(f, "duplicate.similarity", 0.75);
    assert_number(f, "influence.loss + 10 * influence.self + 100 * influence.leverage", 321);
    assert_number(f, "influence.source_shift", -4);
    assert_says(f, "influence.state == 'stale'", true);
    assert_number(f, "influence.toward.catalogue", -6); /* by name, whatever the order */
    assert_number(f, "influence.toward['my-shop']", 5);
    assert_number(f, "percentile.toward.catalogue + percentile.toward[\"my-shop\"]", 1.25);
    assert_number(f, "percentile.loss + percentile.self", 0.375);
    assert_says(f, "percentile.leverage >= 0.99", true);
    assert_says(f, "sample.source == 'Web' and sample.media_type == 'text/plain'", true);
    assert_number(f, "sample.bytes * 100 + sample.cost", 1000.5);
    assert_number(f, "sample.age_s", 3.5);
    assert_says(f, "attributes.region == 'north' and attributes['region'] == 'north'", true);
    assert_says(f, " ( not duplicate\n or\tsample.bytes>9 ) ", true);
}

static void test_expression_missing_numbers_compare_false_and_missing_texts_are_nil(void **state)
{
    fixture *f = *state;
    f->sample.match = (sluice_match){.method = SLUICE_METHOD_NONE};
    f->sample.scores = (sluice_scores){.state = SLUICE_INFLUENCE_NONE};
    f->sample.event_time_us = 0;
    static const char *const numbers[] = {"duplicate.similarity",
                                          "influence.loss",
                                          "influence.self",
                                          "influence.leverage",
                                          "influence.source_shift",
                                          "influence.reliability",
                                          "influence.toward.catalogue",
                                          "percentile.loss",
                                          "percentile.self",
                                          "percentile.leverage",
                                          "percentile.toward.catalogue",
                                          "sample.age_s"};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        char text[256];
        snprintf(text, sizeof text, "%s >= 0 or %s < 0 or %s == %s", numbers[i], numbers[i],
                 numbers[i], numbers[i]);
        assert_says(f, text, false);
    }
    assert_says(f, "duplicate", false);
    assert_says(f, "duplicate.method == nil and influence.state == nil", true);
    assert_says(f, "attributes.nowhere == nil", true);
    assert_says(f, "contains(attributes.nowhere, '') or starts(attributes.nowhere, '')", false);
    assert_says(f, "len(attributes.nowhere) == 0 and lower(attributes.nowhere) == ''", true);
    sluice_message fault = {""};
    double value;
    assert_int_equal(outcome_of(f, "attributes.nowhere < 'a'", SL_VALUE_BOOLEAN, &value, &fault),
                     SL_OUTCOME_FAULT);
    assert_non_null(strstr(fault.text, "attempt to compare nil with string"));
}

static void test_expression_of_a_record_alone_knows_no_sample(void **state)
{
    fixture *f = *state;
    uint32_t number;
    sl_expression_fault wrong;
    double value;
    assert_int_equal(
        sl_expression_compile(f->box,
                              "sample.bytes >= 0 or sample.cost >= 0 or sample.age_s >= 0 "
                              "or sample.media_type ~= nil",
                              &f->names, SL_VALUE_BOOLEAN, &number, &wrong),
        SLUICE_OK);
    sl_facts facts = {&f->sample, f->attribute, true};
    assert_int_equal(sl_expression_run(f->box, number, &facts, &value, NULL), SL_OUTCOME_FALSE);
    facts.record_only = false;
    assert_int_equal(sl_expression_run(f->box, number, &facts, &value, NULL), SL_OUTCOME_TRUE);
}

static void test_expression_functions_do_what_they_say(void **state)
{
    fixture *f = *state;
    assert_says(f, "contains('a.b', '.') and not contains('ab', '.')", true); /* no patterns */
    assert_says(f, "starts('shop.example', 'shop.') and not starts('a', 'ab')", true);
    assert_says(f, "ends('shop.example', '.example') and ends('a', '') and not ends('a', 'ba')",
                true);
    assert_says(f, "lower('\\xc3\\x84Bc') == '\\xc3\\x84bc'", true); /* ASCII letters only */
    assert_number(f, "len('abc') + #'de'", 5);
    assert_number(f, "math.max(1, math.floor(2.5), math.abs(-2)) + math.pi * 0", 2);
    assert_says(f, "math.huge > 1e308 and 7 // 2 == 3 and 7 % 4 == 3 and 2 ^ 3 == 8", true);
    assert_says(f, "'a' .. 'b' == 'ab' and 0x10 == 16 and 1e2 == 100 and .5 < 1", true);
    assert_says(f, "1 ~= 2 and not (1 == 2) and -1 < 0", true);
}

static void test_expression_what_is_unknown_is_refused_with_its_place(void **state)
{
    fixture *f = *state;
    assert_refused(f, "duplicat", 0, "did you mean duplicate?");
    assert_refused(f, "1 < percentile.leverag", 4, "did you mean percentile.leverage?");
    assert_refused(f, "percentile > 1", 0, "only members such as percentile.loss");
    assert_refused(f, "influence.toward > 1", 0, "expected influence.toward.NAME");
    assert_refused(f, "influence.toward.katalogue > 1", 0, "did you mean catalogue?");
    assert_refused(f, "attributes == nil", 0, "expected attributes.NAME");
    assert_refused(f, "duplicate.of.it == nil", 0, "unknown name");
    assert_refused(f, "a.b.c.d.e == nil", 0, "no name has so many parts");
    assert_refused(f, "influence.ratio > 1", 0, "unknown name");
    assert_refused(f, "conains('a', 'b')", 0, "did you mean contains?");
    assert_refused(f, "contains == nil", 0, "must be called");
    assert_refused(f, "contains()", 9, "expected a name");
    assert_refused(f, "contains('a')()", 13, "expected an operator");
    assert_refused(f, "contains(1 == 1, 'b')", 0, "bad argument #1");
    assert_refused(f, "duplicate('a')", 0, "unknown function");
    assert_refused(f, "", 0, "something is missing");
    assert_refused(f, "duplicate and", 13, "something is missing");
    assert_refused(f, "(duplicate", 10, ") is missing");
    assert_refused(f, "duplicate)", 9, ") closes nothing");
    assert_refused(f, "true) end end (function", 4, ") closes nothing");
    assert_refused(f, "true or 'a", 8, "a quote is not closed");
    assert_refused(f, "duplicate, duplicate", 9, "expected an operator");
    assert_refused(f, "sample.bytes > 1 ? true : false", 17, "and b or c");
    assert_refused(f, "duplicate = true", 10, "= is written \"==\"");
    assert_refused(f, "duplicate != true", 10, "written \"~=\"");
    assert_refused(f, "3..2 == 1", 0, "malformed number");
    assert_refused(f, "sample.bytes", 0, "it gives a number");
    assert_refused(f, "sample.source", 0, "it gives a text");
    assert_refused(f, "duplicate and duplicate.similarity", 0, "it gives a number");
    assert_refused(f, "sample.source > 3", 0, "attempt to compare number with string");
    assert_refused(f, "attributes.n + 1 > 3", 0, "attempt to perform arithmetic");
    assert_refused(f, "attributes['a\\n'] == nil", 10, "expected a quoted name");
}

/* Whatever runs, defines, reaches out or grows; each within 10 ms. */
static void test_expression_hostile_ones_are_refused_at_once(void **state)
{
    fixture *f = *state;
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"(function() while true do end end)()", "function is not allowed"},
        {"function() end", "function is not allowed"},
        {"(function() ::a:: goto a end)()", "function is not allowed"},
        {"while true do end", "while is not allowed"},
        {"for i = 1, 1e18 do end", "for is not allowed"},
        {"goto x", "goto is not allowed"},
        {"true; os.exit(1)", "; is not allowed"},
        {"true return false", "return is not allowed"},
        {"os.exit(1)", "os.exit: unknown function"},
        {"os == nil", "os: unknown name"},
        {"io.open('/etc/passwd')", "io.open: unknown function"},
        {"debug.getregistry()", "unknown function"},
        {"load('return 1')()", "load: unknown function"},
        {"require('os')", "require: unknown function"},
        {"dofile('/x')", "unknown function"},
        {"_G.os", "unknown name"},
        {"_ENV == nil", "unknown name"},
        {"coroutine.wrap(1)", "unknown function"},
        {"setmetatable({}, {})", "unknown function"},
        {"getmetatable('').__index", "unknown function"},
        {"string.rep('a', 1e9) == ''", "string.rep: unknown function"},
        {"('x'):rep(1e9) == ''", ": is not allowed"},
        {"'x'.rep == nil", "expected an operator"},
        {"string.find('a', '((((((((((a*)*)*)*)*)*)*)*)*)*b') == nil", "unknown function"},
        {"math.random() > 0.5", "math.random: unknown function"},
        {"math.randomseed(1) == nil", "unknown function"},
        {"{1, 2} == nil", "expected a name"},
        {"#{} == 0", "expected a name"},
        {"\x1bLuaT\x00", "expected a name"},
        {"true --[[ ]]", "comments are not allowed"},
        {"[[a]] == nil", "expected a name"},
        {"... == nil", "expected a name"},
        {"1 | 2 == 3", "expected an operator"},
        {"~1 == 1", "expected a name"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint32_t number;
        sl_expression_fault wrong;
        clock_t start = clock();
        assert_int_equal(sl_expression_compile(f->box, bad[i].text, &f->names, SL_VALUE_BOOLEAN,
                                               &number, &wrong),
                         SLUICE_E_CONFIG);
        assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 0.01);
        if (strstr(wrong.text.text, bad[i].says) == NULL) {
            fail_msg("%s: \"%s\"; expected \"%s\"", bad[i].text, wrong.text.text, bad[i].says);
        }
    }
}

static void repeat(char *out, size_t size, const char *first, const char *part, const char *last)
{
    snprintf(out, size, "%s", first);
    while (strlen(out) + strlen(part) + strlen(last) < SLUICE_LIMIT_EXPRESSION_BYTES) {
        strcat(out, part);
    }
    strcat(out, last);
}

/* The longest, deepest and largest ones end soon, whatever they give. */
static void test_expression_extremes_end_soon(void **state)
{
    fixture *f = *state;
    char text[8][SLUICE_LIMIT_EXPRESSION_BYTES];
    char *megabyte = malloc(1 << 20);
    repeat(text[0], sizeof text[0], "attributes.a", "..attributes.a", "==''");
    repeat(text[1], sizeof text[1], "", "not ", "duplicate");
    repeat(text[2], sizeof text[2], "", "-", "1 < 2");
    repeat(text[3], sizeof text[3], "2", "^2", " > 1");
    repeat(text[4], sizeof text[4], "", "(", "1");
    repeat(text[5], sizeof text[5], "lower(attributes.a)", "..lower(attributes.a)", "==''");
    repeat(text[6], sizeof text[6], "contains(attributes.a,attributes.a)",
           " or not contains(attributes.a..'x',attributes.a)", "");
    repeat(text[7], sizeof text[7], "1 == 1", " and math.exp(1e308) > 1", "");
    assert_non_null(megabyte);
    memset(megabyte, 'a', 1 << 20);
    for (uint32_t i = 0; i < 8; i++) {
        uint32_t number;
        sl_expression_fault wrong;
        double value;
        clock_t start = clock();
        if (sl_expression_compile(f->box, text[i], &f->names, SL_VALUE_BOOLEAN, &number, &wrong) ==
            SLUICE_OK) {
            f->attribute[0] = (sluice_span){(const uint8_t *)megabyte, 1 << 20};
            sl_facts facts = {&f->sample, f->attribute, false};
            (void)sl_expression_run(f->box, number, &facts, &value, NULL);
        } else {
            assert_true(wrong.text.text[0] != '\0');
        }
        assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 0.01);
    }
    /* Longer texts are cut, so that no expression grows them without end. */
    f->attribute[0] = (sluice_span){(const uint8_t *)megabyte, 1 << 20};
    double value;
    sluice_message fault;
    assert_int_equal(outcome_of(f, "len(attributes.a)", SL_VALUE_NUMBER, &value, &fault),
                     SL_OUTCOME_NUMBER);
    assert_float_equal(value, SL_NAMES_TEXT_BYTES, 0);
    free(megabyte);
}

static void test_expression_runs_leave_nothing_behind(void **state)
{
    fixture *f = *state;
    uint32_t number[3];
    sl_expression_fault wrong;
    double value;
    assert_int_equal(sl_expression_compile(f->box,
                                           "lower(attributes.region) .. sample.source == 'x'",
                                           &f->names, SL_VALUE_BOOLEAN, &number[0], &wrong),
                     SLUICE_OK);
    assert_int_equal(sl_expression_compile(f->box, "attributes.region < 'a'", &f->names,
                                           SL_VALUE_BOOLEAN, &number[1], &wrong),
                     SLUICE_OK);
    assert_int_equal(sl_expression_compile(f->box, "sample.bytes > 3", &f->names, SL_VALUE_BOOLEAN,
                                           &number[2], &wrong),
                     SLUICE_OK);
    for (uint32_t i = 0; i < 30000; i++) {
        char region[32];
        snprintf(region, sizeof region, "Region %u", i);
        f->attribute[0] = i % 3 == 0 ? (sluice_span){NULL, 0} : sl_span_of(region);
        sl_facts facts = {&f->sample, f->attribute, false};
        assert_int_equal(sl_expression_run(f->box, number[0], &facts, &value, NULL),
                         SL_OUTCOME_FALSE);
        assert_int_equal(sl_expression_run(f->box, number[1], &facts, &value, NULL),
                         i % 3 == 0 ? SL_OUTCOME_FAULT : SL_OUTCOME_TRUE);
        assert_int_equal(sl_expression_run(f->box, number[2], &facts, &value, NULL),
                         SL_OUTCOME_TRUE);
    }
}

static void test_names_are_bounded(void **state)
{
    fixture *f = *state;
    char text[SLUICE_LIMIT_EXPRESSION_BYTES] = "";
    for (int i = 0; i < SL_NAMES_ATTRIBUTES; i++) {
        char part[40];
        snprintf(part, sizeof part, "%sattributes.a%d=='x'", i > 0 ? " or " : "", i);
        strcat(text, part);
    }
    assert_says(f, text, false);
    assert_refused(f, "attributes.more == 'x'", 0, "more than 16 different attributes");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)
    const struct CMUnitTest tests[] = {
        TEST(test_expression_names_have_the_values_of_the_sample),
        TEST(test_expression_missing_numbers_compare_false_and_missing_texts_are_nil),
        TEST(test_expression_of_a_record_alone_knows_no_sample),
        TEST(test_expression_functions_do_what_they_say),
        TEST(test_expression_what_is_unknown_is_refused_with_its_place),
        TEST(test_expression_hostile_ones_are_refused_at_once),
        TEST(test_expression_extremes_end_soon),
        TEST(test_expression_runs_leave_nothing_behind),
        TEST(test_names_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
