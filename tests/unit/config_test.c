/* config_test.c - the configuration: what is read, what is refused and how that is said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "bytes.h"
#include "config_table.h"
#include "config_yaml.h"
#include "nearest.h"

static sluice_config_errors errors;

static sluice_status parse(sluice_config *config, const char *text)
{
    sluice_config_default(config);
    return sluice_config_parse(config, sl_span_of(text), &errors);
}

static void assert_refused(const char *text, uint32_t line, uint32_t column, const char *says)
{
    sluice_config config;
    sluice_config before;
    sluice_config_default(&before);
    assert_int_equal(parse(&config, text), SLUICE_E_CONFIG);
    assert_true(errors.n >= 1);
    if (strstr(errors.error[0].text, says) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", errors.error[0].text, says);
    }
    assert_int_equal(errors.error[0].line, line);
    assert_int_equal(errors.error[0].column, column);
    assert_memory_equal(&config, &before, sizeof config);
}

static void test_config_default_has_the_documented_values(void **state)
{
    (void)state;
    sluice_config config;
    sluice_config_default(&config);
    assert_string_equal(config.state, "./sluice-state");
    assert_string_equal(config.listen.ingest, "tcp://127.0.0.1:5570");
    assert_string_equal(config.listen.pull, "");
    assert_int_equal(config.workers, 1);
    assert_int_equal(config.seed, 1);
    assert_true(config.duplicate.enabled);
    assert_int_equal(config.duplicate.text_memory, 512u << 20);
    assert_int_equal(config.duplicate.text_profile, SLUICE_PROFILE_AUTO);
    assert_int_equal(config.duplicate.text_shingle.unit, 0);
    assert_int_equal(config.spool.max_bytes, UINT64_C(16) << 30);
    assert_false(config.spool.sync_os);
}

static void test_config_parse_nothing_changes_nothing(void **state)
{
    (void)state;
    sluice_config config;
    sluice_config before;
    sluice_config_default(&before);
    static const char *const empty[] = {
        "", "# only a comment\n", "---\n", "duplicate:\n  # all out\n", "~\n", "{}", NULL};
    for (uint32_t i = 0; empty[i] != NULL; i++) {
        assert_int_equal(parse(&config, empty[i]), SLUICE_OK);
        assert_int_equal(errors.n, 0);
        assert_memory_equal(&config, &before, sizeof config);
    }
}

static void test_config_parse_reads_every_type(void **state)
{
    (void)state;
    sluice_config config;
    assert_int_equal(parse(&config, "name: web-2\n"
                                    "listen: {ingest: \"tcp://*:7000\", pull: 'ipc:///run/p'}\n"
                                    "security:\n  insecure: true\n"
                                    "seed: 18446744073709551615\n"
                                    "workers: 64\n"
                                    "duplicate:\n"
                                    "  window: {samples: 5000, age: 36h}\n"
                                    "  exact: {memory: 1.5GiB}\n"
                                    "  text:\n"
                                    "    profile: cjk\n"
                                    "    shingle: c5\n"
                                    "    threshold: 0.75\n"
                                    "    fold_chinese: true\n"
                                    "spool: {sync: os, max_bytes: 8MiB}\n"),
                     SLUICE_OK);
    assert_string_equal(config.name, "web-2");
    assert_string_equal(config.listen.ingest, "tcp://*:7000");
    assert_string_equal(config.listen.pull, "ipc:///run/p");
    assert_true(config.security.insecure);
    assert_true(config.seed == UINT64_MAX);
    assert_int_equal(config.workers, 64);
    assert_int_equal(config.duplicate.window_samples, 5000);
    assert_true(config.duplicate.window_age_us == UINT64_C(36) * 3600 * 1000000);
    assert_true(config.duplicate.exact_memory == UINT64_C(3) << 29);
    assert_int_equal(config.duplicate.text_profile, SLUICE_PROFILE_CJK);
    assert_int_equal(config.duplicate.text_shingle.unit, 'c');
    assert_int_equal(config.duplicate.text_shingle.n, 5);
    assert_float_equal(config.duplicate.text_threshold, 0.75, 0);
    assert_int_equal(config.duplicate.text_fold_chinese, SLUICE_YES);
    assert_true(config.spool.sync_os);
    assert_int_equal(config.spool.max_bytes, 8u << 20);
}

static void test_config_parse_three_errors_reports_all_with_their_places(void **state)
{
    (void)state;
    sluice_config config;
    assert_int_equal(parse(&config, "workers: 65\n"
                                    "duplicate:\n"
                                    "  text:\n"
                                    "    memroy: 1GiB\n"
                                    "    profile: newz\n"),
                     SLUICE_E_CONFIG);
    assert_int_equal(errors.n, 3);
    assert_string_equal(errors.error[0].text,
                        "workers: have \"65\"; expected a whole number, 1 to 64");
    assert_string_equal(errors.error[1].text,
                        "duplicate.text.memroy: unknown key; did you mean duplicate.text.memory?");
    assert_string_equal(errors.error[2].text,
                        "duplicate.text.profile: have \"newz\"; expected auto, news, prose, "
                        "records, code, cjk, pages or legal; did you mean news?");
    assert_int_equal(errors.error[0].line, 1);
    assert_int_equal(errors.error[0].column, 10);
    assert_int_equal(errors.error[1].line, 4);
    assert_int_equal(errors.error[1].column, 5);
    assert_int_equal(errors.error[2].line, 5);
    assert_int_equal(errors.error[2].column, 14);
}

static void test_config_parse_unknown_keys_names_the_nearest(void **state)
{
    (void)state;
    assert_refused("Seed: 1\n", 1, 1, "did you mean seed?");
    assert_refused("duplicat: {enabled: true}\n", 1, 1, "did you mean duplicate?");
    assert_refused("max_bytes: 1GiB\n", 1, 1, "did you mean spool.max_bytes?");
    assert_refused("zebra: 1\n", 1, 1, "zebra: unknown key");
    assert_null(strstr(errors.error[0].text, "mean"));
    assert_refused("duplicat: {a: [1, {b: 2}], c: 3}\nsed: 1\n", 1, 1, "duplicat");
    assert_int_equal(errors.n, 2);
}

static void test_config_parse_bad_units_and_ranges_say_what_is_allowed(void **state)
{
    (void)state;
    assert_refused("spool: {max_bytes: 64MB}\n", 1, 20, "did you mean MiB?");
    assert_refused("spool: {max_bytes: 1MiB}\n", 1, 20, "8MiB to 65536GiB");
    assert_refused("spool: {max_bytes: -1}\n", 1, 20, "a size such as");
    assert_refused("spool: {max_bytes: 99999999999999999999GiB}\n", 1, 20, "a size such as");
    assert_refused("spool: {max_bytes: 8.0000001MiB}\n", 1, 20, "a size such as");
    assert_refused("duplicate: {window: {age: 5}}\n", 1, 27, "a duration such as 90s");
    assert_refused("duplicate: {window: {age: 5y}}\n", 1, 27, "a duration such as 90s");
    assert_refused("duplicate: {text: {threshold: 1.01}}\n", 1, 31, "0.05 to 1");
    assert_refused("duplicate: {text: {threshold: nan}}\n", 1, 31, "0.05 to 1");
    assert_refused("duplicate: {text: {shingle: w17}}\n", 1, 29, "such as w3");
    assert_refused("duplicate: {text: {shingle: x3}}\n", 1, 29, "such as w3");
    assert_refused("duplicate: {enabled: yes}\n", 1, 22, "expected false or true");
    assert_refused("seed: 18446744073709551616\n", 1, 7, "a whole number");
    assert_refused("seed: 1.5\n", 1, 7, "a whole number");
    assert_refused("seed: -1\n", 1, 7, "a whole number");
    assert_refused("seed:\n", 1, 1, "have nothing");
    assert_refused("name: \"\"\n", 1, 7, "a text");
    assert_refused("listen: {ingest: 5570}\n", 1, 18, "tcp://HOST:PORT");
    assert_refused("listen: {ingest: tcp://localhost}\n", 1, 18, "tcp://HOST:PORT");
    assert_refused("listen: {http: \"localhost:65536\"}\n", 1, 16, "HOST:PORT");
    assert_refused("name: \"a\\u0000b\"\n", 1, 7, "have \"a?b\"");
}

static void test_config_parse_values_at_their_limits_pass_and_beyond_fail(void **state)
{
    (void)state;
    char text[400];
    sluice_config config;
    for (int size = 255; size <= 256; size++) {
        snprintf(text, sizeof text, "name: %0*d\n", size, 7);
        assert_int_equal(parse(&config, text), size == 255 ? SLUICE_OK : SLUICE_E_CONFIG);
    }
    assert_int_equal(parse(&config, "workers: 64"), SLUICE_OK);
    assert_int_equal(parse(&config, "workers: 0"), SLUICE_E_CONFIG);
    assert_int_equal(parse(&config, "duplicate: {text: {threshold: 0.05, memory: 1MiB}}"),
                     SLUICE_OK);
    assert_int_equal(parse(&config, "duplicate: {text: {memory: 1048575}}"), SLUICE_E_CONFIG);
}

static void test_config_parse_wrong_shapes_are_refused(void **state)
{
    (void)state;
    assert_refused("duplicate: 5\n", 1, 12, "have a single value; expected a section");
    assert_refused("duplicate: [1]\n", 1, 12, "have a list; expected a section");
    assert_refused("seed: {a: 1}\n", 1, 7, "have a section; expected a whole number");
    assert_refused("seed: [1, 2]\n", 1, 7, "have a list");
    assert_refused("- a\n", 1, 1, "expected keys and values");
    assert_refused("word\n", 1, 1, "expected keys and values");
    assert_refused("? [a, b]\n: 1\n", 1, 3, "a key must be a plain word");
    assert_refused("seed: 1\nseed: 2\n", 2, 1, "given twice; first in line 1");
    assert_refused("listen: {}\nlisten: {}\n", 2, 1, "given twice; first in line 1");
}

static void test_config_parse_anchors_aliases_tags_documents_are_refused(void **state)
{
    (void)state;
    assert_refused("seed: &a 1\n", 1, 10, "anchors");
    assert_refused("listen: &a {http: \"\"}\n", 1, 12, "anchors");
    assert_refused("seed: &a 1\nworkers: *a\n", 1, 10, "anchors");
    assert_string_equal(errors.error[1].text, "workers: aliases (*name) are not allowed");
    assert_int_equal(errors.n, 2);
    assert_refused("seed: !!int 1\n", 1, 13, "tags");
    assert_refused("seed: 1\n---\nseed: 2\n", 2, 1, "a second document");
    assert_refused("<<: {seed: 1}\n", 1, 1, "unknown key");
}

static void test_config_parse_no_yaml_says_where(void **state)
{
    (void)state;
    assert_refused("seed: 1\nduplicate: {window: {age: 1d\n", 3, 1, "not YAML: ");
    assert_refused("seed: \"1\n", 1, 8, "not YAML: ");
    assert_refused("seed: 1\n\tworkers: 2\n", 1, 7, "not YAML: ");
    assert_refused("seed: 1\nname: \xff\xfe\n", 2, 1, "not UTF-8");
    sluice_config config;
    sluice_config_default(&config);
    sluice_span nul = {(const uint8_t *)"seed: 1\nname: a\0b\n", 18};
    assert_int_equal(sluice_config_parse(&config, nul, &errors), SLUICE_E_CONFIG);
    assert_int_equal(errors.error[0].line, 2);
    assert_int_equal(errors.error[0].column, 8);
    /* What was wrong before the syntax error is said too. */
    assert_refused("sed: 1\nworkers: 2\nname: \"a\n", 1, 1, "did you mean seed?");
    assert_int_equal(errors.n, 2);
}

