/* config_policy.c - the policy, the budget and the fairness of a configuration.
 *
 *   policy:    - {when: "percentile.leverage >= 0.99", do: flag, reason: rare, weight: 2}
 *   budget:    {keep_fraction: 0.5, by: percentile.toward.catalogue}
 *   fairness:  {group_by: attributes.region, max_ratio: 1.25, min_samples: 500}
 *     read: members -> fields, places       check: sl_policy_open -> faults -> line and column
 *
 * Why the check comes last: a rule may name a reference that the text defines further down. */
#include "config_policy.h"
#include "config_value.h"
#include "bytes.h"
#include "decide/policy.h"
#include "nearest.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* One member of a mapping, copied: an item lends its text until the next one. */
typedef struct member {
    char name[32];
    char value[SLUICE_LIMIT_EXPRESSION_BYTES];
    sl_config_place place;
} member;

bool sl_config_policy_is(const sl_config_key *key)
{
    return key->type == SL_CONFIG_POLICY || key->type == SL_CONFIG_BUDGET ||
           key->type == SL_CONFIG_FAIRNESS;
}

const char *sl_config_policy_expected(const sl_config_key *key)
{
    if (key->type == SL_CONFIG_POLICY) {
        return "at most 64 rules {when: EXPRESSION, do: keep, flag or drop, reason: R, weight: W}";
    }
    return key->type == SL_CONFIG_BUDGET
               ? "{} or {keep_fraction: 0.01 to 1, by: EXPRESSION}"
               : "{} or {group_by: attributes.NAME, max_ratio: 1 to 1000, min_samples: 1 and more}";
}

static void set_rule(sluice_rule *rule, const char *when, sluice_decision decision,
                     const char *reason)
{
    memset(rule, 0, sizeof *rule);
    rule->decision = decision;
    rule->weight = 1;
    snprintf(rule->when, sizeof rule->when, "%s", when);
    snprintf(rule->reason, sizeof rule->reason, "%s", reason);
}

void sl_config_policy_default(sluice_config *config)
{
    config->policy.n_rules = 2;
    set_rule(&config->policy.rule[0], "duplicate", SLUICE_DROP, "duplicate");
    set_rule(&config->policy.rule[1], "percentile.leverage >= 0.99", SLUICE_FLAG, "rare");
}

/* --- reading --- */

/* Line ends and tabs, which block texts bring along, are spaces; other control characters are
 * refused. */
static bool copy_text(sluice_span from, char *to, size_t size)
{
    bool fits = from.size < size;
    size_t n = fits ? from.size : 0;
    for (size_t i = 0; i < n; i++) {
        uint8_t c = from.data[i];
        bool space = c == '\n' || c == '\t' || c == '\r';
        fits = fits && (c >= 0x20 || space) && c != 0x7f;
        to[i] = (char)(space ? ' ' : c);
    }
    while (n > 0 && to[n - 1] == ' ') {
        n--;
    }
    to[n] = '\0';
    return fits;
}

/* The next member of the mapping that was opened; false at its end. One that is no plain pair of
 * words is reported and left out. */
static bool next_member(sl_config_yaml *yaml, const char *path, member *out)
{
    for (;;) {
        sl_config_item name = sl_config_next(yaml);
        if (name.kind == SL_CONFIG_ITEM_CLOSE || name.kind == SL_CONFIG_ITEM_END) {
            return false;
        }
        bool good =
            name.kind == SL_CONFIG_ITEM_SCALAR && copy_text(name.text, out->name, sizeof out->name);
        sl_config_item where = name;
        if (name.kind != SL_CONFIG_ITEM_SCALAR) {
            sl_config_skip(yaml, &name);
        }
        sl_config_item value = sl_config_next(yaml);
        bool scalar = value.kind == SL_CONFIG_ITEM_SCALAR && !value.null;
        if (!value.null) { /* nothing is nowhere */
            where = value;
        }
        if (good && scalar && copy_text(value.text, out->value, sizeof out->value)) {
            out->place = (sl_config_place){value.line, value.column, value.quoted, false};
            return true;
        }
        if (value.kind != SL_CONFIG_ITEM_ALIAS && value.kind != SL_CONFIG_ITEM_END) {
            sl_config_report(yaml, where.line, where.column, "%s: %s", path,
                             !good    ? "a member's name cannot be read"
                             : scalar ? "the value is longer than 511 bytes, or no plain text"
                                      : "expected a single value here");
        }
        if (value.kind != SL_CONFIG_ITEM_SCALAR) {
            sl_config_skip(yaml, &value);
        }
    }
}

