/* decide.c - the verdict of one sample from what the stages before found.
 *
 *   facts --> policy: rules in order --> ended: the verdict
 *                                    \-> budget: kept, or dropped for the reason "budget"
 *   apply  <- the verdict, the score: budget (debt, last scores), groups (drops)
 *
 * Why the score is taken again in apply: a replay of the log calls apply alone, and everything that
 * the score is made of is in the log. */
#include "decide/decide.h"
#include "bytes.h"

#include <math.h>
#include <stdlib.h>
#include <xxhash.h>

struct sl_decide {
    sl_policy *policy;
    sl_budget budget;
    sl_groups groups;
    uint64_t budget_key, group_key; /* of what the two were made for */
    uint64_t seed;
    double max_ratio;
    uint64_t min_samples;
    bool has_group;
};

sluice_status sl_decide_open(const sluice_config *config, sl_decide **out, sluice_message *why)
{
    *out = NULL;
    sl_decide *decide = calloc(1, sizeof *decide);
    sl_policy_faults *faults = calloc(1, sizeof *faults);
    sluice_status status = SLUICE_E_NOMEM;
    if (decide != NULL && faults != NULL) {
        status = sl_policy_open(config, &decide->policy, faults);
    }
    if (status != SLUICE_OK) {
        status = status == SLUICE_E_CONFIG
                     ? sluice_fail(why, status, "policy: rule %u: %s", faults->fault[0].i_rule + 1,
                                   faults->fault[0].text.text)
                     : sluice_fail(why, status, "no memory for the policy");
        free(faults);
        sl_decide_close(&decide);
        return status;
    }
    free(faults);
    sl_budget_init(&decide->budget, config->budget.keep_fraction);
    sl_groups_init(&decide->groups);
    decide->seed = config->seed;
    uint64_t fraction;
    memcpy(&fraction, &config->budget.keep_fraction, sizeof fraction);
    decide->budget_key =
        XXH3_64bits_withSeed(config->budget.by, strlen(config->budget.by), fraction);
    decide->group_key = XXH3_64bits(config->fairness.group_by, strlen(config->fairness.group_by));
    decide->has_group = config->fairness.group_by[0] != '\0';
    decide->max_ratio = config->fairness.max_ratio;
    decide->min_samples = config->fairness.min_samples;
    *out = decide;
    return SLUICE_OK;
}

void sl_decide_close(sl_decide **decide_p)
{
    if (*decide_p != NULL) {
        sl_policy_close(&(*decide_p)->policy);
        free(*decide_p);
        *decide_p = NULL;
    }
}

const sl_names *sl_decide_names(const sl_decide *decide)
{
    return sl_policy_names(decide->policy);
}

/* --- one sample --- */

/* In [0, 1), of the sample's own name: the same wherever it is judged. */
static double chance_of(const sl_decide *decide, const sluice_sample *sample)
{
    uint64_t hash = XXH3_64bits_withSeed(sample->source.data, sample->source.size, decide->seed);
    hash = XXH3_64bits_withSeed(sample->id.data, sample->id.size, hash);
    return (double)(hash >> 11) * 0x1p-53;
}

void sl_decide_judge(sl_decide *decide, const sl_facts *facts, sluice_verdict *verdict)
{
    bool ended;
    sl_policy_judge(decide->policy, facts, verdict, &ended);
    if (!ended && decide->budget.keep_fraction > 0 &&
        !sl_budget_judge(&decide->budget, sl_policy_score(decide->policy, facts),
                         chance_of(decide, facts->sample))) {
        verdict->decision = SLUICE_DROP;
        verdict->n_reasons -= verdict->n_reasons == SLUICE_LIMIT_REASONS;
        verdict->reasons[verdict->n_reasons++] = "budget";
    }
    /* The promise of cover: a drop for this reason names a kept sample. */
    for (uint32_t i = 0; i < verdict->n_reasons && verdict->decision == SLUICE_DROP; i++) {
        SLUICE_ASSERT(strcmp(verdict->reasons[i], "duplicate") != 0 ||
                      facts->sample->match.method != SLUICE_METHOD_NONE);
    }
}

void sl_decide_apply(sl_decide *decide, const sl_facts *facts)
{
    const sluice_verdict *verdict = &facts->sample->verdict;
    bool kept = verdict->decision != SLUICE_DROP;
    if (decide->budget.keep_fraction > 0) {
        bool by_budget = !kept && verdict->n_reasons > 0 &&
                         strcmp(verdict->reasons[verdict->n_reasons - 1], "budget") == 0;
        bool offered = kept || by_budget;
        sl_budget_apply(&decide->budget, offered, kept,
                        offered ? sl_policy_score(decide->policy, facts) : (double)NAN);
    }
    if (decide->has_group) {
        sl_groups_apply(&decide->groups, sl_policy_group(decide->policy, facts), !kept);
    }
}

void sl_decide_freeze(sl_decide *decide)
{
    sl_budget_freeze(&decide->budget);
}

void sl_decide_change(sl_decide *decide, sl_decide **next_p)
{
    sl_decide *next = *next_p;
    if (next->budget_key == decide->budget_key) {
        next->budget = decide->budget;
    }
    if (next->group_key == decide->group_key) {
        next->groups = decide->groups;
    }
    sl_policy_close(&decide->policy);
    *decide = *next;
    free(next);
    *next_p = NULL;
}

/* --- keeping --- */

sluice_status sl_decide_save(const sl_decide *decide, sluice_bytes *out)
{
    SLUICE_TRY(sl_bytes_put_u64(out, decide->budget_key));
    SLUICE_TRY(sl_budget_save(&decide->budget, out));
    SLUICE_TRY(sl_bytes_put_u64(out, decide->group_key));
    return sl_groups_save(&decide->groups, out);
}

sluice_status sl_decide_load(sl_decide *decide, sl_reader *reader)
{
    sl_budget budget;
    uint64_t budget_key = sl_reader_u64(reader);
    SLUICE_TRY(sl_budget_load(&budget, reader));
    uint64_t group_key = sl_reader_u64(reader);
    sl_groups groups;
    SLUICE_TRY(sl_groups_load(&groups, reader));
    if (budget_key == decide->budget_key) {
        decide->budget = budget;
    }
    if (group_key == decide->group_key) {
        decide->groups = groups;
    }
    return SLUICE_OK;
}

const sl_policy *sl_decide_policy(const sl_decide *decide)
{
    return decide->policy;
}

const sl_groups *sl_decide_groups(const sl_decide *decide)
{
    return &decide->groups;
}

sluice_fairness sl_decide_fairness(const sl_decide *decide)
{
    return sl_groups_fairness(&decide->groups, decide->max_ratio, decide->min_samples);
}

void sl_decide_restore(sluice_verdict *verdict)
{
    *verdict = (sluice_verdict){.decision = SLUICE_KEEP,
                                .weight = 1.0F,
                                .n_reasons = 1,
                                .reasons = {SLUICE_REASON_RESTORED}};
}
