/* image.c - finds kept images that look nearly the same.
 *
 *   signature 495 bits | 192 bits | ...                |
 *                           |            scan: at most R of the first 64 or 192 bits differ
 *                           v
 *                      places of rows
 *                           |            the row's signature: equal bits / 495 >= threshold
 *                           v            the row's colours: alike
 *                      highest similarity, then smallest offset
 *
 *   payload of a row  | signature 64 | colours 32 |
 *   memory            | scan: 28 bytes a row of the shortest kind | rows: the rest |
 *
 * Why R and not the threshold's share of the prefix: the first 99 bits are signs, which differ more
 * often than the outer levels, and a prefix is a sample: R lies 2.5 (of 64 bits: 3.5) deviations
 * above the mean, so that of duplicates right at the threshold, where an index misses first, 997 in
 * 1,000 are found (tests/bench). More would let through so many rows that reading them costs more
 * than the scan; 64 bits do at a high threshold, where they pass one row in 50,000.
 * Why colours: a signature is grey, and a shirt in red and the same in blue are two products. */
#include "image.h"

#include "duplicate/scan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PAYLOAD_BYTES  (SLUICE_IMAGE_BYTES + SLUICE_IMAGE_COLOURS)
#define NAME_BYTES     2 /* of the shortest row                                                 */
#define SOURCE_BYTES   8 /* a plan reckons with                                                 */
#define PAGES_BYTES    ((uint64_t)2 * 4096 + 128) /* what the allocator may add to two of its own */
#define SMALL_BYTES    ((uint64_t)256 << 10)      /* below, only tests care                       */
#define COLOUR_RMS_MAX 24
#define COLOUR_GREY    1    /* chroma of a picture in grey, at most                             */
#define ONE_WORD_SHARE 0.88 /* at or above it, 64 bits tell enough apart                     */
#define ROWS_AHEAD     8    /* between prefetch and comparison                                  */

_Static_assert(PAYLOAD_BYTES % SL_ROWS_UNIT == 0, "rows are in units");

static const double profile_thresholds[SLUICE_N_IMAGE_PROFILES] = {
    [SLUICE_IMAGE_COPIES] = 0.94, [SLUICE_IMAGE_ALIKE] = 0.785};

struct sl_image {
    sl_rows *rows;
    sl_scan *scan;
    sl_rows_options rows_options;
    sl_window window;
    uint32_t n_least;                    /* equal bits of a duplicate              */
    uint32_t n_words;                    /* of the prefix                          */
    uint32_t radius;                     /* bits of the prefix that may differ     */
    sl_probe_counts own_counts, *counts; /* a probe counts and changes nothing else */
};

/* ---- sizes ----------------------------------------------------------------------------------- */

static uint64_t memory_of(const sluice_config *config)
{
    uint64_t memory = config->duplicate.image_memory;
    uint64_t own = sizeof(sl_image) + (memory >= SMALL_BYTES ? PAGES_BYTES : 0);
    return memory > own ? memory - own : 0;
}

/* Rows of the shortest names that fit: what the scan must hold. */
static uint32_t most_rows(const sluice_config *config)
{
    double row = (double)sl_rows_row_bytes(PAYLOAD_BYTES, NAME_BYTES) * 65 / 64;
    double n = (double)memory_of(config) / (row + (double)SL_SCAN_ROW_BYTES);
    return n >= UINT32_MAX ? UINT32_MAX : n < 1 ? 1 : (uint32_t)n;
}

static sl_rows_options rows_options_of(const sluice_config *config)
{
    uint64_t memory = memory_of(config), scan = sl_scan_bytes(most_rows(config));
    return (sl_rows_options){.memory_bytes = (size_t)(memory > scan ? memory - scan : 0),
                             .payload_bytes = PAYLOAD_BYTES};
}

uint64_t sl_image_rows_of(const sluice_config *config, uint32_t id_bytes)
{
    sl_rows_options options = rows_options_of(config);
    uint64_t n =
        sl_rows_capacity_of(&options) / sl_rows_row_bytes(PAYLOAD_BYTES, id_bytes + SOURCE_BYTES);
    return n < most_rows(config) ? n : most_rows(config);
}

