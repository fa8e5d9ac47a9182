/* metrics.h - the numbers of a running filter in the text format of Prometheus. */
#ifndef SL_METRICS_H
#define SL_METRICS_H

#include "watch/view.h"

#define SL_METRICS_LABELS 256 /* names of one kind; the rest are summed as "(other)" */

/* Appends every metric of the table in metrics.c, each with HELP and TYPE, whether it has a value
 * now or not. Counters begin with the process. */
SLUICE_MUST_USE sluice_status sl_metrics_write(const sl_view *view, sluice_bytes *out);

#endif
