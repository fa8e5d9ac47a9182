/* reload.h - what SIGHUP changes in a running filter. */
#ifndef SL_RELOAD_H
#define SL_RELOAD_H

#include "command/settings.h"
#include "pipeline.h"

/* Reads the settings again and gives their live keys to the pipeline; what cannot be taken is
 * logged, and then everything stays as it was.
 *
 * config   In and out: what the filter runs with; its live keys follow. */
void sl_reload(const sl_settings *settings, sluice_config *config, sl_pipeline *pipeline);

#endif
