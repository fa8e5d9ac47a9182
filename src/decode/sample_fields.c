/* sample_fields.c - finds the fields of one encoded Sample and checks them against its rules.
 *
 *   Sample   | id | source | payload ........ | attributes | views | annotations | unknown |
 *              spans into these bytes            each walked by sl_prescan          skipped
 *
 * Why not protobuf-c: it copies every field and needs 200 bytes for an empty sample, so either a
 * batch of short texts breaks the limit of 4 x its size or the limit means nothing. The walk has to
 * look at every byte that is not payload anyway; what it finds are spans, nothing is copied, and
 * strings keep their length where protobuf-c cuts them at NUL. tests/property/decode_oracle_test.c
 * holds it to protobuf-c's values. */
#include "decode/sample_fields.h"

#include "decode/prescan.h"
#include "sluice/v1/sample.pb-c.h"

#include <math.h>
#include <stdio.h>
#include <strings.h>

enum { /* field numbers of sluice.v1.Sample */
       FIELD_ID = 1,
       FIELD_SOURCE = 2,
       FIELD_EVENT_TIME_US = 3,
       FIELD_PAYLOAD = 4,
       FIELD_MEDIA_TYPE = 5,
       FIELD_ENCODER = 6,
       FIELD_VIEWS = 7,
       FIELD_ATTRIBUTES = 9,
       FIELD_COST = 10,
       FIELD_ANNOTATIONS = 15,
       N_KNOWN = 16
};

#define NOT_KNOWN 0xff

static const uint8_t wire_types[N_KNOWN] = {
    NOT_KNOWN,     SL_WIRE_BYTES, SL_WIRE_BYTES, SL_WIRE_VARINT, SL_WIRE_BYTES, SL_WIRE_BYTES,
    SL_WIRE_BYTES, SL_WIRE_BYTES, NOT_KNOWN,     SL_WIRE_BYTES,  SL_WIRE_64BIT, NOT_KNOWN,
    NOT_KNOWN,     NOT_KNOWN,     NOT_KNOWN,     SL_WIRE_BYTES,
};

static bool refuse_too_complex(sl_refusal *refusal, const char *message)
{
    refusal->reason = "too_complex";
    snprintf(refusal->text, sizeof refusal->text,
             "%s has too many fields; the limit is %d, and %d with everything inside the sample",
             message, SL_SCAN_LEVEL_FIELDS, SL_SCAN_TOTAL_FIELDS);
    return false;
}

static bool refuse_malformed(sl_refusal *refusal, size_t at, size_t size)
{
    refusal->reason = "malformed";
    snprintf(refusal->text, sizeof refusal->text,
             "the sample's %zu bytes cannot be read as protobuf from byte %zu on", size, at);
    return false;
}

static bool refuse_inner(sl_refusal *refusal, uint32_t number, sl_scan_result result,
                         const sl_scan_fault *fault)
{
    if (result == SL_SCAN_TOO_COMPLEX) {
        return refuse_too_complex(refusal, fault->message);
    }
    bool attribute = number == FIELD_ATTRIBUTES;
    if (result == SL_SCAN_NOT_UTF8) {
        refusal->reason = attribute ? "attribute_not_utf8" : "string_not_utf8";
    } else if (result == SL_SCAN_HAS_NUL) {
        refusal->reason = attribute ? "attribute_has_nul" : "string_has_nul";
    } else {
        refusal->reason = "malformed";
    }
    snprintf(refusal->text, sizeof refusal->text, "%s%s%s %s", fault->message,
             fault->field != NULL ? "." : "", fault->field != NULL ? fault->field : "",
             fault->what);
    return false;
}

static bool walk_inner(uint32_t number, sluice_span span, uint32_t *n_left, sl_refusal *refusal)
{
    const ProtobufCMessageDescriptor *type = &sluice__v1__annotation__descriptor;
    if (number == FIELD_ATTRIBUTES) {
        type = &sluice__v1__sample__attributes_entry__descriptor;
    } else if (number == FIELD_VIEWS) {
        type = &sluice__v1__view__descriptor;
    }
    sl_scan_fault fault;
    sl_scan_result result = sl_prescan(type, span, n_left, &fault);
    return result == SL_SCAN_OK || refuse_inner(refusal, number, result, &fault);
}

/* A later occurrence replaces an earlier one, which must be UTF-8 even so: most runtimes look at
 * every occurrence. */
static bool take_name(sluice_span *name, sluice_span span, sl_refusal *refusal)
{
    if (!sl_utf8_valid(*name)) {
        refusal->reason = "string_not_utf8";
        snprintf(refusal->text, sizeof refusal->text,
                 "the %zu bytes of a string that occurs twice are not UTF-8", name->size);
        return false;
    }
    *name = span;
    return true;
}

