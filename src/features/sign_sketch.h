/* sign_sketch.h - a pseudo-random rotation of a vector, and the signs of what comes out. */
#ifndef SL_SIGN_SKETCH_H
#define SL_SIGN_SKETCH_H

#include "features/kernel.h"
#include "status.h"
#include "sluice/sample.h"

typedef struct sl_sign_sketch sl_sign_sketch; /* the seeded signs, and scratch: one a thread */

SLUICE_MUST_USE sluice_status sl_sign_sketch_open(uint64_t seed, sl_sign_sketch **out);
void sl_sign_sketch_close(sl_sign_sketch **sketch_p);

/* sl_sign_sketch_make - sign bits of a unit vector.
 *
 *     y = H S3 H S2 H S1 x        S: random signs; H: Hadamard of the next power of 2, at least 512
 *     bit i = y_i > 0             P(bit differs) = angle(x, x') / pi, so 512 bits say the cosine
 *                                 .90 within .035 (one standard deviation)
 *     margin i = min(255, 85 |y_i| / sd)
 *
 * row      Borrows float[dim], unit; SLUICE_EMBEDDING_MIN <= dim <= SLUICE_EMBEDDING_MAX.
 * key      Flips a pseudo-random half of the bits: vectors of two keys look unrelated.
 * bits     Out, SLUICE_SIGN_WORDS.
 * margins  Out, SLUICE_SIGN_BITS: a small one is a bit that a near vector may well have otherwise.
 * Cost     3 n log2 n additions, n = 512..4096; every kernel gives the same bits.
 * Source   Charikar 2002 (signs); Ailon & Chazelle 2006, Andoni et al. 2015 (the rotation). */
void sl_sign_sketch_make(sl_sign_sketch *sketch, const float *row, uint32_t dim, uint64_t key,
                         sl_kernel kernel, uint64_t *bits, uint8_t *margins);

/* sl_sign_quantize - a unit vector as 16-bit integers, the largest of them 32767 from zero.
 *
 * row   Borrows float[dim].
 * out   2 x dim bytes, little-endian. Each is within half a unit of its number. */
void sl_sign_quantize(const float *row, uint32_t dim, sl_kernel kernel, uint8_t *out);

#endif
