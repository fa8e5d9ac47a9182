/* embedding.c - finds kept samples whose embedding points the same way.
 *
 *   sample: 512 sign bits --> scan of all rows, or rows that share a key (beyond 131,072)
 *                                 |  bits that differ: within the bounds of the threshold
 *                                 v
 *                             the 64 nearest by bits --> same encoder? in the window? cosine
 *
 *   memory  | rows: names, vector of 16-bit integers | 512 bits and the place of each | keys |
 *
 * Why a scan: up to about 1e5 rows it is faster than any graph or inverted file and misses nothing
 * that a formula does not say.
 * Why keys beyond, and from a cosine of .90 on: the scan grows with the rows; below .90 too many
 * bits of a key differ, so the scan stays, whatever it costs. Which of the two answers depends on
 * the rows that the sample may be told of: a fact of the log.
 * Why rows of 384 numbers set how many there can be: the dimension is not known when the memory is
 * laid out. Longer vectors fill the bytes first, shorter ones the count.
 * Why the key of the encoder flips bits: vectors of two encoders must not even pass the filter. */
#include "duplicate/embedding.h"

#include "duplicate/cosine.h"
#include "duplicate/index.h"
#include "duplicate/nearest_few.h"
#include "duplicate/sign_keys.h"

#include <stdlib.h>
#include <string.h>

#define FLAT_ROWS        131072 /* visible ones: more are found by keys                           */
#define KEYS_FROM_ROWS   300000 /* a budget that holds fewer has no keys                          */
#define KEYS_FROM_COSINE 0.90
#define PAGES_BYTES      ((uint64_t)4 * 4096) /* what the allocator may add                       */
#define ROUNDING         0x1p-22 /* of unit rows in float: what is at the threshold is found      */

struct sl_embedding {
    sl_rows *rows;
    sl_rows_options rows_options;
    sl_signs *signs;    /* of the rows, in their order */
    sl_sign_keys *keys; /* NULL: always scan */
    uint32_t n_rows_max;
    double threshold;
    sl_sign_bounds bounds;
    sl_window window;
    sl_probe_counts own_counts, *counts; /* a probe counts and changes nothing else */
};

/* ---- memory ---------------------------------------------------------------------------------- */

typedef struct division {
    uint64_t rows_bytes;
    uint32_t n_rows;
    bool has_keys;
} division;

static uint32_t extra_bytes_of(uint32_t dim)
{
    return (2 * dim + SL_ROWS_UNIT - 1) / SL_ROWS_UNIT * SL_ROWS_UNIT;
}

static uint32_t row_bytes_of(uint32_t dim, uint32_t id_bytes)
{
    return sl_rows_row_bytes(0, extra_bytes_of(dim) + id_bytes + SL_INDEX_SOURCE_BYTES);
}

static uint32_t rows_for(uint64_t memory, uint64_t keys_bytes)
{
    double row = (double)row_bytes_of(SL_DUPLICATE_PLAN_DIM, SL_INDEX_ID_BYTES) * 65 / 64;
    double n_rows = (double)memory / (row + SL_SIGNS_ROW_BYTES + (double)keys_bytes);
    return n_rows < 1 ? 1 : n_rows > INT32_MAX ? INT32_MAX : (uint32_t)n_rows;
}

static division divide(const sluice_config *config)
{
    uint64_t memory = config->duplicate.embedding_memory;
    uint64_t spare = PAGES_BYTES + 2 * 1024; /* fixed parts of the four */
    memory -= memory > 4 * spare ? spare : 0;
    division parts = {.n_rows = rows_for(memory, 0)};
    parts.has_keys =
        parts.n_rows > KEYS_FROM_ROWS && config->duplicate.embedding_threshold >= KEYS_FROM_COSINE;
    size_t keys_bytes = 0;
    if (parts.has_keys) {
        parts.n_rows = rows_for(memory, sl_sign_keys_bytes(1 << 20) >> 20);
        keys_bytes = sl_sign_keys_bytes(parts.n_rows);
    }
    uint64_t others = sl_signs_bytes(parts.n_rows) + keys_bytes;
    parts.rows_bytes = memory > others ? memory - others : 0;
    return parts;
}

static sl_rows_options rows_options_of(const division *parts)
{
    return (sl_rows_options){.memory_bytes = (size_t)parts->rows_bytes,
                             .extra_bytes = 2 * SLUICE_EMBEDDING_MAX};
}

uint64_t sl_embedding_rows_of(const sluice_config *config, uint32_t dim, uint32_t id_bytes)
{
    division parts = divide(config);
    sl_rows_options options = rows_options_of(&parts);
    uint64_t n_rows = sl_rows_capacity_of(&options) / row_bytes_of(dim, id_bytes);
    return n_rows < parts.n_rows ? n_rows : parts.n_rows;
}

