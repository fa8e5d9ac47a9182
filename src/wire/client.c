/* client.c - blocking producer of the verbs: keeps what is unacknowledged and sends it again.
 *
 *   put ->  [ acknowledged | sent, not acknowledged | kept, not sent yet ]  -> next_sequence
 *                          ^ first                  ^ to_send          ^ last
 *            ACK and WELCOME move `first` right;  a new connection, GAP and "try again later" move
 *            `to_send` back; the window bounds the bytes between `first` and `to_send`
 *
 * Why batches are never cut: sequences count samples, so the filter skips the part of a batch that
 * it knows. A partly acknowledged batch is sent again whole.
 * Why a GAP is answered at most once a second: every batch that was under way behind the hole
 * brings a GAP of its own; going back for each would send the window over and over. Why HELLO again
 * when acknowledgements stop but the filter answers: a ROUTER drops what it cannot queue, so the
 * last ACK may be lost; WELCOME tells the same number. */
#include "wire/client.h"

#include "bytes.h"
#include "wire/link.h"

#include <xxhash.h>
#include <zmq.h>

#include <stdio.h>
#include <stdlib.h>

#define DEFAULT_TIMEOUT_MS 10000
#define PING_EVERY_MS      1000
#define HELLO_EVERY_MS     1000
#define GAP_EVERY_MS       1000
#define STALLED_MS         5000 /* without an ACK while something is under way or the window shut */
#define RETRY_MS           200  /* when the filter does not say how long to wait           */

typedef struct pending {
    struct pending *next;
    uint64_t sequence, xxh3;
    uint32_t count;
    zmq_msg_t batch;
} pending;

struct sl_producer {
    sl_link *link;
    char name[SLUICE_LIMIT_ID_BYTES + 1];
    char endpoint[256];
    int64_t timeout_ms;

    pending *first, *last, *to_send;
    uint64_t next_sequence; /* of the next put                                    */
    uint64_t acknowledged;  /* everything below is durable at the filter          */
    uint64_t kept_bytes;    /* of all pending                                     */
    uint64_t in_flight_bytes;
    uint64_t window_bytes;
    uint32_t max_batch_bytes;

    bool opened;   /* had its first WELCOME                              */
    bool welcomed; /* on this connection                                 */
    int64_t hello_ms, ping_ms, heard_ms, progress_ms;
    int64_t hold_until_ms; /* send no batch before                               */
    bool blocked;          /* ZeroMQ's own queue is full                         */
    bool gap;              /* the filter waits for gap_sequence                  */
    uint64_t gap_sequence;
    int64_t rewound_ms;

    sluice_status failed; /* for good; sticky with its sentence */
    sluice_message why;
    sl_producer_counts counts;
    sl_producer_fault *fault;
    void *fault_context;
};

/* --- what is unacknowledged --- */

static size_t batch_bytes(pending *batch)
{
    return zmq_msg_size(&batch->batch);
}

static sluice_status keep_batch(sl_producer *producer, sluice_span bytes, uint32_t count)
{
    pending *batch = calloc(1, sizeof *batch);
    if (batch == NULL || zmq_msg_init_size(&batch->batch, bytes.size) != 0) {
        free(batch);
        return SLUICE_E_NOMEM;
    }
    if (bytes.size > 0) {
        memcpy(zmq_msg_data(&batch->batch), bytes.data, bytes.size);
    }
    batch->sequence = producer->next_sequence;
    batch->count = count;
    batch->xxh3 = XXH3_64bits(bytes.data, bytes.size);
    if (producer->last != NULL) {
        producer->last->next = batch;
    } else {
        producer->first = batch;
    }
    producer->last = batch;
    if (producer->to_send == NULL) {
        producer->to_send = batch;
    }
    producer->kept_bytes += bytes.size;
    producer->next_sequence += count;
    producer->counts.sent += count;
    return SLUICE_OK;
}

static void forget_first(sl_producer *producer)
{
    pending *batch = producer->first;
    size_t bytes = batch_bytes(batch);
    producer->kept_bytes -= bytes;
    if (producer->to_send == batch) {
        producer->to_send = batch->next; /* acknowledged before it was sent again */
    } else {
        producer->in_flight_bytes -= bytes;
    }
    producer->first = batch->next;
    if (producer->first == NULL) {
        producer->last = NULL;
    }
    zmq_msg_close(&batch->batch);
    free(batch);
}

/* Sends again from the batch that holds `sequence`. */
static void rewind_to(sl_producer *producer, uint64_t sequence)
{
    producer->in_flight_bytes = 0;
    producer->to_send = producer->first;
    while (producer->to_send != NULL &&
           producer->to_send->sequence + producer->to_send->count <= sequence) {
        producer->in_flight_bytes += batch_bytes(producer->to_send);
        producer->to_send = producer->to_send->next;
    }
    producer->gap = false;
    producer->rewound_ms = sl_link_now_ms();
}