static void refuse_member(sl_config_yaml *yaml, const char *path, const member *found,
                          const char *const *known)
{
    const char *nearest = sl_nearest_word(found->name, known);
    sl_config_report(yaml, found->place.line, found->place.column, "%s.%s: unknown key%s%s%s", path,
                     found->name, nearest != NULL ? "; did you mean " : "",
                     nearest != NULL ? nearest : "", nearest != NULL ? "?" : "");
}

static bool read_number(const char *text, double least, double most, double *out)
{
    char *end;
    double value = strtod(text, &end);
    bool good = text[0] != '\0' && *end == '\0' &&
                strspn(text, "0123456789.eE+-") == strlen(text) && value >= least && value <= most;
    *out = good ? value : *out;
    return good;
}

static void report_value(sl_config_yaml *yaml, const char *path, const member *found,
                         const char *expected)
{
    sl_config_report(yaml, found->place.line, found->place.column,
                     "%s.%s: have \"%.60s\"; expected %s", path, found->name, found->value,
                     expected);
}

/* A reason is a word in records, metrics and counters. */
static bool is_reason(const char *text)
{
    size_t size = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.");
    return size > 0 && text[size] == '\0' && size < SLUICE_LIMIT_REASON_BYTES;
}

static bool read_do(const char *word, sluice_decision *decision)
{
    static const char *const words[] = {"keep", "flag", "drop"};
    static const sluice_decision decisions[] = {SLUICE_KEEP, SLUICE_FLAG, SLUICE_DROP};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(word, words[i]) == 0) {
            *decision = decisions[i];
            return true;
        }
    }
    return false;
}

typedef struct rule_seen {
    bool when, decision, weight;
} rule_seen;

static void take_rule_member(sl_config_yaml *yaml, const char *path, const member *found,
                             sluice_rule *rule, rule_seen *seen, sl_config_places *places,
                             uint32_t i_rule)
{
    static const char *const known[] = {"when", "do", "reason", "weight", NULL};
    if (strcmp(found->name, "when") == 0) {
        memcpy(rule->when, found->value, sizeof rule->when);
        memset(rule->when + strlen(rule->when), 0, sizeof rule->when - strlen(rule->when));
        places->when[i_rule] = found->place;
        seen->when = true;
    } else if (strcmp(found->name, "do") == 0) {
        seen->decision = true;
        if (!read_do(found->value, &rule->decision)) {
            report_value(yaml, path, found, "keep, flag or drop");
        }
    } else if (strcmp(found->name, "reason") == 0) {
        places->reason[i_rule] = found->place;
        if (is_reason(found->value)) {
            memcpy(rule->reason, found->value, strlen(found->value));
        } else {
            report_value(yaml, path, found, "a word of letters, digits, _ - . of at most 63");
        }
    } else if (strcmp(found->name, "weight") == 0) {
        seen->weight = true;
        if (!read_number(found->value, 0, 1e6, &rule->weight)) {
            report_value(yaml, path, found, "a number from 0 to 1000000");
        }
    } else {
        refuse_member(yaml, path, found, known);
    }
}

