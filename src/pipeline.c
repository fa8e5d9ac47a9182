/* pipeline.c - the threads of a running filter; the only file that knows them.
 *
 *            +------- features (N) ------+
 *   ingest --+                           +--> estimator --> committer --+
 *     ^      +---------- order ----------+                              |
 *     +------------------------ done: durable ---------------------------+--> egress
 *
 * ingest      sockets of producers; makes jobs, answers them when they are durable
 * features    decode and features: pure, so any of them in any order
 * estimator   the one that judges: takes jobs in order of arrival, waits for the features of each
 * committer   the one that writes: what has come meanwhile is the next transaction
 * egress      sockets of consumers; its progress goes through estimator and committer as well, so
 *             that one thread writes and everything has one order
 * refresh     makes new eigenbases of influence, at low priority; the estimator publishes them
 * http        answers who looks on: asks the estimator for a snapshot, reads the log
 *
 * Why a failed commit ends the process: memory is ahead of the disk by then, nothing of that was
 * acknowledged, and a restart begins from what is durable. */
#include "pipeline.h"
#include "bytes.h"
#include "egress/egress.h"
#include "features/features.h"
#include "ingest/ingest.h"
#include "log.h"
#include "pipeline_policy.h"
#include "store.h"
#include "watch/http.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#define RING_PLACES        (SL_INGEST_JOBS + SL_EGRESS_JOBS + 3)
#define COMMIT_BYTES       ((size_t)8 << 20) /* a transaction takes no more jobs beyond */
#define COMMIT_DEAD        4096
#define CHECKPOINT_SAMPLES ((uint64_t)64 * SLUICE_BLOCK_SAMPLES)
#define CHECKPOINT_US      (10 * INT64_C(1000000))
#define COUNTERS_US        INT64_C(100000)

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
    pthread_mutex_t counters_mutex;
    sluice_counters counters; /* as last published */
    int64_t counters_due_us;
    sl_pipeline_policy policy;
    _Atomic uint64_t received, kept, flagged, dropped, refused, redelivered;
};

static int64_t clock_us(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* --- features: decode and features of one job --- */

static void *run_features(void *context)
{
    sl_pipeline *pipeline = context;
    sl_features *scratch = NULL;
    for (sl_job *job = sl_ring_pop(pipeline->to_features); job != NULL;
         job = sl_ring_pop(pipeline->to_features)) {
        if (sl_job_features(job, &pipeline->config, &scratch) != SLUICE_OK) {
            sl_log(0, "FEATURES-NOMEM", "no memory for the features of a batch");
            _exit(1); /* nothing of it was acknowledged */
        }
        pthread_mutex_lock(&pipeline->featured_mutex);
        job->featured = true;
        pthread_cond_broadcast(&pipeline->featured);
        pthread_mutex_unlock(&pipeline->featured_mutex);
    }
    sl_features_close(&scratch);
    return NULL;
}

/* --- refresh: what influence can make beside the stream --- */

static void *run_refresh(void *context)
{
    sl_pipeline *pipeline = context;
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), 10);
    pthread_mutex_lock(&pipeline->refresh_mutex);
    while (!pipeline->refresh_ends) {
        if (!pipeline->refresh_waits) {
            pthread_cond_wait(&pipeline->refresh, &pipeline->refresh_mutex);
            continue;
        }
        pipeline->refresh_waits = false;
        pthread_mutex_unlock(&pipeline->refresh_mutex);
        (void)sluice_engine_refresh(pipeline->engine);
        pthread_mutex_lock(&pipeline->refresh_mutex);
    }
    pthread_mutex_unlock(&pipeline->refresh_mutex);
    return NULL;
}

static void call_refresh(sl_pipeline *pipeline, bool end)
{
    pthread_mutex_lock(&pipeline->refresh_mutex);
    pipeline->refresh_waits = true;
    pipeline->refresh_ends = end;
    pthread_cond_signal(&pipeline->refresh);
    pthread_mutex_unlock(&pipeline->refresh_mutex);
}

