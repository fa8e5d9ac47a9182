/* pipeline.h - a running filter: sockets, threads and the durable state behind them. */
#ifndef SL_PIPELINE_H
#define SL_PIPELINE_H

#include "sluice/config.h"
#include "sluice/counters.h"

typedef struct sl_pipeline sl_pipeline;

/* Opens the state, rebuilds the index, binds the sockets and starts the threads: when it returns OK
 * the filter is ready. Borrows config.
 *
 * references  Borrows [SLUICE_LIMIT_REFERENCES] encoded Batches: the sets of influence.references
 *             that lie in files; empty for the others. */
SLUICE_MUST_USE sluice_status sl_pipeline_open(const sluice_config *config,
                                               const sluice_bytes *references, sl_pipeline **out,
                                               sluice_message *why);

/* Drains: what was taken is judged, durable and acknowledged; then a checkpoint; then everything is
 * closed. Takes; NULL ok. */
void sl_pipeline_close(sl_pipeline **pipeline_p);

/* The live keys of `config` hold from the next block of samples on; any thread. The log says when.
 */
SLUICE_MUST_USE sluice_status sl_pipeline_change(sl_pipeline *pipeline,
                                                 const sluice_config *config);

/* The engine could not take the last change, and goes on with what it had: the next reload is told
 * to it again, even if nothing has changed since. */
bool sl_pipeline_change_refused(const sl_pipeline *pipeline);

/* The configuration was read again, whether anything had changed or not; for who looks on. */
void sl_pipeline_count_reload(sl_pipeline *pipeline, bool refused);

/* What a start found; for the first log line. */
typedef struct sl_pipeline_start {
    uint64_t next_offset, rows;
    double restore_s;
} sl_pipeline_start;
sl_pipeline_start sl_pipeline_start_of(const sl_pipeline *pipeline);

/* Samples judged since the start, for a line now and then; any thread. */
typedef struct sl_pipeline_counts {
    uint64_t received, kept, flagged, dropped, refused, redelivered, undecodable, durable_offset;
} sl_pipeline_counts;
sl_pipeline_counts sl_pipeline_counts_of(const sl_pipeline *pipeline);

#endif