static void test_config_parse_hostile_text_is_bounded(void **state)
{
    (void)state;
    sluice_config config;
    size_t size = SLUICE_LIMIT_CONFIG_BYTES + 1;
    char *text = malloc(size);
    static const char *const patterns[] = {"[",       "{",   "- ",     "? ",
                                           "a: {b: ", "[\n", "x: 1\n", "- &a b\n",
                                           "--- a\n", "\n",  "\"",     "&a *a\n"};
    assert_non_null(text);
    for (size_t k = 0; k < sizeof patterns / sizeof patterns[0]; k++) {
        size_t step = strlen(patterns[k]);
        for (size_t i = 0; i < size; i++) {
            text[i] = patterns[k][i % step];
        }
        sluice_config_default(&config);
        bool fine = strcmp(patterns[k], "\n") == 0;
        sluice_span whole = {(uint8_t *)text, size - 1};
        assert_int_equal(sluice_config_parse(&config, whole, &errors),
                         fine ? SLUICE_OK : SLUICE_E_CONFIG);
        assert_int_equal(
            sluice_config_parse(&config, (sluice_span){(uint8_t *)text, size}, &errors),
            SLUICE_E_CONFIG);
        assert_non_null(strstr(errors.error[0].text, "at most 1048576 are read"));
    }
    for (size_t line = 16384; line <= 16385; line++) {
        memset(text, '#', line);
        sluice_status status =
            sluice_config_parse(&config, (sluice_span){(uint8_t *)text, line}, &errors);
        assert_int_equal(status, line == 16384 ? SLUICE_OK : SLUICE_E_CONFIG);
    }
    free(text);
    assert_refused("policy: [[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]\n", 1, 10,
                   "policy[1]: expected a rule");
    assert_string_equal(errors.error[1].text, "nested too deep");
    assert_refused("name: [[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]\n", 1, 7, "name: have a list");
}

