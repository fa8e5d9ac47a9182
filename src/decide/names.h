/* names.h - what a policy may speak of, and what each name stands for in one sample. */
#ifndef SL_NAMES_H
#define SL_NAMES_H

#include "status.h"
#include "sluice/config.h"

#define SL_NAMES_ATTRIBUTES 16   /* different ones that one policy may speak of            */
#define SL_NAMES_TEXT_BYTES 4096 /* of one value; a longer one is cut there                */

typedef enum sl_name_kind {
    SL_NAME_DUPLICATE, /* true or false */
    SL_NAME_DUPLICATE_SIMILARITY,
    SL_NAME_DUPLICATE_METHOD,
    SL_NAME_DUPLICATE_OF,
    SL_NAME_DUPLICATE_DIFFERS,
    SL_NAME_DUPLICATE_SOURCE,    /* to here: nothing without a duplicate */
    SL_NAME_DUPLICATE_CONTAINED, /* of a sample that need not be one     */
    SL_NAME_INFLUENCE_LOSS,
    SL_NAME_INFLUENCE_SELF,
    SL_NAME_INFLUENCE_LEVERAGE,
    SL_NAME_INFLUENCE_SOURCE_SHIFT,
    SL_NAME_INFLUENCE_STATE,
    SL_NAME_INFLUENCE_RELIABILITY,
    SL_NAME_INFLUENCE_TOWARD, /* and the reference's place in the configuration */
    SL_NAME_PERCENTILE_LOSS,
    SL_NAME_PERCENTILE_SELF,
    SL_NAME_PERCENTILE_LEVERAGE,
    SL_NAME_PERCENTILE_TOWARD,
    SL_NAME_SAMPLE_SOURCE,
    SL_NAME_SAMPLE_MEDIA_TYPE,
    SL_NAME_SAMPLE_BYTES,
    SL_NAME_SAMPLE_COST,
    SL_NAME_SAMPLE_AGE_S,
    SL_NAME_ATTRIBUTE, /* and its place in sl_names */
    SL_N_NAMES
} sl_name_kind;

typedef struct sl_name {
    sl_name_kind kind;
    uint32_t index;
} sl_name;

/* The names that depend on the configuration; attributes are entered as they are met. */
typedef struct sl_names {
    uint32_t n_references, n_attributes;
    char reference[SLUICE_LIMIT_REFERENCES][64];
    char attribute[SL_NAMES_ATTRIBUTES][SLUICE_LIMIT_SOURCE_BYTES + 1];
} sl_names;

void sl_names_init(sl_names *names, const sluice_config *config);

/* sl_names_find - the meaning of a path such as influence.toward.catalogue, in at most three parts.
 *
 * part     Borrows n_parts words, 1 to 3.
 * wrong    Out on false: "percentile.leverag: unknown name; did you mean percentile.leverage?" */
bool sl_names_find(sl_names *names, const sluice_span *part, uint32_t n_parts, sl_name *name,
                   sluice_message *wrong);

/* What an expression is about. */
typedef struct sl_facts {
    const sluice_sample *sample;
    const sluice_span *attribute; /* by the places of sl_names; data NULL: it has none          */
    bool record_only; /* only the record is known: no bytes, cost, age_s and media type */
} sl_facts;

typedef enum sl_value_type {
    SL_VALUE_NIL, /* a text that is not there */
    SL_VALUE_BOOLEAN,
    SL_VALUE_NUMBER, /* NaN: not there */
    SL_VALUE_TEXT
} sl_value_type;

typedef struct sl_value {
    sl_value_type type;
    bool truth;
    double number;
    sluice_span text; /* lent by the sample */
} sl_value;

sl_value_type sl_name_type(sl_name_kind kind);
const char *sl_name_path(sl_name_kind kind); /* without the NAME of toward and attributes */
const char *sl_name_last(const sl_names *names, const sl_name *name); /* this NAME, or "" */
sl_value sl_name_value(const sl_names *names, const sl_name *name, const sl_facts *facts);

#endif
