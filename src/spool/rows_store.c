/* rows_store.c - layout of the rows of a commit.
 *
 *      0              16      20         24
 *      | seal "SLRS"  | count | reserved | offset, position, size | ... | row 0 | row 1 | ...
 *                                        \ 16 bytes a row         /
 *      key = offset of the first row of the commit
 *
 * Why one value a commit: a key a row would be a random page write a row; here a commit adds to the
 * end, and what leaves the window is deleted by whole values at the other end.
 * Why forgetting rewrites the value: it is rare (a person, a rejection), and a list of forgotten
 * offsets would have to be read by everyone for ever.
 * The key stays when the first row is forgotten: it only has to sort before the next value's. */
#include "spool/rows_store.h"
#include "spool/seal.h"
#include "bytes.h"

#include <stdlib.h>

uint64_t sl_rows_store_offset(const sl_rows *rows, uint32_t i)
{
    return sl_get_u64(rows->directory + (size_t)i * SL_ROWS_ENTRY_BYTES);
}

sluice_span sl_rows_store_row(const sl_rows *rows, uint32_t i)
{
    const uint8_t *entry = rows->directory + (size_t)i * SL_ROWS_ENTRY_BYTES;
    return (sluice_span){rows->bytes.data + sl_get_u32(entry + 8), sl_get_u32(entry + 12)};
}

static const char *directory_fault(const sl_rows *rows)
{
    uint64_t position = 0;
    for (uint32_t i = 0; i < rows->count; i++) {
        const uint8_t *entry = rows->directory + (size_t)i * SL_ROWS_ENTRY_BYTES;
        if (sl_get_u32(entry + 8) != position) {
            return "have a directory that does not match their bytes";
        }
        if (i > 0 && sl_rows_store_offset(rows, i) <= sl_rows_store_offset(rows, i - 1)) {
            return "are not in order";
        }
        position += sl_get_u32(entry + 12);
    }
    return position == rows->bytes.size ? NULL : "have a directory that does not match their bytes";
}

const char *sl_rows_store_fault(sluice_span value, sl_rows *rows)
{
    *rows = (sl_rows){0};
    const char *fault = sl_seal_fault(value, value.size, SL_MAGIC_ROWS);
    if (fault != NULL) {
        return fault;
    }
    uint32_t count = value.size < SL_ROWS_HEAD_BYTES ? 0 : sl_get_u32(value.data + 16);
    if (count == 0 || count > (value.size - SL_ROWS_HEAD_BYTES) / SL_ROWS_ENTRY_BYTES) {
        return "have an impossible count";
    }
    size_t head = SL_ROWS_HEAD_BYTES + (size_t)count * SL_ROWS_ENTRY_BYTES;
    *rows = (sl_rows){
        .count = count,
        .directory = value.data + SL_ROWS_HEAD_BYTES,
        .bytes = {value.data + head, value.size - head},
    };
    return directory_fault(rows);
}

static void write_rows(const sluice_span *rows, const uint64_t *offsets, uint32_t count,
                       uint8_t *value, size_t value_bytes)
{
    uint8_t *entry = value + SL_ROWS_HEAD_BYTES;
    uint8_t *const bytes = entry + (size_t)count * SL_ROWS_ENTRY_BYTES;
    size_t position = 0;
    for (uint32_t i = 0; i < count; i++, entry += SL_ROWS_ENTRY_BYTES) {
        sl_put_u64(entry, offsets[i]);
        sl_put_u32(entry + 8, (uint32_t)position);
        sl_put_u32(entry + 12, (uint32_t)rows[i].size);
        if (rows[i].size > 0) {
            memcpy(bytes + position, rows[i].data, rows[i].size);
        }
        position += rows[i].size;
    }
    sl_put_u32(value + 16, count);
    sl_put_u32(value + 20, 0);
    sl_seal_write(value, value_bytes, SL_MAGIC_ROWS);
}

/* How many of the first rows one value takes, at least one. */
static uint32_t plan_rows(const sluice_span *rows, uint32_t n_rows, size_t *value_bytes)
{
    size_t size = SL_ROWS_HEAD_BYTES;
    uint32_t count = 0;
    while (count < n_rows) {
        size_t more = SL_ROWS_ENTRY_BYTES + rows[count].size;
        if (count > 0 && size + more > SLUICE_LIMIT_GROUP_BYTES) {
            break;
        }
        size += more;
        count++;
    }
    *value_bytes = size;
    return count;
}

