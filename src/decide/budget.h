/* budget.h - keeps a share of the stream: the samples of the highest score. */
#ifndef SL_BUDGET_H
#define SL_BUDGET_H

#include "bytes.h"
#include "status.h"
#include "sluice/sample.h"

#define SL_BUDGET_SCORES 1024 /* the last ones, of which the threshold is a quantile        */
#define SL_BUDGET_SLACK  64   /* samples that the kept ones may be ahead of the share, or behind */

typedef struct sl_budget {
    double keep_fraction; /* of all accepted samples; 0: everything is kept                    */
    double debt;          /* samples that should have been kept and were not; within the slack */
    double threshold;     /* of this block; NaN: none yet                                      */
    double ties;          /* share of the samples at the threshold that is kept                */
    double share;         /* share of the samples without a score that is kept                 */
    double offered;       /* of the samples, lately, that no rule decided: 0 to 1              */
    uint32_t n_block, n_block_offered; /* of this block so far                                 */
    uint32_t n_scores, next_score;
    float score[SL_BUDGET_SCORES]; /* ring of the last ones that were offered               */
} sl_budget;

/* Begins anew. */
void sl_budget_init(sl_budget *budget, double keep_fraction);

/* sl_budget_judge - whether a sample that no rule decided is kept.
 * score    NaN: it has none; then chance decides, at the share that the block has.
 * chance   In [0, 1), of the sample alone (its id and source). */
bool sl_budget_judge(const sl_budget *budget, double score, double chance);

/* What one accepted sample leaves. offered: no rule dropped it; kept: it is passed on. */
void sl_budget_apply(sl_budget *budget, bool offered, bool kept, double score);

void sl_budget_freeze(sl_budget *budget); /* the end of a block */

SLUICE_MUST_USE sluice_status sl_budget_save(const sl_budget *budget, sluice_bytes *out);
/* CORRUPT: not what save wrote; nothing changed. */
SLUICE_MUST_USE sluice_status sl_budget_load(sl_budget *budget, sl_reader *reader);

#endif
