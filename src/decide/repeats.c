/* repeats.c - how many samples of each source repeat samples of each other.
 *
 *   (source, of) --mixed--> slot[2 x cells] of (key, count), open addressing
 *
 * Why sparse: of a million pairs of sources a stream has a few hundred. */
#include "decide/repeats.h"

#include <stdlib.h>

typedef struct slot {
    uint64_t count; /* 0 = free */
    uint32_t key;
} slot;

struct sl_repeats {
    uint32_t n_cells, n_cells_most;
    uint32_t n_slots; /* a power of two */
    slot slot[];
};

size_t sl_repeats_bytes(uint32_t n_cells)
{
    return sizeof(sl_repeats) + 2 * (size_t)n_cells * sizeof(slot);
}

sluice_status sl_repeats_open(uint32_t n_cells, sl_repeats **out)
{
    SLUICE_ASSERT((n_cells & (n_cells - 1)) == 0 && n_cells > SLUICE_LIMIT_SOURCES + 1);
    *out = calloc(1, sl_repeats_bytes(n_cells));
    if (*out == NULL) {
        return SLUICE_E_NOMEM;
    }
    (*out)->n_cells_most = n_cells;
    (*out)->n_slots = 2 * n_cells;
    return SLUICE_OK;
}

void sl_repeats_close(sl_repeats **repeats_p)
{
    free(*repeats_p);
    *repeats_p = NULL;
}

static uint32_t key_of(uint32_t i_source, uint32_t i_of)
{
    return i_source << 16 | i_of;
}

static slot *find_slot(sl_repeats *repeats, uint32_t key)
{
    uint32_t i = (uint32_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 47) & (repeats->n_slots - 1);
    while (repeats->slot[i].count != 0 && repeats->slot[i].key != key) {
        i = (i + 1) & (repeats->n_slots - 1);
    }
    return &repeats->slot[i];
}

/* Each source has a cell for "(other)" in reserve, so that none of its repeats is ever lost. */
void sl_repeats_add(sl_repeats *repeats, uint32_t i_source, uint32_t i_of, uint64_t count)
{
    uint32_t key = key_of(i_source, i_of);
    slot *cell = find_slot(repeats, key);
    uint32_t room = i_of == SLUICE_OTHER_SOURCES ? repeats->n_cells_most + SLUICE_LIMIT_SOURCES + 1
                                                 : repeats->n_cells_most;
    if (cell->count == 0 && repeats->n_cells >= room) {
        key = key_of(i_source, SLUICE_OTHER_SOURCES);
        cell = find_slot(repeats, key);
    }
    repeats->n_cells += cell->count == 0;
    cell->key = key;
    cell->count += count;
}

static int compare_repeats(const void *a, const void *b)
{
    const sluice_repeat *x = a;
    const sluice_repeat *y = b;
    if (x->count != y->count) {
        return x->count < y->count ? 1 : -1;
    }
    uint32_t x_key = key_of(x->i_source, x->i_of);
    uint32_t y_key = key_of(y->i_source, y->i_of);
    return x_key < y_key ? -1 : x_key > y_key;
}

static sluice_repeat repeat_of(const slot *cell)
{
    return (sluice_repeat){cell->key >> 16, cell->key & 0xffff, cell->count};
}

uint32_t sl_repeats_list(const sl_repeats *repeats, sluice_repeat *out, uint32_t n)
{
    sluice_repeat *all = malloc((repeats->n_cells + 1) * sizeof *all);
    if (all == NULL) {
        return 0;
    }
    uint32_t n_all = 0;
    for (uint32_t i = 0; i < repeats->n_slots; i++) {
        if (repeats->slot[i].count != 0) {
            all[n_all++] = repeat_of(&repeats->slot[i]);
        }
    }
    qsort(all, n_all, sizeof *all, compare_repeats);
    uint32_t n_given = n_all < n ? n_all : n;
    if (n_given > 0) {
        memcpy(out, all, n_given * sizeof *all);
    }
    free(all);
    return n_all;
}

sluice_status sl_repeats_save(const sl_repeats *repeats, sluice_bytes *out)
{
    SLUICE_TRY(sl_bytes_put_varint(out, repeats->n_cells));
    for (uint32_t i = 0; i < repeats->n_slots; i++) {
        if (repeats->slot[i].count != 0) {
            sluice_repeat repeat = repeat_of(&repeats->slot[i]);
            SLUICE_TRY(sl_bytes_put_varint(out, repeat.i_source));
            SLUICE_TRY(sl_bytes_put_varint(out, repeat.i_of));
            SLUICE_TRY(sl_bytes_put_varint(out, repeat.count));
        }
    }
    return SLUICE_OK;
}

bool sl_repeats_load(sl_repeats *repeats, sl_reader *reader, uint32_t n_sources)
{
    uint64_t n = sl_reader_varint(reader);
    for (uint64_t i = 0; i < n && !reader->bad; i++) {
        uint64_t i_source = sl_reader_varint(reader);
        uint64_t i_of = sl_reader_varint(reader);
        uint64_t count = sl_reader_varint(reader);
        if (reader->bad || i_source >= n_sources || i_of >= n_sources || count == 0) {
            return false;
        }
        sl_repeats_add(repeats, (uint32_t)i_source, (uint32_t)i_of, count);
    }
    return !reader->bad && repeats->n_cells == n;
}