/* One field of known number and right wire type. */
static bool take_field(const sl_wire_field *field, sl_sample_fields *fields, uint32_t *n_left,
                       sl_refusal *refusal)
{
    switch (field->number) {
    case FIELD_ID:
        return take_name(&fields->id, field->span, refusal);
    case FIELD_SOURCE:
        return take_name(&fields->source, field->span, refusal);
    case FIELD_EVENT_TIME_US:
        fields->event_time_us = (int64_t)field->value;
        return true;
    case FIELD_PAYLOAD:
        fields->payload = field->span;
        return true;
    case FIELD_MEDIA_TYPE:
        return take_name(&fields->media_type, field->span, refusal);
    case FIELD_ENCODER:
        return take_name(&fields->encoder, field->span, refusal);
    case FIELD_COST:
        memcpy(&fields->cost, &field->value, sizeof fields->cost);
        return true;
    case FIELD_ATTRIBUTES:
        if (fields->n_attributes < SLUICE_LIMIT_ATTRIBUTES) {
            fields->attributes[fields->n_attributes] = field->span;
        }
        fields->n_attributes++;
        break;
    case FIELD_VIEWS:
        if (fields->n_views < SLUICE_LIMIT_VIEWS) {
            fields->views[fields->n_views] = field->span;
        }
        fields->n_views++;
        break;
    case FIELD_ANNOTATIONS:
        fields->annotation = field->span;
        fields->annotated = true;
        break;
    default:
        break;
    }
    return walk_inner(field->number, field->span, n_left, refusal);
}

/* Everything but the arrays, which are large and need no zeros. */
static void clear_fields(sl_sample_fields *fields)
{
    const sluice_span none = {NULL, 0};
    fields->id = fields->source = fields->media_type = fields->encoder = fields->payload = none;
    fields->event_time_us = 0;
    fields->cost = 0;
    fields->annotation = none;
    fields->annotated = false;
    fields->n_attributes = 0;
    fields->n_views = 0;
}

bool sl_sample_fields_find(sluice_span wire, sl_sample_fields *fields, sl_refusal *refusal)
{
    clear_fields(fields);
    sl_reader reader = sl_reader_of(wire);
    const uint8_t *start = reader.at;
    uint32_t n_fields = 0;
    uint32_t n_left = SL_SCAN_TOTAL_FIELDS;
    sl_wire_field field;
    const uint8_t *at = start;
    while (sl_wire_field_next(&reader, &field)) {
        if (n_fields == SL_SCAN_LEVEL_FIELDS || n_left == 0) {
            return refuse_too_complex(refusal, "Sample");
        }
        n_fields++;
        n_left--;
        uint32_t wire_type = field.number < N_KNOWN ? wire_types[field.number] : NOT_KNOWN;
        if (wire_type != NOT_KNOWN) {
            if (wire_type != field.wire_type) {
                return refuse_malformed(refusal, (size_t)(at - start), wire.size);
            }
            if (!take_field(&field, fields, &n_left, refusal)) {
                return false;
            }
        }
        at = reader.at;
    }
    return !reader.bad || refuse_malformed(refusal, (size_t)(at - start), wire.size);
}

/* The reasons of the four names, so that each stays one string to search for. */
typedef struct name_rule {
    const char *name, *too_long, *has_nul, *not_utf8;
} name_rule;

static const name_rule id_rule = {"id", "id_too_long", "id_has_nul", "id_not_utf8"};
static const name_rule source_rule = {"source", "source_too_long", "source_has_nul",
                                      "source_not_utf8"};
static const name_rule media_type_rule = {"media_type", "media_type_too_long", "media_type_has_nul",
                                          "media_type_not_utf8"};
static const name_rule encoder_rule = {"encoder", "encoder_too_long", "encoder_has_nul",
                                       "encoder_not_utf8"};
static const name_rule attribute_rule = {"an attribute's name", "attribute_name_too_long",
                                         "attribute_has_nul", "attribute_not_utf8"};

static bool refuse_size(sl_refusal *refusal, const char *reason, const char *name, size_t have,
                        size_t limit)
{
    refusal->reason = reason;
    snprintf(refusal->text, sizeof refusal->text, "%s is %zu bytes; the limit is %zu", name, have,
             limit);
    return false;
}

