/* spool.c - the state as its users see it: one write transaction an append, one read transaction a
 * look.
 *
 *      append:  begin -> samples, rows, producers, groups, dead, forget, checkpoint
 *                     -> retention -> running numbers -> commit (two flushes) -> memory
 *
 * Why everything of a commit is one transaction: a row without its sample would call a resent
 * sample a duplicate of something that was lost, a counter without its sample would swallow it.
 * Why a failed append ends the spool: the engine has judged samples that the disk does not have;
 * going on would give out verdicts that nothing backs.
 * Why the extent is kept in atomics: everyone asks for it, often, and must not wait for a commit.
 */
#include "spool/spool.h"
#include "spool/audit.h"
#include "spool/dead.h"
#include "spool/digest.h"
#include "spool/environment.h"
#include "spool/log_store.h"
#include "spool/meta.h"
#include "spool/offsets.h"
#include "spool/retention.h"
#include "spool/rows_store.h"
#include "bytes.h"
#include "fault.h"

#include <stdatomic.h>
#include <stdlib.h>

#define DEFAULT_MAX_BYTES    (UINT64_C(16) << 30)
#define READER_CHECK_APPENDS 256 /* slots of readers that died are freed that often */

struct sl_spool {
    sl_environment environment;
    bool read_only;
    bool failed; /* an append did not succeed */
    uint64_t max_bytes;
    uint64_t n_appends;
    sl_counters counters; /* of the last commit; the writing thread's own */
    /* the extent, for any thread */
    atomic_uint_least64_t first_offset, next_offset, log_bytes, deleted_samples, checkpoint_offset,
        oldest_row, n_dead, n_dead_cut, n_dead_lost, n_dead_dropped;
};

/* What changes in memory once a transaction is durable. */
typedef struct outcome {
    sl_counters counters;
    uint64_t first_offset, log_bytes, n_dead_there;
} outcome;

static void publish(sl_spool *spool, const outcome *now)
{
    spool->counters = now->counters;
    atomic_store(&spool->first_offset, now->first_offset);
    atomic_store(&spool->next_offset, now->counters.next_offset);
    atomic_store(&spool->log_bytes, now->log_bytes);
    atomic_store(&spool->deleted_samples, now->counters.deleted_samples);
    atomic_store(&spool->checkpoint_offset, now->counters.checkpoint_offset);
    atomic_store(&spool->oldest_row, now->counters.oldest_row);
    atomic_store(&spool->n_dead, now->counters.n_dead);
    atomic_store(&spool->n_dead_cut, now->counters.n_dead_cut);
    atomic_store(&spool->n_dead_lost, now->counters.n_dead_lost);
    atomic_store(&spool->n_dead_dropped, now->counters.n_dead - now->n_dead_there);
}

static sluice_status measure(const sl_environment *environment, MDB_txn *txn, outcome *now,
                             sluice_message *why)
{
    SLUICE_TRY(sl_environment_db_bytes(environment, txn, SL_DB_LOG, &now->log_bytes, why));
    SLUICE_TRY(sl_dead_count(environment, txn, &now->n_dead_there, why));
    return sl_log_first(environment, txn, now->counters.next_offset, &now->first_offset, why);
}

/* The last group and the running numbers must agree: a cheap look that every start can afford. */
static sluice_status check_end(const sl_environment *environment, MDB_txn *txn,
                               const sl_counters *counters, sluice_message *why)
{
    sl_log_cursor cursor;
    SLUICE_TRY(sl_log_cursor_open(environment, txn, &cursor, why));
    bool found = false;
    sluice_status status = SLUICE_OK;
    if (counters->next_offset > 0) {
        status = sl_log_cursor_seek(&cursor, counters->next_offset - 1, &found, why);
    }
    if (status == SLUICE_OK && found && cursor.group.next_offset != counters->next_offset) {
        status =
            sl_environment_corrupt(environment, why, "log that ends at offset",
                                   cursor.group.next_offset, "does not match its running numbers");
    }
    sl_log_cursor_close(&cursor);
    return status;
}