/* --- estimator: sequences, verdicts --- */

static void count_job(sl_pipeline *pipeline, sl_job *job, sl_spool_producer *row)
{
    job->tally = sl_store_tally(job->batch, job->n_known);
    sl_store_count(row, &job->tally);
    atomic_fetch_add(&pipeline->received, job->tally.received);
    atomic_fetch_add(&pipeline->kept, job->tally.kept);
    atomic_fetch_add(&pipeline->flagged, job->tally.flagged);
    atomic_fetch_add(&pipeline->dropped, job->tally.dropped);
    atomic_fetch_add(&pipeline->refused, job->tally.refused);
    atomic_fetch_add(&pipeline->redelivered, job->tally.redelivered);
}

static void take_checkpoint(sl_pipeline *pipeline, sl_job *job)
{
    job->checkpoint_offset = sluice_engine_next_offset(pipeline->engine);
    sluice_engine_counters(pipeline->engine, &job->counters);
    if (sluice_engine_save(pipeline->engine, &job->checkpoint) != SLUICE_OK) {
        sl_log(0, "CHECKPOINT-NOMEM", "no memory for a checkpoint");
        _exit(1);
    }
    pipeline->checkpoint_offset = job->checkpoint_offset;
    pipeline->checkpoint_due_us = clock_us(CLOCK_MONOTONIC) + CHECKPOINT_US;
}

/* For whoever looks on from another thread: a few times a second is often enough. */
static void publish_counters(sl_pipeline *pipeline)
{
    int64_t now = clock_us(CLOCK_MONOTONIC);
    if (now >= pipeline->counters_due_us) {
        sluice_counters counters;
        sluice_engine_counters(pipeline->engine, &counters);
        pthread_mutex_lock(&pipeline->counters_mutex);
        pipeline->counters = counters;
        pthread_mutex_unlock(&pipeline->counters_mutex);
        pipeline->counters_due_us = now + COUNTERS_US;
    }
}

static void judge_put(sl_pipeline *pipeline, sl_job *job)
{
    sl_spool_producer *row = sl_producers_at(pipeline->producers, job->i_producer, job->producer);
    bool changed = false;
    if (job->code == SL_CODE_UNSPECIFIED && sl_job_place(job, row)) {
        int64_t now = clock_us(CLOCK_REALTIME);
        pipeline->arrived_us = now > pipeline->arrived_us ? now : pipeline->arrived_us;
        sluice_batch fresh = *job->batch;
        fresh.samples += job->n_known;
        fresh.n_samples -= job->n_known;
        bool restored = strcmp(row->name, SL_RESTORE_PRODUCER) == 0;
        for (uint32_t i = 0; i < fresh.n_samples; i++) {
            fresh.samples[i].restored = restored;
            fresh.samples[i].arrived_us = pipeline->arrived_us;
            fresh.samples[i].i_producer = job->i_producer;
        }
        sl_pipeline_policy_take(&pipeline->policy, pipeline->engine);
        sluice_engine_run(pipeline->engine, &fresh);
        changed = sl_pipeline_policy_tell(&pipeline->policy, pipeline->engine);
        if (sluice_engine_refresh_waits(pipeline->engine)) {
            call_refresh(pipeline, false);
        }
        uint64_t end = job->sequence + job->batch->n_samples;
        row->next_sequence = end > row->next_sequence ? end : row->next_sequence;
        count_job(pipeline, job, row);
        sl_observer_note(pipeline->observer, job, row->received);
    }
    job->expected_sequence = row->next_sequence;
    job->after = *row;
    job->oldest_row = sluice_engine_oldest_row(pipeline->engine);
    job->mark = sluice_engine_row_mark(pipeline->engine);
    uint64_t next = sluice_engine_next_offset(pipeline->engine);
    if (changed || next - pipeline->checkpoint_offset >= CHECKPOINT_SAMPLES ||
        (next > pipeline->checkpoint_offset &&
         clock_us(CLOCK_MONOTONIC) >= pipeline->checkpoint_due_us)) {
        take_checkpoint(pipeline, job);
    }
}

