/* duplicate.c - whether a kept sample already represents this one, and which.
 *
 *   probe    sample -> exact --hit--> match (redelivered, or similarity 1)
 *                        | none
 *                        v
 *                       text --hit--> match (estimated Jaccard)
 *                        | none
 *                        v
 *                      image --hit--> match (share of equal signature bits)
 *                        | none
 *                        v
 *                     embedding --hit--> match (cosine)
 *                        | none
 *                        v
 *                       no duplicate
 *   apply    kept or flagged -> a row in every method that the sample has features for
 *
 * Star rule: a sample is compared with kept ones only, and what is dropped leaves nothing behind.
 * So no dropped sample lacks a kept one at or above the threshold, and there are no chains.
 * Why nothing is refreshed: a representative ages by its own place in the log; so what is found
 * depends on the log alone, not on what asked for it, and sharded runs agree.
 * Why one index a method, each with bytes of its own: a flood of one kind cannot evict another. */
#include "duplicate/duplicate.h"
#include "bytes.h"

#include "duplicate/durable.h"
#include "duplicate/embedding.h"
#include "duplicate/exact.h"
#include "duplicate/image.h"
#include "duplicate/recall.h"
#include "duplicate/text.h"

#include <stdlib.h>

struct sl_duplicate {
    sl_exact *exact; /* NULL, like the others: nothing is remembered (duplicate.enabled: false)   */
    sl_text *text;
    sl_image *image;
    sl_embedding *embedding;
    sl_window window;
    sl_recall recall;
    uint64_t memory[SLUICE_N_METHODS]; /* budgets */
    uint64_t next_offset;    /* behind the last sample applied or row read                        */
    int64_t last_arrived_us; /* of it                                                             */
};

sluice_status sl_duplicate_open(const sluice_config *config, sl_duplicate **out,
                                sluice_message *why)
{
    *out = NULL;
    sl_duplicate *duplicate = calloc(1, sizeof *duplicate);
    if (duplicate == NULL) {
        return sluice_fail(why, SLUICE_E_NOMEM, "duplicate: no memory");
    }
    duplicate->window =
        (sl_window){config->duplicate.window_samples, config->duplicate.window_age_us};
    duplicate->last_arrived_us = INT64_MIN;
    duplicate->memory[SLUICE_METHOD_EXACT] = config->duplicate.exact_memory;
    duplicate->memory[SLUICE_METHOD_TEXT] = config->duplicate.text_memory;
    duplicate->memory[SLUICE_METHOD_IMAGE] = config->duplicate.image_memory;
    duplicate->memory[SLUICE_METHOD_EMBEDDING] = config->duplicate.embedding_memory;
    sl_recall_init(&duplicate->recall, config);
    sluice_status status = SLUICE_OK;
    if (config->duplicate.enabled) {
        status = sl_exact_open(config, &duplicate->exact, why);
        status = status != SLUICE_OK ? status : sl_text_open(config, &duplicate->text, why);
        status = status != SLUICE_OK ? status : sl_image_open(config, &duplicate->image, why);
        status =
            status != SLUICE_OK ? status : sl_embedding_open(config, &duplicate->embedding, why);
    }
    if (status != SLUICE_OK) {
        sl_duplicate_close(&duplicate);
        return status;
    }
    *out = duplicate;
    return SLUICE_OK;
}

void sl_duplicate_close(sl_duplicate **duplicate_p)
{
    if (*duplicate_p != NULL) {
        sl_embedding_close(&(*duplicate_p)->embedding);
        sl_image_close(&(*duplicate_p)->image);
        sl_text_close(&(*duplicate_p)->text);
        sl_exact_close(&(*duplicate_p)->exact);
        free(*duplicate_p);
        *duplicate_p = NULL;
    }
}

static bool is_enabled(const sl_duplicate *duplicate)
{
    return duplicate->exact != NULL;
}

void sl_duplicate_prefetch(const sl_duplicate *duplicate, const sluice_sample *sample)
{
    if (is_enabled(duplicate)) {
        sl_exact_prefetch(duplicate->exact, sample);
        sl_text_prefetch(duplicate->text, sample);
    }
}

void sl_duplicate_probe(const sl_duplicate *duplicate, const sluice_sample *sample,
                        sluice_match *match)
{
    *match = (sluice_match){.method = SLUICE_METHOD_NONE};
    if (is_enabled(duplicate)) {
        (void)(sl_exact_probe(duplicate->exact, sample, match) ||
               sl_text_probe(duplicate->text, sample, match) ||
               sl_image_probe(duplicate->image, sample, match) ||
               sl_embedding_probe(duplicate->embedding, sample, match));
    }
}

