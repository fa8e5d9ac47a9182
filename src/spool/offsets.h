/* offsets.h - how far every producer and every consumer group has come. */
#ifndef SL_OFFSETS_H
#define SL_OFFSETS_H

#include "spool/environment.h"

SLUICE_MUST_USE sluice_status sl_offsets_put_producer(const sl_environment *environment,
                                                      MDB_txn *txn,
                                                      const sl_spool_producer *producer,
                                                      sluice_message *why);

/* TOOBIG for one group more than SLUICE_LIMIT_CONSUMER_GROUPS. */
SLUICE_MUST_USE sluice_status sl_offsets_put_group(const sl_environment *environment, MDB_txn *txn,
                                                   const sl_spool_group *group,
                                                   sluice_message *why);

/* Deletes a consumer group's progress, if there is any. */
SLUICE_MUST_USE sluice_status sl_offsets_retire_group(const sl_environment *environment,
                                                      MDB_txn *txn, const char *name,
                                                      sluice_message *why);

SLUICE_MUST_USE sluice_status sl_offsets_producers(const sl_environment *environment, MDB_txn *txn,
                                                   sl_spool_producer_visit *visit, void *context,
                                                   sluice_message *why);
SLUICE_MUST_USE sluice_status sl_offsets_groups(const sl_environment *environment, MDB_txn *txn,
                                                sl_spool_group_visit *visit, void *context,
                                                sluice_message *why);

/* The smallest floor of all consumer groups; UINT64_MAX if there is none. */
SLUICE_MUST_USE sluice_status sl_offsets_min_floor(const sl_environment *environment, MDB_txn *txn,
                                                   uint64_t *floor, sluice_message *why);

/* True if the ranges are sorted, not empty, not touching and above the floor. */
bool sl_offsets_ranges_sound(const sl_spool_group *group);

#endif
