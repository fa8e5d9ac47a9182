/* meta.c - layout of the single values of a state.
 *
 *      "format"       "sluice state format 1, made 2026-01-31 by 0.1.0\n"
 *      "state_lines"  | seal "SLSL" | lines ... |
 *      "counters"     | seal "SLCR" | 8 x u64 in the order of sl_counters |
 *      "checkpoint"   | seal "SLCP" | offset | bytes ... |
 *      "numbers"      text "name value" a line, for people
 *
 * Why the format is text without a checksum: it is what a program of another version must still
 * understand, and what a person sees in a hex dump. */
#include "spool/meta.h"
#include "spool/seal.h"
#include "sluice/config.h"
#include "sluice/version.h"
#include "bytes.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define FORMAT_PREFIX  "sluice state format "
#define N_COUNTERS     8
#define COUNTERS_BYTES (SL_SEAL_BYTES + 8 * N_COUNTERS)
#define SHOWN_BYTES    60 /* of a value in a sentence */

static MDB_val key_of(const char *name)
{
    return (MDB_val){strlen(name), (void *)(uintptr_t)name};
}

static int put_lines(MDB_txn *txn, MDB_dbi meta, sluice_span lines)
{
    MDB_val key = key_of("state_lines");
    MDB_val value = {SL_SEAL_BYTES + lines.size, NULL};
    int rc = mdb_put(txn, meta, &key, &value, MDB_RESERVE);
    if (rc == 0) {
        uint8_t *bytes = value.mv_data;
        if (lines.size > 0) {
            memcpy(bytes + SL_SEAL_BYTES, lines.data, lines.size);
        }
        sl_seal_write(bytes, value.mv_size, SL_MAGIC_LINES);
    }
    return rc;
}

static int put_counters(MDB_txn *txn, MDB_dbi meta, const sl_counters *counters)
{
    const uint64_t fields[N_COUNTERS] = {
        counters->next_offset,       counters->next_ordinal, counters->deleted_samples,
        counters->checkpoint_offset, counters->oldest_row,   counters->n_dead,
        counters->n_dead_cut,        counters->n_dead_lost,
    };
    uint8_t bytes[COUNTERS_BYTES];
    for (size_t i = 0; i < N_COUNTERS; i++) {
        sl_put_u64(bytes + SL_SEAL_BYTES + 8 * i, fields[i]);
    }
    sl_seal_write(bytes, sizeof bytes, SL_MAGIC_COUNTERS);
    MDB_val key = key_of("counters");
    MDB_val value = {sizeof bytes, bytes};
    return mdb_put(txn, meta, &key, &value, 0);
}

int sl_meta_create(MDB_txn *txn, MDB_dbi meta, sluice_span state_lines)
{
    char format[128];
    time_t now = time(NULL);
    struct tm day;
    gmtime_r(&now, &day);
    char made[32];
    strftime(made, sizeof made, "%Y-%m-%d", &day);
    int size = snprintf(format, sizeof format, FORMAT_PREFIX "%u, made %s by %s\n", SL_STATE_FORMAT,
                        made, sluice_version());
    MDB_val key = key_of("format");
    MDB_val value = {(size_t)size, format};
    int rc = mdb_put(txn, meta, &key, &value, 0);
    if (rc == 0) {
        rc = put_lines(txn, meta, state_lines);
    }
    if (rc == 0) {
        rc = put_counters(txn, meta, &(sl_counters){0});
    }
    return rc;
}

sluice_status sl_meta_check_format(const sl_environment *environment, MDB_txn *txn,
                                   sluice_message *why)
{
    MDB_val key = key_of("format");
    MDB_val value;
    int rc = mdb_get(txn, environment->dbi[SL_DB_META], &key, &value);
    if (rc != 0 && rc != MDB_NOTFOUND) {
        return sl_environment_fail(environment, why, rc, "read its format");
    }
    char text[64] = {0};
    if (rc == 0) {
        memcpy(text, value.mv_data, value.mv_size < 63 ? value.mv_size : 63);
    }
    size_t prefix = strlen(FORMAT_PREFIX);
    char *end = text;
    unsigned long format = 0;
    if (strncmp(text, FORMAT_PREFIX, prefix) == 0) {
        format = strtoul(text + prefix, &end, 10);
    }
    if (format == 0 || *end != ',') {
        return sluice_fail(why, SLUICE_E_CORRUPT,
                           "state %s: data.mdb does not say which format it has; restore it from "
                           "a copy or use another `state` directory",
                           environment->path);
    }
    if (format != SL_STATE_FORMAT) {
        return sluice_fail(why, SLUICE_E_CONFIG,
                           "state %s has format %lu and sluice %s reads format %u; use the "
                           "version that made it or another `state` directory",
                           environment->path, format, sluice_version(), SL_STATE_FORMAT);
    }
    return SLUICE_OK;
}

