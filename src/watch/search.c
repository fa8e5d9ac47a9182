/* search.c - finds what the log says of one id, a slice at a time.
 *
 *   dead letters, then log:  | done | this slice | ...          | end of the log at the start
 *   ... | b: drop, of a | ... | b: drop, of a; keep "restored" |       b is a dependent of a
 *
 * Why slices: the log has no index by id, a pass reads about 1 GB/s, and the one thread of HTTP has
 * others to answer meanwhile. Each slice is a read transaction of its own, so that a long search
 * does not keep the log from giving pages back. */
#include "watch/search.h"
#include "arena.h"
#include "bytes.h"
#include "decode/sample_fields.h"
#include "job.h"
#include "record.h"
#include "watch/object.h"
#include "watch/view.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct dependent {
    uint64_t offset, restored_at; /* UINT64_MAX: it is not */
    sluice_method method;
    float similarity;
    char id[SLUICE_LIMIT_ID_BYTES + 1], source[SLUICE_LIMIT_SOURCE_BYTES + 1];
} dependent;

struct sl_search {
    sl_spool *spool; /* Borrows */
    sl_search_for what;
    uint64_t offset;     /* RESTORED: of the drop */
    uint32_t i_restorer; /* the producer of what is restored; UINT32_MAX: nothing ever was */
    uint64_t restored_at;
    sl_arena *arena;
    dependent *dependent; /* REPRESENTED: [i % SL_SEARCH_DEPENDENTS] */
    char id[SLUICE_LIMIT_ID_BYTES + 1];
    bool dead_done, failed;
    uint64_t cursor, end;
    int64_t until_us;
    uint32_t n_found;                    /* ever: records, or dependents */
    sluice_bytes found[SL_SEARCH_FOUND]; /* [i % SL_SEARCH_FOUND] */
};

static bool visit_producer(void *context, const sl_spool_producer *producer)
{
    sl_search *search = context;
    bool found = strcmp(producer->name, SL_RESTORE_PRODUCER) == 0;
    search->i_restorer = found ? producer->i_producer : UINT32_MAX;
    return !found;
}

static sluice_status open_lineage(sl_search *search)
{
    sluice_message why;
    search->dead_done = true;
    search->i_restorer = UINT32_MAX;
    search->dependent = calloc(SL_SEARCH_DEPENDENTS, sizeof *search->dependent);
    if (search->dependent == NULL) {
        return SLUICE_E_NOMEM;
    }
    SLUICE_TRY(sl_arena_open(&search->arena));
    search->failed = sl_spool_producers(search->spool, visit_producer, search, &why) != SLUICE_OK;
    if (search->what == SL_SEARCH_RESTORED) { /* it lies behind the drop */
        search->cursor = search->i_restorer == UINT32_MAX ? search->end : search->offset + 1;
    }
    return SLUICE_OK;
}

sluice_status sl_search_open(sl_spool *spool, sl_search_for what, const char *id, uint64_t offset,
                             sl_search **out)
{
    *out = calloc(1, sizeof **out);
    if (*out == NULL) {
        return SLUICE_E_NOMEM;
    }
    sl_spool_extent extent = sl_spool_extent_of(spool);
    (*out)->spool = spool;
    (*out)->what = what;
    (*out)->offset = offset;
    (*out)->restored_at = UINT64_MAX;
    (*out)->cursor = extent.first_offset;
    (*out)->end = extent.next_offset;
    snprintf((*out)->id, sizeof(*out)->id, "%s", id);
    sluice_status status = what == SL_SEARCH_RECORDS ? SLUICE_OK : open_lineage(*out);
    if (status != SLUICE_OK) {
        sl_search_close(out);
    }
    return status;
}

void sl_search_close(sl_search **search_p)
{
    if (*search_p != NULL) {
        for (uint32_t i = 0; i < SL_SEARCH_FOUND; i++) {
            sl_bytes_fini(&(*search_p)->found[i]);
        }
        sl_arena_close(&(*search_p)->arena);
        free((*search_p)->dependent);
        free(*search_p);
        *search_p = NULL;
    }
}