static sluice_status load(sl_spool *spool, sluice_message *why)
{
    const sl_environment *environment = &spool->environment;
    MDB_txn *txn;
    SLUICE_TRY(sl_environment_begin(environment, false, &txn, why));
    outcome now = {0};
    sluice_status status = sl_meta_read_counters(environment, txn, &now.counters, why);
    if (status == SLUICE_OK) {
        status = check_end(environment, txn, &now.counters, why);
    }
    if (status == SLUICE_OK) {
        status = measure(environment, txn, &now, why);
    }
    mdb_txn_abort(txn);
    if (status == SLUICE_OK) {
        publish(spool, &now);
    }
    return status;
}

sluice_status sl_spool_open(const sl_spool_options *options, sl_spool **out, sluice_message *why)
{
    *out = NULL;
    sl_spool *spool = calloc(1, sizeof *spool);
    if (spool == NULL) {
        return sluice_fail(why, SLUICE_E_NOMEM, "state %s: cannot open it: out of memory",
                           options->path);
    }
    sl_spool_options known = *options;
    known.max_bytes = known.max_bytes != 0 ? known.max_bytes : DEFAULT_MAX_BYTES;
    spool->max_bytes = known.max_bytes;
    spool->read_only = known.read_only;
    sluice_status status = sl_environment_open(&known, &spool->environment, why);
    if (status == SLUICE_OK) {
        status = load(spool, why);
    }
    if (status != SLUICE_OK) {
        sl_spool_close(&spool);
        return status;
    }
    *out = spool;
    return SLUICE_OK;
}

void sl_spool_close(sl_spool **spool_p)
{
    sl_spool *spool = *spool_p;
    *spool_p = NULL;
    if (spool != NULL) {
        sl_environment_close(&spool->environment);
        free(spool);
    }
}

sl_spool_extent sl_spool_extent_of(const sl_spool *spool)
{
    return (sl_spool_extent){
        .first_offset = atomic_load(&spool->first_offset),
        .next_offset = atomic_load(&spool->next_offset),
        .log_bytes = atomic_load(&spool->log_bytes),
        .max_bytes = spool->max_bytes,
        .deleted_samples = atomic_load(&spool->deleted_samples),
        .checkpoint_offset = atomic_load(&spool->checkpoint_offset),
        .oldest_row = atomic_load(&spool->oldest_row),
        .n_dead = atomic_load(&spool->n_dead),
        .n_dead_cut = atomic_load(&spool->n_dead_cut),
        .n_dead_lost = atomic_load(&spool->n_dead_lost),
        .n_dead_dropped = atomic_load(&spool->n_dead_dropped),
    };
}

static bool is_nothing(const sl_spool_write *write, const sl_counters *counters)
{
    return write->n_samples == 0 && write->n_rows == 0 && write->n_producers == 0 &&
           write->n_dead == 0 && write->n_groups == 0 && write->n_forget == 0 &&
           write->n_retired == 0 && !write->drop_dead && write->checkpoint.size == 0 &&
           write->numbers.size == 0 && write->oldest_row <= counters->oldest_row;
}

static void assert_row_offsets(const sl_spool_write *write, uint64_t first, uint64_t next)
{
    uint64_t low = first;
    for (uint32_t i = 0; i < write->n_rows; i++) {
        SLUICE_ASSERT(write->row_offsets[i] >= low && write->row_offsets[i] < next);
        low = write->row_offsets[i] + 1;
    }
}

