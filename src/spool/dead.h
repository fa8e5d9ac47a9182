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

SLUICE_MUST_USE sluice_status sl_dead_visit(const sl_environment *environment, MDB_txn *txn,
                                            sl_spool_dead_visit *visit, void *context,
                                            sluice_message *why);

#endif
