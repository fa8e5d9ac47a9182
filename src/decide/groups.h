/* groups.h - how many samples of each group were dropped, and whether that is unequal. */
#ifndef SL_GROUPS_H
#define SL_GROUPS_H

#include "bytes.h"
#include "status.h"
#include "sluice/engine.h"

typedef struct sl_groups {
    uint32_t n; /* names seen; group[SLUICE_LIMIT_GROUPS] is "(other)" */
    struct sl_group {
        uint8_t name[SLUICE_LIMIT_SOURCE_BYTES];
        uint32_t name_size;
        uint64_t received, dropped;
    } group[SLUICE_LIMIT_GROUPS + 1];
} sl_groups;

void sl_groups_init(sl_groups *groups);

/* Counts one accepted sample. The first SLUICE_LIMIT_GROUPS names have a group of their own, in
 * order of appearance; "(none)" is the group of samples without a value. */
void sl_groups_apply(sl_groups *groups, sluice_span name, bool dropped);

uint32_t sl_groups_n(const sl_groups *groups); /* with "(other)" once there is one */
sluice_group_counts sl_groups_at(const sl_groups *groups, uint32_t i);

/* sl_groups_fairness - the two groups of at least `min_samples` whose shares of drops are furthest
 * apart.
 *
 *     ratio = highest dropped / received : lowest dropped / received; a group without drops counts
 *             as half a drop; NaN with fewer than two such groups, 1 if none has drops
 *     unfair = ratio > max_ratio */
sluice_fairness sl_groups_fairness(const sl_groups *groups, double max_ratio, uint64_t min_samples);

SLUICE_MUST_USE sluice_status sl_groups_save(const sl_groups *groups, sluice_bytes *out);
/* CORRUPT: not what save wrote; nothing changed. */
SLUICE_MUST_USE sluice_status sl_groups_load(sl_groups *groups, sl_reader *reader);

#endif