static sluice_status put_progress(const sl_environment *environment, MDB_txn *txn,
                                  const sl_spool_write *write, sl_counters *counters,
                                  sluice_message *why)
{
    for (uint32_t i = 0; i < write->n_producers; i++) {
        SLUICE_TRY(sl_offsets_put_producer(environment, txn, &write->producers[i], why));
    }
    for (uint32_t i = 0; i < write->n_groups; i++) {
        SLUICE_TRY(sl_offsets_put_group(environment, txn, &write->groups[i], why));
    }
    for (uint32_t i = 0; i < write->n_retired; i++) {
        SLUICE_TRY(sl_offsets_retire_group(environment, txn, write->retired[i], why));
    }
    if (write->drop_dead) {
        SLUICE_TRY(sl_dead_drop(environment, txn, why));
    }
    for (uint32_t i = 0; i < write->n_dead; i++) {
        SLUICE_TRY(sl_dead_append(environment, txn, &write->dead[i], counters, why));
    }
    if (write->checkpoint.size > 0) {
        SLUICE_ASSERT(write->checkpoint_offset <= counters->next_offset);
        SLUICE_TRY(sl_meta_write_checkpoint(environment, txn, write->checkpoint,
                                            write->checkpoint_offset, why));
        counters->checkpoint_offset = write->checkpoint_offset;
    }
    return write->numbers.size > 0 ? sl_meta_write_numbers(environment, txn, write->numbers, why)
                                   : SLUICE_OK;
}

static bool is_forgotten(const sl_spool_write *write, uint64_t offset)
{
    for (uint32_t i = 0; i < write->n_forget; i++) {
        if (write->forget[i] == offset) {
            return true;
        }
    }
    return false;
}

/* A row that is forgotten in the transaction of its own sample is not stored first. */
static sluice_status put_rows_left(const sl_environment *environment, MDB_txn *txn,
                                   const sl_spool_write *write, sluice_message *why)
{
    sluice_span *row = calloc(write->n_rows, sizeof *row);
    uint64_t *offset = calloc(write->n_rows, sizeof *offset);
    uint32_t n = 0;
    for (uint32_t i = 0; i < write->n_rows && row != NULL && offset != NULL; i++) {
        if (!is_forgotten(write, write->row_offsets[i])) {
            row[n] = write->rows[i];
            offset[n++] = write->row_offsets[i];
        }
    }
    sluice_status status = row == NULL || offset == NULL
                               ? sluice_fail(why, SLUICE_E_NOMEM, "no memory to write rows")
                               : sl_rows_store_append(environment, txn, row, offset, n, why);
    free(row);
    free(offset);
    return status;
}

static sluice_status put_rows(const sl_environment *environment, MDB_txn *txn,
                              const sl_spool_write *write, uint64_t first, sluice_message *why)
{
    SLUICE_TRY(sl_rows_store_forget(environment, txn, write->forget, write->n_forget, why));
    bool fresh = false;
    for (uint32_t i = 0; i < write->n_forget; i++) {
        fresh = fresh || write->forget[i] >= first;
    }
    return fresh && write->n_rows > 0
               ? put_rows_left(environment, txn, write, why)
               : sl_rows_store_append(environment, txn, write->rows, write->row_offsets,
                                      write->n_rows, why);
}

static sluice_status put_all(const sl_spool *spool, MDB_txn *txn, const sl_spool_write *write,
                             outcome *now, sluice_message *why)
{
    const sl_environment *environment = &spool->environment;
    sl_counters *counters = &now->counters;
    const uint64_t first = counters->next_offset;
    SLUICE_TRY(sl_log_append(environment, txn, write->samples, write->n_samples, counters, why));
    int rc = SLUICE_FAULT("spool.write");
    if (rc != 0) {
        return sl_environment_fail(environment, why, rc, "write samples");
    }
    assert_row_offsets(write, first, counters->next_offset);
    SLUICE_TRY(put_rows(environment, txn, write, first, why));
    SLUICE_TRY(put_progress(environment, txn, write, counters, why));
    SLUICE_ASSERT(write->oldest_row <= counters->next_offset);
    if (write->oldest_row > counters->oldest_row) {
        counters->oldest_row = write->oldest_row;
    }
    SLUICE_TRY(sl_retention_run(environment, txn, spool->max_bytes, counters, why));
    SLUICE_TRY(sl_meta_write_counters(environment, txn, counters, why));
    return measure(environment, txn, now, why);
}