double sl_image_threshold(const sluice_config *config)
{
    double threshold = config->duplicate.image_threshold;
    return threshold > 0 ? threshold : profile_thresholds[config->duplicate.image_profile];
}

static uint32_t radius_of(double threshold, uint32_t n_words)
{
    double mean = (1 - threshold) * 64 * n_words;
    double deviations = n_words == 1 ? 3.5 : 2.5;
    return (uint32_t)(mean + deviations * sqrt(mean) + 2);
}

sluice_status sl_image_open(const sluice_config *config, sl_image **out, sluice_message *why)
{
    *out = NULL;
    sl_image *image = calloc(1, sizeof *image);
    if (image == NULL) {
        return sluice_fail(why, SLUICE_E_NOMEM, "duplicate.image: no memory");
    }
    image->counts = &image->own_counts;
    double threshold = sl_image_threshold(config);
    image->n_least = (uint32_t)ceil(threshold * SLUICE_IMAGE_BITS - 1e-9);
    image->n_words = threshold >= ONE_WORD_SHARE ? 1 : SL_SCAN_WORDS;
    image->radius = radius_of(threshold, image->n_words);
    image->window = (sl_window){config->duplicate.window_samples, config->duplicate.window_age_us};
    image->rows_options = rows_options_of(config);
    sluice_status status = SLUICE_OK;
    if (sl_rows_capacity_of(&image->rows_options) == 0) {
        status = sluice_fail(why, SLUICE_E_CONFIG,
                             "duplicate.image.memory: %llu bytes hold no row of the longest kind; "
                             "give 16KiB or more",
                             (unsigned long long)config->duplicate.image_memory);
    } else {
        status = sl_rows_open(&image->rows_options, &image->rows);
        status = status == SLUICE_OK ? sl_scan_open(most_rows(config), &image->scan) : status;
        if (status != SLUICE_OK) {
            status = sluice_fail(why, status, "duplicate.image.memory: cannot reserve %llu bytes",
                                 (unsigned long long)config->duplicate.image_memory);
        }
    }
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
        sl_rows_close(&(*image_p)->rows);
        free(*image_p);
        *image_p = NULL;
    }
}

/* ---- one pair -------------------------------------------------------------------------------- */

