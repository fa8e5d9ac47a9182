/* named_sets.c - reference sets that came as samples, until encoders come that they fit.
 *
 *   samples of a file --> rows as they came --> every encoder of their shape
 *                                               (and of their name, if they have one)
 *
 * Why kept as they came: a second encoder version may begin months later, and gets its own copy. */
#include "influence/encoders.h"
#include "bytes.h"

#include <stdlib.h>
#include <string.h>

void sl_encoder_give_references(const sl_influence *influence, sl_encoder *to)
{
    for (uint32_t r = 0; r < influence->settings.n_references; r++) {
        const sl_loose_reference *from = &influence->loose[r];
        sl_reference *reference = &to->estimator->reference[r];
        sluice_span name = {from->encoder, from->encoder_size};
        bool fits = from->n > 0 && from->n_views == to->n_views && from->dim == to->dim &&
                    from->dim_in == to->dim_in && (name.size == 0 || sl_encoder_has_name(to, name));
        if (!fits || reference->n_wanted > 0) {
            continue;
        }
        sluice_status status = sl_reference_open(&to->estimator->shape, from->n, reference);
        SLUICE_ASSERT(status == SLUICE_OK); /* no memory: as above */
        for (uint32_t i = 0; i < from->n; i++) {
            const size_t at = (size_t)i * from->n_views;
            const sluice_views views = {
                .n_views = from->n_views,
                .dim = from->dim,
                .dim_in = from->dim_in,
                .rows = (const float *)(const void *)from->rows.data + at * from->dim,
                .inputs = from->dim_in > 0
                              ? (const float *)(const void *)from->inputs.data + at * from->dim_in
                              : NULL};
            const sluice_views shorter = sl_encoder_views(to, &views);
            sl_reference_add(&to->estimator->shape, reference, &shorter);
        }
    }
}

/* One more sample of a set; BADSAMPLE: it is not like those before it. */
static sluice_status add_sample(sl_loose_reference *to, const sluice_sample *sample)
{
    const sluice_views *views = &sample->views;
    if (to->n == SLUICE_LIMIT_REFERENCE) {
        return SLUICE_E_CONFIG;
    }
    if (views->n_views < 2 ||
        (to->n > 0 &&
         (views->n_views != to->n_views || views->dim != to->dim || views->dim_in != to->dim_in))) {
        return SLUICE_E_BADSAMPLE;
    }
    if (to->n > 0 && views->builtin &&
        !sl_span_equal((sluice_span){to->encoder, to->encoder_size}, sample->encoder)) {
        return SLUICE_E_BADSAMPLE; /* texts and images in one set have the same shape */
    }
    if (to->n == 0) {
        to->n_views = views->n_views;
        to->dim = views->dim;
        to->dim_in = views->dim_in;
        to->encoder_size = (uint32_t)sample->encoder.size;
        memcpy(to->encoder, sample->encoder.size > 0 ? sample->encoder.data : to->encoder,
               sample->encoder.size);
    }
    SLUICE_TRY(
        sl_bytes_append(&to->rows, views->rows, sizeof(float) * views->n_views * views->dim));
    if (views->dim_in > 0) {
        SLUICE_TRY(sl_bytes_append(&to->inputs, views->inputs,
                                   sizeof(float) * views->n_views * views->dim_in));
    }
    to->n++;
    return SLUICE_OK;
}

sluice_status sl_influence_reference_add(sl_influence *influence, const char *name,
                                         const sluice_sample *sample)
{
    for (uint32_t r = 0; r < influence->settings.n_references; r++) {
        if (strcmp(influence->settings.reference[r].name, name) == 0) {
            return add_sample(&influence->loose[r], sample);
        }
    }
    return SLUICE_E_CONFIG;
}

/* --- added and removed while running --- */

static bool is_name(const char *name)
{
    const size_t size = strlen(name);
    return size > 0 && size < sizeof((sluice_reference *)NULL)->name &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == size;
}