static sluice_bytes *next_place(sl_search *search)
{
    sluice_bytes *place = &search->found[search->n_found++ % SL_SEARCH_FOUND];
    sl_bytes_clear(place);
    return place;
}

static bool has_id(const sl_search *search, sluice_span wire, sluice_span *source)
{
    sl_sample_fields fields = {0};
    sl_refusal refusal;
    size_t size = strlen(search->id);
    if (memmem(wire.data, wire.size, search->id, size) == NULL) {
        return false;
    }
    (void)!sl_sample_fields_find(wire, &fields, &refusal); /* refused ones may be broken */
    *source = fields.source;
    return sl_span_equal(fields.id, sl_span_of(search->id));
}

/* --- lineage --- */

static bool read_verdict(sl_search *search, sluice_span wire, sluice_sample *out)
{
    sl_arena_reset(search->arena, 8 * wire.size + 65536);
    return wire.size > 0 && sl_record_verdict_of_wire(wire, search->arena, out) == SLUICE_OK;
}

static void copy_name(char *out, size_t size, sluice_span name)
{
    size_t n = name.size < size ? name.size : size - 1;
    memcpy(out, n > 0 ? name.data : (const uint8_t *)"", n);
    out[n] = '\0';
}

/* A sample that was offered again: what dropped one is it? */
static void note_restored(sl_search *search, const sl_spool_sample *stored)
{
    sluice_sample before;
    if (!read_verdict(search, sl_record_before(stored->wire), &before)) {
        return;
    }
    if (search->what == SL_SEARCH_RESTORED && before.offset == search->offset) {
        search->restored_at = stored->offset;
    }
    for (uint32_t i = 0; i < search->n_found && i < SL_SEARCH_DEPENDENTS; i++) {
        if (search->dependent[i].offset == before.offset) {
            search->dependent[i].restored_at = stored->offset;
        }
    }
}

static void note_dependent(sl_search *search, const sl_spool_sample *stored)
{
    sluice_sample sample;
    if (memmem(stored->wire.data, stored->wire.size, search->id, strlen(search->id)) == NULL ||
        !read_verdict(search, stored->wire, &sample) || sample.match.method == SLUICE_METHOD_NONE ||
        !sl_span_equal(sample.match.of_id, sl_span_of(search->id))) {
        return;
    }
    dependent *added = &search->dependent[search->n_found++ % SL_SEARCH_DEPENDENTS];
    *added = (dependent){.offset = stored->offset,
                         .restored_at = UINT64_MAX,
                         .method = sample.match.method,
                         .similarity = sample.match.similarity};
    copy_name(added->id, sizeof added->id, sample.id);
    copy_name(added->source, sizeof added->source, sample.source);
}

static void note_sample(sl_search *search, const sl_spool_sample *sample)
{
    sluice_span source;
    if (search->what == SL_SEARCH_RECORDS) {
        if (has_id(search, sample->wire, &source)) {
            search->failed |=
                sl_record_json_of_wire(sample->wire, next_place(search)) == SLUICE_E_NOMEM;
        }
    } else if (sample->i_producer == search->i_restorer) {
        note_restored(search, sample);
    } else if (search->what == SL_SEARCH_REPRESENTED && sample->decision == SLUICE_DROP) {
        note_dependent(search, sample);
    }
}

static bool visit_sample(void *context, const sl_spool_sample *sample)
{
    sl_search *search = context;
    if (sample->offset >= search->end) {
        search->cursor = search->end;
        return false;
    }
    note_sample(search, sample);
    search->cursor = search->restored_at != UINT64_MAX ? search->end : sample->offset + 1;
    return search->cursor < search->end && sl_view_clock_us() < search->until_us;
}