static bool check_name(const name_rule *rule, sluice_span name, size_t limit, sl_refusal *refusal)
{
    if (name.size > limit) {
        return refuse_size(refusal, rule->too_long, rule->name, name.size, limit);
    }
    if (name.size == 0) {
        return true;
    }
    const uint8_t *nul = memchr(name.data, 0, name.size);
    if (nul != NULL) {
        refusal->reason = rule->has_nul;
        snprintf(refusal->text, sizeof refusal->text,
                 "%s holds a NUL at byte %td of %zu; names have none", rule->name, nul - name.data,
                 name.size);
        return false;
    }
    if (!sl_utf8_valid(name)) {
        refusal->reason = rule->not_utf8;
        snprintf(refusal->text, sizeof refusal->text, "the %zu bytes of %s are not UTF-8",
                 name.size, rule->name);
        return false;
    }
    return true;
}

static bool check_attributes(const sl_sample_fields *fields, sl_refusal *refusal)
{
    if (fields->n_attributes > SLUICE_LIMIT_ATTRIBUTES) {
        refusal->reason = "too_many_attributes";
        snprintf(refusal->text, sizeof refusal->text, "attributes are %u; the limit is %d",
                 fields->n_attributes, SLUICE_LIMIT_ATTRIBUTES);
        return false;
    }
    for (uint32_t i = 0; i < fields->n_attributes; i++) {
        sluice_span name, value;
        sl_attribute_read(fields->attributes[i], &name, &value);
        if (name.size > SLUICE_LIMIT_SOURCE_BYTES) {
            return refuse_size(refusal, attribute_rule.too_long, attribute_rule.name, name.size,
                               SLUICE_LIMIT_SOURCE_BYTES);
        }
    }
    return true;
}

static bool check_sizes(const sl_sample_fields *fields, size_t wire_bytes, sl_refusal *refusal)
{
    size_t size = fields->payload.size;
    if (sl_media_type_is_image(fields->media_type)) {
        if (size > SLUICE_LIMIT_IMAGE_BYTES) {
            return refuse_size(refusal, "image_too_large", "the image", size,
                               SLUICE_LIMIT_IMAGE_BYTES);
        }
    } else if (size > SLUICE_LIMIT_TEXT_BYTES) {
        return refuse_size(refusal, "text_too_large", "the text", size, SLUICE_LIMIT_TEXT_BYTES);
    }
    if (wire_bytes - size > SL_SAMPLE_REST_BYTES) {
        return refuse_size(refusal, "sample_too_large", "the sample without its payload",
                           wire_bytes - size, SL_SAMPLE_REST_BYTES);
    }
    return true;
}

bool sl_sample_fields_check(const sl_sample_fields *fields, size_t wire_bytes, sl_refusal *refusal)
{
    if (fields->id.size == 0) {
        refusal->reason = "id_missing";
        snprintf(refusal->text, sizeof refusal->text,
                 "id is missing; it takes 1 to %d bytes of UTF-8", SLUICE_LIMIT_ID_BYTES);
        return false;
    }
    if (!check_name(&id_rule, fields->id, SLUICE_LIMIT_ID_BYTES, refusal) ||
        !check_name(&source_rule, fields->source, SLUICE_LIMIT_SOURCE_BYTES, refusal) ||
        !check_name(&media_type_rule, fields->media_type, SLUICE_LIMIT_SOURCE_BYTES, refusal) ||
        !check_name(&encoder_rule, fields->encoder, SLUICE_LIMIT_SOURCE_BYTES, refusal) ||
        !check_attributes(fields, refusal) || !check_sizes(fields, wire_bytes, refusal)) {
        return false;
    }
    if (!isfinite(fields->cost)) {
        refusal->reason = "cost_not_finite";
        snprintf(refusal->text, sizeof refusal->text, "cost is %s; it must be finite",
                 isnan(fields->cost) ? "NaN" : "infinite");
        return false;
    }
    return true;
}

void sl_attribute_read(sluice_span entry, sluice_span *name, sluice_span *value)
{
    sl_reader reader = sl_reader_of(entry);
    sl_wire_field field;
    *name = *value = (sluice_span){NULL, 0};
    while (sl_wire_field_next(&reader, &field)) {
        if (field.number == 1) {
            *name = field.span;
        } else if (field.number == 2) {
            *value = field.span;
        }
    }
}

bool sl_media_type_is_image(sluice_span media_type)
{
    static const char prefix[] = "image/"; /* media types are not case-sensitive: RFC 2045, 5.1 */
    const size_t size = sizeof prefix - 1;
    return media_type.size >= size && strncasecmp((const char *)media_type.data, prefix, size) == 0;
}

sluice_span sl_name_cut(sluice_span name)
{
    return (sluice_span){name.data,
                         name.size < SLUICE_LIMIT_ID_BYTES ? name.size : SLUICE_LIMIT_ID_BYTES};
}