static uint32_t slot_of(const sl_influence *influence, const char *name)
{
    for (uint32_t r = 0; r < influence->settings.n_references; r++) {
        if (strcmp(influence->settings.reference[r].name, name) == 0) {
            return r;
        }
    }
    return SLUICE_LIMIT_REFERENCES;
}

static uint32_t free_slot(const sl_influence *influence)
{
    uint32_t r = 0;
    while (r < influence->settings.n_references &&
           influence->settings.reference[r].name[0] != '\0') {
        r++;
    }
    return r;
}

static void free_rows(sl_loose_reference *set)
{
    sl_bytes_fini(&set->rows);
    sl_bytes_fini(&set->inputs);
    *set = (sl_loose_reference){.n = 0};
}

static void clear_slot(sl_influence *influence, uint32_t r)
{
    free_rows(&influence->loose[r]);
    influence->added[r] = false;
    influence->settings.reference[r] = (sluice_reference){.samples = 0};
}

static bool equal_bytes(const sluice_bytes *a, const sluice_bytes *b)
{
    return a->size == b->size && (a->size == 0 || memcmp(a->data, b->data, a->size) == 0);
}

static bool is_same(const sl_loose_reference *a, const sl_loose_reference *b)
{
    return a->n == b->n && a->n_views == b->n_views && a->dim == b->dim && a->dim_in == b->dim_in &&
           equal_bytes(&a->rows, &b->rows) && equal_bytes(&a->inputs, &b->inputs);
}

/* Gives a set its slot; *made is empty then. */
static sluice_status take_slot(sl_influence *influence, const char *name, sl_loose_reference *made)
{
    const uint32_t r = free_slot(influence);
    if (r == SLUICE_LIMIT_REFERENCES) {
        return SLUICE_E_TOOBIG;
    }
    sluice_reference *added = &influence->settings.reference[r];
    clear_slot(influence, r);
    memcpy(added->name, name, strlen(name) + 1);
    added->path[0] = '-'; /* not the samples of a source */
    influence->added[r] = true;
    influence->loose[r] = *made;
    *made = (sl_loose_reference){.n = 0};
    if (r >= influence->settings.n_references) {
        influence->settings.n_references = r + 1;
    }
    for (uint32_t i = 0; i < SLUICE_LIMIT_ENCODERS; i++) {
        if (influence->encoder[i].estimator != NULL) {
            sl_encoder_give_references(influence, &influence->encoder[i]);
        }
    }
    return SLUICE_OK;
}

/* Made beside the slots: that a set is there already is known also when no slot is free. */
sluice_status sl_influence_set_add(sl_influence *influence, const char *name,
                                   const sluice_sample *sample, uint32_t n)
{
    const uint32_t known = slot_of(influence, name);
    if (!influence->on || !is_name(name) || n == 0) {
        return SLUICE_E_CONFIG;
    }
    if (known < SLUICE_LIMIT_REFERENCES && !influence->added[known]) {
        return SLUICE_E_CLOSED;
    }
    sl_loose_reference made = {.n = 0};
    sluice_status status = SLUICE_OK;
    for (uint32_t i = 0; i < n && status == SLUICE_OK; i++) {
        status = add_sample(&made, &sample[i]);
    }
    if (status == SLUICE_OK && known < SLUICE_LIMIT_REFERENCES) {
        /* Asked for a second time, as an answer that was lost makes a client do. */
        status = is_same(&influence->loose[known], &made) ? SLUICE_OK : SLUICE_E_CLOSED;
    } else if (status == SLUICE_OK) {
        status = take_slot(influence, name, &made);
    }
    free_rows(&made);
    return status;
}

sluice_status sl_influence_set_remove(sl_influence *influence, const char *name)
{
    const uint32_t r = slot_of(influence, name);
    if (!is_name(name) || r == SLUICE_LIMIT_REFERENCES) {
        return SLUICE_E_CONFIG;
    }
    for (uint32_t i = 0; i < SLUICE_LIMIT_ENCODERS; i++) {
        if (influence->encoder[i].estimator != NULL) {
            sl_estimator_drop_reference(influence->encoder[i].estimator, r);
        }
    }
    clear_slot(influence, r);
    return SLUICE_OK;
}