static void test_config_parse_more_errors_than_are_kept_counts_them(void **state)
{
    (void)state;
    char text[100 * 8 + 1] = "";
    for (int i = 0; i < 100; i++) {
        sprintf(text + strlen(text), "k%02d: 1\n", i);
    }
    sluice_config config;
    assert_int_equal(parse(&config, text), SLUICE_E_CONFIG);
    assert_int_equal(errors.n, 100);
    assert_int_equal(errors.error[SLUICE_LIMIT_CONFIG_ERRORS - 1].line, SLUICE_LIMIT_CONFIG_ERRORS);
}

static void test_config_parse_keys_of_later_versions_pass_at_their_default_only(void **state)
{
    (void)state;
    sluice_config config;
    assert_int_equal(parse(&config,
                           "encoder: none\n"
                           "duplicate: {embedding: {memory: 327680KiB, threshold: 0.950}}\n"
                           "influence:\n"
                           "  enabled: false\n"
                           "  half_life: 100000\n"
                           "  damping: {margin: 2}\n"
                           "  references: []\n"
                           "  expert: {bound_sample: 5.00, refresh: auto}\n"),
                     SLUICE_OK);
    assert_refused("encoder: minilm\n", 1, 10, "upstream, builtin or none");
    assert_refused("duplicate: {embedding: {memory: 1GB}}\n", 1, 33, "a size such as");
}

