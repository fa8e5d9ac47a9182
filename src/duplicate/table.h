/* table.h - remembers which places hold which keys, in a fixed number of bytes. */
#ifndef SL_TABLE_H
#define SL_TABLE_H

#include "status.h"

#include <stdbool.h>
#include <stdint.h>

#define SL_TABLE_SLOTS      10 /* a line: the newest entries of a bucket                            */
#define SL_TABLE_LINE_BYTES 64
#define SL_TABLE_FILL       8 /* entries a line to plan for: 5 % of them, the oldest, are lost      */

typedef struct sl_table sl_table; /* opaque; one writer */

size_t sl_table_bytes(uint32_t n_lines); /* everything allocated */

SLUICE_MUST_USE sluice_status sl_table_open(uint32_t n_lines, sl_table **out); /* Gives *out */
void sl_table_close(sl_table **table_p);                                       /* Takes; NULL ok */

void sl_table_prefetch(const sl_table *table, uint64_t key);

/* sl_table_find - the places that may hold a key, in no order.
 *
 * key      Uniform in all of its bits.
 * places   Out, SL_TABLE_SLOTS of them.
 * Returns  how many. Every place inserted with this key is among them unless SL_TABLE_SLOTS newer
 *          entries came to its bucket; others may be: 1 in 65,536 entries shares the fingerprint,
 *          and a place may have been evicted since. The caller looks at the row.
 * Cost     one cache line. */
uint32_t sl_table_find(const sl_table *table, uint64_t key, uint32_t *places);
uint32_t sl_table_match(const uint16_t *line, uint16_t fingerprint);     /* kernel of find ... */
uint32_t sl_table_match_ref(const uint16_t *line, uint16_t fingerprint); /* ... and its twin  */

/* The entry that the next insert of a key will push out. */
typedef struct sl_table_entry {
    bool used;
    uint16_t fingerprint;
    uint32_t place;
} sl_table_entry;
sl_table_entry sl_table_last(const sl_table *table, uint64_t key);

/* Whether `other` may be the key of an entry in the bucket of `key`: it has both in common. */
bool sl_table_same(const sl_table *table, uint64_t key, sl_table_entry entry, uint64_t other);

void sl_table_insert(sl_table *table, uint64_t key, uint32_t place); /* place < UINT32_MAX */
void sl_table_clear(sl_table *table);

bool sl_table_validate(const sl_table *table, const char **reason);

#endif
