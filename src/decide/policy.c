/* policy.c - the ordered rules of a configuration, ready to run.
 *
 *   rule 0: when -- no --> rule 1: when -- no --> ... --> kept, or flagged if a rule said so
 *             | yes          | flag: reason, go on
 *             v              v
 *         keep | drop: the end
 *
 * Why an expression that fails does not match: the other choice would drop or keep a sample for a
 * fault of the rule. It is counted, and told once.
 * Why a rule with the reason "duplicate" looks at samples with a duplicate only, whatever it says:
 * the promise of cover is not the policy's to break. */
#include "decide/policy.h"
#include "bytes.h"
#include "decide/groups.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct rule {
    uint32_t expression;
    sluice_decision decision;
    bool covers; /* reason "duplicate" */
    float weight;
    char reason[SLUICE_LIMIT_REASON_BYTES];
    sl_policy_rule_faults faults;
} rule;

struct sl_policy {
    sl_names names;
    sl_box *box;
    uint32_t n_rules;
    bool has_budget, has_group;
    uint32_t budget_by;
    sl_name group_by;
    rule rule[SLUICE_LIMIT_RULES];
};

/* --- opening --- */

static sl_policy_fault *add_fault(sl_policy_faults *faults, sl_policy_part part, uint32_t i_rule)
{
    SLUICE_ASSERT(faults->n < sizeof faults->fault / sizeof faults->fault[0]);
    sl_policy_fault *fault = &faults->fault[faults->n++];
    *fault = (sl_policy_fault){.part = part, .i_rule = i_rule};
    return fault;
}

static sluice_status compile(sl_policy *policy, const char *text, sl_value_type wanted,
                             sl_policy_part part, uint32_t i_rule, uint32_t *number,
                             sl_policy_faults *faults)
{
    sl_expression_fault wrong;
    sluice_status status =
        sl_expression_compile(policy->box, text, &policy->names, wanted, number, &wrong);
    if (status == SLUICE_E_CONFIG) {
        sl_policy_fault *fault = add_fault(faults, part, i_rule);
        fault->at = wrong.at;
        fault->text = wrong.text;
        return SLUICE_OK;
    }
    return status;
}

/* What a rule says beside its expression. */
static const char *fault_of_rule(const sl_policy *policy, const rule *self, bool compiled,
                                 sl_policy_part *part)
{
    *part = SL_POLICY_REASON;
    if (strcmp(self->reason, "budget") == 0) {
        return "\"budget\" is the reason of the budget; choose another word";
    }
    if (strcmp(self->reason, SLUICE_REASON_RESTORED) == 0) {
        return "\"restored\" is the reason of `state restore`; choose another word";
    }
    if (self->decision != SLUICE_KEEP && self->reason[0] == '\0') {
        *part = SL_POLICY_RULE;
        return "flag and drop need a reason";
    }
    if (self->covers && self->decision == SLUICE_DROP && compiled &&
        !sl_expression_tests_duplicate(policy->box, self->expression)) {
        return "a rule that drops for the reason \"duplicate\" must test duplicate";
    }
    return NULL;
}

static sluice_status open_rule(sl_policy *policy, const sluice_rule *from, uint32_t i_rule,
                               sl_policy_faults *faults)
{
    rule *self = &policy->rule[i_rule];
    uint32_t before = faults->n;
    self->decision = from->decision;
    self->weight = (float)from->weight;
    snprintf(self->reason, sizeof self->reason, "%s", from->reason);
    self->covers = strcmp(self->reason, "duplicate") == 0;
    SLUICE_TRY(compile(policy, from->when, SL_VALUE_BOOLEAN, SL_POLICY_WHEN, i_rule,
                       &self->expression, faults));
    sl_policy_part part;
    const char *wrong = fault_of_rule(policy, self, faults->n == before, &part);
    if (wrong != NULL) {
        snprintf(add_fault(faults, part, i_rule)->text.text, sizeof(sluice_message), "%s", wrong);
    }
    return SLUICE_OK;
}

static void open_group(sl_policy *policy, const char *path, sl_policy_faults *faults)
{
    sluice_message wrong;
    policy->has_group = sl_groups_key(&policy->names, path, &policy->group_by, &wrong);
    if (!policy->has_group) {
        add_fault(faults, SL_POLICY_GROUP_BY, 0)->text = wrong;
    }
}