static const char policy_text[] =
    "policy:\n"
    "  - when: |\n"
    "      duplicate and\n"
    "        duplicate.similarity > 0.9\n"
    "    do: drop\n"
    "    reason: duplicate\n"
    "  - {when: 'attributes[\"page-url\"] == \"\\\\x\"', do: flag, reason: odd-url, weight: 0.25}\n"
    "  - {when: influence.toward.catalogue > 0, do: keep}\n"
    "budget: {keep_fraction: 0.5, by: \"-percentile.toward.catalogue\"}\n"
    "fairness: {group_by: attributes.region.code}\n"
    "influence: {references: [{name: catalogue, source: c, samples: 10}]}\n";

static void test_config_parse_policy_reads_rules_budget_and_fairness(void **state)
{
    (void)state;
    sluice_config config;
    if (parse(&config, policy_text) != SLUICE_OK) {
        fail_msg("%u:%u %s", errors.error[0].line, errors.error[0].column, errors.error[0].text);
    }
    assert_int_equal(config.policy.n_rules, 3);
    assert_string_equal(config.policy.rule[0].when, "duplicate and   duplicate.similarity > 0.9");
    assert_int_equal(config.policy.rule[0].decision, SLUICE_DROP);
    assert_string_equal(config.policy.rule[1].reason, "odd-url");
    assert_float_equal(config.policy.rule[1].weight, 0.25, 0);
    assert_int_equal(config.policy.rule[2].decision, SLUICE_KEEP);
    assert_float_equal(config.policy.rule[2].weight, 1, 0);
    assert_float_equal(config.budget.keep_fraction, 0.5, 0);
    assert_string_equal(config.fairness.group_by, "attributes.region.code");
    assert_float_equal(config.fairness.max_ratio, 1.25, 0);
    assert_int_equal(config.fairness.min_samples, 500);

    /* What was read is printed and read back; none is none. */
    sluice_bytes printed = {0};
    sluice_config again;
    sluice_config_default(&again);
    assert_int_equal(sluice_config_print(&config, &printed), SLUICE_OK);
    assert_int_equal(
        sluice_config_parse(&again, (sluice_span){printed.data, printed.size}, &errors), SLUICE_OK);
    assert_memory_equal(&config, &again, sizeof config);
    sl_bytes_fini(&printed);
    assert_int_equal(parse(&config, "policy: []\nbudget: {}\nfairness: {}\n"), SLUICE_OK);
    assert_int_equal(config.policy.n_rules, 0);
}

