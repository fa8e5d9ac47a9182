/* pipeline_alerts.h - says in the log what has become strange, and that it is over. */
#ifndef SL_PIPELINE_ALERTS_H
#define SL_PIPELINE_ALERTS_H

#include "sluice/engine.h"

typedef struct sl_pipeline_alerts {
    sluice_alert_counts told;
    uint64_t next_offset; /* when they were told */
} sl_pipeline_alerts;

/* What the state holds already was told by the process that saw it come. */
sl_pipeline_alerts sl_pipeline_alerts_of(const sluice_engine *engine);

/* The estimator, behind a batch. Cost: two loads where there is no news. */
void sl_pipeline_alerts_tell(sl_pipeline_alerts *self, const sluice_engine *engine);

#endif
