/* pipeline.c - the threads of a running filter: opened in the order in which they need each other.
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
#include "pipeline_parts.h"
#include "bytes.h"
#include "log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

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

    int64_t started_us = sl_pipeline_clock_us(CLOCK_MONOTONIC);
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
    pipeline->checkpoint_due_us = sl_pipeline_clock_us(CLOCK_MONOTONIC) + SL_PIPELINE_CHECKPOINT_US;
    pipeline->alerts = sl_pipeline_alerts_of(pipeline->engine);
    pipeline->start.next_offset = sluice_engine_next_offset(pipeline->engine);
    pipeline->start.restore_s = (double)(sl_pipeline_clock_us(CLOCK_MONOTONIC) - started_us) / 1e6;
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
    SLUICE_TRY(start_thread(&pipeline->auth_thread, sl_pipeline_run_auth, pipeline, "auth", why));
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
                                       .live = &pipeline->policy.live,
                                       .queue = {{"features", pipeline->to_features},
                                                 {"estimator", pipeline->to_estimator},
                                                 {"committer", pipeline->to_committer}},
                                       .n_queues = 3,
                                       .restore_s = pipeline->start.restore_s},
                              .estimator = pipeline->to_estimator,
                              .ingest = pipeline->ingest_done};
    return sl_http_open(&options, &pipeline->http, why);
}

static sluice_status open_services(sl_pipeline *pipeline, sluice_message *why)
{
    SLUICE_TRY(sl_ring_open(SL_PIPELINE_RING_PLACES, false, &pipeline->to_features));
    SLUICE_TRY(sl_ring_open(SL_PIPELINE_RING_PLACES, false, &pipeline->to_estimator));
    SLUICE_TRY(sl_ring_open(SL_PIPELINE_RING_PLACES, false, &pipeline->to_committer));
    SLUICE_TRY(sl_ring_open(SL_PIPELINE_RING_PLACES, true, &pipeline->ingest_done));
    SLUICE_TRY(sl_ring_open(SL_PIPELINE_RING_PLACES, true, &pipeline->egress_done));
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
        SLUICE_TRY(start_thread(&pipeline->feature_thread[i], sl_pipeline_run_features, pipeline,
                                "features", why));
        pipeline->n_feature_threads++;
    }
    SLUICE_TRY(start_thread(&pipeline->committer_thread, sl_pipeline_run_committer, pipeline,
                            "committer", why));
    SLUICE_TRY(
        start_thread(&pipeline->refresh_thread, sl_pipeline_run_refresh, pipeline, "refresh", why));
    SLUICE_TRY(start_thread(&pipeline->estimator_thread, sl_pipeline_run_estimator, pipeline,
                            "estimator", why));
    SLUICE_TRY(
        start_thread(&pipeline->egress_thread, sl_pipeline_run_egress, pipeline, "egress", why));
    SLUICE_TRY(
        start_thread(&pipeline->ingest_thread, sl_pipeline_run_ingest, pipeline, "ingest", why));
    if (pipeline->http != NULL) {
        SLUICE_TRY(
            start_thread(&pipeline->http_thread, sl_pipeline_run_http, pipeline, "http", why));
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
    sl_pipeline_call_refresh(pipeline, true);
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
    pthread_cond_destroy(&pipeline->featured);
    pthread_mutex_destroy(&pipeline->featured_mutex);
    free(pipeline);
    *pipeline_p = NULL;
}

sluice_status sl_pipeline_change(sl_pipeline *pipeline, const sluice_config *config)
{
    return sl_pipeline_policy_want(&pipeline->policy, config);
}

bool sl_pipeline_change_refused(const sl_pipeline *pipeline)
{
    return sl_pipeline_policy_refused(&pipeline->policy);
}

void sl_pipeline_count_reload(sl_pipeline *pipeline, bool refused)
{
    atomic_store(&pipeline->meters.reload_refused, refused);
    if (sl_pipeline_policy_refused(&pipeline->policy)) { /* the estimator was faster */
        atomic_store(&pipeline->meters.reload_refused, true);
    }
    atomic_fetch_add(&pipeline->meters.reloads, 1);
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
