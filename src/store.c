/* store.c - what judged batches leave in the spool, and how an engine is built from it again.
 *
 *   batch --> samples[] (wire lent, annotation in one buffer)     \
 *         --> rows[]    (in one buffer)                            > one sl_spool_append
 *         --> dead[], producers[], groups[], forget[], checkpoint /
 *
 * Why positions first and spans at the commit: the two buffers move while they grow. */
#include "store.h"
#include "arena.h"
#include "bytes.h"
#include "counters.h"
#include "log.h"
#include "record.h"
#include "features/features.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* A growing array of fixed-size items. */
typedef struct items {
    sluice_bytes bytes;
    uint32_t n;
} items;

struct sl_store {
    const sluice_engine *engine;
    sl_spool *spool;
    items samples, annotation_ends, row_ends, row_offsets, producers, groups, dead, forget;
    sluice_bytes annotations, rows;
    size_t wire_bytes;
    sluice_span checkpoint;
    uint64_t checkpoint_offset, oldest_row;
    sluice_bytes numbers;
};

sl_spool_options sl_store_spool_options(const sluice_config *config)
{
    return (sl_spool_options){.path = config->state,
                              .max_bytes = config->spool.max_bytes,
                              .rows_bytes = config->duplicate.exact_memory +
                                            config->duplicate.text_memory +
                                            config->duplicate.image_memory,
                              .sync_os = config->spool.sync_os};
}

static sluice_status add_item(items *list, const void *item, size_t size)
{
    SLUICE_TRY(sl_bytes_append(&list->bytes, item, size));
    list->n++;
    return SLUICE_OK;
}

static void *items_of(const items *list)
{
    return list->bytes.data;
}

static void clear(sl_store *store)
{
    items *list[] = {&store->samples,     &store->annotation_ends, &store->row_ends,
                     &store->row_offsets, &store->producers,       &store->groups,
                     &store->dead,        &store->forget};
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        list[i]->n = 0;
        sl_bytes_clear(&list[i]->bytes);
    }
    sl_bytes_clear(&store->annotations);
    sl_bytes_clear(&store->rows);
    sl_bytes_clear(&store->numbers);
    store->wire_bytes = 0;
    store->checkpoint = (sluice_span){NULL, 0};
}

sluice_status sl_store_open(const sluice_engine *engine, sl_spool *spool, sl_store **out)
{
    *out = calloc(1, sizeof **out);
    if (*out == NULL) {
        return SLUICE_E_NOMEM;
    }
    (*out)->engine = engine;
    (*out)->spool = spool;
    return SLUICE_OK;
}

void sl_store_close(sl_store **store_p)
{
    sl_store *store = *store_p;
    if (store != NULL) {
        sl_bytes_fini(&store->samples.bytes);
        sl_bytes_fini(&store->annotation_ends.bytes);
        sl_bytes_fini(&store->row_ends.bytes);
        sl_bytes_fini(&store->row_offsets.bytes);
        sl_bytes_fini(&store->producers.bytes);
        sl_bytes_fini(&store->groups.bytes);
        sl_bytes_fini(&store->dead.bytes);
        sl_bytes_fini(&store->forget.bytes);
        sl_bytes_fini(&store->annotations);
        sl_bytes_fini(&store->rows);
        sl_bytes_fini(&store->numbers);
        free(store);
        *store_p = NULL;
    }
}

sl_tally sl_store_tally(const sluice_batch *batch, uint32_t n_known)
{
    sl_tally tally = {.received = batch->n_samples, .redelivered = n_known};
    for (uint32_t i = n_known; i < batch->n_samples; i++) {
        const sluice_sample *sample = &batch->samples[i];
        sluice_decision decision = sample->verdict.decision;
        tally.redelivered += sample->match.redelivered;
        tally.kept += decision == SLUICE_KEEP && !sample->match.redelivered;
        tally.flagged += decision == SLUICE_FLAG && !sample->match.redelivered;
        tally.dropped += decision == SLUICE_DROP;
        tally.refused += decision == SLUICE_REFUSE;
    }
    return tally;
}

void sl_store_count(sl_spool_producer *row, const sl_tally *tally)
{
    row->received += tally->received;
    row->kept += tally->kept;
    row->flagged += tally->flagged;
    row->dropped += tally->dropped;
    row->refused += tally->refused;
    row->redelivered += tally->redelivered;
}

static sluice_status add_refused(sl_store *store, const sluice_sample *sample, uint64_t sequence,
                                 const char *producer)
{
    sl_spool_dead dead = {.at_us = sample->arrived_us, .sequence = sequence, .wire = sample->wire};
    const char *reason = sample->verdict.n_reasons > 0 ? sample->verdict.reasons[0] : "refused";
    const char *text = sample->verdict.text != NULL ? sample->verdict.text : "";
    snprintf(dead.by, sizeof dead.by, "%s", producer);
    snprintf(dead.reason, sizeof dead.reason, "%s", reason);
    snprintf(dead.text, sizeof dead.text, "%s", text);
    store->wire_bytes += sample->wire.size;
    return sl_store_add_dead(store, &dead);
}

