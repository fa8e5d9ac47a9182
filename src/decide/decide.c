/* decide.c - the verdict of one sample from what the stages before found.
 *
 *   facts --> policy: rules in order --> ended: the verdict
 *                                    \-> budget: kept, or dropped for the reason "budget"
 *   apply  <- the verdict, the score: budget (debt, last scores), groups (a portfolio)
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
    sluice_portfolio *groups; /* NULL: none are wanted */
    uint64_t budget_key;      /* of what it was made for */
    uint64_t seed;
    double max_ratio;
    uint64_t min_samples;
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
    if (status == SLUICE_OK && config->fairness.group_by[0] != '\0') {
        status = sluice_portfolio_open_groups(config->fairness.group_by, &decide->groups);
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
    decide->seed = config->seed;
    uint64_t fraction;
    memcpy(&fraction, &config->budget.keep_fraction, sizeof fraction);
    decide->budget_key =
        XXH3_64bits_withSeed(config->budget.by, strlen(config->budget.by), fraction);
    decide->max_ratio = config->fairness.max_ratio;
    decide->min_samples = config->fairness.min_samples;
    *out = decide;
    return SLUICE_OK;
}

void sl_decide_close(sl_decide **decide_p)
{
    if (*decide_p != NULL) {
        sl_policy_close(&(*decide_p)->policy);
        sluice_portfolio_close(&(*decide_p)->groups);
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
    if (decide->groups != NULL) {
        sl_groups_apply(decide->groups, sl_policy_group(decide->policy, facts), facts->sample);
    }
}

static bool same_groups(const sluice_portfolio *a, const sluice_portfolio *b)
{
    return a != NULL && b != NULL &&
           strcmp(sluice_portfolio_group_by(a), sluice_portfolio_group_by(b)) == 0;
}

static void swap_groups(sluice_portfolio **a, sluice_portfolio **b)
{
    sluice_portfolio *of_a = *a;
    *a = *b;
    *b = of_a;
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
    if (same_groups(next->groups, decide->groups)) {
        swap_groups(&next->groups, &decide->groups);
    }
    sl_policy_close(&decide->policy);
    sluice_portfolio_close(&decide->groups);
    *decide = *next;
    free(next);
    *next_p = NULL;
}

/* --- keeping --- */

sluice_status sl_decide_save(const sl_decide *decide, sluice_bytes *out)
{
    SLUICE_TRY(sl_bytes_put_u64(out, decide->budget_key));
    return sl_budget_save(&decide->budget, out);
}

/* Of another group they are read and left out. */
static sluice_status load_counts(sl_decide *decide, sl_reader *reader)
{
    sluice_portfolio *loaded = NULL;
    uint64_t key = sl_reader_u64(reader);
    const char *own = decide->groups != NULL ? sluice_portfolio_group_by(decide->groups) : "";
    if (decide->groups != NULL && key == XXH3_64bits(own, strlen(own))) {
        SLUICE_TRY(sluice_portfolio_open_groups(own, &loaded));
    }
    sluice_status status = sl_groups_load_counts(loaded, reader);
    if (status == SLUICE_OK && loaded != NULL) {
        swap_groups(&loaded, &decide->groups);
    }
    sluice_portfolio_close(&loaded);
    return status;
}

sluice_status sl_decide_load(sl_decide *decide, sl_reader *reader, bool has_counts)
{
    sl_budget budget;
    uint64_t budget_key = sl_reader_u64(reader);
    SLUICE_TRY(sl_budget_load(&budget, reader));
    if (has_counts) {
        SLUICE_TRY(load_counts(decide, reader));
    }
    if (budget_key == decide->budget_key) {
        decide->budget = budget;
    }
    return SLUICE_OK;
}

sluice_status sl_decide_save_groups(const sl_decide *decide, sluice_bytes *out)
{
    return decide->groups != NULL ? sluice_portfolio_save(decide->groups, out) : SLUICE_OK;
}

sluice_status sl_decide_read_groups(const sl_decide *decide, sluice_span saved,
                                    sluice_portfolio **out)
{
    *out = NULL;
    if (saved.size == 0) {
        return SLUICE_OK;
    }
    SLUICE_TRY(sluice_portfolio_open_groups("", out));
    sluice_status status = sluice_portfolio_load(*out, saved);
    if (status != SLUICE_OK || !same_groups(*out, decide->groups)) {
        sluice_portfolio_close(out);
    }
    return status;
}

sluice_status sl_decide_load_groups(sl_decide *decide, sluice_span saved)
{
    sluice_portfolio *loaded;
    SLUICE_TRY(sl_decide_read_groups(decide, saved, &loaded));
    if (loaded != NULL) {
        swap_groups(&loaded, &decide->groups);
    }
    sluice_portfolio_close(&loaded);
    return SLUICE_OK;
}

void sl_decide_add_groups(sl_decide *decide, const sluice_portfolio *other)
{
    uint16_t number[SLUICE_LIMIT_SOURCES + 1];
    sluice_portfolio_merge(decide->groups, other, number);
}

const sl_policy *sl_decide_policy(const sl_decide *decide)
{
    return decide->policy;
}

const sluice_portfolio *sl_decide_groups(const sl_decide *decide)
{
    return decide->groups;
}

sluice_fairness sl_decide_fairness(const sl_decide *decide)
{
    return sl_groups_fairness(decide->groups, decide->max_ratio, decide->min_samples);
}

void sl_decide_restore(sluice_verdict *verdict)
{
    *verdict = (sluice_verdict){.decision = SLUICE_KEEP,
                                .weight = 1.0F,
                                .n_reasons = 1,
                                .reasons = {SLUICE_REASON_RESTORED}};
}