/* --- what the filter says --- */

static sluice_status fail_for_good(sl_producer *producer, sluice_status status)
{
    producer->failed = status;
    return status;
}

static sluice_status take_acknowledged(sl_producer *producer, uint64_t next_sequence)
{
    if (next_sequence > producer->next_sequence) {
        return fail_for_good(producer,
                             sluice_fail(&producer->why, SLUICE_E_CLOSED,
                                         "another producer named '%.80s' has sent to %.100s: two "
                                         "at once cannot share a name",
                                         producer->name, producer->endpoint));
    }
    producer->progress_ms = sl_link_now_ms();
    if (next_sequence <= producer->acknowledged) {
        return SLUICE_OK; /* an older answer, or an ACK that only moves the window */
    }
    producer->counts.acknowledged += next_sequence - producer->acknowledged;
    producer->acknowledged = next_sequence;
    while (producer->first != NULL &&
           producer->first->sequence + producer->first->count <= next_sequence) {
        forget_first(producer);
    }
    return SLUICE_OK;
}

static sluice_status check_not_forgotten(sl_producer *producer, uint64_t next_sequence)
{
    if (next_sequence >= producer->acknowledged) {
        return SLUICE_OK;
    }
    return fail_for_good(
        producer, sluice_fail(&producer->why, SLUICE_E_CORRUPT,
                              "the filter at %.100s waits for sample %llu of producer '%.80s' but "
                              "acknowledged all below %llu: was its state replaced?",
                              producer->endpoint, (unsigned long long)next_sequence, producer->name,
                              (unsigned long long)producer->acknowledged));
}

static sluice_status take_welcome(sl_producer *producer, const sl_welcome *welcome)
{
    producer->window_bytes = welcome->max_in_flight_bytes;
    producer->max_batch_bytes = welcome->max_batch_bytes;
    if (!producer->opened) {
        producer->opened = true;
        producer->next_sequence = welcome->next_sequence;
        producer->acknowledged = welcome->next_sequence;
    }
    SLUICE_TRY(check_not_forgotten(producer, welcome->next_sequence));
    SLUICE_TRY(take_acknowledged(producer, welcome->next_sequence));
    if (!producer->welcomed) {
        producer->welcomed = true;
        rewind_to(producer, welcome->next_sequence);
    }
    return SLUICE_OK;
}

static sluice_status take_ack(sl_producer *producer, const sl_ack *ack)
{
    producer->counts.kept += ack->kept;
    producer->counts.flagged += ack->flagged;
    producer->counts.dropped += ack->dropped;
    producer->counts.refused += ack->refused;
    producer->counts.redelivered += ack->redelivered;
    for (uint32_t i = 0; producer->fault != NULL && i < ack->n_faults; i++) {
        producer->fault(producer->fault_context, &ack->fault[i]);
    }
    producer->window_bytes = ack->max_in_flight_bytes;
    return take_acknowledged(producer, ack->next_sequence);
}

static sluice_status take_error(sl_producer *producer, const sl_error *error)
{
    int64_t now = sl_link_now_ms();
    if (error->code == SL_CODE_UNKNOWN_PRODUCER) {
        if (producer->welcomed) { /* else a HELLO is under way already */
            producer->welcomed = false;
            producer->hello_ms = 0;
        }
        return SLUICE_OK;
    }
    if (error->code == SL_CODE_GAP) {
        SLUICE_TRY(check_not_forgotten(producer, error->expected_sequence));
        producer->gap = true;
        producer->gap_sequence = error->expected_sequence;
        return SLUICE_OK;
    }
    if (error->code == SL_CODE_FENCED) {
        return fail_for_good(producer, sluice_fail(&producer->why, SLUICE_E_CLOSED,
                                                   "another producer named '%.100s' took over at "
                                                   "%.200s; give each its own name",
                                                   producer->name, producer->endpoint));
    }
    if (error->retry) {
        int64_t wait_ms = error->retry_after_ms > 0 ? error->retry_after_ms : RETRY_MS;
        producer->hold_until_ms = now + wait_ms;
        rewind_to(producer, producer->acknowledged);
        producer->hello_ms = producer->welcomed ? producer->hello_ms : now + wait_ms;
        return SLUICE_OK;
    }
    return fail_for_good(producer, sluice_fail(&producer->why, sl_link_status_of(error->code),
                                               "%.200s: %s: %s", producer->endpoint,
                                               sl_code_name(error->code), error->text));
}

