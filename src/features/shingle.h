/* shingle.h - makes one hash of every n consecutive units. */
#ifndef SL_SHINGLE_H
#define SL_SHINGLE_H

#include "features/kernel.h"

#include <stddef.h>
#include <stdint.h>

#define SL_SHINGLE_UNITS_MAX 16

/* sl_shingle_make - replaces the hashes of units by those of their n-grams, in place.
 *
 *     hash[i] = sum over j < n of hash[i + j] * C_j  mod 2^64,  C_j odd constants
 *
 * hash     In: n_units well mixed hashes of units. Out: the result's count of them.
 * n        1..SL_SHINGLE_UNITS_MAX. Fewer units than that are one shingle; no units, none.
 * Returns  Number of shingles. */
size_t sl_shingle_make(uint64_t *hash, size_t n_units, unsigned n, sl_kernel kernel);

#endif
