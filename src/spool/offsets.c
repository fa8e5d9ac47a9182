/* offsets.c - layout of producers and consumer groups.
 *
 *      producers   key i_producer (u64, big-endian)
 *                  | seal "SLPR" | next_sequence | received | kept | flagged | dropped | refused |
 *                  | redelivered | name ... |                                     u64 each
 *      groups      key = the name itself
 *                  | seal "SLCG" | floor | first, next | first, next | ... |      u64 each
 *
 * Why the smallest floor is read from the database each time: there are 64 groups at most, and a
 * second copy in memory could only be wrong. */
#include "spool/offsets.h"
#include "spool/seal.h"
#include "bytes.h"

#define N_PRODUCER_FIELDS   7
#define PRODUCER_HEAD_BYTES (SL_SEAL_BYTES + 8 * N_PRODUCER_FIELDS)
#define GROUP_HEAD_BYTES    (SL_SEAL_BYTES + 8)

static size_t name_bytes(const char *name)
{
    size_t size = strnlen(name, SLUICE_LIMIT_ID_BYTES + 1);
    SLUICE_ASSERT(size >= 1 && size <= SLUICE_LIMIT_ID_BYTES);
    return size;
}

sluice_status sl_offsets_put_producer(const sl_environment *environment, MDB_txn *txn,
                                      const sl_spool_producer *producer, sluice_message *why)
{
    SLUICE_ASSERT(producer->i_producer < SLUICE_LIMIT_PRODUCERS);
    const uint64_t fields[N_PRODUCER_FIELDS] = {
        producer->next_sequence, producer->received, producer->kept,        producer->flagged,
        producer->dropped,       producer->refused,  producer->redelivered,
    };
    uint8_t bytes[PRODUCER_HEAD_BYTES + SLUICE_LIMIT_ID_BYTES];
    for (size_t i = 0; i < N_PRODUCER_FIELDS; i++) {
        sl_put_u64(bytes + SL_SEAL_BYTES + 8 * i, fields[i]);
    }
    size_t size = name_bytes(producer->name);
    memcpy(bytes + PRODUCER_HEAD_BYTES, producer->name, size);
    sl_seal_write(bytes, PRODUCER_HEAD_BYTES + size, SL_MAGIC_PRODUCER);
    uint8_t number[8];
    MDB_val key = sl_spool_key_write(producer->i_producer, number);
    MDB_val value = {PRODUCER_HEAD_BYTES + size, bytes};
    int rc = mdb_put(txn, environment->dbi[SL_DB_PRODUCERS], &key, &value, 0);
    return rc == 0 ? SLUICE_OK : sl_environment_fail(environment, why, rc, "write a producer");
}

static const char *producer_fault(const MDB_val *key, const MDB_val *value,
                                  sl_spool_producer *producer)
{
    *producer = (sl_spool_producer){0};
    sluice_span span = sl_span_of_val(value);
    const char *fault = sl_seal_fault(span, span.size, SL_MAGIC_PRODUCER);
    if (fault != NULL) {
        return fault;
    }
    uint64_t number = sl_spool_key_read(key);
    if (number >= SLUICE_LIMIT_PRODUCERS) {
        return "has an impossible number";
    }
    producer->i_producer = (uint32_t)number;
    sl_reader reader = sl_reader_of(span);
    sl_reader_span(&reader, SL_SEAL_BYTES);
    producer->next_sequence = sl_reader_u64(&reader);
    producer->received = sl_reader_u64(&reader);
    producer->kept = sl_reader_u64(&reader);
    producer->flagged = sl_reader_u64(&reader);
    producer->dropped = sl_reader_u64(&reader);
    producer->refused = sl_reader_u64(&reader);
    producer->redelivered = sl_reader_u64(&reader);
    size_t size = (size_t)(reader.end - reader.at);
    if (reader.bad || size == 0 || size > SLUICE_LIMIT_ID_BYTES) {
        return "has a name of impossible length";
    }
    memcpy(producer->name, reader.at, size);
    return NULL;
}

bool sl_offsets_ranges_sound(const sl_spool_group *group)
{
    uint64_t end = group->floor;
    for (uint32_t i = 0; i < group->n_ranges; i++) {
        if (group->range[i].first <= end || group->range[i].next <= group->range[i].first) {
            return false;
        }
        end = group->range[i].next;
    }
    return true;
}

sluice_status sl_offsets_put_group(const sl_environment *environment, MDB_txn *txn,
                                   const sl_spool_group *group, sluice_message *why)
{
    SLUICE_ASSERT(group->n_ranges <= SLUICE_LIMIT_RANGES);
    SLUICE_ASSERT(sl_offsets_ranges_sound(group));
    MDB_val key = {name_bytes(group->name), (void *)(uintptr_t)group->name};
    MDB_val value = {GROUP_HEAD_BYTES + (size_t)group->n_ranges * 16, NULL};
    int rc = mdb_put(txn, environment->dbi[SL_DB_GROUPS], &key, &value, MDB_RESERVE);
    if (rc != 0) {
        return sl_environment_fail(environment, why, rc, "write a consumer group");
    }
    uint8_t *bytes = value.mv_data;
    sl_put_u64(bytes + SL_SEAL_BYTES, group->floor);
    for (uint32_t i = 0; i < group->n_ranges; i++) {
        sl_put_u64(bytes + GROUP_HEAD_BYTES + 16 * (size_t)i, group->range[i].first);
        sl_put_u64(bytes + GROUP_HEAD_BYTES + 16 * (size_t)i + 8, group->range[i].next);
    }
    sl_seal_write(bytes, value.mv_size, SL_MAGIC_CONSUMERS);
    MDB_stat stat;
    rc = mdb_stat(txn, environment->dbi[SL_DB_GROUPS], &stat);
    if (rc != 0) {
        return sl_environment_fail(environment, why, rc, "count consumer groups");
    }
    if (stat.ms_entries > SLUICE_LIMIT_CONSUMER_GROUPS) {
        return sluice_fail(why, SLUICE_E_TOOBIG,
                           "state %s: consumer group %s would be one more than %d",
                           environment->path, group->name, SLUICE_LIMIT_CONSUMER_GROUPS);
    }
    return SLUICE_OK;
}