static sluice_status commit(const sl_environment *environment, MDB_txn *txn, sluice_message *why)
{
    int rc = SLUICE_FAULT("spool.commit");
    if (rc != 0) {
        mdb_txn_abort(txn);
    } else {
        rc = mdb_txn_commit(txn);
    }
    if (rc == 0) {
        rc = SLUICE_FAULT("spool.committed");
    }
    return rc == 0 ? SLUICE_OK : sl_environment_fail(environment, why, rc, "commit");
}

static sluice_status append_once(sl_spool *spool, const sl_spool_write *write, outcome *now,
                                 sluice_message *why)
{
    MDB_txn *txn;
    SLUICE_TRY(sl_environment_begin(&spool->environment, true, &txn, why));
    sluice_status status = put_all(spool, txn, write, now, why);
    if (status != SLUICE_OK) {
        mdb_txn_abort(txn);
        return status;
    }
    return commit(&spool->environment, txn, why);
}

/* A reader that was killed during a look keeps its slot, and with it every page that is freed
 * after: the file would grow without end. */
static void free_dead_readers(sl_spool *spool)
{
    if (spool->n_appends++ % READER_CHECK_APPENDS == 0) {
        int n_dead_readers;
        (void)mdb_reader_check(spool->environment.env, &n_dead_readers);
    }
}

sluice_status sl_spool_append(sl_spool *spool, const sl_spool_write *write, sluice_message *why)
{
    SLUICE_ASSERT(!spool->read_only);
    if (spool->failed) {
        return sluice_fail(why, SLUICE_E_IO,
                           "state %s: an earlier write has failed, so nothing more is written; "
                           "start again",
                           spool->environment.path);
    }
    if (is_nothing(write, &spool->counters)) {
        return SLUICE_OK;
    }
    free_dead_readers(spool);
    outcome now = {.counters = spool->counters};
    sluice_status status = append_once(spool, write, &now, why);
    if (status != SLUICE_OK) {
        spool->failed = true;
        return status;
    }
    publish(spool, &now);
    return SLUICE_OK;
}

sluice_status sl_spool_rows(sl_spool *spool, sl_spool_row_visit *visit, void *context,
                            sluice_message *why)
{
    MDB_txn *txn;
    SLUICE_TRY(sl_environment_begin(&spool->environment, false, &txn, why));
    sl_counters counters;
    sluice_status status = sl_meta_read_counters(&spool->environment, txn, &counters, why);
    if (status == SLUICE_OK) {
        status =
            sl_rows_store_visit(&spool->environment, txn, counters.oldest_row, visit, context, why);
    }
    mdb_txn_abort(txn);
    return status;
}

sluice_status sl_spool_producers(sl_spool *spool, sl_spool_producer_visit *visit, void *context,
                                 sluice_message *why)
{
    MDB_txn *txn;
    SLUICE_TRY(sl_environment_begin(&spool->environment, false, &txn, why));
    sluice_status status = sl_offsets_producers(&spool->environment, txn, visit, context, why);
    mdb_txn_abort(txn);
    return status;
}

sluice_status sl_spool_groups(sl_spool *spool, sl_spool_group_visit *visit, void *context,
                              sluice_message *why)
{
    MDB_txn *txn;
    SLUICE_TRY(sl_environment_begin(&spool->environment, false, &txn, why));
    sluice_status status = sl_offsets_groups(&spool->environment, txn, visit, context, why);
    mdb_txn_abort(txn);
    return status;
}

sluice_status sl_spool_dead_letters(sl_spool *spool, sl_spool_dead_visit *visit, void *context,
                                    sluice_message *why)
{
    MDB_txn *txn;
    SLUICE_TRY(sl_environment_begin(&spool->environment, false, &txn, why));
    sluice_status status = sl_dead_visit(&spool->environment, txn, visit, context, why);
    mdb_txn_abort(txn);
    return status;
}

