/* log_store.c - writes samples to the end of the log and selects them for consumers.
 *
 *      append   samples --plan--> value | value | value      each built in the page it will lie in
 *      select   value:  [K K D K | K]   wanted runs are copied whole: "K K", "K", "K"
 *                        \run/ drop
 *
 * Why MDB_RESERVE: a group is copied once, from where its samples came into LMDB's page; there is
 * no buffer of 4 MiB in between. Why MDB_APPEND: keys only rise, so pages are filled to the end and
 * no page is split. Why a select looks at a limited number of values: with everything dropped or
 * another shard's it would walk the whole log, and the caller serves others from the same thread.
 */
#include "spool/log_store.h"
#include "bytes.h"

#define SELECT_GROUPS 1024 /* values one select looks at */

static sluice_status append_value(const sl_environment *environment, MDB_txn *txn,
                                  const sl_spool_sample *samples, uint32_t count,
                                  size_t value_bytes, uint64_t ordinal, sluice_message *why)
{
    uint8_t number[8];
    MDB_val key = sl_spool_key_write(samples[0].offset, number);
    MDB_val value = {value_bytes, NULL};
    int rc = mdb_put(txn, environment->dbi[SL_DB_LOG], &key, &value, MDB_RESERVE | MDB_APPEND);
    if (rc != 0) {
        return sl_environment_fail(environment, why, rc, "write samples");
    }
    sl_group_write(samples, count, ordinal, value.mv_data);
    return SLUICE_OK;
}

sluice_status sl_log_append(const sl_environment *environment, MDB_txn *txn,
                            const sl_spool_sample *samples, uint32_t n_samples,
                            sl_counters *counters, sluice_message *why)
{
    SLUICE_ASSERT(n_samples == 0 || samples[0].offset == counters->next_offset);
    for (uint32_t i = 0; i < n_samples;) {
        size_t value_bytes;
        uint32_t count = sl_group_plan(samples + i, n_samples - i, &value_bytes);
        if (count == 0) {
            return sluice_fail(why, SLUICE_E_TOOBIG, "state %s: a sample is larger than 1 GiB",
                               environment->path);
        }
        SLUICE_ASSERT(samples[i].offset == counters->next_offset);
        SLUICE_TRY(append_value(environment, txn, samples + i, count, value_bytes,
                                counters->next_ordinal, why));
        counters->next_ordinal++;
        counters->next_offset += count;
        i += count;
    }
    return SLUICE_OK;
}

sluice_status sl_log_cursor_open(const sl_environment *environment, MDB_txn *txn,
                                 sl_log_cursor *cursor, sluice_message *why)
{
    *cursor = (sl_log_cursor){.environment = environment};
    int rc = mdb_cursor_open(txn, environment->dbi[SL_DB_LOG], &cursor->cursor);
    return rc == 0 ? SLUICE_OK : sl_environment_fail(environment, why, rc, "read the log");
}

void sl_log_cursor_close(sl_log_cursor *cursor)
{
    if (cursor->cursor != NULL) {
        mdb_cursor_close(cursor->cursor);
        cursor->cursor = NULL;
    }
}

/* Takes the outcome of moving the cursor. */
static sluice_status arrive(sl_log_cursor *cursor, int rc, const MDB_val *key, const MDB_val *value,
                            bool *found, sluice_message *why)
{
    *found = false;
    if (rc == MDB_NOTFOUND) {
        return SLUICE_OK;
    }
    if (rc != 0) {
        return sl_environment_fail(cursor->environment, why, rc, "read the log");
    }
    const char *fault = sl_group_fault(sl_span_of_val(value), &cursor->group);
    if (fault == NULL && cursor->group.first_offset != sl_spool_key_read(key)) {
        fault = "lies at another offset than it says";
    }
    if (fault != NULL) {
        return sl_environment_corrupt(cursor->environment, why, "log group at offset",
                                      sl_spool_key_read(key), fault);
    }
    *found = true;
    return SLUICE_OK;
}

