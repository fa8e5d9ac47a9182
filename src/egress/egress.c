/* egress.c - gives kept samples to consumers and remembers what they have done with them.
 *
 *   FETCH offset          --> log --> RECORDS            stateless: the trainer keeps next_offset
 *   FETCH after_commits   --> lease --> log --> RECORDS  the group keeps it
 *   COMMIT, REJECT        --> op --> estimator, committer --> op --> COMMITTED
 *
 * Why a FETCH is the credit: nothing is sent that was not asked for, so nothing queues up here and
 * nothing leaks when a consumer goes away. A FETCH that finds nothing waits in a bounded list.
 * Why commits travel with the samples: one thread writes, and a group's floor becomes durable in
 * the same order in which it was told. */
#include "egress/state.h"
#include "bytes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <xxhash.h>

#define MAX_FRAME_BYTES  ((int64_t)SLUICE_LIMIT_FRAME_BYTES)
#define FETCH_BYTES      (1u << 20)
#define FETCH_BYTES_MAX  SLUICE_LIMIT_BATCH_BYTES
#define WAIT_MS_MAX      60000
#define LEASE_MS         30000
#define LEASE_MS_MAX     3600000
#define RETRY_MS         200
#define MESSAGES_A_ROUND 64
#define FLOOR_STEP       4096 /* offsets */

