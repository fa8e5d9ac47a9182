/* decide_policy_test.c - the order of rules, reasons and weights, and what a policy may never do.
 */
#include "bytes.h"
#include "decide/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static sluice_config_errors errors;
static sl_policy_faults faults;

static sl_policy *open_policy(const char *yaml)
{
    sluice_config config;
    sl_policy *policy;
    sluice_config_default(&config);
    if (sluice_config_parse(&config, sl_span_of(yaml), &errors) != SLUICE_OK) {
        fail_msg("%u:%u %s", errors.error[0].line, errors.error[0].column, errors.error[0].text);
    }
    assert_int_equal(sl_policy_open(&config, &policy, &faults), SLUICE_OK);
    return policy;
}

static sluice_sample bytes_sample(size_t size, bool duplicate)
{
    sluice_sample sample = {.payload = {NULL, size}};
    sample.match.method = duplicate ? SLUICE_METHOD_TEXT : SLUICE_METHOD_NONE;
    sample.match.similarity = 0.9F;
    return sample;
}

static sluice_verdict judge(sl_policy *policy, size_t size, bool duplicate, bool *ended)
{
    sluice_sample sample = bytes_sample(size, duplicate);
    sluice_span attribute[SL_NAMES_ATTRIBUTES] = {{NULL, 0}};
    sl_facts facts = {&sample, attribute, false};
    sluice_verdict verdict;
    sl_policy_judge(policy, &facts, &verdict, ended);
    return verdict;
}

static void assert_reasons(const sluice_verdict *verdict, const char *words)
{
    char have[512] = "";
    for (uint32_t i = 0; i < verdict->n_reasons; i++) {
        strcat(have, i > 0 ? " " : "");
        strcat(have, verdict->reasons[i]);
    }
    assert_string_equal(have, words);
}

static void test_policy_flags_go_on_and_keep_and_drop_end(void **state)
{
    (void)state;
    bool ended;
    sl_policy *policy =
        open_policy("policy:\n"
                    "  - {when: sample.bytes > 10, do: flag, reason: a, weight: 0.5}\n"
                    "  - {when: sample.bytes > 20, do: flag, reason: b, weight: 0.5}\n"
                    "  - {when: sample.bytes > 30, do: keep, reason: c, weight: 8}\n"
                    "  - {when: duplicate or sample.bytes == 7, do: drop, reason: d}\n"
                    "  - {when: true, do: flag, reason: e, weight: 3}\n");
    sluice_verdict verdict = judge(policy, 1, false, &ended);
    assert_int_equal(verdict.decision, SLUICE_FLAG);
    assert_reasons(&verdict, "e");
    assert_float_equal(verdict.weight, 3, 0);
    assert_false(ended);
    verdict = judge(policy, 15, false, &ended);
    assert_reasons(&verdict, "a e");
    assert_float_equal(verdict.weight, 1.5, 0);
    verdict = judge(policy, 25, true, &ended);
    assert_int_equal(verdict.decision, SLUICE_DROP);
    assert_reasons(&verdict, "a b d");
    assert_true(ended);
    verdict = judge(policy, 31, true, &ended); /* kept before the duplicate is looked at */
    assert_int_equal(verdict.decision, SLUICE_FLAG);
    assert_reasons(&verdict, "a b c");
    assert_float_equal(verdict.weight, 2, 0);
    assert_true(ended);
    verdict = judge(policy, 7, false, &ended);
    assert_int_equal(verdict.decision, SLUICE_DROP);
    sl_policy_close(&policy);
}

static void test_policy_without_rules_keeps_everything(void **state)
{
    (void)state;
    bool ended;
    sl_policy *policy = open_policy("policy: []\n");
    sluice_verdict verdict = judge(policy, 1, true, &ended);
    assert_int_equal(verdict.decision, SLUICE_KEEP);
    assert_int_equal(verdict.n_reasons, 0);
    assert_float_equal(verdict.weight, 1, 0);
    assert_false(ended);
    sl_policy_close(&policy);
}

