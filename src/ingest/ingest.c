/* ingest.c - takes samples from producers and tells them what is durable.
 *
 *   producer --PUT--> [ window ] --job--> features, estimator, committer --job--> ACK --> producer
 *
 * Why sequences are judged by the estimator and not here: whether a PUT is a gap depends on whether
 * the PUT before it could be decoded, and that is known later. Here is only who may speak.
 * Why an ACK speaks of the producer: acknowledgements are cumulative, so one that is lost or late
 * harms nobody. Why a window of bytes: samples differ in size by a factor of a million. */
#include "ingest/ingest.h"
#include "bytes.h"
#include "ingest/offered.h"
#include "ingest/producers.h"
#include "ingest/pull.h"
#include "ingest/sessions.h"
#include "log.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_FRAME_BYTES  ((int64_t)SLUICE_LIMIT_MESSAGE_BYTES + (64 << 10))
#define RETRY_MS         200
#define CHECKPOINT_US    INT64_C(1000000) /* between two that are asked for; also of the farewell */
#define MESSAGES_A_ROUND 64               /* between two looks at what became durable */

typedef struct put {
    sl_job job;
    zmq_msg_t frame;
    sluice_bytes wrapped; /* a bare Sample of the pull socket, with its header */
    struct put *next_free;
} put;

struct sl_ingest {
    sl_ingest_options options;
    sl_clients *clients; /* NULL: no CURVE */
    void *router, *pull;
    sl_producers *producers;
    sl_sessions *sessions;
    put *puts; /* [SL_INGEST_JOBS] */
    put *first_free;
    uint32_t n_free;
    bool held;         /* the log is full: windows are closed */
    sl_job checkpoint; /* asked for while held */
    bool checkpoint_under_way;
    int64_t checkpoint_due_us;
    uint64_t window_bytes;
    int64_t window_due_us, settle_due_us, over_us;
    sl_spool_producer *pull_row;
    atomic_bool stopping;
    _Atomic uint64_t n_undecodable, in_flight_bytes;
    sluice_bytes scratch;
    sl_received received;
    sl_message answer;
    sl_log_limit limit;
};

/* --- answers --- */

static sluice_status answer(sl_ingest *ingest, const sl_peer *peer)
{
    return sl_router_send(ingest->router, peer, &ingest->answer, (sluice_span){NULL, 0}, false,
                          &ingest->scratch);
}

static void answer_error(sl_ingest *ingest, const sl_peer *peer, sl_code code, bool retry,
                         uint64_t expected_sequence, const char *text)
{
    ingest->answer.kind = SL_ERROR;
    sl_error *error = &ingest->answer.as.error;
    *error = (sl_error){.code = code, .retry = retry, .expected_sequence = expected_sequence};
    error->retry_after_ms = retry ? RETRY_MS : 0;
    snprintf(error->text, sizeof error->text, "%s", text);
    if (sl_log_allowed(&ingest->limit, 10)) {
        sl_log(1, "INGEST-REFUSED", "code=%s text=\"%s\"", sl_code_name(code), text);
    }
    (void)answer(ingest, peer); /* who does not read its errors asks again */
}

/* Tells a producer how far it is durable, and its window. What cannot be sent now is owed. */
static void answer_ack(sl_ingest *ingest, sl_session *session, const sl_spool_producer *row,
                       const sluice_batch *batch, uint32_t n_known)
{
    uint32_t n_samples = batch != NULL ? batch->n_samples : 0;
    sl_ack *ack = &ingest->answer.as.ack;
    uint32_t i = n_known;
    do { /* a frame carries a bounded number of faults: several frames if there are more */
        ingest->answer.kind = SL_ACK;
        *ack = (sl_ack){.next_sequence = row->next_sequence,
                        .max_in_flight_bytes = ingest->held ? 0 : ingest->window_bytes};
        for (; i < n_samples && ack->n_faults < SLUICE_LIMIT_FAULTS; i++) {
            const sluice_verdict *verdict = &batch->samples[i].verdict;
            if (verdict->decision == SLUICE_REFUSE) {
                sl_fault *fault = &ack->fault[ack->n_faults++];
                fault->sequence = batch->first_sequence + i;
                snprintf(fault->reason, sizeof fault->reason, "%s", verdict->reasons[0]);
                snprintf(fault->text, sizeof fault->text, "%s",
                         verdict->text != NULL ? verdict->text : "");
            }
        }
        if (i >= n_samples) {
            ack->kept = session->untold.kept;
            ack->flagged = session->untold.flagged;
            ack->dropped = session->untold.dropped;
            ack->refused = session->untold.refused;
            ack->redelivered = session->untold.redelivered;
        }
        sluice_status status = answer(ingest, &session->peer);
        session->owes_ack = status == SLUICE_E_AGAIN;
        session->live = status == SLUICE_OK || status == SLUICE_E_AGAIN;
    } while (session->live && !session->owes_ack && i < n_samples);
    if (!session->owes_ack) {
        session->window_bytes = ack->max_in_flight_bytes;
        session->untold = (sl_tally){0};
    }
}

