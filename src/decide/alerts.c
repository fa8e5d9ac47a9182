/* alerts.c - which sources have turned strange, against their own past.
 *
 *   sample -> five signals -> monitor[source][signal], monitor[stream][signal] --raised--> ring
 *          -> arrival      -> gaps[source], looked at once in 256 samples      --silent--> ring
 *
 * Recorded arrival times only: what is raised depends on the log and on nothing else. That the
 * whole stream is silent is nothing that a log can say. */
#include "decide/alerts.h"
#include "decide/monitor.h"

#include <math.h>
#include <stdlib.h>

#define N_SOURCES      (1 + SLUICE_LIMIT_SOURCES)
#define ALL            N_SOURCES /* the row of the stream as a whole */
#define N_SIGNALS      SLUICE_ALERT_SILENCE
#define SILENCE_BLOCK  256   /* samples between two looks */
#define SILENCE_GAPS   32    /* before anything is said */
#define SILENCE_US_MIN 60e6  /* silence is longer than this, */
#define SILENCE_USUAL  20.0  /* than so many usual gaps, */
#define SILENCE_WORST  3.0   /* and than so many of the longest gap of late */
#define GAPS_PLAIN     50    /* the usual gap is the plain mean of the first ones, */
#define GAP_WEIGHT     0.02  /* 1 / GAPS_PLAIN; then a new one counts this much */
#define GAP_FORGETTING 0.998 /* of the longest, a gap */

/* effect: what a person wants to be told of. variance: of the mean of 64 independent values. */
static const sl_monitor_limits limits[N_SIGNALS] = {
    [SLUICE_ALERT_DUPLICATES] = {0.10, 0.0002}, [SLUICE_ALERT_RARE] = {0.05, 0.0002},
    [SLUICE_ALERT_INFLUENCE] = {0.10, 0.0013},  [SLUICE_ALERT_SHIFT] = {3.0, 0.1},
    [SLUICE_ALERT_DRIFT] = {0.15, 0.0013},
};

typedef struct gaps {
    int64_t last_us;
    double usual_us, worst_us; /* decayed mean and maximum of the gaps above 0 */
    uint32_t n;
    bool silent;
} gaps;

struct sl_alerts {
    sl_monitor monitor[N_SOURCES + 1][N_SIGNALS];
    gaps gaps[N_SOURCES];
    uint64_t n_raised;  /* ever; the ring holds the last of them */
    uint64_t n_cleared; /* since open */
    sluice_alert ring[SLUICE_LIMIT_ALERTS];
};

const char *sluice_alert_word(sluice_alert_kind kind)
{
    static const char *const words[SLUICE_N_ALERT_KINDS] = {"duplicates", "rare",  "influence",
                                                            "shift",      "drift", "silence"};
    return (unsigned)kind < SLUICE_N_ALERT_KINDS ? words[kind] : "unknown";
}

sluice_status sl_alerts_open(sl_alerts **out)
{
    *out = calloc(1, sizeof **out);
    return *out != NULL ? SLUICE_OK : SLUICE_E_NOMEM;
}

void sl_alerts_close(sl_alerts **alerts_p)
{
    free(*alerts_p);
    *alerts_p = NULL;
}

size_t sl_alerts_bytes(void)
{
    return sizeof(sl_alerts);
}

static uint32_t n_kept(const sl_alerts *alerts)
{
    return alerts->n_raised < SLUICE_LIMIT_ALERTS ? (uint32_t)alerts->n_raised
                                                  : SLUICE_LIMIT_ALERTS;
}

static sluice_alert *newest(sl_alerts *alerts, uint32_t i)
{
    return &alerts->ring[(alerts->n_raised - 1 - i) % SLUICE_LIMIT_ALERTS];
}

/* The next one takes the place of the oldest, so the oldest moves to where one that is over was. */
static void make_room(sl_alerts *alerts)
{
    const uint32_t oldest = SLUICE_LIMIT_ALERTS - 1;
    uint32_t i = oldest;
    while (i > 0 && newest(alerts, i)->cleared == 0) {
        i--;
    }
    if (alerts->n_raised < SLUICE_LIMIT_ALERTS || newest(alerts, i)->cleared == 0) {
        return;
    }
    for (; i < oldest; i++) {
        *newest(alerts, i) = *newest(alerts, i + 1);
    }
}

static void raise_alert(sl_alerts *alerts, const sluice_alert *alert)
{
    make_room(alerts);
    alerts->ring[alerts->n_raised % SLUICE_LIMIT_ALERTS] = *alert;
    alerts->n_raised++;
}

