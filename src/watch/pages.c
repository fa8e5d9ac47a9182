/* pages.c - the JSON documents of the API that are made of samples in the log.
 *
 *   estimator's pairs (offset, of) --+
 *   recent rows, sorted by a score --+--> log at offset --> record, text (4 KiB at most), thumbnail
 *
 * Why read again: rows hold numbers only, so the memory does not depend on what samples hold; the
 * few that are shown are read when they are shown. */
#include "watch/pages.h"
#include "bytes.h"
#include "decode/sample_fields.h"
#include "features/thumbnail.h"
#include "record_json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* --- one sample --- */

/* As the API shows it. */
static const sl_pages_look api_look = {SL_PAGES_TEXT, SL_PAGES_TEXT, false};

static bool begins_character(uint8_t byte)
{
    return (byte & 0xc0) != 0x80;
}

static sluice_span cut_text(sluice_span text, const sl_pages_look *look)
{
    size_t n_characters = 0;
    size_t end = 0; /* of the last character that fits */
    for (size_t i = 0; i < text.size && i <= look->text_bytes; i++) {
        if (begins_character(text.data[i])) {
            end = i;
            if (n_characters++ == look->text_characters) {
                return (sluice_span){text.data, end};
            }
        }
    }
    return text.size <= look->text_bytes ? text : (sluice_span){text.data, end};
}

/* Appends the picture as an address that holds it all. */
static sluice_status put_data_url(sluice_span image, sluice_bytes *out)
{
    static const char head[] = "\"data:image/png;base64,";
    sluice_bytes picture = {0}, encoded = {0};
    sluice_status status = sl_thumbnail_make(image, &picture);
    status = status == SLUICE_OK
                 ? sl_json_put_base64(&encoded, (sluice_span){picture.data, picture.size})
                 : status;
    status = status == SLUICE_OK ? sl_json_put_text(out, head) : status;
    status =
        status == SLUICE_OK ? sl_bytes_append(out, encoded.data + 1, encoded.size - 1) : status;
    sl_bytes_fini(&picture);
    sl_bytes_fini(&encoded);
    return status;
}

/* An address, or all of it; null if no picture can be made of it. */
static void put_picture(sl_object *object, sluice_span image, uint64_t offset, bool inside)
{
    char path[64];
    sluice_bytes url = {0};
    if (inside && put_data_url(image, &url) != SLUICE_OK) {
        sl_bytes_clear(&url);
    }
    if (inside) {
        sl_object_json(object, "thumbnail", (sluice_span){url.data, url.size});
    } else {
        snprintf(path, sizeof path, "/api/v1/thumbnail/%" PRIu64, offset);
        sl_object_text(object, "thumbnail", path);
    }
    sl_bytes_fini(&url);
}

static void put_payload(sl_object *object, const sl_sample_fields *fields, uint64_t offset,
                        const sl_pages_look *look)
{
    sl_object_span(object, "media_type", fields->media_type);
    sl_object_count(object, "bytes", fields->payload.size);
    if (sl_media_type_is_image(fields->media_type)) {
        sl_object_json(object, "text", (sluice_span){0});
        put_picture(object, fields->payload, offset, look->inside);
        return;
    }
    sluice_span text = cut_text(fields->payload, look);
    sl_object_span(object, "text", text);
    sl_object_bool(object, "text_is_cut", text.size < fields->payload.size);
    sl_object_json(object, "thumbnail", (sluice_span){0});
}

void sl_pages_sample(sl_object *object, const char *name, sl_spool *spool, uint64_t offset,
                     const sl_pages_look *look)
{
    sluice_bytes wire = {0}, record = {0};
    sl_sample_fields fields;
    sl_refusal refusal;
    sluice_message why;
    sluice_status status = sl_spool_sample_at(spool, offset, &wire, &why);
    sluice_span span = {wire.data, wire.size};
    if (status == SLUICE_OK && sl_sample_fields_find(span, &fields, &refusal) &&
        sl_record_json_of_wire(span, &record) == SLUICE_OK) {
        sl_object_open(object, name, '{');
        sl_object_count(object, "offset", offset);
        sl_object_json(object, "record", (sluice_span){record.data, record.size});
        put_payload(object, &fields, offset, look);
        sl_object_close(object, '}');
    } else {
        sl_object_json(object, name, (sluice_span){0});
    }
    sl_bytes_fini(&wire);
    sl_bytes_fini(&record);
}