sluice_status sl_rows_store_append(const sl_environment *environment, MDB_txn *txn,
                                   const sluice_span *rows, const uint64_t *offsets,
                                   uint32_t n_rows, sluice_message *why)
{
    for (uint32_t i = 0; i < n_rows;) {
        size_t value_bytes;
        uint32_t count = plan_rows(rows + i, n_rows - i, &value_bytes);
        if (value_bytes > UINT32_MAX) {
            return sluice_fail(why, SLUICE_E_TOOBIG, "state %s: a row is larger than 4 GiB",
                               environment->path);
        }
        uint8_t bytes[8];
        MDB_val key = sl_spool_key_write(offsets[i], bytes);
        MDB_val value = {value_bytes, NULL};
        int rc = mdb_put(txn, environment->dbi[SL_DB_ROWS], &key, &value, MDB_RESERVE | MDB_APPEND);
        if (rc != 0) {
            return sl_environment_fail(environment, why, rc, "write rows");
        }
        write_rows(rows + i, offsets + i, count, value.mv_data, value_bytes);
        i += count;
    }
    return SLUICE_OK;
}

static int compare_offsets(const void *a, const void *b)
{
    uint64_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

static bool is_among(const sl_rows *rows, uint32_t i, const uint64_t *gone, uint32_t n_gone)
{
    const uint64_t offset = sl_rows_store_offset(rows, i);
    return n_gone > 0 && bsearch(&offset, gone, n_gone, sizeof *gone, compare_offsets) != NULL;
}

/* Appends to `out` the value with the `left` rows that are not gone. */
static sluice_status copy_without(const sl_rows *rows, const uint64_t *gone, uint32_t n_gone,
                                  uint32_t left, sluice_bytes *out)
{
    SLUICE_TRY(sl_bytes_reserve(out, SL_ROWS_HEAD_BYTES + (size_t)left * SL_ROWS_ENTRY_BYTES +
                                         rows->bytes.size));
    uint8_t *entry = out->data + SL_ROWS_HEAD_BYTES;
    uint8_t *const bytes = entry + (size_t)left * SL_ROWS_ENTRY_BYTES;
    uint32_t position = 0;
    for (uint32_t i = 0; i < rows->count; i++) {
        if (is_among(rows, i, gone, n_gone)) {
            continue;
        }
        const sluice_span row = sl_rows_store_row(rows, i);
        sl_put_u64(entry, sl_rows_store_offset(rows, i));
        sl_put_u32(entry + 8, position);
        sl_put_u32(entry + 12, (uint32_t)row.size);
        memcpy(bytes + position, row.data, row.size);
        position += (uint32_t)row.size;
        entry += SL_ROWS_ENTRY_BYTES;
    }
    const size_t size = (size_t)(bytes - out->data) + position;
    sl_put_u32(out->data + 16, left);
    sl_put_u32(out->data + 20, 0);
    sl_seal_write(out->data, size, SL_MAGIC_ROWS);
    out->size = size;
    return SLUICE_OK;
}

static sluice_status rewrite(const sl_environment *environment, MDB_cursor *cursor,
                             const MDB_val *key, const sl_rows *rows, const uint64_t *gone,
                             uint32_t n_gone, sluice_message *why)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < rows->count; i++) {
        left += !is_among(rows, i, gone, n_gone);
    }
    if (left == rows->count) {
        return SLUICE_OK;
    }
    if (left == 0) {
        int rc = mdb_cursor_del(cursor, 0);
        return rc == 0 ? SLUICE_OK : sl_environment_fail(environment, why, rc, "erase a row");
    }
    /* The old value is lent until the next change, so the new one is made beside it. */
    sluice_bytes copy;
    sl_bytes_init(&copy);
    sluice_status status = copy_without(rows, gone, n_gone, left, &copy);
    if (status == SLUICE_OK) {
        uint8_t name[8];
        MDB_val same = sl_spool_key_write(sl_spool_key_read(key), name);
        MDB_val value = {copy.size, copy.data};
        int rc = mdb_cursor_put(cursor, &same, &value, MDB_CURRENT);
        status = rc == 0 ? SLUICE_OK : sl_environment_fail(environment, why, rc, "erase a row");
    }
    sl_bytes_fini(&copy);
    return status;
}

