/* image.c - finds kept images that look nearly the same.
 *
 *   signature 495 bits
 *      |  at most 29 may differ        |  more may
 *      v                               v
 *   keys of 10 groups of symbols    scan: at most R of the first 192 bits differ
 *      |                               |
 *      +-----------> places of rows <--+
 *                           |            the row's signature: equal bits / 495 >= threshold
 *                           v            the row's colours: alike
 *                      highest similarity, then smallest offset
 *
 *   payload of a row  | signature 64 | colours 32 |
 *   memory            | table: 80 bytes a row, or scan: 28 | rows: the rest |
 *
 * Why two ways: keys reach 29 bits without a gap (signature.c) and cost the same whatever is
 * remembered: some 1,500 lines of a table for what is new, a dozen for a copy. Beyond, where
 * images that are only alike lie, they would need so many looks that a scan is cheaper.
 * Why R and not the threshold's share of the prefix: the first 99 bits are signs, which differ more
 * often than the outer levels, and a prefix is a sample: R lies 2.5 deviations above the mean, so
 * that of duplicates right at the threshold, where an index misses first, 997 in 1,000 are found
 * (tests/bench). More would let through so many rows that reading them costs more than the scan.
 * Why a row's key is computed again: only then is what is found a function of the live rows
 * (table.c). A bucket keeps its newest ten, so of a thousand pictures that share a group the oldest
 * may be missed in that group; a copy shares several.
 * Why turns are probed and not remembered: eight rows an image would cost eight times the memory.
 * Why colours: a signature is grey, and a shirt in red and the same in blue are two products. */
#include "duplicate/image.h"

#include "duplicate/index.h"
#include "duplicate/scan.h"
#include "duplicate/signature.h"
#include "features/image_hash.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PAYLOAD_BYTES  (SLUICE_IMAGE_BYTES + SLUICE_IMAGE_COLOURS)
#define NAME_BYTES     2 /* of the shortest row                                                 */
#define SOURCE_BYTES   8 /* a plan reckons with                                                 */
#define PAGES_BYTES    ((uint64_t)2 * 4096 + 128) /* what the allocator may add to two of its own */
#define SMALL_BYTES    ((uint64_t)256 << 10)      /* below, only tests care                       */
#define COLOUR_RMS_MAX 24
#define COLOUR_GREY    1 /* chroma of a picture in grey, at most                                */
#define ROWS_AHEAD     8 /* between prefetch and comparison                                     */

_Static_assert(PAYLOAD_BYTES % SL_ROWS_UNIT == 0, "rows are in units");

static const double profile_thresholds[SLUICE_N_IMAGE_PROFILES] = {
    [SLUICE_IMAGE_COPIES] = 0.94, [SLUICE_IMAGE_ALIKE] = 0.785};

struct sl_image {
    sl_index index; /* its table is NULL where the scan is not */
    sl_scan *scan;
    sl_window window;
    uint32_t n_turns;                    /* 1, or all eight                        */
    uint32_t n_different;                /* bits of a duplicate, at most           */
    uint32_t radius;                     /* bits of the scan's prefix that may differ */
    sl_probe_counts own_counts, *counts; /* a probe counts and changes nothing else */
};

/* ---- sizes ----------------------------------------------------------------------------------- */

static uint64_t memory_of(const sluice_config *config)
{
    uint64_t memory = config->duplicate.image_memory;
    return memory > sizeof(sl_image) ? memory - sizeof(sl_image) : 0;
}

static uint64_t scan_memory_of(const sluice_config *config)
{
    uint64_t memory = memory_of(config), pages = memory >= SMALL_BYTES ? PAGES_BYTES : 0;
    return memory > pages ? memory - pages : 0;
}

/* Rows of the shortest names that fit: what the scan must hold. */
static uint32_t most_rows(const sluice_config *config)
{
    double row = (double)sl_rows_row_bytes(PAYLOAD_BYTES, NAME_BYTES) * 65 / 64;
    double n = (double)scan_memory_of(config) / (row + (double)SL_SCAN_ROW_BYTES);
    return n >= UINT32_MAX ? UINT32_MAX : n < 1 ? 1 : (uint32_t)n;
}

