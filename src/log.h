/* log.h - log lines of the program: one line, an id that can be searched for, then key=value. */
#ifndef SL_LOG_H
#define SL_LOG_H

#include "status.h"

/* INGEST-GAP, STATE-LOCKED ... to standard error. Levels: 0 error, 1 notice, 2.. debug
 * (SLUICE_DEBUG). */
void sl_log(int level, const char *id, const char *format, ...) SLUICE_PRINTF(3, 4);

/* True at most `per_second` times a second for one place in the code; the rest is counted and said
 * with the next line. Data faults are logged through this; counters are never limited. */
typedef struct sl_log_limit {
    long long second;
    unsigned seen, suppressed;
} sl_log_limit;
int sl_log_allowed(sl_log_limit *limit, unsigned per_second);

#endif
