/* operations.h - changes of consumer groups on their way to the disk. */
#ifndef SL_OPERATIONS_H
#define SL_OPERATIONS_H

#include "egress/leases.h"
#include "job.h"
#include "ring.h"
#include "wire/router.h"

#define SL_EGRESS_JOBS 32 /* commits and rejections between a socket and the disk */

/* One change: the group's new progress, and letters for samples that found no way on. */
typedef struct sl_operation {
    sl_job job;
    bool answered; /* `peer` hears COMMITTED when it is durable */
    bool of_push;  /* made by the push adapter                  */
    sl_peer peer;
    sl_spool_group group;
    sl_reference_request reference; /* job.reference */
    sl_forget forget;               /* job.wanted    */
    sl_spool_dead *dead;            /* owned; job.dead */
    sluice_bytes wires;             /* what dead[].wire points into */
    struct sl_operation *next_free;
} sl_operation;

typedef struct sl_operations {
    sl_operation all[SL_EGRESS_JOBS];
    sl_operation *first_free;
    uint32_t n_free;
} sl_operations;

void sl_operations_init(sl_operations *operations);
void sl_operations_fini(sl_operations *operations);

/* Takes a free one (the caller looks at n_free first) with the group's progress as it is now. */
sl_operation *sl_operations_take(sl_operations *operations, sl_job_kind kind,
                                 sl_consumer_group *group);
sl_operation *sl_operations_take_reference(sl_operations *operations,
                                           const sl_reference_request *request);
sl_operation *sl_operations_take_forget(sl_operations *operations, const sl_forget *forget);
void sl_operations_give(sl_operations *operations, sl_operation *done);
sl_operation *sl_operation_of_job(sl_job *job);

/* Makes a dead letter of each sample of the Batch in operation->wires. */
SLUICE_MUST_USE sluice_status sl_operation_bury(sl_operation *operation, uint64_t offset,
                                                const char *reason, const char *text);

#endif