uint32_t sl_influence_sets(const sl_influence *influence,
                           sluice_reference_info out[SLUICE_LIMIT_REFERENCES])
{
    uint32_t n = 0;
    for (uint32_t r = 0; r < influence->settings.n_references; r++) {
        const sluice_reference *set = &influence->settings.reference[r];
        if (set->name[0] == '\0') {
            continue;
        }
        sluice_reference_info *info = &out[n++];
        *info = (sluice_reference_info){.samples = influence->loose[r].n,
                                        .wanted = influence->loose[r].n};
        memcpy(info->name, set->name, sizeof info->name);
        info->origin = influence->added[r] ? "added" : set->path[0] != '\0' ? "file" : "source";
        for (uint32_t i = 0; i < SLUICE_LIMIT_ENCODERS && set->path[0] == '\0'; i++) {
            const sl_estimator *estimator = influence->encoder[i].estimator;
            const uint32_t found = estimator != NULL ? estimator->reference[r].n : 0;
            info->samples = found > info->samples ? found : info->samples;
            info->wanted = set->samples;
        }
    }
    return n;
}

/* --- in the checkpoint --- */

enum { SLOT_FREE, SLOT_SOURCE, SLOT_FILE, SLOT_ADDED };

static sluice_status put_text(sluice_bytes *out, const char *text)
{
    SLUICE_TRY(sl_bytes_put_u32(out, (uint32_t)strlen(text)));
    return sl_bytes_append(out, text, strlen(text));
}

static sluice_status save_rows(const sl_loose_reference *set, sluice_bytes *out)
{
    const uint32_t number[] = {set->encoder_size, set->n, set->n_views, set->dim, set->dim_in};
    for (size_t i = 0; i < sizeof number / sizeof *number; i++) {
        SLUICE_TRY(sl_bytes_put_u32(out, number[i]));
    }
    SLUICE_TRY(sl_bytes_append(out, set->encoder, set->encoder_size));
    SLUICE_TRY(sl_bytes_append(out, set->rows.data, set->rows.size));
    return sl_bytes_append(out, set->inputs.data, set->inputs.size);
}

sluice_status sl_named_sets_save(const sl_influence *influence, sluice_bytes *out)
{
    SLUICE_TRY(sl_bytes_put_u32(out, influence->settings.n_references));
    for (uint32_t r = 0; r < influence->settings.n_references; r++) {
        const sluice_reference *set = &influence->settings.reference[r];
        const uint8_t kind = set->name[0] == '\0'   ? SLOT_FREE
                             : influence->added[r]  ? SLOT_ADDED
                             : set->path[0] != '\0' ? SLOT_FILE
                                                    : SLOT_SOURCE;
        SLUICE_TRY(sl_bytes_put_u8(out, kind));
        SLUICE_TRY(put_text(out, set->name));
        SLUICE_TRY(put_text(out, set->source));
        SLUICE_TRY(sl_bytes_put_u32(out, set->samples));
        if (kind == SLOT_ADDED) {
            SLUICE_TRY(save_rows(&influence->loose[r], out));
        }
    }
    return SLUICE_OK;
}

static bool take_text(sl_reader *reader, char *text, size_t room)
{
    const uint32_t size = sl_reader_u32(reader);
    const sluice_span span = sl_reader_span(reader, size);
    if (reader->bad || size >= room) {
        return false;
    }
    memset(text, 0, room);
    if (size > 0) {
        memcpy(text, span.data, size);
    }
    return true;
}