static sl_rows_options scan_rows_options(const sluice_config *config)
{
    uint64_t memory = scan_memory_of(config), scan = sl_scan_bytes(most_rows(config));
    return (sl_rows_options){.memory_bytes = (size_t)(memory > scan ? memory - scan : 0),
                             .payload_bytes = PAYLOAD_BYTES};
}

static sl_index_options keyed_options(const sluice_config *config)
{
    return (sl_index_options){.memory_bytes = memory_of(config),
                              .payload_bytes = PAYLOAD_BYTES,
                              .n_keys = SL_SIGNATURE_GROUPS};
}

double sl_image_threshold(const sluice_config *config)
{
    double threshold = config->duplicate.image_threshold;
    return threshold > 0 ? threshold : profile_thresholds[config->duplicate.image_profile];
}

static uint32_t bits_different(const sluice_config *config)
{
    double threshold = sl_image_threshold(config);
    return SLUICE_IMAGE_BITS - (uint32_t)ceil(threshold * SLUICE_IMAGE_BITS - 1e-9);
}

bool sl_image_is_keyed(const sluice_config *config)
{
    return bits_different(config) < SL_SIGNATURE_STEPS;
}

uint64_t sl_image_rows_of(const sluice_config *config, uint32_t id_bytes)
{
    if (sl_image_is_keyed(config)) {
        sl_index_options options = keyed_options(config);
        return sl_index_rows_of(&options, id_bytes);
    }
    sl_rows_options options = scan_rows_options(config);
    uint64_t n =
        sl_rows_capacity_of(&options) / sl_rows_row_bytes(PAYLOAD_BYTES, id_bytes + SOURCE_BYTES);
    return n < most_rows(config) ? n : most_rows(config);
}

static uint32_t radius_of(double threshold)
{
    double mean = (1 - threshold) * 64 * SL_SCAN_WORDS;
    return (uint32_t)(mean + 2.5 * sqrt(mean) + 2);
}

static sluice_status open_scan(sl_image *image, const sluice_config *config, sluice_message *why)
{
    unsigned long long memory = config->duplicate.image_memory;
    image->index.rows_options = scan_rows_options(config);
    if (sl_rows_capacity_of(&image->index.rows_options) == 0) {
        return sluice_fail(why, SLUICE_E_CONFIG,
                           "duplicate.image.memory: %llu bytes hold no row of the longest kind; "
                           "give 16KiB or more",
                           memory);
    }
    sluice_status status = sl_rows_open(&image->index.rows_options, &image->index.rows);
    status = status == SLUICE_OK ? sl_scan_open(most_rows(config), &image->scan) : status;
    return status == SLUICE_OK
               ? status
               : sluice_fail(why, status, "duplicate.image.memory: cannot reserve %llu bytes",
                             memory);
}

sluice_status sl_image_open(const sluice_config *config, sl_image **out, sluice_message *why)
{
    *out = NULL;
    sl_image *image = calloc(1, sizeof *image);
    if (image == NULL) {
        return sluice_fail(why, SLUICE_E_NOMEM, "duplicate.image: no memory");
    }
    image->counts = &image->own_counts;
    image->n_different = bits_different(config);
    image->radius = radius_of(sl_image_threshold(config));
    image->n_turns = config->duplicate.image_turns ? SL_RASTER_TURNS : 1;
    image->window = (sl_window){config->duplicate.window_samples, config->duplicate.window_age_us};
    sl_index_options options = keyed_options(config);
    sluice_status status = sl_image_is_keyed(config) ? sl_index_init(&image->index, &options,
                                                                     "duplicate.image.memory", why)
                                                     : open_scan(image, config, why);
    if (status != SLUICE_OK) {
        sl_image_close(&image);
        return status;
    }
    *out = image;
    return SLUICE_OK;
}

void sl_image_close(sl_image **image_p)
{
    if (*image_p != NULL) {
        sl_scan_close(&(*image_p)->scan);
        sl_index_fini(&(*image_p)->index);
        free(*image_p);
        *image_p = NULL;
    }
}

