/* text.c - finds kept texts whose shingle sets are nearly the same.
 *
 *   sketch u8[128]  | c0 .. c7 | c8 .. c15 | ...     bands of band_rows coordinates, one key each
 *                        |          |
 *                      key 0      key 1   ...        a key mixes in the profile and the band
 *                        v          v
 *                      places of rows that may share the band
 *                        |  the band really is equal, the profile too, the window shows the row
 *                        v
 *                      n = agreeing coordinates of all 128 -> similarity >= threshold
 *
 *   payload of a row  | sketch 128 | low half of the normal hash 8 | trace 16 | hashes, if asked |
 *   kind of a row     profile, HAS_NORMAL
 *
 * Why bands: P(candidate | Jaccard s) = 1 - (1 - s^r)^b; b = 16, r = 8 puts the knee near s = 0.7.
 * Why every candidate is verified: unverified bands are ruinous at low thresholds, and the verdict
 * states a similarity.
 * Why the band is compared again: only then is what is found a function of the live rows (table.c).
 * Why the hash at threshold 1: 128 equal coordinates are also what 0.99 often looks like.
 * Source: Broder 1997 (MinHash); Indyk and Motwani 1998 (LSH). */
#include "duplicate/text.h"

#include "duplicate/agreement.h"
#include "duplicate/contain.h"
#include "duplicate/recall.h"
#include "duplicate/weights.h"
#include "features/features.h"
#include "features/trace.h"

#include <stdlib.h>
#include <string.h>

#define NORMAL_BYTES   8
#define TRACE_AT       (SLUICE_SKETCH_COORDINATES + NORMAL_BYTES)
#define CONTAIN_AT     (TRACE_AT + SLUICE_TRACE_BYTES)
#define PAYLOAD_MOST   (CONTAIN_AT + SL_CONTAIN_BYTES)
#define BANDS_MAX      SLUICE_SKETCH_COORDINATES
#define ROWS_AHEAD     8 /* between prefetch and insert where the table is filled again */
#define BAND_BYTES_MAX sizeof(uint64_t)
#define HITS_ENOUGH    2    /* to be judged: a hot band is one, any other is two */
#define HAS_NORMAL     0x80 /* bit of a row's kind; the rest is the profile */

/* What makes a duplicate: this many agreeing coordinates, or this weighted similarity. */
typedef struct least_score {
    uint32_t n;
    float similarity;
} least_score;

typedef struct band_settings {
    uint32_t n_bands, band_rows;
    least_score least[2]; /* [1]: of brief samples */
    bool needs_normal; /* threshold 1: the normalized texts are equal too                       */
    bool numbers;      /* that alone differ make another text                                   */
} band_settings;

struct sl_text {
    sl_index index;
    sl_window window;
    sl_agreement *agreement;
    sl_agreement_weighted *weighted_agreement;
    band_settings bandings[SLUICE_N_PROFILES];
    sl_probe_counts own_counts, *counts; /* a probe counts and changes nothing else */
    uint64_t seed;
    uint64_t *n_hot;   /* hot bands met by probes, which change nothing else */
    float containment; /* share from which a text is contained; 0 = rows do not hold it */
    sl_weights *weights[SLUICE_N_PROFILES]; /* NULL: every coordinate counts the same */
};

/* A row that a band named, and how often. */
typedef struct seen_row {
    uint32_t place, hits;
} seen_row;

/* One probe. */
typedef struct text_probe {
    const sl_text *text;
    const sluice_sample *sample;
    const band_settings *banding;
    least_score least;
    sl_horizon horizon;
    uint32_t n_seen, all, best_score; /* all: what a score is out of; 0 = not known yet */
    sl_row best;                      /* offset UINT64_MAX: none */
    uint8_t weight[SLUICE_SKETCH_COORDINATES];
    seen_row seen[BANDS_MAX * SL_TABLE_SLOTS];
} text_probe;

/* Keys a row to plan for: those of the profile, or the middle between `news` and the most where
 * each sample has its own; a stream of the profile with the most alone loses its oldest rows
 * sooner. */
