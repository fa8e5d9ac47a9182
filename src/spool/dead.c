/* dead.c - layout of a dead letter.
 *
 *      key = running number (u64, big-endian)
 *      | seal "SLDD" | at_us | sequence | wire_bytes | n_by | n_reason | n_text | reserved |
 *      | by ... | reason ... | text ... | sample ... |        8 8 8 | 4 4 4 4 bytes
 *
 * Why the room is measured in pages of the database: that is what the disk pays, and LMDB knows it
 * without a walk. Why new letters lose their sample and old ones do not: what was durable once was
 * answered for; the newest are usually more of the same. What a person drops is dropped as a whole,
 * and its numbers are not given again: how many they were stays known without a count of its own.
 */
#include "spool/dead.h"
#include "spool/seal.h"
#include "bytes.h"

#define HEAD_BYTES (SL_SEAL_BYTES + 40)

static size_t copy_text(uint8_t *at, const char *text, size_t limit)
{
    size_t size = strnlen(text, limit);
    memcpy(at, text, size);
    return size;
}

/* `wire` is what is stored of the sample. */
static int put_letter(const sl_environment *environment, MDB_txn *txn, const sl_spool_dead *dead,
                      uint64_t number, sluice_span wire)
{
    size_t size = HEAD_BYTES + strnlen(dead->by, sizeof dead->by - 1) +
                  strnlen(dead->reason, sizeof dead->reason - 1) +
                  strnlen(dead->text, sizeof dead->text - 1) + wire.size;
    uint8_t name[8];
    MDB_val key = sl_spool_key_write(number, name);
    MDB_val value = {size, NULL};
    int rc = mdb_put(txn, environment->dbi[SL_DB_DEAD], &key, &value, MDB_RESERVE | MDB_APPEND);
    if (rc != 0) {
        return rc;
    }
    uint8_t *bytes = value.mv_data;
    uint8_t *at = bytes + HEAD_BYTES;
    sl_put_u64(bytes + 16, (uint64_t)dead->at_us);
    sl_put_u64(bytes + 24, dead->sequence);
    sl_put_u64(bytes + 32, dead->wire.size);
    const char *texts[] = {dead->by, dead->reason, dead->text};
    const size_t limits[] = {sizeof dead->by - 1, sizeof dead->reason - 1, sizeof dead->text - 1};
    for (size_t i = 0; i < 3; i++) {
        size_t copied = copy_text(at, texts[i], limits[i]);
        sl_put_u32(bytes + 40 + 4 * i, (uint32_t)copied);
        at += copied;
    }
    sl_put_u32(bytes + 52, 0);
    if (wire.size > 0) {
        memcpy(at, wire.data, wire.size);
    }
    sl_seal_write(bytes, size, SL_MAGIC_DEAD);
    return 0;
}

sluice_status sl_dead_append(const sl_environment *environment, MDB_txn *txn,
                             const sl_spool_dead *dead, sl_counters *counters, sluice_message *why)
{
    uint64_t used;
    SLUICE_TRY(sl_environment_db_bytes(environment, txn, SL_DB_DEAD, &used, why));
    if (used >= SLUICE_LIMIT_DEAD_BYTES) {
        counters->n_dead_lost++;
        return SLUICE_OK;
    }
    sluice_span wire = dead->wire;
    if (used >= SLUICE_LIMIT_DEAD_BYTES / 4 * 3) {
        wire.size = 0;
        counters->n_dead_cut++;
    }
    wire.size = wire.size < SLUICE_LIMIT_DEAD_WIRE_BYTES ? wire.size : SLUICE_LIMIT_DEAD_WIRE_BYTES;
    int rc = put_letter(environment, txn, dead, counters->n_dead, wire);
    if (rc != 0) {
        return sl_environment_fail(environment, why, rc, "write a dead letter");
    }
    counters->n_dead++;
    return SLUICE_OK;
}

sluice_status sl_dead_drop(const sl_environment *environment, MDB_txn *txn, sluice_message *why)
{
    int rc = mdb_drop(txn, environment->dbi[SL_DB_DEAD], 0);
    return rc == 0 ? SLUICE_OK : sl_environment_fail(environment, why, rc, "drop dead letters");
}

sluice_status sl_dead_count(const sl_environment *environment, MDB_txn *txn, uint64_t *n,
                            sluice_message *why)
{
    MDB_stat stat;
    int rc = mdb_stat(txn, environment->dbi[SL_DB_DEAD], &stat);
    *n = rc == 0 ? stat.ms_entries : 0;
    return rc == 0 ? SLUICE_OK : sl_environment_fail(environment, why, rc, "count dead letters");
}

static bool read_text(sl_reader *reader, uint32_t size, char *text, size_t text_bytes)
{
    sluice_span span = sl_reader_span(reader, size);
    if (reader->bad || size >= text_bytes) {
        return false;
    }
    memcpy(text, span.data, size);
    text[size] = '\0';
    return true;
}

static const char *letter_fault(sluice_span value, sl_spool_dead *dead)
{
    *dead = (sl_spool_dead){0};
    const char *fault = sl_seal_fault(value, value.size, SL_MAGIC_DEAD);
    if (fault != NULL) {
        return fault;
    }
    sl_reader reader = sl_reader_of(value);
    sl_reader_span(&reader, SL_SEAL_BYTES);
    dead->at_us = (int64_t)sl_reader_u64(&reader);
    dead->sequence = sl_reader_u64(&reader);
    dead->wire_bytes = sl_reader_u64(&reader);
    uint32_t n_by = sl_reader_u32(&reader);
    uint32_t n_reason = sl_reader_u32(&reader);
    uint32_t n_text = sl_reader_u32(&reader);
    sl_reader_u32(&reader);
    if (!read_text(&reader, n_by, dead->by, sizeof dead->by) ||
        !read_text(&reader, n_reason, dead->reason, sizeof dead->reason) ||
        !read_text(&reader, n_text, dead->text, sizeof dead->text)) {
        return "has texts of impossible length";
    }
    dead->wire = (sluice_span){reader.at, (size_t)(reader.end - reader.at)};
    return NULL;
}

sluice_status sl_dead_visit(const sl_environment *environment, MDB_txn *txn,
                            sl_spool_dead_visit *visit, void *context, sluice_message *why)
{
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(txn, environment->dbi[SL_DB_DEAD], &cursor);
    if (rc != 0) {
        return sl_environment_fail(environment, why, rc, "read dead letters");
    }
    MDB_val key, value;
    sluice_status status = SLUICE_OK;
    sl_spool_dead dead;
    bool more = true;
    while (more && (rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        const char *fault = letter_fault(sl_span_of_val(&value), &dead);
        if (fault != NULL) {
            status = sl_environment_corrupt(environment, why, "dead letter",
                                            sl_spool_key_read(&key), fault);
            break;
        }
        more = visit(context, sl_spool_key_read(&key), &dead);
    }
    mdb_cursor_close(cursor);
    return rc == 0 || rc == MDB_NOTFOUND
               ? status
               : sl_environment_fail(environment, why, rc, "read dead letters");
}
