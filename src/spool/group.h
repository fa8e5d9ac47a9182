/* group.h - the bytes of one value of the log: samples of a commit, ready to be sent. */
#ifndef SL_GROUP_H
#define SL_GROUP_H

#include "spool/spool.h"

#define SL_GROUP_HEAD_BYTES  40 /* seal, first offset, ordinal, count, reserved              */
#define SL_GROUP_ENTRY_BYTES 32 /* one sample in the directory                               */

/* A group as it lies in memory that the caller lends; nothing is copied. */
typedef struct sl_group {
    uint64_t first_offset, next_offset;
    uint64_t ordinal; /* running number of the log value, for shards            */
    uint32_t count;
    const uint8_t *directory; /* count x SL_GROUP_ENTRY_BYTES                            */
    sluice_span batch;        /* all samples as `0A len bytes`: the body of a Batch      */
} sl_group;

typedef struct sl_group_entry {
    uint32_t position, size; /* in `batch`: tag, length and sample                      */
    int64_t arrived_us;
    uint64_t check; /* XXH3-64 of those `size` bytes                           */
    uint32_t i_producer;
    sluice_decision decision; /* KEEP, FLAG or DROP                                      */
} sl_group_entry;

/* How many of the first samples one value takes (at least one) and how large it gets; 0 if the
 * first alone is beyond 1 GiB. */
uint32_t sl_group_plan(const sl_spool_sample *samples, uint32_t n_samples, size_t *value_bytes);

/* Writes exactly the bytes planned for `count` samples. */
void sl_group_write(const sl_spool_sample *samples, uint32_t count, uint64_t ordinal,
                    uint8_t *value);

/* sl_group_fault - finds the parts of a stored group.
 *
 * value    Borrows as long as `group` is used; any bytes at all.
 * Returns  NULL, or a static phrase saying what is wrong. After NULL the directory is sound:
 *          positions dense, decisions known, every entry inside `batch`. The samples' own bytes
 *          are not read: sl_group_sample_fault checks the ones that are wanted.
 * Cost     one pass over the directory. */
const char *sl_group_fault(sluice_span value, sl_group *group);

sl_group_entry sl_group_entry_of(const sl_group *group, uint32_t i);

/* Lends the sample at `i` (annotation inside `wire`); NULL, or what is wrong with its bytes. */
const char *sl_group_sample_fault(const sl_group *group, uint32_t i, sl_spool_sample *sample);

#endif