/* A set that is added or removed is durable with the checkpoint that is taken behind it: what is in
 * the log before is in that too, what comes later is judged by it. */
static void change_references(sl_pipeline *pipeline, sl_job *job)
{
    const sl_reference_request *request = job->reference;
    sluice_reference_info info[SLUICE_LIMIT_REFERENCES];
    sluice_status status = SLUICE_OK;
    if (request->action == SL_REFERENCE_ADD) {
        status =
            sluice_engine_reference_add(pipeline->engine, request->name, job->bytes, &job->why);
    } else if (request->action == SL_REFERENCE_REMOVE) {
        status = sluice_engine_reference_remove(pipeline->engine, request->name, &job->why);
    }
    if (status != SLUICE_OK) {
        job->code = status == SLUICE_E_TOOBIG ? SL_CODE_TOO_LARGE : SL_CODE_MALFORMED;
        return;
    }
    if (request->action != SL_REFERENCE_LIST) {
        take_checkpoint(pipeline, job);
    }
    job->references.n = sluice_engine_references(pipeline->engine, info);
    for (uint32_t i = 0; i < job->references.n; i++) {
        sl_reference_set *set = &job->references.set[i];
        memcpy(set->name, info[i].name, sizeof set->name);
        snprintf(set->origin, sizeof set->origin, "%s", info[i].origin);
        set->samples = info[i].samples;
        set->wanted = info[i].wanted;
    }
}

static void wait_featured(sl_pipeline *pipeline, const sl_job *job)
{
    pthread_mutex_lock(&pipeline->featured_mutex);
    while (!job->featured) {
        pthread_cond_wait(&pipeline->featured, &pipeline->featured_mutex);
    }
    pthread_mutex_unlock(&pipeline->featured_mutex);
}

/* A snapshot for who looks on. */
static void show(sl_pipeline *pipeline)
{
    sl_ingest_counts counts = sl_ingest_counts_of(pipeline->ingest);
    atomic_store(&pipeline->meters.undecodable, counts.undecodable);
    atomic_store(&pipeline->meters.in_flight_bytes, counts.in_flight_bytes);
    sl_observer_publish(pipeline->observer, pipeline->engine);
}

static void *run_estimator(void *context)
{
    sl_pipeline *pipeline = context;
    for (sl_job *job = sl_ring_pop(pipeline->to_estimator); job != NULL;
         job = sl_ring_pop(pipeline->to_estimator)) {
        switch (job->kind) {
        case SL_JOB_PUT:
            wait_featured(pipeline, job);
            judge_put(pipeline, job);
            break;
        case SL_JOB_REJECT:
            (void)sluice_engine_forget(pipeline->engine, job->forget);
            break;
        case SL_JOB_REFERENCE:
            change_references(pipeline, job);
            break;
        case SL_JOB_CHECKPOINT:
            take_checkpoint(pipeline, job);
            break;
        case SL_JOB_PROGRESS:
            break;
        case SL_JOB_WATCH:
            show(pipeline);
            continue;
        }
        publish_counters(pipeline);
        sl_ring_push(pipeline->to_committer, job);
    }
    return NULL;
}

/* --- committer: one transaction after the other --- */

static sluice_status add_put(sl_store *store, const sl_job *job)
{
    if (job->code != SL_CODE_UNSPECIFIED) {
        return SLUICE_OK;
    }
    /* Not job->producer: ingest writes that row when an earlier job is done. */
    SLUICE_TRY(sl_store_add_batch(store, job->batch, job->n_known, &job->mark, job->after.name));
    sl_store_set_oldest_row(store, job->oldest_row);
    return sl_store_add_producer(store, &job->after);
}

