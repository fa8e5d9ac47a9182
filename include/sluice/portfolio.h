/* portfolio.h - what each source of a stream came to: counts, costs, scores, repeats, changes.
 *
 * One portfolio is filled sample by sample, in order of the log: by the engine, or by anybody who
 * reads verdict records. Everything in it is bounded; nothing of a payload is kept. */
#ifndef SLUICE_PORTFOLIO_H
#define SLUICE_PORTFOLIO_H

#include "sluice/sample.h"

#include <stddef.h>

#define SLUICE_OTHER_SOURCES     0          /* number of "(other)": sources beyond the limit  */
#define SLUICE_ALL_SOURCES       UINT32_MAX /* in place of a number: the stream as a whole    */
#define SLUICE_RARE_SHARE        0.99       /* percentile of leverage from which a sample is rare */
#define SLUICE_TREND_POINTS      64
#define SLUICE_LIMIT_ALERTS      256 /* remembered; one that is over makes room first */
#define SLUICE_LIMIT_LABELS      512 /* of "label these first" */
#define SLUICE_CURVE_POINTS      101
#define SLUICE_LIMIT_ADVICE      64
#define SLUICE_GROUPS_REMEMBERED 262144 /* samples, 4 bytes each */

typedef struct sluice_portfolio sluice_portfolio; /* opaque; one writer */

SLUICE_MUST_USE sluice_status sluice_portfolio_open(sluice_portfolio **out); /* Gives *out     */
void sluice_portfolio_close(sluice_portfolio **portfolio_p);                 /* Takes; NULL ok */

/* sluice_portfolio_open_groups - the same with a row for each value of fairness.group_by, at most
 * SLUICE_LIMIT_GROUPS, in place of each source: read "group" for "source" in all that follows. It
 * has no curve, labels and alerts: those are of the stream, and are in the one by source.
 *
 * group_by  as configured; a load takes another one along. */
SLUICE_MUST_USE sluice_status sluice_portfolio_open_groups(const char *group_by,
                                                           sluice_portfolio **out);
const char *sluice_portfolio_group_by(const sluice_portfolio *portfolio); /* "": by source */

/* The most memory that one takes. It becomes real as it is used. */
size_t sluice_portfolio_bytes(bool groups);

/* One judged sample: neither refused nor redelivered. Reads source, cost, arrived_us, offset,
 * match, scores and verdict. One that was restored (kept for the reason "restored") is no second
 * arrival: it is counted as that alone. Cannot fail: the memory is there since open. */
void sluice_portfolio_apply(sluice_portfolio *portfolio, const sluice_sample *sample);

/* The same of a portfolio by group. Which group the sample is of that a duplicate repeats is known
 * of about the last SLUICE_GROUPS_REMEMBERED samples that were not dropped; before, it is
 * "(other)".
 * note  remembers the group of a sample without counting it. */
void sluice_portfolio_apply_group(sluice_portfolio *portfolio, const sluice_sample *sample,
                                  sluice_span group);
void sluice_portfolio_note_group(sluice_portfolio *portfolio, const sluice_sample *sample,
                                 sluice_span group);

SLUICE_MUST_USE sluice_status sluice_portfolio_save(const sluice_portfolio *portfolio,
                                                    sluice_bytes *out);
/* Takes the place of what was there. CORRUPT: nothing changed; also where one is by source and the
 * other by group. */
SLUICE_MUST_USE sluice_status sluice_portfolio_load(sluice_portfolio *portfolio, sluice_span saved);

/* Adds counts, scores, repeats and curves of another stream. What depends on order (trend, alerts,
 * labels) stays that of `portfolio`. Sums of integers are exact in any order of merging.
 * number  Out [SLUICE_LIMIT_SOURCES + 1]: what the other's sources are here. */
void sluice_portfolio_merge(sluice_portfolio *portfolio, const sluice_portfolio *other,
                            uint16_t number[SLUICE_LIMIT_SOURCES + 1]);

