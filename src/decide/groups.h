/* groups.h - which group a sample is of, and whether groups are dropped unequally.
 *
 * What is known of each group is a portfolio by group (sluice/portfolio.h). */
#ifndef SL_GROUPS_H
#define SL_GROUPS_H

#include "bytes.h"
#include "decide/names.h"
#include "sluice/engine.h"

/* sl_groups_key - what a value of fairness.group_by stands for.
 * names  its attribute is entered there.
 * wrong  Out on false. */
bool sl_groups_key(sl_names *names, const char *group_by, sl_name *key, sluice_message *wrong);

/* The group of a sample; empty where it has none. Lent by the sample. */
sluice_span sl_groups_of(const sl_names *names, const sl_name *key, const sl_facts *facts);

/* Counts one accepted sample, or (note) remembers only that it is of this group. "(none)" is the
 * group of samples without a value; a name is cut at SLUICE_LIMIT_SOURCE_BYTES. */
void sl_groups_apply(sluice_portfolio *groups, sluice_span name, const sluice_sample *sample);
void sl_groups_note(sluice_portfolio *groups, sluice_span name, const sluice_sample *sample);

/* In order of appearance, and "(other)" behind them once there is one. groups NULL: none. */
uint32_t sl_groups_n(const sluice_portfolio *groups);
sluice_group_counts sl_groups_at(const sluice_portfolio *groups, uint32_t i);

/* sl_groups_fairness - the two groups of at least `min_samples` whose shares of drops are furthest
 * apart.
 *
 *     ratio = highest dropped / received : lowest dropped / received; a group without drops counts
 *             as half a drop; NaN with fewer than two such groups, 1 if none has drops
 *     unfair = ratio > max_ratio */
sluice_fairness sl_groups_fairness(const sluice_portfolio *groups, double max_ratio,
                                   uint64_t min_samples);

/* sl_groups_load_counts - received and dropped by group, as checkpoints of version 3 have them; all
 * else of them was not counted then. Into an empty portfolio; NULL: read and left out.
 * CORRUPT: `groups` may hold a part of it. */
SLUICE_MUST_USE sluice_status sl_groups_load_counts(sluice_portfolio *groups, sl_reader *reader);

#endif