/* --- windows --- */

/* The log is deleted up to the last checkpoint at most, and checkpoints come with the samples that
 * nobody may send now: so one is asked for, once a second until there is room. */
static void ask_for_checkpoint(sl_ingest *ingest)
{
    int64_t now = sl_sessions_now_us();
    if (ingest->held && !ingest->checkpoint_under_way && now >= ingest->checkpoint_due_us &&
        !atomic_load(&ingest->stopping)) {
        ingest->checkpoint_due_us = now + CHECKPOINT_US;
        ingest->checkpoint_under_way = true;
        ingest->checkpoint = (sl_job){.kind = SL_JOB_CHECKPOINT};
        sl_ring_push(ingest->options.estimator, &ingest->checkpoint);
    }
}

static void share_windows(sl_ingest *ingest)
{
    sl_spool_extent extent = sl_spool_extent_of(ingest->options.spool);
    bool was_held = ingest->held;
    ingest->held = extent.log_bytes >= extent.max_bytes;
    if (ingest->held && !was_held) {
        sl_log(1, "INGEST-HELD",
               "the log holds %llu bytes (spool.max_bytes %llu): producers wait until consumers "
               "commit",
               (unsigned long long)extent.log_bytes, (unsigned long long)extent.max_bytes);
    }
    int64_t now = sl_sessions_now_us();
    if (now >= ingest->window_due_us) {
        ingest->window_due_us = now + 1000000;
        ingest->window_bytes = sl_sessions_window(ingest->sessions, now);
    }
}

/* Sends what is owed, and reopens windows that were told to be closed; a few times a second, since
 * it looks at every producer. */
static void settle_acks(sl_ingest *ingest)
{
    int64_t now = sl_sessions_now_us();
    if (now < ingest->settle_due_us) {
        return;
    }
    ingest->settle_due_us = now + 50000;
    for (uint32_t i = 0; i < SLUICE_LIMIT_PRODUCERS; i++) {
        sl_session *session = sl_sessions_of_producer(ingest->sessions, i);
        bool reopen = session->window_bytes == 0 && !ingest->held;
        if (session->live && (session->owes_ack || reopen)) {
            answer_ack(ingest, session, sl_producers_at(ingest->producers, i, ""), NULL, 0);
        }
    }
}

/* --- what arrives --- */

/* Under CURVE a producer's name is the name of its key. */
static bool may_speak(sl_ingest *ingest, const char *user, const char *producer)
{
    return ingest->clients == NULL ||
           (strcmp(user, producer) == 0 && sl_clients_may(ingest->clients, user, SL_RIGHT_INGEST));
}

