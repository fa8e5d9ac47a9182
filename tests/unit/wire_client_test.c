/* wire_client_test.c - the blocking clients against a filter in a thread that misbehaves on
 * request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "bytes.h"
#include "wire/client.h"

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
    uint64_t unacked_bytes, unacked_bytes_max;
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
    mock->unacked_bytes += bytes;
    if (mock->unacked_bytes > mock->unacked_bytes_max) {
        mock->unacked_bytes_max = mock->unacked_bytes;
    }
    if (mock->hold || (mock->plan.no_ack_from > 0 && n >= mock->plan.no_ack_from)) {
        return;
    }
    answer_ack(socket, heard, mock, kept, known);
    mock->unacked_bytes = 0;
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

static sl_producer *open_producer(const mock_filter *mock, uint32_t timeout_ms)
{
    sl_client_options options = {.endpoint = mock->endpoint, .timeout_ms = timeout_ms};
    sl_producer *producer = NULL;
    sluice_message why = {""};
    sluice_status status = sl_producer_open(&options, "crawler", &producer, &why);
    if (status != SLUICE_OK) {
        fail_msg("%s", why.text);
    }
    return producer;
}

/* Sends `n` batches of three samples; the status of the first call that fails, or of the flush. */
static sluice_status put_all(sl_producer *producer, int n, sluice_message *why)
{
    for (int i = 0; i < n; i++) {
        sluice_status status = sl_producer_put(producer, sl_span_of("three samples"), 3, why);
        if (status != SLUICE_OK) {
            return status;
        }
    }
    return sl_producer_flush(producer, why);
}

static void assert_seen_once(const mock_filter *mock, uint64_t n)
{
    for (uint64_t i = 0; i < SAMPLES_MAX; i++) {
        assert_int_equal(mock->seen[i], i < n);
    }
}

static uint32_t n_faults;
static void count_fault(void *context, const sl_fault *fault)
{
    assert_ptr_equal(context, &n_faults);
    assert_string_equal(fault->reason, "not_utf8");
    n_faults++;
}

static void test_producer_put_and_flush_acknowledges_everything_once(void **state)
{
    (void)state;
    mock_filter *mock = start_mock(&(mock_plan){0});
    sl_producer *producer = open_producer(mock, 5000);
    n_faults = 0;
    sl_producer_on_fault(producer, count_fault, &n_faults);
    sluice_message why = {""};
    assert_int_equal(put_all(producer, 100, &why), SLUICE_OK);
    sl_producer_counts counts = sl_producer_counts_of(producer);
    assert_int_equal(counts.sent, 300);
    assert_int_equal(counts.acknowledged, 300);
    assert_int_equal(counts.kept, 300);
    assert_int_equal(counts.redelivered, 0);
    assert_int_equal(n_faults, 1);
    assert_int_equal(sl_producer_next_sequence(producer), 300);
    sl_producer_close(&producer);
    stop_mock(mock);
    assert_false(mock->bad_hash);
    assert_seen_once(mock, 300);
    free(mock);
}

static void test_producer_open_continues_where_the_filter_says(void **state)
{
    (void)state;
    mock_filter *mock = start_mock(&(mock_plan){.next_sequence = 40});
    sl_producer *producer = open_producer(mock, 5000);
    assert_int_equal(sl_producer_next_sequence(producer), 40);
    sluice_message why;
    assert_int_equal(put_all(producer, 2, &why), SLUICE_OK);
    assert_int_equal(sl_producer_counts_of(producer).acknowledged, 6);
    sl_producer_close(&producer);
    stop_mock(mock);
    assert_int_equal(mock->next_sequence, 46);
    free(mock);
}

static void test_producer_filter_restarts_resends_what_it_does_not_know(void **state)
{
    (void)state;
    mock_filter *mock = start_mock(&(mock_plan){.restart_at = 10});
    sl_producer *producer = open_producer(mock, 5000);
    sluice_message why = {""};
    assert_int_equal(put_all(producer, 50, &why), SLUICE_OK);
    assert_int_equal(sl_producer_counts_of(producer).acknowledged, 150);
    sl_producer_close(&producer);
    stop_mock(mock);
    assert_true(mock->n_hellos >= 2);
    assert_seen_once(mock, 150);
    free(mock);
}

static void test_producer_lost_batch_is_sent_again_after_gap(void **state)
{
    (void)state;
    mock_filter *mock = start_mock(&(mock_plan){.lose_at = 4});
    sl_producer *producer = open_producer(mock, 5000);
    sluice_message why = {""};
    assert_int_equal(put_all(producer, 40, &why), SLUICE_OK);
    sl_producer_close(&producer);
    stop_mock(mock);
    assert_seen_once(mock, 120);
    assert_int_equal(mock->n_hellos, 1);
    /* One going back: 40 batches, the lost one and at most those behind it once more. */
    assert_true(mock->n_puts <= 2 * 40);
    free(mock);
}

