/* retention.h - deletes what nobody may ask for any more. */
#ifndef SL_RETENTION_H
#define SL_RETENTION_H

#include "spool/environment.h"
#include "spool/meta.h"

/* Free bytes of the log that retention restores: an eighth, 64 MiB at most. */
uint64_t sl_retention_headroom(uint64_t max_bytes);

/* Deletes log values as spool.h says (sl_spool_append), and values of rows all of which lie below
 * counters->oldest_row. Counts the deleted samples in `counters`. */
SLUICE_MUST_USE sluice_status sl_retention_run(const sl_environment *environment, MDB_txn *txn,
                                               uint64_t max_bytes, sl_counters *counters,
                                               sluice_message *why);

#endif