static void take_hello(sl_ingest *ingest, const sl_received *received)
{
    const sl_hello *hello = &received->message.as.hello;
    const sl_peer *peer = &received->peer;
    char text[256];
    if (hello->wire != SL_WIRE_VERSION) {
        snprintf(text, sizeof text, "you speak wire version %u, this filter speaks %u", hello->wire,
                 SL_WIRE_VERSION);
        answer_error(ingest, peer, SL_CODE_WIRE_VERSION, false, 0, text);
        return;
    }
    if (hello->producer[0] == '\0' || strcmp(hello->producer, SL_PULL_PRODUCER) == 0) {
        answer_error(ingest, peer, SL_CODE_MALFORMED, false, 0,
                     "hello.producer must be a name of 1 to 256 bytes other than \"pull\"");
        return;
    }
    if (!may_speak(ingest, received->user, hello->producer)) {
        answer_error(ingest, peer, SL_CODE_FORBIDDEN, false, 0,
                     "this key may not send under that producer name");
        return;
    }
    sl_spool_producer *row = sl_producers_find(ingest->producers, hello->producer);
    if (row == NULL) {
        snprintf(text, sizeof text,
                 "%d producers are known already, which is the limit: reuse a name",
                 SLUICE_LIMIT_PRODUCERS);
        answer_error(ingest, peer, SL_CODE_FORBIDDEN, false, 0, text);
        return;
    }
    sl_peer fenced;
    if (sl_sessions_bind(ingest->sessions, row->i_producer, peer, &fenced)) {
        answer_error(ingest, &fenced, SL_CODE_FENCED, false, 0,
                     "another connection said HELLO with this producer's name");
    }
    sl_session *session = sl_sessions_of_producer(ingest->sessions, row->i_producer);
    session->seen_us = sl_sessions_now_us();
    session->owes_ack = false;
    session->window_bytes = ingest->held ? 0 : ingest->window_bytes;
    ingest->answer.kind = SL_WELCOME;
    ingest->answer.as.welcome = (sl_welcome){.next_sequence = row->next_sequence,
                                             .max_in_flight_bytes = session->window_bytes,
                                             .max_batch_bytes = SLUICE_LIMIT_BATCH_BYTES};
    (void)answer(ingest, peer);
}

static put *take_free(sl_ingest *ingest)
{
    put *free_put = ingest->first_free;
    ingest->first_free = free_put->next_free;
    ingest->n_free--;
    sluice_batch *batch = free_put->job.batch;
    free_put->job = (sl_job){.kind = SL_JOB_PUT, .batch = batch};
    return free_put;
}

static void give_free(sl_ingest *ingest, put *done)
{
    sl_bytes_fini(&done->job.checkpoint);
    zmq_msg_close(&done->frame);
    zmq_msg_init(&done->frame);
    if (done->wrapped.capacity > SLUICE_LIMIT_BATCH_BYTES) { /* 64 images would be kept for ever */
        sl_bytes_fini(&done->wrapped);
    }
    done->next_free = ingest->first_free;
    ingest->first_free = done;
    ingest->n_free++;
}

static void start(sl_ingest *ingest, put *started)
{
    atomic_fetch_add(&ingest->in_flight_bytes, started->job.bytes.size);
    sl_ring_push(ingest->options.estimator, &started->job);
    sl_ring_push(ingest->options.features, &started->job);
}

/* Who may not send now, and why; SL_CODE_UNSPECIFIED if it may. */
static sl_code refusal_of(sl_ingest *ingest, const sl_session *session, const sl_received *received,
                          sluice_span body, const char **text)
{
    if (session == NULL) {
        if (sl_sessions_fenced(ingest->sessions, &received->peer)) {
            *text = "another connection said HELLO with this producer's name";
            return SL_CODE_FENCED;
        }
        *text = "PUT before HELLO (say HELLO after every reconnect)";
        return SL_CODE_UNKNOWN_PRODUCER;
    }
    const char *name = sl_producers_at(ingest->producers, session->i_producer, "")->name;
    if (!may_speak(ingest, received->user, name)) {
        *text = "this key may not send under that producer name any more";
        return SL_CODE_FORBIDDEN;
    }
    if (atomic_load(&ingest->stopping)) {
        *text = "this filter is shutting down; what was acknowledged is safe, send the rest again";
        return SL_CODE_SHUTTING_DOWN;
    }
    if (!sl_session_batch_fits(body)) {
        *text =
            "a batch has at most 4 MiB (welcome.max_batch_bytes), one of a single sample 33 MiB";
        return SL_CODE_TOO_LARGE;
    }
    /* One batch is always allowed, or a window smaller than a batch would be a dead end. */
    bool over =
        session->in_flight_bytes > 0 && session->in_flight_bytes + body.size > SL_WINDOW_BYTES_MAX;
    if (ingest->held || over) {
        *text = ingest->held ? "the log is full: wait for an ACK that opens the window"
                             : "more unacknowledged bytes than max_in_flight_bytes";
        return SL_CODE_WINDOW_EXCEEDED;
    }
    return SL_CODE_UNSPECIFIED;
}

