/* record.c - a verdict as Annotation bytes and as JSON, by the same names.
 *
 *   sluice_sample --+                        +--> Annotation, appended to the sample
 *                   +--> record (this file) -+--> {"id": ..., "source": ..., "offset": ...}
 *   Annotation -----+--> sluice_sample, when the log is applied again
 *
 * Why one value between them: what `filter` writes at once and what `recv` and `explain` write from
 * the log later are the same bytes, because the same function wrote them.
 *
 * A redelivered sample has the offset of its first arrival and no duplicate: it is not a duplicate
 * of itself. A refused one has neither. */
#include "record.h"
#include "record_influence.h"
#include "record_json.h"

#include "arena.h"
#include "bytes.h"
#include "decode/annotate.h"
#include "decode/sample_fields.h"
#include "decode/tensor.h"
#include "decode/unpack.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

typedef Sluice__V1__Annotation annotation;

typedef struct record {
    sluice_span id, source;
    bool has_offset, has_duplicate;
    uint64_t offset;
    sluice_decision decision;
    size_t n_reasons;
    const char *const *reasons;
    float weight;
    sluice_span of, of_source;
    float similarity;
    sluice_method method;
    const sluice_finding *also;
    uint32_t n_also;
    sluice_differs differs;
    float contained; /* 0: absent */
    sluice_span contained_in;
    sluice_scores scores;
} record;

static const char *const decision_names[SLUICE_N_DECISIONS] = {"keep", "flag", "drop", "refuse"};
static const char *const method_names[SLUICE_N_METHODS] = {NULL, "exact", "text", "image",
                                                           "embedding"};

static const char *const differs_names[SLUICE_N_DIFFERS] = {NULL, "numbers", "slot"};

/* The enums of the wire are ours, but for their zero. */
_Static_assert(SLUICE__V1__ANNOTATION__DECISION__DECISION_REFUSE == SLUICE_REFUSE + 1, "decision");
_Static_assert(SLUICE__V1__DUPLICATE__METHOD__METHOD_EMBEDDING == (int)SLUICE_METHOD_EMBEDDING,
               "method");
_Static_assert(SLUICE__V1__DUPLICATE__DIFFERS__DIFFERS_SLOT == (int)SLUICE_DIFFERS_SLOT, "differs");

/* --- sluice_sample and Annotation to record --- */

/* -0 is 0 on the wire, where a zero is not written. */
static float without_sign_of_zero(float value)
{
    return value == 0.0f ? 0.0f : value;
}

static record record_of_sample(const sluice_sample *sample)
{
    const sluice_match *match = &sample->match;
    const sluice_verdict *verdict = &sample->verdict;
    bool refused = verdict->decision == SLUICE_REFUSE;
    uint64_t offset = match->redelivered ? match->of_offset : sample->offset;
    return (record){
        .id = sl_name_cut(sample->id),
        .source = sl_name_cut(sample->source),
        .has_offset = !refused && offset != UINT64_MAX,
        .has_duplicate = !refused && !match->redelivered && match->method != SLUICE_METHOD_NONE,
        .offset = offset,
        .decision = verdict->decision,
        .n_reasons = verdict->n_reasons,
        .reasons = verdict->reasons,
        .weight = without_sign_of_zero(verdict->weight),
        .of = match->of_id,
        .of_source = match->of_source,
        .similarity = without_sign_of_zero(match->similarity),
        .method = match->method,
        .also = match->also,
        .n_also = match->n_also,
        .differs = match->differs,
        .contained = refused || match->redelivered ? 0 : match->contained,
        .contained_in = match->contained_in,
        .scores = refused || match->redelivered ? (sluice_scores){.n_toward = 0} : sample->scores,
    };
}