sluice_status sl_log_cursor_next(sl_log_cursor *cursor, bool *found, sluice_message *why)
{
    MDB_val key, value;
    int rc = mdb_cursor_get(cursor->cursor, &key, &value, MDB_NEXT);
    return arrive(cursor, rc, &key, &value, found, why);
}

sluice_status sl_log_cursor_seek(sl_log_cursor *cursor, uint64_t offset, bool *found,
                                 sluice_message *why)
{
    MDB_val key, value;
    int rc = sl_cursor_seek(cursor->cursor, offset, &key, &value);
    SLUICE_TRY(arrive(cursor, rc, &key, &value, found, why));
    /* Only behind the end: offsets are dense, so the value before `offset` holds it. */
    if (*found && cursor->group.next_offset <= offset) {
        return sl_log_cursor_next(cursor, found, why);
    }
    return SLUICE_OK;
}

sluice_status sl_log_cursor_sample(const sl_log_cursor *cursor, uint32_t i, sl_spool_sample *sample,
                                   sluice_message *why)
{
    const char *fault = sl_group_sample_fault(&cursor->group, i, sample);
    return fault == NULL ? SLUICE_OK
                         : sl_environment_corrupt(cursor->environment, why, "log group at offset",
                                                  cursor->group.first_offset, fault);
}

sluice_status sl_log_first(const sl_environment *environment, MDB_txn *txn, uint64_t end,
                           uint64_t *first, sluice_message *why)
{
    *first = end;
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(txn, environment->dbi[SL_DB_LOG], &cursor);
    if (rc != 0) {
        return sl_environment_fail(environment, why, rc, "read the log");
    }
    MDB_val key, value;
    rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    mdb_cursor_close(cursor);
    if (rc == 0) {
        *first = sl_spool_key_read(&key);
    }
    return rc == 0 || rc == MDB_NOTFOUND
               ? SLUICE_OK
               : sl_environment_fail(environment, why, rc, "read the log");
}

static sluice_status visit_group(const sl_log_cursor *cursor, uint64_t from_offset,
                                 sl_spool_sample_visit *visit, void *context, bool *more,
                                 sluice_message *why)
{
    uint64_t first = cursor->group.first_offset;
    for (uint32_t i = first < from_offset ? (uint32_t)(from_offset - first) : 0;
         i < cursor->group.count && *more; i++) {
        sl_spool_sample sample;
        SLUICE_TRY(sl_log_cursor_sample(cursor, i, &sample, why));
        *more = visit(context, &sample);
    }
    return SLUICE_OK;
}

sluice_status sl_log_visit(const sl_environment *environment, MDB_txn *txn, uint64_t from_offset,
                           sl_spool_sample_visit *visit, void *context, sluice_message *why)
{
    sl_log_cursor cursor;
    SLUICE_TRY(sl_log_cursor_open(environment, txn, &cursor, why));
    bool found;
    bool more = true;
    sluice_status status = sl_log_cursor_seek(&cursor, from_offset, &found, why);
    while (status == SLUICE_OK && found && more) {
        status = visit_group(&cursor, from_offset, visit, context, &more, why);
        if (status == SLUICE_OK && more) {
            status = sl_log_cursor_next(&cursor, &found, why);
        }
    }
    sl_log_cursor_close(&cursor);
    return status;
}

sluice_status sl_log_sample_at(const sl_environment *environment, MDB_txn *txn, uint64_t offset,
                               sluice_bytes *out, sluice_message *why)
{
    sl_log_cursor cursor;
    SLUICE_TRY(sl_log_cursor_open(environment, txn, &cursor, why));
    bool found;
    sluice_status status = sl_log_cursor_seek(&cursor, offset, &found, why);
    if (status == SLUICE_OK && (!found || offset < cursor.group.first_offset)) {
        status = sluice_fail(why, SLUICE_E_AGAIN, "state %s: the log does not hold that offset",
                             environment->path);
    } else if (status == SLUICE_OK) {
        sl_spool_sample sample;
        uint32_t i = (uint32_t)(offset - cursor.group.first_offset);
        status = sl_log_cursor_sample(&cursor, i, &sample, why);
        if (status == SLUICE_OK) {
            status = sl_environment_give(environment, out, sample.wire, why);
        }
    }
    sl_log_cursor_close(&cursor);
    return status;
}