static void take_put(sl_ingest *ingest, sl_received *received)
{
    const sl_put *said = &received->message.as.put;
    if (!received->has_body) {
        answer_error(ingest, &received->peer, SL_CODE_MALFORMED, false, 0,
                     "PUT without a second frame: frame 2 is the Batch");
        atomic_fetch_add(&ingest->n_undecodable, 1);
        return;
    }
    sl_session *session = sl_sessions_of_peer(ingest->sessions, &received->peer);
    size_t size = zmq_msg_size(&received->body);
    const char *text = "";
    sluice_span body = {zmq_msg_data(&received->body), size};
    sl_code code = refusal_of(ingest, session, received, body, &text);
    if (code != SL_CODE_UNSPECIFIED) {
        bool retry = code == SL_CODE_SHUTTING_DOWN || code == SL_CODE_WINDOW_EXCEEDED;
        uint64_t expected =
            session == NULL
                ? 0
                : sl_producers_at(ingest->producers, session->i_producer, "")->next_sequence;
        answer_error(ingest, &received->peer, code, retry, expected, text);
        return;
    }
    session->seen_us = sl_sessions_now_us();
    session->in_flight_bytes += size;
    put *taken = take_free(ingest);
    zmq_msg_move(&taken->frame, &received->body);
    taken->job.i_producer = session->i_producer;
    taken->job.producer = sl_producers_at(ingest->producers, session->i_producer, "")->name;
    taken->job.sequence = said->sequence;
    taken->job.count = said->count;
    taken->job.xxh3 = said->xxh3;
    taken->job.bytes = (sluice_span){zmq_msg_data(&taken->frame), size};
    start(ingest, taken);
}

static void take_ping(sl_ingest *ingest, const sl_received *received)
{
    sl_session *session = sl_sessions_of_peer(ingest->sessions, &received->peer);
    if (session != NULL) {
        session->seen_us = sl_sessions_now_us();
    }
    ingest->answer.kind = SL_PONG;
    (void)answer(ingest, &received->peer);
}

static void take_message(sl_ingest *ingest, sl_received *received)
{
    switch (received->message.kind) {
    case SL_HELLO:
        take_hello(ingest, received);
        break;
    case SL_PUT:
        take_put(ingest, received);
        break;
    case SL_PING:
        take_ping(ingest, received);
        break;
    default:
        answer_error(ingest, &received->peer, SL_CODE_MALFORMED, false, 0,
                     "this is the ingest port: HELLO, PUT and PING only");
        break;
    }
}

/* While it has, sockets are read: what is not read stays with the sender. */
static bool has_room(const sl_ingest *ingest)
{
    return ingest->n_free > 0 && atomic_load(&ingest->in_flight_bytes) < SL_INGEST_BYTES;
}

static void read_router(sl_ingest *ingest)
{
    sluice_message why;
    for (int i = 0; i < MESSAGES_A_ROUND && has_room(ingest); i++) {
        sluice_status status = sl_router_receive(ingest->router, &ingest->received, &why);
        if (status == SLUICE_OK) {
            take_message(ingest, &ingest->received);
        } else if (status == SLUICE_E_BADSAMPLE) {
            atomic_fetch_add(&ingest->n_undecodable, 1);
            answer_error(ingest, &ingest->received.peer, SL_CODE_MALFORMED, false, 0, why.text);
        }
        zmq_msg_close(&ingest->received.body);
        if (status == SLUICE_E_AGAIN || status == SLUICE_E_CLOSED) {
            return;
        }
    }
}

static void read_pull(sl_ingest *ingest)
{
    for (int i = 0; i < MESSAGES_A_ROUND && has_room(ingest); i++) {
        put *taken = take_free(ingest);
        if (zmq_msg_recv(&taken->frame, ingest->pull, ZMQ_DONTWAIT) < 0) {
            give_free(ingest, taken);
            return;
        }
        sl_spool_producer *row = ingest->pull_row;
        sluice_span message = {zmq_msg_data(&taken->frame), zmq_msg_size(&taken->frame)};
        sluice_span batch;
        if (row == NULL || sl_pull_batch(message, &taken->wrapped, &batch) != SLUICE_OK) {
            atomic_fetch_add(&ingest->n_undecodable, 1);
            give_free(ingest, taken);
            continue;
        }
        taken->job.takes_next = true;
        taken->job.i_producer = row->i_producer;
        taken->job.producer = row->name;
        taken->job.bytes = batch;
        sl_sessions_of_producer(ingest->sessions, row->i_producer)->in_flight_bytes +=
            taken->job.bytes.size;
        start(ingest, taken);
    }
}