/* False if a newer filter wrote a decision that has no word here. */
static bool record_of_unpacked(const annotation *from, const sl_sample_fields *fields, record *out)
{
    *out = (record){
        .id = sl_name_cut(fields->id),
        .source = sl_name_cut(fields->source),
        .has_offset = from->offset_or_null_case == SLUICE__V1__ANNOTATION__OFFSET_OR_NULL_OFFSET,
        .has_duplicate = from->duplicate != NULL,
        .n_reasons = from->n_reasons,
        .reasons = (const char *const *)from->reasons,
        .weight = from->weight,
    };
    if (out->has_offset) {
        out->offset = from->offset;
    }
    if (from->duplicate != NULL) {
        out->of = sl_span_of(from->duplicate->of);
        out->of_source = sl_span_of(from->duplicate->of_source);
        out->similarity = from->duplicate->similarity;
        out->method = (sluice_method)from->duplicate->method;
        out->differs = (sluice_differs)from->duplicate->differs;
    }
    if (from->contained != NULL) {
        out->contained = from->contained->share;
        out->contained_in = sl_span_of(from->contained->of);
    }
    sl_record_influence_unpack(from->influence, &out->scores);
    int decision = (int)from->decision - 1;
    out->decision = (sluice_decision)decision;
    return decision >= 0 && decision < SLUICE_N_DECISIONS;
}

/* A newer filter may have more methods: the first ones are shown. */
static sluice_status take_also(const annotation *from, sl_arena *arena, record *out)
{
    size_t n = from->duplicate != NULL ? from->duplicate->n_also : 0;
    n = n < SLUICE_LIMIT_ALSO ? n : SLUICE_LIMIT_ALSO;
    if (n == 0) {
        return SLUICE_OK;
    }
    sl_arena_allow(arena, n * sizeof(sluice_finding) + 16);
    sluice_finding *also = sl_arena_alloc(arena, n * sizeof *also);
    if (also == NULL) {
        return SLUICE_E_NOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        const Sluice__V1__Finding *finding = from->duplicate->also[i];
        also[i] = (sluice_finding){.method = (sluice_method)finding->method,
                                   .similarity = finding->similarity,
                                   .of_id = sl_span_of(finding->of),
                                   .of_source = sl_span_of(finding->of_source)};
    }
    out->also = also;
    out->n_also = (uint32_t)n;
    return SLUICE_OK;
}

/* The last annotation; `out` points into the arena and the fields. */
static sluice_status record_of_annotation(const sl_sample_fields *fields, sl_arena *arena,
                                          record *out)
{
    const ProtobufCMessage *unpacked;
    SLUICE_TRY(
        sl_unpack(&sluice__v1__annotation__descriptor, fields->annotation, arena, &unpacked, NULL));
    bool known = record_of_unpacked((const annotation *)unpacked, fields, out);
    return known ? take_also((const annotation *)unpacked, arena, out) : SLUICE_E_BADSAMPLE;
}

/* --- Annotation --- */

static char *name_in(char *room, sluice_span name)
{
    sluice_span cut = sl_name_cut(name);
    if (cut.size > 0) {
        memcpy(room, cut.data, cut.size);
    }
    room[cut.size] = 0;
    return room;
}

/* What protobuf-c packs of one sample's findings. */
typedef struct packed_findings {
    char of[SLUICE_LIMIT_ALSO][SLUICE_LIMIT_ID_BYTES + 1];
    char of_source[SLUICE_LIMIT_ALSO][SLUICE_LIMIT_SOURCE_BYTES + 1];
    Sluice__V1__Finding finding[SLUICE_LIMIT_ALSO];
    Sluice__V1__Finding *pointer[SLUICE_LIMIT_ALSO];
} packed_findings;

static void pack_also(const record *from, packed_findings *packed, Sluice__V1__Duplicate *duplicate)
{
    for (uint32_t i = 0; i < from->n_also; i++) {
        Sluice__V1__Finding *finding = &packed->finding[i];
        sluice__v1__finding__init(finding);
        finding->of = name_in(packed->of[i], from->also[i].of_id);
        finding->of_source = name_in(packed->of_source[i], from->also[i].of_source);
        finding->similarity = without_sign_of_zero(from->also[i].similarity);
        finding->method = (Sluice__V1__Duplicate__Method)from->also[i].method;
        packed->pointer[i] = finding;
    }
    duplicate->n_also = from->n_also;
    duplicate->also = packed->pointer;
}

