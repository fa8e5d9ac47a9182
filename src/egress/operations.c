/* operations.c - changes of consumer groups on their way to the disk.
 *
 * Why a fixed number: each is a commit that somebody waits for; when all are under way the socket
 * is simply not read. */
#include "egress/operations.h"
#include "bytes.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

void sl_operations_init(sl_operations *operations)
{
    *operations = (sl_operations){0};
    for (uint32_t i = 0; i < SL_EGRESS_JOBS; i++) {
        sl_operations_give(operations, &operations->all[i]);
    }
}

void sl_operations_fini(sl_operations *operations)
{
    for (uint32_t i = 0; i < SL_EGRESS_JOBS; i++) {
        free(operations->all[i].dead);
        sl_bytes_fini(&operations->all[i].wires);
    }
}

static sl_operation *take(sl_operations *operations, sl_job_kind kind)
{
    sl_operation *taken = operations->first_free;
    SLUICE_ASSERT(taken != NULL);
    operations->first_free = taken->next_free;
    operations->n_free--;
    taken->job = (sl_job){.kind = kind};
    taken->answered = taken->of_push = false;
    return taken;
}

sl_operation *sl_operations_take_reference(sl_operations *operations,
                                           const sl_reference_request *request)
{
    sl_operation *taken = take(operations, SL_JOB_REFERENCE);
    taken->reference = *request;
    taken->job.reference = &taken->reference;
    return taken;
}

sl_operation *sl_operations_take_forget(sl_operations *operations, const sl_forget *forget)
{
    sl_operation *taken = take(operations, SL_JOB_FORGET);
    taken->forget = *forget;
    taken->job.wanted = &taken->forget;
    return taken;
}

sl_operation *sl_operations_take(sl_operations *operations, sl_job_kind kind,
                                 sl_consumer_group *group)
{
    sl_operation *taken = take(operations, kind);
    taken->group = group->progress;
    group->sent_floor = group->progress.floor;
    taken->job.group = &taken->group;
    return taken;
}

void sl_operations_give(sl_operations *operations, sl_operation *done)
{
    free(done->dead);
    done->dead = NULL;
    sl_bytes_fini(&done->job.offsets);
    sl_bytes_clear(&done->wires);
    done->next_free = operations->first_free;
    operations->first_free = done;
    operations->n_free++;
}

sl_operation *sl_operation_of_job(sl_job *job)
{
    return (sl_operation *)(void *)((char *)job - offsetof(sl_operation, job));
}

static sluice_span next_sample(sl_reader *reader)
{
    (void)sl_reader_varint(reader); /* the tag of Batch.samples */
    uint64_t size = sl_reader_varint(reader);
    return sl_reader_span(reader, (size_t)size);
}

static uint32_t count_samples(sluice_span batch)
{
    sl_reader reader = sl_reader_of(batch);
    uint32_t n = 0;
    while (reader.at < reader.end) {
        (void)next_sample(&reader);
        n++;
    }
    return n;
}

sluice_status sl_operation_bury(sl_operation *operation, uint64_t offset, const char *reason,
                                const char *text)
{
    sluice_span batch = {operation->wires.data, operation->wires.size};
    uint32_t n = count_samples(batch);
    operation->dead = calloc(n + 1, sizeof *operation->dead);
    if (operation->dead == NULL) {
        return SLUICE_E_NOMEM;
    }
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    sl_reader reader = sl_reader_of(batch);
    for (uint32_t i = 0; i < n; i++) {
        sl_spool_dead *dead = &operation->dead[i];
        dead->at_us = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
        dead->sequence = offset;
        dead->wire = next_sample(&reader);
        snprintf(dead->by, sizeof dead->by, "group %.249s", operation->group.name);
        snprintf(dead->reason, sizeof dead->reason, "%s", reason);
        snprintf(dead->text, sizeof dead->text, "%s", text);
    }
    operation->job.dead = operation->dead;
    operation->job.n_dead = n;
    return SLUICE_OK;
}