static void clear_alert(sl_alerts *alerts, sluice_alert_kind kind, uint32_t i_source,
                        uint64_t offset)
{
    for (uint32_t i = 0; i < n_kept(alerts); i++) {
        sluice_alert *alert = newest(alerts, i);
        if (alert->kind == kind && alert->i_source == i_source && alert->cleared == 0) {
            alert->cleared = offset;
            alerts->n_cleared++;
            return;
        }
    }
}

static void watch_signal(sl_alerts *alerts, uint32_t row, sluice_alert_kind kind, double value,
                         const sluice_sample *sample)
{
    sl_monitor *monitor = &alerts->monitor[row][kind];
    uint32_t i_source = row == ALL ? SLUICE_ALL_SOURCES : row;
    sl_monitor_news news = sl_monitor_add(monitor, &limits[kind], value);
    if (news.raised) {
        raise_alert(alerts, &(sluice_alert){.kind = kind,
                                            .i_source = i_source,
                                            .offset = sample->offset,
                                            .at_us = sample->arrived_us,
                                            .value = monitor->fast,
                                            .usual = news.usual,
                                            .limit = news.limit});
    }
    if (news.cleared) {
        clear_alert(alerts, kind, i_source, sample->offset);
    }
}

static void watch_signals(sl_alerts *alerts, uint32_t row, const sluice_sample *sample)
{
    const sluice_scores *scores = &sample->scores;
    watch_signal(alerts, row, SLUICE_ALERT_DUPLICATES, sample->match.method != SLUICE_METHOD_NONE,
                 sample);
    if (scores->state != SLUICE_LIVE && scores->state != SLUICE_STALE) {
        return;
    }
    double leverage = (double)scores->percentile.leverage;
    watch_signal(alerts, row, SLUICE_ALERT_RARE,
                 isnan(leverage) ? NAN : leverage >= SLUICE_RARE_SHARE, sample);
    if (row == ALL) {
        /* 0.5 as long as new samples are like those of the past half-life */
        watch_signal(alerts, row, SLUICE_ALERT_DRIFT, leverage, sample);
        return; /* the other signals have a source */
    }
    watch_signal(alerts, row, SLUICE_ALERT_INFLUENCE, (double)scores->percentile.self, sample);
    watch_signal(alerts, row, SLUICE_ALERT_SHIFT, (double)scores->source_shift, sample);
}

static void note_arrival(sl_alerts *alerts, uint32_t i_source, const sluice_sample *sample)
{
    gaps *of = &alerts->gaps[i_source];
    double gap_us = (double)(sample->arrived_us - of->last_us);
    if (of->last_us != 0 && gap_us > 0) {
        of->usual_us +=
            (of->n < GAPS_PLAIN ? 1 / ((double)of->n + 1) : GAP_WEIGHT) * (gap_us - of->usual_us);
        of->worst_us *= GAP_FORGETTING;
        of->worst_us = of->worst_us > gap_us ? of->worst_us : gap_us;
        of->n += of->n < UINT32_MAX;
    }
    of->last_us = sample->arrived_us;
    if (of->silent) {
        of->silent = false;
        clear_alert(alerts, SLUICE_ALERT_SILENCE, i_source, sample->offset);
    }
}

static void look_for_silence(sl_alerts *alerts, const sluice_sample *sample)
{
    for (uint32_t i = 1; i < N_SOURCES; i++) { /* "(other)" is no source */
        gaps *of = &alerts->gaps[i];
        if (of->n < SILENCE_GAPS || of->silent) {
            continue;
        }
        double gap_us = (double)(sample->arrived_us - of->last_us);
        double limit_us =
            fmax(SILENCE_US_MIN, fmax(SILENCE_USUAL * of->usual_us, SILENCE_WORST * of->worst_us));
        if (gap_us > limit_us) {
            of->silent = true;
            raise_alert(alerts, &(sluice_alert){.kind = SLUICE_ALERT_SILENCE,
                                                .i_source = i,
                                                .offset = sample->offset,
                                                .at_us = sample->arrived_us,
                                                .value = gap_us / 1e6,
                                                .usual = of->usual_us / 1e6,
                                                .limit = limit_us / 1e6});
        }
    }
}

void sl_alerts_add(sl_alerts *alerts, uint32_t i_source, const sluice_sample *sample)
{
    watch_signals(alerts, i_source, sample);
    watch_signals(alerts, ALL, sample);
    note_arrival(alerts, i_source, sample);
    if (sample->offset % SILENCE_BLOCK == SILENCE_BLOCK - 1) {
        look_for_silence(alerts, sample);
    }
}

