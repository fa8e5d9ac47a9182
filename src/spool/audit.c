/* audit.c - walks every value of a state.
 *
 *      log        checksums, offsets dense from the first to next_offset, ordinals rising by one
 *      rows       checksums, offsets rising, below next_offset
 *      producers  names unique; received = kept + flagged + dropped + refused + redelivered;
 *                 no more kept, flagged and dropped ones in the log than counted, and exactly as
 *                 many while nothing has been deleted
 *      groups     ranges in order, nothing committed beyond the end
 *      dead       checksums, numbers dense to the last given; from 0 or from the last drop
 *      meta       checksums, numbers possible
 *
 * Memory: one count of three decisions a producer, and the producers themselves. */
#include "spool/audit.h"
#include "spool/dead.h"
#include "spool/log_store.h"
#include "spool/offsets.h"
#include "spool/rows_store.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct audit {
    const sl_environment *environment;
    MDB_txn *txn;
    sl_counters counters;
    uint64_t (*n_of)[SLUICE_REFUSE]; /* [SLUICE_LIMIT_PRODUCERS][decision] in the log */
    sl_spool_producer *producer;     /* [SLUICE_LIMIT_PRODUCERS] */
    uint32_t n_producers;
    uint64_t next; /* what the walk under way expects */
    uint64_t n_samples;
    sluice_status status;
    sluice_message *why;
} audit;

static bool find_fault(audit *a, const char *what, uint64_t number, const char *fault)
{
    a->status = sl_environment_corrupt(a->environment, a->why, what, number, fault);
    return false;
}

static sluice_status check_group(audit *a, const sl_log_cursor *cursor)
{
    for (uint32_t i = 0; i < cursor->group.count; i++) {
        sl_spool_sample sample;
        SLUICE_TRY(sl_log_cursor_sample(cursor, i, &sample, a->why));
        if (sample.i_producer >= SLUICE_LIMIT_PRODUCERS) {
            find_fault(a, "sample at offset", sample.offset, "has an impossible producer");
            return a->status;
        }
        a->n_of[sample.i_producer][sample.decision]++;
    }
    a->n_samples += cursor->group.count;
    return SLUICE_OK;
}

static sluice_status walk_groups(audit *a, sl_log_cursor *cursor)
{
    bool found;
    uint64_t next_ordinal = 0;
    SLUICE_TRY(sl_log_cursor_seek(cursor, 0, &found, a->why));
    a->next = found ? cursor->group.first_offset : a->counters.next_offset;
    next_ordinal = found ? cursor->group.ordinal : a->counters.next_ordinal;
    while (found) {
        if (cursor->group.first_offset != a->next || cursor->group.ordinal != next_ordinal) {
            find_fault(a, "log group at offset", cursor->group.first_offset,
                       "does not follow the one before");
            return a->status;
        }
        SLUICE_TRY(check_group(a, cursor));
        a->next = cursor->group.next_offset;
        next_ordinal++;
        SLUICE_TRY(sl_log_cursor_next(cursor, &found, a->why));
    }
    if (a->next != a->counters.next_offset || next_ordinal != a->counters.next_ordinal ||
        a->n_samples + a->counters.deleted_samples != a->counters.next_offset) {
        find_fault(a, "log that ends at offset", a->next, "does not match its running numbers");
    }
    return a->status;
}

static sluice_status check_log(audit *a)
{
    sl_log_cursor cursor;
    SLUICE_TRY(sl_log_cursor_open(a->environment, a->txn, &cursor, a->why));
    sluice_status status = walk_groups(a, &cursor);
    sl_log_cursor_close(&cursor);
    return status;
}

static bool check_row(void *context, uint64_t offset, sluice_span row)
{
    (void)row;
    audit *a = context;
    if (offset < a->next || offset >= a->counters.next_offset) {
        return find_fault(a, "row of offset", offset, "is out of order");
    }
    a->next = offset + 1;
    return true;
}

static bool check_producer(void *context, const sl_spool_producer *producer)
{
    audit *a = context;
    const uint64_t stored = producer->kept + producer->flagged + producer->dropped;
    if (producer->received != stored + producer->refused + producer->redelivered) {
        return find_fault(a, "producer", producer->i_producer,
                          "breaks received = kept + flagged + dropped + refused + redelivered");
    }
    if (producer->i_producer != a->n_producers) {
        return find_fault(a, "producer", producer->i_producer, "leaves out a number before it");
    }
    a->producer[a->n_producers++] = *producer;
    const uint64_t *n = a->n_of[producer->i_producer];
    const uint64_t counted[SLUICE_REFUSE] = {producer->kept, producer->flagged, producer->dropped};
    for (int i = 0; i < SLUICE_REFUSE; i++) {
        if (n[i] > counted[i] || (a->counters.deleted_samples == 0 && n[i] != counted[i])) {
            return find_fault(a, "producer", producer->i_producer,
                              "counts other samples than the log holds of it");
        }
    }
    return true;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const sl_spool_producer *)a)->name, ((const sl_spool_producer *)b)->name);
}

