/* contain.c - whether a kept text holds nearly all of a shorter one.
 *
 *   text --> word 3-grams --> hashes --> the 128 smallest, ascending
 *   hashes of a   | 3 | 9 | 14 | 20 | 31 |                      a short text: all it has
 *   hashes of b   | 3 | 9 | 11 | 14 | 20 | 22 | ... | 128th |    a long one: known up to its 128th
 *                                                  ^ up to here both are known: 4 of 4 in common
 *
 * Why not the sketches: a text of 60 words inside one of 600 has a Jaccard of .1, where bands find
 * nothing and 128 coordinates say nothing.
 * Why the smallest hashes: whoever holds a shingle of small hash holds it among its smallest too,
 * so texts of different lengths sample the same shingles.
 * Why the table again: each hash is a key of the row, as each band is.
 * Source: Broder 1997 (containment, bottom sketches). */
#include "duplicate/contain.h"

#include <string.h>

static uint64_t fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t key_of(uint32_t hash)
{
    uint64_t key = fold(hash ^ UINT64_C(0x9b05688c00000000), UINT64_C(0x6a09e667f3bcc909));
    return fold(key, UINT64_C(0xbb67ae8584caa73b));
}

float sl_contain_share(const uint32_t *a, uint32_t n_a, const uint32_t *b, uint32_t n_b)
{
    uint32_t last = UINT32_MAX, i = 0, j = 0, common = 0;
    last = n_a == SLUICE_BOTTOM_HASHES && a[n_a - 1] < last ? a[n_a - 1] : last;
    last = n_b == SLUICE_BOTTOM_HASHES && b[n_b - 1] < last ? b[n_b - 1] : last;
    for (; i < n_a && a[i] <= last; i++) {
        while (j < n_b && b[j] < a[i]) {
            j++;
        }
        common += j < n_b && b[j] == a[i];
    }
    return i < SL_CONTAIN_LEAST ? 0.0F : (float)common / (float)i;
}

void sl_contain_write(const sluice_features *features, uint8_t *out)
{
    uint64_t n = features->has & SLUICE_HAS_BOTTOM ? features->n_bottom : 0;
    memset(out, 0, SL_CONTAIN_BYTES);
    memcpy(out, &n, sizeof n);
    memcpy(out + sizeof n, features->bottom, n * sizeof features->bottom[0]);
}

static uint32_t read_held(const uint8_t *held, uint32_t hash[SLUICE_BOTTOM_HASHES])
{
    uint64_t n;
    memcpy(&n, held, sizeof n);
    SLUICE_DCHECK(n <= SLUICE_BOTTOM_HASHES);
    memcpy(hash, held + sizeof n, SLUICE_BOTTOM_HASHES * sizeof hash[0]);
    return (uint32_t)n;
}

void sl_contain_enter(sl_table *table, const uint8_t *held, uint32_t place)
{
    uint32_t hash[SLUICE_BOTTOM_HASHES], n = read_held(held, hash);
    for (uint32_t i = 0; i < n; i++) {
        sl_table_insert(table, key_of(hash[i]), place);
    }
}

static bool holds(const uint32_t *hash, uint32_t n, uint32_t wanted)
{
    bool found = false;
    for (uint32_t i = 0; i < n; i++) {
        found |= hash[i] == wanted;
    }
    return found;
}

typedef struct contain_probe {
    const sluice_features *features;
    const sl_horizon *horizon;
    uint32_t held_at;
    float best_share;
    sl_row best;
} contain_probe;

/* A slot may be stale: the row must hold the hash that led to it (table.c). */
static void look(contain_probe *probe, const sl_row *row, uint32_t wanted)
{
    uint32_t hash[SLUICE_BOTTOM_HASHES], n = read_held(row->payload + probe->held_at, hash);
    if (!sl_horizon_shows(probe->horizon, row) || !holds(hash, n, wanted)) {
        return;
    }
    float share = sl_contain_share(probe->features->bottom, probe->features->n_bottom, hash, n);
    if (share > probe->best_share ||
        (share == probe->best_share && share > 0 && row->offset < probe->best.offset)) {
        probe->best_share = share;
        probe->best = *row;
    }
}

void sl_contain_probe(const sl_index *index, uint32_t held_at, const sl_horizon *horizon,
                      const sluice_sample *sample, float threshold, sluice_match *match)
{
    contain_probe probe = {.features = &sample->features, .horizon = horizon, .held_at = held_at};
    uint32_t n = sample->features.has & SLUICE_HAS_BOTTOM ? sample->features.n_bottom : 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t places[SL_TABLE_SLOTS];
        uint32_t n_places = sl_table_find(index->table, key_of(sample->features.bottom[i]), places);
        for (uint32_t j = 0; j < n_places; j++) {
            sl_row row;
            if (sl_rows_at(index->rows, places[j], &row)) {
                look(&probe, &row, sample->features.bottom[i]);
            }
        }
    }
    if (probe.best_share >= threshold && probe.best_share > 0) {
        match->contained = probe.best_share;
        match->contained_in = probe.best.id;
    }
}