static sluice_status take_message(sl_producer *producer, const sl_message *message)
{
    producer->heard_ms = sl_link_now_ms();
    switch (message->kind) {
    case SL_WELCOME:
        return take_welcome(producer, &message->as.welcome);
    case SL_ACK:
        return producer->opened ? take_ack(producer, &message->as.ack) : SLUICE_OK;
    case SL_ERROR:
        return take_error(producer, &message->as.error);
    default: /* PONG; nothing else comes from an ingest port */
        return SLUICE_OK;
    }
}

/* --- what is sent --- */

static sluice_status unless_full(sluice_status status)
{
    return status == SLUICE_E_AGAIN ? SLUICE_OK : status;
}

static sluice_status send_hello(sl_producer *producer)
{
    sl_message message = {.kind = SL_HELLO, .as.hello = {.wire = SL_WIRE_VERSION}};
    memcpy(message.as.hello.producer, producer->name, sizeof producer->name);
    sluice_status status = sl_link_send(producer->link, &message, NULL);
    if (status == SLUICE_OK) {
        producer->hello_ms = sl_link_now_ms();
    }
    return unless_full(status);
}

static sluice_status send_batches(sl_producer *producer)
{
    while (producer->to_send != NULL) {
        pending *batch = producer->to_send;
        /* One batch may always be under way, or one larger than the window would wait forever. */
        bool fits = producer->window_bytes > 0 &&
                    (producer->in_flight_bytes == 0 ||
                     producer->in_flight_bytes + batch_bytes(batch) <= producer->window_bytes);
        if (!fits) {
            return SLUICE_OK;
        }
        sl_message message = {
            .kind = SL_PUT,
            .as.put = {.sequence = batch->sequence, .count = batch->count, .xxh3 = batch->xxh3}};
        sluice_status status = sl_link_send(producer->link, &message, &batch->batch);
        producer->blocked = status == SLUICE_E_AGAIN;
        if (status != SLUICE_OK) {
            return unless_full(status);
        }
        if (producer->in_flight_bytes == 0) {
            producer->progress_ms = sl_link_now_ms();
        }
        producer->in_flight_bytes += batch_bytes(batch);
        producer->to_send = batch->next;
    }
    return SLUICE_OK;
}

static sluice_status send_due(sl_producer *producer)
{
    int64_t now = sl_link_now_ms();
    if (!producer->welcomed) {
        return now - producer->hello_ms >= HELLO_EVERY_MS ? send_hello(producer) : SLUICE_OK;
    }
    if (producer->gap && producer->acknowledged > producer->gap_sequence) {
        producer->gap = false;
    }
    if (producer->gap && now - producer->rewound_ms >= GAP_EVERY_MS) {
        rewind_to(producer, producer->gap_sequence);
    }
    if (now >= producer->hold_until_ms) {
        SLUICE_TRY(send_batches(producer));
    }
    bool waits = producer->in_flight_bytes > 0 || producer->window_bytes == 0;
    if (waits && now - producer->progress_ms >= STALLED_MS) {
        producer->progress_ms = now;
        return send_hello(producer);
    }
    if (now - producer->heard_ms >= PING_EVERY_MS && now - producer->ping_ms >= PING_EVERY_MS) {
        producer->ping_ms = now;
        return unless_full(sl_link_send(producer->link, &(sl_message){.kind = SL_PING}, NULL));
    }
    return SLUICE_OK;
}

/* Sends what may go, then waits at most wait_ms for one event and takes all that are there. */
static sluice_status pump(sl_producer *producer, int64_t wait_ms)
{
    if (producer->failed != SLUICE_OK) {
        return producer->failed;
    }
    for (;;) {
        sluice_status status = send_due(producer);
        sl_link_event event = SL_LINK_NOTHING;
        if (status == SLUICE_OK) {
            status =
                sl_link_wait(producer->link, wait_ms, producer->blocked, &event, &producer->why);
        }
        if (status == SLUICE_OK && event == SL_LINK_CONNECTED) {
            producer->welcomed = false;
            producer->hello_ms = 0;
        }
        if (status == SLUICE_OK && event == SL_LINK_MESSAGE) {
            status = take_message(producer, sl_link_message(producer->link));
        }
        if (status != SLUICE_OK) {
            return fail_for_good(producer, status);
        }
        if (event == SL_LINK_NOTHING) {
            return SLUICE_OK;
        }
        wait_ms = 0;
    }
}

typedef bool waits_for(const sl_producer *producer, size_t bytes);

static bool is_welcomed(const sl_producer *producer, size_t bytes)
{
    (void)bytes;
    return producer->welcomed;
}

static bool has_room(const sl_producer *producer, size_t bytes)
{
    return producer->window_bytes > 0 &&
           (producer->first == NULL || producer->kept_bytes + bytes <= producer->window_bytes);
}

static bool is_empty(const sl_producer *producer, size_t bytes)
{
    (void)bytes;
    return producer->first == NULL;
}