/* ---- one pair -------------------------------------------------------------------------------- */

static uint32_t different_bits(const uint8_t *a, const uint8_t *b)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < SLUICE_IMAGE_BYTES; i += 8) {
        uint64_t left, right;
        memcpy(&left, a + i, 8);
        memcpy(&right, b + i, 8);
        n += (uint32_t)__builtin_popcountll(left ^ right);
    }
    return n;
}

static bool is_grey(const int8_t *colours)
{
    bool grey = true;
    for (uint32_t i = 0; i < SLUICE_IMAGE_COLOURS; i++) {
        grey = grey && colours[i] <= COLOUR_GREY && colours[i] >= -COLOUR_GREY;
    }
    return grey;
}

bool sl_image_colours_alike(const int8_t *a, const int8_t *b)
{
    int32_t sum = 0;
    for (uint32_t i = 0; i < SLUICE_IMAGE_COLOURS; i++) {
        int32_t difference = a[i] - b[i];
        sum += difference * difference;
    }
    return sum <= COLOUR_RMS_MAX * COLOUR_RMS_MAX * SLUICE_IMAGE_COLOURS || is_grey(a) ||
           is_grey(b);
}

/* ---- rows ------------------------------------------------------------------------------------ */

static bool has_signature(const sluice_sample *sample)
{
    return (sample->features.has & SLUICE_HAS_IMAGE) != 0;
}

/* Makes a row findable. */
static void enter(const sl_image *image, const uint8_t *signature, uint32_t place)
{
    if (image->scan != NULL) {
        sl_scan_append(image->scan, signature, place);
        return;
    }
    uint8_t symbols[SL_SIGNATURE_SYMBOLS];
    sl_signature_symbols(signature, symbols);
    for (uint32_t i = 0; i < SL_SIGNATURE_GROUPS; i++) {
        sl_table_insert(image->index.table, sl_signature_key(symbols, i), place);
    }
}

/* A forgotten row leaves a gap; closing it moves rows, so what finds them is filled again. */
static void close_gaps(const sl_image *image)
{
    sl_rows *rows = image->index.rows;
    if (!sl_rows_has_gaps(rows)) {
        return;
    }
    sl_rows_compact(rows);
    if (image->scan != NULL) {
        sl_scan_clear(image->scan);
    } else {
        sl_table_clear(image->index.table);
    }
    sl_row row;
    for (uint32_t place = sl_rows_first(rows); sl_rows_at(rows, place, &row);
         place = sl_rows_next(rows, place)) {
        enter(image, row.payload, place);
    }
}

/* ---- what a search knows --------------------------------------------------------------------- */

typedef struct image_search {
    const sl_image *image;
    sl_horizon horizon;
    uint8_t signature[SLUICE_IMAGE_BYTES]; /* of the sample, turned */
    int8_t colours[SLUICE_IMAGE_COLOURS];
    sl_row best;
    uint32_t n_different; /* of the best; what is allowed while there is none */
    bool found;
} image_search;

/* True if the row is the best so far. */
static bool is_better(const image_search *search, const sl_row *row, uint32_t n_different)
{
    bool nearer = search->found
                      ? n_different < search->n_different || (n_different == search->n_different &&
                                                              row->offset < search->best.offset)
                      : n_different <= search->n_different;
    return nearer && sl_horizon_shows(&search->horizon, row) &&
           sl_image_colours_alike((const int8_t *)row->payload + SLUICE_IMAGE_BYTES,
                                  search->colours);
}

static void take(image_search *search, const sl_row *row, uint32_t n_different)
{
    search->image->counts->verified++;
    search->best = *row;
    search->n_different = n_different;
    search->found = true;
}

/* ---- by keys --------------------------------------------------------------------------------- */

typedef struct key_step {
    uint64_t keys[SL_SIGNATURE_KEYS];
    uint32_t n, i_group;
} key_step;

