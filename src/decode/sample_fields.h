/* sample_fields.h - finds the fields of one encoded Sample and checks them against its rules. */
#ifndef SL_SAMPLE_FIELDS_H
#define SL_SAMPLE_FIELDS_H

#include "bytes.h"
#include "status.h"

#define SL_SAMPLE_REST_BYTES (1u << 20) /* of a sample beside its payload */

/* All spans lie inside the sample's bytes. As in every protobuf runtime, the last occurrence of a
 * field counts. */
typedef struct sl_sample_fields {
    sluice_span id, source, media_type, encoder, payload;
    int64_t event_time_us;
    double cost;
    sluice_span annotation; /* the last one, encoded                                        */
    bool annotated;
    uint32_t n_attributes;                           /* as many as there are               */
    sluice_span attributes[SLUICE_LIMIT_ATTRIBUTES]; /* the first ones, encoded map entries */
    uint32_t n_views;                                /* as many as there are               */
    sluice_span views[SLUICE_LIMIT_VIEWS];           /* the first ones, encoded            */
} sl_sample_fields;

/* Why a sample is refused. */
typedef struct sl_refusal {
    const char *reason; /* static; "id_too_long"                                             */
    char text[160];     /* ASCII; "id is 300 bytes; the limit is 256"                        */
} sl_refusal;

/* Walks the sample and everything known inside it. False: `malformed`, `too_complex` or a broken
 * string further inside; `fields` then holds what was found before. */
SLUICE_MUST_USE bool sl_sample_fields_find(sluice_span wire, sl_sample_fields *fields,
                                           sl_refusal *refusal);

/* The rules of the sample's own fields: names, sizes, finiteness. `wire_bytes`: its whole size. */
SLUICE_MUST_USE bool sl_sample_fields_check(const sl_sample_fields *fields, size_t wire_bytes,
                                            sl_refusal *refusal);

/* Name and value of one encoded map entry of strings that has been walked. */
void sl_attribute_read(sluice_span entry, sluice_span *name, sluice_span *value);

/* image/...; everything else, and an empty media type, counts as text. */
bool sl_media_type_is_image(sluice_span media_type);

/* The name itself or, if it is too long to be one, as much as a name may hold. */
sluice_span sl_name_cut(sluice_span name);

#endif