static void put_sample(sl_object *object, const char *name, sl_spool *spool, uint64_t offset)
{
    sl_pages_sample(object, name, spool, offset, &api_look);
}

sluice_status sl_pages_explain(const sl_pages *pages, const char *id, uint64_t offset,
                               sluice_bytes *out)
{
    sluice_bytes wire = {0}, record = {0};
    sl_sample_fields fields = {0};
    sl_refusal refusal;
    sluice_message why;
    sluice_status status = sl_spool_sample_at(pages->view->options.spool, offset, &wire, &why);
    sluice_span span = {wire.data, wire.size};
    if (status == SLUICE_OK && (!sl_sample_fields_find(span, &fields, &refusal) ||
                                !sl_span_equal(fields.id, sl_span_of(id)))) {
        status = SLUICE_E_AGAIN;
    }
    status = status == SLUICE_OK ? sl_record_json_of_wire(span, &record) : status;
    if (status == SLUICE_OK) {
        sl_object object = sl_object_of(out);
        sl_object_open(&object, NULL, '{');
        sl_object_text(&object, "id", id);
        sl_object_bool(&object, "complete", true);
        sl_object_count(&object, "found", 1);
        sl_object_open(&object, "records", '[');
        sl_object_json(&object, NULL, (sluice_span){record.data, record.size});
        sl_object_close(&object, ']');
        put_sample(&object, "sample", pages->view->options.spool, offset);
        sl_object_close(&object, '}');
        status = object.status;
    }
    sl_bytes_fini(&wire);
    sl_bytes_fini(&record);
    return status;
}

/* --- duplicates --- */

sluice_status sl_pages_duplicates(const sl_pages *pages, uint32_t n, sluice_bytes *out)
{
    const sl_tallies *tallies = &pages->view->snapshot->tallies;
    uint64_t known = tallies->n_pairs < SL_PAIRS_MAX ? tallies->n_pairs : SL_PAIRS_MAX;
    sl_object object = sl_object_of(out);
    sl_object_open(&object, NULL, '{');
    sl_object_count(&object, "found_since_start", tallies->n_pairs);
    sl_object_open(&object, "pairs", '[');
    for (uint64_t i = 1; i <= known && n > 0; i++) {
        const sl_pair *pair = &tallies->pair[(tallies->n_pairs - i) % SL_PAIRS_MAX];
        if (pair->offset >= pages->view->extent.next_offset) {
            continue; /* not durable yet */
        }
        sl_object_open(&object, NULL, '{');
        sl_object_text(&object, "method", sl_record_method_name(pair->method));
        sl_object_number(&object, "similarity", (double)pair->similarity);
        put_sample(&object, "sample", pages->view->options.spool, pair->offset);
        put_sample(&object, "of", pages->view->options.spool, pair->of_offset);
        sl_object_close(&object, '}');
        n--;
    }
    sl_object_close(&object, ']');
    sl_object_close(&object, '}');
    return object.status;
}

/* --- top --- */

typedef struct ranked {
    double value;
    uint64_t offset;
} ranked;

typedef enum score { BY_NONE, BY_SELF, BY_LOSS, BY_LEVERAGE, BY_SHIFT, BY_TOWARD } score;

/* Whether the set was ever there: configured, or scored toward. */
static bool is_set(const sl_pages *pages, const char *name)
{
    const sluice_influence_config *influence = &pages->view->options.config->influence;
    for (uint32_t r = 0; r < influence->n_references; r++) {
        if (strcmp(influence->reference[r].name, name) == 0) {
            return true;
        }
    }
    const sluice_portfolio *portfolio = sl_view_portfolio(pages->view);
    uint32_t n = portfolio != NULL ? sluice_portfolio_n_references(portfolio) : 0;
    for (uint32_t r = 0; r < n; r++) {
        if (strcmp(sluice_portfolio_reference(portfolio, r), name) == 0) {
            return true;
        }
    }
    return false;
}