static void test_config_parse_bad_policies_are_refused_at_their_place(void **state)
{
    (void)state;
    assert_refused("policy:\n  - {when: duplicat, do: keep}\n", 2, 12,
                   "policy[1].when: duplicat: unknown name; did you mean duplicate?");
    assert_refused("policy:\n  - {do: keep, when: \"sample.bytes > 1 && duplicate\"}\n", 2, 40,
                   "policy[1].when: && is written \"and\"");
    assert_refused("policy:\n  - {when: sample.bytes > 1, do: drop, reason: duplicate}\n", 2, 48,
                   "must test duplicate");
    assert_refused("policy:\n  - {when: duplicate, do: drop}\n", 2, 5,
                   "flag and drop need a reason");
    assert_refused("policy:\n  - {when: duplicate, do: drop, reason: budget}\n", 2, 41,
                   "the reason of the budget");
    assert_refused("policy:\n  - {when: duplicate, do: keep, reason: restored}\n", 2, 41,
                   "the reason of `state restore`");
    assert_refused("policy:\n  - {when: duplicate, do: drop, reason: a b}\n", 2, 41,
                   "policy[1].reason: have \"a b\"");
    assert_refused("policy:\n  - {when: duplicate, do: drip, reason: a}\n", 2, 27,
                   "keep, flag or drop");
    assert_refused("policy:\n  - {when: duplicate, do: keep, weigth: 2}\n", 2, 41,
                   "policy[1].weigth: unknown key; did you mean weight?");
    assert_refused("policy:\n  - {when: duplicate, do: keep, weight: -1}\n", 2, 41,
                   "a number from 0");
    assert_refused("policy:\n  - {when: duplicate, do: drop, reason: duplicate, weight: 1}\n", 2, 5,
                   "has no weight");
    assert_refused("policy:\n  - {when: [1], do: keep}\n", 2, 12, "expected a single value");
    assert_refused("policy:\n  - {when: , do: keep}\n", 2, 6, "expected a single value");
    assert_refused("policy:\n  - {do: keep}\n", 2, 5, "when is missing");
    assert_refused("policy:\n  - duplicate\n", 2, 5, "expected a rule");
    assert_refused("policy: {when: duplicate}\n", 1, 9, "expected a list of rules");
    assert_refused("budget: {keep_fraction: 0.5}\n", 1, 9, "by is missing");
    assert_refused("budget: {keep_fraction: 2, by: sample.cost}\n", 1, 25, "0.01 to 1");
    assert_refused("budget: {keep_fraction: 0.5, by: sample.source}\n", 1, 34, "it gives a text");
    assert_refused("budget: {keep_fraction: 0.5, by: sample.cost > 1}\n", 1, 34,
                   "it gives true or false; expected a number");
    assert_refused("budget: {keep_fraction: 0.5, by: percentile.toward.x}\n", 1, 34,
                   "influence.references has no such name");
    assert_refused("budget: 1\n", 1, 9, "budget: expected {}");
    assert_refused("fairness: 1\n", 1, 11, "fairness: expected {}");
    assert_refused("fairness: {max_ratio: 2}\n", 1, 11, "group_by is missing");
    assert_refused("fairness: {group_by: sample.cost}\n", 1, 22, "sample.source");
    assert_refused("fairness: {group_by: attributes.a, max_ratio: 0.5}\n", 1, 47, "from 1 to 1000");
    assert_refused("fairness: {group_by: attributes.a, min_samples: 1.5}\n", 1, 49, "whole number");
    /* All of a text are told, those of the policy too. */
    assert_refused("sed: 1\npolicy:\n  - {when: a, do: keep}\n  - {when: b, do: keep}\n", 1, 1,
                   "sed");
    assert_int_equal(errors.n, 3);
    assert_int_equal(errors.error[2].line, 4);
    /* A reference that is gone takes the rules about it with it. */
    sluice_config config;
    assert_int_equal(parse(&config, policy_text), SLUICE_OK);
    assert_int_equal(sluice_config_set(&config, "influence.references=[]", &errors),
                     SLUICE_E_CONFIG);
    assert_int_equal(errors.n, 2);
    assert_int_equal(errors.error[0].line, 0);
    /* 64 rules, 511 bytes, and one more of each. */
    char text[SLUICE_LIMIT_RULES * 32 + 64] = "policy:\n";
    for (int i = 0; i < SLUICE_LIMIT_RULES; i++) {
        strcat(text, "  - {when: duplicate, do: keep}\n");
    }
    assert_int_equal(parse(&config, text), SLUICE_OK);
    assert_int_equal(config.policy.n_rules, SLUICE_LIMIT_RULES);
    strcat(text, "  - {when: duplicate, do: keep}\n");
    assert_refused(text, SLUICE_LIMIT_RULES + 2, 5, "more than 64 rules");
    for (int n = 511; n <= 512; n++) {
        snprintf(text, sizeof text, "policy:\n  - {when: \"duplicate%*s1 == 1\", do: keep}\n",
                 n - 15, " and ");
        assert_int_equal(parse(&config, text), n == 511 ? SLUICE_OK : SLUICE_E_CONFIG);
    }
}