bool sluice_portfolio_validate(const sluice_portfolio *portfolio, const char **reason);

/* --- a row for each source --- */

/* Influence toward one reference: how one more sample of the source pulls. */
typedef struct sluice_toward {
    uint64_t n;
    double mean, low, high; /* 95 % interval of the mean; NaN below 2 values         */
    double positive;        /* sum of the values above 0                             */
} sluice_toward;

typedef struct sluice_source_row {
    sluice_span source; /* lent until the next load */
    uint64_t kept, flagged, dropped, duplicates;
    uint64_t own;      /* of duplicates: of the same source                                    */
    uint64_t scored;   /* samples with a loss                                                  */
    uint64_t rare;     /* percentile of leverage at least SLUICE_RARE_SHARE                    */
    uint64_t restored; /* kept by hand after they were dropped; in none of the other numbers */
    double cost;       /* of all its samples, in the sender's unit                             */
    double self;       /* sum of influence on itself                                           */
    int64_t first_us, last_us; /* arrival */
    sluice_toward toward[SLUICE_LIMIT_REFERENCES];
} sluice_source_row;

/* Sources are numbered by first appearance, from 1; 0 is "(other)". */
uint32_t sluice_portfolio_n_sources(const sluice_portfolio *portfolio);
/* UINT32_MAX: none of it was applied yet. */
uint32_t sluice_portfolio_find(const sluice_portfolio *portfolio, sluice_span source);
sluice_source_row sluice_portfolio_row(const sluice_portfolio *portfolio, uint32_t i_source);

uint32_t sluice_portfolio_n_references(const sluice_portfolio *portfolio);
const char *sluice_portfolio_reference(const sluice_portfolio *portfolio, uint32_t i_reference);

/* --- distributions --- */

typedef enum sluice_statistic {
    SLUICE_STATISTIC_LOSS,
    SLUICE_STATISTIC_SELF,
    SLUICE_STATISTIC_LEVERAGE,
    SLUICE_STATISTIC_TOWARD, /* + number of the reference */
    SLUICE_N_STATISTICS = SLUICE_STATISTIC_TOWARD + SLUICE_LIMIT_REFERENCES
} sluice_statistic;

/* q[n] in [0, 1], rising -> values[n], each within 1 % of a value of that rank; NaN where there is
 * none, or where the store of distributions was full. i_source or SLUICE_ALL_SOURCES. */
void sluice_portfolio_quantiles(const sluice_portfolio *portfolio, uint32_t i_source,
                                uint32_t statistic, const double *q, uint32_t n, double *values);

/* Number of values at most `limit[i]`, for a histogram. limit rises. */
void sluice_portfolio_counts(const sluice_portfolio *portfolio, uint32_t i_source,
                             uint32_t statistic, const double *limit, uint32_t n, uint64_t *counts);

/* --- whose samples repeat whose --- */

typedef struct sluice_repeat {
    uint32_t i_source, i_of; /* `count` samples of i_source are duplicates of samples of i_of */
    uint64_t count;
} sluice_repeat;

/* Gives at most `n` cells, the largest first; returns how many there are in all. The cells of a
 * source sum up to its duplicates. */
uint32_t sluice_portfolio_repeats(const sluice_portfolio *portfolio, sluice_repeat *repeats,
                                  uint32_t n);

/* --- trend --- */

typedef struct sluice_trend_point {
    uint32_t received, kept, duplicates, rare, scored;
    float loss, self, leverage, shift; /* means of percentiles, of source_shift; NaN without  */
    float toward;                      /* mean, toward the first reference                    */
} sluice_trend_point;

/* Gives the points from the beginning of the stream; returns how many, `span` = offsets each. */
uint32_t sluice_portfolio_trend(const sluice_portfolio *portfolio, uint32_t i_source,
                                sluice_trend_point points[SLUICE_TREND_POINTS], uint64_t *span);

/* --- keep this share of samples, retain that share of influence --- */