/* *i_set: SLUICE_LIMIT_REFERENCES where no remembered record has a score toward the set. */
static score score_of(const sl_pages *pages, const char *by, uint32_t *i_set)
{
    static const char *const names[] = {NULL, "self", "loss", "leverage", "source_shift"};
    *i_set = SLUICE_LIMIT_REFERENCES;
    for (int i = BY_SELF; i <= BY_SHIFT; i++) {
        if (strcmp(by, names[i]) == 0) {
            return (score)i;
        }
    }
    if (strncmp(by, "toward.", 7) != 0 || by[7] == '\0') {
        return BY_NONE;
    }
    for (uint32_t i = 0; i < SLUICE_LIMIT_REFERENCES; i++) {
        if (strcmp(sl_recent_set(pages->recent, i), by + 7) == 0) {
            *i_set = i;
            return BY_TOWARD;
        }
    }
    return is_set(pages, by + 7) ? BY_TOWARD : BY_NONE;
}

static double value_of(const sl_recent_row *row, score by, uint32_t i_set)
{
    switch (by) {
    case BY_SELF:
        return (double)row->self;
    case BY_LOSS:
        return (double)row->loss;
    case BY_LEVERAGE:
        return (double)row->leverage;
    case BY_SHIFT:
        return (double)row->source_shift;
    case BY_TOWARD:
        return i_set < SLUICE_LIMIT_REFERENCES ? (double)row->toward[i_set] : (double)NAN;
    case BY_NONE:
        break;
    }
    return (double)NAN;
}

/* Largest first; of equals the older one. */
static int compare_ranked(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->value != y->value) {
        return x->value > y->value ? -1 : 1;
    }
    return (x->offset > y->offset) - (x->offset < y->offset);
}

sluice_status sl_pages_top(const sl_pages *pages, const char *by, bool ascending, uint32_t n,
                           sluice_bytes *out)
{
    uint32_t i_set;
    score which = score_of(pages, by, &i_set);
    if (which == BY_NONE) {
        return SLUICE_E_BADSAMPLE;
    }
    ranked row[SL_RECENT_MAX];
    uint32_t n_rows = 0, n_recent = sl_recent_n(pages->recent);
    for (uint32_t i = 0; i < n_recent; i++) {
        const sl_recent_row *recent = sl_recent_row_at(pages->recent, i);
        double value = value_of(recent, which, i_set);
        if (isfinite(value)) {
            row[n_rows++] = (ranked){ascending ? -value : value, recent->offset};
        }
    }
    qsort(row, n_rows, sizeof row[0], compare_ranked);
    sl_object object = sl_object_of(out);
    sl_object_open(&object, NULL, '{');
    sl_object_text(&object, "by", by);
    sl_object_text(&object, "order", ascending ? "asc" : "desc");
    sl_object_count(&object, "window", n_recent);
    sl_object_count(&object, "scored", n_rows);
    sl_object_open(&object, "samples", '[');
    for (uint32_t i = 0; i < n_rows && i < n; i++) {
        sl_object_open(&object, NULL, '{');
        sl_object_number(&object, "value", ascending ? -row[i].value : row[i].value);
        put_sample(&object, "sample", pages->view->options.spool, row[i].offset);
        sl_object_close(&object, '}');
    }
    sl_object_close(&object, ']');
    sl_object_close(&object, '}');
    return object.status;
}

/* --- pictures --- */

sluice_status sl_pages_thumbnail(const sl_pages *pages, uint64_t offset, sluice_bytes *out)
{
    sluice_bytes wire = {0};
    sl_sample_fields fields;
    sl_refusal refusal;
    sluice_message why;
    sluice_status status = sl_spool_sample_at(pages->view->options.spool, offset, &wire, &why);
    sluice_span span = {wire.data, wire.size};
    if (status == SLUICE_OK && sl_sample_fields_find(span, &fields, &refusal) &&
        sl_media_type_is_image(fields.media_type)) {
        status = sl_thumbnail_make(fields.payload, out);
    } else if (status == SLUICE_OK) {
        status = SLUICE_E_BADSAMPLE;
    }
    sl_bytes_fini(&wire);
    return status;
}
