/* pipeline_policy.h - what a running filter does about its policy: takes changes, tells faults. */
#ifndef SL_PIPELINE_POLICY_H
#define SL_PIPELINE_POLICY_H

#include "sluice/engine.h"

#include <stdatomic.h>

typedef struct sl_pipeline_policy { /* zero = nothing wanted */
    sluice_config *_Atomic wanted;
    sluice_config *_Atomic live; /* holds since now; who takes it frees it; NULL: no news */
    atomic_bool refused;         /* the last one that was wanted: the engine could not take it    */
    /* the estimator's */
    sluice_config *taken; /* the engine has it, and it does not hold yet; NULL: none */
    uint64_t rules_told;  /* bit a rule: that it failed was said                        */
    bool unfair_told;
} sl_pipeline_policy;

/* Any thread: the live keys of `config` are wanted; an older wish that was not taken yet is
 * forgotten. */
SLUICE_MUST_USE sluice_status sl_pipeline_policy_want(sl_pipeline_policy *self,
                                                      const sluice_config *config);

/* Any thread: the engine did not take what was wanted last, and goes on with what it had. */
bool sl_pipeline_policy_refused(const sl_pipeline_policy *self);

/* The estimator, before a batch and behind it. take: false if the engine refused. tell: true once
 * when a change has taken hold in this batch: the checkpoint that goes with the batch must know.
 * The configuration then is `live`. */
bool sl_pipeline_policy_take(sl_pipeline_policy *self, sluice_engine *engine);
bool sl_pipeline_policy_tell(sl_pipeline_policy *self, const sluice_engine *engine);

void sl_pipeline_policy_fini(sl_pipeline_policy *self);

#endif