static uint32_t keys_to_plan(const sluice_config *config)
{
    if (config->duplicate.text_profile != SLUICE_PROFILE_AUTO) {
        return sl_text_settings_of(config, config->duplicate.text_profile).n_bands;
    }
    uint32_t strict = sl_text_settings_of(config, SLUICE_PROFILE_NEWS).n_bands, most = 0;
    for (int i = SLUICE_PROFILE_AUTO + 1; i < SLUICE_N_PROFILES; i++) {
        uint32_t n_bands = sl_text_settings_of(config, (sluice_profile)i).n_bands;
        most = n_bands > most ? n_bands : most;
    }
    return (strict + most + 1) / 2;
}

/* Where samples have one profile, the others cost nothing. */
static bool is_weighted(const sluice_config *config, int i_profile)
{
    sluice_profile only = config->duplicate.text_profile;
    return sl_text_settings_of(config, (sluice_profile)i_profile).weighted &&
           (only == SLUICE_PROFILE_AUTO || only == (sluice_profile)i_profile);
}

static uint64_t count_weights(const sluice_config *config)
{
    uint64_t n = 0;
    for (int i = SLUICE_PROFILE_AUTO + 1; i < SLUICE_N_PROFILES; i++) {
        n += is_weighted(config, i);
    }
    return n;
}

sl_index_options sl_text_index_options(const sluice_config *config)
{
    uint64_t memory = config->duplicate.text_memory;
    bool contains = config->duplicate.text_containment > 0;
    uint64_t own = sizeof(sl_text), weights = count_weights(config) * SL_WEIGHTS_BYTES;
    own += memory > 2 * weights ? weights : 0; /* on top of budgets that it would eat up */
    return (sl_index_options){.memory_bytes = memory > own ? memory - own : 0,
                              .payload_bytes = contains ? PAYLOAD_MOST : CONTAIN_AT,
                              .n_keys =
                                  keys_to_plan(config) + (contains ? SLUICE_BOTTOM_HASHES : 0)};
}

static band_settings banding_of(const sluice_config *config, sluice_profile name)
{
    sl_text_settings settings = sl_text_settings_of(config, name);
    SLUICE_ASSERT(settings.n_bands > 0 && settings.band_rows > 0);
    SLUICE_ASSERT(settings.band_rows <= BAND_BYTES_MAX);
    SLUICE_ASSERT(settings.n_bands * settings.band_rows <= SLUICE_SKETCH_COORDINATES);
    float brief = settings.brief > 0 ? settings.brief : settings.threshold;
    return (band_settings){.n_bands = settings.n_bands,
                           .band_rows = settings.band_rows,
                           .least = {{sl_agreement_least(settings.threshold), settings.threshold},
                                     {sl_agreement_least(brief), brief}},
                           .needs_normal = settings.threshold >= 1,
                           .numbers = settings.numbers};
}

static uint32_t profile_of(const sl_row *row)
{
    return row->kind & ~(uint32_t)HAS_NORMAL;
}

/* The rows tell that one is going. */
static void uncount(void *context, const sl_row *row)
{
    sl_text *text = context;
    sl_weights *weights = text->weights[profile_of(row)];
    if (weights != NULL && row->offset >= *sl_weights_from(weights)) {
        sl_weights_remove(weights, row->offset, row->payload);
    }
}

/* Rows of one profile with offsets in [from, below) begin or cease to count. */
static void count_range(const sl_text *text, uint32_t i_profile, uint64_t from, uint64_t below,
                        void (*count)(sl_weights *, uint64_t, const uint8_t *))
{
    const sl_rows *rows = text->index.rows;
    sl_row row;
    uint32_t place = sl_rows_lower(rows, from, INT64_MIN);
    for (; sl_rows_at(rows, place, &row) && row.offset < below; place = sl_rows_next(rows, place)) {
        if (profile_of(&row) == i_profile) {
            count(text->weights[i_profile], row.offset, row.payload);
        }
    }
}

/* The rows that the window shows count: others may be gone after a restart. Derived from the rows
 * and the horizon alone, whatever was asked before. */