static void test_config_parse_lists_and_mappings_of_influence(void **state)
{
    (void)state;
    sluice_config config;
    sluice_bytes printed = {0};
    assert_int_equal(
        parse(&config,
              "influence:\n"
              "  damping: {relative: 0.25}\n"
              "  references:\n"
              "    - {name: catalogue, source: \"a \\\"shop\\\"\", samples: 1000}\n"
              "    - name: held-out\n"
              "      path: refs.jsonl\n"
              "      views: refs.npy\n"
              "  expert: {adapter: fixed, warmup: 512, refresh: [512, 1024], ridge: 1e-3}\n"),
        SLUICE_OK);
    assert_true(config.influence.damping.margin <= 0);
    assert_true(config.influence.damping.relative >= 0.25);
    assert_int_equal(config.influence.n_references, 2);
    assert_string_equal(config.influence.reference[0].source, "a \"shop\"");
    assert_int_equal(config.influence.reference[0].samples, 1000);
    assert_string_equal(config.influence.reference[1].views, "refs.npy");
    assert_int_equal(config.influence.expert.adapter, 1);
    assert_int_equal(config.influence.expert.warmup, 512);
    assert_int_equal(config.influence.expert.n_refresh, 2);
    assert_int_equal(config.influence.expert.refresh[1], 1024);

    sluice_config again;
    assert_int_equal(sluice_config_print(&config, &printed), SLUICE_OK);
    assert_int_equal(sl_bytes_put_u8(&printed, 0), SLUICE_OK);
    assert_int_equal(parse(&again, (const char *)printed.data), SLUICE_OK);
    assert_memory_equal(&again, &config, sizeof config);
    sl_bytes_fini(&printed);
}

static void test_config_parse_bad_lists_and_mappings_of_influence_are_refused(void **state)
{
    (void)state;
    assert_refused("influence: {half_life: -5}\n", 1, 24, "a whole number");
    assert_refused("influence: {damping: 2}\n", 1, 22, "{margin: X} or {relative: X}");
    assert_refused("influence: {damping: {margin: 0}}\n", 1, 22, "{margin: X} or {relative: X}");
    assert_refused("influence: {damping: {margin: 1, relative: 1}}\n", 1, 22, "cannot be read");
    assert_refused("influence: {damping: {margin: [2]}}\n", 1, 22, "cannot be read");
    assert_refused("influence: {references: [{name: a}]}\n", 1, 26, "an entry");
    assert_refused("influence: {references: [{name: a b, source: s, samples: 3}]}\n", 1, 26,
                   "an entry");
    assert_refused("influence: {references: [{name: a, source: s, samples: 1001}]}\n", 1, 26,
                   "1 to 1000");
    assert_refused("influence: {references: [{name: a, source: s, samples: 1},"
                   " {name: a, path: f}]}\n",
                   1, 60, "its name is taken");
    assert_refused("influence: {expert: {refresh: [512, 500]}}\n", 1, 31, "multiples of 256");
    assert_refused("influence: {expert: {refresh: [1024, 512]}}\n", 1, 31, "ascending");
    assert_refused("influence: {expert: {ridge: 0}}\n", 1, 29, "0.000001 to 1000");
    assert_refused("influence: {expert: {ridge: nan}}\n", 1, 29, "a number");
}

static void test_config_set_changes_one_key(void **state)
{
    (void)state;
    sluice_config config;
    sluice_config_default(&config);
    assert_int_equal(sluice_config_set(&config, "duplicate.text.memory=1GiB", &errors), SLUICE_OK);
    assert_int_equal(config.duplicate.text_memory, 1u << 30);
    assert_int_equal(sluice_config_set(&config, "listen.http=", &errors), SLUICE_OK);
    assert_string_equal(config.listen.http, "");
    assert_int_equal(sluice_config_set(&config, "listen.ingest=tcp://127.0.0.1:1", &errors),
                     SLUICE_OK);
    assert_string_equal(config.listen.ingest, "tcp://127.0.0.1:1");
    assert_int_equal(
        sluice_config_set(&config, "duplicate.text={profile: code, shingle: t8}", &errors),
        SLUICE_OK);
    assert_int_equal(config.duplicate.text_profile, SLUICE_PROFILE_CODE);
    assert_int_equal(config.duplicate.text_shingle.n, 8);
}