static void read_rule(sl_config_yaml *yaml, const sl_config_item *first, uint32_t i_rule,
                      sluice_rule *rule, sl_config_places *places)
{
    char path[32];
    member found;
    rule_seen seen = {false, false, false};
    snprintf(path, sizeof path, "policy[%u]", i_rule + 1);
    memset(rule, 0, sizeof *rule); /* equal configurations are equal bytes */
    rule->weight = 1;
    places->rule[i_rule] = (sl_config_place){first->line, first->column, false, false};
    if (first->kind != SL_CONFIG_ITEM_MAPPING) {
        sl_config_report(yaml, first->line, first->column,
                         "%s: expected a rule {when: ..., do: ..., reason: ...}", path);
        sl_config_skip(yaml, first);
        places->rule[i_rule].broken = true;
        return;
    }
    uint32_t errors = yaml->errors->n;
    while (next_member(yaml, path, &found)) {
        take_rule_member(yaml, path, &found, rule, &seen, places, i_rule);
    }
    bool silent = yaml->errors->n > errors; /* what is missing may be what was misspelt */
    if ((!seen.when || !seen.decision) && !silent) {
        sl_config_report(yaml, first->line, first->column, "%s: %s is missing", path,
                         seen.when ? "do (keep, flag or drop)" : "when");
    }
    if (seen.weight && rule->decision == SLUICE_DROP && !silent) {
        sl_config_report(yaml, first->line, first->column,
                         "%s: what is dropped has no weight; weight goes with keep and flag", path);
    }
    places->rule[i_rule].broken = yaml->errors->n > errors;
}

static void read_rules(sl_config_yaml *yaml, const sl_config_item *first, sluice_config *config,
                       sl_config_places *places)
{
    if (first->kind != SL_CONFIG_ITEM_SEQUENCE) {
        sl_config_report(yaml, first->line, first->column, "policy: expected a list of rules");
        sl_config_skip(yaml, first);
        return;
    }
    uint32_t n = 0;
    memset(&config->policy, 0, sizeof config->policy);
    for (sl_config_item at = sl_config_next(yaml);
         at.kind != SL_CONFIG_ITEM_CLOSE && at.kind != SL_CONFIG_ITEM_END;
         at = sl_config_next(yaml)) {
        if (n < SLUICE_LIMIT_RULES) {
            read_rule(yaml, &at, n, &config->policy.rule[n], places);
            n++;
            continue;
        }
        if (n++ == SLUICE_LIMIT_RULES) {
            sl_config_report(yaml, at.line, at.column, "policy: more than %d rules",
                             SLUICE_LIMIT_RULES);
        }
        sl_config_skip(yaml, &at);
    }
    config->policy.n_rules = n < SLUICE_LIMIT_RULES ? n : SLUICE_LIMIT_RULES;
}

static void take_budget_member(sl_config_yaml *yaml, const member *found, sluice_config *config,
                               sl_config_places *places)
{
    static const char *const known[] = {"keep_fraction", "by", NULL};
    if (strcmp(found->name, "keep_fraction") == 0) {
        if (!read_number(found->value, 0.01, 1, &config->budget.keep_fraction)) {
            report_value(yaml, "budget", found, "a number from 0.01 to 1");
            config->budget.keep_fraction = 1; /* nothing of this is used, but `by` is looked at */
        }
    } else if (strcmp(found->name, "by") == 0) {
        snprintf(config->budget.by, sizeof config->budget.by, "%s", found->value);
        places->by = found->place;
    } else {
        refuse_member(yaml, "budget", found, known);
    }
}

static void take_fairness_member(sl_config_yaml *yaml, const member *found, sluice_config *config,
                                 sl_config_places *places)
{
    static const char *const known[] = {"group_by", "max_ratio", "min_samples", NULL};
    double count = 0;
    if (strcmp(found->name, "group_by") == 0) {
        if (strlen(found->value) >= sizeof config->fairness.group_by) {
            report_value(yaml, "fairness", found, "a name of at most 255 bytes");
            return;
        }
        memcpy(config->fairness.group_by, found->value, strlen(found->value));
        places->group_by = found->place;
    } else if (strcmp(found->name, "max_ratio") == 0) {
        if (!read_number(found->value, 1, 1000, &config->fairness.max_ratio)) {
            report_value(yaml, "fairness", found, "a number from 1 to 1000");
        }
    } else if (strcmp(found->name, "min_samples") == 0) {
        if (!read_number(found->value, 1, 1e12, &count) || floor(count) < count) {
            report_value(yaml, "fairness", found, "a whole number from 1 to 1000000000000");
        }
        config->fairness.min_samples = (uint64_t)count;
    } else {
        refuse_member(yaml, "fairness", found, known);
    }
}

