/* ingest.h - takes samples from producers and tells them what is durable. */
#ifndef SL_INGEST_H
#define SL_INGEST_H

#include "job.h"
#include "ring.h"
#include "sluice/config.h"
#include "wire/auth.h"

#define SL_INGEST_JOBS  64                   /* messages between a socket and the disk          */
#define SL_INGEST_BYTES ((uint64_t)64 << 20) /* of them; one message may go beyond */

typedef struct sl_ingest sl_ingest;

typedef struct sl_ingest_options {
    void *zmq_context;           /* Borrows */
    const sluice_config *config; /* Borrows */
    sl_spool *spool;             /* Borrows; read only here */
    sl_ring *features;           /* out: jobs whose batch is to be decoded   */
    sl_ring *estimator;          /* out: the same jobs in order of arrival   */
    sl_ring *done;               /* in: the same jobs once durable, and RESTORE; pollable */
    const sl_key *server_key;    /* Borrows; NULL: no CURVE, everybody may               */
} sl_ingest_options;

/* Binds listen.ingest and listen.pull. */
SLUICE_MUST_USE sluice_status sl_ingest_open(const sl_ingest_options *options, sl_ingest **out,
                                             sluice_message *why);
void sl_ingest_close(sl_ingest **ingest_p);

void sl_ingest_run(sl_ingest *ingest);  /* until stopped and everything taken is answered      */
void sl_ingest_stop(sl_ingest *ingest); /* any thread; producers hear SHUTTING_DOWN from now on */

typedef struct sl_ingest_counts {
    uint64_t undecodable; /* messages that were no message of ours: no sample in them to count */
    uint64_t in_flight_bytes;
} sl_ingest_counts;
sl_ingest_counts sl_ingest_counts_of(const sl_ingest *ingest); /* any thread */

#endif
