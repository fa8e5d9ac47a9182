/* restored.c - which dropped samples of a state were offered again, and where.
 *
 *   at offset 17    sample bytes | annotation: drop                      |
 *   at offset 99    sample bytes | annotation: drop, offset 17 | annotation: keep, "restored" |
 *                                  \ says where it came from
 *
 * Why there is no list of its own: the log says it, in the transaction that did it. */
#include "command/restored.h"

#include "arena.h"
#include "job.h"
#include "record.h"

#include <stdlib.h>
#include <string.h>

typedef struct search {
    sl_restored *restored;
    sl_arena *arena;
    bool found_producer;
    uint32_t i_producer;
    sluice_status status;
} search;

static bool visit_producer(void *context, const sl_spool_producer *producer)
{
    search *work = context;
    work->found_producer = strcmp(producer->name, SL_RESTORE_PRODUCER) == 0;
    work->i_producer = producer->i_producer;
    return !work->found_producer;
}

static sluice_status add(sl_restored *restored, uint64_t from, uint64_t at)
{
    if (restored->n == restored->capacity) {
        size_t capacity = restored->capacity == 0 ? 64 : 2 * restored->capacity;
        sl_restored_pair *pair = realloc(restored->pair, capacity * sizeof *pair);
        if (pair == NULL) {
            return SLUICE_E_NOMEM;
        }
        restored->pair = pair;
        restored->capacity = capacity;
    }
    restored->pair[restored->n++] = (sl_restored_pair){from, at};
    return SLUICE_OK;
}

static bool visit_sample(void *context, const sl_spool_sample *sample)
{
    search *work = context;
    if (sample->i_producer != work->i_producer) {
        return true;
    }
    sluice_span before = sl_record_before(sample->wire);
    sluice_sample dropped;
    sl_arena_reset(work->arena, 8 * before.size + 65536);
    if (before.size > 0 && sl_record_sample_of_wire(before, work->arena, &dropped) == SLUICE_OK) {
        work->status = add(work->restored, dropped.offset, sample->offset);
    }
    return work->status == SLUICE_OK;
}

sluice_status sl_restored_load(sl_restored *restored, sl_spool *spool, sluice_message *why)
{
    search work = {.restored = restored};
    restored->n = 0;
    SLUICE_TRY(sl_spool_producers(spool, visit_producer, &work, why));
    if (!work.found_producer) {
        return SLUICE_OK;
    }
    SLUICE_TRY(sl_arena_open(&work.arena));
    sluice_status status = sl_spool_samples(spool, 0, visit_sample, &work, why);
    sl_arena_close(&work.arena);
    return status == SLUICE_OK ? work.status : status;
}

void sl_restored_fini(sl_restored *restored)
{
    free(restored->pair);
    *restored = (sl_restored){0};
}

bool sl_restored_find(const sl_restored *restored, uint64_t from, uint64_t *at)
{
    for (size_t i = 0; i < restored->n; i++) {
        if (restored->pair[i].from == from) {
            *at = restored->pair[i].at;
            return true;
        }
    }
    return false;
}