static sluice_status add_job(sl_store *store, const sl_job *job)
{
    if (job->kind == SL_JOB_PUT) {
        SLUICE_TRY(add_put(store, job));
    }
    if (job->kind == SL_JOB_REJECT) {
        SLUICE_TRY(sl_store_add_forget(store, job->forget));
    }
    for (uint32_t i = 0; i < job->n_dead; i++) {
        SLUICE_TRY(sl_store_add_dead(store, &job->dead[i]));
    }
    if (job->group != NULL) {
        SLUICE_TRY(sl_store_add_group(store, job->group));
    }
    if (job->checkpoint.size > 0) {
        sl_store_set_checkpoint(store, (sluice_span){job->checkpoint.data, job->checkpoint.size},
                                job->checkpoint_offset);
        return sl_store_set_numbers(store, &job->counters);
    }
    return SLUICE_OK;
}

static void give_back(sl_pipeline *pipeline, sl_job *const *job, uint32_t n_jobs)
{
    for (uint32_t i = 0; i < n_jobs; i++) {
        if (job[i] == &pipeline->last) {
            continue;
        }
        if (job[i]->kind == SL_JOB_PUT || job[i]->kind == SL_JOB_CHECKPOINT) {
            sl_ring_push(pipeline->ingest_done, job[i]);
        } else {
            sl_ring_push(pipeline->egress_done, job[i]);
        }
    }
    sl_ring_wake(pipeline->egress_done); /* there may be something new to read */
}

static void *run_committer(void *context)
{
    sl_pipeline *pipeline = context;
    sl_job *job[RING_PLACES];
    for (job[0] = sl_ring_pop(pipeline->to_committer); job[0] != NULL;
         job[0] = sl_ring_pop(pipeline->to_committer)) {
        sluice_message why = {"no memory for a transaction"};
        uint32_t n_jobs = 1;
        sluice_status status = add_job(pipeline->store, job[0]);
        while (status == SLUICE_OK && sl_store_bytes(pipeline->store) < COMMIT_BYTES &&
               sl_store_n_dead(pipeline->store) < COMMIT_DEAD && n_jobs < RING_PLACES) {
            job[n_jobs] = sl_ring_try_pop(pipeline->to_committer);
            if (job[n_jobs] == NULL) {
                break;
            }
            status = add_job(pipeline->store, job[n_jobs++]);
        }
        int64_t began_us = clock_us(CLOCK_MONOTONIC);
        if (status == SLUICE_OK) {
            status = sl_store_commit(pipeline->store, &why);
        }
        atomic_fetch_add(&pipeline->meters.commits, 1);
        atomic_fetch_add(&pipeline->meters.commit_us,
                         (uint64_t)(clock_us(CLOCK_MONOTONIC) - began_us));
        if (status != SLUICE_OK) {
            sl_log(0, "SPOOL-COMMIT", "state=%s %s; nothing of this was acknowledged",
                   pipeline->config.state, why.text);
            _exit(1);
        }
        give_back(pipeline, job, n_jobs);
    }
    return NULL;
}

static void *run_ingest(void *context)
{
    sl_ingest_run(((sl_pipeline *)context)->ingest);
    return NULL;
}

static void *run_egress(void *context)
{
    sl_egress_run(((sl_pipeline *)context)->egress);
    return NULL;
}

static void *run_http(void *context)
{
    sl_http_run(((sl_pipeline *)context)->http);
    return NULL;
}

static void *run_auth(void *context)
{
    sl_auth_run(((sl_pipeline *)context)->auth);
    return NULL;
}

/* --- open --- */

static sluice_status start_thread(pthread_t *thread, void *(*run)(void *), sl_pipeline *pipeline,
                                  const char *name, sluice_message *why)
{
    if (pthread_create(thread, NULL, run, pipeline) != 0) {
        return sluice_fail(why, SLUICE_E_NOMEM, "cannot start the thread %s", name);
    }
    pthread_setname_np(*thread, name);
    return SLUICE_OK;
}

