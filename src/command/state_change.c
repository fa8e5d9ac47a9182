/* state_change.c - what a person may change in a stopped state: retire a group, drop dead letters.
 *
 *   read only: what is there under that name?  -->  as its writer: one transaction  -->  said
 *
 * Why the lock of the state decides: a running filter holds the index and the groups in memory, so
 * a change behind its back would be undone or, worse, half seen.
 * Why the room of the log is raised for the change: retention runs in every transaction, and the
 * filter's own spool.max_bytes may be larger than what is configured here. */
#include "command/state_change.h"

#include "bytes.h"
#include "spool/spool.h"
#include "command/state_writer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* --- retire --- */

typedef struct wanted_group {
    const char *name;
    bool found;
    uint64_t floor;
} wanted_group;

static bool visit_group(void *context, const sl_spool_group *group)
{
    wanted_group *wanted = context;
    wanted->found = strcmp(group->name, wanted->name) == 0;
    wanted->floor = group->floor;
    return !wanted->found;
}

sluice_status sl_state_retire(sl_state_change *change, sluice_message *why)
{
    sl_spool *spool = NULL;
    SLUICE_TRY(sl_state_write(change, &spool, why));
    wanted_group wanted = {.name = change->name};
    sluice_status status = sl_spool_groups(spool, visit_group, &wanted, why);
    if (status == SLUICE_OK && !wanted.found) {
        status = sluice_fail(why, SLUICE_E_IO, "there is no consumer group \"%s\"", change->name);
    }
    if (status == SLUICE_OK) {
        const sl_spool_write write = {.retired = &change->name, .n_retired = 1};
        status = sl_spool_append(spool, &write, why);
    }
    if (status == SLUICE_OK && change->json) {
        printf("{\"retired\": true, \"floor_offset\": %" PRIu64 "}\n", wanted.floor);
    } else if (status == SLUICE_OK) {
        printf("retired: consumer group \"%s\", which had committed up to offset %" PRIu64
               "; the log is kept for it no longer, and a fetch by this name begins anew\n",
               change->name, wanted.floor);
    }
    sl_spool_close(&spool);
    return status;
}

/* --- dead letters --- */

sluice_status sl_state_drop_dead(sl_state_change *change, sluice_message *why)
{
    sl_spool *spool = NULL;
    SLUICE_TRY(sl_state_write(change, &spool, why));
    sl_spool_extent extent = sl_spool_extent_of(spool);
    uint64_t n = extent.n_dead - extent.n_dead_dropped;
    sluice_status status = sl_spool_append(spool, &(sl_spool_write){.drop_dead = n > 0}, why);
    if (status == SLUICE_OK) {
        printf(change->json ? "{\"dropped\": %" PRIu64 "}\n" : "%" PRIu64 " dead letters dropped\n",
               n);
    }
    sl_spool_close(&spool);
    return status;
}