static void prepare(const sl_image *image, const uint8_t *symbols, uint32_t i_step, key_step *step)
{
    step->n = 0;
    if (i_step < SL_SIGNATURE_STEPS) {
        step->i_group = i_step % SL_SIGNATURE_GROUPS;
        step->n = sl_signature_step(symbols, i_step, step->keys);
    }
    for (uint32_t k = 0; k < step->n; k++) {
        sl_table_prefetch(image->index.table, step->keys[k]);
    }
}

static void consider_keyed(image_search *search, uint32_t place, uint64_t key, uint32_t i_group)
{
    sl_row row;
    if (!sl_rows_at(search->image->index.rows, place, &row)) {
        return;
    }
    search->image->counts->candidates++;
    uint32_t n_different = different_bits(row.payload, search->signature);
    if (!is_better(search, &row, n_different)) {
        return;
    }
    uint8_t symbols[SL_SIGNATURE_SYMBOLS];
    sl_signature_symbols(row.payload, symbols);
    if (sl_signature_key(symbols, i_group) == key) {
        take(search, &row, n_different);
    }
}

static void look_up(image_search *search, const key_step *step)
{
    const sl_image *image = search->image;
    uint32_t places[SL_SIGNATURE_KEYS * SL_TABLE_SLOTS], n = 0;
    uint8_t of_key[SL_SIGNATURE_KEYS * SL_TABLE_SLOTS];
    for (uint32_t k = 0; k < step->n; k++) {
        uint32_t n_here = sl_table_find(image->index.table, step->keys[k], places + n);
        for (uint32_t i = 0; i < n_here; i++) {
            sl_rows_prefetch(image->index.rows, places[n]);
            of_key[n++] = (uint8_t)k;
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        consider_keyed(search, places[i], step->keys[of_key[i]], step->i_group);
    }
}

/* The next step's lines are on their way while this one's are read. */
static void search_keys(image_search *search)
{
    uint8_t symbols[SL_SIGNATURE_SYMBOLS];
    sl_signature_symbols(search->signature, symbols);
    key_step steps[2];
    prepare(search->image, symbols, 0, &steps[0]);
    for (uint32_t i = 0; i <= search->n_different; i++) {
        prepare(search->image, symbols, i + 1, &steps[(i + 1) % 2]);
        look_up(search, &steps[i % 2]);
    }
}

/* ---- by a scan ------------------------------------------------------------------------------- */

/* What differs more in the prefix alone cannot be better. */
static uint32_t radius_of_search(const image_search *search)
{
    uint32_t radius = search->image->radius;
    return search->n_different < radius ? search->n_different : radius;
}

static void search_scan(image_search *search)
{
    const sl_image *image = search->image;
    uint32_t n_rows = (uint32_t)sl_rows_count(image->index.rows);
    uint32_t places[SL_SCAN_CHUNK];
    for (uint32_t i = 0; i < n_rows; i += SL_SCAN_CHUNK) {
        uint32_t n = sl_scan_find(image->scan, search->signature, SL_SCAN_WORDS,
                                  radius_of_search(search), n_rows, i, places);
        for (uint32_t k = 0; k < n; k++) {
            if (k + ROWS_AHEAD < n) {
                sl_rows_prefetch(image->index.rows, places[k + ROWS_AHEAD]);
            }
            sl_row row;
            if (sl_rows_at(image->index.rows, places[k], &row)) {
                image->counts->candidates++;
                uint32_t n_different = different_bits(row.payload, search->signature);
                if (is_better(search, &row, n_different)) {
                    take(search, &row, n_different);
                }
            }
        }
        if (search->found && search->n_different == 0) {
            return; /* rows come oldest first */
        }
    }
}

/* ---- a sample -------------------------------------------------------------------------------- */

bool sl_image_probe(const sl_image *image, const sluice_sample *sample, sluice_match *match)
{
    if (!has_signature(sample)) {
        return false;
    }
    close_gaps(image);
    image->counts->probes++;
    image_search search = {
        .image = image,
        .horizon = sl_window_horizon(&image->window, sample->offset, sample->arrived_us),
        .n_different = image->n_different};
    for (uint32_t turn = 0; turn < image->n_turns; turn++) {
        sl_image_turn(sample->features.image_signature, sample->features.image_colours, turn,
                      search.signature, search.colours);
        if (image->scan != NULL) {
            search_scan(&search);
        } else {
            search_keys(&search);
        }
    }
    if (!search.found) {
        return false;
    }
    *match = (sluice_match){.method = SLUICE_METHOD_IMAGE,
                            .similarity =
                                (float)(SLUICE_IMAGE_BITS - search.n_different) / SLUICE_IMAGE_BITS,
                            .of_offset = search.best.offset,
                            .of_id = search.best.id,
                            .of_source = search.best.source};
    return true;
}

bool sl_image_compare(const sl_image *image, const sluice_sample *sample, const sl_row *row,
                      float *similarity)
{
    uint32_t least = SLUICE_IMAGE_BITS;
    for (uint32_t turn = 0; turn < image->n_turns; turn++) {
        uint8_t signature[SLUICE_IMAGE_BYTES];
        int8_t colours[SLUICE_IMAGE_COLOURS];
        sl_image_turn(sample->features.image_signature, sample->features.image_colours, turn,
                      signature, colours);
        uint32_t n_different = different_bits(row->payload, signature);
        if (n_different < least &&
            sl_image_colours_alike((const int8_t *)row->payload + SLUICE_IMAGE_BYTES, colours)) {
            least = n_different;
        }
    }
    *similarity = (float)(SLUICE_IMAGE_BITS - least) / SLUICE_IMAGE_BITS;
    return least <= image->n_different;
}

const sl_probe_counts *sl_image_counts(const sl_image *image)
{
    return image->counts;
}

void sl_image_insert(sl_image *image, const sluice_sample *sample)
{
    if (!has_signature(sample)) {
        return;
    }
    close_gaps(image);
    uint8_t payload[PAYLOAD_BYTES];
    memcpy(payload, sample->features.image_signature, SLUICE_IMAGE_BYTES);
    memcpy(payload + SLUICE_IMAGE_BYTES, sample->features.image_colours, SLUICE_IMAGE_COLOURS);
    sl_row row = {.offset = sample->offset,
                  .arrived_us = sample->arrived_us,
                  .i_producer = sample->i_producer,
                  .payload = payload,
                  .id = sample->id,
                  .source = sample->source};
    enter(image, payload, sl_rows_append(image->index.rows, &row));
}

void sl_image_evict(sl_image *image, uint64_t below_offset)
{
    close_gaps(image);
    sl_rows_evict(image->index.rows, below_offset);
}

bool sl_image_forget(sl_image *image, uint64_t offset)
{
    return sl_index_erase(&image->index, offset);
}

const sl_rows *sl_image_rows(const sl_image *image)
{
    return image->index.rows;
}

sl_duplicate_usage sl_image_usage(const sl_image *image)
{
    return sl_index_usage(&image->index);
}

/* The scan holds the newest rows in order: everything in the window is found by its own. */
static bool validate_scan(const sl_image *image, const char **reason)
{
    const sl_rows *rows = image->index.rows;
    uint32_t n_rows = (uint32_t)sl_rows_count(rows), i = 0;
    uint32_t places[SL_SCAN_CHUNK], n = 0, k = 0;
    sl_row row;
    for (uint32_t place = sl_rows_first(rows); sl_rows_at(rows, place, &row);
         place = sl_rows_next(rows, place), k++) {
        if (k == n) {
            n = sl_scan_find(image->scan, row.payload, 1, 64, n_rows, i, places);
            i += n;
            k = 0;
        }
        if (n == 0 || places[k] != place) {
            *reason = "the scan does not follow the rows";
            return false;
        }
    }
    return true;
}

bool sl_image_validate(const sl_image *image, const char **reason)
{
    if (image->scan == NULL) {
        return sl_index_validate(&image->index, reason);
    }
    return sl_rows_validate(image->index.rows, reason) &&
           (sl_rows_has_gaps(image->index.rows) || validate_scan(image, reason));
}
