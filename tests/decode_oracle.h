/* decode_oracle.h - what sluice_batch_decode accepts, protobuf-c reads as the same values. */
#ifndef TEST_DECODE_ORACLE_H
#define TEST_DECODE_ORACLE_H

#include "arena.h"
#include "decode/sample_fields.h"
#include "decode/unpack.h"
#include "record.h"
#include "sluice/v1/sample.pb-c.h"
#include "wire_bytes.h"

static inline void oracle_text(sluice_span ours, const char *theirs)
{
    SLUICE_ASSERT(sl_span_equal(ours, sl_span_of(theirs)));
    SLUICE_ASSERT(sl_utf8_valid(ours));
}

static inline void oracle_sample(const sluice_sample *ours, const Sluice__V1__Sample *theirs)
{
    oracle_text(ours->id, theirs->id);
    oracle_text(ours->source, theirs->source);
    oracle_text(ours->media_type, theirs->media_type);
    oracle_text(ours->encoder, theirs->encoder);
    SLUICE_ASSERT(
        sl_span_equal(ours->payload, (sluice_span){theirs->payload.data, theirs->payload.len}));
    SLUICE_ASSERT(ours->event_time_us == theirs->event_time_us);
    SLUICE_ASSERT(memcmp(&ours->cost, &theirs->cost, sizeof ours->cost) == 0);
    SLUICE_ASSERT(theirs->n_attributes <= SLUICE_LIMIT_ATTRIBUTES);
    SLUICE_ASSERT(ours->id.size >= 1 && ours->id.size <= SLUICE_LIMIT_ID_BYTES);
}

/* The value read back from annotated bytes annotates the original ones to the same bytes. */
static inline void oracle_sample_of_wire(const sluice_bytes *annotated, sluice_span original)
{
    sl_arena *arena;
    sluice_sample sample;
    sluice_bytes again = {0};
    wire_check(sl_arena_open(&arena));
    sl_arena_reset(arena, sl_unpack_cap(annotated->size));
    wire_check(sl_record_sample_of_wire(wire_span(annotated), arena, &sample));
    wire_raw(&again, original.data, original.size);
    wire_check(sl_record_annotate(&sample, &again));
    SLUICE_ASSERT(sl_span_equal(wire_span(&again), wire_span(annotated)));
    sl_bytes_fini(&again);
    sl_arena_close(&arena);
}

/* An accepted sample can be annotated: the original bytes stay a prefix, and the record comes back
 * from the annotated bytes as it was written. */
static inline void oracle_annotation(sluice_sample sample)
{
    sluice_bytes annotated = {0};
    sluice_bytes written = {0};
    sluice_bytes read = {0};
    sample.offset = 7;
    sample.verdict.weight = 1.0f;
    wire_raw(&annotated, sample.wire.data, sample.wire.size);
    wire_check(sl_record_annotate(&sample, &annotated));
    SLUICE_ASSERT(memcmp(annotated.data, sample.wire.data, sample.wire.size) == 0);
    wire_check(sl_record_json(&sample, &written));
    sluice_status status = sl_record_json_of_wire(wire_span(&annotated), &read);
    if (status == SLUICE_OK) {
        SLUICE_ASSERT(sl_span_equal(wire_span(&written), wire_span(&read)));
        sl_bytes_clear(&read);
        wire_check(sl_record_jsonl_of_wire(wire_span(&annotated), false, &read));
        SLUICE_ASSERT(sl_utf8_valid(wire_span(&read)));
        oracle_sample_of_wire(&annotated, sample.wire);
    } else { /* one field more may be one too many */
        sl_sample_fields fields;
        sl_refusal refusal;
        SLUICE_ASSERT(!sl_sample_fields_find(wire_span(&annotated), &fields, &refusal));
        SLUICE_ASSERT(strcmp(refusal.reason, "too_complex") == 0);
    }
    sl_bytes_fini(&annotated);
    sl_bytes_fini(&written);
    sl_bytes_fini(&read);
}

/* Decodes `bytes` and compares; returns the number of samples accepted. */
static inline uint32_t oracle_check(sluice_batch *batch, sluice_span bytes)
{
    sluice_message why = {""};
    if (sluice_batch_decode(batch, bytes, &why) != SLUICE_OK) {
        SLUICE_ASSERT(batch->n_samples == 0 && why.text[0] != 0);
        return 0;
    }
    SLUICE_ASSERT(sl_arena_used(batch->arena) <= sl_unpack_cap(bytes.size));
    uint32_t n_accepted = 0;
    for (uint32_t i = 0; i < batch->n_samples; i++) {
        const sluice_sample *ours = &batch->samples[i];
        if (ours->verdict.decision == SLUICE_REFUSE) {
            SLUICE_ASSERT(ours->verdict.n_reasons == 1 && ours->verdict.text != NULL);
            continue;
        }
        Sluice__V1__Sample *theirs =
            sluice__v1__sample__unpack(NULL, ours->wire.size, ours->wire.data);
        SLUICE_ASSERT(theirs != NULL);
        oracle_sample(ours, theirs);
        sluice__v1__sample__free_unpacked(theirs, NULL);
        oracle_annotation(*ours);
        n_accepted++;
    }
    if (n_accepted == batch->n_samples && bytes.size > 0) {
        Sluice__V1__Batch *whole = sluice__v1__batch__unpack(NULL, bytes.size, bytes.data);
        SLUICE_ASSERT(whole != NULL && whole->n_samples == n_accepted);
        for (uint32_t i = 0; i < n_accepted; i++) {
            oracle_sample(&batch->samples[i], whole->samples[i]);
        }
        sluice__v1__batch__free_unpacked(whole, NULL);
    }
    return n_accepted;
}

#endif