static sluice_status add_accepted(sl_store *store, const sluice_row_mark *mark,
                                  const sluice_sample *sample)
{
    sl_spool_sample row = {.offset = sample->offset,
                           .arrived_us = sample->arrived_us,
                           .i_producer = sample->i_producer,
                           .decision = sample->verdict.decision,
                           .wire = sample->wire};
    SLUICE_TRY(add_item(&store->samples, &row, sizeof row));
    SLUICE_TRY(sl_record_annotate(sample, &store->annotations));
    SLUICE_TRY(add_item(&store->annotation_ends, &store->annotations.size, sizeof(size_t)));
    store->wire_bytes += sample->wire.size;

    size_t before = store->rows.size;
    SLUICE_TRY(sluice_engine_row_write(store->engine, mark, sample, &store->rows));
    if (store->rows.size > before) {
        SLUICE_TRY(add_item(&store->row_ends, &store->rows.size, sizeof(size_t)));
        SLUICE_TRY(add_item(&store->row_offsets, &sample->offset, sizeof sample->offset));
    }
    return SLUICE_OK;
}

sluice_status sl_store_add_batch(sl_store *store, const sluice_batch *batch, uint32_t n_known,
                                 const sluice_row_mark *mark, const char *producer)
{
    for (uint32_t i = n_known; i < batch->n_samples; i++) {
        const sluice_sample *sample = &batch->samples[i];
        if (sample->verdict.decision == SLUICE_REFUSE) {
            SLUICE_TRY(add_refused(store, sample, batch->first_sequence + i, producer));
        } else if (!sample->match.redelivered) {
            SLUICE_TRY(add_accepted(store, mark, sample));
        }
    }
    return SLUICE_OK;
}

sluice_status sl_store_add_producer(sl_store *store, const sl_spool_producer *row)
{
    sl_spool_producer *known = items_of(&store->producers);
    for (uint32_t i = 0; i < store->producers.n; i++) {
        if (known[i].i_producer == row->i_producer) {
            known[i] = *row;
            return SLUICE_OK;
        }
    }
    return add_item(&store->producers, row, sizeof *row);
}

sluice_status sl_store_add_group(sl_store *store, const sl_spool_group *group)
{
    sl_spool_group *known = items_of(&store->groups);
    for (uint32_t i = 0; i < store->groups.n; i++) {
        if (strcmp(known[i].name, group->name) == 0) {
            known[i] = *group;
            return SLUICE_OK;
        }
    }
    return add_item(&store->groups, group, sizeof *group);
}

sluice_status sl_store_add_dead(sl_store *store, const sl_spool_dead *dead)
{
    return add_item(&store->dead, dead, sizeof *dead);
}

sluice_status sl_store_add_forget(sl_store *store, uint64_t offset)
{
    return add_item(&store->forget, &offset, sizeof offset);
}

sluice_status sl_store_set_numbers(sl_store *store, const sluice_counters *counters)
{
    sl_bytes_clear(&store->numbers);
    return sl_counters_write(counters, &store->numbers);
}

void sl_store_set_checkpoint(sl_store *store, sluice_span checkpoint, uint64_t offset)
{
    store->checkpoint = checkpoint;
    store->checkpoint_offset = offset;
}

void sl_store_set_oldest_row(sl_store *store, uint64_t oldest_row)
{
    store->oldest_row = oldest_row;
}

size_t sl_store_bytes(const sl_store *store)
{
    return store->wire_bytes + store->annotations.size;
}

uint32_t sl_store_n_dead(const sl_store *store)
{
    return store->dead.n;
}

/* Turns end positions in a buffer into spans. */
static sluice_span span_between(const sluice_bytes *buffer, const items *ends, uint32_t i)
{
    const size_t *end = items_of(ends);
    size_t start = i == 0 ? 0 : end[i - 1];
    return (sluice_span){buffer->data + start, end[i] - start};
}

static sluice_status append(sl_store *store, sluice_span *row, sluice_message *why)
{
    sl_spool_sample *sample = items_of(&store->samples);
    for (uint32_t i = 0; i < store->samples.n; i++) {
        sample[i].annotation = span_between(&store->annotations, &store->annotation_ends, i);
    }
    for (uint32_t i = 0; i < store->row_ends.n; i++) {
        row[i] = span_between(&store->rows, &store->row_ends, i);
    }
    return sl_spool_append(store->spool,
                           &(sl_spool_write){.samples = sample,
                                             .n_samples = store->samples.n,
                                             .rows = row,
                                             .n_rows = store->row_ends.n,
                                             .row_offsets = items_of(&store->row_offsets),
                                             .producers = items_of(&store->producers),
                                             .n_producers = store->producers.n,
                                             .dead = items_of(&store->dead),
                                             .n_dead = store->dead.n,
                                             .groups = items_of(&store->groups),
                                             .n_groups = store->groups.n,
                                             .forget = items_of(&store->forget),
                                             .n_forget = store->forget.n,
                                             .checkpoint = store->checkpoint,
                                             .checkpoint_offset = store->checkpoint_offset,
                                             .numbers = {store->numbers.data, store->numbers.size},
                                             .oldest_row = store->oldest_row},
                           why);
}

