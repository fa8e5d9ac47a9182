/* decide.c - the verdict of one sample from what the stages before found. */
#include "decide/decide.h"
#include "status.h"

void sl_decide_judge(const sluice_match *match, sluice_verdict *verdict)
{
    *verdict = (sluice_verdict){.decision = SLUICE_KEEP, .weight = 1.0F};
    if (match->method != SLUICE_METHOD_NONE) {
        /* The promise of cover: a drop for this reason names a kept sample. */
        SLUICE_ASSERT(match->of_offset != UINT64_MAX);
        verdict->decision = SLUICE_DROP;
        verdict->reasons[verdict->n_reasons++] = "duplicate";
    }
}

void sl_decide_restore(sluice_verdict *verdict)
{
    *verdict = (sluice_verdict){
        .decision = SLUICE_KEEP, .weight = 1.0F, .n_reasons = 1, .reasons = {"restored"}};
}