sluice_status sl_record_annotate(const sluice_sample *sample, sluice_bytes *out)
{
    packed_findings also;
    char of[SLUICE_LIMIT_ID_BYTES + 1];
    char of_source[SLUICE_LIMIT_SOURCE_BYTES + 1];
    record from = record_of_sample(sample);
    annotation packed = SLUICE__V1__ANNOTATION__INIT;
    char in[SLUICE_LIMIT_ID_BYTES + 1];
    Sluice__V1__Duplicate duplicate = SLUICE__V1__DUPLICATE__INIT;
    Sluice__V1__Contained contained = SLUICE__V1__CONTAINED__INIT;
    sl_record_influence influence;
    if (from.has_offset) {
        packed.offset_or_null_case = SLUICE__V1__ANNOTATION__OFFSET_OR_NULL_OFFSET;
        packed.offset = from.offset;
    }
    packed.decision = (Sluice__V1__Annotation__Decision)(from.decision + 1);
    packed.n_reasons = from.n_reasons;
    packed.reasons = (char **)from.reasons; /* protobuf-c packs from mutable strings */
    packed.weight = from.weight;
    if (from.has_duplicate) {
        duplicate.of = name_in(of, from.of);
        duplicate.of_source = name_in(of_source, from.of_source);
        duplicate.similarity = from.similarity;
        duplicate.method = (Sluice__V1__Duplicate__Method)from.method;
        pack_also(&from, &also, &duplicate);
        duplicate.differs = (Sluice__V1__Duplicate__Differs)from.differs;
        packed.duplicate = &duplicate;
    }
    if (from.contained > 0) {
        contained.of = name_in(in, from.contained_in);
        contained.share = from.contained;
        packed.contained = &contained;
    }
    packed.influence = sl_record_influence_pack(&from.scores, &influence);
    return sl_annotate(&packed, out);
}

/* --- the verdict record --- */

/* The members of a finding, without the brackets. */
static sluice_status put_finding(sluice_bytes *out, const sluice_finding *finding)
{
    SLUICE_TRY(sl_json_put_text(out, "\"of\": "));
    SLUICE_TRY(sl_json_put_string(out, finding->of_id));
    SLUICE_TRY(sl_json_put_text(out, ", \"of_source\": "));
    SLUICE_TRY(sl_json_put_string(out, finding->of_source));
    SLUICE_TRY(sl_json_put_text(out, ", \"similarity\": "));
    SLUICE_TRY(sl_json_put_float(out, finding->similarity));
    const char *method =
        (unsigned)finding->method < SLUICE_N_METHODS ? method_names[finding->method] : NULL;
    SLUICE_TRY(sl_json_put_text(out, ", \"method\": "));
    return method != NULL ? sl_json_put_string(out, sl_span_of(method))
                          : sl_json_put_text(out, "null");
}

static sluice_status put_duplicate(sluice_bytes *out, const record *from)
{
    if (!from->has_duplicate) {
        return sl_json_put_text(out, "null");
    }
    SLUICE_TRY(sl_json_put_text(out, "{"));
    SLUICE_TRY(put_finding(
        out, &(sluice_finding){from->method, from->similarity, from->of, from->of_source}));
    const char *differs =
        (unsigned)from->differs < SLUICE_N_DIFFERS ? differs_names[from->differs] : NULL;
    if (differs != NULL) {
        SLUICE_TRY(sl_json_put_text(out, ", \"differs\": "));
        SLUICE_TRY(sl_json_put_string(out, sl_span_of(differs)));
    }
    for (uint32_t i = 0; i < from->n_also; i++) {
        SLUICE_TRY(sl_json_put_text(out, i == 0 ? ", \"also\": [{" : "}, {"));
        SLUICE_TRY(put_finding(out, &from->also[i]));
    }
    return sl_json_put_text(out, from->n_also > 0 ? "}]}" : "}");
}

