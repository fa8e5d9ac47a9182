/* sign_keys.c - which rows share a group of sign bits with a vector, or nearly.
 *
 *   bits | group 0: K bits | group 1 | ... | group 15 |      K = log2 of the rows that fit
 *             |
 *             v  flip the bits of least margin: none, {1}, {2}, {1,2}, {3}, ...   17 values
 *          (group, value) --> key --> line of the buckets --> slots of rows
 *
 * Why neighbours: of 20 bits of a vector at cosine .90 three differ, most of them near the plane;
 * without the neighbours two in five such pairs are not found.
 * Why a fixed list by rank: margins of 20 normal numbers grow about evenly, so the order of the
 * likeliest sets is nearly always that of the sums of squared ranks.
 * Source: Charikar 2002; Lv et al. 2007 (multi-probe LSH). */
#include "duplicate/sign_keys.h"

#include "duplicate/buckets.h"

#include <stdlib.h>

#define N_RANKS 5 /* bits of least margin that neighbours flip */

struct sl_sign_keys {
    sl_buckets *buckets;
    uint32_t n_bits; /* of a group */
};

/* Sets of ranks by the sum of (rank + 1)^2. */
static const uint8_t flips[SL_SIGN_KEYS_PROBES] = {0, 1,  2,  3,  4,  5,  6,  7, 8,
                                                   9, 10, 11, 16, 12, 17, 13, 18};

uint32_t sl_sign_keys_bits(uint32_t n_rows)
{
    uint32_t n_bits = 8; /* nearest power: from 1.41 x 2^n rows on n + 1 */
    while (n_bits < 30 && (double)(UINT64_C(1) << n_bits) * 1.4142 < (double)n_rows) {
        n_bits++;
    }
    return n_bits;
}

static uint32_t lines_of(uint32_t n_rows)
{
    uint64_t n_lines = (uint64_t)n_rows * SL_SIGN_KEYS_GROUPS / SL_BUCKETS_FILL + 1;
    return n_lines < UINT32_MAX ? (uint32_t)n_lines : UINT32_MAX;
}

size_t sl_sign_keys_bytes(uint32_t n_rows)
{
    return sizeof(sl_sign_keys) + sl_buckets_bytes(lines_of(n_rows));
}

sluice_status sl_sign_keys_open(uint32_t n_rows, sl_sign_keys **out)
{
    *out = NULL;
    sl_sign_keys *keys = calloc(1, sizeof *keys);
    if (keys == NULL) {
        return SLUICE_E_NOMEM;
    }
    keys->n_bits = sl_sign_keys_bits(n_rows);
    sluice_status status = sl_buckets_open(lines_of(n_rows), n_rows, &keys->buckets);
    if (status != SLUICE_OK) {
        sl_sign_keys_close(&keys);
        return status;
    }
    *out = keys;
    return SLUICE_OK;
}

void sl_sign_keys_close(sl_sign_keys **keys_p)
{
    if (*keys_p != NULL) {
        sl_buckets_close(&(*keys_p)->buckets);
        free(*keys_p);
        *keys_p = NULL;
    }
}

static uint32_t value_of(const sl_sign_keys *keys, const uint64_t *bits, uint32_t group)
{
    uint32_t from = group * keys->n_bits, shift = from % 64;
    uint64_t value = bits[from / 64] >> shift;
    if (shift + keys->n_bits > 64) {
        value |= bits[from / 64 + 1] << (64 - shift);
    }
    return (uint32_t)(value & ((UINT64_C(1) << keys->n_bits) - 1));
}

static uint64_t key_of(uint32_t group, uint32_t value)
{
    uint64_t key = ((uint64_t)group << 32 | value) + UINT64_C(0x9e3779b97f4a7c15);
    key = (key ^ key >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    key = (key ^ key >> 27) * UINT64_C(0x94d049bb133111eb);
    return key ^ key >> 31;
}

void sl_sign_keys_insert(sl_sign_keys *keys, const uint64_t *bits, uint32_t slot)
{
    uint64_t key[SL_SIGN_KEYS_GROUPS];
    for (uint32_t group = 0; group < SL_SIGN_KEYS_GROUPS; group++) {
        key[group] = key_of(group, value_of(keys, bits, group));
        sl_buckets_prefetch(keys->buckets, key[group]);
    }
    for (uint32_t group = 0; group < SL_SIGN_KEYS_GROUPS; group++) {
        sl_buckets_insert(keys->buckets, key[group], slot);
    }
}

void sl_sign_keys_clear(sl_sign_keys *keys)
{
    sl_buckets_clear(keys->buckets);
}

/* The bits of least margin, as masks, least first; of equal ones the first. */
static void find_weakest(const uint8_t *margins, uint32_t n, uint32_t *mask)
{
    uint32_t least[N_RANKS]; /* margin << 8 | bit */
    for (uint32_t rank = 0; rank < N_RANKS; rank++) {
        least[rank] = UINT32_MAX;
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t margin = (uint32_t)margins[i] << 8 | i;
        for (uint32_t rank = 0; rank < N_RANKS; rank++) { /* bubbles the largest out */
            uint32_t low = margin < least[rank] ? margin : least[rank];
            margin = margin < least[rank] ? least[rank] : margin;
            least[rank] = low;
        }
    }
    for (uint32_t rank = 0; rank < N_RANKS; rank++) {
        mask[rank] = UINT32_C(1) << (least[rank] & 255);
    }
}

/* The values to look for in one group. */
static void list_values(const sl_sign_keys *keys, const uint64_t *bits, const uint8_t *margins,
                        uint32_t group, uint32_t *values)
{
    uint32_t value = value_of(keys, bits, group), mask[N_RANKS];
    find_weakest(margins + group * keys->n_bits, keys->n_bits, mask);
    for (uint32_t i = 0; i < SL_SIGN_KEYS_PROBES; i++) {
        values[i] = value;
        for (uint32_t rank = 0; rank < N_RANKS; rank++) {
            values[i] ^= flips[i] >> rank & 1 ? mask[rank] : 0;
        }
    }
}

uint32_t sl_sign_keys_find(const sl_sign_keys *keys, const uint64_t *bits, const uint8_t *margins,
                           sl_sign_keys_hit *hits)
{
    uint32_t values[SL_SIGN_KEYS_GROUPS][SL_SIGN_KEYS_PROBES];
    uint64_t key[SL_SIGN_KEYS_GROUPS][SL_SIGN_KEYS_PROBES];
    for (uint32_t group = 0; group < SL_SIGN_KEYS_GROUPS; group++) {
        list_values(keys, bits, margins, group, values[group]);
        for (uint32_t i = 0; i < SL_SIGN_KEYS_PROBES; i++) {
            key[group][i] = key_of(group, values[group][i]);
            sl_buckets_prefetch(keys->buckets, key[group][i]);
        }
    }
    uint32_t n = 0;
    for (uint32_t group = 0; group < SL_SIGN_KEYS_GROUPS; group++) {
        for (uint32_t i = 0; i < SL_SIGN_KEYS_PROBES; i++) {
            uint32_t slots[SL_BUCKETS_SLOTS];
            uint32_t n_slots = sl_buckets_find(keys->buckets, key[group][i], slots);
            for (uint32_t k = 0; k < n_slots; k++) {
                hits[n++] = (sl_sign_keys_hit){slots[k], group, values[group][i]};
            }
        }
    }
    return n;
}

bool sl_sign_keys_agree(const sl_sign_keys *keys, const uint64_t *bits, const sl_sign_keys_hit *hit)
{
    return value_of(keys, bits, hit->group) == hit->value;
}
