/* journal.h - the state directory that a verb goes on with, as `run` would. */
#ifndef SL_JOURNAL_H
#define SL_JOURNAL_H

#include "sluice/engine.h"

typedef struct sl_journal sl_journal;

/* sl_journal_open - opens the state that `run` uses too (one of them at a time) and rebuilds the
 * engine from it.
 * engine      Borrows; freshly opened.
 * producer    Borrows: under whose name samples are counted.
 * arrived_us  Out: recorded arrival of the last sample. */
SLUICE_MUST_USE sluice_status sl_journal_open(const sluice_config *config, sluice_engine *engine,
                                              const char *producer, sl_journal **out,
                                              int64_t *arrived_us, sluice_message *why);

uint32_t sl_journal_i_producer(const sl_journal *journal); /* the number of that producer */

/* Makes a judged batch durable. Any error ends the pass: the engine is ahead of the state. */
SLUICE_MUST_USE sluice_status sl_journal_commit(sl_journal *journal, sluice_batch *batch,
                                                sluice_message *why);

/* The engine as it is now, durable: for what is in no log. */
SLUICE_MUST_USE sluice_status sl_journal_checkpoint(sl_journal *journal, sluice_message *why);

/* A last checkpoint, if `clean`; then closes. Takes; NULL ok. */
void sl_journal_close(sl_journal **journal_p, bool clean);

#endif