sluice_status sl_store_commit(sl_store *store, sluice_message *why)
{
    sluice_span *row = calloc(store->row_ends.n + 1, sizeof *row);
    if (row == NULL) {
        return sluice_fail(why, SLUICE_E_NOMEM, "no memory for the rows of a commit");
    }
    sluice_status status = append(store, row, why);
    free(row);
    clear(store);
    return status;
}

/* --- the way back --- */

typedef struct restore {
    sluice_engine *engine;
    sluice_status status;
    sl_arena *arena;
    sl_features *features; /* NULL: views are on the wire or nowhere */
    int64_t arrived_us;
} restore;

static bool restore_row(void *context, uint64_t offset, sluice_span row)
{
    (void)offset;
    restore *self = context;
    self->status = sluice_engine_row_read(self->engine, row);
    return self->status == SLUICE_OK;
}

/* Views that were made here are not on the wire: the same function makes them again. The verdict
 * stands, whatever the features of today say of the payload. */
static sluice_status restore_views(const restore *self, sluice_sample *sample)
{
    if (self->features == NULL || sample->views.n_views > 0) {
        return SLUICE_OK;
    }
    sluice_sample made = *sample;
    sl_features_make(self->features, &made);
    SLUICE_TRY(sl_features_views(self->features, &made, self->arena));
    sample->views = made.views;
    sample->encoder = made.encoder;
    return SLUICE_OK;
}

static bool restore_sample(void *context, const sl_spool_sample *stored)
{
    restore *self = context;
    self->arrived_us = stored->arrived_us;
    if (stored->offset < sluice_engine_next_offset(self->engine)) {
        return true;
    }
    sluice_sample sample;
    sl_arena_reset(self->arena, 8 * stored->wire.size + 65536);
    self->status = sl_record_sample_of_wire(stored->wire, self->arena, &sample);
    if (self->status == SLUICE_OK) {
        self->status = restore_views(self, &sample);
    }
    if (self->status == SLUICE_OK && stored->offset == sluice_engine_next_offset(self->engine)) {
        sample.offset = stored->offset;
        sample.arrived_us = stored->arrived_us;
        sample.i_producer = stored->i_producer;
        sluice_engine_apply(self->engine, &sample);
        return true;
    }
    self->status = SLUICE_E_CORRUPT;
    return false;
}

/* The last sample is visited even when the checkpoint covers it: it holds the last arrival. */
static sluice_status restore_log(restore *self, sl_spool *spool, sluice_message *why)
{
    uint64_t from = sluice_engine_next_offset(self->engine);
    uint64_t next = sl_spool_extent_of(spool).next_offset;
    if (next > 0 && from > next - 1) {
        from = next - 1;
    }
    const sluice_config *config = sluice_engine_config(self->engine);
    sluice_status status = sl_arena_open(&self->arena);
    if (status == SLUICE_OK && config->encoder == SLUICE_ENCODER_BUILTIN) {
        status = sl_features_open(config, &self->features);
    }
    if (status == SLUICE_OK) {
        status = sl_spool_samples(spool, from, restore_sample, self, why);
    }
    sl_arena_close(&self->arena);
    sl_features_close(&self->features);
    SLUICE_TRY(status);
    if (self->status != SLUICE_OK || sluice_engine_next_offset(self->engine) != next) {
        return sluice_fail(
            why, SLUICE_E_CORRUPT, "the log ends at offset %llu but could be applied to %llu only",
            (unsigned long long)next, (unsigned long long)sluice_engine_next_offset(self->engine));
    }
    return SLUICE_OK;
}

static sluice_status restore_checkpoint(sl_spool *spool, sluice_engine *engine, sluice_message *why)
{
    sluice_bytes checkpoint = {0};
    uint64_t offset = 0;
    sluice_status status = sl_spool_checkpoint(spool, &checkpoint, &offset, why);
    if (status == SLUICE_OK && checkpoint.size > 0) {
        status = sluice_engine_load(engine, (sluice_span){checkpoint.data, checkpoint.size});
        if (status != SLUICE_OK) {
            sluice_fail(why, status, "the checkpoint of the state cannot be read");
        }
    }
    sl_bytes_fini(&checkpoint);
    return status;
}

sluice_status sl_store_restore(sl_spool *spool, sluice_engine *engine, int64_t *arrived_us,
                               sluice_message *why)
{
    *arrived_us = 0;
    restore self = {.engine = engine};
    SLUICE_TRY(restore_checkpoint(spool, engine, why));
    SLUICE_TRY(sl_spool_rows(spool, restore_row, &self, why));
    if (self.status != SLUICE_OK) {
        return sluice_fail(why, self.status, "a stored row of the index cannot be read");
    }
    sluice_engine_rows_complete(engine, sl_spool_extent_of(spool).next_offset);
    SLUICE_TRY(restore_log(&self, spool, why));
    *arrived_us = self.arrived_us;
    return SLUICE_OK;
}