static void test_producer_part_of_a_batch_acknowledged_resends_it_whole(void **state)
{
    (void)state;
    mock_filter *mock = start_mock(&(mock_plan){.ack_early = 2});
    sl_producer *producer = open_producer(mock, 5000);
    sluice_message why = {""};
    assert_int_equal(put_all(producer, 3, &why), SLUICE_OK);
    sl_producer_close(&producer);
    stop_mock(mock);
    assert_seen_once(mock, 9);
    assert_true(mock->n_redelivered >= 1);
    free(mock);
}

static void test_producer_fenced_fails_and_names_the_producer(void **state)
{
    (void)state;
    mock_filter *mock = start_mock(&(mock_plan){.refuse_at = 2, .error = {.code = SL_CODE_FENCED}});
    sl_producer *producer = open_producer(mock, 5000);
    sluice_message why = {""};
    assert_int_equal(put_all(producer, 3, &why), SLUICE_E_CLOSED);
    assert_non_null(strstr(why.text, "crawler"));
    memset(&why, 0, sizeof why);
    assert_int_equal(sl_producer_flush(producer, &why), SLUICE_E_CLOSED); /* for good */
    assert_non_null(strstr(why.text, "crawler"));
    sl_producer_close(&producer);
    stop_mock(mock);
    free(mock);
}

static void test_producer_told_to_wait_goes_on_later(void **state)
{
    (void)state;
    sl_code codes[] = {SL_CODE_SHUTTING_DOWN, SL_CODE_WINDOW_EXCEEDED};
    for (size_t i = 0; i < 2; i++) {
        mock_filter *mock = start_mock(&(mock_plan){
            .refuse_at = 5,
            .error = {.code = codes[i], .retry = true, .retry_after_ms = 30, .text = "later"}});
        sl_producer *producer = open_producer(mock, 5000);
        sluice_message why = {""};
        assert_int_equal(put_all(producer, 20, &why), SLUICE_OK);
        sl_producer_close(&producer);
        stop_mock(mock);
        assert_seen_once(mock, 60);
        free(mock);
    }
}

static void test_producer_batch_over_the_limit_is_refused_here(void **state)
{
    (void)state;
    mock_filter *mock = start_mock(&(mock_plan){.max_batch = 12});
    sl_producer *producer = open_producer(mock, 5000);
    sluice_message why = {""};
    assert_int_equal(sl_producer_max_batch(producer), 12);
    assert_int_equal(sl_producer_put(producer, sl_span_of("123456789012"), 1, &why), SLUICE_OK);
    assert_int_equal(sl_producer_put(producer, sl_span_of("1234567890123"), 1, &why),
                     SLUICE_E_TOOBIG);
    assert_non_null(strstr(why.text, "12"));
    assert_int_equal(sl_producer_flush(producer, &why), SLUICE_OK);
    sl_producer_close(&producer);
    stop_mock(mock);
    assert_int_equal(mock->next_sequence, 1);
    free(mock);
}

static void test_producer_never_has_more_than_the_window_under_way(void **state)
{
    (void)state;
    mock_filter *mock = start_mock(&(mock_plan){.window_bytes = 40, .no_ack_from = 1});
    sl_producer *producer = open_producer(mock, 5000);
    sluice_message why = {""};
    for (int i = 0; i < 3; i++) { /* 3 x 13 bytes fit into 40 */
        assert_int_equal(sl_producer_put(producer, sl_span_of("three samples"), 3, &why),
                         SLUICE_OK);
    }
    while (mock->n_puts < 3) {
        assert_int_equal(sl_producer_poll(producer, &why), SLUICE_OK);
    }
    usleep(50000);
    assert_int_equal(mock->n_puts, 3);
    sl_producer_close(&producer);
    stop_mock(mock);
    assert_int_equal(mock->unacked_bytes_max, 39);
    free(mock);
}

static void *let_go(void *argument)
{
    mock_filter *mock = argument;
    usleep(300000);
    mock->hold = false;
    return NULL;
}

static void test_producer_closed_window_waits_for_an_unasked_ack(void **state)
{
    (void)state;
    mock_filter *mock = start_mock(&(mock_plan){0});
    mock->hold = true;
    sl_producer *producer = open_producer(mock, 5000);
    pthread_t opener;
    pthread_create(&opener, NULL, let_go, mock);
    sluice_message why = {""};
    assert_int_equal(sl_producer_put(producer, sl_span_of("three samples"), 3, &why), SLUICE_OK);
    assert_false(mock->hold); /* put() has waited */
    assert_int_equal(sl_producer_flush(producer, &why), SLUICE_OK);
    pthread_join(opener, NULL);
    sl_producer_close(&producer);
    stop_mock(mock);
    assert_seen_once(mock, 3);
    free(mock);
}

