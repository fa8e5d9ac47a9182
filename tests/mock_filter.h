/* mock_filter.h - the ports of a filter in a thread, which misbehaves as its plan says; for tests
 * of clients. */
#ifndef MOCK_FILTER_H
#define MOCK_FILTER_H

#include "bytes.h"
#include "wire/session.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <xxhash.h>
#include <zmq.h>

#define SAMPLES_MAX 4096

/* What the mock does; counts are of PUTs, from 1; 0 = never. */
typedef struct mock_plan {
    uint64_t next_sequence; /* durable when it starts                      */
    uint64_t window_bytes;  /* 0 = 1 MiB                                   */
    uint64_t max_batch;     /* 0 = 4 MiB                                   */
    int restart_at;         /* closes its port without an answer, binds again */
    uint64_t forget_to;     /* what it knows after the restart, if > 0     */
    int lose_at;            /* is lost without a word                      */
    int refuse_at;          /* gets `error`                                */
    int silent_from;        /* no answer to anything                       */
    int no_ack_from;        /* answers all but PUT                         */
    int ack_every;          /* ACKs every so many PUTs only, after looking for more of them */
    int ack_early;          /* ACKs end so many samples before the PUT does */
    sl_error error;
    int n_errors;         /* consumer: so many answers are `error`        */
    uint64_t head_offset; /* consumer: so many records are there          */
} mock_plan;

typedef struct mock_filter {
    mock_plan plan;
    char endpoint[128];
    pthread_t thread;
    void *context;
    _Atomic bool stop, hold; /* hold: takes PUTs, tells nothing, window 0 */
    _Atomic int n_hellos, n_puts, n_fetches, n_commits;
    /* of its thread; read after stop_mock */
    bool known; /* this connection said HELLO */
    bool restarted, acked_hold;
    uint64_t next_sequence;
    bool overrun; /* with ack_every: a PUT came although the ACK was owed */
    bool bad_hash;
    uint8_t seen[SAMPLES_MAX];
    uint32_t n_redelivered;
    uint64_t floor_offset, rejected;
} mock_filter;

typedef struct heard_message {
    sl_message message;
    zmq_msg_t peer, batch;
} heard_message;

static void answer(void *socket, heard_message *heard, const sl_message *message, const char *batch)
{
    sluice_bytes frame = {0};
    assert_int_equal(sl_session_encode(message, &frame), SLUICE_OK);
    zmq_msg_t peer;
    zmq_msg_init(&peer);
    zmq_msg_copy(&peer, &heard->peer);
    zmq_msg_send(&peer, socket, ZMQ_SNDMORE);
    zmq_send(socket, frame.data, frame.size, batch != NULL ? ZMQ_SNDMORE : 0);
    if (batch != NULL) {
        zmq_send(socket, batch, strlen(batch), 0);
    }
    sl_bytes_fini(&frame);
}

static void answer_error(void *socket, heard_message *heard, sl_code code, uint64_t expected)
{
    answer(socket, heard,
           &(sl_message){.kind = SL_ERROR,
                         .as.error = {.code = code, .expected_sequence = expected, .text = "no"}},
           NULL);
}

static uint64_t window_of(const mock_filter *mock)
{
    if (mock->hold) {
        return 0;
    }
    return mock->plan.window_bytes > 0 ? mock->plan.window_bytes : 1 << 20;
}

static void answer_ack(void *socket, heard_message *heard, mock_filter *mock, uint32_t kept,
                       uint32_t known)
{
    sl_message ack = {.kind = SL_ACK,
                      .as.ack = {.next_sequence = mock->next_sequence,
                                 .max_in_flight_bytes = window_of(mock),
                                 .kept = kept,
                                 .redelivered = known}};
    if (kept > 0 && mock->next_sequence == 3) {
        ack.as.ack.n_faults = 1;
        ack.as.ack.fault[0].sequence = 2;
        strcpy(ack.as.ack.fault[0].reason, "not_utf8");
    }
    answer(socket, heard, &ack, NULL);
}

