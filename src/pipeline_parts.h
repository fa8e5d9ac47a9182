/* pipeline_parts.h - what the threads of a running filter share. */
#ifndef SL_PIPELINE_PARTS_H
#define SL_PIPELINE_PARTS_H

#include "pipeline.h"
#include "egress/egress.h"
#include "features/features.h"
#include "ingest/ingest.h"
#include "pipeline_alerts.h"
#include "pipeline_policy.h"
#include "store.h"
#include "watch/http.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#define SL_PIPELINE_RING_PLACES   (SL_INGEST_JOBS + SL_EGRESS_JOBS + SL_CHANGES_AT_ONCE + 3)
#define SL_PIPELINE_CHECKPOINT_US (10 * INT64_C(1000000))

struct sl_pipeline {
    sluice_config config;
    void *zmq_context;
    sl_spool *spool;
    sluice_engine *engine;
    sl_producers *producers; /* the estimator's */
    sl_store *store;         /* the committer's */
    sl_ingest *ingest;
    sl_egress *egress;
    sl_observer *observer; /* the estimator's and http's */
    sl_http *http;         /* NULL: listen.http is ""      */
    sl_view_meters meters;
    sl_ring *to_features, *to_estimator, *to_committer, *ingest_done, *egress_done;
    pthread_mutex_t featured_mutex;
    pthread_cond_t featured;
    pthread_mutex_t refresh_mutex;
    pthread_cond_t refresh;
    bool refresh_waits, refresh_ends;
    pthread_t refresh_thread;
    sl_key server_key;
    sl_auth *auth; /* NULL: no CURVE */
    pthread_t auth_thread, ingest_thread, egress_thread, estimator_thread, committer_thread;
    pthread_t http_thread;
    pthread_t feature_thread[SLUICE_LIMIT_WORKERS];
    uint32_t n_feature_threads;
    bool auth_running, running;
    int64_t arrived_us; /* of the last sample: recorded time never goes back */
    uint64_t checkpoint_offset;
    int64_t checkpoint_due_us;
    sl_job last; /* the checkpoint of a clean end */
    sl_pipeline_start start;
    sl_pipeline_policy policy;
    sl_pipeline_alerts alerts; /* the estimator's */
    _Atomic uint64_t received, kept, flagged, dropped, refused, redelivered;
};

int64_t sl_pipeline_clock_us(clockid_t clock);

/* What each thread does; context is the pipeline. Each returns NULL once its ring has ended. */
void *sl_pipeline_run_features(void *context);
void *sl_pipeline_run_refresh(void *context);
void *sl_pipeline_run_estimator(void *context);
void *sl_pipeline_run_committer(void *context);
void *sl_pipeline_run_ingest(void *context);
void *sl_pipeline_run_egress(void *context);
void *sl_pipeline_run_http(void *context);
void *sl_pipeline_run_auth(void *context);

/* Wakes the thread of refreshes: there is one to make, or it is to end. */
void sl_pipeline_call_refresh(sl_pipeline *pipeline, bool end);

#endif
