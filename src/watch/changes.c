/* changes.c - what a person changes over HTTP: a sample forgotten, a dropped one restored.
 *
 *   restore: is it there, dropped, and not restored before? --RESTORE--> ingest --PUT--+
 *            \ a search of the log behind it, in slices                                |
 *   forget  --FORGET--> estimator --> committer --> *back <----------------------------+
 *
 * Why jobs: the engine has one thread and the state one writer. A change takes its place in the
 * order of messages like any of them, and is said to be done when it is durable.
 * Why a flag and no ring back: who waits looks a few hundred times a second anyway, and who has
 * gone away leaves a place that is free again once the flag is up. */
#include "watch/changes.h"
#include "arena.h"
#include "bytes.h"
#include "decode/sample_fields.h"
#include "job.h"
#include "log.h"
#include "record.h"
#include "watch/object.h"
#include "watch/search.h"

#include <jansson.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

typedef enum stage { FREE, SEARCHING, UNDER_WAY, ENDED } stage;

struct sl_order {
    sl_changes *changes;
    sl_change what;
    stage stage;
    bool left; /* nobody waits for it; free once it is back */
    int64_t began_us;
    sl_forget wanted; /* the id, the offset */
    sl_job job;
    atomic_bool back;
    sluice_bytes wire; /* restore: the Batch of one sample */
    sl_search *search; /* SEARCHING */
    uint32_t code;     /* ENDED: of a refusal by us; 0: what the job says */
    uint64_t kept_at;  /* with 409: where it was restored before */
    bool has_kept_at;
    sluice_message why;
};

struct sl_changes {
    sl_changes_options options;
    sl_arena *arena;
    sluice_bytes scratch;
    sl_order order[SL_CHANGES_AT_ONCE];
};

sluice_status sl_changes_open(const sl_changes_options *options, sl_changes **out)
{
    *out = calloc(1, sizeof **out);
    if (*out == NULL) {
        return SLUICE_E_NOMEM;
    }
    (*out)->options = *options;
    sluice_status status = sl_arena_open(&(*out)->arena);
    for (int i = 0; i < SL_CHANGES_AT_ONCE && status == SLUICE_OK; i++) {
        (*out)->order[i].changes = *out;
        status = sluice_batch_open(&(*out)->order[i].job.batch);
    }
    if (status != SLUICE_OK) {
        sl_changes_close(out);
    }
    return status;
}

static void empty(sl_order *order)
{
    sl_search_close(&order->search);
    sl_bytes_fini(&order->wire);
    sl_bytes_fini(&order->job.offsets);
    sl_bytes_fini(&order->job.checkpoint);
    order->stage = FREE;
}

void sl_changes_close(sl_changes **changes_p)
{
    if (*changes_p != NULL) {
        for (int i = 0; i < SL_CHANGES_AT_ONCE; i++) {
            empty(&(*changes_p)->order[i]);
            sluice_batch_close(&(*changes_p)->order[i].job.batch);
        }
        sl_arena_close(&(*changes_p)->arena);
        sl_bytes_fini(&(*changes_p)->scratch);
        free(*changes_p);
        *changes_p = NULL;
    }
}

/* --- begin --- */

static sl_order *take_place(sl_changes *changes)
{
    for (int i = 0; i < SL_CHANGES_AT_ONCE; i++) {
        sl_order *order = &changes->order[i];
        if (order->stage == UNDER_WAY && order->left && atomic_load(&order->back)) {
            empty(order);
        }
        if (order->stage == FREE) {
            sluice_batch *batch = order->job.batch;
            *order = (sl_order){.changes = changes, .job = {.batch = batch}};
            return order;
        }
    }
    return NULL;
}

/* {"offset": N} or {}; anything else is a mistake that must not pass for a wish. */
static bool read_body(sluice_span body, sl_forget *wanted)
{
    json_t *object = json_loadb((const char *)body.data, body.size, JSON_REJECT_DUPLICATES, NULL);
    json_t *offset = json_object_get(object, "offset");
    wanted->has_offset = json_is_integer(offset) && json_integer_value(offset) >= 0;
    wanted->offset = wanted->has_offset ? (uint64_t)json_integer_value(offset) : 0;
    bool good = json_is_object(object) && json_object_size(object) == (offset != NULL) &&
                wanted->has_offset == (offset != NULL);
    json_decref(object);
    return good;
}

static uint32_t refuse(sluice_message *why, uint32_t code, const char *text)
{
    (void)sluice_fail(why, SLUICE_E_BADSAMPLE, "%s", text);
    return code;
}

