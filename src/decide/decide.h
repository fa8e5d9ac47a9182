/* decide.h - the verdict of one sample from what the stages before found. */
#ifndef SL_DECIDE_H
#define SL_DECIDE_H

#include "sluice/sample.h"

/* Fills verdict from match by the default policy: a duplicate is dropped for the reason
 * "duplicate", everything else is kept with weight 1. */
void sl_decide_judge(const sluice_match *match, sluice_verdict *verdict);

/* The verdict of a sample that a person offers again: kept, for the reason "restored". */
void sl_decide_restore(sluice_verdict *verdict);

#endif
