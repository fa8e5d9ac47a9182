/* sign_query.h - which sign bits a vector asks of others, and how many of those may differ. */
#ifndef SL_SIGN_QUERY_H
#define SL_SIGN_QUERY_H

#include "status.h"
#include "sluice/sample.h"

#define SL_SIGN_STEPS      4  /* step s looks at the first 2^s words */
#define SL_SIGN_MARGIN_MIN 40 /* of bits that are asked: .47 standard deviations */

_Static_assert(1 << (SL_SIGN_STEPS - 1) == SLUICE_SIGN_WORDS, "the last step looks at all");

/* Most bits that may differ where so many are asked, for each step. */
typedef struct sl_sign_bounds {
    uint16_t most[SL_SIGN_STEPS][SLUICE_SIGN_BITS + 1];
} sl_sign_bounds;

/* sl_sign_bounds_of - bounds that a vector at this cosine keeps but for a share of 3e-4 in the
 * first step and 3e-5 in each of the others.
 *
 *     P(a bit of margin m differs) = Q(m c / sqrt(1 - c^2))       c: cosine, Q: tail of the normal
 *     p = its mean over m >= SL_SIGN_MARGIN_MIN, m normal         were all asked: acos(c) / pi
 *     how many of n asked bits differ is binomial (n, p)
 *
 * Why not all bits: at .90 four of five that differ are of the third next to the planes, which says
 * hardly anything of other vectors. Without it a ninth as many of those pass, at the same loss. */
void sl_sign_bounds_of(double cosine, sl_sign_bounds *out);

/* What a row must be like. Distances of the bits asked are counted over the words of a step. */
typedef struct sl_sign_query {
    uint64_t bits[SLUICE_SIGN_WORDS], asked[SLUICE_SIGN_WORDS];
    uint32_t most[SL_SIGN_STEPS]; /* of the bits asked */
    uint32_t most_of_all;         /* of all 512        */
} sl_sign_query;

/* bits, margins: what sl_sign_sketch_make wrote. */
void sl_sign_query_make(const sl_sign_bounds *bounds, const uint64_t *bits, const uint8_t *margins,
                        sl_sign_query *query);

#endif