/* One method's own answer, whatever the others say. */
static bool probe_method(const sl_duplicate *duplicate, sluice_method method,
                         const sluice_sample *sample, sluice_match *match)
{
    switch (method) {
    case SLUICE_METHOD_TEXT:
        return sl_text_probe(duplicate->text, sample, match);
    case SLUICE_METHOD_IMAGE:
        return sl_image_probe(duplicate->image, sample, match);
    case SLUICE_METHOD_EMBEDDING:
        return sl_embedding_probe(duplicate->embedding, sample, match);
    default:
        return false;
    }
}

uint32_t sl_duplicate_also(const sl_duplicate *duplicate, const sluice_sample *sample,
                           const sluice_match *match, sluice_finding *also)
{
    uint32_t n = 0;
    for (int i = (int)match->method + 1; is_enabled(duplicate) && i < SLUICE_N_METHODS; i++) {
        sluice_match found;
        if (probe_method(duplicate, (sluice_method)i, sample, &found)) {
            SLUICE_ASSERT(n < SLUICE_LIMIT_ALSO);
            also[n++] = (sluice_finding){.method = found.method,
                                         .similarity = found.similarity,
                                         .of_id = found.of_id,
                                         .of_source = found.of_source};
        }
    }
    return n;
}

bool sl_duplicate_redelivers(const sl_duplicate *duplicate, const sluice_sample *sample)
{
    sluice_match match = {.method = SLUICE_METHOD_NONE};
    return is_enabled(duplicate) && sl_exact_probe(duplicate->exact, sample, &match) &&
           match.redelivered;
}

static bool is_remembered(const sluice_sample *sample)
{
    sluice_decision decision = sample->verdict.decision;
    return (decision == SLUICE_KEEP || decision == SLUICE_FLAG) && sample->features.has != 0;
}

static void insert(sl_duplicate *duplicate, const sluice_sample *sample)
{
    sl_exact_insert(duplicate->exact, sample);
    sl_text_insert(duplicate->text, sample);
    sl_image_insert(duplicate->image, sample);
    sl_embedding_insert(duplicate->embedding, sample);
}

static void advance(sl_duplicate *duplicate, const sluice_sample *sample)
{
    duplicate->next_offset = sample->offset + 1;
    duplicate->last_arrived_us = sample->arrived_us;
}

void sl_duplicate_apply(sl_duplicate *duplicate, const sluice_sample *sample)
{
    bool has_place = sample->verdict.decision != SLUICE_REFUSE && !sample->match.redelivered;
    if (!has_place || sample->offset < duplicate->next_offset) {
        return;
    }
    SLUICE_ASSERT(sample->offset != UINT64_MAX);
    if (is_enabled(duplicate)) {
        const sl_recall_methods methods = {duplicate->text, duplicate->image, duplicate->embedding};
        sl_recall_watch(&duplicate->recall, &methods, sample);
    }
    if (is_enabled(duplicate) && is_remembered(sample)) {
        insert(duplicate, sample);
    }
    advance(duplicate, sample);
}

static const sl_rows *rows_of(const sl_duplicate *duplicate, sluice_method method)
{
    switch (method) {
    case SLUICE_METHOD_EXACT:
        return sl_exact_index(duplicate->exact)->rows;
    case SLUICE_METHOD_TEXT:
        return sl_text_index(duplicate->text)->rows;
    case SLUICE_METHOD_IMAGE:
        return sl_image_rows(duplicate->image);
    case SLUICE_METHOD_EMBEDDING:
        return sl_embedding_rows(duplicate->embedding);
    default:
        return NULL;
    }
}

static bool is_among(uint64_t offset, const uint64_t *list, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (list[i] == offset) {
            return true;
        }
    }
    return false;
}

uint32_t sl_duplicate_find_id(const sl_duplicate *duplicate, sluice_span id, uint64_t offset,
                              uint64_t *out, uint32_t max)
{
    uint32_t n = 0;
    for (int method = SLUICE_METHOD_EXACT; method < SLUICE_N_METHODS && is_enabled(duplicate);
         method++) {
        const sl_rows *rows = rows_of(duplicate, (sluice_method)method);
        uint32_t place = rows != NULL ? sl_rows_first(rows) : SL_ROWS_NONE;
        for (; place != SL_ROWS_NONE; place = sl_rows_next_live(rows, place)) {
            sl_row row;
            if (!sl_rows_at(rows, place, &row) || !sl_span_equal(row.id, id) ||
                (offset != UINT64_MAX && row.offset != offset) || is_among(row.offset, out, n)) {
                continue;
            }
            if (n == max) {
                return n + 1;
            }
            out[n++] = row.offset;
        }
    }
    return n;
}

