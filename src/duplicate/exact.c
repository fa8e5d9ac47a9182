/* exact.c - finds kept samples with the same bytes, or the same text once normalized.
 *
 *   payload of a row | raw hash 16 | normal hash 16 |     kind = which of the two it has 2,
 *                                                                 number of its verdict 12
 *   keys of a row      raw_hash[0]   normal_hash[0] ^ NORMAL_SALT
 *
 * Why all 128 bits on the row: at 1e9 samples an accidental match is then out of reach (1e-21), and
 * "exact" in a verdict is taken at its word.
 * Why two hashes in one table: most duplicates agree in both, so both find the same row; a
 * redelivery needs the raw one, and a copy with other spacing only has the normal one. */
#include "duplicate/exact.h"

#include "bytes.h"
#include "duplicate/verdicts.h"

#include <stdlib.h>
#include <string.h>

#define HASH_BYTES     16
#define NORMAL_SALT    UINT64_C(0x9e3779b97f4a7c15)
#define N_KEYS         2
#define VERDICTS_PART  64 /* of the memory: a verdict with a reason takes some 120 bytes */
#define VERDICTS_BYTES ((uint64_t)512 << 10) /* at most: SL_VERDICTS_MAX of them        */
#define HAS_BITS       2 /* of a row's kind; the verdict's number is above them */

struct sl_exact {
    sl_index index;
    sl_window window;
    sl_probe_counts own_counts, *counts; /* a probe counts and changes nothing else */
    sl_verdicts *verdicts;
};

/* What a row or a sample is known by here. */
typedef struct identity {
    uint64_t raw[2], normal[2];
    uint8_t has; /* SLUICE_HAS_RAW, SLUICE_HAS_NORMAL */
} identity;

static const uint8_t kinds[N_KEYS] = {SLUICE_HAS_RAW, SLUICE_HAS_NORMAL};

_Static_assert((SLUICE_HAS_RAW | SLUICE_HAS_NORMAL) < 1 << HAS_BITS, "two bits");
_Static_assert(sizeof(((identity *)0)->raw) == HASH_BYTES, "128 bits");

static size_t verdicts_bytes_of(const sluice_config *config)
{
    uint64_t part = config->duplicate.exact_memory / VERDICTS_PART;
    return (size_t)(part < VERDICTS_BYTES ? part : VERDICTS_BYTES);
}

sl_index_options sl_exact_index_options(const sluice_config *config)
{
    uint64_t memory = config->duplicate.exact_memory;
    uint64_t own = sizeof(sl_exact) + verdicts_bytes_of(config);
    return (sl_index_options){.memory_bytes = memory > own ? memory - own : 0,
                              .payload_bytes = 2 * HASH_BYTES,
                              .n_keys = N_KEYS};
}

sluice_status sl_exact_open(const sluice_config *config, sl_exact **out, sluice_message *why)
{
    *out = NULL;
    sl_exact *exact = calloc(1, sizeof *exact);
    if (exact == NULL) {
        return sluice_fail(why, SLUICE_E_NOMEM, "duplicate.exact: no memory");
    }
    exact->counts = &exact->own_counts;
    exact->window = (sl_window){config->duplicate.window_samples, config->duplicate.window_age_us};
    sl_index_options options = sl_exact_index_options(config);
    sluice_status status = sl_index_init(&exact->index, &options, "duplicate.exact.memory", why);
    if (status != SLUICE_OK) {
        free(exact);
        return status;
    }
    if (sl_verdicts_open(verdicts_bytes_of(config), &exact->verdicts) != SLUICE_OK) {
        sl_exact_close(&exact);
        return sluice_fail(why, SLUICE_E_NOMEM, "duplicate.exact: no memory");
    }
    *out = exact;
    return SLUICE_OK;
}

void sl_exact_close(sl_exact **exact_p)
{
    if (*exact_p != NULL) {
        sl_index_fini(&(*exact_p)->index);
        sl_verdicts_close(&(*exact_p)->verdicts);
        free(*exact_p);
        *exact_p = NULL;
    }
}

static identity identity_of_sample(const sluice_sample *sample)
{
    const sluice_features *features = &sample->features;
    return (identity){{features->raw_hash[0], features->raw_hash[1]},
                      {features->normal_hash[0], features->normal_hash[1]},
                      features->has & (SLUICE_HAS_RAW | SLUICE_HAS_NORMAL)};
}

static identity identity_of_row(const sl_row *row)
{
    identity who = {.has = row->kind & (SLUICE_HAS_RAW | SLUICE_HAS_NORMAL)};
    memcpy(who.raw, row->payload, HASH_BYTES);
    memcpy(who.normal, row->payload + HASH_BYTES, HASH_BYTES);
    return who;
}

static uint64_t key_of(const identity *who, uint8_t kind)
{
    return kind == SLUICE_HAS_RAW ? who->raw[0] : who->normal[0] ^ NORMAL_SALT;
}

static bool agree(const identity *a, const identity *b, uint8_t kind)
{
    if ((a->has & b->has & kind) == 0) {
        return false;
    }
    return kind == SLUICE_HAS_RAW ? memcmp(a->raw, b->raw, HASH_BYTES) == 0
                                  : memcmp(a->normal, b->normal, HASH_BYTES) == 0;
}

