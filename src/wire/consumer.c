/* consumer.c - blocking consumer of the verbs: one request, one answer.
 *
 *   fetch, commit, reject --> request --> DEALER ... answer of the wanted kind, or Error
 *                               ^------- a new connection, "try again later": asked again
 *
 * Why it may ask again: a read changes nothing, COMMIT and REJECT are idempotent, and a leased
 * range whose answer was lost is given out again when its lease ends. Why the socket is thrown away
 * after a timeout: the late answer would be taken for the next one. */
#include "wire/client.h"

#include "wire/link.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#define DEFAULT_TIMEOUT_MS 10000
#define PING_EVERY_MS      1000
#define RETRY_MS           200
#define PIECE_BYTES        SLUICE_LIMIT_FRAME_BYTES
/* An answer holds one batch, or one image that is larger than any batch. */
#define MAX_FRAME_BYTES    ((int64_t)SLUICE_LIMIT_IMAGE_BYTES + SLUICE_LIMIT_BATCH_BYTES)

struct sl_consumer {
    sl_link *link; /* NULL after a timeout */
    char endpoint[256], key_file[4096], server_key[4096];
    int64_t timeout_ms;
    sl_code code;
};

static sluice_status open_link(sl_consumer *consumer, sluice_message *why)
{
    if (consumer->link != NULL) {
        return SLUICE_OK;
    }
    sl_client_options options = {
        .endpoint = consumer->endpoint,
        .key_file = consumer->key_file[0] != '\0' ? consumer->key_file : NULL,
        .server_key = consumer->server_key[0] != '\0' ? consumer->server_key : NULL};
    return sl_link_open(&options, MAX_FRAME_BYTES, &consumer->link, why);
}

sluice_status sl_consumer_open(const sl_client_options *options, sl_consumer **out,
                               sluice_message *why)
{
    *out = NULL;
    sl_consumer *consumer = calloc(1, sizeof *consumer);
    if (consumer == NULL) {
        return SLUICE_E_NOMEM;
    }
    snprintf(consumer->endpoint, sizeof consumer->endpoint, "%s", options->endpoint);
    snprintf(consumer->key_file, sizeof consumer->key_file, "%s",
             options->key_file != NULL ? options->key_file : "");
    snprintf(consumer->server_key, sizeof consumer->server_key, "%s",
             options->server_key != NULL ? options->server_key : "");
    consumer->timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : DEFAULT_TIMEOUT_MS;
    sluice_status status = open_link(consumer, why);
    if (status != SLUICE_OK) {
        sl_consumer_close(&consumer);
        return status;
    }
    *out = consumer;
    return SLUICE_OK;
}

void sl_consumer_close(sl_consumer **consumer_p)
{
    if (*consumer_p != NULL) {
        sl_link_close(&(*consumer_p)->link);
        free(*consumer_p);
        *consumer_p = NULL;
    }
}

sl_code sl_consumer_code(const sl_consumer *consumer)
{
    return consumer->code;
}

static sluice_status fail_by_error(sl_consumer *consumer, const sl_error *error,
                                   sluice_message *why)
{
    return sluice_fail(why, sl_link_status_of(error->code), "%.150s: %s: %s", consumer->endpoint,
                       sl_code_name(error->code), error->text);
}

/* One request under way. */
typedef struct exchange {
    const sl_message *request;
    sluice_span body; /* size 0: no second frame */
    sl_kind wanted;
    bool asked, answered;
    int64_t ask_at_ms, heard_ms, ping_ms;
} exchange;

static sluice_status send_request(sl_consumer *consumer, const exchange *turn)
{
    if (turn->body.size == 0) {
        return sl_link_send(consumer->link, turn->request, NULL);
    }
    zmq_msg_t body;
    if (zmq_msg_init_size(&body, turn->body.size) != 0) {
        return SLUICE_E_NOMEM;
    }
    memcpy(zmq_msg_data(&body), turn->body.data, turn->body.size);
    sluice_status status = sl_link_send(consumer->link, turn->request, &body);
    zmq_msg_close(&body);
    return status;
}

static sluice_status send_due(sl_consumer *consumer, exchange *turn)
{
    int64_t now = sl_link_now_ms();
    sluice_status status = SLUICE_OK;
    if (!turn->asked && now >= turn->ask_at_ms) {
        status = send_request(consumer, turn);
        turn->asked = status == SLUICE_OK;
    } else if (now - turn->heard_ms >= PING_EVERY_MS && now - turn->ping_ms >= PING_EVERY_MS) {
        turn->ping_ms = now;
        status = sl_link_send(consumer->link, &(sl_message){.kind = SL_PING}, NULL);
    }
    return status == SLUICE_E_AGAIN ? SLUICE_OK : status;
}

static sluice_status take_event(sl_consumer *consumer, exchange *turn, sl_link_event event,
                                sluice_message *why)
{
    if (event == SL_LINK_CONNECTED) {
        turn->asked = false;
    }
    if (event != SL_LINK_MESSAGE) {
        return SLUICE_OK;
    }
    const sl_message *message = sl_link_message(consumer->link);
    turn->heard_ms = sl_link_now_ms();
    turn->answered = message->kind == turn->wanted;
    if (message->kind != SL_ERROR) {
        return SLUICE_OK;
    }
    consumer->code = message->as.error.code;
    if (message->as.error.retry) {
        uint32_t wait_ms = message->as.error.retry_after_ms;
        turn->asked = false;
        turn->ask_at_ms = turn->heard_ms + (wait_ms > 0 ? wait_ms : RETRY_MS);
        return SLUICE_OK;
    }
    return fail_by_error(consumer, &message->as.error, why);
}

