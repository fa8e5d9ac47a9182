/* settings.h - the configuration that a verb was given: a file, then every --set over it. */
#ifndef SL_SETTINGS_H
#define SL_SETTINGS_H

#include "spool/spool.h"
#include "sluice/config.h"

#include <stdio.h>

#define SL_SETTINGS_ASSIGNMENTS 64  /* --set on one command line     */
#define SL_SETTINGS_FAULTS      256 /* shown; the rest is counted    */

typedef struct sl_settings { /* zero = the defaults */
    const char *file;        /* -c; NULL = none. Borrowed, as are the assignments */
    const char *assignments[SL_SETTINGS_ASSIGNMENTS];
    uint32_t n_assignments;
} sl_settings;

typedef struct sl_settings_fault {
    const char *file;       /* NULL: an assignment              */
    const char *assignment; /* NULL: the file                   */
    sluice_config_error error;
} sl_settings_fault;

typedef struct sl_settings_faults {
    uint32_t n; /* in all */
    sl_settings_fault fault[SL_SETTINGS_FAULTS];
} sl_settings_faults;

/* Remembers one --set; false if there are too many. */
bool sl_settings_assign(sl_settings *settings, const char *assignment);

/* sl_settings_load - the defaults, the file, the assignments in order.
 *
 * config   Out; what could be read of it, also on error, so that a check can go on.
 * faults   Out; every error of the file and of all assignments.
 * Returns  CONFIG if there is any. */
SLUICE_MUST_USE sluice_status sl_settings_load(const sl_settings *settings, sluice_config *config,
                                               sl_settings_faults *faults);

/* One line each: "sluice.yaml:4:5: what is wrong". */
void sl_settings_print(const sl_settings_faults *faults, FILE *file);

/* Both, for a verb that cannot go on without: prints to standard error; true if all is well. */
SLUICE_MUST_USE bool sl_settings_read(const sl_settings *settings, sluice_config *config);

/* Sets the keys that a state was made with over the configuration. */
SLUICE_MUST_USE sluice_status sl_settings_as_stored(sl_spool *spool, sluice_config *config,
                                                    sluice_message *why);

#endif
