/* search.c - finds all that the log and the dead letters say of one id, a slice at a time.
 *
 *   dead letters, then log:  | done | this slice | ...          | end of the log at the start
 *
 * Why slices: the log has no index by id, a pass reads about 1 GB/s, and the one thread of HTTP has
 * others to answer meanwhile. Each slice is a read transaction of its own, so that a long search
 * does not keep the log from giving pages back. */
#include "watch/search.h"
#include "bytes.h"
#include "decode/sample_fields.h"
#include "record.h"
#include "watch/object.h"
#include "watch/view.h"

#include <stdio.h>
#include <stdlib.h>

struct sl_search {
    sl_spool *spool; /* Borrows */
    char id[SLUICE_LIMIT_ID_BYTES + 1];
    bool dead_done, failed;
    uint64_t cursor, end;
    int64_t until_us;
    uint32_t n_found;                    /* ever */
    sluice_bytes found[SL_SEARCH_FOUND]; /* [i % SL_SEARCH_FOUND] */
};

sluice_status sl_search_open(sl_spool *spool, const char *id, sl_search **out)
{
    *out = calloc(1, sizeof **out);
    if (*out == NULL) {
        return SLUICE_E_NOMEM;
    }
    sl_spool_extent extent = sl_spool_extent_of(spool);
    (*out)->spool = spool;
    (*out)->cursor = extent.first_offset;
    (*out)->end = extent.next_offset;
    snprintf((*out)->id, sizeof(*out)->id, "%s", id);
    return SLUICE_OK;
}

void sl_search_close(sl_search **search_p)
{
    if (*search_p != NULL) {
        for (uint32_t i = 0; i < SL_SEARCH_FOUND; i++) {
            sl_bytes_fini(&(*search_p)->found[i]);
        }
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

static bool visit_sample(void *context, const sl_spool_sample *sample)
{
    sl_search *search = context;
    sluice_span source;
    if (sample->offset >= search->end) {
        search->cursor = search->end;
        return false;
    }
    if (has_id(search, sample->wire, &source)) {
        search->failed |=
            sl_record_json_of_wire(sample->wire, next_place(search)) == SLUICE_E_NOMEM;
    }
    search->cursor = sample->offset + 1;
    return sl_view_clock_us() < search->until_us;
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

sluice_status sl_search_write(const sl_search *search, sluice_bytes *out, uint32_t *n_found)
{
    uint32_t n = search->n_found < SL_SEARCH_FOUND ? search->n_found : SL_SEARCH_FOUND;
    sl_object object = sl_object_of(out);
    sl_object_open(&object, NULL, '{');
    sl_object_text(&object, "id", search->id);
    sl_object_bool(&object, "complete", !search->failed && search->cursor >= search->end);
    sl_object_count(&object, "found", search->n_found);
    sl_object_open(&object, "records", '[');
    for (uint32_t i = search->n_found - n; i < search->n_found; i++) {
        const sluice_bytes *record = &search->found[i % SL_SEARCH_FOUND];
        sl_object_json(&object, NULL, (sluice_span){record->data, record->size});
    }
    sl_object_close(&object, ']');
    sl_object_close(&object, '}');
    *n_found = search->n_found;
    return object.status;
}