bool sl_duplicate_forget(sl_duplicate *duplicate, uint64_t offset)
{
    if (!is_enabled(duplicate)) {
        return false;
    }
    bool in_exact = sl_exact_forget(duplicate->exact, offset);
    bool in_text = sl_text_forget(duplicate->text, offset);
    bool in_image = sl_image_forget(duplicate->image, offset);
    bool in_embedding = sl_embedding_forget(duplicate->embedding, offset);
    return in_exact || in_text || in_image || in_embedding;
}

void sl_duplicate_touch(sl_duplicate *duplicate)
{
    if (is_enabled(duplicate)) {
        sl_index_touch(sl_exact_index(duplicate->exact));
        sl_index_touch(sl_text_index(duplicate->text));
    }
}

uint64_t sl_duplicate_oldest(const sl_duplicate *duplicate)
{
    if (!is_enabled(duplicate)) {
        return UINT64_MAX;
    }
    sl_horizon horizon =
        sl_window_horizon(&duplicate->window, duplicate->next_offset, duplicate->last_arrived_us);
    const sl_rows *const methods[] = {
        sl_exact_index(duplicate->exact)->rows, sl_text_index(duplicate->text)->rows,
        sl_image_rows(duplicate->image), sl_embedding_rows(duplicate->embedding)};
    uint64_t oldest = UINT64_MAX;
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        uint64_t of_method = sl_rows_oldest(methods[i], &horizon);
        oldest = of_method < oldest ? of_method : oldest;
    }
    return oldest;
}

/* Where all rows are gone, nothing below the end of the log is remembered. */
static uint64_t oldest_row(const sl_duplicate *duplicate, const sl_rows *rows)
{
    sl_row row;
    bool found = sl_rows_at(rows, sl_rows_first(rows), &row);
    return found ? row.offset : duplicate->next_offset;
}

sl_durable_from sl_duplicate_row_from(const sl_duplicate *duplicate)
{
    if (!is_enabled(duplicate)) {
        return (sl_durable_from){0};
    }
    return (sl_durable_from){oldest_row(duplicate, sl_exact_index(duplicate->exact)->rows),
                             oldest_row(duplicate, sl_text_index(duplicate->text)->rows),
                             oldest_row(duplicate, sl_image_rows(duplicate->image)),
                             oldest_row(duplicate, sl_embedding_rows(duplicate->embedding))};
}

sluice_status sl_duplicate_row_write(const sl_duplicate *duplicate, const sl_durable_from *from,
                                     const sluice_sample *sample, sluice_bytes *out)
{
    if (!is_enabled(duplicate) || !is_remembered(sample)) {
        return SLUICE_OK;
    }
    return sl_durable_write(sample, from, out);
}

sluice_status sl_duplicate_row_read(sl_duplicate *duplicate, sluice_span row, uint64_t *offset)
{
    *offset = 0;
    sluice_sample sample;
    sl_durable_from from;
    SLUICE_TRY(sl_durable_read(row, &sample, &from));
    if (sample.offset < duplicate->next_offset) {
        return SLUICE_E_BADSAMPLE; /* out of order */
    }
    if (is_enabled(duplicate)) {
        insert(duplicate, &sample);
        sl_exact_evict(duplicate->exact, from.exact);
        sl_text_evict(duplicate->text, from.text);
        sl_image_evict(duplicate->image, from.image);
        sl_embedding_evict(duplicate->embedding, from.embedding);
    }
    advance(duplicate, &sample);
    *offset = sample.offset;
    return SLUICE_OK;
}

bool sl_duplicate_validate(const sl_duplicate *duplicate, const char **reason)
{
    *reason = NULL;
    return !is_enabled(duplicate) || (sl_exact_validate(duplicate->exact, reason) &&
                                      sl_text_validate(duplicate->text, reason) &&
                                      sl_image_validate(duplicate->image, reason) &&
                                      sl_embedding_validate(duplicate->embedding, reason));
}

static double bytes_a_row(uint64_t memory, uint64_t n_rows)
{
    return n_rows == 0 ? 0 : (double)memory / (double)n_rows;
}

