/* digest.c - hashes a state in an order that does not depend on how it was written.
 *
 *      next_offset | samples ... | rows ... | producers by name ...
 *      sample:    offset, n, producer's name, decision, n, annotated bytes
 *      row:       offset, n, canonical bytes
 *      producer:  n, name, next_sequence                every number u64 little-endian
 *
 * Why names and not numbers of producers: numbers are given in order of HELLO, and two senders that
 * start together may come in either order. Why lengths: so that no two states write the same bytes.
 */
#include "spool/digest.h"
#include "spool/log_store.h"
#include "spool/offsets.h"
#include "spool/rows_store.h"
#include "spool/seal.h"
#include "bytes.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

typedef struct roll { /* producers as they come */
    sl_spool_producer *producer;
    uint32_t n;
} roll;

typedef struct digestion {
    XXH3_state_t *hash;
    const char **name_of; /* [SLUICE_LIMIT_PRODUCERS], NULL where there is none */
    sl_spool_row_canonical *canonical;
    sluice_bytes row;
    sluice_status status; /* of the last visit */
} digestion;

static void add_number(digestion *d, uint64_t number)
{
    uint8_t bytes[8];
    sl_put_u64(bytes, number);
    XXH3_128bits_update(d->hash, bytes, sizeof bytes);
}

static void add_span(digestion *d, sluice_span span)
{
    add_number(d, span.size);
    if (span.size > 0) {
        XXH3_128bits_update(d->hash, span.data, span.size);
    }
}

static bool collect_producer(void *context, const sl_spool_producer *producer)
{
    roll *all = context;
    all->producer[all->n++] = *producer;
    return all->n < SLUICE_LIMIT_PRODUCERS;
}

static bool add_sample(void *context, const sl_spool_sample *sample)
{
    digestion *d = context;
    const char *name =
        sample->i_producer < SLUICE_LIMIT_PRODUCERS ? d->name_of[sample->i_producer] : NULL;
    add_number(d, sample->offset);
    add_span(d, sl_span_of(name != NULL ? name : ""));
    add_number(d, sample->decision);
    add_span(d, sample->wire);
    return true;
}

static bool add_row(void *context, uint64_t offset, sluice_span row)
{
    digestion *d = context;
    if (d->canonical != NULL) {
        sl_bytes_clear(&d->row);
        d->status = d->canonical(row, &d->row);
        if (d->status != SLUICE_OK) {
            return false;
        }
        row = (sluice_span){d->row.data, d->row.size};
    }
    add_number(d, offset);
    add_span(d, row);
    return true;
}

static int compare_names(const void *a, const void *b)
{
    const sl_spool_producer *const *left = a;
    const sl_spool_producer *const *right = b;
    return strcmp((*left)->name, (*right)->name);
}

static sluice_status add_producers(digestion *d, const roll *all)
{
    const sl_spool_producer **sorted = calloc(all->n + 1, sizeof *sorted);
    if (sorted == NULL) {
        return SLUICE_E_NOMEM;
    }
    for (uint32_t i = 0; i < all->n; i++) {
        sorted[i] = &all->producer[i];
    }
    qsort(sorted, all->n, sizeof *sorted, compare_names);
    for (uint32_t i = 0; i < all->n; i++) {
        add_span(d, sl_span_of(sorted[i]->name));
        add_number(d, sorted[i]->next_sequence);
    }
    free(sorted);
    return SLUICE_OK;
}

static sluice_status digest_all(const sl_environment *environment, MDB_txn *txn, digestion *d,
                                roll *all, sluice_message *why)
{
    sl_counters counters;
    SLUICE_TRY(sl_meta_read_counters(environment, txn, &counters, why));
    add_number(d, counters.next_offset);
    SLUICE_TRY(sl_offsets_producers(environment, txn, collect_producer, all, why));
    for (uint32_t i = 0; i < all->n; i++) {
        d->name_of[all->producer[i].i_producer] = all->producer[i].name;
    }
    SLUICE_TRY(sl_log_visit(environment, txn, 0, add_sample, d, why));
    SLUICE_TRY(sl_rows_store_visit(environment, txn, counters.oldest_row, add_row, d, why));
    if (d->status != SLUICE_OK) {
        return sluice_fail(why, d->status, "state %s: a row cannot be read: %s", environment->path,
                           sluice_status_name(d->status));
    }
    return add_producers(d, all);
}

sluice_status sl_digest_run(const sl_environment *environment, MDB_txn *txn,
                            sl_spool_row_canonical *canonical, uint64_t digest[2],
                            sluice_message *why)
{
    digest[0] = digest[1] = 0;
    roll all = {.producer = malloc(SLUICE_LIMIT_PRODUCERS * sizeof *all.producer)};
    digestion d = {
        .hash = XXH3_createState(),
        .name_of = calloc(SLUICE_LIMIT_PRODUCERS, sizeof *d.name_of),
        .canonical = canonical,
    };
    sluice_status status = SLUICE_E_NOMEM;
    if (all.producer == NULL || d.hash == NULL || d.name_of == NULL) {
        sluice_fail(why, status, "state %s: cannot digest it: out of memory", environment->path);
    } else {
        XXH3_128bits_reset(d.hash);
        status = digest_all(environment, txn, &d, &all, why);
    }
    if (status == SLUICE_OK) {
        XXH128_hash_t hash = XXH3_128bits_digest(d.hash);
        digest[0] = hash.high64;
        digest[1] = hash.low64;
    }
    sl_bytes_fini(&d.row);
    free(d.name_of);
    XXH3_freeState(d.hash);
    free(all.producer);
    return status;
}