static sluice_status open_state(sl_pipeline *pipeline, const sluice_bytes *references,
                                sluice_message *why)
{
    const sluice_config *config = &pipeline->config;
    sluice_bytes lines = {0};
    SLUICE_TRY(sluice_config_state_lines(config, &lines));
    sl_spool_options options = sl_store_spool_options(config);
    options.state_lines = (sluice_span){lines.data, lines.size};
    sluice_status status = sl_spool_open(&options, &pipeline->spool, why);
    sl_bytes_fini(&lines);
    SLUICE_TRY(status);

    int64_t started_us = clock_us(CLOCK_MONOTONIC);
    SLUICE_TRY(sluice_engine_open(config, &pipeline->engine, why));
    for (uint32_t r = 0; r < config->influence.n_references; r++) {
        sluice_span set = {references[r].data, references[r].size};
        SLUICE_TRY(sluice_engine_reference_batch(pipeline->engine,
                                                 config->influence.reference[r].name, set, why));
    }
    sluice_engine_touch(pipeline->engine);
    SLUICE_TRY(sl_store_restore(pipeline->spool, pipeline->engine, &pipeline->arrived_us, why));
    SLUICE_TRY(sl_producers_open(&pipeline->producers));
    SLUICE_TRY(sl_producers_load(pipeline->producers, pipeline->spool, why));
    SLUICE_TRY(sl_store_open(pipeline->engine, pipeline->spool, &pipeline->store));
    pipeline->checkpoint_offset = sl_spool_extent_of(pipeline->spool).checkpoint_offset;
    pipeline->checkpoint_due_us = clock_us(CLOCK_MONOTONIC) + CHECKPOINT_US;
    sluice_engine_counters(pipeline->engine, &pipeline->counters);
    pipeline->start.next_offset = sluice_engine_next_offset(pipeline->engine);
    pipeline->start.restore_s = (double)(clock_us(CLOCK_MONOTONIC) - started_us) / 1e6;
    return SLUICE_OK;
}

/* The handler of handshakes runs before the first listener binds: an early client is refused, never
 * admitted. */
static sluice_status open_auth(sl_pipeline *pipeline, sluice_message *why)
{
    const sluice_config *config = &pipeline->config;
    SLUICE_TRY(sl_auth_check_listen(config, why));
    if (config->security.server_key[0] == '\0') {
        return SLUICE_OK;
    }
    SLUICE_TRY(sl_key_read(config->security.server_key, true, &pipeline->server_key, why));
    SLUICE_TRY(sl_auth_open(pipeline->zmq_context, config->security.clients, &pipeline->auth, why));
    SLUICE_TRY(start_thread(&pipeline->auth_thread, run_auth, pipeline, "auth", why));
    pipeline->auth_running = true;
    return SLUICE_OK;
}

/* The first snapshot is what was restored: counters begin there. */
static sluice_status open_http(sl_pipeline *pipeline, sluice_message *why)
{
    SLUICE_TRY(sl_observer_open(&pipeline->observer));
    sl_observer_publish(pipeline->observer, pipeline->engine);
    if (pipeline->config.listen.http[0] == '\0') {
        return SLUICE_OK;
    }
    sl_api_options options = {.view = {.config = &pipeline->config,
                                       .spool = pipeline->spool,
                                       .observer = pipeline->observer,
                                       .meters = &pipeline->meters,
                                       .queue = {{"features", pipeline->to_features},
                                                 {"estimator", pipeline->to_estimator},
                                                 {"committer", pipeline->to_committer}},
                                       .n_queues = 3,
                                       .restore_s = pipeline->start.restore_s},
                              .estimator = pipeline->to_estimator};
    return sl_http_open(&options, &pipeline->http, why);
}

