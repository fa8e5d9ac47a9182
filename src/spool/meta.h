/* meta.h - the few single values of a state: format, state lines, running numbers, checkpoint. */
#ifndef SL_META_H
#define SL_META_H

#include "spool/environment.h"

/* Running numbers that cannot be found again from the other databases; written with every append.
 */
typedef struct sl_counters {
    uint64_t next_offset, next_ordinal;
    uint64_t deleted_samples;
    uint64_t checkpoint_offset;
    uint64_t oldest_row;
    uint64_t n_dead; /* also the key of the next letter */
    uint64_t n_dead_cut, n_dead_lost;
} sl_counters;

/* Fills the meta database of a new state; an LMDB code. */
int sl_meta_create(MDB_txn *txn, MDB_dbi meta, sluice_span state_lines);

/* CONFIG if the state is of another format, naming both numbers. */
SLUICE_MUST_USE sluice_status sl_meta_check_format(const sl_environment *environment, MDB_txn *txn,
                                                   sluice_message *why);

/* CONFIG if the state was made with other lines: names the first key that differs, both values and
 * what to do. Lines are "key: value\n", sorted. A key that the state does not have is younger than
 * the state, and must have its default. */
SLUICE_MUST_USE sluice_status sl_meta_check_lines(const sl_environment *environment, MDB_txn *txn,
                                                  sluice_span lines, sluice_message *why);

SLUICE_MUST_USE sluice_status sl_meta_lines(const sl_environment *environment, MDB_txn *txn,
                                            sluice_span *lines, sluice_message *why);

SLUICE_MUST_USE sluice_status sl_meta_read_counters(const sl_environment *environment, MDB_txn *txn,
                                                    sl_counters *counters, sluice_message *why);
SLUICE_MUST_USE sluice_status sl_meta_write_counters(const sl_environment *environment,
                                                     MDB_txn *txn, const sl_counters *counters,
                                                     sluice_message *why);

/* Lends the checkpoint during the transaction; size 0 and offset 0 if there is none yet. */
SLUICE_MUST_USE sluice_status sl_meta_read_checkpoint(const sl_environment *environment,
                                                      MDB_txn *txn, sluice_span *checkpoint,
                                                      uint64_t *offset, sluice_message *why);
SLUICE_MUST_USE sluice_status sl_meta_write_checkpoint(const sl_environment *environment,
                                                       MDB_txn *txn, sluice_span checkpoint,
                                                       uint64_t offset, sluice_message *why);

/* Text of the filter's own numbers, lent during the transaction; size 0 if there is none. */
SLUICE_MUST_USE sluice_status sl_meta_read_numbers(const sl_environment *environment, MDB_txn *txn,
                                                   sluice_span *numbers, sluice_message *why);
SLUICE_MUST_USE sluice_status sl_meta_write_numbers(const sl_environment *environment, MDB_txn *txn,
                                                    sluice_span numbers, sluice_message *why);

#endif
