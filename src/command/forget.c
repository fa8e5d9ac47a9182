/* forget.c - makes a kept sample represent no others from now on.
 *
 *   a filter runs  --FORGET--> its estimator, between two messages of the log --> FORGOTTEN
 *   none runs      --> the rows of that id, erased in one transaction
 *
 * Why the log is asked where nothing is remembered: that it was forgotten before is what somebody
 * wants to know who asks again after a lost answer, and is no failure; that it was never kept is.
 */
#include "command/state_change.h"
#include "command/state_writer.h"

#include "bytes.h"
#include "decode/sample_fields.h"
#include "duplicate/durable.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct rows_of_id {
    const sl_state_change *change;
    sluice_bytes offsets; /* u64 each */
    uint32_t n;
    sluice_status status;
} rows_of_id;

static bool visit_row(void *context, uint64_t offset, sluice_span row)
{
    rows_of_id *rows = context;
    sluice_sample sample;
    sl_durable_from from;
    if ((!rows->change->has_offset || rows->change->offset == offset) &&
        sl_durable_read(row, &sample, &from) == SLUICE_OK &&
        sl_span_equal(sample.id, sl_span_of(rows->change->name))) {
        rows->status = sl_bytes_append(&rows->offsets, &offset, sizeof offset);
        rows->n++;
    }
    return rows->status == SLUICE_OK;
}

static sluice_status find_rows(rows_of_id *rows, sl_spool *spool, sluice_message *why)
{
    SLUICE_TRY(sl_spool_rows(spool, visit_row, rows, why));
    return rows->status;
}

/* --- where nothing is remembered --- */

typedef struct history { /* of an id, in the log */
    const sl_state_change *change;
    uint32_t n_kept, n_dropped;
    uint64_t kept_at; /* the newest of them */
} history;

static bool visit_sample(void *context, const sl_spool_sample *sample)
{
    history *past = context;
    const char *id = past->change->name;
    sl_sample_fields fields;
    sl_refusal refusal;
    if ((past->change->has_offset && past->change->offset != sample->offset) ||
        memmem(sample->wire.data, sample->wire.size, id, strlen(id)) == NULL ||
        !sl_sample_fields_find(sample->wire, &fields, &refusal) ||
        !sl_span_equal(fields.id, sl_span_of(id))) {
        return true;
    }
    if (sample->decision == SLUICE_DROP) {
        past->n_dropped++;
    } else {
        past->n_kept++;
        past->kept_at = sample->offset;
    }
    return true;
}

/* What the state says of an id without a row. OK: it was kept, and its row is gone. */
static sluice_status judge_past(const history *past, const sl_spool *spool, sluice_message *why)
{
    const char *id = past->change->name;
    if (past->n_kept == 0) {
        return sluice_fail(why, SLUICE_E_IO,
                           past->n_dropped > 0
                               ? "nothing is remembered of \"%.100s\": it was dropped, and "
                                 "represents nothing"
                               : "nothing is remembered of \"%.100s\": the log holds no such "
                                 "sample%s",
                           id, past->change->has_offset ? " at that offset" : "");
    }
    /* Behind the oldest row left it may as well have aged out; that end is the same. */
    bool aged = past->kept_at < sl_spool_extent_of(spool).oldest_row;
    if (past->change->json) {
        printf("{\"forgotten\": 0, \"before\": true}\n");
    } else {
        printf("forgotten before%s: nothing is remembered of \"%s\", kept at offset %" PRIu64 "\n",
               aged ? ", or aged out" : "", id, past->kept_at);
    }
    return SLUICE_OK;
}

static sluice_status tell_past(const sl_state_change *change, sl_spool *spool, sluice_message *why)
{
    history past = {.change = change};
    SLUICE_TRY(sl_spool_samples(spool, 0, visit_sample, &past, why));
    return judge_past(&past, spool, why);
}