static sluice_status open_services(sl_pipeline *pipeline, sluice_message *why)
{
    SLUICE_TRY(sl_ring_open(RING_PLACES, false, &pipeline->to_features));
    SLUICE_TRY(sl_ring_open(RING_PLACES, false, &pipeline->to_estimator));
    SLUICE_TRY(sl_ring_open(RING_PLACES, false, &pipeline->to_committer));
    SLUICE_TRY(sl_ring_open(RING_PLACES, true, &pipeline->ingest_done));
    SLUICE_TRY(sl_ring_open(RING_PLACES, true, &pipeline->egress_done));
    pipeline->zmq_context = zmq_ctx_new();
    if (pipeline->zmq_context == NULL) {
        return sluice_fail(why, SLUICE_E_NOMEM, "cannot start ZeroMQ");
    }
    zmq_ctx_set(pipeline->zmq_context, ZMQ_MAX_SOCKETS, 8192);
    SLUICE_TRY(open_auth(pipeline, why));
    const sl_key *server_key = pipeline->auth != NULL ? &pipeline->server_key : NULL;
    sl_ingest_options ingest = {.zmq_context = pipeline->zmq_context,
                                .config = &pipeline->config,
                                .spool = pipeline->spool,
                                .features = pipeline->to_features,
                                .estimator = pipeline->to_estimator,
                                .done = pipeline->ingest_done,
                                .server_key = server_key};
    SLUICE_TRY(sl_ingest_open(&ingest, &pipeline->ingest, why));
    sl_egress_options egress = {.zmq_context = pipeline->zmq_context,
                                .config = &pipeline->config,
                                .spool = pipeline->spool,
                                .estimator = pipeline->to_estimator,
                                .done = pipeline->egress_done,
                                .server_key = server_key};
    SLUICE_TRY(sl_egress_open(&egress, &pipeline->egress, why));
    return open_http(pipeline, why);
}

/* A thread that cannot be started ends the program: what was started is not wound back. */
static sluice_status start_threads(sl_pipeline *pipeline, sluice_message *why)
{
    for (uint32_t i = 0; i < pipeline->config.workers; i++) {
        SLUICE_TRY(
            start_thread(&pipeline->feature_thread[i], run_features, pipeline, "features", why));
        pipeline->n_feature_threads++;
    }
    SLUICE_TRY(
        start_thread(&pipeline->committer_thread, run_committer, pipeline, "committer", why));
    SLUICE_TRY(start_thread(&pipeline->refresh_thread, run_refresh, pipeline, "refresh", why));
    SLUICE_TRY(
        start_thread(&pipeline->estimator_thread, run_estimator, pipeline, "estimator", why));
    SLUICE_TRY(start_thread(&pipeline->egress_thread, run_egress, pipeline, "egress", why));
    SLUICE_TRY(start_thread(&pipeline->ingest_thread, run_ingest, pipeline, "ingest", why));
    if (pipeline->http != NULL) {
        SLUICE_TRY(start_thread(&pipeline->http_thread, run_http, pipeline, "http", why));
    }
    pipeline->running = true;
    return SLUICE_OK;
}

sluice_status sl_pipeline_open(const sluice_config *config, const sluice_bytes *references,
                               sl_pipeline **out, sluice_message *why)
{
    *out = NULL;
    sl_pipeline *pipeline = calloc(1, sizeof *pipeline);
    if (pipeline == NULL) {
        return sluice_fail(why, SLUICE_E_NOMEM, "no memory for the pipeline");
    }
    pipeline->config = *config;
    pthread_mutex_init(&pipeline->featured_mutex, NULL);
    pthread_cond_init(&pipeline->featured, NULL);
    pthread_mutex_init(&pipeline->counters_mutex, NULL);
    pthread_mutex_init(&pipeline->refresh_mutex, NULL);
    pthread_cond_init(&pipeline->refresh, NULL);
    sluice_status status = open_state(pipeline, references, why);
    if (status == SLUICE_OK) {
        status = open_services(pipeline, why);
    }
    if (status != SLUICE_OK) {
        sl_pipeline_close(&pipeline);
        return status;
    }
    SLUICE_TRY(start_threads(pipeline, why));
    *out = pipeline;
    return SLUICE_OK;
}

/* --- close --- */