static sluice_status load_rows(sl_reader *reader, sl_loose_reference *set)
{
    set->encoder_size = sl_reader_u32(reader);
    set->n = sl_reader_u32(reader);
    set->n_views = sl_reader_u32(reader);
    set->dim = sl_reader_u32(reader);
    set->dim_in = sl_reader_u32(reader);
    if (reader->bad || set->encoder_size > sizeof set->encoder || set->n < 1 ||
        set->n > SLUICE_LIMIT_REFERENCE || set->n_views < 2 || set->n_views > SLUICE_LIMIT_VIEWS ||
        set->dim < 2 || set->dim > SLUICE_LIMIT_DIMENSION || set->dim_in > SLUICE_LIMIT_DIMENSION) {
        return SLUICE_E_CORRUPT;
    }
    const size_t n_rows = (size_t)set->n * set->n_views;
    const sluice_span name = sl_reader_span(reader, set->encoder_size);
    const sluice_span rows = sl_reader_span(reader, sizeof(float) * n_rows * set->dim);
    const sluice_span inputs = sl_reader_span(reader, sizeof(float) * n_rows * set->dim_in);
    if (reader->bad) {
        return SLUICE_E_CORRUPT;
    }
    memcpy(set->encoder, name.size > 0 ? name.data : set->encoder, name.size);
    SLUICE_TRY(sl_bytes_append(&set->rows, rows.data, rows.size));
    return inputs.size > 0 ? sl_bytes_append(&set->inputs, inputs.data, inputs.size) : SLUICE_OK;
}

/* The rows of a set of the configuration that came from its file, under whatever slot. */
static void move_file_rows(sl_influence *before, sl_influence *influence, uint32_t r)
{
    sluice_reference *set = &influence->settings.reference[r];
    const uint32_t from = slot_of(before, set->name);
    set->path[0] = '-';
    if (from < SLUICE_LIMIT_REFERENCES && !before->added[from]) {
        memcpy(set->path, before->settings.reference[from].path, sizeof set->path);
        influence->loose[r] = before->loose[from];
        before->loose[from] = (sl_loose_reference){.n = 0};
    }
}

static sluice_status load_slot(sl_reader *reader, sl_influence *before, sl_influence *influence,
                               uint32_t r)
{
    sluice_reference *set = &influence->settings.reference[r];
    const uint8_t kind = sl_reader_u8(reader);
    if (!take_text(reader, set->name, sizeof set->name) ||
        !take_text(reader, set->source, sizeof set->source)) {
        return SLUICE_E_CORRUPT;
    }
    set->samples = sl_reader_u32(reader);
    const bool good =
        !reader->bad && kind <= SLOT_ADDED && (kind == SLOT_FREE) == (set->name[0] == '\0') &&
        (kind != SLOT_SOURCE || (set->samples >= 1 && set->samples <= SLUICE_LIMIT_REFERENCE)) &&
        (kind == SLOT_FREE || is_name(set->name));
    if (!good) {
        return SLUICE_E_CORRUPT;
    }
    if (kind == SLOT_FILE) {
        move_file_rows(before, influence, r);
    } else if (kind == SLOT_ADDED) {
        influence->added[r] = true;
        set->path[0] = '-';
        return load_rows(reader, &influence->loose[r]);
    }
    return SLUICE_OK;
}

sluice_status sl_named_sets_load(sl_influence *influence, sl_reader *reader)
{
    sl_influence *before = malloc(sizeof *before);
    if (before == NULL) {
        return SLUICE_E_NOMEM;
    }
    memcpy(before, influence, sizeof *before); /* of which the names and the rows are used */
    memset(influence->loose, 0, sizeof influence->loose);
    for (uint32_t r = 0; r < SLUICE_LIMIT_REFERENCES; r++) {
        clear_slot(influence, r);
    }
    influence->settings.n_references = sl_reader_u32(reader);
    sluice_status status =
        !reader->bad && influence->settings.n_references <= SLUICE_LIMIT_REFERENCES
            ? SLUICE_OK
            : SLUICE_E_CORRUPT;
    influence->settings.n_references = status == SLUICE_OK ? influence->settings.n_references : 0;
    for (uint32_t r = 0; r < influence->settings.n_references && status == SLUICE_OK; r++) {
        status = load_slot(reader, before, influence, r);
    }
    for (uint32_t r = 0; r < SLUICE_LIMIT_REFERENCES; r++) {
        sl_bytes_fini(&before->loose[r].rows);
        sl_bytes_fini(&before->loose[r].inputs);
    }
    free(before);
    return status;
}
