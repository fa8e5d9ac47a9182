/* engine.h - the stages in order, over one total order of samples.
 *
 * The engine has no sockets, files, threads, clock or globals. Same samples in the same order, same
 * arrival times, same configuration: same verdicts, whatever the batches, threads and restarts. */
#ifndef SLUICE_ENGINE_H
#define SLUICE_ENGINE_H

#include "sluice/config.h"
#include "sluice/sample.h"

#define SLUICE_BLOCK_SAMPLES 256 /* what is learned is frozen at every such offset */

typedef struct sluice_engine sluice_engine;

/* What happened to the samples of one source since the state began. */
typedef struct sluice_source_counts {
    sluice_span source; /* lent until the next run, apply or load */
    uint64_t kept, flagged, dropped, duplicates;
} sluice_source_counts;

SLUICE_MUST_USE sluice_status
sluice_engine_open(const sluice_config *config, sluice_engine **out,
                   sluice_message *why);            /* Borrows config; Gives *out */
void sluice_engine_close(sluice_engine **engine_p); /* Takes; NULL ok */

/* Makes all of the budgeted memory real now (it takes a moment), so that no sample waits later for
 * the system to find and zero a page. For a program that runs for long; verdicts do not depend on
 * it. */
void sluice_engine_touch(sluice_engine *engine);

/* sluice_batch_features - fills `features` of every sample that is not refused.
 * Threads  Pure; any thread, one batch each. */
SLUICE_MUST_USE sluice_status sluice_batch_features(sluice_batch *batch,
                                                    const sluice_config *config);

/* sluice_engine_run - judges the samples of a batch in order, applying each before the next.
 *
 * batch    `arrived_us` and `i_producer` set, features made. Every accepted sample gets the next
 *          offset, its match and its verdict. A refused one has no offset (UINT64_MAX). A
 * redelivered one (match.redelivered) gets the offset and the verdict that it got the first time,
 * no new place in the order, and is not applied. */
void sluice_engine_run(sluice_engine *engine, sluice_batch *batch);

/* sluice_engine_apply - the one mutator: what one judged sample leaves behind. Cannot fail. Replay
 * of a log calls exactly this; the index part of a sample whose row was restored already is
 * skipped. */
void sluice_engine_apply(sluice_engine *engine, const sluice_sample *sample);

uint64_t sluice_engine_next_offset(const sluice_engine *engine);

/* How far back the index reached when some batch had been judged: the oldest offset that each
 * method remembered. The rows of that batch carry it. */
typedef struct sluice_row_mark {
    uint64_t exact, text, image, embedding;
} sluice_row_mark;
sluice_row_mark sluice_engine_row_mark(const sluice_engine *engine);

/* Rows: what the index must find again after a restart. `row_write` appends the row of one judged
 * sample (nothing for a sample that is not remembered); it reads nothing of the engine that
 * changes, so another thread may run on. `row_read` remembers one of them, in the order in which
 * they were written. BADSAMPLE: not a row. */
SLUICE_MUST_USE sluice_status sluice_engine_row_write(const sluice_engine *engine,
                                                      const sluice_row_mark *mark,
                                                      const sluice_sample *sample,
                                                      sluice_bytes *out);
SLUICE_MUST_USE sluice_status sluice_engine_row_read(sluice_engine *engine, sluice_span row);

/* All rows of samples below `next_offset` have been read: applying such a sample again leaves the
 * index alone, so that a row which was erased since stays erased. */
void sluice_engine_rows_complete(sluice_engine *engine, uint64_t next_offset);

/* The smallest offset that any method still remembers (next_offset if none): older rows can go. */
uint64_t sluice_engine_oldest_row(const sluice_engine *engine);

/* Erases what is remembered of the sample at `offset`; false if nothing was. */
bool sluice_engine_forget(sluice_engine *engine, uint64_t offset);

/* Makes a refresh of influence that waits; false if none did. Any one thread, beside run and apply:
 * it takes the work off them and changes no score. Nobody need call it. */
bool sluice_engine_refresh(sluice_engine *engine);
bool sluice_engine_refresh_waits(const sluice_engine *engine); /* the thread of run */

/* The samples (an encoded Batch) of a reference set that the configuration names with a path,
 * before any run. BADSAMPLE: one is refused or has fewer than two views, or others than those
 * before it. CONFIG: no such set, or it is full. */
SLUICE_MUST_USE sluice_status sluice_engine_reference_batch(sluice_engine *engine, const char *name,
                                                            sluice_span batch, sluice_message *why);

/* Small state (counts by source, influence) as a checkpoint; the index is not in it (rows are). */
SLUICE_MUST_USE sluice_status sluice_engine_save(const sluice_engine *engine, sluice_bytes *out);
SLUICE_MUST_USE sluice_status sluice_engine_load(sluice_engine *engine, sluice_span checkpoint);

uint32_t sluice_engine_n_sources(const sluice_engine *engine);
sluice_source_counts sluice_engine_source(const sluice_engine *engine, uint32_t i_source);

bool sluice_engine_validate(const sluice_engine *engine, const char **reason);

#endif