static void slide(const sl_text *text, uint32_t i_profile, const sl_horizon *horizon)
{
    uint64_t *from = sl_weights_from(text->weights[i_profile]);
    bool shows_all = horizon->offset == 0 && horizon->arrived_us == INT64_MIN;
    if (shows_all && *from == 0) {
        return;
    }
    sl_row row;
    uint32_t place = sl_rows_lower(text->index.rows, horizon->offset, horizon->arrived_us);
    uint64_t wanted = sl_rows_at(text->index.rows, place, &row) ? row.offset : UINT64_MAX;
    wanted = shows_all ? 0 : wanted;
    if (wanted > *from) {
        count_range(text, i_profile, *from, wanted, sl_weights_remove);
    } else if (wanted < *from) {
        count_range(text, i_profile, wanted, *from, sl_weights_add);
    }
    *from = wanted;
}

static sluice_status open_weights(sl_text *text, const sluice_config *config)
{
    for (int i = SLUICE_PROFILE_AUTO + 1; i < SLUICE_N_PROFILES; i++) {
        if (is_weighted(config, i)) {
            SLUICE_TRY(sl_weights_open(&text->weights[i]));
            sl_rows_watch(text->index.rows, uncount, text);
        }
    }
    return SLUICE_OK;
}

sluice_status sl_text_open(const sluice_config *config, sl_text **out, sluice_message *why)
{
    *out = NULL;
    sl_text *text = calloc(1, sizeof *text);
    if (text == NULL) {
        return sluice_fail(why, SLUICE_E_NOMEM, "duplicate.text: no memory");
    }
    text->window = (sl_window){config->duplicate.window_samples, config->duplicate.window_age_us};
    text->agreement = sl_agreement_best();
    text->counts = &text->own_counts;
    text->seed = config->seed;
    text->containment = (float)config->duplicate.text_containment;
    text->weighted_agreement = sl_agreement_weighted_best();
    for (int i = SLUICE_PROFILE_AUTO + 1; i < SLUICE_N_PROFILES; i++) {
        text->bandings[i] = banding_of(config, (sluice_profile)i);
    }
    sl_index_options options = sl_text_index_options(config);
    sluice_status status = sl_index_init(&text->index, &options, "duplicate.text.memory", why);
    if (status != SLUICE_OK) {
        free(text);
        return status;
    }
    text->n_hot = calloc(1, sizeof *text->n_hot);
    if (text->n_hot == NULL || open_weights(text, config) != SLUICE_OK) {
        sl_text_close(&text);
        return sluice_fail(why, SLUICE_E_NOMEM, "duplicate.text: no memory");
    }
    *out = text;
    return SLUICE_OK;
}

void sl_text_close(sl_text **text_p)
{
    if (*text_p != NULL) {
        sl_index_fini(&(*text_p)->index);
        free((*text_p)->n_hot);
        for (int i = 0; i < SLUICE_N_PROFILES; i++) {
            sl_weights_close(&(*text_p)->weights[i]);
        }
        free(*text_p);
        *text_p = NULL;
    }
}

static uint64_t fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* One key a band, of its bytes, its number and the profile. The multipliers are the fractions of
 * the square roots of 2, 3 and 5, made odd. */
static void make_keys(const band_settings *banding, const uint8_t *sketch, uint32_t i_profile,
                      uint64_t *keys)
{
    uint8_t padded[SLUICE_SKETCH_COORDINATES + BAND_BYTES_MAX] = {0};
    memcpy(padded, sketch, SLUICE_SKETCH_COORDINATES);
    uint32_t rows = banding->band_rows;
    uint64_t mask = UINT64_MAX >> (64 - 8 * rows);
    for (uint32_t i = 0; i < banding->n_bands; i++) {
        uint64_t band;
        memcpy(&band, padded + i * rows, sizeof band);
        uint64_t salt = (i + 1) * UINT64_C(0x3c6ef372fe94f82b) + i_profile;
        uint64_t key = fold((band & mask) ^ salt, UINT64_C(0x6a09e667f3bcc909));
        keys[i] = fold(key, UINT64_C(0xbb67ae8584caa73b));
    }
}

