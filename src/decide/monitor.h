/* monitor.h - one signal of one source against its own past: a fast mean beside a slow one. */
#ifndef SL_MONITOR_H
#define SL_MONITOR_H

#include "bytes.h"

#define SL_MONITOR_BLOCK 64 /* values of a source that make one mean */
#define SL_MONITOR_LEAST 16 /* means before anything is said */

/* How far the fast mean may stray. */
typedef struct sl_monitor_limits {
    double effect;   /* least difference that matters, in the unit of the signal */
    double variance; /* least variance of a block's mean that is believed        */
} sl_monitor_limits;

typedef struct sl_monitor {
    uint32_t n;      /* values of the open block                                  */
    double sum;      /* of them                                                   */
    uint64_t blocks; /* closed                                                    */
    double fast;     /* mean of the last blocks, each counting half of the next   */
    double mean;     /* slow mean of block means, half of it from the last 64     */
    double variance; /* of block means around it                                  */
    bool raised;
} sl_monitor;

typedef struct sl_monitor_news {
    bool raised, cleared;
    double usual, limit; /* the slow mean; what the fast mean passed */
} sl_monitor_news;

/* Adds a value; NaN is left out. There is news at the end of a block only. */
sl_monitor_news sl_monitor_add(sl_monitor *monitor, const sl_monitor_limits *limits, double value);

SLUICE_MUST_USE sluice_status sl_monitor_save(const sl_monitor *monitor, sluice_bytes *out);
bool sl_monitor_load(sl_monitor *monitor, sl_reader *reader);

#endif
