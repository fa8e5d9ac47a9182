/* offered.c - a dropped sample that who looks on offers again.
 *
 *   RESTORE --> PUT of the producer "sluice-restore", at its next sequence --> *back
 *
 * Why here: numbers of producers are given in one place, and a HELLO of `sluice state restore` must
 * hear of what was restored over HTTP before. */
#include "ingest/offered.h"

static void refuse(sl_job *job, sl_code code, const char *text)
{
    job->code = code;
    (void)sluice_fail(&job->why, SLUICE_E_AGAIN, "%s", text);
    atomic_store(job->back, true);
}

static void start(sl_job *job, sl_producers *producers, const sl_ingest_options *options)
{
    sl_spool_producer *row = sl_producers_find(producers, SL_RESTORE_PRODUCER);
    if (row == NULL) {
        refuse(job, SL_CODE_FORBIDDEN,
               "4096 producers are known, none named \"" SL_RESTORE_PRODUCER "\"");
        return;
    }
    job->kind = SL_JOB_PUT;
    job->takes_next = true;
    job->i_producer = row->i_producer;
    job->producer = row->name;
    sl_ring_push(options->estimator, job);
    sl_ring_push(options->features, job);
}

static void finish(sl_job *job, sl_producers *producers)
{
    if (job->code == SL_CODE_UNSPECIFIED) {
        *sl_producers_at(producers, job->i_producer, "") = job->after;
    }
    atomic_store(job->back, true);
}

void sl_offered_take(sl_job *job, sl_producers *producers, const sl_ingest_options *options,
                     bool held, bool stopping)
{
    if (job->kind != SL_JOB_RESTORE) {
        finish(job, producers);
    } else if (stopping) {
        refuse(job, SL_CODE_SHUTTING_DOWN, "this filter is shutting down");
    } else if (held) {
        refuse(job, SL_CODE_WINDOW_EXCEEDED,
               "the log is full until consumers commit: nothing was restored");
    } else {
        start(job, producers, options);
    }
}
