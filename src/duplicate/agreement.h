/* agreement.h - counts the coordinates in which two set sketches agree. */
#ifndef SL_AGREEMENT_H
#define SL_AGREEMENT_H

#include "status.h"
#include "sluice/sample.h"

/* sl_agreement - n = |{i : a[i] = b[i]}|, i below SLUICE_SKETCH_COORDINATES
 *
 * a, b     Borrow SLUICE_SKETCH_COORDINATES bytes each, any alignment; may be the same. */
typedef uint32_t sl_agreement(const uint8_t *a, const uint8_t *b);

uint32_t sl_agreement_ref(const uint8_t *a, const uint8_t *b);
sl_agreement *sl_agreement_best(void); /* the fastest that this processor runs */

/* sl_agreement_weighted - sum of weight[i] over the coordinates in which a and b agree
 *
 * weight   Borrows SLUICE_SKETCH_COORDINATES bytes. */
typedef uint32_t sl_agreement_weighted(const uint8_t *a, const uint8_t *b, const uint8_t *weight);

uint32_t sl_agreement_weighted_ref(const uint8_t *a, const uint8_t *b, const uint8_t *weight);
sl_agreement_weighted *sl_agreement_weighted_best(void);

/* sl_agreement_similarity - estimated Jaccard of two sets whose sketches agree in n coordinates
 *
 *     J = (n / 128 - 1 / 256) / (1 - 1 / 256), not below 0: one byte agrees by chance 1 in 256 */
float sl_agreement_similarity(uint32_t n);

/* The same of weighted sets, from a sum of weights out of `all` > 0. */
float sl_agreement_weighted_similarity(uint32_t sum, uint32_t all);

/* The smallest n whose similarity is at least `threshold`; 129 if there is none. */
uint32_t sl_agreement_least(float threshold);

#endif