static sluice_status ask_with(sl_consumer *consumer, const sl_message *request, sluice_span body,
                              sl_kind wanted, int64_t wait_ms, sluice_message *why)
{
    consumer->code = SL_CODE_UNSPECIFIED;
    SLUICE_TRY(open_link(consumer, why));
    int64_t began_ms = sl_link_now_ms();
    exchange turn = {.request = request, .body = body, .wanted = wanted, .heard_ms = began_ms};
    sluice_status status = SLUICE_OK;
    while (status == SLUICE_OK && !turn.answered) {
        int64_t now = sl_link_now_ms();
        /* PONGs keep a long fetch alive, but not for longer than it may take. */
        if (now - turn.heard_ms >= consumer->timeout_ms ||
            now - began_ms >= wait_ms + consumer->timeout_ms) {
            status = sluice_fail(why, SLUICE_E_TIMEOUT, "no answer from %.200s for %.3g s: %s",
                                 consumer->endpoint, (double)consumer->timeout_ms / 1000,
                                 consumer->code != SL_CODE_UNSPECIFIED
                                     ? sl_code_name(consumer->code)
                                     : sl_link_trouble(consumer->link));
            break;
        }
        status = send_due(consumer, &turn);
        sl_link_event event = SL_LINK_NOTHING;
        if (status == SLUICE_OK) {
            bool want_write = !turn.asked && now >= turn.ask_at_ms;
            status = sl_link_wait(consumer->link, 50, want_write, &event, why);
        }
        if (status == SLUICE_OK) {
            status = take_event(consumer, &turn, event, why);
        }
    }
    if (status == SLUICE_OK) {
        consumer->code = SL_CODE_UNSPECIFIED;
    } else if (status == SLUICE_E_TIMEOUT) {
        sl_link_close(&consumer->link);
    }
    return status;
}

static sluice_status ask(sl_consumer *consumer, const sl_message *request, sl_kind wanted,
                         int64_t wait_ms, sluice_message *why)
{
    return ask_with(consumer, request, (sluice_span){0}, wanted, wait_ms, why);
}

sluice_status sl_consumer_fetch(sl_consumer *consumer, const sl_fetch *fetch, sl_records *records,
                                sluice_span *batch, sluice_message *why)
{
    *records = (sl_records){0};
    *batch = (sluice_span){0};
    sl_message request = {.kind = SL_FETCH, .as.fetch = *fetch};
    SLUICE_TRY(ask(consumer, &request, SL_RECORDS, fetch->wait_ms, why));
    *records = sl_link_message(consumer->link)->as.records;
    *batch = sl_link_batch(consumer->link);
    return records->count > 0
               ? SLUICE_OK
               : sluice_fail(why, SLUICE_E_AGAIN, "nothing between %" PRIu64 " and %" PRIu64,
                             records->first_offset, records->next_offset);
}

sluice_status sl_consumer_commit(sl_consumer *consumer, const sl_commit *commit,
                                 uint64_t *floor_offset, sluice_message *why)
{
    *floor_offset = 0;
    sl_message request = {.kind = SL_COMMIT, .as.commit = *commit};
    SLUICE_TRY(ask(consumer, &request, SL_COMMITTED, 0, why));
    *floor_offset = sl_link_message(consumer->link)->as.committed.floor_offset;
    return SLUICE_OK;
}

sluice_status sl_consumer_reject(sl_consumer *consumer, const sl_reject *reject,
                                 sluice_message *why)
{
    sl_message request = {.kind = SL_REJECT, .as.reject = *reject};
    return ask(consumer, &request, SL_COMMITTED, 0, why);
}

static sluice_status ask_reference(sl_consumer *consumer, const sl_reference_request *request,
                                   sluice_span body, sl_references *references, sluice_message *why)
{
    sl_message message = {.kind = SL_REFERENCE, .as.reference = *request};
    SLUICE_TRY(ask_with(consumer, &message, body, SL_REFERENCES, 0, why));
    *references = sl_link_message(consumer->link)->as.references;
    return SLUICE_OK;
}

sluice_status sl_consumer_references(sl_consumer *consumer, sl_references *references,
                                     sluice_message *why)
{
    const sl_reference_request request = {.action = SL_REFERENCE_LIST};
    return ask_reference(consumer, &request, (sluice_span){0}, references, why);
}

sluice_status sl_consumer_reference_add(sl_consumer *consumer, const char *name, sluice_span batch,
                                        sl_references *references, sluice_message *why)
{
    sl_reference_request request = {.action = SL_REFERENCE_ADD, .more = true};
    snprintf(request.name, sizeof request.name, "%s", name);
    while (request.more) {
        const size_t left = batch.size - (size_t)request.at;
        const size_t size = left < PIECE_BYTES ? left : PIECE_BYTES;
        request.more = left > size;
        SLUICE_TRY(ask_reference(consumer, &request, (sluice_span){batch.data + request.at, size},
                                 references, why));
        request.at += size;
    }
    return SLUICE_OK;
}

sluice_status sl_consumer_reference_remove(sl_consumer *consumer, const char *name,
                                           sl_references *references, sluice_message *why)
{
    sl_reference_request request = {.action = SL_REFERENCE_REMOVE};
    snprintf(request.name, sizeof request.name, "%s", name);
    return ask_reference(consumer, &request, (sluice_span){0}, references, why);
}

sluice_status sl_consumer_forget(sl_consumer *consumer, const sl_forget *forget,
                                 sl_forgotten *forgotten, sluice_message *why)
{
    *forgotten = (sl_forgotten){0};
    sl_message request = {.kind = SL_FORGET, .as.forget = *forget};
    SLUICE_TRY(ask(consumer, &request, SL_FORGOTTEN, 0, why));
    *forgotten = sl_link_message(consumer->link)->as.forgotten;
    return SLUICE_OK;
}