/* Erases those of the sorted offsets that lie in the value of the first; *n_done = how many can be
 * in no other value. */
static sluice_status forget_some(const sl_environment *environment, MDB_cursor *cursor,
                                 const uint64_t *gone, uint32_t n_gone, uint32_t *n_done,
                                 sluice_message *why)
{
    MDB_val key, value;
    int rc = sl_cursor_seek(cursor, gone[0], &key, &value);
    *n_done = n_gone;
    if (rc == MDB_NOTFOUND) {
        return SLUICE_OK;
    }
    if (rc != 0) {
        return sl_environment_fail(environment, why, rc, "find a row");
    }
    sl_rows rows;
    const char *fault = sl_rows_store_fault(sl_span_of_val(&value), &rows);
    if (fault != NULL) {
        return sl_environment_corrupt(environment, why, "rows from offset", sl_spool_key_read(&key),
                                      fault);
    }
    const uint64_t last = sl_rows_store_offset(&rows, rows.count - 1);
    *n_done = 1; /* it may lie between two values */
    while (*n_done < n_gone && gone[*n_done] <= last) {
        ++*n_done;
    }
    return rewrite(environment, cursor, &key, &rows, gone, *n_done, why);
}

sluice_status sl_rows_store_forget(const sl_environment *environment, MDB_txn *txn,
                                   const uint64_t *offsets, uint32_t n, sluice_message *why)
{
    if (n == 0) {
        return SLUICE_OK;
    }
    MDB_cursor *cursor;
    uint64_t *gone = malloc(n * sizeof *gone);
    if (gone == NULL) {
        return sluice_fail(why, SLUICE_E_NOMEM, "no memory to erase rows");
    }
    memcpy(gone, offsets, n * sizeof *gone);
    qsort(gone, n, sizeof *gone, compare_offsets);
    int rc = mdb_cursor_open(txn, environment->dbi[SL_DB_ROWS], &cursor);
    if (rc != 0) {
        free(gone);
        return sl_environment_fail(environment, why, rc, "find a row");
    }
    sluice_status status = SLUICE_OK;
    for (uint32_t i = 0, n_done = 0; i < n && status == SLUICE_OK; i += n_done) {
        status = forget_some(environment, cursor, gone + i, n - i, &n_done, why);
    }
    mdb_cursor_close(cursor);
    free(gone);
    return status;
}

static sluice_status visit_value(const sl_environment *environment, const MDB_val *key,
                                 const MDB_val *value, uint64_t oldest_row,
                                 sl_spool_row_visit *visit, void *context, bool *more,
                                 sluice_message *why)
{
    sl_rows rows;
    const char *fault = sl_rows_store_fault(sl_span_of_val(value), &rows);
    if (fault != NULL) {
        return sl_environment_corrupt(environment, why, "rows from offset", sl_spool_key_read(key),
                                      fault);
    }
    for (uint32_t i = 0; i < rows.count && *more; i++) {
        uint64_t offset = sl_rows_store_offset(&rows, i);
        if (offset >= oldest_row) {
            *more = visit(context, offset, sl_rows_store_row(&rows, i));
        }
    }
    return SLUICE_OK;
}

sluice_status sl_rows_store_visit(const sl_environment *environment, MDB_txn *txn,
                                  uint64_t oldest_row, sl_spool_row_visit *visit, void *context,
                                  sluice_message *why)
{
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(txn, environment->dbi[SL_DB_ROWS], &cursor);
    if (rc != 0) {
        return sl_environment_fail(environment, why, rc, "read rows");
    }
    MDB_val key, value;
    sluice_status status = SLUICE_OK;
    bool more = true;
    rc = sl_cursor_seek(cursor, oldest_row, &key, &value);
    while (rc == 0 && more && status == SLUICE_OK) {
        status = visit_value(environment, &key, &value, oldest_row, visit, context, &more, why);
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    if (status == SLUICE_OK && rc != 0 && rc != MDB_NOTFOUND) {
        return sl_environment_fail(environment, why, rc, "read rows");
    }
    return status;
}