static bool has_sketch(const sluice_sample *sample)
{
    return (sample->features.has & SLUICE_HAS_SKETCH) != 0 &&
           sample->features.profile > SLUICE_PROFILE_AUTO &&
           sample->features.profile < SLUICE_N_PROFILES;
}

static void prefetch_lines(const sl_text *text, uint32_t i_profile, const uint8_t *sketch)
{
    uint64_t keys[BANDS_MAX];
    const band_settings *banding = &text->bandings[i_profile];
    make_keys(banding, sketch, i_profile, keys);
    for (uint32_t i = 0; i < banding->n_bands; i++) {
        sl_table_prefetch(text->index.table, keys[i]);
    }
}

/* Lines only: rows too, found a few samples later, cost more than they save (measured at 1e7 rows
 * with one near-duplicate in five: 324 ns a sample instead of 281). */
void sl_text_prefetch(const sl_text *text, const sluice_sample *sample)
{
    if (has_sketch(sample)) {
        prefetch_lines(text, sample->features.profile, sample->features.sketch);
    }
}

static void enter(const sl_text *text, uint32_t i_profile, const uint8_t *payload, uint32_t place)
{
    uint64_t keys[BANDS_MAX];
    const band_settings *banding = &text->bandings[i_profile];
    make_keys(banding, payload, i_profile, keys);
    for (uint32_t i = 0; i < banding->n_bands; i++) {
        sl_table_insert(text->index.table, keys[i], place);
    }
    if (text->containment > 0) {
        sl_contain_enter(text->index.table, payload + CONTAIN_AT, place);
    }
}

/* A forgotten row leaves a gap; closing it moves rows, so the table is filled again. */
static void close_gaps(const sl_text *text)
{
    sl_rows *rows = text->index.rows;
    if (!sl_rows_has_gaps(rows)) {
        return;
    }
    sl_rows_compact(rows);
    sl_table_clear(text->index.table);
    sl_row row;
    uint32_t ahead = sl_rows_first(rows), n_ahead = 0;
    for (uint32_t place = ahead; sl_rows_at(rows, place, &row); place = sl_rows_next(rows, place)) {
        sl_row next;
        for (; n_ahead < ROWS_AHEAD && sl_rows_at(rows, ahead, &next); n_ahead++) {
            prefetch_lines(text, profile_of(&next), next.payload);
            ahead = sl_rows_next(rows, ahead);
        }
        enter(text, profile_of(&row), row.payload, place);
        n_ahead--;
    }
}

/* Is the row what the band promised? */
static bool shares_band(const band_settings *banding, const sluice_sample *sample,
                        const sl_row *row, uint32_t i_band)
{
    uint32_t from = i_band * banding->band_rows;
    return profile_of(row) == sample->features.profile &&
           memcmp(row->payload + from, sample->features.sketch + from, banding->band_rows) == 0;
}

static bool same_normal(const sluice_sample *sample, const sl_row *row)
{
    return (sample->features.has & SLUICE_HAS_NORMAL) && (row->kind & HAS_NORMAL) &&
           memcmp(row->payload + SLUICE_SKETCH_COORDINATES, &sample->features.normal_hash[0],
                  NORMAL_BYTES) == 0;
}

static void start(text_probe *search, const sl_text *text, const sluice_sample *sample)
{
    search->text = text;
    search->sample = sample;
    search->banding = &text->bandings[sample->features.profile];
    search->least = search->banding->least[sample->features.n_shingles < SL_TEXT_BRIEF];
    search->horizon = sl_window_horizon(&text->window, sample->offset, sample->arrived_us);
    search->n_seen = search->all = search->best_score = 0;
    search->best = (sl_row){.offset = UINT64_MAX};
}