static void test_producer_lost_ack_is_asked_for_again(void **state)
{
    (void)state;
    mock_filter *mock = start_mock(&(mock_plan){.no_ack_from = 1});
    sl_producer *producer = open_producer(mock, 20000);
    sluice_message why = {""};
    assert_int_equal(put_all(producer, 2, &why), SLUICE_OK); /* after STALLED_MS, by WELCOME */
    sl_producer_close(&producer);
    stop_mock(mock);
    assert_int_equal(mock->n_puts, 2);
    assert_int_equal(mock->n_hellos, 2);
    free(mock);
}

static void test_producer_silent_filter_times_out_and_names_it(void **state)
{
    (void)state;
    mock_filter *mock = start_mock(&(mock_plan){.silent_from = 2});
    sl_producer *producer = open_producer(mock, 700);
    sluice_message why = {""};
    assert_int_equal(put_all(producer, 3, &why), SLUICE_E_TIMEOUT);
    assert_non_null(strstr(why.text, mock->endpoint));
    assert_non_null(strstr(why.text, "0.7 s"));
    assert_int_equal(sl_producer_counts_of(producer).acknowledged, 3);
    sl_producer_close(&producer);
    stop_mock(mock);
    free(mock);
}

static void test_producer_open_nobody_there_times_out(void **state)
{
    (void)state;
    sl_client_options options = {.endpoint = "ipc:///tmp/sluice-mock-nobody", .timeout_ms = 300};
    sl_producer *producer = NULL;
    sluice_message why = {""};
    assert_int_equal(sl_producer_open(&options, "crawler", &producer, &why), SLUICE_E_TIMEOUT);
    assert_null(producer);
    assert_non_null(strstr(why.text, "nobody"));
    options.endpoint = "not an endpoint";
    assert_int_equal(sl_producer_open(&options, "crawler", &producer, &why), SLUICE_E_CONFIG);
    assert_int_equal(sl_producer_open(&options, "", &producer, &why), SLUICE_E_CONFIG);
}

static void test_producer_open_forbidden_says_so(void **state)
{
    (void)state;
    mock_filter *mock = start_mock(&(mock_plan){0});
    sl_client_options options = {.endpoint = mock->endpoint, .timeout_ms = 3000};
    sl_producer *producer = NULL;
    sluice_message why = {""};
    assert_int_equal(sl_producer_open(&options, "forbidden", &producer, &why), SLUICE_E_CONFIG);
    assert_non_null(strstr(why.text, "FORBIDDEN"));
    stop_mock(mock);
    free(mock);
}

static void test_producer_filter_forgot_acknowledged_samples_fails(void **state)
{
    (void)state;
    mock_filter *mock =
        start_mock(&(mock_plan){.next_sequence = 40, .restart_at = 3, .forget_to = 5});
    sl_producer *producer = open_producer(mock, 5000);
    sluice_message why = {""};
    for (int i = 0; i < 2; i++) { /* one after the other, so that 46 are acknowledged for sure */
        assert_int_equal(put_all(producer, 1, &why), SLUICE_OK);
    }
    assert_int_equal(put_all(producer, 2, &why), SLUICE_E_CORRUPT);
    assert_non_null(strstr(why.text, "waits for sample 5"));
    sl_producer_close(&producer);
    stop_mock(mock);
    free(mock);
}

/* --- consumer --- */

static sl_consumer *open_consumer(const mock_filter *mock, uint32_t timeout_ms)
{
    sl_client_options options = {.endpoint = mock->endpoint, .timeout_ms = timeout_ms};
    sl_consumer *consumer = NULL;
    sluice_message why;
    assert_int_equal(sl_consumer_open(&options, &consumer, &why), SLUICE_OK);
    return consumer;
}

static void test_consumer_fetch_commit_reject_reach_the_filter(void **state)
{
    (void)state;
    mock_filter *mock = start_mock(&(mock_plan){.head_offset = 2});
    sl_consumer *consumer = open_consumer(mock, 5000);
    sl_fetch fetch = {.group = "train", .after_commits = true};
    sl_records records;
    sluice_span batch;
    sluice_message why = {""};
    uint64_t floor = 0;
    for (uint64_t i = 0; i < 2; i++) {
        assert_int_equal(sl_consumer_fetch(consumer, &fetch, &records, &batch, &why), SLUICE_OK);
        assert_int_equal(records.first_offset, i);
        assert_true(sl_span_equal(batch, sl_span_of("BATCH")));
        sl_commit commit = {
            .group = "train", .first_offset = i, .next_offset = records.next_offset};
        assert_int_equal(sl_consumer_commit(consumer, &commit, &floor, &why), SLUICE_OK);
        assert_int_equal(floor, i + 1);
    }
    assert_int_equal(sl_consumer_fetch(consumer, &fetch, &records, &batch, &why), SLUICE_E_AGAIN);
    assert_int_equal(records.head_offset, 2);
    sl_reject reject = {.group = "train", .offset = 1, .reason = "broken"};
    assert_int_equal(sl_consumer_reject(consumer, &reject, &why), SLUICE_OK);
    sl_consumer_close(&consumer);
    stop_mock(mock);
    assert_int_equal(mock->rejected, 1);
    assert_int_equal(mock->n_fetches, 3); /* nothing was asked twice */
    assert_int_equal(mock->n_commits, 2);
    free(mock);
}

