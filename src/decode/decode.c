/* decode.c - finds the samples of one encoded Batch.
 *
 *   Batch    | 0A len Sample | 0A len Sample | ...
 *                    \ wire: id, source, payload ... are spans into it
 *   arena    | rows | text | ...            unit rows of views, sentences of the refused ones
 *
 * Why a broken sample does not break its batch: a batch is whatever its producer happened to put
 * together, and the producer can do nothing about the others. Only where the frame itself cannot be
 * walked there is no telling what is a sample.
 * Why the arena has a cap even so: 4,096 two-byte samples would otherwise make 300 KiB of text. */
#include "arena.h"
#include "decode/prescan.h"
#include "decode/sample_fields.h"
#include "decode/tensor.h"
#include "decode/unpack.h"
#include "features/features.h"

#include <stdlib.h>

#define SAMPLES_FIELD 1 /* of Batch */

sluice_status sluice_batch_open(sluice_batch **out)
{
    *out = NULL;
    sluice_batch *batch = calloc(1, sizeof *batch);
    if (batch == NULL) {
        return SLUICE_E_NOMEM;
    }
    batch->samples = calloc(SLUICE_LIMIT_BATCH_SAMPLES, sizeof *batch->samples);
    if (batch->samples == NULL || sl_arena_open(&batch->arena) != SLUICE_OK) {
        sluice_batch_close(&batch);
        return SLUICE_E_NOMEM;
    }
    *out = batch;
    return SLUICE_OK;
}

void sluice_batch_close(sluice_batch **batch_p)
{
    sluice_batch *batch = *batch_p;
    if (batch != NULL) {
        sl_features_close(&batch->features);
        sl_arena_close(&batch->arena);
        free(batch->samples);
        free(batch);
        *batch_p = NULL;
    }
}

static void refuse(sluice_sample *sample, const sl_refusal *refusal, sl_arena *arena)
{
    sample->verdict.decision = SLUICE_REFUSE;
    sample->verdict.reasons[0] = refusal->reason;
    sample->verdict.n_reasons = 1;
    size_t size = strlen(refusal->text) + 1;
    char *text = sl_arena_alloc(arena, size);
    if (text != NULL) {
        memcpy(text, refusal->text, size);
    }
    sample->verdict.text = text != NULL ? text : refusal->reason;
    /* Readers of a refused sample rely on the sizes of names as much as all others. */
    sample->id = sl_name_cut(sample->id);
    sample->source = sl_name_cut(sample->source);
    sample->media_type = sl_name_cut(sample->media_type);
    sample->encoder = sl_name_cut(sample->encoder);
}

static void decode_sample(sluice_span wire, sluice_sample *sample, sl_arena *arena)
{
    sl_sample_fields fields;
    sl_refusal refusal;
    sluice_views views = {.n_views = 0};
    bool good = sl_sample_fields_find(wire, &fields, &refusal) &&
                sl_sample_fields_check(&fields, wire.size, &refusal) &&
                sl_views_read(&fields, arena, &views, &refusal);
    *sample = (sluice_sample){
        .offset = UINT64_MAX,
        .wire = wire,
        .id = fields.id,
        .source = fields.source,
        .media_type = fields.media_type,
        .encoder = fields.encoder,
        .payload = fields.payload,
        .event_time_us = fields.event_time_us,
        .cost = fields.cost,
        .views = views,
    };
    if (!good) {
        refuse(sample, &refusal, arena);
    }
}

static sluice_status decode_field(sluice_batch *batch, const sl_wire_field *field,
                                  uint32_t *n_unknown, sluice_message *why)
{
    if (field->number != SAMPLES_FIELD) {
        if (++*n_unknown > SL_SCAN_LEVEL_FIELDS) {
            return sluice_fail(why, SLUICE_E_TOOBIG,
                               "batch has more than %d fields that are not samples",
                               SL_SCAN_LEVEL_FIELDS);
        }
        return SLUICE_OK;
    }
    if (field->wire_type != SL_WIRE_BYTES) {
        return sluice_fail(why, SLUICE_E_BADSAMPLE,
                           "batch.samples has wire type %u; samples have 2", field->wire_type);
    }
    if (batch->n_samples == SLUICE_LIMIT_BATCH_SAMPLES) {
        return sluice_fail(why, SLUICE_E_TOOBIG, "batch has more than %d samples",
                           SLUICE_LIMIT_BATCH_SAMPLES);
    }
    decode_sample(field->span, &batch->samples[batch->n_samples], batch->arena);
    batch->n_samples++;
    return SLUICE_OK;
}

sluice_status sluice_batch_decode(sluice_batch *batch, sluice_span bytes, sluice_message *why)
{
    sl_arena_reset(batch->arena, sl_unpack_cap(bytes.size));
    batch->n_samples = 0;
    sl_reader reader = sl_reader_of(bytes);
    const uint8_t *start = reader.at;
    const uint8_t *at = start;
    uint32_t n_unknown = 0;
    sluice_status status = SLUICE_OK;
    sl_wire_field field;
    while (status == SLUICE_OK && sl_wire_field_next(&reader, &field)) {
        status = decode_field(batch, &field, &n_unknown, why);
        at = reader.at;
    }
    if (status == SLUICE_OK && reader.bad) {
        status = sluice_fail(why, SLUICE_E_BADSAMPLE,
                             "batch of %zu bytes cannot be read as protobuf from byte %zu on",
                             bytes.size, (size_t)(at - start));
    }
    if (status != SLUICE_OK) {
        batch->n_samples = 0;
    }
    return status;
}