/* What the row and the sample have in common, out of search->all; 0 if below the threshold. */
static uint32_t score_of(text_probe *search, const sl_row *row)
{
    const uint8_t *sketch = search->sample->features.sketch;
    const sl_weights *weights = search->text->weights[search->sample->features.profile];
    if (weights == NULL) {
        uint32_t n = search->text->agreement(row->payload, sketch);
        search->all = SLUICE_SKETCH_COORDINATES;
        return n >= search->least.n ? n : 0;
    }
    if (search->all == 0) {
        slide(search->text, search->sample->features.profile, &search->horizon);
        search->all = sl_weights_of(weights, sketch, search->weight);
    }
    uint32_t sum = search->text->weighted_agreement(row->payload, sketch, search->weight);
    float similarity = sl_agreement_weighted_similarity(sum, search->all);
    return similarity >= search->least.similarity ? sum : 0;
}

/* What a score over the threshold does not see. */
static bool is_other(const text_probe *search, const sl_row *row)
{
    return (search->banding->needs_normal && !same_normal(search->sample, row)) ||
           (search->banding->numbers &&
            sl_trace_compare(row->payload + TRACE_AT, search->sample->features.trace) ==
                SLUICE_DIFFERS_NUMBERS);
}

static void judge(text_probe *search, const sl_row *row)
{
    uint32_t score = score_of(search, row);
    search->text->counts->candidates++;
    if (score == 0 || !sl_horizon_shows(&search->horizon, row) || is_other(search, row)) {
        return;
    }
    search->text->counts->verified++;
    if (score > search->best_score ||
        (score == search->best_score && row->offset < search->best.offset)) {
        search->best_score = score;
        search->best = *row;
    }
}

/* One more band names the row: it is judged when it has hits enough. */
static void hit(text_probe *search, const sl_row *row, uint32_t place, uint32_t hits)
{
    uint32_t i = 0;
    while (i < search->n_seen && search->seen[i].place != place) {
        i++;
    }
    if (i == search->n_seen) {
        search->seen[search->n_seen++] = (seen_row){place, 0};
    }
    uint32_t before = search->seen[i].hits;
    search->seen[i].hits = before + hits;
    if (before < HITS_ENOUGH && before + hits >= HITS_ENOUGH) {
        judge(search, row);
    }
}

static bool among(const uint32_t *places, uint32_t n, uint32_t place)
{
    bool found = false;
    for (uint32_t i = 0; i < n; i++) {
        found |= places[i] == place;
    }
    return found;
}

/* Each row once: a stale slot may name the place of a row that has a slot of its own. */
static uint32_t live_rows(const text_probe *search, uint32_t i_band, uint32_t *places,
                          uint32_t n_places, sl_row *rows)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < n_places; i++) {
        if (!among(places, n, places[i]) &&
            sl_rows_at(search->text->index.rows, places[i], &rows[n]) &&
            shares_band(search->banding, search->sample, &rows[n], i_band)) {
            places[n++] = places[i];
        }
    }
    return n;
}

bool sl_text_probe(const sl_text *text, const sluice_sample *sample, sluice_match *match)
{
    if (!has_sketch(sample)) {
        return false;
    }
    close_gaps(text);
    text->counts->probes++;
    text_probe search;
    start(&search, text, sample);
    uint64_t keys[BANDS_MAX];
    make_keys(search.banding, sample->features.sketch, sample->features.profile, keys);
    for (uint32_t i = 0; i < search.banding->n_bands; i++) {
        uint32_t places[SL_TABLE_SLOTS];
        sl_row rows[SL_TABLE_SLOTS];
        uint32_t n_places = sl_table_find(text->index.table, keys[i], places);
        if (n_places == 0) {
            continue;
        }
        n_places = live_rows(&search, i, places, n_places, rows);
        bool hot = n_places == SL_TABLE_SLOTS;
        *text->n_hot += hot;
        uint32_t hits = hot ? 1 : HITS_ENOUGH;
        for (uint32_t j = 0; j < n_places; j++) {
            hit(&search, &rows[j], places[j], hits);
        }
    }
    if (search.best.offset == UINT64_MAX) {
        if (text->containment > 0) {
            sl_contain_probe(&text->index, CONTAIN_AT, &search.horizon, sample, text->containment,
                             match);
        }
        return false;
    }
    *match = (sluice_match){
        .method = SLUICE_METHOD_TEXT,
        .similarity = sl_agreement_weighted_similarity(search.best_score, search.all),
        .differs = sl_trace_compare(search.best.payload + TRACE_AT, sample->features.trace),
        .of_offset = search.best.offset,
        .of_id = search.best.id,
        .of_source = search.best.source};
    return true;
}

