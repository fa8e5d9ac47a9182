/* journal.c - the state directory that `filter --state` goes on with.
 *
 * Why one transaction a batch and not one a file: what was written to OUT must be durable here
 * before, or a second pass would not know it; and a pass that is killed has lost nothing. */
#include "command/journal.h"
#include "bytes.h"
#include "store.h"

#include <stdlib.h>

#define CHECKPOINT_SAMPLES ((uint64_t)64 * SLUICE_BLOCK_SAMPLES)

struct sl_journal {
    sluice_engine *engine;
    sl_spool *spool;
    sl_store *store;
    sl_producers *producers;
    sl_spool_producer *row;
    const char *producer;
    uint64_t checkpoint_offset;
    sluice_bytes checkpoint;
};

static sluice_status open_spool(const sluice_config *config, sl_spool **out, sluice_message *why)
{
    sluice_bytes lines = {0};
    SLUICE_TRY(sluice_config_state_lines(config, &lines));
    sl_spool_options options = sl_store_spool_options(config);
    options.state_lines = (sluice_span){lines.data, lines.size};
    sluice_status status = sl_spool_open(&options, out, why);
    sl_bytes_fini(&lines);
    return status;
}

static sluice_status open_parts(sl_journal *journal, const sluice_config *config,
                                int64_t *arrived_us, sluice_message *why)
{
    SLUICE_TRY(open_spool(config, &journal->spool, why));
    SLUICE_TRY(sl_store_restore(journal->spool, journal->engine, arrived_us, why));
    SLUICE_TRY(sl_store_open(journal->engine, journal->spool, &journal->store));
    SLUICE_TRY(sl_producers_open(&journal->producers));
    SLUICE_TRY(sl_producers_load(journal->producers, journal->spool, why));
    journal->row = sl_producers_find(journal->producers, journal->producer);
    if (journal->row == NULL) {
        return sluice_fail(why, SLUICE_E_CONFIG, "%s: %d producers are known, none named \"%s\"",
                           config->state, SLUICE_LIMIT_PRODUCERS, journal->producer);
    }
    journal->checkpoint_offset = sl_spool_extent_of(journal->spool).checkpoint_offset;
    return SLUICE_OK;
}

sluice_status sl_journal_open(const sluice_config *config, sluice_engine *engine,
                              const char *producer, sl_journal **out, int64_t *arrived_us,
                              sluice_message *why)
{
    *out = NULL;
    sl_journal *journal = calloc(1, sizeof *journal);
    if (journal == NULL) {
        return sluice_fail(why, SLUICE_E_NOMEM, "no memory for the state");
    }
    journal->engine = engine;
    journal->producer = producer;
    sluice_status status = open_parts(journal, config, arrived_us, why);
    if (status != SLUICE_OK) {
        sl_journal_close(&journal, false);
        return status;
    }
    *out = journal;
    return SLUICE_OK;
}

uint32_t sl_journal_i_producer(const sl_journal *journal)
{
    return journal->row->i_producer;
}

static sluice_status take_checkpoint(sl_journal *journal)
{
    journal->checkpoint_offset = sluice_engine_next_offset(journal->engine);
    sl_bytes_clear(&journal->checkpoint);
    SLUICE_TRY(sluice_engine_save(journal->engine, &journal->checkpoint));
    sl_store_set_checkpoint(journal->store,
                            (sluice_span){journal->checkpoint.data, journal->checkpoint.size},
                            journal->checkpoint_offset);
    sluice_counters counters;
    sluice_engine_counters(journal->engine, &counters);
    return sl_store_set_numbers(journal->store, &counters);
}

sluice_status sl_journal_commit(sl_journal *journal, sluice_batch *batch, sluice_message *why)
{
    sl_tally tally = sl_store_tally(batch, 0);
    batch->first_sequence = journal->row->next_sequence;
    journal->row->next_sequence += batch->n_samples;
    sl_store_count(journal->row, &tally);
    sluice_row_mark mark = sluice_engine_row_mark(journal->engine);
    if (sl_store_add_batch(journal->store, batch, 0, &mark, journal->producer) != SLUICE_OK ||
        sl_store_add_producer(journal->store, journal->row) != SLUICE_OK) {
        return sluice_fail(why, SLUICE_E_NOMEM, "no memory for a transaction");
    }
    sl_store_set_oldest_row(journal->store, sluice_engine_oldest_row(journal->engine));
    uint64_t next = sluice_engine_next_offset(journal->engine);
    if (next - journal->checkpoint_offset >= CHECKPOINT_SAMPLES) {
        SLUICE_TRY(take_checkpoint(journal));
    }
    return sl_store_commit(journal->store, why);
}

sluice_status sl_journal_checkpoint(sl_journal *journal, sluice_message *why)
{
    if (take_checkpoint(journal) != SLUICE_OK) {
        return sluice_fail(why, SLUICE_E_NOMEM, "no memory for a checkpoint");
    }
    return sl_store_commit(journal->store, why);
}

void sl_journal_close(sl_journal **journal_p, bool clean)
{
    sl_journal *journal = *journal_p;
    if (journal == NULL) {
        return;
    }
    sluice_message why;
    if (clean && take_checkpoint(journal) == SLUICE_OK) {
        /* Without it the next start replays a little more of the log: nothing is lost. */
        sluice_status status = sl_store_commit(journal->store, &why);
        (void)status;
    }
    sl_store_close(&journal->store);
    sl_producers_close(&journal->producers);
    sl_spool_close(&journal->spool);
    sl_bytes_fini(&journal->checkpoint);
    free(journal);
    *journal_p = NULL;
}
