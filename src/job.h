/* job.h - one message on its way through the threads of a running filter. */
#ifndef SL_JOB_H
#define SL_JOB_H

#include "spool/spool.h"
#include "wire/session.h"
#include "sluice/engine.h"

#include <stdatomic.h>

/* The producer under whose name samples are offered again: what it puts is kept (sample.restored).
 */
#define SL_RESTORE_PRODUCER "sluice-restore"

/* ingest --> features --> estimator --> committer --> back to whoever made the job
 * egress  ----------------^
 * Each group of fields is written by the threads named; a ring between them orders the accesses. */
typedef enum sl_job_kind {
    SL_JOB_PUT,        /* a batch of samples                                                     */
    SL_JOB_PROGRESS,   /* a consumer group has a new floor                                       */
    SL_JOB_REJECT,     /* a consumer rejected a sample: dead letter, row erased                  */
    SL_JOB_REFERENCE,  /* reference sets: look, add one, remove one                              */
    SL_JOB_FORGET,     /* a person wants a kept sample forgotten: rows erased                    */
    SL_JOB_RESTORE,    /* a dropped sample, offered again by who looks on: ingest makes it a PUT */
    SL_JOB_CHECKPOINT, /* wanted for a clean end, or by ingest when the log is full              */
    SL_JOB_WATCH,      /* who looks on wants a snapshot; ends at the estimator                    */
} sl_job_kind;

#define SL_FORGET_ROWS 1024 /* kept samples of one id that one FORGET erases */

/* What became of the samples of one message. */
typedef struct sl_tally {
    uint32_t received, kept, flagged, dropped, refused, redelivered;
} sl_tally;

typedef struct sl_job {
    /* who made it */
    sl_job_kind kind;
    atomic_bool *back; /* of who looks on: set when the job is back, in place of a ring; or NULL */
    bool takes_next;   /* PUT: the sender has no sequence; it takes the producer's next   */
    uint32_t i_producer;  /* PUT                                                             */
    const char *producer; /* PUT: its name, lent for the life of the program                 */
    uint64_t sequence;    /* PUT: of the first sample                                        */
    uint32_t count;       /* PUT: as the sender says; 0 with takes_next                      */
    uint64_t xxh3;        /* PUT: of bytes, 0 = unchecked                                    */
    sluice_span bytes;    /* PUT: the encoded Batch; lent until the job is back              */
    sluice_batch *batch;  /* PUT: owned by the job for its life                              */
    const sl_reference_request *reference; /* REFERENCE; for ADD the set is in `bytes`          */
    const sl_forget *wanted;               /* FORGET */
    const sl_spool_group *group;           /* PROGRESS, REJECT (NULL there: no group row changes) */
    const sl_spool_dead *dead; /* REJECT, PROGRESS: letters to write                              */
    uint32_t n_dead;
    uint64_t forget; /* REJECT: offset whose row is erased                              */
    /* features */
    bool featured;
    sl_code code; /* not UNSPECIFIED: the whole message is refused, `why` says so    */
    sluice_message why;
    /* estimator */
    uint32_t n_known; /* samples at the front that were taken before: redelivered        */
    uint64_t expected_sequence; /* with code GAP */
    sl_spool_producer after; /* PUT: the producer's row once this job is durable                */
    sl_tally tally;          /* PUT                                                             */
    sluice_bytes checkpoint; /* size 0: none                                                    */
    uint64_t checkpoint_offset;
    sl_forgotten forgotten;   /* FORGET; or code and why                                      */
    sluice_bytes offsets;     /* FORGET: u64 each, of the rows to erase; owned like checkpoint   */
    sl_references references; /* REFERENCE: the sets, afterwards; or code and why           */
    sluice_counters counters; /* with a checkpoint                                              */
    uint64_t oldest_row;      /* PUT                                                             */
    sluice_row_mark mark;     /* PUT                                                             */
} sl_job;

/* Decode and features of a PUT; a message that is refused as a whole has its code after it. NOMEM:
 * nothing is known of it.
 * scratch  The thread's, not the batch's: it grows with the largest text seen, and there are many
 *          more batches than threads. NULL at first; closed by the caller. */
SLUICE_MUST_USE sluice_status sl_job_features(sl_job *job, const sluice_config *config,
                                              struct sl_features **scratch);

/* Whether the message continues its producer (else its code is GAP); sets n_known. */
bool sl_job_place(sl_job *job, const sl_spool_producer *row);

#endif