sl_duplicate_plan sl_duplicate_plan_of(const sluice_config *config, uint32_t id_bytes)
{
    if (!config->duplicate.enabled) {
        return (sl_duplicate_plan){0};
    }
    sl_index_options exact = sl_exact_index_options(config);
    sl_index_options text = sl_text_index_options(config);
    uint64_t exact_rows = sl_index_rows_of(&exact, id_bytes);
    uint64_t text_rows = sl_index_rows_of(&text, id_bytes);
    uint64_t image_rows = sl_image_rows_of(config, id_bytes);
    uint64_t embedding_rows = sl_embedding_rows_of(config, SL_DUPLICATE_PLAN_DIM, id_bytes);
    return (sl_duplicate_plan){
        .exact_rows = exact_rows,
        .text_rows = text_rows,
        .image_rows = image_rows,
        .exact_row_bytes = bytes_a_row(config->duplicate.exact_memory, exact_rows),
        .text_row_bytes = bytes_a_row(config->duplicate.text_memory, text_rows),
        .image_row_bytes = bytes_a_row(config->duplicate.image_memory, image_rows),
        .image_threshold = sl_image_threshold(config),
        .image_keyed = sl_image_is_keyed(config),
        .embedding_rows = embedding_rows,
        .embedding_row_bytes = bytes_a_row(config->duplicate.embedding_memory, embedding_rows),
    };
}

sl_duplicate_usage sl_duplicate_usage_of(const sl_duplicate *duplicate, sluice_method method)
{
    if (is_enabled(duplicate) && method == SLUICE_METHOD_EXACT) {
        return sl_index_usage(sl_exact_index(duplicate->exact));
    }
    if (is_enabled(duplicate) && method == SLUICE_METHOD_TEXT) {
        sl_duplicate_usage usage = sl_index_usage(sl_text_index(duplicate->text));
        usage.hot_bands = sl_text_hot_bands(duplicate->text);
        return usage;
    }
    if (is_enabled(duplicate) && method == SLUICE_METHOD_IMAGE) {
        return sl_image_usage(duplicate->image);
    }
    if (is_enabled(duplicate) && method == SLUICE_METHOD_EMBEDDING) {
        return sl_embedding_usage(duplicate->embedding);
    }
    return (sl_duplicate_usage){0};
}

static const sl_probe_counts *counts_of(const sl_duplicate *duplicate, sluice_method method)
{
    switch (method) {
    case SLUICE_METHOD_EXACT:
        return sl_exact_counts(duplicate->exact);
    case SLUICE_METHOD_TEXT:
        return sl_text_counts(duplicate->text);
    case SLUICE_METHOD_IMAGE:
        return sl_image_counts(duplicate->image);
    default:
        return sl_embedding_counts(duplicate->embedding);
    }
}

static void count_method(const sl_duplicate *duplicate, sluice_method method,
                         sluice_method_counters *out)
{
    const sl_rows *rows = rows_of(duplicate, method);
    const sl_probe_counts *counts = counts_of(duplicate, method);
    sl_duplicate_usage usage = sl_duplicate_usage_of(duplicate, method);
    sl_horizon horizon =
        sl_window_horizon(&duplicate->window, duplicate->next_offset, duplicate->last_arrived_us);
    sl_row oldest = {.offset = duplicate->next_offset};
    (void)sl_rows_at(rows, sl_rows_lower(rows, horizon.offset, horizon.arrived_us), &oldest);
    *out = (sluice_method_counters){.memory_bytes = duplicate->memory[method],
                                    .rows = usage.rows,
                                    .rows_max = usage.rows_max,
                                    .bytes = usage.bytes,
                                    .bytes_max = usage.bytes_max,
                                    .evicted = usage.evicted,
                                    .oldest_offset = oldest.offset,
                                    .oldest_arrived_us = oldest.arrived_us,
                                    .probes = counts->probes,
                                    .candidates = counts->candidates,
                                    .verified = counts->verified,
                                    .rejected = counts->candidates - counts->verified,
                                    .buckets_checked = counts->buckets_checked,
                                    .buckets_overflowed = counts->buckets_overflowed,
                                    .hot_bands = usage.hot_bands};
    sl_recall_count(&duplicate->recall, method, out);
}

void sl_duplicate_counters(const sl_duplicate *duplicate, sluice_counters *out)
{
    *out = (sluice_counters){.next_offset = duplicate->next_offset};
    for (int i = SLUICE_METHOD_EXACT; i < SLUICE_N_METHODS && is_enabled(duplicate); i++) {
        if (rows_of(duplicate, (sluice_method)i) != NULL) {
            count_method(duplicate, (sluice_method)i, &out->method[i]);
        }
    }
}