static sluice_status put_reasons(sluice_bytes *out, const record *from)
{
    SLUICE_TRY(sl_json_put_text(out, "["));
    for (size_t i = 0; i < from->n_reasons; i++) {
        SLUICE_TRY(sl_json_put_text(out, i > 0 ? ", " : ""));
        SLUICE_TRY(sl_json_put_string(out, sl_span_of(from->reasons[i])));
    }
    return sl_json_put_text(out, "]");
}

static sluice_status put_record(sluice_bytes *out, const record *from)
{
    char offset[24] = "null";
    if (from->has_offset) {
        snprintf(offset, sizeof offset, "%" PRIu64, from->offset);
    }
    SLUICE_TRY(sl_json_put_text(out, "{\"id\": "));
    SLUICE_TRY(sl_json_put_string(out, from->id));
    SLUICE_TRY(sl_json_put_text(out, ", \"source\": "));
    SLUICE_TRY(sl_json_put_string(out, from->source));
    SLUICE_TRY(sl_json_put_text(out, ", \"offset\": "));
    SLUICE_TRY(sl_json_put_text(out, offset));
    SLUICE_TRY(sl_json_put_text(out, ", \"decision\": \""));
    SLUICE_TRY(sl_json_put_text(out, decision_names[from->decision]));
    SLUICE_TRY(sl_json_put_text(out, "\", \"reasons\": "));
    SLUICE_TRY(put_reasons(out, from));
    SLUICE_TRY(sl_json_put_text(out, ", \"weight\": "));
    SLUICE_TRY(sl_json_put_float(out, from->weight));
    SLUICE_TRY(sl_json_put_text(out, ", \"duplicate\": "));
    SLUICE_TRY(put_duplicate(out, from));
    if (from->contained > 0) {
        SLUICE_TRY(sl_json_put_text(out, ", \"contained\": "));
        SLUICE_TRY(sl_json_put_float(out, from->contained));
        SLUICE_TRY(sl_json_put_text(out, ", \"contained_in\": "));
        SLUICE_TRY(sl_json_put_string(out, from->contained_in));
    }
    SLUICE_TRY(sl_json_put_text(out, ", \"influence\": "));
    SLUICE_TRY(sl_record_influence_json(&from->scores, out));
    return sl_json_put_text(out, "}");
}

/* The record of the last annotation; null if there is none. */
static sluice_status put_annotation(sluice_bytes *out, const sl_sample_fields *fields,
                                    sl_arena *arena)
{
    record from;
    if (!fields->annotated) {
        return sl_json_put_text(out, "null");
    }
    sl_arena_reset(arena, sl_unpack_cap(fields->annotation.size));
    SLUICE_TRY(record_of_annotation(fields, arena, &from));
    return put_record(out, &from);
}

/* --- the JSONL line --- */

/* Members that a line has already: an attribute of such a name is written as attributes.NAME, as
 * policies call it. */
static bool is_member(sluice_span name)
{
    static const char *const members[] = {
        "id",         "source",  "ts",   "text",  "payload_base64",
        "media_type", "encoder", "cost", "image", "sluice"};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        if (sl_span_equal(name, sl_span_of(members[i]))) {
            return true;
        }
    }
    return false;
}

/* True if a later entry has the same name: the last one counts. */
static bool is_replaced(const sl_sample_fields *fields, uint32_t i_attribute, sluice_span name)
{
    for (uint32_t i = i_attribute + 1; i < fields->n_attributes; i++) {
        sluice_span other, value;
        sl_attribute_read(fields->attributes[i], &other, &value);
        if (sl_span_equal(name, other)) {
            return true;
        }
    }
    return false;
}

