/* sign_keys.h - which rows share a group of sign bits with a vector, or nearly. */
#ifndef SL_SIGN_KEYS_H
#define SL_SIGN_KEYS_H

#include "duplicate/signs.h"

#define SL_SIGN_KEYS_GROUPS 16 /* keys of a row, each of its own bits */
#define SL_SIGN_KEYS_PROBES 17 /* of a group: the bits as they are, and 16 likely neighbours */

typedef struct sl_sign_keys sl_sign_keys; /* opaque; one writer */

/* Bytes of the keys of that many rows, and the bits of a group: log2 of the rows. */
size_t sl_sign_keys_bytes(uint32_t n_rows);
uint32_t sl_sign_keys_bits(uint32_t n_rows);
SLUICE_MUST_USE sluice_status sl_sign_keys_open(uint32_t n_rows, sl_sign_keys **out);
void sl_sign_keys_close(sl_sign_keys **keys_p);

void sl_sign_keys_insert(sl_sign_keys *keys, const uint64_t *bits, uint32_t slot);
void sl_sign_keys_clear(sl_sign_keys *keys);

/* One row that may share a key: found as the neighbour `value` of a group. */
typedef struct sl_sign_keys_hit {
    uint32_t slot, group, value;
} sl_sign_keys_hit;

#define SL_SIGN_KEYS_HITS (SL_SIGN_KEYS_GROUPS * SL_SIGN_KEYS_PROBES * 16)

/* sl_sign_keys_find - slots whose row may share a key with the vector or one of the neighbours.
 *
 *     neighbours of a group: its bits with those of least margin flipped, likeliest first
 *
 * hits     Out, SL_SIGN_KEYS_HITS; a slot may come several times, and slots of other rows too.
 * Returns  how many. */
uint32_t sl_sign_keys_find(const sl_sign_keys *keys, const uint64_t *bits, const uint8_t *margins,
                           sl_sign_keys_hit *hits);

/* Whether a row of these bits is rightly found so. */
bool sl_sign_keys_agree(const sl_sign_keys *keys, const uint64_t *bits,
                        const sl_sign_keys_hit *hit);

#endif
