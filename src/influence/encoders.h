/* encoders.h - the estimators of all encoders, each with what finds it. */
#ifndef SL_ENCODERS_H
#define SL_ENCODERS_H

#include "influence/estimator.h"
#include "influence/influence.h"
#include "influence/project.h"

typedef struct sl_encoder {
    uint8_t name[SLUICE_LIMIT_SOURCE_BYTES];
    uint32_t name_size;
    uint32_t n_views, dim, dim_in; /* as they come */
    sl_estimator *estimator;       /* NULL: free */
    sl_project out, in;            /* dim 0: not projected */
    float *projected, *projected_in;
} sl_encoder;

/* A reference set that came from a file, before it is given to an encoder. */
typedef struct sl_loose_reference {
    uint8_t encoder[SLUICE_LIMIT_SOURCE_BYTES];
    uint32_t encoder_size;
    uint32_t n, n_views, dim, dim_in;
    sluice_bytes rows, inputs;
} sl_loose_reference;

struct sl_influence {
    sluice_influence_config settings;
    uint64_t seed;
    bool on;
    sl_encoder encoder[SLUICE_LIMIT_ENCODERS];
    /* The same estimators, for the thread that makes refreshes. */
    _Atomic(sl_estimator *) shared[SLUICE_LIMIT_ENCODERS];
    sl_loose_reference loose[SLUICE_LIMIT_REFERENCES];
};

bool sl_encoder_has_name(const sl_encoder *known, sluice_span name);
void sl_encoder_close(sl_encoder *known); /* free again */

/* The encoder of this name and shape, or a free one; NULL if there is none. */
sl_encoder *sl_encoders_find(const sl_influence *influence, sluice_span name, uint32_t n_views,
                             uint32_t dim, uint32_t dim_in);
sl_encoder *sl_encoders_room(const sl_influence *influence);

/* A new state, with the reference sets that fit it. */
SLUICE_MUST_USE sluice_status sl_encoder_open(const sl_influence *influence, sluice_span name,
                                              uint32_t n_views, uint32_t dim, uint32_t dim_in,
                                              sl_encoder *out);

/* Lets the thread that makes refreshes see it. */
void sl_encoder_share(sl_influence *influence, const sl_encoder *known);

/* Rows as the estimator takes them: projected where they are long, over the norm of the output.
 * Lends until the next call. */
sluice_views sl_encoder_views(sl_encoder *known, const sluice_views *views);

/* What has come for each set so far, as far as it fits this encoder. */
void sl_encoder_give_references(const sl_influence *influence, sl_encoder *to);

#endif