/* Pumps until the condition holds or nobody has answered for timeout_ms of this call. */
static sluice_status wait_until(sl_producer *producer, waits_for *condition, size_t bytes,
                                sluice_message *why)
{
    int64_t began_ms = sl_link_now_ms();
    sluice_status status = pump(producer, 0);
    while (status == SLUICE_OK && !condition(producer, bytes)) {
        int64_t since_ms = producer->heard_ms > began_ms ? producer->heard_ms : began_ms;
        if (sl_link_now_ms() - since_ms >= producer->timeout_ms) {
            const char *rest =
                producer->first != NULL ? " (what is not acknowledged must be sent again)" : "";
            return sluice_fail(why, SLUICE_E_TIMEOUT, "no answer from %.200s for %.3g s: %s%s",
                               producer->endpoint, (double)producer->timeout_ms / 1000,
                               sl_link_trouble(producer->link), rest);
        }
        status = pump(producer, 50);
    }
    return status == SLUICE_OK ? status : sluice_fail(why, status, "%s", producer->why.text);
}

/* --- calls --- */

sluice_status sl_producer_open(const sl_client_options *options, const char *name,
                               sl_producer **out, sluice_message *why)
{
    *out = NULL;
    if (name[0] == '\0' || strlen(name) > SLUICE_LIMIT_ID_BYTES ||
        !sl_utf8_valid(sl_span_of(name))) {
        return sluice_fail(why, SLUICE_E_CONFIG, "a producer's name has 1 to %d bytes of UTF-8",
                           SLUICE_LIMIT_ID_BYTES);
    }
    sl_producer *producer = calloc(1, sizeof *producer);
    if (producer == NULL) {
        return SLUICE_E_NOMEM;
    }
    snprintf(producer->name, sizeof producer->name, "%s", name);
    snprintf(producer->endpoint, sizeof producer->endpoint, "%s", options->endpoint);
    producer->timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : DEFAULT_TIMEOUT_MS;
    /* A clock that just started must not make "never" look recent. */
    producer->hello_ms = producer->rewound_ms = -GAP_EVERY_MS - HELLO_EVERY_MS;
    sluice_status status = sl_link_open(options, SLUICE_LIMIT_FRAME_BYTES, &producer->link, why);
    if (status == SLUICE_OK) {
        status = wait_until(producer, is_welcomed, 0, why);
    }
    if (status != SLUICE_OK) {
        sl_producer_close(&producer);
        return status;
    }
    *out = producer;
    return SLUICE_OK;
}

void sl_producer_close(sl_producer **producer_p)
{
    sl_producer *producer = *producer_p;
    if (producer == NULL) {
        return;
    }
    producer->to_send = producer->first; /* so that forgetting does not count bytes in flight */
    while (producer->first != NULL) {
        forget_first(producer);
    }
    sl_link_close(&producer->link);
    free(producer);
    *producer_p = NULL;
}

uint64_t sl_producer_next_sequence(const sl_producer *producer)
{
    return producer->next_sequence;
}

uint32_t sl_producer_max_batch(const sl_producer *producer)
{
    return producer->max_batch_bytes;
}

/* A filter that takes smaller batches than ours takes no larger samples either. */
uint32_t sl_producer_max_sample(const sl_producer *producer)
{
    return producer->max_batch_bytes < SLUICE_LIMIT_BATCH_BYTES ? producer->max_batch_bytes
                                                                : SLUICE_LIMIT_MESSAGE_BYTES;
}

sluice_status sl_producer_put(sl_producer *producer, sluice_span batch, uint32_t count,
                              sluice_message *why)
{
    bool alone = sl_session_batch_fits(batch) && batch.size <= sl_producer_max_sample(producer);
    if (batch.size > producer->max_batch_bytes && !alone) {
        return sluice_fail(why, SLUICE_E_TOOBIG,
                           "a batch of %zu bytes is over the %u that %s takes", batch.size,
                           producer->max_batch_bytes, producer->endpoint);
    }
    SLUICE_TRY(wait_until(producer, has_room, batch.size, why));
    SLUICE_TRY(keep_batch(producer, batch, count));
    return sl_producer_poll(producer, why);
}

sluice_status sl_producer_poll(sl_producer *producer, sluice_message *why)
{
    sluice_status status = pump(producer, 0);
    return status == SLUICE_OK ? status : sluice_fail(why, status, "%s", producer->why.text);
}

sluice_status sl_producer_flush(sl_producer *producer, sluice_message *why)
{
    return wait_until(producer, is_empty, 0, why);
}

sl_producer_counts sl_producer_counts_of(const sl_producer *producer)
{
    return producer->counts;
}

void sl_producer_on_fault(sl_producer *producer, sl_producer_fault *fault, void *context)
{
    producer->fault = fault;
    producer->fault_context = context;
}
