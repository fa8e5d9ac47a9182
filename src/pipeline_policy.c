/* pipeline_policy.c - what a running filter does about its policy: takes changes, tells faults.
 *
 *   SIGHUP --want--> wanted --take--> engine: from the next block on --tell--> log, checkpoint
 *   any thread       atomic           the estimator                               +--live--> http
 *
 * Why a checkpoint at once: what the budget has learned belongs to one configuration. With the
 * checkpoint in the transaction of the first samples of the new one, a restart never applies the
 * log across the change. */
#include "pipeline_policy.h"
#include "fault.h"
#include "log.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>

sluice_status sl_pipeline_policy_want(sl_pipeline_policy *self, const sluice_config *config)
{
    sluice_config *wanted = malloc(sizeof *wanted);
    if (wanted == NULL) {
        return SLUICE_E_NOMEM;
    }
    *wanted = *config;
    atomic_store(&self->refused, false);
    free(atomic_exchange(&self->wanted, wanted));
    return SLUICE_OK;
}

bool sl_pipeline_policy_refused(const sl_pipeline_policy *self)
{
    return atomic_load(&self->refused);
}

bool sl_pipeline_policy_take(sl_pipeline_policy *self, sluice_engine *engine)
{
    if (atomic_load_explicit(&self->wanted, memory_order_relaxed) == NULL) {
        return true;
    }
    sluice_config *wanted = atomic_exchange(&self->wanted, NULL);
    sluice_message why = {"no memory"};
    sluice_status status = SLUICE_FAULT("policy.change") != 0
                               ? SLUICE_E_NOMEM
                               : sluice_engine_change(engine, wanted, &why);
    if (status == SLUICE_OK) {
        free(self->taken);
        self->taken = wanted;
        return true;
    }
    sl_log(0, "POLICY-REFUSED", "%s; the old one stays", why.text);
    free(wanted);
    atomic_store(&self->refused, true);
    return false;
}

static void tell_faults(sl_pipeline_policy *self, const sluice_engine *engine)
{
    for (uint32_t i = 0; i < sluice_engine_n_rules(engine); i++) {
        sluice_rule_faults faults = sluice_engine_rule_faults(engine, i);
        if (faults.n > 0 && (self->rules_told >> i & 1) == 0) {
            self->rules_told |= UINT64_C(1) << i;
            sl_log(0, "POLICY-FAULT", "rule=%u %s; it does not match such samples", i + 1,
                   faults.text);
        }
    }
}

static void tell_fairness(sl_pipeline_policy *self, const sluice_engine *engine)
{
    sluice_fairness fairness = sluice_engine_fairness(engine);
    if (fairness.unfair == self->unfair_told) {
        return;
    }
    self->unfair_told = fairness.unfair;
    if (!fairness.unfair) {
        sl_log(1, "FAIRNESS-EQUAL", "ratio=%.3g", fairness.ratio);
        return;
    }
    sluice_group_counts high = sluice_engine_group(engine, fairness.i_high);
    sluice_group_counts low = sluice_engine_group(engine, fairness.i_low);
    sl_log(0, "FAIRNESS-UNEQUAL",
           "ratio=%.3g group=%.*s dropped=%llu of=%llu group=%.*s "
           "dropped=%llu of=%llu",
           fairness.ratio, (int)high.group.size, high.group.data, (unsigned long long)high.dropped,
           (unsigned long long)high.received, (int)low.group.size, low.group.data,
           (unsigned long long)low.dropped, (unsigned long long)low.received);
}

static void tell_changed(sl_pipeline_policy *self, const sluice_engine *engine)
{
    uint64_t hash = 0;
    if (sluice_config_live_hash(self->taken, &hash) != SLUICE_OK) {
        hash = 0; /* no memory: the line is worth more than the number */
    }
    self->rules_told = 0;
    sl_log(1, "POLICY-CHANGED", "offset=%llu policy=%016llx",
           (unsigned long long)sluice_engine_changed_at(engine), (unsigned long long)hash);
    free(atomic_exchange(&self->live, self->taken));
    self->taken = NULL;
}

bool sl_pipeline_policy_tell(sl_pipeline_policy *self, const sluice_engine *engine)
{
    bool changed = self->taken != NULL && sluice_engine_changed_at(engine) != UINT64_MAX;
    if (changed) {
        tell_changed(self, engine);
    }
    tell_faults(self, engine);
    tell_fairness(self, engine);
    return changed;
}

void sl_pipeline_policy_fini(sl_pipeline_policy *self)
{
    free(atomic_exchange(&self->wanted, NULL));
    free(atomic_exchange(&self->live, NULL));
    free(self->taken);
}