/* Keeping the samples that are highest by `ordering` (a sluice_statistic): share[i] = what i % of
 * the scored samples retain of the influence; `of` is SLUICE_STATISTIC_SELF, or a reference's
 * statistic, of which the positive values are summed. False: nothing was scored. */
bool sluice_portfolio_curve(const sluice_portfolio *portfolio, uint32_t ordering, uint32_t of,
                            double share[SLUICE_CURVE_POINTS]);

/* --- label these first --- */

/* Kept, no duplicate, unlike the rest and influential: score = percentile of leverage x percentile
 * of influence (toward the first reference, else on itself). */
typedef struct sluice_label {
    double score;
    float leverage, influence; /* percentiles */
    uint64_t offset;
    uint32_t i_source;
    sluice_span id; /* lent until the next apply or load */
} sluice_label;

/* Best first; returns how many. */
uint32_t sluice_portfolio_labels(const sluice_portfolio *portfolio,
                                 sluice_label labels[SLUICE_LIMIT_LABELS]);

/* --- alerts: a source against its own past --- */

typedef enum sluice_alert_kind {
    SLUICE_ALERT_DUPLICATES, /* share of duplicates                                       */
    SLUICE_ALERT_RARE,       /* share of rare samples                                     */
    SLUICE_ALERT_INFLUENCE,  /* mean percentile of influence on itself                    */
    SLUICE_ALERT_SHIFT,      /* mean source_shift                                         */
    SLUICE_ALERT_DRIFT,      /* mean percentile of leverage; of the stream as a whole     */
    SLUICE_ALERT_SILENCE,    /* seconds since the last sample                             */
    SLUICE_N_ALERT_KINDS
} sluice_alert_kind;

typedef struct sluice_alert {
    sluice_alert_kind kind;
    uint32_t i_source; /* or SLUICE_ALL_SOURCES */
    uint64_t offset;   /* where it was raised */
    int64_t at_us;     /* recorded arrival there */
    double value;      /* the fast mean when it was raised                                 */
    double usual;      /* the slow mean                                                    */
    double limit;      /* that `value` passed */
    uint64_t cleared;  /* offset; 0 = it still holds */
} sluice_alert;

/* Newest first; returns how many. */
uint32_t sluice_portfolio_alerts(const sluice_portfolio *portfolio,
                                 sluice_alert alerts[SLUICE_LIMIT_ALERTS]);

/* How many there were: cheap, for who wants to know whether there is news. `cleared` counts since
 * open or load, and is for that alone. */
typedef struct sluice_alert_counts {
    uint64_t raised, cleared; /* raised: ever */
} sluice_alert_counts;
sluice_alert_counts sluice_portfolio_alert_counts(const sluice_portfolio *portfolio);
const char *sluice_alert_word(sluice_alert_kind kind); /* "duplicates", ... */

/* --- recommendations --- */

typedef enum sluice_advice_kind {
    SLUICE_ADVICE_COLLECT, /* collect more                */
    SLUICE_ADVICE_LABEL,   /* label first                 */
    SLUICE_ADVICE_THIN,    /* thin out                    */
    SLUICE_ADVICE_STOP,    /* stop buying                 */
    SLUICE_ADVICE_INSPECT, /* look at it                  */
    SLUICE_N_ADVICE_KINDS
} sluice_advice_kind;

typedef struct sluice_advice {
    sluice_advice_kind kind;
    uint32_t i_source;
    double confidence; /* 0..1: how sure that it holds of the source, not of this sample only */
    char text[384];    /* the evidence, in words */
} sluice_advice;

/* What the numbers carry; at most one a source, the surest first. Returns how many. */
uint32_t sluice_portfolio_advise(const sluice_portfolio *portfolio,
                                 sluice_advice advice[SLUICE_LIMIT_ADVICE]);
const char *sluice_advice_word(sluice_advice_kind kind); /* "collect more", ... */

#endif
