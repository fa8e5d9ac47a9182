/* cosine.h - the cosine of a unit vector and a remembered one, exactly. */
#ifndef SL_COSINE_H
#define SL_COSINE_H

#include "status.h"
#include "sluice/sample.h"

/* A vector that asks, as integers of 2^-30. */
typedef struct sl_cosine_query {
    uint32_t dim;
    int32_t number[SLUICE_EMBEDDING_MAX];
} sl_cosine_query;

/* row  Borrows float[dim], unit; dim <= SLUICE_EMBEDDING_MAX. */
void sl_cosine_ask(const float *row, uint32_t dim, sl_cosine_query *query);

typedef struct sl_cosine {
    double value;    /* of the two as they are here, rounded once                                */
    double at_least; /* of the two as they came                                                  */
} sl_cosine;

/* sl_cosine_of - the cosine of the query and a vector that sl_sign_quantize wrote.
 *
 *     value = <q, k> / (|q| |k|)                 integers until the division
 *     |x - k/s| <= sqrt(d) / 2 |k|               x: the vector that k was made of
 *     at_least = cos(angle(q, k) + asin(sqrt(d) / 2 |k|))
 *
 * stored  Borrows 2 x dim bytes.
 * Cost    2 dim integer products. The same on every machine.
 * Error   |value - cosine of what came| <= sin(angle) sqrt(d) / 2 |k| + 1e-7: about 2e-5 at a
 *         cosine of .95, typically a tenth of that. */
sl_cosine sl_cosine_of(const sl_cosine_query *query, const uint8_t *stored);

#endif
