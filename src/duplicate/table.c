/* table.c - remembers which places hold which keys, in a fixed number of bytes.
 *
 *   key (64 bits)  -> line = high 32 bits x lines / 2^32,  fingerprint = low 16 bits
 *
 *   line, 64 bytes |hand 2|- 2| fingerprint 2 x 10 | place + 1: 4 x 10 |        0 = empty slot
 *                    \ next slot to overwrite
 *
 * Why one line a bucket: query and insert touch one line of memory a key, and that line is the
 * cost.
 * Why overwrite the oldest slot: memory is the contract and recall may fade with age; a bucket that
 * everything falls into (boilerplate) costs ten looks, never more.
 * Why no tombstones: a slot is alive if the row at its place is and has that key; the row is read
 * for the verification anyway. A stale slot cannot show a row that the bucket has lost: rows get
 * places that others had before them, so a slot that names a row's place is older than the row's
 * own slot, and leaves the bucket first. So what is found is a function of the live rows alone:
 * rows leave oldest first, and the last ten of a bucket that are still alive are the last ten of
 * the living.
 * Invariant (sl_table_validate): hands point to slots, and slots fill in the order of the hand. */
#include "duplicate/table.h"

#include "duplicate/memory.h"

#include <stdlib.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

typedef struct line {
    uint16_t hand;
    uint16_t reserved;
    uint16_t fingerprint[SL_TABLE_SLOTS];
    uint32_t place[SL_TABLE_SLOTS]; /* + 1 */
} line;

_Static_assert(sizeof(line) == SL_TABLE_LINE_BYTES, "a bucket is a cache line");

struct sl_table {
    line *lines; /* from a cache line on, in the same allocation */
    uint32_t n_lines;
};

size_t sl_table_bytes(uint32_t n_lines)
{
    return sizeof(sl_table) + SL_TABLE_LINE_BYTES + (size_t)n_lines * SL_TABLE_LINE_BYTES;
}

sluice_status sl_table_open(uint32_t n_lines, sl_table **out)
{
    *out = NULL;
    SLUICE_ASSERT(n_lines > 0);
    sl_table *table = sl_memory_reserve(sl_table_bytes(n_lines));
    if (table == NULL) {
        return SLUICE_E_NOMEM;
    }
    uintptr_t at = (uintptr_t)(table + 1);
    table->lines =
        (line *)((at + SL_TABLE_LINE_BYTES - 1) / SL_TABLE_LINE_BYTES * SL_TABLE_LINE_BYTES);
    table->n_lines = n_lines;
    *out = table;
    return SLUICE_OK;
}

void sl_table_close(sl_table **table_p)
{
    free(*table_p);
    *table_p = NULL;
}

static line *line_of(const sl_table *table, uint64_t key)
{
    return &table->lines[(key >> 32) * table->n_lines >> 32];
}

void sl_table_prefetch(const sl_table *table, uint64_t key)
{
    __builtin_prefetch(line_of(table, key), 1);
}

uint32_t sl_table_match_ref(const uint16_t *slots, uint16_t fingerprint)
{
    uint32_t mask = 0;
    for (uint32_t i = 0; i < SL_TABLE_SLOTS; i++) {
        mask |= (uint32_t)(slots[2 + i] == fingerprint) << i;
    }
    return mask;
}

uint32_t sl_table_match(const uint16_t *slots, uint16_t fingerprint)
{
#if defined(__SSE2__)
    __m128i wanted = _mm_set1_epi16((short)fingerprint);
    __m128i low = _mm_loadu_si128((const __m128i *)(const void *)slots);
    __m128i high = _mm_loadu_si128((const __m128i *)(const void *)(slots + 8));
    __m128i equal = _mm_packs_epi16(_mm_cmpeq_epi16(low, wanted), _mm_cmpeq_epi16(high, wanted));
    return (uint32_t)_mm_movemask_epi8(equal) >> 2 & ((1u << SL_TABLE_SLOTS) - 1);
#else
    return sl_table_match_ref(slots, fingerprint);
#endif
}

uint32_t sl_table_find(const sl_table *table, uint64_t key, uint32_t *places)
{
    const line *bucket = line_of(table, key);
    uint32_t mask = sl_table_match((const uint16_t *)(const void *)bucket, (uint16_t)key);
    uint32_t n = 0;
    for (; mask != 0; mask &= mask - 1) {
        uint32_t place = bucket->place[__builtin_ctz(mask)];
        places[n] = place - 1;
        n += place != 0;
    }
    return n;
}

void sl_table_insert(sl_table *table, uint64_t key, uint32_t place)
{
    line *bucket = line_of(table, key);
    bucket->fingerprint[bucket->hand] = (uint16_t)key;
    bucket->place[bucket->hand] = place + 1;
    bucket->hand = (uint16_t)(bucket->hand + 1 == SL_TABLE_SLOTS ? 0 : bucket->hand + 1);
}

sl_table_entry sl_table_last(const sl_table *table, uint64_t key)
{
    const line *bucket = line_of(table, key);
    uint32_t place = bucket->place[bucket->hand];
    return (sl_table_entry){place != 0, bucket->fingerprint[bucket->hand], place - 1};
}

bool sl_table_same(const sl_table *table, uint64_t key, sl_table_entry entry, uint64_t other)
{
    return line_of(table, key) == line_of(table, other) && (uint16_t)other == entry.fingerprint;
}

void sl_table_clear(sl_table *table)
{
    memset(table->lines, 0, (size_t)table->n_lines * SL_TABLE_LINE_BYTES);
}

bool sl_table_validate(const sl_table *table, const char **reason)
{
    *reason = NULL;
    for (uint32_t i = 0; i < table->n_lines && *reason == NULL; i++) {
        const line *bucket = &table->lines[i];
        if (bucket->hand >= SL_TABLE_SLOTS || bucket->reserved != 0) {
            *reason = "the hand of a bucket points to no slot";
            return false;
        }
        bool full = bucket->place[bucket->hand] != 0; /* then every slot is taken */
        for (uint32_t j = 0; j < SL_TABLE_SLOTS; j++) {
            if ((bucket->place[j] != 0) != (full || j < bucket->hand)) {
                *reason = "slots of a bucket were not filled in order";
            }
        }
    }
    return *reason == NULL;
}