/* First who brings work, then who does it, in the order in which work flows. */
static void stop_threads(sl_pipeline *pipeline)
{
    if (pipeline->http != NULL) {
        sl_http_stop(pipeline->http);
        pthread_join(pipeline->http_thread, NULL);
    }
    sl_ingest_stop(pipeline->ingest);
    pthread_join(pipeline->ingest_thread, NULL);
    sl_egress_stop(pipeline->egress);
    pthread_join(pipeline->egress_thread, NULL);
    pipeline->last = (sl_job){.kind = SL_JOB_CHECKPOINT};
    sl_ring_push(pipeline->to_estimator, &pipeline->last);
    sl_ring_end(pipeline->to_features);
    for (uint32_t i = 0; i < pipeline->n_feature_threads; i++) {
        pthread_join(pipeline->feature_thread[i], NULL);
    }
    sl_ring_end(pipeline->to_estimator);
    pthread_join(pipeline->estimator_thread, NULL);
    call_refresh(pipeline, true);
    pthread_join(pipeline->refresh_thread, NULL);
    sl_ring_end(pipeline->to_committer);
    pthread_join(pipeline->committer_thread, NULL);
    sl_bytes_fini(&pipeline->last.checkpoint);
}

void sl_pipeline_close(sl_pipeline **pipeline_p)
{
    sl_pipeline *pipeline = *pipeline_p;
    if (pipeline == NULL) {
        return;
    }
    if (pipeline->running) {
        stop_threads(pipeline);
    }
    if (pipeline->auth_running) {
        sl_auth_stop(pipeline->zmq_context);
        pthread_join(pipeline->auth_thread, NULL);
    }
    sl_auth_close(&pipeline->auth);
    sl_http_close(&pipeline->http);
    sl_observer_close(&pipeline->observer);
    sl_ingest_close(&pipeline->ingest);
    sl_egress_close(&pipeline->egress);
    if (pipeline->zmq_context != NULL) {
        zmq_ctx_term(pipeline->zmq_context);
    }
    sl_ring *rings[] = {pipeline->to_features, pipeline->to_estimator, pipeline->to_committer,
                        pipeline->ingest_done, pipeline->egress_done};
    for (size_t i = 0; i < sizeof rings / sizeof rings[0]; i++) {
        sl_ring_close(&rings[i]);
    }
    sl_store_close(&pipeline->store);
    sl_producers_close(&pipeline->producers);
    sl_pipeline_policy_fini(&pipeline->policy);
    sluice_engine_close(&pipeline->engine);
    sl_spool_close(&pipeline->spool);
    pthread_cond_destroy(&pipeline->refresh);
    pthread_mutex_destroy(&pipeline->refresh_mutex);
    pthread_mutex_destroy(&pipeline->counters_mutex);
    pthread_cond_destroy(&pipeline->featured);
    pthread_mutex_destroy(&pipeline->featured_mutex);
    free(pipeline);
    *pipeline_p = NULL;
}

sluice_status sl_pipeline_change(sl_pipeline *pipeline, const sluice_config *config, uint64_t hash)
{
    return sl_pipeline_policy_want(&pipeline->policy, config, hash);
}

sl_pipeline_start sl_pipeline_start_of(const sl_pipeline *pipeline)
{
    return pipeline->start;
}

sl_pipeline_counts sl_pipeline_counts_of(const sl_pipeline *pipeline)
{
    return (sl_pipeline_counts){.received = atomic_load(&pipeline->received),
                                .kept = atomic_load(&pipeline->kept),
                                .flagged = atomic_load(&pipeline->flagged),
                                .dropped = atomic_load(&pipeline->dropped),
                                .refused = atomic_load(&pipeline->refused),
                                .redelivered = atomic_load(&pipeline->redelivered),
                                .undecodable = sl_ingest_counts_of(pipeline->ingest).undecodable,
                                .durable_offset = sl_spool_extent_of(pipeline->spool).next_offset};
}

void sl_pipeline_counters_of(sl_pipeline *pipeline, sluice_counters *out)
{
    pthread_mutex_lock(&pipeline->counters_mutex);
    *out = pipeline->counters;
    pthread_mutex_unlock(&pipeline->counters_mutex);
}