/* The one sample at the offset as an encoded Batch; 0 if it can be offered again. */
static uint32_t find_dropped(sl_changes *changes, sl_order *order, sluice_message *why)
{
    sluice_bytes *wire = &changes->scratch;
    sl_sample_fields fields = {0};
    sl_refusal refusal;
    sluice_sample sample;
    sl_bytes_clear(wire);
    sluice_status status =
        sl_spool_sample_at(changes->options.spool, order->wanted.offset, wire, why);
    sluice_span span = {wire->data, wire->size};
    if (status != SLUICE_OK && status != SLUICE_E_AGAIN) {
        return 500;
    }
    if (status != SLUICE_OK || !sl_sample_fields_find(span, &fields, &refusal) ||
        !sl_span_equal(fields.id, sl_span_of(order->wanted.id))) {
        return refuse(why, 404, "the log holds no sample of this id at this offset");
    }
    sl_arena_reset(changes->arena, 8 * span.size + 65536);
    if (sl_record_verdict_of_wire(span, changes->arena, &sample) != SLUICE_OK) {
        return refuse(why, 500, "the sample cannot be read");
    }
    if (sample.verdict.decision != SLUICE_DROP) {
        return refuse(why, 409, "it was kept, not dropped: consumers have it or will get it");
    }
    sl_bytes_clear(&order->wire);
    status = sl_bytes_put_u8(&order->wire, 0x0a); /* Batch.samples */
    status = status == SLUICE_OK ? sl_bytes_put_varint(&order->wire, span.size) : status;
    status = status == SLUICE_OK ? sl_bytes_append(&order->wire, span.data, span.size) : status;
    return status == SLUICE_OK ? 0 : refuse(why, 500, "no memory");
}

static uint32_t begin_restore(sl_changes *changes, sl_order *order, sluice_message *why)
{
    uint32_t code = find_dropped(changes, order, why);
    if (code == 0 && sl_search_open(changes->options.spool, SL_SEARCH_RESTORED, order->wanted.id,
                                    order->wanted.offset, &order->search) != SLUICE_OK) {
        code = refuse(why, 500, "no memory");
    }
    order->stage = code == 0 ? SEARCHING : FREE;
    return code;
}

static void send(sl_order *order, sl_job_kind kind, sl_ring *to)
{
    order->job = (sl_job){.kind = kind,
                          .batch = order->job.batch,
                          .bytes = {order->wire.data, order->wire.size},
                          .wanted = &order->wanted,
                          .back = &order->back};
    atomic_store(&order->back, false);
    order->stage = UNDER_WAY;
    sl_ring_push(to, &order->job);
}

/* What the sentences of this file say in words. */
_Static_assert(SLUICE_LIMIT_ID_BYTES == 256 && SL_CHANGES_AT_ONCE == 4 && SL_CHANGES_S == 10,
               "a limit is not what is said of it");

static uint32_t begin(sl_changes *changes, sl_change what, const char *id, sluice_span body,
                      sl_order **out, sluice_message *why)
{
    sl_forget wanted = {.id = ""};
    if (id[0] == '\0' || strlen(id) > SLUICE_LIMIT_ID_BYTES) {
        return refuse(why, 400, "an id has 1 to 256 bytes");
    }
    if (!read_body(body, &wanted) || (what == SL_CHANGE_RESTORE && !wanted.has_offset)) {
        return refuse(why, 400, "the body must be {\"offset\": N}; {} forgets all of this id");
    }
    if (changes->options.estimator == NULL || changes->options.ingest == NULL) {
        return refuse(why, 503, "nobody judges here");
    }
    sl_order *order = take_place(changes);
    if (order == NULL) {
        return refuse(why, 503, "4 changes are under way already; ask again");
    }
    snprintf(wanted.id, sizeof wanted.id, "%s", id);
    order->what = what;
    order->wanted = wanted;
    order->began_us = sl_view_clock_us();
    if (what == SL_CHANGE_RESTORE) {
        SLUICE_ASSERT(order->stage == FREE);
        uint32_t code = begin_restore(changes, order, why);
        *out = code == 0 ? order : NULL;
        if (code != 0) {
            empty(order);
        }
        return code;
    }
    send(order, SL_JOB_FORGET, changes->options.estimator);
    *out = order;
    return 0;
}

uint32_t sl_changes_begin(sl_changes *changes, sl_change what, const char *id, sluice_span body,
                          sl_order **out, sluice_message *why)
{
    *out = NULL;
    uint32_t code = begin(changes, what, id, body, out, why);
    atomic_fetch_add(&changes->options.meters->changes_refused[what], code != 0);
    return code;
}

/* --- on its way --- */

/* A refusal of ours, once the order was taken. */
static bool end_with(sl_order *order, uint32_t code, const char *text)
{
    order->stage = ENDED;
    order->code = refuse(&order->why, code, text);
    atomic_fetch_add(&order->changes->options.meters->changes_refused[order->what], 1);
    return true;
}