bool sl_embedding_has_keys(const sluice_config *config)
{
    return divide(config).has_keys;
}

static sluice_status open_parts(const division *parts, sl_embedding *embedding)
{
    SLUICE_TRY(sl_rows_open(&embedding->rows_options, &embedding->rows));
    SLUICE_TRY(sl_signs_open(parts->n_rows, &embedding->signs));
    return parts->has_keys ? sl_sign_keys_open(parts->n_rows, &embedding->keys) : SLUICE_OK;
}

sluice_status sl_embedding_open(const sluice_config *config, sl_embedding **out,
                                sluice_message *why)
{
    *out = NULL;
    sl_embedding *embedding = calloc(1, sizeof *embedding);
    if (embedding == NULL) {
        return sluice_fail(why, SLUICE_E_NOMEM, "duplicate: no memory");
    }
    division parts = divide(config);
    embedding->rows_options = rows_options_of(&parts);
    embedding->n_rows_max = parts.n_rows;
    embedding->counts = &embedding->own_counts;
    embedding->threshold = config->duplicate.embedding_threshold;
    sl_sign_bounds_of(embedding->threshold, &embedding->bounds);
    embedding->window =
        (sl_window){config->duplicate.window_samples, config->duplicate.window_age_us};
    unsigned long long memory = config->duplicate.embedding_memory;
    sluice_status status;
    if (sl_rows_capacity_of(&embedding->rows_options) == 0) {
        status = sluice_fail(why, SLUICE_E_CONFIG,
                             "duplicate.embedding.memory: %llu bytes hold no row of the longest "
                             "kind; give 64KiB or more",
                             memory);
    } else {
        status = open_parts(&parts, embedding);
        if (status != SLUICE_OK) {
            status = sluice_fail(why, status,
                                 "duplicate.embedding.memory: cannot reserve %llu bytes", memory);
        }
    }
    if (status != SLUICE_OK) {
        sl_embedding_close(&embedding);
        return status;
    }
    *out = embedding;
    return SLUICE_OK;
}

void sl_embedding_close(sl_embedding **embedding_p)
{
    if (*embedding_p != NULL) {
        sl_sign_keys_close(&(*embedding_p)->keys);
        sl_signs_close(&(*embedding_p)->signs);
        sl_rows_close(&(*embedding_p)->rows);
        free(*embedding_p);
        *embedding_p = NULL;
    }
}

/* ---- rows and signs stay in step ------------------------------------------------------------- */

/* Number of the oldest row; forgotten ones have theirs until the gaps are closed. */
static uint64_t first_number(const sl_embedding *embedding)
{
    return sl_signs_head(embedding->signs) - sl_rows_count(embedding->rows) -
           sl_rows_gaps(embedding->rows);
}

static bool row_of(const sl_embedding *embedding, uint64_t number, sl_row *row)
{
    return sl_rows_at(embedding->rows, sl_signs_place(embedding->signs, number), row);
}

static void enter_keys(const sl_embedding *embedding, uint64_t number)
{
    uint64_t bits[SLUICE_SIGN_WORDS];
    if (embedding->keys != NULL) {
        sl_signs_bits(embedding->signs, number, bits);
        sl_sign_keys_insert(embedding->keys, bits, sl_signs_slot(embedding->signs, number));
    }
}

/* A forgotten row leaves a gap; closing it moves rows and their bits, so keys are entered again. */
static void close_gaps(const sl_embedding *embedding)
{
    if (!sl_rows_has_gaps(embedding->rows)) {
        return;
    }
    sl_signs *signs = embedding->signs;
    uint64_t first = first_number(embedding), to = first;
    sl_row row;
    for (uint64_t from = first; from < sl_signs_head(signs); from++) {
        if (row_of(embedding, from, &row)) {
            sl_signs_copy(signs, to++, from);
        }
    }
    sl_signs_cut(signs, to);
    sl_rows_compact(embedding->rows);
    if (embedding->keys != NULL) {
        sl_sign_keys_clear(embedding->keys);
    }
    uint32_t place = sl_rows_first(embedding->rows);
    for (uint64_t number = first; number < to; number++) {
        sl_signs_set_place(signs, number, place);
        enter_keys(embedding, number);
        place = sl_rows_next(embedding->rows, place);
    }
}

/* Number of the oldest row that the horizon shows; the head if there is none. Mostly all are, so
 * the oldest is asked first. */