/* A run of wanted samples that lie side by side in a group. */
typedef struct selection {
    const sl_spool_select *select;
    sluice_bytes *out;
    sl_spool_selected *selected;
    size_t given_bytes;
    bool full;
} selection;

/* Copies the run of bytes [from, to) of the group's batch. */
static sluice_status give_run(selection *s, const sl_log_cursor *cursor, size_t from, size_t to,
                              sluice_message *why)
{
    s->given_bytes += to - from;
    sluice_span run = {cursor->group.batch.data + from, to - from};
    return sl_environment_give(cursor->environment, s->out, run, why);
}

/* Selects in one group; next_offset ends behind the last sample that was decided on. */
static sluice_status select_in_group(selection *s, const sl_log_cursor *cursor, sluice_message *why)
{
    const sl_group *group = &cursor->group;
    uint64_t from = s->selected->next_offset;
    uint32_t i = from > group->first_offset ? (uint32_t)(from - group->first_offset) : 0;
    size_t run = 0;
    size_t run_end = 0;
    for (; i < group->count && group->first_offset + i < s->select->below_offset; i++) {
        sl_group_entry entry = sl_group_entry_of(group, i);
        if (entry.decision != SLUICE_DROP || s->select->all) {
            if (s->selected->count > 0 &&
                s->given_bytes + (run_end - run) + entry.size > s->select->max_bytes) {
                s->full = true;
                break;
            }
            sl_spool_sample sample;
            SLUICE_TRY(sl_log_cursor_sample(cursor, i, &sample, why));
            if (entry.position != run_end) {
                SLUICE_TRY(give_run(s, cursor, run, run_end, why));
                run = entry.position;
            }
            run_end = (size_t)entry.position + entry.size;
            s->selected->count++;
        }
        s->selected->next_offset = group->first_offset + i + 1;
    }
    return give_run(s, cursor, run, run_end, why);
}

static bool is_of_shard(const sl_spool_select *select, const sl_group *group)
{
    return select->shards == 0 || group->ordinal % select->shards == select->shard;
}

static sluice_status select_from(selection *s, sl_log_cursor *cursor, uint64_t end,
                                 sluice_message *why)
{
    const sl_spool_select *select = s->select;
    sl_spool_selected *selected = s->selected;
    bool found;
    SLUICE_TRY(sl_log_cursor_seek(cursor, select->from_offset, &found, why));
    const uint64_t first = found ? cursor->group.first_offset : end;
    if (first > select->from_offset) {
        selected->first_offset = selected->next_offset = first; /* what was wanted is gone */
    }
    for (int i = 0; found && i < SELECT_GROUPS && !s->full; i++) {
        const sl_group *group = &cursor->group;
        if (group->first_offset >= select->below_offset) {
            break;
        }
        if (is_of_shard(select, group)) {
            SLUICE_TRY(select_in_group(s, cursor, why));
        } else {
            selected->next_offset = group->next_offset < select->below_offset
                                        ? group->next_offset
                                        : select->below_offset;
        }
        SLUICE_TRY(sl_log_cursor_next(cursor, &found, why));
    }
    return SLUICE_OK;
}

sluice_status sl_log_select(const sl_environment *environment, MDB_txn *txn, uint64_t end,
                            const sl_spool_select *select, sluice_bytes *out,
                            sl_spool_selected *selected, sluice_message *why)
{
    *selected = (sl_spool_selected){select->from_offset, select->from_offset, 0};
    selection s = {.select = select, .out = out, .selected = selected};
    const size_t size_before = out->size;
    sl_log_cursor cursor;
    SLUICE_TRY(sl_log_cursor_open(environment, txn, &cursor, why));
    sluice_status status = select_from(&s, &cursor, end, why);
    sl_log_cursor_close(&cursor);
    if (status != SLUICE_OK) {
        out->size = size_before;
        *selected = (sl_spool_selected){select->from_offset, select->from_offset, 0};
    }
    return status;
}
