/* restore.c - offers a sample that was dropped again, as kept.
 *
 *   log   ... | x: drop, offset 17 | ... | x: drop, offset 17; keep "restored", offset 99 |
 *                                          \ a new sample of the producer "sluice-restore"
 *
 * Why a new place in the log: consumers read on from where they are, so only what comes behind is
 * given to every group, at least once. The first verdict stays what it was.
 * Why as a sample of a producer: it is judged, applied, counted, replayed and made durable by what
 * does that for every sample; received = kept + ... holds for it too.
 * Why it is found again by its first annotation: so that a second restore, or one whose answer was
 * lost, is refused instead of delivered twice. */
#include "command/references.h"
#include "command/journal.h"
#include "command/restored.h"
#include "command/state_change.h"
#include "command/state_writer.h"

#include "bytes.h"
#include "decode/sample_fields.h"
#include "job.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NAMED_MAX 8 /* offsets in a sentence */

typedef struct restore_work {
    sl_state_change *change;
    sl_restored restored;
    uint64_t dropped[NAMED_MAX]; /* not restored yet, oldest first */
    uint32_t n_dropped, n_kept;
    bool restored_before;
    uint64_t restored_at;
    sluice_bytes batch; /* the one to restore, as an encoded Batch */
    sluice_status status;
} restore_work;

static bool is_wanted(const restore_work *work, const sl_spool_sample *stored)
{
    const char *id = work->change->name;
    sl_sample_fields fields;
    sl_refusal refusal;
    return (!work->change->has_offset || work->change->offset == stored->offset) &&
           memmem(stored->wire.data, stored->wire.size, id, strlen(id)) != NULL &&
           sl_sample_fields_find(stored->wire, &fields, &refusal) &&
           sl_span_equal(fields.id, sl_span_of(id));
}

static sluice_status take_sample(restore_work *work, sluice_span wire)
{
    sl_bytes_clear(&work->batch);
    SLUICE_TRY(sl_bytes_put_u8(&work->batch, 0x0a)); /* Batch.samples */
    SLUICE_TRY(sl_bytes_put_varint(&work->batch, wire.size));
    return sl_bytes_append(&work->batch, wire.data, wire.size);
}

static bool visit(void *context, const sl_spool_sample *stored)
{
    restore_work *work = context;
    if (!is_wanted(work, stored)) {
        return true;
    }
    if (stored->decision != SLUICE_DROP) {
        work->n_kept++;
    } else if (sl_restored_find(&work->restored, stored->offset, &work->restored_at)) {
        work->restored_before = true;
    } else {
        if (work->n_dropped < NAMED_MAX) {
            work->dropped[work->n_dropped] = stored->offset;
        }
        work->n_dropped++;
        work->status = take_sample(work, stored->wire);
    }
    return work->status == SLUICE_OK;
}

/* Why nothing, or not one sample alone, can be restored. */
static sluice_status refuse(const restore_work *work, sluice_message *why)
{
    const char *id = work->change->name;
    if (work->n_dropped > 1) {
        char list[NAMED_MAX * 24] = "";
        size_t size = 0;
        for (uint32_t i = 0; i < work->n_dropped && i < NAMED_MAX; i++) {
            size += (size_t)snprintf(list + size, sizeof list - size, "%s%" PRIu64,
                                     i > 0 ? ", " : "", work->dropped[i]);
        }
        return sluice_fail(why, SLUICE_E_IO,
                           "%u dropped samples have the id \"%.100s\"; say which with --offset: "
                           "%s%s",
                           work->n_dropped, id, list, work->n_dropped > NAMED_MAX ? ", ..." : "");
    }
    if (work->restored_before) {
        return sluice_fail(why, SLUICE_E_IO,
                           "\"%.100s\" was restored before: it is kept at offset %" PRIu64, id,
                           work->restored_at);
    }
    return sluice_fail(why, SLUICE_E_IO,
                       work->n_kept > 0
                           ? "\"%.100s\" was kept, not dropped: consumers have it or will get it"
                           : "the log holds no dropped sample \"%.100s\"%s",
                       id, work->change->has_offset ? " at that offset" : "");
}

/* Finds the one sample to restore. */
static sluice_status find(restore_work *work, sl_spool *spool, sluice_message *why)
{
    SLUICE_TRY(sl_restored_load(&work->restored, spool, why));
    work->n_dropped = work->n_kept = 0;
    work->restored_before = false;
    SLUICE_TRY(sl_spool_samples(spool, 0, visit, work, why));
    return work->status;
}

static sluice_status look(restore_work *work, sluice_message *why)
{
    sl_spool_options options = {.path = work->change->path, .read_only = true};
    sl_spool *spool = NULL;
    SLUICE_TRY(sl_spool_open(&options, &spool, why));
    sluice_status status = find(work, spool, why);
    sl_spool_close(&spool);
    return status;
}

