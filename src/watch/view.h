/* view.h - the numbers of a running filter as of one moment, put together from its parts. */
#ifndef SL_VIEW_H
#define SL_VIEW_H

#include "ring.h"
#include "spool/spool.h"
#include "sluice/config.h"
#include "watch/observer.h"

#define SL_VIEW_QUEUES 8

typedef struct sl_view_queue {
    const char *name; /* static */
    sl_ring *ring;    /* Borrows */
} sl_view_queue;

typedef enum sl_change { SL_CHANGE_FORGET, SL_CHANGE_RESTORE, SL_N_CHANGES } sl_change;

/* What other threads count; relaxed: each number is right by itself. */
typedef struct sl_view_meters {
    _Atomic uint64_t undecodable, in_flight_bytes, commits, commit_us;
    _Atomic uint64_t reloads;    /* of the configuration              */
    _Atomic bool reload_refused; /* the last of them                  */
    _Atomic uint64_t changes[SL_N_CHANGES], changes_refused[SL_N_CHANGES]; /* by hand */
} sl_view_meters;

typedef struct sl_view_options {
    const sluice_config *config; /* Borrows, all of them */
    sl_spool *spool;
    sl_observer *observer; /* has published once */
    sl_view_meters *meters;
    sluice_config *_Atomic *live; /* its live keys hold now, NULL: no news; the view takes it */
    sl_view_queue queue[SL_VIEW_QUEUES];
    uint32_t n_queues;
    double restore_s;
} sl_view_options;

/* received = kept + flagged + dropped + refused + redelivered + in_flight, always: what is judged
 * and not yet durable is in flight. */
typedef struct sl_view_counts {
    uint64_t received, kept, flagged, dropped, refused, redelivered, in_flight;
} sl_view_counts;

typedef struct sl_view_producer {
    char name[SLUICE_LIMIT_ID_BYTES + 1];
    uint64_t next_sequence;
    sl_view_counts total; /* since the state began     */
    sl_view_counts here;  /* since this process began  */
} sl_view_producer;

typedef struct sl_view_group {
    char name[SLUICE_LIMIT_ID_BYTES + 1];
    uint64_t floor, lag;
    double lag_s; /* age of the oldest sample that is not committed; 0 = none */
} sl_view_group;

typedef struct sl_view {
    sl_view_options options;
    const sl_snapshot *snapshot; /* lent by the observer until the next gather */
    sl_spool_extent extent;
    int64_t now_us, started_us; /* CLOCK_MONOTONIC */
    int64_t started_at_us;      /* since 1970      */
    uint64_t checkpoint_offset; /* as last seen, and when it was new */
    int64_t checkpoint_us;
    sluice_config config;              /* as it is in force */
    uint64_t config_hash, policy_hash; /* of all of it, of its live keys */
    sl_view_counts total, here;
    uint32_t n_producers, n_groups;
    sl_view_producer *producer;   /* [SLUICE_LIMIT_PRODUCERS] */
    sl_view_counts *base;         /* [SLUICE_LIMIT_PRODUCERS] totals at the start */
    sl_source_count *source_base; /* [1 + SLUICE_LIMIT_SOURCES] the same of sources */
    uint32_t n_source_base;
    sl_view_group group[SLUICE_LIMIT_CONSUMER_GROUPS];
    double resident_bytes, cpu_s;     /* of the process */
    sluice_bytes saved, saved_groups; /* the newest portfolios that were shown */
    uint64_t saved_offset, portfolio_offset;
    sluice_portfolio *portfolio, *groups; /* read from those when they were last asked for */
} sl_view;

/* Gives *out, with the totals of this moment as those at the start. One thread, all of it but the
 * meters. Returns NOMEM, or what the spool says. */
SLUICE_MUST_USE sluice_status sl_view_open(const sl_view_options *options, sl_view **out,
                                           sluice_message *why);
void sl_view_close(sl_view **view_p); /* Takes; NULL ok */

/* Looks again. Cost: a read transaction over producers and groups; about a millisecond.
 * Returns NOMEM, or what the spool says; then the numbers are in part those of before. */
SLUICE_MUST_USE sluice_status sl_view_gather(sl_view *view, sluice_message *why);

/* Looks at the newest snapshot and keeps its portfolio, if it has one. */
const sl_snapshot *sl_view_look(sl_view *view);

/* The portfolio as it was a second ago at most; lent until the next call. NULL: no memory. */
const sluice_portfolio *sl_view_portfolio(sl_view *view);
/* The one by group of the same moment; NULL: there is none. */
const sluice_portfolio *sl_view_groups(const sl_view *view);

int64_t sl_view_clock_us(void); /* CLOCK_MONOTONIC */

#endif