/* The same, told of a filter that may run on another state than that of --state. */
static sluice_status tell_past_there(const sl_state_change *change, sluice_message *why)
{
    sluice_message fault;
    sl_spool_options options = {.path = change->path, .read_only = true};
    sl_spool *spool = NULL;
    rows_of_id rows = {.change = change};
    bool same = sl_spool_open(&options, &spool, &fault) == SLUICE_OK &&
                find_rows(&rows, spool, &fault) == SLUICE_OK && rows.n == 0;
    sluice_status status =
        same ? tell_past(change, spool, why)
             : sluice_fail(why, SLUICE_E_IO,
                           "the filter remembers nothing of a sample \"%.100s\": it was not kept, "
                           "has aged out, or was forgotten before",
                           change->name);
    sl_bytes_fini(&rows.offsets);
    sl_spool_close(&spool);
    return status;
}

/* --- the two ways --- */

static sluice_status forget_there(const sl_state_change *change, sluice_message *why)
{
    sl_consumer *consumer = NULL;
    sl_forgotten forgotten;
    sl_forget forget = {.has_offset = change->has_offset, .offset = change->offset};
    snprintf(forget.id, sizeof forget.id, "%s", change->name);
    SLUICE_TRY(sl_consumer_open(&change->to, &consumer, why));
    sluice_status status = sl_consumer_forget(consumer, &forget, &forgotten, why);
    sl_consumer_close(&consumer);
    if (status == SLUICE_OK && forgotten.n_rows == 0) {
        return tell_past_there(change, why);
    }
    if (status == SLUICE_OK && change->json) {
        printf("{\"forgotten\": %u, \"from_offset\": %" PRIu64 "}\n", forgotten.n_rows,
               forgotten.head_offset);
    } else if (status == SLUICE_OK) {
        printf("forgotten: \"%s\", kept at offset %" PRIu64 "%s; it represents no sample from "
               "offset %" PRIu64 " on\n",
               change->name, forgotten.offset, forgotten.n_rows > 1 ? " and before" : "",
               forgotten.head_offset);
    }
    return status;
}

static sluice_status erase(const sl_state_change *change, sl_spool *spool, const rows_of_id *rows,
                           sluice_message *why)
{
    const uint64_t *offsets = (const uint64_t *)(const void *)rows->offsets.data;
    uint64_t next_offset = sl_spool_extent_of(spool).next_offset;
    SLUICE_TRY(
        sl_spool_append(spool, &(sl_spool_write){.forget = offsets, .n_forget = rows->n}, why));
    if (change->json) {
        printf("{\"forgotten\": %u, \"from_offset\": %" PRIu64 "}\n", rows->n, next_offset);
        return SLUICE_OK;
    }
    for (uint32_t i = 0; i < rows->n; i++) {
        printf("forgotten: \"%s\", kept at offset %" PRIu64 "; it represents no longer\n",
               change->name, offsets[i]);
    }
    return SLUICE_OK;
}

static sluice_status forget_here(sl_state_change *change, sluice_message *why)
{
    sl_spool *spool = NULL;
    sluice_message found = {""};
    sluice_status status = sl_state_write(change, &spool, &found);
    if (status != SLUICE_OK) {
        return sluice_fail(why, status,
                           status == SLUICE_E_IO ? "%.300s, or give --from and its listen.egress"
                                                 : "%s",
                           found.text);
    }
    rows_of_id rows = {.change = change};
    status = find_rows(&rows, spool, why);
    if (status == SLUICE_OK) {
        status = rows.n > 0 ? erase(change, spool, &rows, why) : tell_past(change, spool, why);
    }
    sl_bytes_fini(&rows.offsets);
    sl_spool_close(&spool);
    return status;
}

sluice_status sl_state_forget(sl_state_change *change, sluice_message *why)
{
    return change->to.endpoint != NULL ? forget_there(change, why) : forget_here(change, why);
}
