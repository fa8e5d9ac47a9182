/* monitor.c - one signal of one source against its own past: a fast mean beside a slow one.
 *
 *   values -> means of 64 -> fast (half from the last) --+
 *                        -> slow (half from the last 64) +--> |fast - slow| > limit ? raised
 *                        -> variance of the means -------+
 *
 * Why means of blocks: real streams come in bursts (an hour of one topic, a feed sent twice), so
 * single values are far from independent. What the block means of this source did before says how
 * much of a difference is usual; a formula for independent values would cry wolf.
 * Why the slow mean goes on learning: a change that stays becomes the past, and the alert ends. */
#include "decide/monitor.h"

#include <math.h>

#define SLOW_BLOCKS 64.0
#define SIGMAS      6.0
#define CLIPPED     3.0
#define FAST_SHARE  (1.0 / 3) /* variance of the fast mean, of that of a block: sum of 4^-i */

/* Largest distance of the fast from the slow mean that is not news. */
static double largest_usual(const sl_monitor *monitor, const sl_monitor_limits *limits)
{
    double variance = monitor->variance > limits->variance ? monitor->variance : limits->variance;
    /* Few means say little about their own scatter. */
    double doubt = 1 + (double)SL_MONITOR_LEAST / ((double)monitor->blocks + 1);
    double limit = SIGMAS * doubt * sqrt(variance * FAST_SHARE);
    return limit > limits->effect ? limit : limits->effect;
}

/* Weighs a new mean as one among those seen, until 64 / ln 2 of them were; while an alert holds, as
 * little as it ever will: or a burst early in the stream would be much of its past, and the next
 * one like it no news. What is further off than CLIPPED deviations counts as so far: or the first
 * two means after a change would make it usual. */
static void learn(sl_monitor *monitor, const sl_monitor_limits *limits, double value)
{
    double weight = 1 / ((double)monitor->blocks + 1);
    double least = 1 - exp2(-1 / SLOW_BLOCKS);
    weight = weight > least && !monitor->raised ? weight : least;
    double step = value - monitor->mean;
    double most = CLIPPED * sqrt(fmax(monitor->variance, limits->variance));
    double clipped = monitor->blocks > 1 ? fmax(-most, fmin(step, most)) : step;
    monitor->mean += weight * step;
    monitor->variance = (1 - weight) * (monitor->variance + weight * clipped * clipped);
}

static sl_monitor_news close_block(sl_monitor *monitor, const sl_monitor_limits *limits)
{
    double of_block = monitor->sum / SL_MONITOR_BLOCK;
    bool known = monitor->blocks >= SL_MONITOR_LEAST;
    monitor->sum = 0;
    monitor->n = 0;
    monitor->fast = monitor->blocks == 0 ? of_block : (monitor->fast + of_block) / 2;
    double usual = monitor->mean;
    double distance = fabs(monitor->fast - usual);
    double limit = largest_usual(monitor, limits);
    double passed = monitor->fast > usual ? usual + limit : usual - limit;
    bool calm = distance < limit / 2;
    sl_monitor_news news = {.raised = known && !monitor->raised && distance > limit,
                            .cleared = monitor->raised && calm,
                            .usual = usual,
                            .limit = passed};
    monitor->raised = (monitor->raised || news.raised) && !news.cleared;
    learn(monitor, limits, of_block);
    monitor->blocks++;
    return news;
}

sl_monitor_news sl_monitor_add(sl_monitor *monitor, const sl_monitor_limits *limits, double value)
{
    if (isnan(value)) {
        return (sl_monitor_news){.raised = false};
    }
    monitor->sum += value;
    monitor->n++;
    return monitor->n == SL_MONITOR_BLOCK ? close_block(monitor, limits)
                                          : (sl_monitor_news){.raised = false};
}

sluice_status sl_monitor_save(const sl_monitor *monitor, sluice_bytes *out)
{
    SLUICE_TRY(sl_bytes_put_varint(out, monitor->blocks));
    SLUICE_TRY(sl_bytes_put_u8(out, (uint8_t)(monitor->n << 1 | monitor->raised)));
    if (monitor->blocks == 0 && monitor->n == 0) {
        return SLUICE_OK;
    }
    SLUICE_TRY(sl_bytes_put_double(out, monitor->sum));
    SLUICE_TRY(sl_bytes_put_double(out, monitor->fast));
    SLUICE_TRY(sl_bytes_put_double(out, monitor->mean));
    return sl_bytes_put_double(out, monitor->variance);
}

bool sl_monitor_load(sl_monitor *monitor, sl_reader *reader)
{
    monitor->blocks = sl_reader_varint(reader);
    uint8_t open = sl_reader_u8(reader);
    monitor->n = open >> 1;
    monitor->raised = open & 1;
    if (monitor->blocks > 0 || monitor->n > 0) {
        monitor->sum = sl_reader_double(reader);
        monitor->fast = sl_reader_double(reader);
        monitor->mean = sl_reader_double(reader);
        monitor->variance = sl_reader_double(reader);
    }
    return !reader->bad && monitor->n < SL_MONITOR_BLOCK;
}