/* --- what became durable --- */

static void finish(sl_ingest *ingest, put *done)
{
    sl_job *job = &done->job;
    sl_session *session = sl_sessions_of_producer(ingest->sessions, job->i_producer);
    session->in_flight_bytes -= job->bytes.size;
    atomic_fetch_sub(&ingest->in_flight_bytes, job->bytes.size);
    sl_spool_producer *row = sl_producers_at(ingest->producers, job->i_producer, "");
    *row = job->after;
    if (job->code != SL_CODE_UNSPECIFIED) {
        /* Only a GAP comes from a message that could be decoded. */
        atomic_fetch_add(&ingest->n_undecodable, job->code != SL_CODE_GAP);
        if (session->live) {
            answer_error(ingest, &session->peer, job->code, false, job->expected_sequence,
                         job->why.text);
        } else if (sl_log_allowed(&ingest->limit, 10)) {
            sl_log(1, "INGEST-REFUSED", "producer=%s code=%s text=\"%s\"", job->producer,
                   sl_code_name(job->code), job->why.text);
        }
    } else {
        session->untold.kept += job->tally.kept;
        session->untold.flagged += job->tally.flagged;
        session->untold.dropped += job->tally.dropped;
        session->untold.refused += job->tally.refused;
        session->untold.redelivered += job->tally.redelivered;
        if (session->live) {
            answer_ack(ingest, session, row, job->batch, job->n_known);
        }
    }
    give_free(ingest, done);
}

static void read_done(sl_ingest *ingest)
{
    sl_ring_drain_fd(ingest->options.done);
    for (sl_job *job = sl_ring_try_pop(ingest->options.done); job != NULL;
         job = sl_ring_try_pop(ingest->options.done)) {
        if (job == &ingest->checkpoint) {
            sl_bytes_fini(&ingest->checkpoint.checkpoint);
            ingest->checkpoint_under_way = false;
            continue;
        }
        if (job->back != NULL) {
            sl_offered_take(job, ingest->producers, &ingest->options, ingest->held,
                            atomic_load(&ingest->stopping));
            continue;
        }
        finish(ingest, (put *)((char *)job - offsetof(put, job)));
    }
}

/* At the end, who still speaks is told so, for a second at most: silence would cost a timeout. */
static bool is_over(sl_ingest *ingest)
{
    zmq_pollitem_t item = {ingest->router, 0, ZMQ_POLLIN, 0};
    bool idle = ingest->n_free == SL_INGEST_JOBS && !ingest->checkpoint_under_way;
    if (!idle || !atomic_load(&ingest->stopping)) {
        return false;
    }
    ingest->over_us = ingest->over_us == 0 ? sl_sessions_now_us() + CHECKPOINT_US : ingest->over_us;
    return sl_sessions_now_us() >= ingest->over_us || ingest->router == NULL ||
           zmq_poll(&item, 1, 50) <= 0;
}

void sl_ingest_run(sl_ingest *ingest)
{
    while (!is_over(ingest)) {
        short want = has_room(ingest) ? ZMQ_POLLIN : 0;
        bool pull_open = ingest->pull != NULL && !ingest->held && !atomic_load(&ingest->stopping);
        zmq_pollitem_t item[3] = {{NULL, sl_ring_fd(ingest->options.done), ZMQ_POLLIN, 0}};
        int n_items = 1;
        if (ingest->router != NULL) {
            item[n_items++] = (zmq_pollitem_t){ingest->router, 0, want, 0};
        }
        if (pull_open) {
            item[n_items++] = (zmq_pollitem_t){ingest->pull, 0, want, 0};
        }
        if (zmq_poll(item, n_items, 200) < 0 && errno == ETERM) {
            return;
        }
        share_windows(ingest);
        ask_for_checkpoint(ingest);
        read_done(ingest);
        if (ingest->router != NULL) {
            read_router(ingest);
        }
        if (pull_open) {
            read_pull(ingest);
        }
        settle_acks(ingest);
    }
}

