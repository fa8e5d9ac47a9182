/* decide.h - the verdict of one sample from what the stages before found. */
#ifndef SL_DECIDE_H
#define SL_DECIDE_H

#include "decide/budget.h"
#include "decide/groups.h"
#include "decide/policy.h"

typedef struct sl_decide sl_decide; /* opaque; one thread */

/* CONFIG with the first fault in `why`: config.c tells them all, with their places. */
SLUICE_MUST_USE sluice_status sl_decide_open(const sluice_config *config, sl_decide **out,
                                             sluice_message *why); /* Gives *out     */
void sl_decide_close(sl_decide **decide_p);                        /* Takes; NULL ok */

/* The attributes that facts must have, in this order; until the next change. */
const sl_names *sl_decide_names(const sl_decide *decide);

/* sl_decide_judge - rules, then the budget. Reads what `apply` of the samples before has left.
 * verdict  Out; reasons lent until close, or until the policy is changed. */
void sl_decide_judge(sl_decide *decide, const sl_facts *facts, sluice_verdict *verdict);

/* What a judged sample leaves: budget and groups. Cannot fail. */
void sl_decide_apply(sl_decide *decide, const sl_facts *facts);

void sl_decide_freeze(sl_decide *decide); /* the end of a block */

/* Another policy, budget and fairness from now on; a budget or a group that stays the same keeps
 * what it has learned. The caller sees to it that this is between two blocks.
 * next_p   Takes: what sl_decide_open gave for the new configuration; NULL afterwards. */
void sl_decide_change(sl_decide *decide, sl_decide **next_p);

SLUICE_MUST_USE sluice_status sl_decide_save(const sl_decide *decide, sluice_bytes *out);
/* What was saved of another budget or another group is left out: these begin anew. CORRUPT: not
 * what save wrote; nothing changed.
 * has_counts  as checkpoints of version 3 were: counts by group are in it. */
SLUICE_MUST_USE sluice_status sl_decide_load(sl_decide *decide, sl_reader *reader, bool has_counts);

/* The portfolio by group; nothing, and size 0, without fairness.group_by. */
SLUICE_MUST_USE sluice_status sl_decide_save_groups(const sl_decide *decide, sluice_bytes *out);
SLUICE_MUST_USE sluice_status sl_decide_load_groups(sl_decide *decide, sluice_span saved);
/* What was saved elsewhere, to be added. Gives *out; NULL without error: it is of other groups. */
SLUICE_MUST_USE sluice_status sl_decide_read_groups(const sl_decide *decide, sluice_span saved,
                                                    sluice_portfolio **out);
void sl_decide_add_groups(sl_decide *decide, const sluice_portfolio *other);

const sl_policy *sl_decide_policy(const sl_decide *decide);
const sluice_portfolio *sl_decide_groups(const sl_decide *decide); /* NULL: no fairness.group_by */
sluice_fairness sl_decide_fairness(const sl_decide *decide);

/* The verdict of a sample that a person offers again: kept, for the reason "restored". */
void sl_decide_restore(sluice_verdict *verdict);

#endif