static sluice_status check_producers(audit *a)
{
    SLUICE_TRY(sl_offsets_producers(a->environment, a->txn, check_producer, a, a->why));
    SLUICE_TRY(a->status);
    /* A state that never named a producer (samples of a pipe) has nothing to compare. */
    for (uint32_t i = a->n_producers; i > 0 && i < SLUICE_LIMIT_PRODUCERS; i++) {
        if (a->n_of[i][SLUICE_KEEP] + a->n_of[i][SLUICE_FLAG] + a->n_of[i][SLUICE_DROP] > 0) {
            find_fault(a, "producer", i, "is missing, but the log holds samples of it");
            return a->status;
        }
    }
    qsort(a->producer, a->n_producers, sizeof *a->producer, compare_names);
    for (uint32_t i = 1; i < a->n_producers; i++) {
        if (strcmp(a->producer[i - 1].name, a->producer[i].name) == 0) {
            find_fault(a, "producer", a->producer[i].i_producer, "has the name of another");
            return a->status;
        }
    }
    return SLUICE_OK;
}

static bool check_consumers(void *context, const sl_spool_group *group)
{
    audit *a = context;
    uint64_t end = group->n_ranges > 0 ? group->range[group->n_ranges - 1].next : group->floor;
    if (end > a->counters.next_offset) {
        a->status = sluice_fail(a->why, SLUICE_E_CORRUPT,
                                "state %s: consumer group %s has committed up to %" PRIu64
                                ", but the log ends at %" PRIu64,
                                a->environment->path, group->name, end, a->counters.next_offset);
        return false;
    }
    return true;
}

static bool check_letter(void *context, uint64_t key, const sl_spool_dead *dead)
{
    (void)dead;
    audit *a = context;
    if (key != a->next) {
        return find_fault(a, "dead letter", key, "does not follow the one before");
    }
    a->next++;
    return true;
}

static sluice_status check_dead(audit *a)
{
    uint64_t n_there;
    SLUICE_TRY(sl_dead_count(a->environment, a->txn, &n_there, a->why));
    a->next = a->counters.n_dead - n_there;
    SLUICE_TRY(sl_dead_visit(a->environment, a->txn, check_letter, a, a->why));
    if (a->status == SLUICE_OK && a->next != a->counters.n_dead) {
        find_fault(a, "dead letter", a->next, "is missing");
    }
    return a->status;
}

static sluice_status check_meta(audit *a)
{
    sluice_span span;
    uint64_t offset;
    SLUICE_TRY(sl_meta_check_format(a->environment, a->txn, a->why));
    SLUICE_TRY(sl_meta_lines(a->environment, a->txn, &span, a->why));
    SLUICE_TRY(sl_meta_read_counters(a->environment, a->txn, &a->counters, a->why));
    SLUICE_TRY(sl_meta_read_checkpoint(a->environment, a->txn, &span, &offset, a->why));
    if (offset != a->counters.checkpoint_offset || offset > a->counters.next_offset) {
        find_fault(a, "checkpoint of offset", offset, "does not match its running numbers");
    }
    return a->status;
}

static sluice_status check_all(audit *a)
{
    SLUICE_TRY(check_meta(a));
    SLUICE_TRY(check_log(a));
    a->next = 0;
    SLUICE_TRY(sl_rows_store_visit(a->environment, a->txn, 0, check_row, a, a->why));
    SLUICE_TRY(a->status);
    SLUICE_TRY(check_producers(a));
    SLUICE_TRY(sl_offsets_groups(a->environment, a->txn, check_consumers, a, a->why));
    SLUICE_TRY(a->status);
    return check_dead(a);
}

sluice_status sl_audit_run(const sl_environment *environment, MDB_txn *txn, sluice_message *why)
{
    audit a = {
        .environment = environment,
        .txn = txn,
        .n_of = calloc(SLUICE_LIMIT_PRODUCERS, sizeof *a.n_of),
        .producer = malloc(SLUICE_LIMIT_PRODUCERS * sizeof *a.producer),
        .why = why,
    };
    sluice_status status = SLUICE_E_NOMEM;
    if (a.n_of == NULL || a.producer == NULL) {
        sluice_fail(why, status, "state %s: cannot verify it: out of memory", environment->path);
    } else {
        status = check_all(&a);
    }
    free(a.producer);
    free(a.n_of);
    return status;
}