static bool step_search(sl_order *order, int64_t budget_us)
{
    if (!sl_search_step(order->search, budget_us)) {
        return false;
    }
    bool restored;
    if (sl_search_restored(order->search, &restored, &order->kept_at) != SLUICE_OK) {
        return end_with(order, 500, "the log cannot be read now; the log of the filter says why");
    }
    if (restored) {
        order->has_kept_at = true;
        return end_with(order, 409, "it was restored before");
    }
    sl_search_close(&order->search);
    send(order, SL_JOB_RESTORE, order->changes->options.ingest);
    return false;
}

bool sl_order_step(sl_order *order, int64_t now_us, int64_t budget_us)
{
    bool late = now_us - order->began_us > SL_CHANGES_S * INT64_C(1000000);
    if (order->stage == SEARCHING) {
        static const char too_long[] = "the log is too long to be searched in 10 s; "
                                       "`sluice state restore` takes its time";
        return late ? end_with(order, 503, too_long) : step_search(order, budget_us);
    }
    return order->stage == ENDED || atomic_load(&order->back) || late;
}

/* --- what is said --- */

static uint32_t write_refusal(uint32_t code, const char *text, const sl_order *order,
                              sluice_bytes *out)
{
    sl_object object = sl_object_of(out);
    sl_object_open(&object, NULL, '{');
    sl_object_text(&object, "error", text);
    if (order->has_kept_at) {
        sl_object_count(&object, "offset", order->kept_at);
    }
    sl_object_close(&object, '}');
    return code;
}

static uint32_t code_of(sl_code code)
{
    switch (code) {
    case SL_CODE_SHUTTING_DOWN:
    case SL_CODE_WINDOW_EXCEEDED:
    case SL_CODE_FORBIDDEN:
        return 503;
    case SL_CODE_TOO_LARGE:
        return 409;
    default:
        return 400;
    }
}

static uint32_t write_forgotten(const sl_order *order, sluice_bytes *out)
{
    const sl_forgotten *forgotten = &order->job.forgotten;
    if (forgotten->n_rows == 0) {
        return write_refusal(404,
                             "nothing is remembered of it: it was not kept, has aged out, or was "
                             "forgotten before",
                             order, out);
    }
    sl_log(1, "HTTP-FORGET", "id=\"%s\" rows=%u offset=%llu", order->wanted.id, forgotten->n_rows,
           (unsigned long long)forgotten->head_offset);
    sl_object object = sl_object_of(out);
    sl_object_open(&object, NULL, '{');
    sl_object_count(&object, "forgotten", forgotten->n_rows);
    sl_object_count(&object, "from_offset", forgotten->head_offset);
    sl_object_close(&object, '}');
    return object.status == SLUICE_OK ? 200 : 500;
}

static uint32_t write_restored(const sl_order *order, sluice_bytes *out)
{
    const sluice_sample *sample = &order->job.batch->samples[0];
    if (order->job.batch->n_samples != 1 || sample->verdict.decision == SLUICE_REFUSE) {
        return write_refusal(409, "this version refuses the sample", order, out);
    }
    if (sample->match.redelivered) {
        return write_refusal(409, "a sample of the same id and bytes was restored before", order,
                             out);
    }
    sl_log(1, "HTTP-RESTORE", "id=\"%s\" dropped=%llu kept=%llu", order->wanted.id,
           (unsigned long long)order->wanted.offset, (unsigned long long)sample->offset);
    sl_object object = sl_object_of(out);
    sl_object_open(&object, NULL, '{');
    sl_object_count(&object, "restored", order->wanted.offset);
    sl_object_count(&object, "offset", sample->offset);
    sl_object_close(&object, '}');
    return object.status == SLUICE_OK ? 200 : 500;
}

uint32_t sl_order_write(const sl_order *order, sluice_bytes *out)
{
    if (order->stage == ENDED) {
        return write_refusal(order->code, order->why.text, order, out);
    }
    if (order->stage == SEARCHING) {
        return write_refusal(503, "this filter is shutting down: nothing was changed", order, out);
    }
    if (!atomic_load(&order->back)) {
        return write_refusal(
            503, "it is not durable yet and may still happen: look again in a while", order, out);
    }
    if (order->job.code != SL_CODE_UNSPECIFIED) {
        return write_refusal(code_of(order->job.code), order->job.why.text, order, out);
    }
    return order->what == SL_CHANGE_FORGET ? write_forgotten(order, out)
                                           : write_restored(order, out);
}

void sl_order_leave(sl_order **order_p)
{
    sl_order *order = *order_p;
    if (order != NULL) {
        order->left = true;
        if (order->stage != UNDER_WAY || atomic_load(&order->back)) {
            empty(order);
        }
        *order_p = NULL;
    }
}