sluice_status sl_offsets_retire_group(const sl_environment *environment, MDB_txn *txn,
                                      const char *name, sluice_message *why)
{
    MDB_val key = {name_bytes(name), (void *)(uintptr_t)name};
    int rc = mdb_del(txn, environment->dbi[SL_DB_GROUPS], &key, NULL);
    return rc == 0 || rc == MDB_NOTFOUND
               ? SLUICE_OK
               : sl_environment_fail(environment, why, rc, "retire a consumer group");
}

static const char *group_fault(const MDB_val *key, const MDB_val *value, sl_spool_group *group)
{
    group->name[0] = '\0';
    group->floor = 0;
    group->n_ranges = 0;
    sluice_span span = sl_span_of_val(value);
    const char *fault = sl_seal_fault(span, span.size, SL_MAGIC_CONSUMERS);
    if (fault != NULL) {
        return fault;
    }
    if (key->mv_size == 0 || key->mv_size > SLUICE_LIMIT_ID_BYTES) {
        return "has a name of impossible length";
    }
    if (span.size < GROUP_HEAD_BYTES || (span.size - GROUP_HEAD_BYTES) % 16 != 0 ||
        (span.size - GROUP_HEAD_BYTES) / 16 > SLUICE_LIMIT_RANGES) {
        return "has an impossible number of ranges";
    }
    memcpy(group->name, key->mv_data, key->mv_size);
    group->name[key->mv_size] = '\0';
    group->floor = sl_get_u64(span.data + SL_SEAL_BYTES);
    group->n_ranges = (uint32_t)((span.size - GROUP_HEAD_BYTES) / 16);
    for (uint32_t i = 0; i < group->n_ranges; i++) {
        const uint8_t *at = span.data + GROUP_HEAD_BYTES + 16 * (size_t)i;
        group->range[i] = (sl_spool_range){sl_get_u64(at), sl_get_u64(at + 8)};
    }
    return sl_offsets_ranges_sound(group) ? NULL : "has ranges that are not in order";
}

sluice_status sl_offsets_producers(const sl_environment *environment, MDB_txn *txn,
                                   sl_spool_producer_visit *visit, void *context,
                                   sluice_message *why)
{
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(txn, environment->dbi[SL_DB_PRODUCERS], &cursor);
    if (rc != 0) {
        return sl_environment_fail(environment, why, rc, "read producers");
    }
    MDB_val key, value;
    sluice_status status = SLUICE_OK;
    sl_spool_producer producer;
    bool more = true;
    while (more && (rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        const char *fault = producer_fault(&key, &value, &producer);
        if (fault != NULL) {
            status = sl_environment_corrupt(environment, why, "producer", sl_spool_key_read(&key),
                                            fault);
            break;
        }
        more = visit(context, &producer);
    }
    mdb_cursor_close(cursor);
    return rc == 0 || rc == MDB_NOTFOUND
               ? status
               : sl_environment_fail(environment, why, rc, "read producers");
}

sluice_status sl_offsets_groups(const sl_environment *environment, MDB_txn *txn,
                                sl_spool_group_visit *visit, void *context, sluice_message *why)
{
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(txn, environment->dbi[SL_DB_GROUPS], &cursor);
    if (rc != 0) {
        return sl_environment_fail(environment, why, rc, "read consumer groups");
    }
    MDB_val key, value;
    sluice_status status = SLUICE_OK;
    sl_spool_group group;
    bool more = true;
    while (more && (rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        const char *fault = group_fault(&key, &value, &group);
        if (fault != NULL) {
            status = sluice_fail(why, SLUICE_E_CORRUPT, "state %s: consumer group %.*s %s",
                                 environment->path, (int)(key.mv_size & 0xff),
                                 (const char *)key.mv_data, fault);
            break;
        }
        more = visit(context, &group);
    }
    mdb_cursor_close(cursor);
    return rc == 0 || rc == MDB_NOTFOUND
               ? status
               : sl_environment_fail(environment, why, rc, "read consumer groups");
}

static bool lower_floor(void *context, const sl_spool_group *group)
{
    uint64_t *floor = context;
    *floor = group->floor < *floor ? group->floor : *floor;
    return true;
}

sluice_status sl_offsets_min_floor(const sl_environment *environment, MDB_txn *txn, uint64_t *floor,
                                   sluice_message *why)
{
    *floor = UINT64_MAX;
    return sl_offsets_groups(environment, txn, lower_floor, floor, why);
}
