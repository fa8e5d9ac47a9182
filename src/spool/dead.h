/* dead.h - samples that found no way on, kept for a person to look at. */
#ifndef SL_DEAD_H
#define SL_DEAD_H

#include "spool/environment.h"
#include "spool/meta.h"

/* Stores a letter under the next number, within the room that spool.h promises: first whole, then
 * without its sample, then only counted; `counters` say which. */
SLUICE_MUST_USE sluice_status sl_dead_append(const sl_environment *environment, MDB_txn *txn,
                                             const sl_spool_dead *dead, sl_counters *counters,
                                             sluice_message *why);

/* Deletes every letter; numbers go on, so what was deleted is the numbers that are missing. */
SLUICE_MUST_USE sluice_status sl_dead_drop(const sl_environment *environment, MDB_txn *txn,
                                           sluice_message *why);
/* Letters that are there. */
SLUICE_MUST_USE sluice_status sl_dead_count(const sl_environment *environment, MDB_txn *txn,
                                            uint64_t *n, sluice_message *why);

SLUICE_MUST_USE sluice_status sl_dead_visit(const sl_environment *environment, MDB_txn *txn,
                                            sl_spool_dead_visit *visit, void *context,
                                            sluice_message *why);

#endif