sluice_status sl_spool_samples(sl_spool *spool, uint64_t from_offset, sl_spool_sample_visit *visit,
                               void *context, sluice_message *why)
{
    MDB_txn *txn;
    SLUICE_TRY(sl_environment_begin(&spool->environment, false, &txn, why));
    sluice_status status = sl_log_visit(&spool->environment, txn, from_offset, visit, context, why);
    mdb_txn_abort(txn);
    return status;
}

sluice_status sl_spool_checkpoint(sl_spool *spool, sluice_bytes *out, uint64_t *checkpoint_offset,
                                  sluice_message *why)
{
    *checkpoint_offset = 0;
    MDB_txn *txn;
    SLUICE_TRY(sl_environment_begin(&spool->environment, false, &txn, why));
    sluice_span checkpoint;
    sluice_status status =
        sl_meta_read_checkpoint(&spool->environment, txn, &checkpoint, checkpoint_offset, why);
    if (status == SLUICE_OK) {
        status = sl_environment_give(&spool->environment, out, checkpoint, why);
    }
    mdb_txn_abort(txn);
    return status;
}

sluice_status sl_spool_numbers(sl_spool *spool, sluice_bytes *out, sluice_message *why)
{
    MDB_txn *txn;
    SLUICE_TRY(sl_environment_begin(&spool->environment, false, &txn, why));
    sluice_span numbers;
    sluice_status status = sl_meta_read_numbers(&spool->environment, txn, &numbers, why);
    if (status == SLUICE_OK) {
        status = sl_environment_give(&spool->environment, out, numbers, why);
    }
    mdb_txn_abort(txn);
    return status;
}

sluice_status sl_spool_state_lines(sl_spool *spool, sluice_bytes *out, sluice_message *why)
{
    MDB_txn *txn;
    SLUICE_TRY(sl_environment_begin(&spool->environment, false, &txn, why));
    sluice_span lines;
    sluice_status status = sl_meta_lines(&spool->environment, txn, &lines, why);
    if (status == SLUICE_OK) {
        status = sl_environment_give(&spool->environment, out, lines, why);
    }
    mdb_txn_abort(txn);
    return status;
}

sluice_status sl_spool_sample_at(sl_spool *spool, uint64_t offset, sluice_bytes *out,
                                 sluice_message *why)
{
    MDB_txn *txn;
    SLUICE_TRY(sl_environment_begin(&spool->environment, false, &txn, why));
    sluice_status status = sl_log_sample_at(&spool->environment, txn, offset, out, why);
    mdb_txn_abort(txn);
    return status;
}

sluice_status sl_spool_verify(sl_spool *spool, sluice_message *why)
{
    MDB_txn *txn;
    SLUICE_TRY(sl_environment_begin(&spool->environment, false, &txn, why));
    sluice_status status = sl_audit_run(&spool->environment, txn, why);
    mdb_txn_abort(txn);
    return status;
}

sluice_status sl_spool_digest(sl_spool *spool, sl_spool_row_canonical *canonical,
                              uint64_t digest[2], sluice_message *why)
{
    MDB_txn *txn;
    SLUICE_TRY(sl_environment_begin(&spool->environment, false, &txn, why));
    sluice_status status = sl_digest_run(&spool->environment, txn, canonical, digest, why);
    mdb_txn_abort(txn);
    return status;
}

sluice_status sl_spool_select_batch(sl_spool *spool, const sl_spool_select *select,
                                    sluice_bytes *out, sl_spool_selected *selected,
                                    sluice_message *why)
{
    *selected = (sl_spool_selected){select->from_offset, select->from_offset, 0};
    MDB_txn *txn;
    SLUICE_TRY(sl_environment_begin(&spool->environment, false, &txn, why));
    sl_counters counters;
    sluice_status status = sl_meta_read_counters(&spool->environment, txn, &counters, why);
    if (status == SLUICE_OK) {
        status = sl_log_select(&spool->environment, txn, counters.next_offset, select, out,
                               selected, why);
    }
    mdb_txn_abort(txn);
    return status;
}
