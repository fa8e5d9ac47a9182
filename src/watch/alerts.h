/* alerts.h - what is strange now: made beside the estimator, shown by the API and /metrics. */
#ifndef SL_ALERTS_H
#define SL_ALERTS_H

#include "sluice/sample.h"

#define SLUICE_LIMIT_ALERTS 64 /* at once; the oldest stay */

typedef struct sl_alert {
    int64_t since_us;                           /* microseconds since 1970 */
    char kind[32];                              /* duplicate_rate, rare_rate, silence ... */
    char source[SLUICE_LIMIT_SOURCE_BYTES + 1]; /* "" = the whole stream */
    double value, limit; /* what was measured, and where it becomes strange; the kind's own unit */
    char text[256];      /* a sentence for a person */
} sl_alert;

typedef struct sl_alerts {
    uint32_t n;
    sl_alert alert[SLUICE_LIMIT_ALERTS];
} sl_alerts;

#endif