static sluice_status put_attribute(sluice_bytes *out, sluice_span name, sluice_span value)
{
    SLUICE_TRY(sl_json_put_text(out, ", "));
    if (is_member(name)) {
        SLUICE_TRY(sl_json_put_text(out, "\"attributes."));
        SLUICE_TRY(sl_bytes_append(out, name.data, name.size)); /* a member's: needs no escape */
        SLUICE_TRY(sl_json_put_text(out, "\""));
    } else {
        SLUICE_TRY(sl_json_put_string(out, name));
    }
    SLUICE_TRY(sl_json_put_text(out, ": "));
    return sl_json_put_string(out, value);
}

static sluice_status put_payload(sluice_bytes *out, const sl_sample_fields *fields)
{
    if (sl_media_type_is_image(fields->media_type) || !sl_utf8_valid(fields->payload)) {
        SLUICE_TRY(sl_json_put_text(out, ", \"payload_base64\": "));
        return sl_json_put_base64(out, fields->payload);
    }
    SLUICE_TRY(sl_json_put_text(out, ", \"text\": "));
    return sl_json_put_string(out, fields->payload);
}

static sluice_status put_sample(sluice_bytes *out, const sl_sample_fields *fields)
{
    SLUICE_TRY(sl_json_put_text(out, "{\"id\": "));
    SLUICE_TRY(sl_json_put_string(out, fields->id));
    SLUICE_TRY(sl_json_put_text(out, ", \"source\": "));
    SLUICE_TRY(sl_json_put_string(out, fields->source));
    if (fields->event_time_us != 0) {
        SLUICE_TRY(sl_json_put_text(out, ", \"ts\": "));
        SLUICE_TRY(sl_json_put_time(out, fields->event_time_us));
    }
    SLUICE_TRY(put_payload(out, fields));
    if (fields->media_type.size > 0) {
        SLUICE_TRY(sl_json_put_text(out, ", \"media_type\": "));
        SLUICE_TRY(sl_json_put_string(out, fields->media_type));
    }
    if (fields->encoder.size > 0) {
        SLUICE_TRY(sl_json_put_text(out, ", \"encoder\": "));
        SLUICE_TRY(sl_json_put_string(out, fields->encoder));
    }
    if (fields->cost != 0) {
        SLUICE_TRY(sl_json_put_text(out, ", \"cost\": "));
        SLUICE_TRY(sl_json_put_double(out, fields->cost));
    }
    for (uint32_t i = 0; i < fields->n_attributes; i++) {
        sluice_span name, value;
        sl_attribute_read(fields->attributes[i], &name, &value);
        if (!is_replaced(fields, i, name)) {
            SLUICE_TRY(put_attribute(out, name, value));
        }
    }
    return SLUICE_OK;
}

static sluice_status put_line(sluice_bytes *out, const sl_sample_fields *fields, bool bare,
                              sl_arena *arena)
{
    SLUICE_TRY(put_sample(out, fields));
    if (!bare) {
        SLUICE_TRY(sl_json_put_text(out, ", \"sluice\": "));
        SLUICE_TRY(put_annotation(out, fields, arena));
    }
    return sl_json_put_text(out, "}");
}

/* --- calls --- */

sluice_status sl_record_json(const sluice_sample *sample, sluice_bytes *out)
{
    record from = record_of_sample(sample);
    size_t before = out->size;
    sluice_status status = put_record(out, &from);
    out->size = status == SLUICE_OK ? out->size : before;
    return status;
}

sluice_status sl_record_json_of_wire(sluice_span annotated_sample, sluice_bytes *out)
{
    sl_sample_fields fields;
    sl_refusal refusal;
    sl_arena *arena;
    if (!sl_sample_fields_find(annotated_sample, &fields, &refusal) || !fields.annotated) {
        return SLUICE_E_BADSAMPLE;
    }
    SLUICE_TRY(sl_arena_open(&arena));
    size_t before = out->size;
    sluice_status status = put_annotation(out, &fields, arena);
    out->size = status == SLUICE_OK ? out->size : before;
    sl_arena_close(&arena);
    return status;
}

