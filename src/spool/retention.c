/* retention.c - deletes whole values from the old end of the log and of the rows.
 *
 *      log     | a..b | b..c | c..d | d..e | e..next |
 *              ^ first                ^ limit = min(floors of all consumer groups, checkpoint)
 *              deleted only while the log is too large:  a, b, c; d holds samples above the limit
 *
 * A value ends where the next one begins (log: offsets are dense; rows: at most there), so nothing
 * but keys is read. Why there is headroom: the windows of producers follow the free bytes, and a
 * log that is full to the last byte would close them although there is something to delete.
 * Why the work is bounded: a smaller max_bytes after a restart must not make one commit delete a
 * million values while producers wait; the next commits go on. */
#include "spool/retention.h"
#include "spool/offsets.h"

#define DELETIONS_A_COMMIT 1024
#define HEADROOM_BYTES     (UINT64_C(64) << 20)

typedef struct old_end { /* the oldest value: it covers [first, next) */
    uint64_t first, next;
} old_end;

uint64_t sl_retention_headroom(uint64_t max_bytes)
{
    return max_bytes / 8 < HEADROOM_BYTES ? max_bytes / 8 : HEADROOM_BYTES;
}

/* `end` is where the newest value ends. MDB_NOTFOUND: the database is empty. */
static int find_old_end(MDB_txn *txn, MDB_dbi dbi, uint64_t end, old_end *oldest)
{
    MDB_cursor *cursor;
    MDB_val key, value;
    int rc = mdb_cursor_open(txn, dbi, &cursor);
    if (rc != 0) {
        return rc;
    }
    rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    if (rc == 0) {
        oldest->first = sl_spool_key_read(&key);
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
        oldest->next = rc == 0 ? sl_spool_key_read(&key) : end;
        rc = rc == MDB_NOTFOUND ? 0 : rc;
    }
    mdb_cursor_close(cursor);
    return rc;
}

/* Deletes old values below `limit` until the database takes at most `enough` bytes. */
static sluice_status delete_below(const sl_environment *environment, MDB_txn *txn, sl_db db,
                                  uint64_t limit, uint64_t end, uint64_t enough,
                                  uint64_t *n_offsets, sluice_message *why)
{
    *n_offsets = 0;
    for (int i = 0; i < DELETIONS_A_COMMIT; i++) {
        uint64_t used;
        SLUICE_TRY(sl_environment_db_bytes(environment, txn, db, &used, why));
        if (used <= enough) {
            break;
        }
        old_end oldest = {0, 0};
        int rc = find_old_end(txn, environment->dbi[db], end, &oldest);
        if (rc == MDB_NOTFOUND || (rc == 0 && oldest.next > limit)) {
            break;
        }
        if (rc == 0) {
            uint8_t name[8];
            MDB_val key = sl_spool_key_write(oldest.first, name);
            rc = mdb_del(txn, environment->dbi[db], &key, NULL);
        }
        if (rc != 0) {
            return sl_environment_fail(environment, why, rc, "delete what is old");
        }
        *n_offsets += oldest.next - oldest.first;
    }
    return SLUICE_OK;
}

sluice_status sl_retention_run(const sl_environment *environment, MDB_txn *txn, uint64_t max_bytes,
                               sl_counters *counters, sluice_message *why)
{
    const uint64_t end = counters->next_offset;
    uint64_t n_offsets;
    SLUICE_TRY(
        delete_below(environment, txn, SL_DB_ROWS, counters->oldest_row, end, 0, &n_offsets, why));
    const uint64_t enough = max_bytes - sl_retention_headroom(max_bytes);
    uint64_t used;
    SLUICE_TRY(sl_environment_db_bytes(environment, txn, SL_DB_LOG, &used, why));
    if (used <= enough) {
        return SLUICE_OK;
    }
    uint64_t limit;
    SLUICE_TRY(sl_offsets_min_floor(environment, txn, &limit, why));
    limit = limit < counters->checkpoint_offset ? limit : counters->checkpoint_offset;
    SLUICE_TRY(delete_below(environment, txn, SL_DB_LOG, limit, end, enough, &n_offsets, why));
    counters->deleted_samples += n_offsets;
    return SLUICE_OK;
}
