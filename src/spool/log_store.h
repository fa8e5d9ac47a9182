/* log_store.h - the log: groups of samples by offset, written at the end and read from anywhere. */
#ifndef SL_LOG_STORE_H
#define SL_LOG_STORE_H

#include "spool/environment.h"
#include "spool/group.h"
#include "spool/meta.h"

/* Appends samples as one or more values; advances next_offset and next_ordinal. */
SLUICE_MUST_USE sluice_status sl_log_append(const sl_environment *environment, MDB_txn *txn,
                                            const sl_spool_sample *samples, uint32_t n_samples,
                                            sl_counters *counters, sluice_message *why);

/* Walks values in order; lends what `group` points to until the next call or the transaction ends.
 */
typedef struct sl_log_cursor {
    const sl_environment *environment;
    MDB_cursor *cursor;
    sl_group group;
} sl_log_cursor;

/* Opens beside the log; seek first. */
SLUICE_MUST_USE sluice_status sl_log_cursor_open(const sl_environment *environment, MDB_txn *txn,
                                                 sl_log_cursor *cursor, sluice_message *why);
void sl_log_cursor_close(sl_log_cursor *cursor);

/* Goes to the value that holds `offset`, or else the first above it; false in *found at the end. */
SLUICE_MUST_USE sluice_status sl_log_cursor_seek(sl_log_cursor *cursor, uint64_t offset,
                                                 bool *found, sluice_message *why);
SLUICE_MUST_USE sluice_status sl_log_cursor_next(sl_log_cursor *cursor, bool *found,
                                                 sluice_message *why);

/* Lends sample `i` of the group, its checksum compared. */
SLUICE_MUST_USE sluice_status sl_log_cursor_sample(const sl_log_cursor *cursor, uint32_t i,
                                                   sl_spool_sample *sample, sluice_message *why);

/* Offset of the first sample there is; `end` if there is none. */
SLUICE_MUST_USE sluice_status sl_log_first(const sl_environment *environment, MDB_txn *txn,
                                           uint64_t end, uint64_t *first, sluice_message *why);

SLUICE_MUST_USE sluice_status sl_log_visit(const sl_environment *environment, MDB_txn *txn,
                                           uint64_t from_offset, sl_spool_sample_visit *visit,
                                           void *context, sluice_message *why);

/* The work of sl_spool_sample_at and sl_spool_select_batch inside a transaction; the log ends
 * before offset `end`. */
SLUICE_MUST_USE sluice_status sl_log_sample_at(const sl_environment *environment, MDB_txn *txn,
                                               uint64_t offset, sluice_bytes *out,
                                               sluice_message *why);
SLUICE_MUST_USE sluice_status sl_log_select(const sl_environment *environment, MDB_txn *txn,
                                            uint64_t end, const sl_spool_select *select,
                                            sluice_bytes *out, sl_spool_selected *selected,
                                            sluice_message *why);

#endif