static void test_policy_keeps_eight_reasons_and_always_the_last(void **state)
{
    (void)state;
    bool ended;
    char yaml[2048] = "policy:\n";
    for (int i = 0; i < 9; i++) {
        sprintf(yaml + strlen(yaml), "  - {when: true, do: flag, reason: r%d}\n", i);
    }
    sl_policy *policy = open_policy(yaml);
    sluice_verdict verdict = judge(policy, 1, false, &ended);
    assert_reasons(&verdict, "r0 r1 r2 r3 r4 r5 r6 r7");
    sl_policy_close(&policy);
    strcat(yaml, "  - {when: true, do: drop, reason: end}\n");
    policy = open_policy(yaml);
    verdict = judge(policy, 1, false, &ended);
    assert_reasons(&verdict, "r0 r1 r2 r3 r4 r5 r6 end");
    sl_policy_close(&policy);
}

static void test_policy_drop_as_duplicate_needs_one_whatever_the_rule_says(void **state)
{
    (void)state;
    bool ended;
    sl_policy *policy = open_policy(
        "policy: [{when: not duplicate or sample.bytes > 1, do: drop, reason: duplicate}]\n");
    assert_int_equal(judge(policy, 5, false, &ended).decision, SLUICE_KEEP);
    assert_int_equal(judge(policy, 5, true, &ended).decision, SLUICE_DROP);
    sl_policy_close(&policy);
}

static void test_policy_expression_that_fails_does_not_match_and_is_counted(void **state)
{
    (void)state;
    bool ended;
    sl_policy *policy =
        open_policy("policy:\n"
                    "  - {when: 'attributes.region < \"m\"', do: drop, reason: region}\n"
                    "  - {when: sample.bytes > 1, do: flag, reason: long}\n");
    for (int i = 0; i < 3; i++) {
        sluice_verdict verdict = judge(policy, 5, false, &ended);
        assert_int_equal(verdict.decision, SLUICE_FLAG);
        assert_reasons(&verdict, "long");
    }
    assert_int_equal(sl_policy_faults_of(policy, 0)->n, 3);
    assert_non_null(strstr(sl_policy_faults_of(policy, 0)->text.text, "compare nil with string"));
    assert_int_equal(sl_policy_faults_of(policy, 1)->n, 0);
    sl_policy_close(&policy);
}

static void test_policy_gives_score_and_group(void **state)
{
    (void)state;
    sl_policy *policy = open_policy("budget: {keep_fraction: 0.5, by: sample.bytes - 1}\n"
                                    "fairness: {group_by: attributes.a.b}\n");
    sluice_sample sample = bytes_sample(5, false);
    sluice_span attribute[SL_NAMES_ATTRIBUTES] = {sl_span_of("north")};
    sl_facts facts = {&sample, attribute, false};
    assert_int_equal(sl_policy_names(policy)->n_attributes, 1);
    assert_string_equal(sl_policy_names(policy)->attribute[0], "a.b");
    assert_float_equal(sl_policy_score(policy, &facts), 4, 0);
    assert_true(sl_span_equal(sl_policy_group(policy, &facts), sl_span_of("north")));
    facts.record_only = true;
    assert_true(isnan(sl_policy_score(policy, &facts)));
    sl_policy_close(&policy);
    policy = open_policy("policy: []\n");
    assert_true(isnan(sl_policy_score(policy, &facts)));
    assert_int_equal(sl_policy_group(policy, &facts).size, 0);
    sl_policy_close(&policy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_policy_flags_go_on_and_keep_and_drop_end),
        cmocka_unit_test(test_policy_without_rules_keeps_everything),
        cmocka_unit_test(test_policy_keeps_eight_reasons_and_always_the_last),
        cmocka_unit_test(test_policy_drop_as_duplicate_needs_one_whatever_the_rule_says),
        cmocka_unit_test(test_policy_expression_that_fails_does_not_match_and_is_counted),
        cmocka_unit_test(test_policy_gives_score_and_group),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