static void enter(const sl_exact *exact, const identity *who, uint32_t place)
{
    for (uint32_t i = 0; i < N_KEYS; i++) {
        if (who->has & kinds[i]) {
            sl_table_insert(exact->index.table, key_of(who, kinds[i]), place);
        }
    }
}

/* A forgotten row leaves a gap; closing it moves rows, so the table is filled again. */
static void close_gaps(const sl_exact *exact)
{
    sl_rows *rows = exact->index.rows;
    if (!sl_rows_has_gaps(rows)) {
        return;
    }
    sl_rows_compact(rows);
    sl_table_clear(exact->index.table);
    sl_row row;
    for (uint32_t place = sl_rows_first(rows); sl_rows_at(rows, place, &row);
         place = sl_rows_next(rows, place)) {
        identity who = identity_of_row(&row);
        enter(exact, &who, place);
    }
}

void sl_exact_prefetch(const sl_exact *exact, const sluice_sample *sample)
{
    identity who = identity_of_sample(sample);
    for (uint32_t i = 0; i < N_KEYS; i++) {
        if (who.has & kinds[i]) {
            sl_table_prefetch(exact->index.table, key_of(&who, kinds[i]));
        }
    }
}

/* Takes the row as the match if it is a better one. */
static void consider(const sl_exact *exact, const sluice_sample *sample, const identity *who,
                     const sl_row *row, sluice_match *match)
{
    identity theirs = identity_of_row(row);
    bool redelivered = agree(who, &theirs, SLUICE_HAS_RAW) &&
                       row->i_producer == sample->i_producer && sl_span_equal(row->id, sample->id);
    bool better =
        match->method == SLUICE_METHOD_NONE ||
        (redelivered != match->redelivered ? redelivered : row->offset < match->of_offset);
    if (better) {
        *match = (sluice_match){.method = SLUICE_METHOD_EXACT,
                                .redelivered = redelivered,
                                .similarity = 1,
                                .of_offset = row->offset,
                                .of_id = row->id,
                                .of_source = row->source};
        if (redelivered) {
            match->first = sl_verdicts_at(exact->verdicts, row->kind >> HAS_BITS);
        }
    }
}

/* A row counts under the key it was found by alone: what another slot, older than the row, leads to
 * by chance would not be there after a restart. */
static void probe_kind(const sl_exact *exact, const sluice_sample *sample, const identity *who,
                       uint8_t kind, sluice_match *match)
{
    sl_horizon horizon = sl_window_horizon(&exact->window, sample->offset, sample->arrived_us);
    uint32_t places[SL_TABLE_SLOTS];
    uint32_t n = sl_table_find(exact->index.table, key_of(who, kind), places);
    for (uint32_t i = 0; i < n; i++) {
        sl_row row;
        if (sl_rows_at(exact->index.rows, places[i], &row) && sl_horizon_shows(&horizon, &row)) {
            identity theirs = identity_of_row(&row);
            exact->counts->candidates++;
            if (agree(who, &theirs, kind)) {
                exact->counts->verified++;
                consider(exact, sample, who, &row, match);
            }
        }
    }
}

bool sl_exact_probe(const sl_exact *exact, const sluice_sample *sample, sluice_match *match)
{
    close_gaps(exact);
    exact->counts->probes++;
    identity who = identity_of_sample(sample);
    sluice_match best = {.method = SLUICE_METHOD_NONE};
    for (uint32_t i = 0; i < N_KEYS; i++) {
        if (who.has & kinds[i]) {
            probe_kind(exact, sample, &who, kinds[i], &best);
        }
    }
    if (best.method == SLUICE_METHOD_NONE) {
        return false;
    }
    *match = best;
    return true;
}

void sl_exact_insert(sl_exact *exact, const sluice_sample *sample)
{
    identity who = identity_of_sample(sample);
    if (who.has == 0) {
        return;
    }
    close_gaps(exact);
    uint8_t payload[2 * HASH_BYTES];
    memcpy(payload, who.raw, HASH_BYTES);
    memcpy(payload + HASH_BYTES, who.normal, HASH_BYTES);
    uint16_t number = sl_verdicts_enter(exact->verdicts, &sample->verdict);
    uint16_t kind = (uint16_t)(number << HAS_BITS | who.has);
    const sl_row row = {.offset = sample->offset,
                        .arrived_us = sample->arrived_us,
                        .i_producer = sample->i_producer,
                        .kind = kind,
                        .payload = payload,
                        .id = sample->id,
                        .source = sample->source};
    enter(exact, &who, sl_rows_append(exact->index.rows, &row));
}

void sl_exact_evict(sl_exact *exact, uint64_t below_offset)
{
    close_gaps(exact);
    sl_rows_evict(exact->index.rows, below_offset);
}

bool sl_exact_forget(sl_exact *exact, uint64_t offset)
{
    return sl_index_erase(&exact->index, offset);
}

const sl_index *sl_exact_index(const sl_exact *exact)
{
    return &exact->index;
}

const sl_probe_counts *sl_exact_counts(const sl_exact *exact)
{
    return exact->counts;
}

bool sl_exact_validate(const sl_exact *exact, const char **reason)
{
    return sl_index_validate(&exact->index, reason);
}
