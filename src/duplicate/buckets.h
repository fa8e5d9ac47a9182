/* buckets.h - remembers which slots of a ring hold which keys, 16 to a cache line. */
#ifndef SL_BUCKETS_H
#define SL_BUCKETS_H

#include "status.h"

#include <stddef.h>
#include <stdint.h>

#define SL_BUCKETS_SLOTS      16 /* a line: the newest entries of a bucket                         */
#define SL_BUCKETS_LINE_BYTES 64
#define SL_BUCKETS_FILL       12 /* entries a line to plan for: 2 % of them, the oldest, are lost  */

typedef struct sl_buckets sl_buckets; /* opaque; one writer */

size_t sl_buckets_bytes(uint32_t n_lines); /* everything allocated */

/* `n_slots` of the ring, below 2^31. Gives *out. */
SLUICE_MUST_USE sluice_status sl_buckets_open(uint32_t n_lines, uint32_t n_slots, sl_buckets **out);
void sl_buckets_close(sl_buckets **buckets_p);

void sl_buckets_prefetch(const sl_buckets *buckets, uint64_t key);

/* sl_buckets_find - the slots that may hold a key, newest first.
 *
 * key      Uniform in all of its bits.
 * slots    Out, SL_BUCKETS_SLOTS of them.
 * Returns  how many. Every slot inserted with this key is among them unless SL_BUCKETS_SLOTS newer
 *          entries came to its line; others may be (32 bits hold slot and fingerprint). The caller
 *          looks at the row's own key. */
uint32_t sl_buckets_find(const sl_buckets *buckets, uint64_t key, uint32_t *slots);

void sl_buckets_insert(sl_buckets *buckets, uint64_t key, uint32_t slot);
void sl_buckets_clear(sl_buckets *buckets);

#endif