static void test_consumer_errors_carry_code_and_words(void **state)
{
    (void)state;
    mock_filter *mock = start_mock(&(mock_plan){
        .n_errors = 1, .error = {.code = SL_CODE_OFFSET_GONE, .text = "the log begins at 900"}});
    sl_consumer *consumer = open_consumer(mock, 5000);
    sl_fetch fetch = {.offset = 3};
    sl_records records;
    sluice_span batch;
    sluice_message why = {""};
    assert_int_equal(sl_consumer_fetch(consumer, &fetch, &records, &batch, &why), SLUICE_E_CLOSED);
    assert_int_equal(sl_consumer_code(consumer), SL_CODE_OFFSET_GONE);
    assert_non_null(strstr(why.text, "the log begins at 900"));
    assert_int_equal(sl_consumer_fetch(consumer, &fetch, &records, &batch, &why), SLUICE_E_AGAIN);
    assert_int_equal(sl_consumer_code(consumer), SL_CODE_UNSPECIFIED);
    sl_consumer_close(&consumer);
    stop_mock(mock);
    free(mock);
}

static void test_consumer_told_to_wait_asks_again(void **state)
{
    (void)state;
    mock_filter *mock = start_mock(&(mock_plan){
        .head_offset = 1,
        .n_errors = 2,
        .error = {.code = SL_CODE_SHUTTING_DOWN, .retry = true, .retry_after_ms = 20}});
    sl_consumer *consumer = open_consumer(mock, 5000);
    sl_records records;
    sluice_span batch;
    sluice_message why = {""};
    assert_int_equal(sl_consumer_fetch(consumer, &(sl_fetch){0}, &records, &batch, &why),
                     SLUICE_OK);
    sl_consumer_close(&consumer);
    stop_mock(mock);
    assert_int_equal(mock->n_fetches, 3);
    free(mock);
}

static void test_consumer_silent_filter_times_out(void **state)
{
    (void)state;
    mock_filter *mock = start_mock(&(mock_plan){.silent_from = 1});
    sl_consumer *consumer = open_consumer(mock, 300);
    sl_records records;
    sluice_span batch;
    sluice_message why = {""};
    assert_int_equal(sl_consumer_fetch(consumer, &(sl_fetch){0}, &records, &batch, &why),
                     SLUICE_E_TIMEOUT);
    assert_non_null(strstr(why.text, mock->endpoint));
    sl_consumer_close(&consumer);
    stop_mock(mock);
    free(mock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_producer_put_and_flush_acknowledges_everything_once),
        cmocka_unit_test(test_producer_open_continues_where_the_filter_says),
        cmocka_unit_test(test_producer_filter_restarts_resends_what_it_does_not_know),
        cmocka_unit_test(test_producer_lost_batch_is_sent_again_after_gap),
        cmocka_unit_test(test_producer_part_of_a_batch_acknowledged_resends_it_whole),
        cmocka_unit_test(test_producer_fenced_fails_and_names_the_producer),
        cmocka_unit_test(test_producer_told_to_wait_goes_on_later),
        cmocka_unit_test(test_producer_batch_over_the_limit_is_refused_here),
        cmocka_unit_test(test_producer_never_has_more_than_the_window_under_way),
        cmocka_unit_test(test_producer_closed_window_waits_for_an_unasked_ack),
        cmocka_unit_test(test_producer_lost_ack_is_asked_for_again),
        cmocka_unit_test(test_producer_silent_filter_times_out_and_names_it),
        cmocka_unit_test(test_producer_open_nobody_there_times_out),
        cmocka_unit_test(test_producer_open_forbidden_says_so),
        cmocka_unit_test(test_producer_filter_forgot_acknowledged_samples_fails),
        cmocka_unit_test(test_consumer_fetch_commit_reject_reach_the_filter),
        cmocka_unit_test(test_consumer_errors_carry_code_and_words),
        cmocka_unit_test(test_consumer_told_to_wait_asks_again),
        cmocka_unit_test(test_consumer_silent_filter_times_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