static bool visit_dead(void *context, uint64_t key, const sl_spool_dead *dead)
{
    (void)key;
    sl_search *search = context;
    sluice_span source;
    if (has_id(search, dead->wire, &source)) {
        sluice_sample sample = {.offset = UINT64_MAX,
                                .id = sl_span_of(search->id),
                                .source = source,
                                .verdict = {.decision = SLUICE_REFUSE,
                                            .weight = 1.0f,
                                            .n_reasons = 1,
                                            .reasons = {dead->reason}}};
        search->failed |= sl_record_json(&sample, next_place(search)) != SLUICE_OK;
    }
    return true;
}

bool sl_search_step(sl_search *search, int64_t budget_us)
{
    sluice_message why;
    search->until_us = sl_view_clock_us() + budget_us;
    sluice_status status = SLUICE_OK;
    if (!search->dead_done) {
        search->dead_done = true;
        status = sl_spool_dead_letters(search->spool, visit_dead, search, &why);
    } else if (search->cursor < search->end) {
        uint64_t before = search->cursor;
        status = sl_spool_samples(search->spool, search->cursor, visit_sample, search, &why);
        /* What retention deleted meanwhile is not there to be visited. */
        search->cursor = search->cursor == before ? search->end : search->cursor;
    }
    search->failed |= status != SLUICE_OK;
    return search->failed || (search->dead_done && search->cursor >= search->end);
}

bool sl_search_is_for_records(const sl_search *search)
{
    return search->what == SL_SEARCH_RECORDS;
}

sluice_status sl_search_restored(const sl_search *search, bool *restored, uint64_t *at)
{
    *at = search->restored_at;
    *restored = search->restored_at != UINT64_MAX;
    return search->failed || search->cursor < search->end ? SLUICE_E_IO : SLUICE_OK;
}

static void write_dependents(const sl_search *search, sl_object *object)
{
    uint32_t n = search->n_found < SL_SEARCH_DEPENDENTS ? search->n_found : SL_SEARCH_DEPENDENTS;
    sl_object_open(object, "dependents", '[');
    for (uint32_t i = search->n_found - n; i < search->n_found; i++) {
        const dependent *one = &search->dependent[i % SL_SEARCH_DEPENDENTS];
        sl_object_open(object, NULL, '{');
        sl_object_count(object, "offset", one->offset);
        sl_object_text(object, "id", one->id);
        sl_object_text(object, "source", one->source);
        sl_object_number(object, "similarity", (double)one->similarity);
        sl_object_text(object, "method", sl_record_method_name(one->method));
        if (one->restored_at == UINT64_MAX) {
            sl_object_json(object, "restored_at", (sluice_span){0});
        } else {
            sl_object_count(object, "restored_at", one->restored_at);
        }
        sl_object_close(object, '}');
    }
    sl_object_close(object, ']');
}

static void write_records(const sl_search *search, sl_object *object)
{
    uint32_t n = search->n_found < SL_SEARCH_FOUND ? search->n_found : SL_SEARCH_FOUND;
    sl_object_open(object, "records", '[');
    for (uint32_t i = search->n_found - n; i < search->n_found; i++) {
        const sluice_bytes *record = &search->found[i % SL_SEARCH_FOUND];
        sl_object_json(object, NULL, (sluice_span){record->data, record->size});
    }
    sl_object_close(object, ']');
}

sluice_status sl_search_write(const sl_search *search, sluice_bytes *out, uint32_t *n_found)
{
    sl_object object = sl_object_of(out);
    sl_object_open(&object, NULL, '{');
    sl_object_text(&object, "id", search->id);
    sl_object_bool(&object, "complete", !search->failed && search->cursor >= search->end);
    sl_object_count(&object, "found", search->n_found);
    if (search->what == SL_SEARCH_RECORDS) {
        write_records(search, &object);
    } else {
        write_dependents(search, &object);
    }
    sl_object_close(&object, '}');
    *n_found = search->n_found;
    return object.status;
}
