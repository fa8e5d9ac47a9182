/* contain.h - whether a kept text holds nearly all of a shorter one. */
#ifndef SL_CONTAIN_H
#define SL_CONTAIN_H

#include "duplicate/index.h"

/* What a row holds of it: how many hashes, then the hashes. */
#define SL_CONTAIN_BYTES (8 + SLUICE_BOTTOM_HASHES * 4)
#define SL_CONTAIN_LEAST 5 /* hashes that a share needs */

/* sl_contain_share - share of the shingles of `a` that `b` has too, |A and B| / |A|
 *
 * a, b     Their smallest hashes, ascending; fewer than SLUICE_BOTTOM_HASHES are all they have.
 * Error    Only hashes up to the smaller of both largest are known of both: m of A's. Standard
 *          deviation sqrt(c (1 - c) / m); 0 if m < SL_CONTAIN_LEAST: b is 25 times as long as a,
 *          or more. */
float sl_contain_share(const uint32_t *a, uint32_t n_a, const uint32_t *b, uint32_t n_b);

void sl_contain_write(const sluice_features *features, uint8_t *out); /* SL_CONTAIN_BYTES */

/* Enters the hashes that a row holds at `held` into the table, where its place is found by them. */
void sl_contain_enter(sl_table *table, const uint8_t *held, uint32_t place);

/* The kept text that holds most of the sample, from `threshold` on, then the oldest: sets
 * match->contained, contained_in. `held_at`: bytes of a row's payload before what it holds. */
void sl_contain_probe(const sl_index *index, uint32_t held_at, const sl_horizon *horizon,
                      const sluice_sample *sample, float threshold, sluice_match *match);

#endif
