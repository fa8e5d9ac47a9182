/* policy.h - the ordered rules of a configuration, ready to run. */
#ifndef SL_POLICY_H
#define SL_POLICY_H

#include "decide/expression.h"

typedef struct sl_policy sl_policy; /* opaque; one thread */

/* Which value of the configuration is wrong, and how. */
typedef enum sl_policy_part {
    SL_POLICY_WHEN,
    SL_POLICY_REASON,
    SL_POLICY_RULE, /* as a whole */
    SL_POLICY_BUDGET_BY,
    SL_POLICY_GROUP_BY
} sl_policy_part;

typedef struct sl_policy_fault {
    sl_policy_part part;
    uint32_t i_rule; /* WHEN, REASON, RULE */
    size_t at;       /* byte of the value  */
    sluice_message text;
} sl_policy_fault;

typedef struct sl_policy_faults {
    uint32_t n;
    sl_policy_fault fault[2 * SLUICE_LIMIT_RULES + 2];
} sl_policy_faults;

/* sl_policy_open - compiles the rules, the budget's score and the group of a configuration.
 * faults   Out: everything that is wrong, in order. CONFIG if there is anything. */
SLUICE_MUST_USE sluice_status sl_policy_open(const sluice_config *config, sl_policy **out,
                                             sl_policy_faults *faults);
void sl_policy_close(sl_policy **policy_p); /* Takes; NULL ok */

/* The attributes that it speaks of; facts hold their values in this order. */
const sl_names *sl_policy_names(const sl_policy *policy);

/* sl_policy_judge - what the rules say of one sample: the verdict without the budget.
 *
 * ended    Out: a rule said keep or drop, so the budget has no say.
 * verdict  Out; reasons lent until the policy is closed. */
void sl_policy_judge(sl_policy *policy, const sl_facts *facts, sluice_verdict *verdict,
                     bool *ended);

/* The score that the budget orders samples by; NaN where there is none. */
double sl_policy_score(sl_policy *policy, const sl_facts *facts);

/* The group of fairness that the sample belongs to; empty where it has none. */
sluice_span sl_policy_group(const sl_policy *policy, const sl_facts *facts);

/* Samples for which a rule's expression failed (a comparison with a text that is not there): the
 * rule did not match them. `text` is the first one's message, "" while there is none. */
typedef struct sl_policy_rule_faults {
    uint64_t n;
    sluice_message text;
} sl_policy_rule_faults;
const sl_policy_rule_faults *sl_policy_faults_of(const sl_policy *policy, uint32_t i_rule);
uint32_t sl_policy_n_rules(const sl_policy *policy);

#endif
