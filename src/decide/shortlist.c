/* shortlist.c - the samples of a stream that are best by a score.
 *
 *   candidate --better than the worst?--> heap[512], the worst in front */
#include "decide/shortlist.h"

#include <math.h>
#include <stdlib.h>

static bool is_worse(const sl_shortlist_entry *a, const sl_shortlist_entry *b)
{
    return a->score != b->score ? a->score < b->score : a->offset < b->offset;
}

static void swap(sl_shortlist_entry *a, sl_shortlist_entry *b)
{
    sl_shortlist_entry kept = *a;
    *a = *b;
    *b = kept;
}

static void sink(sl_shortlist *list)
{
    uint32_t i = 0;
    while (2 * i + 1 < list->n) {
        uint32_t child = 2 * i + 1;
        if (child + 1 < list->n && is_worse(&list->entry[child + 1], &list->entry[child])) {
            child++;
        }
        if (!is_worse(&list->entry[child], &list->entry[i])) {
            return;
        }
        swap(&list->entry[i], &list->entry[child]);
        i = child;
    }
}

static void rise(sl_shortlist *list)
{
    uint32_t i = list->n - 1;
    while (i > 0 && is_worse(&list->entry[i], &list->entry[(i - 1) / 2])) {
        swap(&list->entry[i], &list->entry[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
}

static void fill(sl_shortlist_entry *entry, const sluice_label *from)
{
    *entry = (sl_shortlist_entry){.score = from->score,
                                  .leverage = from->leverage,
                                  .influence = from->influence,
                                  .i_source = from->i_source,
                                  .offset = from->offset,
                                  .id_size = (uint32_t)from->id.size};
    if (from->id.size > 0) {
        memcpy(entry->id, from->id.data, from->id.size);
    }
}

void sl_shortlist_offer(sl_shortlist *list, const sluice_label *candidate)
{
    if (isnan(candidate->score) || candidate->id.size > SLUICE_LIMIT_ID_BYTES) {
        return;
    }
    if (list->n < SLUICE_LIMIT_LABELS) {
        fill(&list->entry[list->n++], candidate);
        rise(list);
    } else if (candidate->score >= list->entry[0].score) {
        fill(&list->entry[0], candidate);
        sink(list);
    }
}

static int compare_labels(const void *a, const void *b)
{
    const sluice_label *x = a;
    const sluice_label *y = b;
    if (x->score != y->score) {
        return x->score < y->score ? 1 : -1;
    }
    return x->offset < y->offset ? 1 : x->offset > y->offset ? -1 : 0;
}

uint32_t sl_shortlist_read(const sl_shortlist *list, sluice_label labels[SLUICE_LIMIT_LABELS])
{
    for (uint32_t i = 0; i < list->n; i++) {
        const sl_shortlist_entry *entry = &list->entry[i];
        labels[i] = (sluice_label){.score = entry->score,
                                   .leverage = entry->leverage,
                                   .influence = entry->influence,
                                   .offset = entry->offset,
                                   .i_source = entry->i_source,
                                   .id = {entry->id, entry->id_size}};
    }
    qsort(labels, list->n, sizeof *labels, compare_labels);
    return list->n;
}

sluice_status sl_shortlist_save(const sl_shortlist *list, sluice_bytes *out)
{
    SLUICE_TRY(sl_bytes_put_u32(out, list->n));
    for (uint32_t i = 0; i < list->n; i++) {
        const sl_shortlist_entry *entry = &list->entry[i];
        SLUICE_TRY(sl_bytes_put_double(out, entry->score));
        SLUICE_TRY(sl_bytes_put_double(out, (double)entry->leverage));
        SLUICE_TRY(sl_bytes_put_double(out, (double)entry->influence));
        SLUICE_TRY(sl_bytes_put_u64(out, entry->offset));
        SLUICE_TRY(sl_bytes_put_u32(out, entry->i_source));
        SLUICE_TRY(sl_bytes_put_u32(out, entry->id_size));
        SLUICE_TRY(sl_bytes_append(out, entry->id, entry->id_size));
    }
    return SLUICE_OK;
}

bool sl_shortlist_load(sl_shortlist *list, sl_reader *reader, uint32_t n_sources)
{
    uint32_t n = sl_reader_u32(reader);
    if (n > SLUICE_LIMIT_LABELS) {
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        sl_shortlist_entry *entry = &list->entry[i];
        entry->score = sl_reader_double(reader);
        entry->leverage = (float)sl_reader_double(reader);
        entry->influence = (float)sl_reader_double(reader);
        entry->offset = sl_reader_u64(reader);
        entry->i_source = sl_reader_u32(reader);
        entry->id_size = sl_reader_u32(reader);
        sluice_span id = sl_reader_span(reader, entry->id_size);
        if (reader->bad || isnan(entry->score) || entry->i_source >= n_sources ||
            id.size > SLUICE_LIMIT_ID_BYTES) {
            return false;
        }
        if (id.size > 0) {
            memcpy(entry->id, id.data, id.size);
        }
    }
    list->n = n; /* saved as a heap, so it is one */
    return true;
}