static void take_put(void *socket, mock_filter *mock, heard_message *heard)
{
    int n = ++mock->n_puts;
    const sl_put *put = &heard->message.as.put;
    if (!mock->known) {
        answer_error(socket, heard, SL_CODE_UNKNOWN_PRODUCER, 0);
        return;
    }
    if (n == mock->plan.lose_at || n == mock->plan.restart_at ||
        (mock->plan.silent_from > 0 && n >= mock->plan.silent_from)) {
        return;
    }
    if (n == mock->plan.refuse_at) {
        answer(socket, heard, &(sl_message){.kind = SL_ERROR, .as.error = mock->plan.error}, NULL);
        return;
    }
    if (put->sequence > mock->next_sequence) {
        answer_error(socket, heard, SL_CODE_GAP, mock->next_sequence);
        return;
    }
    size_t bytes = zmq_msg_size(&heard->batch);
    mock->bad_hash |= XXH3_64bits(zmq_msg_data(&heard->batch), bytes) != put->xxh3;
    uint64_t end = put->sequence + put->count;
    if (mock->plan.ack_early > 0 && n == 1) {
        end -= (uint64_t)mock->plan.ack_early;
    }
    uint32_t known = 0, kept = 0;
    for (uint64_t i = put->sequence; i < end; i++) {
        bool is_new = i >= mock->next_sequence;
        mock->seen[i] = (uint8_t)(mock->seen[i] + is_new);
        kept += is_new;
        known += !is_new;
    }
    mock->n_redelivered += known;
    mock->next_sequence = end > mock->next_sequence ? end : mock->next_sequence;
    if (mock->hold || (mock->plan.no_ack_from > 0 && n >= mock->plan.no_ack_from)) {
        return;
    }
    if (mock->plan.ack_every > 0) {
        if (n % mock->plan.ack_every != 0) {
            return;
        }
        zmq_pollitem_t more = {socket, 0, ZMQ_POLLIN, 0};
        mock->overrun |= zmq_poll(&more, 1, 30) > 0;
    }
    answer_ack(socket, heard, mock, kept, known);
}

static void take_hello(void *socket, mock_filter *mock, heard_message *heard)
{
    mock->n_hellos++;
    if (strcmp(heard->message.as.hello.producer, "forbidden") == 0) {
        answer_error(socket, heard, SL_CODE_FORBIDDEN, 0);
        return;
    }
    mock->known = true;
    uint64_t max_batch = mock->plan.max_batch > 0 ? mock->plan.max_batch : 4 << 20;
    answer(socket, heard,
           &(sl_message){.kind = SL_WELCOME,
                         .as.welcome = {.next_sequence = mock->next_sequence,
                                        .max_in_flight_bytes = window_of(mock),
                                        .max_batch_bytes = (uint32_t)max_batch}},
           NULL);
}

static void take_consumer(void *socket, mock_filter *mock, heard_message *heard)
{
    bool is_fetch = heard->message.kind == SL_FETCH;
    mock->n_fetches += is_fetch;
    mock->n_commits += heard->message.kind == SL_COMMIT;
    if (mock->plan.silent_from > 0) {
        return;
    }
    if (mock->plan.n_errors > 0) {
        mock->plan.n_errors--;
        answer(socket, heard, &(sl_message){.kind = SL_ERROR, .as.error = mock->plan.error}, NULL);
        return;
    }
    if (is_fetch) {
        uint64_t from = heard->message.as.fetch.after_commits ? mock->floor_offset
                                                              : heard->message.as.fetch.offset;
        bool any = from < mock->plan.head_offset;
        answer(socket, heard,
               &(sl_message){.kind = SL_RECORDS,
                             .as.records = {.first_offset = from,
                                            .next_offset = any ? from + 1 : from,
                                            .count = any,
                                            .delivery = 1,
                                            .head_offset = mock->plan.head_offset}},
               any ? "BATCH" : "");
        return;
    }
    if (heard->message.kind == SL_COMMIT) {
        mock->floor_offset = heard->message.as.commit.next_offset;
    } else {
        mock->rejected = heard->message.as.reject.offset;
    }
    answer(socket, heard, &(sl_message){.kind = SL_COMMITTED, .as.committed = {mock->floor_offset}},
           NULL);
}