static int64_t clock_us(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static uint64_t head_of(const sl_egress *egress)
{
    return sl_spool_extent_of(egress->options.spool).next_offset;
}

/* --- answers --- */

bool sl_egress_answer(sl_egress *egress, const sl_peer *peer, bool has_body)
{
    sluice_span body = {egress->body.data, has_body ? egress->body.size : 0};
    return sl_router_send(egress->router, peer, &egress->answer, body, has_body,
                          &egress->scratch) == SLUICE_OK;
}

void sl_egress_answer_error(sl_egress *egress, const sl_peer *peer, sl_code code, bool retry,
                            const char *text)
{
    egress->answer.kind = SL_ERROR;
    egress->answer.as.error =
        (sl_error){.code = code, .retry = retry, .retry_after_ms = retry ? RETRY_MS : 0};
    snprintf(egress->answer.as.error.text, sizeof egress->answer.as.error.text, "%s", text);
    if (sl_log_allowed(&egress->limit, 10)) {
        sl_log(1, "EGRESS-REFUSED", "code=%s text=\"%s\"", sl_code_name(code), text);
    }
    (void)sl_egress_answer(egress, peer, false);
}

bool sl_egress_is_admin(const sl_egress *egress, const sl_received *received)
{
    return egress->clients == NULL ||
           sl_clients_may(egress->clients, received->user, SL_RIGHT_ADMIN);
}

/* False: the range is nobody's. */
static bool answer_records(sl_egress *egress, const sl_peer *peer, const sl_records *records)
{
    egress->answer.kind = SL_RECORDS;
    egress->answer.as.records = *records;
    return sl_egress_answer(egress, peer, true);
}

/* --- operations --- */

void sl_egress_start(sl_egress *egress, sl_operation *started)
{
    sl_ring_push(egress->options.estimator, &started->job);
}

static void finish(sl_egress *egress, sl_operation *done)
{
    if (done->job.kind == SL_JOB_REFERENCE) {
        sl_egress_finish_reference(egress, done);
        return;
    }
    if (done->job.kind == SL_JOB_FORGET) {
        sl_egress_finish_forget(egress, done);
        return;
    }
    if (done->answered) {
        egress->answer.kind = SL_COMMITTED;
        egress->answer.as.committed = (sl_committed){done->group.floor};
        (void)sl_egress_answer(egress, &done->peer, false);
    }
    if (done->of_push) {
        egress->push_in_flight = false;
    }
    sl_operations_give(&egress->operations, done);
}

/* A range that expired too often: each of its samples becomes a dead letter instead of being given
 * a sixth time. False: not now. */
static bool bury(sl_egress *egress, sl_consumer_group *group, const sl_offer *offer)
{
    if (egress->operations.n_free == 0) {
        return false;
    }
    sluice_message why;
    sl_spool_selected selected;
    sl_spool_select select = {
        .from_offset = offer->from, .below_offset = offer->below, .max_bytes = FETCH_BYTES_MAX};
    sl_operation *buried = sl_operations_take(&egress->operations, SL_JOB_PROGRESS, group);
    if (sl_spool_select_batch(egress->options.spool, &select, &buried->wires, &selected, &why) !=
            SLUICE_OK ||
        sl_operation_bury(buried, offer->from, "delivered_too_often",
                          "its range was leased 5 times and never committed") != SLUICE_OK ||
        sl_leases_commit(group, offer->from, selected.next_offset, 0, INT64_MAX) != SLUICE_OK) {
        sl_operations_give(&egress->operations, buried);
        return false;
    }
    buried->group = group->progress;
    sl_log(1, "EGRESS-DEAD", "group=%s offsets=%llu..%llu samples=%u", group->progress.name,
           (unsigned long long)offer->from, (unsigned long long)selected.next_offset,
           buried->job.n_dead);
    sl_egress_start(egress, buried);
    return true;
}

/* --- FETCH --- */

typedef enum served { SERVED, NOTHING_YET } served;

static uint32_t clamp(uint32_t value, uint32_t if_zero, uint32_t max)
{
    value = value == 0 ? if_zero : value;
    return value > max ? max : value;
}

static served serve_offset(sl_egress *egress, const sl_peer *peer, const sl_fetch *fetch,
                           bool last_chance)
{
    sl_spool_select select = {.from_offset = fetch->offset,
                              .below_offset = UINT64_MAX,
                              .max_bytes = clamp(fetch->max_bytes, FETCH_BYTES, FETCH_BYTES_MAX),
                              .all = fetch->all,
                              .shard = fetch->shard,
                              .shards = fetch->shards};
    sluice_message why;
    sl_spool_selected selected;
    sl_bytes_clear(&egress->body);
    if (sl_spool_select_batch(egress->options.spool, &select, &egress->body, &selected, &why) !=
        SLUICE_OK) {
        sl_egress_answer_error(egress, peer, SL_CODE_OFFSET_GONE, true, why.text);
        return SERVED;
    }
    uint64_t head = head_of(egress);
    if (selected.first_offset > fetch->offset) {
        char text[256];
        snprintf(text, sizeof text, "offset %llu is no longer in the log, which begins at %llu",
                 (unsigned long long)fetch->offset, (unsigned long long)selected.first_offset);
        sl_egress_answer_error(egress, peer, SL_CODE_OFFSET_GONE, false, text);
        return SERVED;
    }
    /* Nothing for this consumer in what was looked at, but there is more: it goes on from there. */
    bool goes_on = selected.next_offset > fetch->offset && selected.next_offset < head;
    if (selected.count == 0 && !goes_on && !last_chance) {
        return NOTHING_YET;
    }
    sl_records records = {fetch->offset, selected.next_offset, head, selected.count, 1};
    (void)answer_records(egress, peer, &records);
    return SERVED;
}

static sl_consumer_group *group_of(sl_egress *egress, const sl_peer *peer, const char *name)
{
    bool added;
    uint64_t first = sl_spool_extent_of(egress->options.spool).first_offset;
    sl_consumer_group *group = sl_leases_group(egress->leases, name, first, &added);
    if (group == NULL) {
        char text[256];
        snprintf(text, sizeof text, "%d consumer groups are known, which is the limit",
                 SLUICE_LIMIT_CONSUMER_GROUPS);
        sl_egress_answer_error(egress, peer, SL_CODE_FORBIDDEN, false, text);
    } else if (added) { /* durable at once: from now on the log is kept for it */
        sl_egress_start(egress, sl_operations_take(&egress->operations, SL_JOB_PROGRESS, group));
    }
    return group;
}

/* Gives the next range of the group; ranges without a kept sample are done without anybody. */
static served serve_group(sl_egress *egress, const sl_peer *peer, const sl_fetch *fetch,
                          bool last_chance)
{
    sl_consumer_group *group = group_of(egress, peer, fetch->group);
    if (group == NULL) {
        return SERVED;
    }
    int64_t now = clock_us(CLOCK_MONOTONIC);
    uint64_t holder = XXH3_64bits(peer->id, peer->size);
    uint64_t head = head_of(egress);
    sluice_message why;
    sl_offer offer;
    while (sl_leases_offer(group, now, &offer) == SLUICE_OK && offer.from < head) {
        if (offer.delivery > SLUICE_LIMIT_DELIVERIES) {
            if (!bury(egress, group, &offer)) {
                break;
            }
            continue;
        }
        sl_spool_select select = {.from_offset = offer.from,
                                  .below_offset = offer.below < head ? offer.below : head,
                                  .max_bytes =
                                      clamp(fetch->max_bytes, FETCH_BYTES, FETCH_BYTES_MAX),
                                  .all = fetch->all};
        sl_spool_selected selected;
        sl_bytes_clear(&egress->body);
        if (sl_spool_select_batch(egress->options.spool, &select, &egress->body, &selected, &why) !=
            SLUICE_OK) {
            sl_egress_answer_error(egress, peer, SL_CODE_OFFSET_GONE, true, why.text);
            return SERVED;
        }
        if (selected.count == 0) {
            if (selected.next_offset <= offer.from ||
                sl_leases_commit(group, offer.from, selected.next_offset, holder, INT64_MAX) !=
                    SLUICE_OK) {
                break;
            }
            continue;
        }
        sl_records records = {offer.from, selected.next_offset, head, selected.count,
                              offer.delivery};
        if (answer_records(egress, peer, &records)) {
            int64_t lease_us = (int64_t)clamp(fetch->lease_ms, LEASE_MS, LEASE_MS_MAX) * 1000;
            sl_leases_grant(group, &offer, selected.next_offset, holder, now + lease_us);
        }
        return SERVED;
    }
    /* A stream of dropped samples alone moves the floor too; the log must not be kept for it. */
    if (group->progress.floor - group->sent_floor >= FLOOR_STEP && egress->operations.n_free > 1) {
        sl_egress_start(egress, sl_operations_take(&egress->operations, SL_JOB_PROGRESS, group));
    }
    if (!last_chance) {
        return NOTHING_YET;
    }
    sl_bytes_clear(&egress->body);
    sl_records records = {group->progress.floor, group->progress.floor, head, 0, 0};
    (void)answer_records(egress, peer, &records);
    return SERVED;
}

static served serve(sl_egress *egress, const sl_peer *peer, const sl_fetch *fetch, bool last_chance)
{
    return fetch->after_commits ? serve_group(egress, peer, fetch, last_chance)
                                : serve_offset(egress, peer, fetch, last_chance);
}

static void take_fetch(sl_egress *egress, const sl_peer *peer, const sl_fetch *fetch)
{
    if (atomic_load(&egress->stopping)) {
        sl_egress_answer_error(egress, peer, SL_CODE_SHUTTING_DOWN, true,
                               "this filter is shutting down");
        return;
    }
    if (fetch->after_commits && (fetch->group[0] == '\0' || fetch->shards > 0)) {
        sl_egress_answer_error(
            egress, peer, SL_CODE_MALFORMED, false,
            "fetch.after_commits needs a group and no shards (shards go with an offset)");
        return;
    }
    if (fetch->shards > 0 && fetch->shard >= fetch->shards) {
        sl_egress_answer_error(egress, peer, SL_CODE_MALFORMED, false,
                               "fetch.shard must be below fetch.shards");
        return;
    }
    bool may_wait = fetch->wait_ms > 0 && egress->n_waiting < N_WAITING;
    if (serve(egress, peer, fetch, !may_wait) == SERVED) {
        return;
    }
    uint32_t wait_ms = clamp(fetch->wait_ms, 0, WAIT_MS_MAX);
    egress->waiting[egress->n_waiting++] =
        (waiting){*peer, *fetch, clock_us(CLOCK_MONOTONIC) + (int64_t)wait_ms * 1000};
}

/* Looks at the waiting again: all of them when the log has grown, else those whose time is up. An
 * expired lease of another consumer is found when the wait ends, or with the next growth. */
static void serve_waiting(sl_egress *egress)
{
    uint64_t head = head_of(egress);
    bool grown = head != egress->seen_head;
    bool stopping = atomic_load(&egress->stopping);
    egress->seen_head = head;
    int64_t now = clock_us(CLOCK_MONOTONIC);
    uint32_t n_left = 0;
    for (uint32_t i = 0; i < egress->n_waiting; i++) {
        waiting *one = &egress->waiting[i];
        bool last_chance = now >= one->until_us;
        bool left = true;
        if (stopping) {
            sl_egress_answer_error(egress, &one->peer, SL_CODE_SHUTTING_DOWN, true,
                                   "this filter is shutting down");
            left = false;
        } else if ((grown || last_chance) && egress->operations.n_free > 1) {
            left = serve(egress, &one->peer, &one->fetch, last_chance) == NOTHING_YET;
        }
        if (left) {
            egress->waiting[n_left++] = *one;
        }
    }
    egress->n_waiting = n_left;
}

/* --- COMMIT, REJECT --- */

static void take_commit(sl_egress *egress, const sl_peer *peer, const sl_commit *commit)
{
    if (commit->group[0] == '\0' || commit->next_offset < commit->first_offset ||
        commit->next_offset > head_of(egress)) {
        sl_egress_answer_error(
            egress, peer, SL_CODE_MALFORMED, false,
            "commit needs a group and first_offset <= next_offset <= the head of the log");
        return;
    }
    sl_consumer_group *group = group_of(egress, peer, commit->group);
    if (group == NULL) {
        return;
    }
    uint64_t holder = XXH3_64bits(peer->id, peer->size);
    sluice_status status = sl_leases_commit(group, commit->first_offset, commit->next_offset,
                                            holder, clock_us(CLOCK_MONOTONIC));
    if (status == SLUICE_E_CLOSED) {
        sl_egress_answer_error(egress, peer, SL_CODE_LEASE_LOST, false,
                               "the lease expired and another consumer holds these offsets now");
        return;
    }
    if (status == SLUICE_E_AGAIN) {
        sl_egress_answer_error(egress, peer, SL_CODE_WINDOW_EXCEEDED, true,
                               "too many separate ranges above the floor: commit older ones first");
        return;
    }
    sl_operation *taken = sl_operations_take(&egress->operations, SL_JOB_PROGRESS, group);
    taken->answered = true;
    taken->peer = *peer;
    sl_egress_start(egress, taken);
}

static void take_reject(sl_egress *egress, const sl_peer *peer, const sl_reject *reject)
{
    if (reject->group[0] == '\0') {
        sl_egress_answer_error(egress, peer, SL_CODE_MALFORMED, false, "reject needs a group");
        return;
    }
    sl_consumer_group *group = group_of(egress, peer, reject->group);
    if (group == NULL) {
        return;
    }
    sl_operation *taken = sl_operations_take(&egress->operations, SL_JOB_REJECT, group);
    sl_bytes_clear(&egress->body);
    sluice_message why;
    if (sl_spool_sample_at(egress->options.spool, reject->offset, &egress->body, &why) !=
            SLUICE_OK ||
        sl_bytes_put_varint(&taken->wires, 0x0a) != SLUICE_OK ||
        sl_bytes_put_varint(&taken->wires, egress->body.size) != SLUICE_OK ||
        sl_bytes_append(&taken->wires, egress->body.data, egress->body.size) != SLUICE_OK ||
        sl_operation_bury(taken, reject->offset, "rejected", reject->reason) != SLUICE_OK) {
        sl_operations_give(&egress->operations, taken);
        sl_egress_answer_error(egress, peer, SL_CODE_OFFSET_GONE, false,
                               "there is no sample at that offset in the log");
        return;
    }
    taken->job.forget = reject->offset;
    taken->answered = true;
    taken->peer = *peer;
    sl_egress_start(egress, taken);
}

/* --- the loop --- */

static void take_message(sl_egress *egress, sl_received *received)
{
    const sl_peer *peer = &received->peer;
    if (egress->clients != NULL &&
        !sl_clients_may(egress->clients, received->user, SL_RIGHT_EGRESS)) {
        sl_egress_answer_error(egress, peer, SL_CODE_FORBIDDEN, false,
                               "this key may not read samples");
        return;
    }
    switch (received->message.kind) {
    case SL_FETCH:
        take_fetch(egress, peer, &received->message.as.fetch);
        break;
    case SL_COMMIT:
        take_commit(egress, peer, &received->message.as.commit);
        break;
    case SL_REJECT:
        take_reject(egress, peer, &received->message.as.reject);
        break;
    case SL_REFERENCE:
        sl_egress_take_reference(egress, received);
        break;
    case SL_FORGET:
        sl_egress_take_forget(egress, received);
        break;
    case SL_PING:
        egress->answer.kind = SL_PONG;
        (void)sl_egress_answer(egress, peer, false);
        break;
    default:
        sl_egress_answer_error(
            egress, peer, SL_CODE_MALFORMED, false,
            "this is the egress port: FETCH, COMMIT, REJECT, REFERENCE, FORGET and PING only");
        break;
    }
}

/* A message needs at most two operations: a new group and what it asks for. */
static void read_router(sl_egress *egress)
{
    sluice_message why;
    for (int i = 0; i < MESSAGES_A_ROUND && egress->operations.n_free > 2; i++) {
        sluice_status status = sl_router_receive(egress->router, &egress->received, &why);
        if (status == SLUICE_OK) {
            take_message(egress, &egress->received);
        } else if (status == SLUICE_E_BADSAMPLE) {
            sl_egress_answer_error(egress, &egress->received.peer, SL_CODE_MALFORMED, false,
                                   why.text);
        }
        zmq_msg_close(&egress->received.body);
        if (status == SLUICE_E_AGAIN || status == SLUICE_E_CLOSED) {
            return;
        }
    }
}

/* One commit of the push group at a time; what ZeroMQ took meanwhile is the next. */
static void serve_push(sl_egress *egress)
{
    if (egress->push_in_flight || egress->operations.n_free < 2 || atomic_load(&egress->stopping)) {
        return;
    }
    bool added;
    sl_consumer_group *group =
        sl_leases_group(egress->leases, SL_PUSH_GROUP,
                        sl_spool_extent_of(egress->options.spool).first_offset, &added);
    if (group == NULL) {
        return;
    }
    sluice_message why;
    uint64_t handed_over;
    uint64_t from = group->progress.floor;
    if (sl_push_some(egress->push, from, &handed_over, &why) != SLUICE_OK) {
        if (sl_log_allowed(&egress->limit, 1)) {
            sl_log(0, "EGRESS-PUSH", "offset=%llu %s", (unsigned long long)from, why.text);
        }
        return;
    }
    if (handed_over > from &&
        sl_leases_commit(group, from, handed_over, 0, INT64_MAX) != SLUICE_OK) {
        return; /* cannot be: it begins at the floor */
    }
    if (added || handed_over > from) { /* a new group is durable at once: the log is kept for it */
        sl_operation *taken = sl_operations_take(&egress->operations, SL_JOB_PROGRESS, group);
        taken->of_push = true;
        egress->push_in_flight = true;
        sl_egress_start(egress, taken);
    }
}

static void read_done(sl_egress *egress)
{
    sl_ring_drain_fd(egress->options.done);
    for (sl_job *job = sl_ring_try_pop(egress->options.done); job != NULL;
         job = sl_ring_try_pop(egress->options.done)) {
        finish(egress, sl_operation_of_job(job));
    }
}

static bool wait_for_work(sl_egress *egress)
{
    zmq_pollitem_t item[3] = {{NULL, sl_ring_fd(egress->options.done), ZMQ_POLLIN, 0}};
    int n_items = 1;
    if (egress->router != NULL && egress->operations.n_free > 2) {
        item[n_items++] = (zmq_pollitem_t){egress->router, 0, ZMQ_POLLIN, 0};
    }
    if (egress->push != NULL && sl_push_waits(egress->push) && !egress->push_in_flight) {
        item[n_items++] = (zmq_pollitem_t){sl_push_socket(egress->push), 0, ZMQ_POLLOUT, 0};
    }
    return zmq_poll(item, n_items, egress->n_waiting > 0 ? 10 : 200) >= 0 || errno != ETERM;
}

void sl_egress_run(sl_egress *egress)
{
    while (!atomic_load(&egress->stopping) || egress->operations.n_free < SL_EGRESS_JOBS) {
        if (!wait_for_work(egress)) {
            return;
        }
        read_done(egress);
        if (egress->router != NULL) {
            read_router(egress);
        }
        if (egress->push != NULL) {
            serve_push(egress);
        }
        serve_waiting(egress);
    }
    serve_waiting(egress);
}

void sl_egress_stop(sl_egress *egress)
{
    atomic_store(&egress->stopping, true);
    sl_ring_wake(egress->options.done);
}

/* --- open, close --- */

static sluice_status listen_on(sl_egress *egress, int type, const char *endpoint, void **socket,
                               sluice_message *why)
{
    const sl_egress_options *options = &egress->options;
    return sl_socket_listen(options->zmq_context, type, MAX_FRAME_BYTES, SL_RIGHT_EGRESS,
                            options->server_key, endpoint, socket, why);
}

static sluice_status open_push(sl_egress *egress, const char *endpoint, sluice_message *why)
{
    void *socket = NULL;
    SLUICE_TRY(listen_on(egress, ZMQ_PUSH, endpoint, &socket, why));
    sluice_status status = sl_push_open(socket, egress->options.spool, &egress->push);
    if (status != SLUICE_OK) {
        zmq_close(socket);
    }
    return status;
}

static sluice_status open_parts(sl_egress *egress, sluice_message *why)
{
    sl_operations_init(&egress->operations);
    SLUICE_TRY(sl_leases_open(&egress->leases));
    SLUICE_TRY(sl_leases_load(egress->leases, egress->options.spool, why));
    const sluice_config *config = egress->options.config;
    if (egress->options.server_key != NULL) {
        SLUICE_TRY(sl_clients_open(config->security.clients, &egress->clients, why));
    }
    if (config->listen.egress[0] != '\0') {
        SLUICE_TRY(listen_on(egress, ZMQ_ROUTER, config->listen.egress, &egress->router, why));
    }
    if (config->listen.push[0] != '\0') {
        SLUICE_TRY(open_push(egress, config->listen.push, why));
    }
    return SLUICE_OK;
}

sluice_status sl_egress_open(const sl_egress_options *options, sl_egress **out, sluice_message *why)
{
    *out = NULL;
    sl_egress *egress = calloc(1, sizeof *egress);
    if (egress == NULL) {
        return sluice_fail(why, SLUICE_E_NOMEM, "no memory for egress");
    }
    egress->options = *options;
    sluice_status status = open_parts(egress, why);
    if (status != SLUICE_OK) {
        sl_egress_close(&egress);
        return status;
    }
    *out = egress;
    return SLUICE_OK;
}

void sl_egress_close(sl_egress **egress_p)
{
    sl_egress *egress = *egress_p;
    if (egress == NULL) {
        return;
    }
    if (egress->router != NULL) {
        zmq_close(egress->router);
    }
    sl_push_close(&egress->push);
    sl_leases_close(&egress->leases);
    sl_operations_fini(&egress->operations);
    sl_bytes_fini(&egress->body);
    sl_bytes_fini(&egress->scratch);
    sl_bytes_fini(&egress->set);
    sl_clients_close(&egress->clients);
    free(egress);
    *egress_p = NULL;
}