static uint64_t first_visible(const sl_embedding *embedding, const sl_horizon *horizon)
{
    uint64_t low = first_number(embedding), high = sl_signs_head(embedding->signs);
    uint64_t middle = low;
    for (; low < high; middle = low + (high - low) / 2) {
        sl_row row;
        bool found = row_of(embedding, middle, &row);
        SLUICE_ASSERT(found);
        if (row.offset >= horizon->offset && row.arrived_us >= horizon->arrived_us) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

/* ---- probe ----------------------------------------------------------------------------------- */

static void scan(const sl_embedding *embedding, sl_sign_query *query, uint64_t first, sl_few *few)
{
    sl_signs_hit hits[SL_SIGNS_CHUNK];
    uint64_t head = sl_signs_head(embedding->signs);
    for (uint64_t number = first; number < head; number += SL_SIGNS_CHUNK) {
        uint32_t n = sl_signs_find(embedding->signs, query, number, hits);
        sl_few_add_new(few, hits, n);
        if (!sl_few_narrow(few, query)) {
            return;
        }
    }
}

/* A row counts under the key it was found by alone: what an entry older than the row leads to by
 * chance would not be there after a restart. */
static void look_up(const sl_embedding *embedding, const sluice_sample *sample,
                    const sl_sign_query *query, uint64_t first, sl_few *few)
{
    sl_sign_keys_hit hits[SL_SIGN_KEYS_HITS];
    uint32_t n = sl_sign_keys_find(embedding->keys, sample->features.sign_bits,
                                   sample->features.sign_margins, hits);
    for (uint32_t i = 0; i < n; i++) {
        sl_signs_prefetch(embedding->signs, hits[i].slot);
    }
    for (uint32_t i = 0; i < n; i++) {
        sl_signs_hit hit;
        uint64_t theirs[SLUICE_SIGN_WORDS];
        if (!sl_signs_check(embedding->signs, query, hits[i].slot, &hit.distance)) {
            continue;
        }
        hit.number = sl_signs_number_at(embedding->signs, hits[i].slot);
        sl_signs_bits(embedding->signs, hit.number, theirs);
        if (hit.number >= first && sl_sign_keys_agree(embedding->keys, theirs, &hits[i])) {
            sl_few_add(few, hit);
        }
    }
}

static bool is_comparable(const sl_row *row, const sluice_sample *sample)
{
    return row->i_producer == sample->features.embedding_key &&
           row->extra.size == extra_bytes_of(sample->views.dim);
}

/* The best of the few, oldest first: only a higher cosine is better. */
static bool compare(const sl_embedding *embedding, const sluice_sample *sample,
                    const sl_horizon *horizon, const sl_few *few, sluice_match *match)
{
    sl_cosine_query query;
    query.dim = 0; /* not asked yet */
    sl_row row[SL_FEW];
    float best = -1;
    for (uint32_t i = 0; i < few->n; i++) {
        bool found = row_of(embedding, few->hit[i].number, &row[i]);
        SLUICE_ASSERT(found);
        for (size_t k = 0; k < row[i].extra.size; k += 64) {
            __builtin_prefetch(row[i].extra.data + k);
        }
    }
    for (uint32_t i = 0; i < few->n && best < 1; i++) {
        if (!is_comparable(&row[i], sample) || !sl_horizon_shows(horizon, &row[i])) {
            continue;
        }
        if (query.dim == 0) {
            sl_cosine_ask(sample->views.rows, sample->views.dim, &query);
        }
        sl_cosine cosine = sl_cosine_of(&query, row[i].extra.data);
        embedding->counts->candidates++;
        if (cosine.at_least >= embedding->threshold - ROUNDING && (float)cosine.value > best) {
            embedding->counts->verified++;
            best = (float)cosine.value;
            *match = (sluice_match){.method = SLUICE_METHOD_EMBEDDING,
                                    .similarity = best,
                                    .of_offset = row[i].offset,
                                    .of_id = row[i].id,
                                    .of_source = row[i].source};
        }
    }
    return best > -1; /* thresholds are above 0 */
}

static bool has_embedding(const sluice_sample *sample)
{
    return (sample->features.has & SLUICE_HAS_EMBEDDING) != 0;
}

bool sl_embedding_probe(const sl_embedding *embedding, const sluice_sample *sample,
                        sluice_match *match)
{
    if (!has_embedding(sample)) {
        return false;
    }
    close_gaps(embedding);
    embedding->counts->probes++;
    sl_few few;
    few.n = 0; /* the rest of it is filled as rows come */
    sl_horizon horizon = sl_window_horizon(&embedding->window, sample->offset, sample->arrived_us);
    uint64_t first = first_visible(embedding, &horizon);
    sl_sign_query query;
    sl_sign_query_make(&embedding->bounds, sample->features.sign_bits,
                       sample->features.sign_margins, &query);
    if (embedding->keys != NULL && sl_signs_head(embedding->signs) - first > FLAT_ROWS) {
        look_up(embedding, sample, &query, first, &few);
    } else {
        scan(embedding, &query, first, &few);
    }
    if (few.n == 0) {
        return false;
    }
    sl_few_sort(&few);
    return compare(embedding, sample, &horizon, &few, match);
}

bool sl_embedding_compare(const sl_embedding *embedding, const sluice_sample *sample,
                          const sl_row *row, float *similarity)
{
    if (!is_comparable(row, sample)) {
        return false;
    }
    sl_cosine_query query;
    sl_cosine_ask(sample->views.rows, sample->views.dim, &query);
    sl_cosine cosine = sl_cosine_of(&query, row->extra.data);
    *similarity = (float)cosine.value;
    return cosine.at_least >= embedding->threshold - ROUNDING;
}

const sl_probe_counts *sl_embedding_counts(const sl_embedding *embedding)
{
    return embedding->counts;
}

/* ---- the rest -------------------------------------------------------------------------------- */

/* What this sample is not told of, no later one is. So mostly all rows are visible. */
static void make_room(sl_embedding *embedding, const sluice_sample *sample)
{
    sl_horizon horizon = sl_window_horizon(&embedding->window, sample->offset, sample->arrived_us);
    sl_row row;
    while (sl_rows_at(embedding->rows, sl_rows_first(embedding->rows), &row) &&
           (row.offset < horizon.offset || row.arrived_us < horizon.arrived_us ||
            sl_rows_count(embedding->rows) == embedding->n_rows_max)) {
        sl_rows_evict(embedding->rows, row.offset + 1);
    }
}

void sl_embedding_insert(sl_embedding *embedding, const sluice_sample *sample)
{
    if (!has_embedding(sample)) {
        return;
    }
    close_gaps(embedding);
    make_room(embedding, sample);
    const sluice_span vector = sample->features.embedding;
    const uint32_t extra_bytes = extra_bytes_of((uint32_t)vector.size / 2);
    uint8_t extra[2 * SLUICE_EMBEDDING_MAX];
    SLUICE_ASSERT(vector.size >= SL_ROWS_UNIT && extra_bytes <= sizeof extra);
    memset(extra + extra_bytes - SL_ROWS_UNIT, 0, SL_ROWS_UNIT);
    memcpy(extra, vector.data, vector.size);
    sl_row row = {.offset = sample->offset,
                  .arrived_us = sample->arrived_us,
                  .i_producer = sample->features.embedding_key, /* its place is free here */
                  .extra = {extra, extra_bytes},
                  .id = sample->id,
                  .source = sample->source};
    uint32_t place = sl_rows_append(embedding->rows, &row);
    enter_keys(embedding, sl_signs_append(embedding->signs, sample->features.sign_bits, place));
}

void sl_embedding_evict(sl_embedding *embedding, uint64_t below_offset)
{
    close_gaps(embedding);
    sl_rows_evict(embedding->rows, below_offset);
}

bool sl_embedding_forget(sl_embedding *embedding, uint64_t offset)
{
    uint32_t place = sl_rows_find(embedding->rows, offset);
    if (place == SL_ROWS_NONE) {
        return false;
    }
    sl_rows_erase(embedding->rows, place);
    return true;
}

const sl_rows *sl_embedding_rows(const sl_embedding *embedding)
{
    return embedding->rows;
}

sl_duplicate_usage sl_embedding_usage(const sl_embedding *embedding)
{
    uint64_t rows = sl_rows_count(embedding->rows), bytes = sl_rows_used_bytes(embedding->rows);
    uint64_t bytes_max = sl_rows_capacity_of(&embedding->rows_options);
    uint64_t row_bytes =
        rows > 0 ? bytes / rows : row_bytes_of(SL_DUPLICATE_PLAN_DIM, SL_INDEX_ID_BYTES);
    uint64_t rows_max = bytes_max / row_bytes;
    return (sl_duplicate_usage){
        .rows = rows,
        .rows_max = rows_max < embedding->n_rows_max ? rows_max : embedding->n_rows_max,
        .bytes = bytes,
        .bytes_max = bytes_max,
        .evicted = sl_rows_evicted(embedding->rows)};
}

bool sl_embedding_validate(const sl_embedding *embedding, const char **reason)
{
    if (!sl_rows_validate(embedding->rows, reason) || sl_rows_has_gaps(embedding->rows)) {
        return *reason == NULL;
    }
    if (sl_rows_count(embedding->rows) > embedding->n_rows_max) {
        *reason = "more rows than the signs have room for";
        return false;
    }
    uint32_t place = sl_rows_first(embedding->rows);
    for (uint64_t number = first_number(embedding); place != SL_ROWS_NONE; number++) {
        if (sl_signs_place(embedding->signs, number) != place) {
            *reason = "the signs do not follow the rows";
            return false;
        }
        place = sl_rows_next(embedding->rows, place);
    }
    return true;
}