void sl_ingest_stop(sl_ingest *ingest)
{
    atomic_store(&ingest->stopping, true);
    sl_ring_wake(ingest->options.done);
}

/* --- open, close --- */

static sluice_status listen_on(sl_ingest *ingest, int type, const char *endpoint, void **socket,
                               sluice_message *why)
{
    return sl_socket_listen(ingest->options.zmq_context, type, MAX_FRAME_BYTES, SL_RIGHT_INGEST,
                            ingest->options.server_key, endpoint, socket, why);
}

static sluice_status open_puts(sl_ingest *ingest)
{
    ingest->puts = calloc(SL_INGEST_JOBS, sizeof *ingest->puts);
    for (uint32_t i = 0; ingest->puts != NULL && i < SL_INGEST_JOBS; i++) {
        put *added = &ingest->puts[i];
        SLUICE_TRY(sluice_batch_open(&added->job.batch));
        give_free(ingest, added);
    }
    return ingest->puts != NULL ? SLUICE_OK : SLUICE_E_NOMEM;
}

static sluice_status open_parts(sl_ingest *ingest, sluice_message *why)
{
    SLUICE_TRY(sl_producers_open(&ingest->producers));
    SLUICE_TRY(sl_producers_load(ingest->producers, ingest->options.spool, why));
    SLUICE_TRY(sl_sessions_open(&ingest->sessions));
    SLUICE_TRY(open_puts(ingest));
    share_windows(ingest);
    const sluice_config *config = ingest->options.config;
    if (ingest->options.server_key != NULL) {
        SLUICE_TRY(sl_clients_open(config->security.clients, &ingest->clients, why));
    }
    if (config->listen.ingest[0] != '\0') {
        SLUICE_TRY(listen_on(ingest, ZMQ_ROUTER, config->listen.ingest, &ingest->router, why));
    }
    if (config->listen.pull[0] == '\0') {
        return SLUICE_OK;
    }
    ingest->pull_row = sl_producers_find(ingest->producers, SL_PULL_PRODUCER);
    if (ingest->pull_row == NULL) {
        return sluice_fail(why, SLUICE_E_CONFIG, "the state knows %d producers, none named \"%s\"",
                           SLUICE_LIMIT_PRODUCERS, SL_PULL_PRODUCER);
    }
    return listen_on(ingest, ZMQ_PULL, config->listen.pull, &ingest->pull, why);
}

sluice_status sl_ingest_open(const sl_ingest_options *options, sl_ingest **out, sluice_message *why)
{
    *out = NULL;
    sl_ingest *ingest = calloc(1, sizeof *ingest);
    if (ingest == NULL) {
        return sluice_fail(why, SLUICE_E_NOMEM, "no memory for ingest");
    }
    ingest->options = *options;
    sluice_status status = open_parts(ingest, why);
    if (status != SLUICE_OK) {
        sl_ingest_close(&ingest);
        return status;
    }
    *out = ingest;
    return SLUICE_OK;
}

void sl_ingest_close(sl_ingest **ingest_p)
{
    sl_ingest *ingest = *ingest_p;
    if (ingest == NULL) {
        return;
    }
    if (ingest->router != NULL) {
        zmq_close(ingest->router);
    }
    if (ingest->pull != NULL) {
        zmq_close(ingest->pull);
    }
    for (uint32_t i = 0; ingest->puts != NULL && i < SL_INGEST_JOBS; i++) {
        sluice_batch_close(&ingest->puts[i].job.batch);
        sl_bytes_fini(&ingest->puts[i].wrapped);
        zmq_msg_close(&ingest->puts[i].frame);
    }
    free(ingest->puts);
    sl_producers_close(&ingest->producers);
    sl_sessions_close(&ingest->sessions);
    sl_bytes_fini(&ingest->scratch);
    sl_clients_close(&ingest->clients);
    free(ingest);
    *ingest_p = NULL;
}

sl_ingest_counts sl_ingest_counts_of(const sl_ingest *ingest)
{
    return (sl_ingest_counts){atomic_load(&ingest->n_undecodable),
                              atomic_load(&ingest->in_flight_bytes)};
}