static int64_t clock_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static sluice_status judge(const restore_work *work, sluice_engine *engine, sl_journal *journal,
                           int64_t arrived_us, sluice_batch *batch, sluice_message *why)
{
    SLUICE_TRY(sluice_batch_decode(batch, (sluice_span){work->batch.data, work->batch.size}, why));
    SLUICE_TRY(sluice_batch_features(batch, &work->change->config));
    sluice_sample *sample = &batch->samples[0];
    if (batch->n_samples != 1 || sample->verdict.decision == SLUICE_REFUSE) {
        return sluice_fail(why, SLUICE_E_BADSAMPLE, "this version refuses the sample: %s",
                           batch->n_samples == 1 ? sample->verdict.text : "not one sample");
    }
    int64_t now_us = clock_us();
    sample->arrived_us = now_us > arrived_us ? now_us : arrived_us;
    sample->i_producer = sl_journal_i_producer(journal);
    sample->restored = true;
    sluice_engine_run(engine, batch);
    return sl_journal_commit(journal, batch, why);
}

/* Before the engine is built, which takes a while. */
static sluice_status check_stopped(restore_work *work, sluice_message *why)
{
    sluice_message found = {""};
    sl_spool *spool = NULL;
    sluice_status status = sl_state_write(work->change, &spool, &found);
    sl_spool_close(&spool);
    return status == SLUICE_E_IO
               ? sluice_fail(why, status, "%.300s, or give --to and its listen.ingest", found.text)
               : sluice_fail(why, status, "%s", found.text);
}

/* As `filter --state` would take one more sample. */
static sluice_status restore_here(restore_work *work, sluice_message *why)
{
    sluice_config *config = &work->change->config;
    sluice_engine *engine = NULL;
    sl_journal *journal = NULL;
    sluice_batch *batch = NULL;
    int64_t arrived_us = 0;
    SLUICE_TRY(check_stopped(work, why));
    SLUICE_TRY(sluice_engine_open(config, &engine, why));
    sluice_status status = sl_references_load(config, engine, why);
    status = status != SLUICE_OK
                 ? status
                 : sl_journal_open(config, engine, SL_RESTORE_PRODUCER, &journal, &arrived_us, why);
    status = status != SLUICE_OK ? status : sluice_batch_open(&batch);
    if (status == SLUICE_OK) {
        status = judge(work, engine, journal, arrived_us, batch, why);
    }
    sl_journal_close(&journal, status == SLUICE_OK);
    sluice_batch_close(&batch);
    sluice_engine_close(&engine);
    return status;
}

/* Through the filter that runs on this state. */
static sluice_status restore_there(const restore_work *work, sluice_message *why)
{
    sl_producer *producer = NULL;
    SLUICE_TRY(sl_producer_open(&work->change->to, SL_RESTORE_PRODUCER, &producer, why));
    sluice_status status =
        sl_producer_put(producer, (sluice_span){work->batch.data, work->batch.size}, 1, why);
    if (status == SLUICE_OK) {
        status = sl_producer_flush(producer, why);
    }
    sl_producer_close(&producer);
    return status;
}

static sluice_status tell(restore_work *work, sluice_message *why)
{
    work->change->has_offset = true;
    work->change->offset = work->dropped[0];
    SLUICE_TRY(look(work, why));
    if (!work->restored_before) {
        const char *endpoint = work->change->to.endpoint;
        return endpoint != NULL
                   ? sluice_fail(why, SLUICE_E_IO,
                                 "%s took the sample, but the log of %s does not hold it: that "
                                 "filter runs on another state",
                                 endpoint, work->change->path)
                   : sluice_fail(why, SLUICE_E_IO,
                                 "a sample of the same id and bytes was restored before");
    }
    printf(work->change->json ? "{\"restored\": %" PRIu64 ", \"offset\": %" PRIu64 "}\n"
                              : "restored: dropped at offset %" PRIu64 ", kept at offset %" PRIu64
                                " for every consumer group\n",
           work->change->offset, work->restored_at);
    return SLUICE_OK;
}

static sluice_status restore(restore_work *work, sluice_message *why)
{
    SLUICE_TRY(sl_state_configure(work->change, why));
    SLUICE_TRY(look(work, why));
    if (work->n_dropped != 1) {
        return refuse(work, why);
    }
    SLUICE_TRY(work->change->to.endpoint != NULL ? restore_there(work, why)
                                                 : restore_here(work, why));
    return tell(work, why);
}

sluice_status sl_state_restore(sl_state_change *change, sluice_message *why)
{
    restore_work work = {.change = change};
    sluice_status status = restore(&work, why);
    sl_restored_fini(&work.restored);
    sl_bytes_fini(&work.batch);
    return status;
}
