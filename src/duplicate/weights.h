/* weights.h - how much each coordinate of a sketch counts: little if the stream is full of it. */
#ifndef SL_WEIGHTS_H
#define SL_WEIGHTS_H

#include "status.h"
#include "sluice/sample.h"

typedef struct sl_weights sl_weights; /* opaque; one writer */

#define SL_WEIGHTS_MOST 64 /* of a coordinate */

/* Memory of one profile; real only where something is counted. */
#define SL_WEIGHTS_BYTES ((size_t)SLUICE_SKETCH_COORDINATES * 256 * sizeof(uint32_t))

SLUICE_MUST_USE sluice_status sl_weights_open(sl_weights **out); /* Gives *out */
void sl_weights_close(sl_weights **weights_p);                   /* Takes; NULL ok */

/* A sketch that counts from now on, or no longer. What is counted is a function of the sketches
 * that count and their offsets alone: all below SL_WEIGHTS_ALL_BELOW, then one in 16. */
#define SL_WEIGHTS_ALL_BELOW UINT64_C(16384)
void sl_weights_add(sl_weights *weights, uint64_t offset, const uint8_t *sketch);
void sl_weights_remove(sl_weights *weights, uint64_t offset, const uint8_t *sketch);

/* sl_weights_of - what the coordinates of a sketch count for.
 *
 *     d = log2((N + 256) / max(n(i, sketch[i]), 1)),  within 0..8
 *     weight[i] = 64 (d / 8)^2, rounded down
 *
 * N        counted sketches; n(i, v) those of them whose coordinate i is v: one of them may be the
 *          match itself, so one says nothing. log2 is linear between powers of two, in steps of
 *          1/16: integers only, the same on every processor.
 * weight   Out: 0..SL_WEIGHTS_MOST; all SL_WEIGHTS_MOST where nothing is counted, or where nothing
 *          would be left.
 * Returns  their sum, > 0.
 * Source   Sparck Jones 1972 (inverse document frequency). */
uint32_t sl_weights_of(const sl_weights *weights, const uint8_t *sketch,
                       uint8_t weight[SLUICE_SKETCH_COORDINATES]);

/* The owner's: sketches from this offset on count. 0 at first. */
uint64_t *sl_weights_from(sl_weights *weights);

uint64_t sl_weights_counted(const sl_weights *weights); /* N */

#endif
