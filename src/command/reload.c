/* reload.c - what SIGHUP changes in a running filter.
 *
 *   file, --set --> checked as at a start --> live: from the next block on
 *                                         --> restart: told, ignored      --> state: all is refused
 *
 * Why a changed state key refuses all: the file then describes another filter than this one, and
 * half of it would be neither. */
#include "command/reload.h"
#include "log.h"

#include <stdlib.h>

static void log_faults(const sl_settings_faults *faults)
{
    uint32_t n_kept = faults->n < SL_SETTINGS_FAULTS ? faults->n : SL_SETTINGS_FAULTS;
    for (uint32_t i = 0; i < n_kept; i++) {
        const sl_settings_fault *fault = &faults->fault[i];
        if (fault->file != NULL) {
            sl_log(0, "RELOAD-FAULT", "%s:%u:%u: %s", fault->file, fault->error.line,
                   fault->error.column, fault->error.text);
        } else {
            sl_log(0, "RELOAD-FAULT", "--set %.80s: %s", fault->assignment, fault->error.text);
        }
    }
    sl_log(0, "RELOAD-REFUSED", "faults=%u; the filter goes on with what it has", faults->n);
}

/* False: refused. */
static bool take(const sluice_config *next, sluice_config *config, sl_pipeline *pipeline)
{
    sluice_config_changes changes;
    uint64_t hash = 0;
    sluice_status status = sluice_config_compare(config, next, &changes);
    if (status == SLUICE_OK) {
        status = sluice_config_live_hash(next, &hash);
    }
    if (status == SLUICE_OK && changes.state.text[0] != '\0') {
        sl_log(0, "RELOAD-REFUSED",
               "keys=\"%s\" a running state refuses another value; the filter "
               "goes on with what it has",
               changes.state.text);
        return false;
    }
    if (status == SLUICE_OK && changes.restart.text[0] != '\0') {
        sl_log(0, "RELOAD-RESTART", "keys=\"%s\" need a restart", changes.restart.text);
    }
    if (status == SLUICE_OK && changes.live.text[0] == '\0' &&
        !sl_pipeline_change_refused(pipeline)) {
        sl_log(1, "RELOAD-SAME", "policy=%016llx no live key has changed",
               (unsigned long long)hash);
        return true;
    }
    status = status == SLUICE_OK ? sl_pipeline_change(pipeline, next) : status;
    if (status != SLUICE_OK) {
        sl_log(0, "RELOAD-REFUSED", "no memory; the filter goes on with what it has");
        return false;
    }
    config->policy = next->policy;
    config->budget = next->budget;
    config->fairness = next->fairness;
    sl_log(1, "RELOAD-TAKEN", "keys=\"%s\" policy=%016llx from the next block of samples on",
           changes.live.text, (unsigned long long)hash);
    return true;
}

void sl_reload(const sl_settings *settings, sluice_config *config, sl_pipeline *pipeline)
{
    sl_settings_faults *faults = calloc(1, sizeof *faults);
    sluice_config next;
    sluice_status status =
        faults != NULL ? sl_settings_load(settings, &next, faults) : SLUICE_E_NOMEM;
    bool taken = false;
    if (status == SLUICE_OK) {
        taken = take(&next, config, pipeline);
    } else if (status == SLUICE_E_CONFIG) {
        log_faults(faults);
    } else {
        sl_log(0, "RELOAD-REFUSED", "no memory; the filter goes on with what it has");
    }
    sl_pipeline_count_reload(pipeline, !taken);
    free(faults);
}