uint32_t sl_alerts_read(const sl_alerts *alerts, sluice_alert out[SLUICE_LIMIT_ALERTS])
{
    uint32_t n = n_kept(alerts);
    for (uint32_t i = 0; i < n; i++) {
        out[i] = alerts->ring[(alerts->n_raised - 1 - i) % SLUICE_LIMIT_ALERTS];
    }
    return n;
}

sluice_alert_counts sl_alerts_counts(const sl_alerts *alerts)
{
    return (sluice_alert_counts){.raised = alerts->n_raised, .cleared = alerts->n_cleared};
}

/* --- save and load --- */

static sluice_status save_alert(const sluice_alert *alert, sluice_bytes *out)
{
    SLUICE_TRY(sl_bytes_put_u8(out, (uint8_t)alert->kind));
    SLUICE_TRY(sl_bytes_put_u32(out, alert->i_source));
    SLUICE_TRY(sl_bytes_put_u64(out, alert->offset));
    SLUICE_TRY(sl_bytes_put_u64(out, (uint64_t)alert->at_us));
    SLUICE_TRY(sl_bytes_put_double(out, alert->value));
    SLUICE_TRY(sl_bytes_put_double(out, alert->usual));
    SLUICE_TRY(sl_bytes_put_double(out, alert->limit));
    return sl_bytes_put_u64(out, alert->cleared);
}

static bool load_alert(sluice_alert *alert, sl_reader *reader, uint32_t n_sources)
{
    uint8_t kind = sl_reader_u8(reader);
    alert->kind = (sluice_alert_kind)kind;
    alert->i_source = sl_reader_u32(reader);
    alert->offset = sl_reader_u64(reader);
    alert->at_us = (int64_t)sl_reader_u64(reader);
    alert->value = sl_reader_double(reader);
    alert->usual = sl_reader_double(reader);
    alert->limit = sl_reader_double(reader);
    alert->cleared = sl_reader_u64(reader);
    return kind < SLUICE_N_ALERT_KINDS &&
           (alert->i_source < n_sources || alert->i_source == SLUICE_ALL_SOURCES);
}

static sluice_status save_row(const sl_alerts *alerts, uint32_t row, sluice_bytes *out)
{
    for (uint32_t k = 0; k < N_SIGNALS; k++) {
        SLUICE_TRY(sl_monitor_save(&alerts->monitor[row][k], out));
    }
    if (row == ALL) {
        return SLUICE_OK;
    }
    const gaps *of = &alerts->gaps[row];
    SLUICE_TRY(sl_bytes_put_u64(out, (uint64_t)of->last_us));
    SLUICE_TRY(sl_bytes_put_double(out, of->usual_us));
    SLUICE_TRY(sl_bytes_put_double(out, of->worst_us));
    SLUICE_TRY(sl_bytes_put_u32(out, of->n));
    return sl_bytes_put_u8(out, of->silent);
}

static bool load_row(sl_alerts *alerts, uint32_t row, sl_reader *reader)
{
    for (uint32_t k = 0; k < N_SIGNALS; k++) {
        if (!sl_monitor_load(&alerts->monitor[row][k], reader)) {
            return false;
        }
    }
    if (row != ALL) {
        gaps *of = &alerts->gaps[row];
        of->last_us = (int64_t)sl_reader_u64(reader);
        of->usual_us = sl_reader_double(reader);
        of->worst_us = sl_reader_double(reader);
        of->n = sl_reader_u32(reader);
        of->silent = sl_reader_u8(reader) != 0;
    }
    return !reader->bad;
}

sluice_status sl_alerts_save(const sl_alerts *alerts, uint32_t n_sources, sluice_bytes *out)
{
    for (uint32_t i = 0; i <= n_sources; i++) {
        SLUICE_TRY(save_row(alerts, i < n_sources ? i : ALL, out));
    }
    SLUICE_TRY(sl_bytes_put_u64(out, alerts->n_raised));
    for (uint32_t i = 0; i < n_kept(alerts); i++) {
        SLUICE_TRY(save_alert(&alerts->ring[i], out));
    }
    return SLUICE_OK;
}

bool sl_alerts_load(sl_alerts *alerts, sl_reader *reader, uint32_t n_sources)
{
    for (uint32_t i = 0; i <= n_sources; i++) {
        if (!load_row(alerts, i < n_sources ? i : ALL, reader)) {
            return false;
        }
    }
    alerts->n_raised = sl_reader_u64(reader);
    for (uint32_t i = 0; i < n_kept(alerts); i++) {
        if (!load_alert(&alerts->ring[i], reader, n_sources)) {
            return false;
        }
    }
    return !reader->bad;
}