/* Lends the covered bytes of a sealed meta value; absent is CORRUPT. */
static sluice_status get_sealed(const sl_environment *environment, MDB_txn *txn, const char *name,
                                uint32_t magic, sluice_span *body, sluice_message *why)
{
    *body = (sluice_span){0};
    MDB_val key = key_of(name);
    MDB_val value;
    int rc = mdb_get(txn, environment->dbi[SL_DB_META], &key, &value);
    const char *fault = "is missing";
    if (rc == 0) {
        fault = sl_seal_fault(sl_span_of_val(&value), value.mv_size, magic);
    } else if (rc != MDB_NOTFOUND) {
        return sl_environment_fail(environment, why, rc, "read its meta values");
    }
    if (fault != NULL) {
        return sluice_fail(why, SLUICE_E_CORRUPT, "state %s: its meta value `%s` %s",
                           environment->path, name, fault);
    }
    *body = (sluice_span){(const uint8_t *)value.mv_data + SL_SEAL_BYTES,
                          value.mv_size - SL_SEAL_BYTES};
    return SLUICE_OK;
}

sluice_status sl_meta_lines(const sl_environment *environment, MDB_txn *txn, sluice_span *lines,
                            sluice_message *why)
{
    return get_sealed(environment, txn, "state_lines", SL_MAGIC_LINES, lines, why);
}

/* Takes one line off the front, split at ": ". */
static void next_line(sluice_span *rest, sluice_span *key, sluice_span *value)
{
    *key = *value = (sluice_span){0};
    if (rest->size == 0) {
        return;
    }
    const uint8_t *end = memchr(rest->data, '\n', rest->size);
    size_t size = end != NULL ? (size_t)(end - rest->data) : rest->size;
    const uint8_t *colon = memmem(rest->data, size, ": ", 2);
    size_t key_size = colon != NULL ? (size_t)(colon - rest->data) : size;
    *key = (sluice_span){rest->data, key_size};
    if (colon != NULL) {
        *value = (sluice_span){colon + 2, size - key_size - 2};
    }
    size_t taken = size + (end != NULL);
    *rest = (sluice_span){rest->data + taken, rest->size - taken};
}