static void test_config_set_bad_assignments_are_refused_without_a_line(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "seed",    "=1",         "sed=1", "seed=x",  "seed=",          "seed=[1",
        "seed=&a", "duplicate=", "name=", "policy=", "seed=1\n---\n2", "workers=1\nseed: 2",
        NULL};
    sluice_config config;
    sluice_config before;
    sluice_config_default(&config);
    sluice_config_default(&before);
    for (uint32_t i = 0; bad[i] != NULL; i++) {
        if (sluice_config_set(&config, bad[i], &errors) != SLUICE_E_CONFIG) {
            fail_msg("%s passed", bad[i]);
        }
        assert_true(errors.n > 0);
        assert_int_equal(errors.error[0].line, 0);
        assert_memory_equal(&config, &before, sizeof config);
    }
    assert_int_equal(sluice_config_set(&config, "sede=1", &errors), SLUICE_E_CONFIG);
    assert_string_equal(errors.error[0].text, "sede: unknown key; did you mean seed?");
}

static void test_config_print_reads_back_the_same(void **state)
{
    (void)state;
    sluice_config config;
    sluice_config again;
    sluice_bytes printed = {0};
    assert_int_equal(parse(&config,
                           "name: \"a \\\\ b: \\\" #c\"\nstate: 123\nseed: 99\n"
                           "listen: {http: ''}\n"
                           "duplicate: {window: {age: 1500ms}, exact: {memory: 1048577},\n"
                           "  text: {shingle: w3, threshold: 0.1234567890123, profile: prose,\n"
                           "  fold_chinese: false}, enabled: false}\nspool: {sync: os}\n"),
                     SLUICE_OK);
    assert_int_equal(sluice_config_print(&config, &printed), SLUICE_OK);
    sluice_config_default(&again);
    sluice_status status =
        sluice_config_parse(&again, (sluice_span){printed.data, printed.size}, &errors);
    if (status != SLUICE_OK) {
        fail_msg("line %u: %s", errors.error[0].line, errors.error[0].text);
    }
    assert_memory_equal(&config, &again, sizeof config);
    sl_bytes_fini(&printed);
}

static void test_config_print_of_the_default_is_the_shipped_file(void **state)
{
    (void)state;
    sluice_config config;
    sluice_bytes printed = {0};
    static char shipped[1 << 16];
    FILE *file = fopen(SLUICE_SOURCE_DIR "/deploy/sluice.yaml", "rb");
    assert_non_null(file);
    size_t size = fread(shipped, 1, sizeof shipped, file);
    fclose(file);
    sluice_config_default(&config);
    assert_int_equal(sluice_config_print(&config, &printed), SLUICE_OK);
    assert_int_equal(printed.size,
                     size); /* else: sluice check --print-defaults > deploy/sluice.yaml */
    assert_memory_equal(printed.data, shipped, size);
    sl_bytes_fini(&printed);
}

static void test_config_state_lines_are_sorted_and_plain(void **state)
{
    (void)state;
    sluice_config config;
    sluice_bytes lines = {0};
    sluice_config_default(&config);
    config.duplicate.text_threshold = 0.7;
    assert_int_equal(sluice_config_state_lines(&config, &lines), SLUICE_OK);
    assert_int_equal(sl_bytes_put_u8(&lines, 0), SLUICE_OK);
    assert_string_equal((char *)lines.data, "duplicate.embedding.memory: 335544320\n"
                                            "duplicate.embedding.threshold: 0.95\n"
                                            "duplicate.enabled: true\n"
                                            "duplicate.exact.memory: 67108864\n"
                                            "duplicate.image.memory: 134217728\n"
                                            "duplicate.image.min_quality: 50\n"
                                            "duplicate.image.profile: copies\n"
                                            "duplicate.image.threshold: auto\n"
                                            "duplicate.image.turns: false\n"
                                            "duplicate.text.containment: auto\n"
                                            "duplicate.text.fold_chinese: auto\n"
                                            "duplicate.text.memory: 536870912\n"
                                            "duplicate.text.numbers: auto\n"
                                            "duplicate.text.profile: auto\n"
                                            "duplicate.text.shingle: auto\n"
                                            "duplicate.text.threshold: 0.7\n"
                                            "duplicate.text.weights: auto\n"
                                            "duplicate.window.age: 0\n"
                                            "duplicate.window.samples: 0\n"
                                            "encoder: upstream\n"
                                            "influence.damping: {margin: 2}\n"
                                            "influence.enabled: true\n"
                                            "influence.expert.adapter: step\n"
                                            "influence.expert.bound_sample: 5\n"
                                            "influence.expert.bound_source: 0.2\n"
                                            "influence.expert.rank: auto\n"
                                            "influence.expert.refresh: auto\n"
                                            "influence.expert.refresh_lag: 16\n"
                                            "influence.expert.ridge: 0.01\n"
                                            "influence.expert.warmup: auto\n"
                                            "influence.half_life: 100000\n"
                                            "influence.references: []\n"
                                            "seed: 1\n");
    sl_bytes_fini(&lines);
}

