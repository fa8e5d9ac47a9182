/* set_sketch.h - makes 128 bytes of a set, so that equal bytes estimate how similar sets are. */
#ifndef SL_SET_SKETCH_H
#define SL_SET_SKETCH_H

#include "sluice/sample.h"
#include "features/kernel.h"

typedef struct sl_set_sketch sl_set_sketch; /* the tables of one seed; read only once open */

SLUICE_MUST_USE sluice_status sl_set_sketch_open(uint64_t seed, sl_set_sketch **out); /* Gives */
void sl_set_sketch_close(sl_set_sketch **sketcher_p); /* Takes; NULL ok */

/* sl_set_sketch_make - similarity sketch of a set of 64-bit hashes.
 *
 *     P(a[i] = b[i]) = J + (1 - J) / 256,  J = |A and B| / |A or B|,  for every coordinate i
 *
 * hash     Borrows n > 0 well mixed hashes in any order, equal ones any number of times.
 * out      128 coordinates. A pure function of the set and the seed, the same on every CPU.
 * Cost     About n + 128 ln 128 steps; no allocation, 60 KB of stack.
 * Error    Variance of the estimate at most J (1 - J) / 128 (MinHash's), much less for small sets.
 * Threads  Pure.
 * Source   At the head of set_sketch.c. */
void sl_set_sketch_make(const sl_set_sketch *sketcher, const uint64_t *hash, size_t n,
                        sl_kernel kernel, uint8_t out[SLUICE_SKETCH_COORDINATES]);

#endif
