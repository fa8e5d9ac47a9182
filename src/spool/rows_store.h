/* rows_store.h - what the index remembers, stored as one value a commit. */
#ifndef SL_ROWS_STORE_H
#define SL_ROWS_STORE_H

#include "spool/environment.h"

#define SL_ROWS_HEAD_BYTES  24 /* seal, count, reserved       */
#define SL_ROWS_ENTRY_BYTES 16 /* offset, position, size      */

/* Rows of one commit as they lie in memory that the caller lends. */
typedef struct sl_rows {
    uint32_t count;
    const uint8_t *directory;
    sluice_span bytes;
} sl_rows;

/* NULL, or a static phrase saying what is wrong with the value. After NULL: at least one row,
 * offsets rising, every row inside `bytes`. */
const char *sl_rows_store_fault(sluice_span value, sl_rows *rows);
uint64_t sl_rows_store_offset(const sl_rows *rows, uint32_t i);
sluice_span sl_rows_store_row(const sl_rows *rows, uint32_t i); /* lends */

/* Stores the rows of one commit; `offsets` rise and lie above all that are stored. */
SLUICE_MUST_USE sluice_status sl_rows_store_append(const sl_environment *environment, MDB_txn *txn,
                                                   const sluice_span *rows, const uint64_t *offsets,
                                                   uint32_t n_rows, sluice_message *why);

/* Erases the rows at these offsets, in any order; nothing happens where there is none. None of them
 * was stored in this transaction: a page that is taken and given back in one is not written, and a
 * file that ends before its last page looks cut off. */
SLUICE_MUST_USE sluice_status sl_rows_store_forget(const sl_environment *environment, MDB_txn *txn,
                                                   const uint64_t *offsets, uint32_t n,
                                                   sluice_message *why);

/* Visits the rows at and above `oldest_row`, in order. */
SLUICE_MUST_USE sluice_status sl_rows_store_visit(const sl_environment *environment, MDB_txn *txn,
                                                  uint64_t oldest_row, sl_spool_row_visit *visit,
                                                  void *context, sluice_message *why);

#endif