sluice_status sl_record_jsonl_of_wire(sluice_span annotated_sample, bool bare, sluice_bytes *out)
{
    sl_sample_fields fields;
    sl_refusal refusal;
    sl_arena *arena;
    if (!sl_sample_fields_find(annotated_sample, &fields, &refusal) ||
        fields.n_attributes > SLUICE_LIMIT_ATTRIBUTES) {
        return SLUICE_E_BADSAMPLE;
    }
    SLUICE_TRY(sl_arena_open(&arena));
    size_t before = out->size;
    sluice_status status = put_line(out, &fields, bare, arena);
    out->size = status == SLUICE_OK ? out->size : before;
    sl_arena_close(&arena);
    return status;
}

/* All but the views. */
static sluice_status sample_of_wire(sluice_span annotated_sample, sluice_arena *arena,
                                    sl_sample_fields *fields, sluice_sample *out)
{
    sl_refusal refusal;
    record from;
    memset(out, 0, sizeof *out);
    if (!sl_sample_fields_find(annotated_sample, fields, &refusal) || !fields->annotated) {
        return SLUICE_E_BADSAMPLE;
    }
    SLUICE_TRY(record_of_annotation(fields, arena, &from));
    if (from.n_reasons > SLUICE_LIMIT_REASONS || (unsigned)from.method >= SLUICE_N_METHODS ||
        (unsigned)from.differs >= SLUICE_N_DIFFERS) {
        return SLUICE_E_BADSAMPLE;
    }
    *out = (sluice_sample){
        .offset = from.has_offset ? from.offset : UINT64_MAX,
        .wire = annotated_sample,
        .id = from.id,
        .source = from.source,
        .media_type = sl_name_cut(fields->media_type),
        .encoder = sl_name_cut(fields->encoder),
        .payload = fields->payload,
        .event_time_us = fields->event_time_us,
        .cost = fields->cost,
        .match = {.method = from.method,
                  .similarity = from.similarity,
                  .differs = from.differs,
                  .contained = from.contained,
                  .contained_in = from.contained_in,
                  .of_offset = from.has_duplicate ? UINT64_MAX : 0,
                  .of_id = from.of,
                  .of_source = from.of_source,
                  .also = from.also,
                  .n_also = from.n_also},
        .scores = from.scores,
        .verdict = {.decision = from.decision,
                    .weight = from.weight,
                    .n_reasons = (uint32_t)from.n_reasons},
    };
    for (uint32_t i = 0; i < out->verdict.n_reasons; i++) {
        out->verdict.reasons[i] = from.reasons[i];
    }
    return SLUICE_OK;
}

sluice_status sl_record_sample_of_wire(sluice_span annotated_sample, sluice_arena *arena,
                                       sluice_sample *out)
{
    sl_sample_fields fields;
    sl_refusal refusal;
    SLUICE_TRY(sample_of_wire(annotated_sample, arena, &fields, out));
    /* What an older version accepted with views that are none now has no views. */
    if (!sl_views_read(&fields, arena, &out->views, &refusal)) {
        out->views.n_views = 0;
    }
    return SLUICE_OK;
}

sluice_status sl_record_verdict_of_wire(sluice_span annotated_sample, sluice_arena *arena,
                                        sluice_sample *out)
{
    sl_sample_fields fields;
    return sample_of_wire(annotated_sample, arena, &fields, out);
}

sluice_span sl_record_before(sluice_span annotated_sample)
{
    sl_sample_fields fields;
    sl_refusal refusal;
    if (!sl_sample_fields_find(annotated_sample, &fields, &refusal) || !fields.annotated) {
        return (sluice_span){0};
    }
    size_t size = (size_t)(fields.annotation.data - annotated_sample.data);
    for (size_t length = fields.annotation.size; length > 127; length >>= 7) {
        size--;
    }
    /* a byte of the tag, the last of the length */
    return (sluice_span){annotated_sample.data, size - 2};
}

const char *sl_record_decision_name(sluice_decision decision)
{
    return decision_names[decision];
}

const char *sl_record_method_name(sluice_method method)
{
    return method_names[method];
}