/* Order of keys; an end of lines sorts last. */
static int compare_keys(sluice_span a, sluice_span b)
{
    if (a.data == NULL || b.data == NULL) {
        return (a.data == NULL) - (b.data == NULL);
    }
    size_t both = a.size < b.size ? a.size : b.size;
    int order = both > 0 ? memcmp(a.data, b.data, both) : 0;
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

static int shown(sluice_span span)
{
    return (int)(span.size < SHOWN_BYTES ? span.size : SHOWN_BYTES);
}

static sluice_status fail_differing(const sl_environment *environment, sluice_message *why,
                                    sluice_span key, sluice_span old, sluice_span new)
{
    static const char absent[] = "(absent)";
    old = old.data != NULL ? old : sl_span_of(absent);
    new = new.data != NULL ? new : sl_span_of(absent);
    return sluice_fail(why, SLUICE_E_CONFIG,
                       "state %.200s was made with %.*s: %.*s and the configuration says %.*s; "
                       "keep the old value or use another `state` directory",
                       environment->path, shown(key), (const char *)key.data, shown(old),
                       (const char *)old.data, shown(new), (const char *)new.data);
}

/* The default of a key that the state does not know: what it was made with in effect. */
static sluice_span default_of(sluice_span defaults, sluice_span wanted)
{
    sluice_span key, value;
    do {
        next_line(&defaults, &key, &value);
    } while (key.data != NULL && !sl_span_equal(key, wanted));
    return key.data != NULL ? value : (sluice_span){0};
}

static sluice_status compare_lines(const sl_environment *environment, MDB_txn *txn,
                                   sluice_span lines, sluice_span defaults, sluice_message *why)
{
    sluice_span stored;
    SLUICE_TRY(sl_meta_lines(environment, txn, &stored, why));
    while (stored.size > 0 || lines.size > 0) {
        sluice_span rest_stored = stored;
        sluice_span rest_lines = lines;
        sluice_span key_old, old, key_new, new;
        next_line(&rest_stored, &key_old, &old);
        next_line(&rest_lines, &key_new, &new);
        int order = compare_keys(key_old, key_new);
        if (order < 0) {
            return fail_differing(environment, why, key_old, old, (sluice_span){0});
        }
        if (order > 0) { /* younger than the state */
            if (!sl_span_equal(new, default_of(defaults, key_new))) {
                return fail_differing(environment, why, key_new, (sluice_span){0}, new);
            }
            lines = rest_lines;
            continue;
        }
        if (!sl_span_equal(old, new)) {
            return fail_differing(environment, why, key_old, old, new);
        }
        stored = rest_stored;
        lines = rest_lines;
    }
    return SLUICE_OK;
}

sluice_status sl_meta_check_lines(const sl_environment *environment, MDB_txn *txn,
                                  sluice_span lines, sluice_message *why)
{
    sluice_bytes printed = {0};
    sluice_config defaults;
    sluice_config_default(&defaults);
    SLUICE_TRY(sluice_config_state_lines(&defaults, &printed));
    sluice_status status =
        compare_lines(environment, txn, lines, (sluice_span){printed.data, printed.size}, why);
    sl_bytes_fini(&printed);
    return status;
}
sluice_status sl_meta_read_counters(const sl_environment *environment, MDB_txn *txn,
                                    sl_counters *counters, sluice_message *why)
{
    *counters = (sl_counters){0};
    sluice_span body;
    SLUICE_TRY(get_sealed(environment, txn, "counters", SL_MAGIC_COUNTERS, &body, why));
    sl_reader reader = sl_reader_of(body);
    counters->next_offset = sl_reader_u64(&reader);
    counters->next_ordinal = sl_reader_u64(&reader);
    counters->deleted_samples = sl_reader_u64(&reader);
    counters->checkpoint_offset = sl_reader_u64(&reader);
    counters->oldest_row = sl_reader_u64(&reader);
    counters->n_dead = sl_reader_u64(&reader);
    counters->n_dead_cut = sl_reader_u64(&reader);
    counters->n_dead_lost = sl_reader_u64(&reader);
    if (reader.bad || reader.at != reader.end) {
        return sluice_fail(why, SLUICE_E_CORRUPT, "state %s: its meta value `counters` is cut off",
                           environment->path);
    }
    return SLUICE_OK;
}

sluice_status sl_meta_write_counters(const sl_environment *environment, MDB_txn *txn,
                                     const sl_counters *counters, sluice_message *why)
{
    int rc = put_counters(txn, environment->dbi[SL_DB_META], counters);
    return rc == 0 ? SLUICE_OK
                   : sl_environment_fail(environment, why, rc, "write its running numbers");
}

sluice_status sl_meta_read_checkpoint(const sl_environment *environment, MDB_txn *txn,
                                      sluice_span *checkpoint, uint64_t *offset,
                                      sluice_message *why)
{
    *checkpoint = (sluice_span){0};
    *offset = 0;
    MDB_val key = key_of("checkpoint");
    MDB_val value;
    if (mdb_get(txn, environment->dbi[SL_DB_META], &key, &value) == MDB_NOTFOUND) {
        return SLUICE_OK;
    }
    sluice_span body;
    SLUICE_TRY(get_sealed(environment, txn, "checkpoint", SL_MAGIC_CHECKPOINT, &body, why));
    sl_reader reader = sl_reader_of(body);
    *offset = sl_reader_u64(&reader);
    if (reader.bad) {
        return sluice_fail(why, SLUICE_E_CORRUPT,
                           "state %s: its meta value `checkpoint` is cut off", environment->path);
    }
    *checkpoint = (sluice_span){reader.at, (size_t)(reader.end - reader.at)};
    return SLUICE_OK;
}

sluice_status sl_meta_write_checkpoint(const sl_environment *environment, MDB_txn *txn,
                                       sluice_span checkpoint, uint64_t offset, sluice_message *why)
{
    MDB_val key = key_of("checkpoint");
    MDB_val value = {SL_SEAL_BYTES + 8 + checkpoint.size, NULL};
    int rc = mdb_put(txn, environment->dbi[SL_DB_META], &key, &value, MDB_RESERVE);
    if (rc != 0) {
        return sl_environment_fail(environment, why, rc, "write the checkpoint");
    }
    uint8_t *bytes = value.mv_data;
    sl_put_u64(bytes + SL_SEAL_BYTES, offset);
    memcpy(bytes + SL_SEAL_BYTES + 8, checkpoint.data, checkpoint.size);
    sl_seal_write(bytes, value.mv_size, SL_MAGIC_CHECKPOINT);
    return SLUICE_OK;
}

sluice_status sl_meta_read_numbers(const sl_environment *environment, MDB_txn *txn,
                                   sluice_span *numbers, sluice_message *why)
{
    *numbers = (sluice_span){0};
    MDB_val key = key_of("numbers");
    MDB_val value;
    int rc = mdb_get(txn, environment->dbi[SL_DB_META], &key, &value);
    if (rc == 0) {
        *numbers = sl_span_of_val(&value);
    }
    return rc == 0 || rc == MDB_NOTFOUND
               ? SLUICE_OK
               : sl_environment_fail(environment, why, rc, "read numbers");
}

sluice_status sl_meta_write_numbers(const sl_environment *environment, MDB_txn *txn,
                                    sluice_span numbers, sluice_message *why)
{
    MDB_val key = key_of("numbers");
    MDB_val value = {numbers.size, (void *)(uintptr_t)numbers.data};
    int rc = mdb_put(txn, environment->dbi[SL_DB_META], &key, &value, 0);
    return rc == 0 ? SLUICE_OK : sl_environment_fail(environment, why, rc, "write numbers");
}
