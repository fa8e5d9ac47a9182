/* checkpoint.c - the states of all encoders as bytes, back, and two of them in one.
 *
 *   | n | n x ( name | K, dimensions | state of the estimator, saved.c ) |
 *
 * A merge loads the other side in full first, so that what is wrong with it changes nothing. */
#include "influence/encoders.h"
#include "bytes.h"

#include <stdlib.h>

static sluice_status save_encoder(const sl_encoder *known, sluice_bytes *out)
{
    SLUICE_TRY(sl_bytes_put_u32(out, known->name_size));
    SLUICE_TRY(sl_bytes_append(out, known->name, known->name_size));
    SLUICE_TRY(sl_bytes_put_u32(out, known->n_views));
    SLUICE_TRY(sl_bytes_put_u32(out, known->dim));
    SLUICE_TRY(sl_bytes_put_u32(out, known->dim_in));
    sluice_bytes state = {0};
    sluice_status status = sl_estimator_save(known->estimator, &state);
    status = status == SLUICE_OK ? sl_bytes_put_u64(out, state.size) : status;
    status = status == SLUICE_OK ? sl_bytes_append(out, state.data, state.size) : status;
    sl_bytes_fini(&state);
    return status;
}

sluice_status sl_influence_save(const sl_influence *influence, sluice_bytes *out)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < SLUICE_LIMIT_ENCODERS; i++) {
        n += influence->encoder[i].estimator != NULL;
    }
    SLUICE_TRY(sl_bytes_put_u32(out, n));
    for (uint32_t i = 0; i < n; i++) { /* they are opened in order and never closed */
        SLUICE_TRY(save_encoder(&influence->encoder[i], out));
    }
    return SLUICE_OK;
}

static sluice_status load_encoder(const sl_influence *influence, sl_reader *reader, sl_encoder *out)
{
    uint32_t name_size = sl_reader_u32(reader);
    sluice_span name = sl_reader_span(reader, name_size);
    uint32_t n_views = sl_reader_u32(reader);
    uint32_t dim = sl_reader_u32(reader);
    uint32_t dim_in = sl_reader_u32(reader);
    uint64_t size = sl_reader_u64(reader);
    sluice_span state = sl_reader_span(reader, (size_t)size);
    bool good = !reader->bad && name_size <= SLUICE_LIMIT_SOURCE_BYTES && n_views >= 2 &&
                n_views <= SLUICE_LIMIT_VIEWS && dim >= 2 && dim <= SLUICE_LIMIT_DIMENSION &&
                dim_in <= SLUICE_LIMIT_DIMENSION;
    if (!good) {
        return SLUICE_E_CORRUPT;
    }
    SLUICE_TRY(sl_encoder_open(influence, name, n_views, dim, dim_in, out));
    return sl_estimator_load(out->estimator, state);
}

sluice_status sl_influence_load(sl_influence *influence, sluice_span saved)
{
    sl_reader reader = sl_reader_of(saved);
    uint32_t n = sl_reader_u32(&reader);
    sluice_status status = !reader.bad && n <= SLUICE_LIMIT_ENCODERS ? SLUICE_OK : SLUICE_E_CORRUPT;
    for (uint32_t i = 0; i < SLUICE_LIMIT_ENCODERS; i++) {
        atomic_store(&influence->shared[i], NULL);
        sl_encoder_close(&influence->encoder[i]);
    }
    for (uint32_t i = 0; i < n && status == SLUICE_OK; i++) {
        status = load_encoder(influence, &reader, &influence->encoder[i]);
    }
    if (status == SLUICE_OK && reader.at != reader.end) {
        status = SLUICE_E_CORRUPT;
    }
    for (uint32_t i = 0; i < SLUICE_LIMIT_ENCODERS; i++) {
        if (status != SLUICE_OK) {
            sl_encoder_close(&influence->encoder[i]);
        }
        sl_encoder_share(influence, &influence->encoder[i]);
    }
    return status;
}