/* Budget and fairness: a mapping, empty or with what it is about. */
static void read_mapping(const sl_config_key *key, sl_config_yaml *yaml,
                         const sl_config_item *first, sluice_config *config,
                         sl_config_places *places)
{
    bool budget = key->type == SL_CONFIG_BUDGET;
    member found;
    uint32_t n = 0, errors = yaml->errors->n;
    if (first->kind != SL_CONFIG_ITEM_MAPPING) {
        sl_config_report(yaml, first->line, first->column, "%s: expected %s", key->name,
                         sl_config_policy_expected(key));
        sl_config_skip(yaml, first);
        return;
    }
    if (budget) {
        memset(&config->budget, 0, sizeof config->budget);
    } else {
        memset(&config->fairness, 0, sizeof config->fairness);
        config->fairness.max_ratio = 1.25;
        config->fairness.min_samples = 500;
    }
    for (; next_member(yaml, key->name, &found); n++) {
        if (budget) {
            take_budget_member(yaml, &found, config, places);
        } else {
            take_fairness_member(yaml, &found, config, places);
        }
    }
    bool silent = yaml->errors->n > errors;
    if (n == 0 && !silent) {
        memset(&config->fairness, 0, budget ? 0 : sizeof config->fairness);
    } else if (budget && !silent &&
               (config->budget.keep_fraction <= 0 || config->budget.by[0] == '\0')) {
        sl_config_report(yaml, first->line, first->column, "budget: %s is missing",
                         config->budget.by[0] == '\0' ? "by" : "keep_fraction");
    } else if (!budget && !silent && config->fairness.group_by[0] == '\0') {
        sl_config_report(yaml, first->line, first->column, "fairness: group_by is missing");
    }
    (budget ? &places->by : &places->group_by)->broken = yaml->errors->n > errors;
}

void sl_config_policy_read(const sl_config_key *key, sl_config_yaml *yaml,
                           const sl_config_item *first, sluice_config *config,
                           sl_config_places *places)
{
    if (key->type == SL_CONFIG_POLICY) {
        memset(places->rule, 0, sizeof places->rule);
        memset(places->when, 0, sizeof places->when);
        memset(places->reason, 0, sizeof places->reason);
        read_rules(yaml, first, config, places);
    } else {
        read_mapping(key, yaml, first, config, places);
    }
}

/* --- checking --- */

/* Of what was misspelt itself, only an expression that was read says something new. */
static bool told_before(const sl_policy_fault *fault, const sl_config_places *places)
{
    if (fault->part == SL_POLICY_BUDGET_BY) {
        return places->by.broken && places->by.line == 0;
    }
    if (fault->part > SL_POLICY_RULE) {
        return places->group_by.broken && places->group_by.line == 0;
    }
    return places->rule[fault->i_rule].broken &&
           (fault->part != SL_POLICY_WHEN || places->when[fault->i_rule].line == 0);
}

static void report_fault(const sl_policy_fault *fault, const sl_config_places *places,
                         sl_config_yaml *yaml)
{
    sl_config_place place = {0, 0, false, false};
    char what[32];
    const char *part = "";
    bool rule = fault->part <= SL_POLICY_RULE;
    if (rule) {
        const sl_config_place *const of[] = {places->when, places->reason, places->rule};
        place = of[fault->part][fault->i_rule];
        part = fault->part == SL_POLICY_WHEN     ? ".when"
               : fault->part == SL_POLICY_REASON ? ".reason"
                                                 : "";
        snprintf(what, sizeof what, "policy[%u]", fault->i_rule + 1);
    } else {
        bool budget = fault->part == SL_POLICY_BUDGET_BY;
        place = budget ? places->by : places->group_by;
        snprintf(what, sizeof what, "%s", budget ? "budget.by" : "fairness.group_by");
    }
    uint32_t column = place.column + (uint32_t)fault->at + (place.quoted ? 1 : 0);
    sl_config_report(yaml, place.line, place.line == 0 ? 0 : column, "%s%s: %.300s", what, part,
                     fault->text.text);
}

