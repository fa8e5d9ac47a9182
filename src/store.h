/* store.h - what judged batches leave in the spool, and how an engine is built from it again. */
#ifndef SL_STORE_H
#define SL_STORE_H

#include "ingest/producers.h"
#include "job.h"
#include "spool/spool.h"
#include "sluice/engine.h"

/* How a configuration's state is opened; state_lines are the caller's to add. */
sl_spool_options sl_store_spool_options(const sluice_config *config);

/* Buffers of one transaction at a time; one thread. */
typedef struct sl_store sl_store;

/* engine, spool  Borrow. Only what never changes of the engine is read, so another thread may run
 * it. */
SLUICE_MUST_USE sluice_status sl_store_open(const sluice_engine *engine, sl_spool *spool,
                                            sl_store **out);
void sl_store_close(sl_store **store_p);

/* What became of the samples of a judged batch; the first n_known were taken before and count as
 * redelivered. */
sl_tally sl_store_tally(const sluice_batch *batch, uint32_t n_known);
void sl_store_count(sl_spool_producer *row, const sl_tally *tally);

/* Adds what the samples [n_known, n_samples) of a judged batch leave: log, rows, dead letters (of
 * the refused). Redelivered ones leave nothing. The batch stays as it is until commit; `mark` was
 * taken when it had been judged. */
SLUICE_MUST_USE sluice_status sl_store_add_batch(sl_store *store, const sluice_batch *batch,
                                                 uint32_t n_known, const sluice_row_mark *mark,
                                                 const char *producer);
SLUICE_MUST_USE sluice_status sl_store_add_producer(sl_store *store, const sl_spool_producer *row);
SLUICE_MUST_USE sluice_status sl_store_add_group(sl_store *store, const sl_spool_group *group);
SLUICE_MUST_USE sluice_status sl_store_add_dead(sl_store *store, const sl_spool_dead *dead);
SLUICE_MUST_USE sluice_status sl_store_add_forget(sl_store *store, uint64_t offset);
/* The engine's numbers as they go along with a checkpoint; copies. */
SLUICE_MUST_USE sluice_status sl_store_set_numbers(sl_store *store,
                                                   const sluice_counters *counters);
void sl_store_set_checkpoint(sl_store *store, sluice_span checkpoint,
                             uint64_t offset); /* Borrows */
void sl_store_set_oldest_row(sl_store *store, uint64_t oldest_row);

/* Bytes and letters added since the last commit: the caller ends a group by them. */
size_t sl_store_bytes(const sl_store *store);
uint32_t sl_store_n_dead(const sl_store *store);

/* One transaction; afterwards the store is empty. An error is fatal (spool.h). */
SLUICE_MUST_USE sluice_status sl_store_commit(sl_store *store, sluice_message *why);

/* sl_store_restore - checkpoint, then rows, then the log behind the checkpoint through apply.
 * arrived_us   Out: recorded arrival of the last sample; 0 if there is none.
 * Returns      CORRUPT if what is stored does not add up. */
SLUICE_MUST_USE sluice_status sl_store_restore(sl_spool *spool, sluice_engine *engine,
                                               int64_t *arrived_us, sluice_message *why);

#endif
