/* pipeline_work.c - what each thread of a running filter does with a job (pipeline.c has the map).
 */
#include "pipeline_parts.h"
#include "bytes.h"
#include "log.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define COMMIT_BYTES       ((size_t)8 << 20) /* a transaction takes no more jobs beyond */
#define COMMIT_DEAD        4096
#define CHECKPOINT_SAMPLES ((uint64_t)64 * SLUICE_BLOCK_SAMPLES)

int64_t sl_pipeline_clock_us(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* --- features: decode and features of one job --- */

void *sl_pipeline_run_features(void *context)
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

/* Linux gives each thread a priority of its own. */
static void yield_to_stream(void)
{
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), 10);
}

void *sl_pipeline_run_refresh(void *context)
{
    sl_pipeline *pipeline = context;
    yield_to_stream();
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

void sl_pipeline_call_refresh(sl_pipeline *pipeline, bool end)
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
    pipeline->checkpoint_due_us = sl_pipeline_clock_us(CLOCK_MONOTONIC) + SL_PIPELINE_CHECKPOINT_US;
}

static void judge_put(sl_pipeline *pipeline, sl_job *job)
{
    sl_spool_producer *row = sl_producers_at(pipeline->producers, job->i_producer, job->producer);
    bool changed = false;
    if (job->code == SL_CODE_UNSPECIFIED && sl_job_place(job, row)) {
        int64_t now = sl_pipeline_clock_us(CLOCK_REALTIME);
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
        if (!sl_pipeline_policy_take(&pipeline->policy, pipeline->engine)) {
            atomic_store(&pipeline->meters.reload_refused, true);
        }
        sluice_engine_run(pipeline->engine, &fresh);
        changed = sl_pipeline_policy_tell(&pipeline->policy, pipeline->engine);
        sl_pipeline_alerts_tell(&pipeline->alerts, pipeline->engine);
        if (sluice_engine_refresh_waits(pipeline->engine)) {
            sl_pipeline_call_refresh(pipeline, false);
        }
        uint64_t end = job->sequence + job->batch->n_samples;
        row->next_sequence = end > row->next_sequence ? end : row->next_sequence;
        count_job(pipeline, job, row);
        if (restored) {
            uint32_t n_kept = job->tally.kept;
            atomic_fetch_add(&pipeline->meters.changes[SL_CHANGE_RESTORE], n_kept);
            atomic_fetch_add(&pipeline->meters.changes_refused[SL_CHANGE_RESTORE],
                             fresh.n_samples - n_kept);
        }
        sl_observer_note(pipeline->observer, job, row->received);
    }
    job->expected_sequence = row->next_sequence;
    job->after = *row;
    job->oldest_row = sluice_engine_oldest_row(pipeline->engine);
    job->mark = sluice_engine_row_mark(pipeline->engine);
    uint64_t next = sluice_engine_next_offset(pipeline->engine);
    if (changed || next - pipeline->checkpoint_offset >= CHECKPOINT_SAMPLES ||
        (next > pipeline->checkpoint_offset &&
         sl_pipeline_clock_us(CLOCK_MONOTONIC) >= pipeline->checkpoint_due_us)) {
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

static void refuse_forget(sl_pipeline *pipeline, sl_job *job, sl_code code, const char *text)
{
    job->code = code;
    (void)sluice_fail(&job->why, SLUICE_E_BADSAMPLE, "%s", text);
    atomic_fetch_add(&pipeline->meters.changes_refused[SL_CHANGE_FORGET], 1);
}

/* Between two messages of the log, in memory here and on the disk in the transaction that this job
 * is in: what is judged behind it is durable no sooner than it. */
static void forget_id(sl_pipeline *pipeline, sl_job *job)
{
    const sl_forget *wanted = job->wanted;
    uint64_t offset[SL_FORGET_ROWS];
    if (wanted->id[0] == '\0') {
        refuse_forget(pipeline, job, SL_CODE_MALFORMED, "an id has 1 to 256 bytes");
        return;
    }
    uint32_t n = sluice_engine_find_id(pipeline->engine, sl_span_of(wanted->id),
                                       wanted->has_offset ? wanted->offset : UINT64_MAX, offset,
                                       SL_FORGET_ROWS);
    if (n > SL_FORGET_ROWS) {
        refuse_forget(pipeline, job, SL_CODE_TOO_LARGE,
                      "more than 1024 kept samples have this id: nothing was forgotten; name one "
                      "by its offset");
        return;
    }
    if (sl_bytes_append(&job->offsets, offset, n * sizeof *offset) != SLUICE_OK) {
        refuse_forget(pipeline, job, SL_CODE_WINDOW_EXCEEDED, "no memory");
        return;
    }
    job->forgotten =
        (sl_forgotten){.n_rows = n, .head_offset = sluice_engine_next_offset(pipeline->engine)};
    for (uint32_t i = 0; i < n; i++) {
        (void)sluice_engine_forget(pipeline->engine, offset[i]);
        job->forgotten.offset =
            offset[i] > job->forgotten.offset ? offset[i] : job->forgotten.offset;
    }
    atomic_fetch_add(n > 0 ? &pipeline->meters.changes[SL_CHANGE_FORGET]
                           : &pipeline->meters.changes_refused[SL_CHANGE_FORGET],
                     1);
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

void *sl_pipeline_run_estimator(void *context)
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
        case SL_JOB_FORGET:
            forget_id(pipeline, job);
            break;
        case SL_JOB_CHECKPOINT:
            take_checkpoint(pipeline, job);
            break;
        case SL_JOB_PROGRESS:
        case SL_JOB_RESTORE:
            break;
        case SL_JOB_WATCH:
            show(pipeline);
            continue;
        }
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

static sluice_status add_forgotten(sl_store *store, const sl_job *job)
{
    for (size_t at = 0; at < job->offsets.size; at += sizeof(uint64_t)) {
        uint64_t offset;
        memcpy(&offset, job->offsets.data + at, sizeof offset);
        SLUICE_TRY(sl_store_add_forget(store, offset));
    }
    return SLUICE_OK;
}

static sluice_status add_job(sl_store *store, const sl_job *job)
{
    SLUICE_TRY(add_forgotten(store, job));
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
        if (job[i]->kind == SL_JOB_FORGET && job[i]->back != NULL) {
            atomic_store(job[i]->back, true); /* its owner may take it at once */
        } else if (job[i]->kind == SL_JOB_PUT || job[i]->kind == SL_JOB_CHECKPOINT) {
            sl_ring_push(pipeline->ingest_done, job[i]);
        } else {
            sl_ring_push(pipeline->egress_done, job[i]);
        }
    }
    sl_ring_wake(pipeline->egress_done); /* there may be something new to read */
}

void *sl_pipeline_run_committer(void *context)
{
    sl_pipeline *pipeline = context;
    sl_job *job[SL_PIPELINE_RING_PLACES];
    for (job[0] = sl_ring_pop(pipeline->to_committer); job[0] != NULL;
         job[0] = sl_ring_pop(pipeline->to_committer)) {
        sluice_message why = {"no memory for a transaction"};
        uint32_t n_jobs = 1;
        sluice_status status = add_job(pipeline->store, job[0]);
        while (status == SLUICE_OK && sl_store_bytes(pipeline->store) < COMMIT_BYTES &&
               sl_store_n_dead(pipeline->store) < COMMIT_DEAD && n_jobs < SL_PIPELINE_RING_PLACES) {
            job[n_jobs] = sl_ring_try_pop(pipeline->to_committer);
            if (job[n_jobs] == NULL) {
                break;
            }
            status = add_job(pipeline->store, job[n_jobs++]);
        }
        int64_t began_us = sl_pipeline_clock_us(CLOCK_MONOTONIC);
        if (status == SLUICE_OK) {
            status = sl_store_commit(pipeline->store, &why);
        }
        atomic_fetch_add(&pipeline->meters.commits, 1);
        atomic_fetch_add(&pipeline->meters.commit_us,
                         (uint64_t)(sl_pipeline_clock_us(CLOCK_MONOTONIC) - began_us));
        if (status != SLUICE_OK) {
            sl_log(0, "SPOOL-COMMIT", "state=%s %s; nothing of this was acknowledged",
                   pipeline->config.state, why.text);
            _exit(1);
        }
        give_back(pipeline, job, n_jobs);
    }
    return NULL;
}

void *sl_pipeline_run_ingest(void *context)
{
    sl_ingest_run(((sl_pipeline *)context)->ingest);
    return NULL;
}

void *sl_pipeline_run_egress(void *context)
{
    sl_egress_run(((sl_pipeline *)context)->egress);
    return NULL;
}

void *sl_pipeline_run_http(void *context)
{
    yield_to_stream(); /* however many look on, and however often */
    sl_http_run(((sl_pipeline *)context)->http);
    return NULL;
}

void *sl_pipeline_run_auth(void *context)
{
    sl_auth_run(((sl_pipeline *)context)->auth);
    return NULL;
}
