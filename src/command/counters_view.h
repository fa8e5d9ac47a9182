/* counters_view.h - the numbers of the duplicate stage, for people and for programs. */
#ifndef SL_COUNTERS_VIEW_H
#define SL_COUNTERS_VIEW_H

#include "sluice/counters.h"

#include <jansson.h>
#include <stdio.h>

/* A line a method that remembers anything or ever looked for it. */
void sl_counters_print(const sluice_counters *counters, FILE *file);

/* {"text": {"rows": ..., "recall": null}, ...}: every number by its name, of methods with a budget.
 * The caller's to free. */
json_t *sl_counters_json(const sluice_counters *counters);

#endif
