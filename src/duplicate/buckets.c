/* buckets.c - remembers which slots of a ring hold which keys, 16 to a cache line.
 *
 *   key --> line | entry | entry | ...  16 x 32 bits, newest first |
 *           entry  = fingerprint << n_bits | slot + 1               0: empty
 *
 * Why not table.c: its places need 32 bits, which makes 10 entries a line. Slots of a ring need as
 * many bits as the ring is long; what is left is fingerprint. At 16 keys a row that is 85 bytes
 * against 128, and fewer entries are pushed out of full lines.
 * Why newest first: what is pushed out is the oldest, so a live row's entry is there exactly if it
 * would be there had no older row ever been: the table is a function of the live rows. */
#include "duplicate/buckets.h"

#include "duplicate/memory.h"

#include <stdlib.h>
#include <string.h>

struct sl_buckets {
    uint32_t *lines;
    uint32_t n_lines;
    uint32_t n_bits; /* of slot + 1 */
};

size_t sl_buckets_bytes(uint32_t n_lines)
{
    return sizeof(sl_buckets) + 64 + (size_t)n_lines * SL_BUCKETS_LINE_BYTES;
}

sluice_status sl_buckets_open(uint32_t n_lines, uint32_t n_slots, sl_buckets **out)
{
    *out = NULL;
    SLUICE_ASSERT(n_lines > 0 && n_slots > 0 && n_slots < UINT32_C(1) << 31);
    sl_buckets *buckets = sl_memory_reserve(sl_buckets_bytes(n_lines));
    if (buckets == NULL) {
        return SLUICE_E_NOMEM;
    }
    uintptr_t after = ((uintptr_t)(buckets + 1) + 63) & ~(uintptr_t)63;
    buckets->lines = (uint32_t *)after;
    buckets->n_lines = n_lines;
    buckets->n_bits = 32 - (uint32_t)__builtin_clz(n_slots);
    *out = buckets;
    return SLUICE_OK;
}

void sl_buckets_close(sl_buckets **buckets_p)
{
    free(*buckets_p);
    *buckets_p = NULL;
}

static uint32_t *line_of(const sl_buckets *buckets, uint64_t key)
{
    uint64_t i = (key >> 32) * buckets->n_lines >> 32;
    return buckets->lines + i * SL_BUCKETS_SLOTS;
}

static uint32_t fingerprint_of(const sl_buckets *buckets, uint64_t key)
{
    return (uint32_t)key << buckets->n_bits;
}

void sl_buckets_prefetch(const sl_buckets *buckets, uint64_t key)
{
    __builtin_prefetch(line_of(buckets, key));
}

uint32_t sl_buckets_find(const sl_buckets *buckets, uint64_t key, uint32_t *slots)
{
    const uint32_t *line = line_of(buckets, key);
    uint32_t fingerprint = fingerprint_of(buckets, key);
    uint32_t mask = (UINT32_C(1) << buckets->n_bits) - 1;
    uint32_t same = 0, n = 0;
    for (uint32_t i = 0; i < SL_BUCKETS_SLOTS; i++) { /* all of them: no branch to guess */
        uint32_t is_same = (line[i] & ~mask) == fingerprint && line[i] != 0;
        same |= is_same << i;
    }
    for (; same != 0; same &= same - 1) {
        slots[n++] = (line[__builtin_ctz(same)] & mask) - 1;
    }
    return n;
}

void sl_buckets_insert(sl_buckets *buckets, uint64_t key, uint32_t slot)
{
    uint32_t *line = line_of(buckets, key);
    memmove(line + 1, line, (SL_BUCKETS_SLOTS - 1) * sizeof *line);
    line[0] = fingerprint_of(buckets, key) | (slot + 1);
}

void sl_buckets_clear(sl_buckets *buckets)
{
    memset(buckets->lines, 0, (size_t)buckets->n_lines * SL_BUCKETS_LINE_BYTES);
}