static void test_config_table_has_sections_before_their_keys_and_no_name_twice(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < sl_config_n_keys; i++) {
        const char *name = sl_config_keys[i].name;
        assert_ptr_equal(sl_config_find(name), &sl_config_keys[i]);
        assert_true(strlen(name) < SL_CONFIG_WRITTEN_BYTES);
        const char *dot = strrchr(name, '.');
        if (dot != NULL) {
            char section[SL_CONFIG_WRITTEN_BYTES] = "";
            memcpy(section, name, (size_t)(dot - name));
            const sl_config_key *above = sl_config_find(section);
            assert_non_null(above);
            assert_int_equal(above->type, SL_CONFIG_SECTION);
            assert_true(above < &sl_config_keys[i]);
        }
    }
}

static void test_nearest_edits_counts_swaps_as_one(void **state)
{
    (void)state;
    assert_int_equal(sl_nearest_edits("memroy", "memory"), 1);
    assert_int_equal(sl_nearest_edits("", "abc"), 3);
    assert_int_equal(sl_nearest_edits("kitten", "sitting"), 3);
    assert_int_equal(sl_nearest_edits("ABC", "abc"), 0);
    char longest[65];
    memset(longest, 'a', sizeof longest);
    longest[63] = '\0';
    assert_int_equal(sl_nearest_edits(longest, "a"), 62);
    longest[63] = 'a';
    longest[64] = '\0';
    assert_int_equal(sl_nearest_edits(longest, "a"), UINT32_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config_default_has_the_documented_values),
        cmocka_unit_test(test_config_parse_nothing_changes_nothing),
        cmocka_unit_test(test_config_parse_reads_every_type),
        cmocka_unit_test(test_config_parse_three_errors_reports_all_with_their_places),
        cmocka_unit_test(test_config_parse_unknown_keys_names_the_nearest),
        cmocka_unit_test(test_config_parse_bad_units_and_ranges_say_what_is_allowed),
        cmocka_unit_test(test_config_parse_values_at_their_limits_pass_and_beyond_fail),
        cmocka_unit_test(test_config_parse_wrong_shapes_are_refused),
        cmocka_unit_test(test_config_parse_anchors_aliases_tags_documents_are_refused),
        cmocka_unit_test(test_config_parse_no_yaml_says_where),
        cmocka_unit_test(test_config_parse_hostile_text_is_bounded),
        cmocka_unit_test(test_config_parse_more_errors_than_are_kept_counts_them),
        cmocka_unit_test(test_config_parse_keys_of_later_versions_pass_at_their_default_only),
        cmocka_unit_test(test_config_parse_policy_reads_rules_budget_and_fairness),
        cmocka_unit_test(test_config_parse_bad_policies_are_refused_at_their_place),
        cmocka_unit_test(test_config_parse_lists_and_mappings_of_influence),
        cmocka_unit_test(test_config_parse_bad_lists_and_mappings_of_influence_are_refused),
        cmocka_unit_test(test_config_set_changes_one_key),
        cmocka_unit_test(test_config_set_bad_assignments_are_refused_without_a_line),
        cmocka_unit_test(test_config_print_reads_back_the_same),
        cmocka_unit_test(test_config_print_of_the_default_is_the_shipped_file),
        cmocka_unit_test(test_config_state_lines_are_sorted_and_plain),
        cmocka_unit_test(test_config_table_has_sections_before_their_keys_and_no_name_twice),
        cmocka_unit_test(test_nearest_edits_counts_swaps_as_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