sluice_status sl_policy_open(const sluice_config *config, sl_policy **out, sl_policy_faults *faults)
{
    *out = NULL;
    faults->n = 0;
    sl_policy *policy = calloc(1, sizeof *policy);
    sluice_status status = policy != NULL ? sl_box_open(&policy->box) : SLUICE_E_NOMEM;
    if (status != SLUICE_OK) {
        sl_policy_close(&policy);
        return status;
    }
    sl_names_init(&policy->names, config);
    policy->n_rules = config->policy.n_rules;
    for (uint32_t i = 0; i < policy->n_rules && status == SLUICE_OK; i++) {
        status = open_rule(policy, &config->policy.rule[i], i, faults);
    }
    policy->has_budget = config->budget.keep_fraction > 0;
    if (policy->has_budget && status == SLUICE_OK) {
        status = compile(policy, config->budget.by, SL_VALUE_NUMBER, SL_POLICY_BUDGET_BY, 0,
                         &policy->budget_by, faults);
    }
    if (config->fairness.group_by[0] != '\0') {
        open_group(policy, config->fairness.group_by, faults);
    }
    status = status == SLUICE_OK && faults->n > 0 ? SLUICE_E_CONFIG : status;
    if (status != SLUICE_OK) {
        sl_policy_close(&policy);
        return status;
    }
    *out = policy;
    return SLUICE_OK;
}

void sl_policy_close(sl_policy **policy_p)
{
    if (*policy_p != NULL) {
        sl_box_close(&(*policy_p)->box);
        free(*policy_p);
        *policy_p = NULL;
    }
}

const sl_names *sl_policy_names(const sl_policy *policy)
{
    return &policy->names;
}

/* --- judging --- */

static bool matches(sl_policy *policy, rule *self, const sl_facts *facts)
{
    double number;
    sluice_message why = {""};
    if (self->covers && self->decision == SLUICE_DROP &&
        facts->sample->match.method == SLUICE_METHOD_NONE) {
        return false;
    }
    sl_outcome outcome = sl_expression_run(policy->box, self->expression, facts, &number, &why);
    if (outcome == SL_OUTCOME_TRUE || outcome == SL_OUTCOME_FALSE) {
        return outcome == SL_OUTCOME_TRUE;
    }
    if (self->faults.n++ == 0) {
        self->faults.text = why;
        if (outcome != SL_OUTCOME_FAULT) {
            (void)sluice_fail(&self->faults.text, SLUICE_OK,
                              "it gave a number or a text, not true or false");
        }
    }
    return false;
}

static void add_reason(sluice_verdict *verdict, const char *reason, bool last)
{
    if (reason[0] == '\0') {
        return;
    }
    if (verdict->n_reasons < SLUICE_LIMIT_REASONS) {
        verdict->reasons[verdict->n_reasons++] = reason;
    } else if (last) { /* the one that decided is never left out */
        verdict->reasons[SLUICE_LIMIT_REASONS - 1] = reason;
    }
}

void sl_policy_judge(sl_policy *policy, const sl_facts *facts, sluice_verdict *verdict, bool *ended)
{
    *verdict = (sluice_verdict){.decision = SLUICE_KEEP, .weight = 1.0F};
    *ended = false;
    for (uint32_t i = 0; i < policy->n_rules && !*ended; i++) {
        rule *self = &policy->rule[i];
        if (!matches(policy, self, facts)) {
            continue;
        }
        *ended = self->decision != SLUICE_FLAG;
        verdict->weight *= self->weight;
        add_reason(verdict, self->reason, *ended);
        /* keep ends the rules; what was flagged before stays flagged */
        verdict->decision = self->decision == SLUICE_KEEP ? verdict->decision : self->decision;
    }
}

double sl_policy_score(sl_policy *policy, const sl_facts *facts)
{
    double score = (double)NAN;
    if (policy->has_budget) {
        sl_outcome outcome = sl_expression_run(policy->box, policy->budget_by, facts, &score, NULL);
        score = outcome == SL_OUTCOME_NUMBER ? score : (double)NAN;
    }
    return score;
}

sluice_span sl_policy_group(const sl_policy *policy, const sl_facts *facts)
{
    if (!policy->has_group) {
        return (sluice_span){NULL, 0};
    }
    return sl_groups_of(&policy->names, &policy->group_by, facts);
}

const sl_policy_rule_faults *sl_policy_faults_of(const sl_policy *policy, uint32_t i_rule)
{
    SLUICE_ASSERT(i_rule < policy->n_rules);
    return &policy->rule[i_rule].faults;
}

uint32_t sl_policy_n_rules(const sl_policy *policy)
{
    return policy->n_rules;
}
