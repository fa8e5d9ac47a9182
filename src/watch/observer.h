/* observer.h - counts what the estimator does, and shows it as of one moment to who looks on. */
#ifndef SL_OBSERVER_H
#define SL_OBSERVER_H

#include "job.h"
#include "sluice/engine.h"

#define SL_OUTCOMES_MAX    64   /* decisions with their reason; beyond: reason "(other)" */
#define SL_PAIRS_MAX       1024 /* newest duplicates with their representative */
#define SL_REFUSED_MAX     64   /* newest refused samples */
#define SL_SIMILARITY_BINS 50   /* of [0, 1] */
#define SL_OUTCOME_BYTES   64

typedef struct sl_outcome {
    sluice_decision decision;
    char reason[SL_OUTCOME_BYTES]; /* the last one: it ended the judging; "" = none */
    uint64_t n;
} sl_outcome;

typedef struct sl_pair {
    uint64_t offset, of_offset;
    sluice_method method;
    float similarity;
} sl_pair;

typedef struct sl_refused {
    char id[SLUICE_LIMIT_ID_BYTES + 1], source[SLUICE_LIMIT_SOURCE_BYTES + 1];
    char reason[SL_OUTCOME_BYTES];
} sl_refused;

/* Since the start of the process, but `received`. */
typedef struct sl_tallies {
    uint32_t n_outcomes;
    sl_outcome outcome[SL_OUTCOMES_MAX];
    uint64_t bytes;                       /* of messages that were judged */
    uint64_t by_method[SLUICE_N_METHODS]; /* duplicates found, whatever was decided */
    uint64_t similarity[SLUICE_N_METHODS][SL_SIMILARITY_BINS];
    uint64_t n_pairs, n_refused; /* ever; the newest are in pair and refused */
    sl_pair pair[SL_PAIRS_MAX];  /* [i % SL_PAIRS_MAX] */
    sl_refused refused[SL_REFUSED_MAX];
    uint32_t n_producers;
    uint64_t received[SLUICE_LIMIT_PRODUCERS]; /* as in its row, judged but perhaps not durable */
} sl_tallies;

typedef struct sl_source_count {
    uint32_t name_size;
    uint8_t name[SLUICE_LIMIT_SOURCE_BYTES];
    uint64_t kept, flagged, dropped, duplicates; /* since the state began */
} sl_source_count;

typedef struct sl_group_count { /* of fairness.group_by */
    uint32_t name_size;
    uint8_t name[SLUICE_LIMIT_SOURCE_BYTES];
    uint64_t received, dropped;
} sl_group_count;

typedef struct sl_snapshot {
    int64_t at_us; /* CLOCK_MONOTONIC */
    uint64_t next_offset, oldest_row;
    sl_tallies tallies;
    uint32_t n_sources, n_encoders, n_alerts, n_groups;
    sl_source_count source[1 + SLUICE_LIMIT_SOURCES];
    sl_group_count group[1 + SLUICE_LIMIT_GROUPS];
    sluice_fairness fairness; /* ratio NAN: nothing to compare */
    sluice_encoder_state encoder[SLUICE_LIMIT_ENCODERS];
    sluice_alert alert[SLUICE_LIMIT_ALERTS]; /* newest first */
    uint64_t n_raised;                       /* alerts ever  */
    sluice_counters counters;
    sluice_bytes portfolio; /* as saved at next_offset; empty: not this time, it has been lately */
    sluice_bytes groups;    /* with it, the one by group; empty: there is none */
} sl_snapshot;

typedef struct sl_observer sl_observer;

SLUICE_MUST_USE sluice_status sl_observer_open(sl_observer **out); /* Gives *out     */
void sl_observer_close(sl_observer **observer_p);                  /* Takes; NULL ok */

/* --- the estimator --- */

/* The samples [n_known, n_samples) of a judged message of a producer that has now sent `received`.
 * Cost  a few nanoseconds a sample. */
void sl_observer_note(sl_observer *observer, const sl_job *job, uint64_t received);

/* Makes what was noted visible, with what the engine says of sources and encoders (and, once a
 * second if anything came, the whole portfolio); ends the wish of
 * sl_observer_ask. Never waits. */
void sl_observer_publish(sl_observer *observer, const sluice_engine *engine);

/* --- who looks on: one thread --- */

/* A job to push to the estimator, which will publish; NULL while one is on its way. */
sl_job *sl_observer_ask(sl_observer *observer);

/* The newest that was published; lent until the next call. */
const sl_snapshot *sl_observer_latest(sl_observer *observer);

#endif