bool sl_text_compare(const sl_text *text, const sluice_sample *sample, const sl_row *row,
                     float *similarity)
{
    text_probe search;
    start(&search, text, sample);
    uint32_t score = score_of(&search, row);
    *similarity = score > 0 ? sl_agreement_weighted_similarity(score, search.all) : 0;
    return profile_of(row) == sample->features.profile && score > 0 && !is_other(&search, row);
}

/* Entries that the keys of a row to come will push out of full buckets although their row is still
 * remembered. A slot may be older than the row that lies at its place now: only one that has the
 * entry's key counts. */
static void count_overflows(const sl_text *text, uint32_t i_profile, const uint8_t *sketch)
{
    uint64_t keys[BANDS_MAX], theirs[BANDS_MAX];
    make_keys(&text->bandings[i_profile], sketch, i_profile, keys);
    for (uint32_t i = 0; i < text->bandings[i_profile].n_bands; i++) {
        sl_row row;
        sl_table_entry last = sl_table_last(text->index.table, keys[i]);
        text->counts->buckets_checked++;
        if (!last.used || !sl_rows_at(text->index.rows, last.place, &row)) {
            continue;
        }
        const band_settings *banding = &text->bandings[profile_of(&row)];
        make_keys(banding, row.payload, profile_of(&row), theirs);
        bool remembered = false;
        for (uint32_t j = 0; j < banding->n_bands; j++) {
            remembered |= sl_table_same(text->index.table, keys[i], last, theirs[j]);
        }
        text->counts->buckets_overflowed += remembered;
    }
}

void sl_text_insert(sl_text *text, const sluice_sample *sample)
{
    if (!has_sketch(sample)) {
        return;
    }
    close_gaps(text);
    const sluice_features *features = &sample->features;
    bool has_normal = (features->has & SLUICE_HAS_NORMAL) != 0;
    uint8_t payload[PAYLOAD_MOST];
    memcpy(payload, features->sketch, SLUICE_SKETCH_COORDINATES);
    memcpy(payload + SLUICE_SKETCH_COORDINATES, &features->normal_hash[0], NORMAL_BYTES);
    memcpy(payload + TRACE_AT, features->trace, SLUICE_TRACE_BYTES);
    sl_contain_write(features, payload + CONTAIN_AT);
    sl_row row = {.offset = sample->offset,
                  .arrived_us = sample->arrived_us,
                  .i_producer = sample->i_producer,
                  .kind = (uint8_t)(features->profile | (has_normal ? HAS_NORMAL : 0)),
                  .payload = payload,
                  .id = sample->id,
                  .source = sample->source};
    uint32_t place = sl_rows_append(text->index.rows, &row);
    if (sl_recall_watches(text->seed, sample->offset)) {
        count_overflows(text, features->profile, features->sketch);
    }
    sl_weights *weights = text->weights[features->profile];
    if (weights != NULL) {
        sl_weights_add(weights, sample->offset, features->sketch);
        uint64_t *from = sl_weights_from(weights);
        *from = sample->offset < *from ? sample->offset : *from;
    }
    enter(text, features->profile, payload, place);
}

void sl_text_evict(sl_text *text, uint64_t below_offset)
{
    close_gaps(text);
    sl_rows_evict(text->index.rows, below_offset);
}

bool sl_text_forget(sl_text *text, uint64_t offset)
{
    return sl_index_erase(&text->index, offset);
}

uint64_t sl_text_hot_bands(const sl_text *text)
{
    return *text->n_hot;
}

const sl_index *sl_text_index(const sl_text *text)
{
    return &text->index;
}

const sl_probe_counts *sl_text_counts(const sl_text *text)
{
    return text->counts;
}

bool sl_text_validate(const sl_text *text, const char **reason)
{
    return sl_index_validate(&text->index, reason);
}