static void take(void *socket, mock_filter *mock, heard_message *heard)
{
    switch (heard->message.kind) {
    case SL_HELLO:
        take_hello(socket, mock, heard);
        break;
    case SL_PUT:
        take_put(socket, mock, heard);
        break;
    case SL_PING:
        if (mock->plan.silent_from == 0) {
            answer(socket, heard, &(sl_message){.kind = SL_PONG}, NULL);
        }
        break;
    default:
        take_consumer(socket, mock, heard);
        break;
    }
}

static bool receive(void *socket, heard_message *heard)
{
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    if (zmq_msg_recv(&frame, socket, 0) < 0) {
        zmq_msg_close(&frame);
        return false; /* heard->peer stays who spoke last */
    }
    zmq_msg_move(&heard->peer, &frame);
    zmq_msg_recv(&frame, socket, 0);
    zmq_msg_close(&heard->batch);
    zmq_msg_init(&heard->batch);
    if (zmq_msg_more(&frame)) {
        zmq_msg_recv(&heard->batch, socket, 0);
    }
    sluice_message why;
    sluice_status status = sl_session_decode_to(
        (sluice_span){zmq_msg_data(&frame), zmq_msg_size(&frame)}, &heard->message, &why);
    zmq_msg_close(&frame);
    return status == SLUICE_OK;
}

static void *bind_mock(mock_filter *mock)
{
    void *socket = zmq_socket(mock->context, ZMQ_ROUTER);
    int linger_ms = 200, wait_ms = 20;
    zmq_setsockopt(socket, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
    zmq_setsockopt(socket, ZMQ_RCVTIMEO, &wait_ms, sizeof wait_ms);
    while (zmq_bind(socket, mock->endpoint) != 0) {
        usleep(10000);
    }
    return socket;
}

static void *run_mock(void *argument)
{
    mock_filter *mock = argument;
    void *socket = bind_mock(mock);
    heard_message heard = {0};
    zmq_msg_init(&heard.peer);
    zmq_msg_init(&heard.batch);
    bool held = false;
    while (!mock->stop) {
        if (receive(socket, &heard)) {
            take(socket, mock, &heard);
        }
        if (held && !mock->hold) { /* unasked: the window opens again */
            answer_ack(socket, &heard, mock, 0, 0);
        }
        held = mock->hold;
        if (mock->plan.restart_at > 0 && mock->n_puts == mock->plan.restart_at &&
            !mock->restarted) {
            zmq_close(socket);
            usleep(100000);
            mock->restarted = true;
            mock->known = false;
            mock->next_sequence =
                mock->plan.forget_to > 0 ? mock->plan.forget_to : mock->next_sequence;
            socket = bind_mock(mock);
        }
    }
    zmq_msg_close(&heard.peer);
    zmq_msg_close(&heard.batch);
    zmq_close(socket);
    return NULL;
}

static mock_filter *start_mock(const mock_plan *plan)
{
    static int n_mocks = 0;
    mock_filter *mock = calloc(1, sizeof *mock);
    mock->plan = *plan;
    mock->next_sequence = plan->next_sequence;
    mock->context = zmq_ctx_new();
    snprintf(mock->endpoint, sizeof mock->endpoint, "ipc:///tmp/sluice-mock-%d-%d", getpid(),
             n_mocks++);
    assert_int_equal(pthread_create(&mock->thread, NULL, run_mock, mock), 0);
    return mock;
}

static void stop_mock(mock_filter *mock)
{
    mock->stop = true;
    pthread_join(mock->thread, NULL);
    zmq_ctx_term(mock->context);
    unlink(mock->endpoint + strlen("ipc://"));
}

#endif