static uint32_t equal_bits(const uint8_t *a, const uint8_t *b)
{
    uint32_t n = SLUICE_IMAGE_BITS;
    for (uint32_t i = 0; i < SLUICE_IMAGE_BYTES; i += 8) {
        uint64_t left, right;
        memcpy(&left, a + i, 8);
        memcpy(&right, b + i, 8);
        n -= (uint32_t)__builtin_popcountll(left ^ right);
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

/* A forgotten row leaves a gap; closing it moves rows, so the scan is filled again. */
static void close_gaps(const sl_image *image)
{
    if (!sl_rows_has_gaps(image->rows)) {
        return;
    }
    sl_rows_compact(image->rows);
    sl_scan_clear(image->scan);
    sl_row row;
    for (uint32_t place = sl_rows_first(image->rows); sl_rows_at(image->rows, place, &row);
         place = sl_rows_next(image->rows, place)) {
        sl_scan_append(image->scan, row.payload, place);
    }
}

typedef struct best_match {
    sl_row row;
    uint32_t n_equal; /* n_least - 1 while nothing is found */
    bool found;
} best_match;

/* Candidates come oldest first, so only a higher similarity is better. */
static void consider(const sl_image *image, const sluice_sample *sample, const sl_horizon *horizon,
                     uint32_t place, best_match *best)
{
    sl_row row;
    if (!sl_rows_at(image->rows, place, &row)) {
        return;
    }
    uint32_t n_equal = equal_bits(row.payload, sample->features.image_signature);
    image->counts->candidates++;
    if (n_equal > best->n_equal && sl_horizon_shows(horizon, &row) &&
        sl_image_colours_alike((const int8_t *)row.payload + SLUICE_IMAGE_BYTES,
                               sample->features.image_colours)) {
        *best = (best_match){row, n_equal, true};
        image->counts->verified++;
    }
}

/* Once something is found, what differs more in the prefix alone cannot be better. */
static uint32_t radius_beyond(const sl_image *image, const best_match *best)
{
    uint32_t n_different = SLUICE_IMAGE_BITS - best->n_equal;
    return n_different <= image->radius ? n_different - 1 : image->radius;
}

bool sl_image_probe(const sl_image *image, const sluice_sample *sample, sluice_match *match)
{
    if (!has_signature(sample)) {
        return false;
    }
    close_gaps(image);
    sl_horizon horizon = sl_window_horizon(&image->window, sample->offset, sample->arrived_us);
    uint32_t n_rows = (uint32_t)sl_rows_count(image->rows);
    image->counts->probes++;
    best_match best = {.n_equal = image->n_least - 1};
    uint32_t places[SL_SCAN_CHUNK];
    for (uint32_t i = 0; i < n_rows && best.n_equal < SLUICE_IMAGE_BITS; i += SL_SCAN_CHUNK) {
        uint32_t n = sl_scan_find(image->scan, sample->features.image_signature, image->n_words,
                                  radius_beyond(image, &best), n_rows, i, places);
        for (uint32_t k = 0; k < n; k++) {
            if (k + ROWS_AHEAD < n) {
                sl_rows_prefetch(image->rows, places[k + ROWS_AHEAD]);
            }
            consider(image, sample, &horizon, places[k], &best);
        }
    }
    if (!best.found) {
        return false;
    }
    *match = (sluice_match){.method = SLUICE_METHOD_IMAGE,
                            .similarity = (float)best.n_equal / SLUICE_IMAGE_BITS,
                            .of_offset = best.row.offset,
                            .of_id = best.row.id,
                            .of_source = best.row.source};
    return true;
}

bool sl_image_compare(const sl_image *image, const sluice_sample *sample, const sl_row *row,
                      float *similarity)
{
    uint32_t n_equal = equal_bits(row->payload, sample->features.image_signature);
    *similarity = (float)n_equal / SLUICE_IMAGE_BITS;
    return n_equal >= image->n_least &&
           sl_image_colours_alike((const int8_t *)row->payload + SLUICE_IMAGE_BYTES,
                                  sample->features.image_colours);
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
    uint32_t place = sl_rows_append(image->rows, &row);
    sl_scan_append(image->scan, payload, place);
}

void sl_image_evict(sl_image *image, uint64_t below_offset)
{
    close_gaps(image);
    sl_rows_evict(image->rows, below_offset);
}

bool sl_image_forget(sl_image *image, uint64_t offset)
{
    uint32_t place = sl_rows_find(image->rows, offset);
    if (place == SL_ROWS_NONE) {
        return false;
    }
    sl_rows_erase(image->rows, place);
    return true;
}

const sl_rows *sl_image_rows(const sl_image *image)
{
    return image->rows;
}

sl_duplicate_usage sl_image_usage(const sl_image *image)
{
    uint64_t rows = sl_rows_count(image->rows), bytes = sl_rows_used_bytes(image->rows);
    uint64_t bytes_max = sl_rows_capacity_of(&image->rows_options);
    uint64_t row_bytes =
        rows > 0 ? bytes / rows : sl_rows_row_bytes(PAYLOAD_BYTES, 2 * SOURCE_BYTES + SOURCE_BYTES);
    return (sl_duplicate_usage){.rows = rows,
                                .rows_max = bytes_max / row_bytes,
                                .bytes = bytes,
                                .bytes_max = bytes_max,
                                .evicted = sl_rows_evicted(image->rows)};
}

/* The scan holds the newest rows in order: everything in the window is found by its own. */
bool sl_image_validate(const sl_image *image, const char **reason)
{
    if (!sl_rows_validate(image->rows, reason)) {
        return false;
    }
    if (sl_rows_has_gaps(image->rows)) {
        return true;
    }
    uint32_t n_rows = (uint32_t)sl_rows_count(image->rows), i = 0;
    uint32_t places[SL_SCAN_CHUNK], n = 0, k = 0;
    sl_row row;
    for (uint32_t place = sl_rows_first(image->rows); sl_rows_at(image->rows, place, &row);
         place = sl_rows_next(image->rows, place), k++) {
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