/* --- merge --- */

static sluice_status load_others(const sl_influence *influence, sluice_span saved,
                                 sl_encoder other[SLUICE_LIMIT_ENCODERS], uint32_t *n)
{
    sl_reader reader = sl_reader_of(saved);
    *n = sl_reader_u32(&reader);
    if (reader.bad || *n > SLUICE_LIMIT_ENCODERS) {
        *n = 0;
        return SLUICE_E_CORRUPT;
    }
    for (uint32_t i = 0; i < *n; i++) {
        SLUICE_TRY(load_encoder(influence, &reader, &other[i]));
    }
    return reader.at == reader.end ? SLUICE_OK : SLUICE_E_CORRUPT;
}

static sl_encoder *counterpart(const sl_influence *influence, const sl_encoder *other)
{
    const sluice_span name = {other->name, other->name_size};
    return sl_encoders_find(influence, name, other->n_views, other->dim, other->dim_in);
}

/* Whether together they are no more than there may be, and no name has two dimensions. */
static bool fit_together(const sl_influence *influence, const sl_encoder *other, uint32_t n)
{
    uint32_t n_together = 0;
    for (uint32_t i = 0; i < SLUICE_LIMIT_ENCODERS; i++) {
        n_together += influence->encoder[i].estimator != NULL;
    }
    for (uint32_t i = 0; i < n; i++) {
        const sluice_span name = {other[i].name, other[i].name_size};
        for (uint32_t j = 0; j < SLUICE_LIMIT_ENCODERS; j++) {
            const sl_encoder *known = &influence->encoder[j];
            if (sl_encoder_has_name(known, name) &&
                (known->dim != other[i].dim || known->dim_in != other[i].dim_in)) {
                return false;
            }
        }
        n_together += counterpart(influence, &other[i]) == NULL;
    }
    return n_together <= SLUICE_LIMIT_ENCODERS;
}

static sluice_status merge_all(sl_influence *influence, sl_encoder *other, uint32_t n,
                               const uint16_t *source_of)
{
    uint16_t same[SL_SHIFT_SOURCES];
    for (uint32_t i = 0; i < SL_SHIFT_SOURCES; i++) {
        same[i] = (uint16_t)i;
    }
    bool merged[SLUICE_LIMIT_ENCODERS] = {false};
    for (uint32_t i = 0; i < n; i++) {
        sl_encoder *known = counterpart(influence, &other[i]);
        if (known != NULL) {
            SLUICE_TRY(sl_estimator_merge(known->estimator, other[i].estimator, source_of));
            merged[known - influence->encoder] = true;
        }
    }
    for (uint32_t i = 0; i < SLUICE_LIMIT_ENCODERS; i++) {
        if (influence->encoder[i].estimator != NULL && !merged[i]) {
            SLUICE_TRY(sl_estimator_renumber(influence->encoder[i].estimator, same));
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        if (counterpart(influence, &other[i]) == NULL) {
            sl_encoder *room = sl_encoders_room(influence);
            SLUICE_TRY(sl_estimator_renumber(other[i].estimator, source_of));
            *room = other[i];
            other[i] = (sl_encoder){.name_size = 0};
            sl_encoder_share(influence, room);
        }
    }
    return SLUICE_OK;
}

sluice_status sl_influence_merge(sl_influence *influence, sluice_span saved,
                                 const uint16_t *source_of)
{
    sl_encoder other[SLUICE_LIMIT_ENCODERS] = {{.name_size = 0}};
    uint32_t n;
    sluice_status status = load_others(influence, saved, other, &n);
    if (status == SLUICE_OK) {
        status = fit_together(influence, other, n) ? merge_all(influence, other, n, source_of)
                                                   : SLUICE_E_CONFIG;
    }
    for (uint32_t i = 0; i < SLUICE_LIMIT_ENCODERS; i++) {
        sl_encoder_close(&other[i]);
    }
    return status;
}