sluice_status sl_config_policy_check(const sluice_config *config, const sl_config_places *places,
                                     sl_config_yaml *yaml)
{
    sl_policy *policy;
    sl_policy_faults *faults = calloc(1, sizeof *faults);
    if (faults == NULL) {
        return SLUICE_E_NOMEM;
    }
    sluice_status status = sl_policy_open(config, &policy, faults);
    for (uint32_t i = 0; i < faults->n; i++) {
        if (!told_before(&faults->fault[i], places)) {
            report_fault(&faults->fault[i], places, yaml);
        }
    }
    sl_policy_close(&policy);
    free(faults);
    return status;
}

/* --- printing --- */

static sluice_status print_rule(const sluice_rule *rule, sluice_bytes *out)
{
    static const char *const words[] = {
        [SLUICE_KEEP] = "keep", [SLUICE_FLAG] = "flag", [SLUICE_DROP] = "drop"};
    SLUICE_TRY(sl_config_put_text(out, "\n  - {when: "));
    SLUICE_TRY(sl_config_put_quoted(out, rule->when));
    SLUICE_TRY(sl_config_put_text(out, ", do: "));
    SLUICE_TRY(sl_config_put_text(out, words[rule->decision]));
    if (rule->reason[0] != '\0') {
        bool word = strspn(rule->reason, "0123456789_-.~") == 0 &&
                    strcmp(rule->reason, "null") != 0; /* else YAML might see a number */
        SLUICE_TRY(sl_config_put_text(out, ", reason: "));
        SLUICE_TRY(word ? sl_config_put_text(out, rule->reason)
                        : sl_config_put_quoted(out, rule->reason));
    }
    if (rule->weight < 1 || rule->weight > 1) {
        SLUICE_TRY(sl_config_put_text(out, ", weight: "));
        SLUICE_TRY(sl_config_put_real(out, rule->weight));
    }
    return sl_config_put_text(out, "}");
}

static sluice_status print_fairness(const sluice_config *config, sluice_bytes *out)
{
    char text[64];
    SLUICE_TRY(sl_config_put_text(out, "{group_by: "));
    SLUICE_TRY(sl_config_put_quoted(out, config->fairness.group_by));
    SLUICE_TRY(sl_config_put_text(out, ", max_ratio: "));
    SLUICE_TRY(sl_config_put_real(out, config->fairness.max_ratio));
    snprintf(text, sizeof text, ", min_samples: %llu}",
             (unsigned long long)config->fairness.min_samples);
    return sl_config_put_text(out, text);
}

sluice_status sl_config_policy_print(const sl_config_key *key, const sluice_config *config,
                                     sluice_bytes *out)
{
    if (key->type == SL_CONFIG_POLICY) {
        if (config->policy.n_rules == 0) {
            return sl_config_put_text(out, " []");
        }
        for (uint32_t i = 0; i < config->policy.n_rules; i++) {
            SLUICE_TRY(print_rule(&config->policy.rule[i], out));
        }
        return SLUICE_OK;
    }
    if (key->type == SL_CONFIG_FAIRNESS) {
        return config->fairness.group_by[0] == '\0' ? sl_config_put_text(out, "{}")
                                                    : print_fairness(config, out);
    }
    if (config->budget.keep_fraction <= 0) {
        return sl_config_put_text(out, "{}");
    }
    SLUICE_TRY(sl_config_put_text(out, "{keep_fraction: "));
    SLUICE_TRY(sl_config_put_real(out, config->budget.keep_fraction));
    SLUICE_TRY(sl_config_put_text(out, ", by: "));
    SLUICE_TRY(sl_config_put_quoted(out, config->budget.by));
    return sl_config_put_text(out, "}");
}
