/* engine.h - the stages in order, over one total order of samples.
 *
 * The engine has no sockets, files, threads, clock or globals. Same samples in the same order, same
 * arrival times, same configuration: same verdicts, whatever the batches, threads and restarts. */
#ifndef SLUICE_ENGINE_H
#define SLUICE_ENGINE_H

#include "sluice/config.h"
#include "sluice/counters.h"
#include "sluice/portfolio.h"
#include "sluice/sample.h"

#define SLUICE_BLOCK_SAMPLES 256 /* what is learned is frozen at every such offset */

typedef struct sluice_engine sluice_engine;

/* What happened to the samples of one group (fairness.group_by) since it is counted. */
typedef struct sluice_group_counts {
    sluice_span group; /* lent until the next run, apply, load or change */
    uint64_t received, dropped;
} sluice_group_counts;

/* The two groups of at least fairness.min_samples whose shares of drops are furthest apart. */
typedef struct sluice_fairness {
    double ratio;           /* of the higher share to the lower one; NaN: fewer than two groups */
    uint32_t i_high, i_low; /* groups; with a ratio                                             */
    bool unfair;            /* ratio > fairness.max_ratio; changes no verdict                   */
} sluice_fairness;

/* Samples for which the expression of a rule failed, so that the rule did not match them. */
typedef struct sluice_rule_faults {
    uint64_t n;
    const char *text; /* of the first one; lent until the policy changes */
} sluice_rule_faults;

/* Copies config; Gives *out. CONFIG: a budget of memory holds no row, or the policy is wrong.
 * NOMEM: the memory cannot be reserved. */
SLUICE_MUST_USE sluice_status sluice_engine_open(const sluice_config *config, sluice_engine **out,
                                                 sluice_message *why);
void sluice_engine_close(sluice_engine **engine_p); /* Takes; NULL ok */

/* Makes all of the budgeted memory real now (it takes a moment), so that no sample waits later for
 * the system to find and zero a page. For a program that runs for long; verdicts do not depend on
 * it. */
void sluice_engine_touch(sluice_engine *engine);

/* Lends the configuration that it was opened with. */
const sluice_config *sluice_engine_config(const sluice_engine *engine);

/* sluice_batch_features - fills `features` of every sample that is not refused; and its views,
 * where none came and the configuration says `encoder: builtin`.
 *
 * batch    Decoded. A payload that cannot be used turns its sample into a refused one.
 * config   Borrows; of a batch always the same, as its scratch is made by the first call.
 * Returns  NOMEM: some samples have no features; the batch is to be decoded again.
 * Threads  Pure; any thread, one batch each. */
SLUICE_MUST_USE sluice_status sluice_batch_features(sluice_batch *batch,
                                                    const sluice_config *config);

/* sluice_engine_run - judges the samples of a batch in order, applying each before the next.
 *
 * batch    `arrived_us` and `i_producer` set, features made. Every accepted sample gets the next
 *          offset, its match and its verdict. A refused one has no offset (UINT64_MAX). A
 *          redelivered one (match.redelivered) gets the offset and the verdict that it got the
 *          first time, no new place in the order, and is not applied. */
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

/* Offsets of the kept samples of `id` that the index remembers (only that at `offset`, unless
 * UINT64_MAX), each once, at most `max`; returns how many, more than `max` if there are more. */
uint32_t sluice_engine_find_id(const sluice_engine *engine, sluice_span id, uint64_t offset,
                               uint64_t *out, uint32_t max);

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

/* One reference set, as it stands now. */
typedef struct sluice_reference_info {
    char name[64];
    const char *origin;       /* static: "source", "file" or "added" */
    uint32_t samples, wanted; /* a set scores nothing before it has all it wants */
} sluice_reference_info;

/* sluice_engine_reference_add - a reference set from the samples of an encoded Batch, between two
 * samples of the stream. It scores from the next block on.
 *
 * Order    A checkpoint saved behind it holds it, and nothing else does, so whoever keeps a log
 *          saves one at once.
 * Returns  CONFIG: not a name, no samples, influence is off. CLOSED: the name is taken by another
 *          set (the same set once more is OK). TOOBIG: SLUICE_LIMIT_REFERENCES sets, or more than
 *          SLUICE_LIMIT_REFERENCE samples. BADSAMPLE: see sluice_engine_reference_batch. Nothing
 *          changed. */
SLUICE_MUST_USE sluice_status sluice_engine_reference_add(sluice_engine *engine, const char *name,
                                                          sluice_span batch, sluice_message *why);
/* CONFIG: there is none of that name. Its scores are gone from the next sample on. */
SLUICE_MUST_USE sluice_status sluice_engine_reference_remove(sluice_engine *engine,
                                                             const char *name, sluice_message *why);
uint32_t sluice_engine_references(const sluice_engine *engine,
                                  sluice_reference_info out[SLUICE_LIMIT_REFERENCES]);

/* Appends the small state (counts by source, budget, influence) as a checkpoint; the index is not
 * in it (rows are). NOMEM: `out` may hold a part of it. */
SLUICE_MUST_USE sluice_status sluice_engine_save(const sluice_engine *engine, sluice_bytes *out);

/* Into an engine that was just opened with the same `state` class of keys. CORRUPT, NOMEM: it is
 * then good for another load, or for closing. */
SLUICE_MUST_USE sluice_status sluice_engine_load(sluice_engine *engine, sluice_span checkpoint);

/* The portfolio as it was at a checkpoint, for who has no engine.
 *
 * portfolio    In and out: one by source.
 * groups       NULL, or one by group; untouched where the checkpoint has none.
 * next_offset  Out: samples before the checkpoint.
 * Returns      CORRUPT, NOMEM. */
SLUICE_MUST_USE sluice_status sluice_portfolio_of_checkpoint(sluice_span checkpoint,
                                                             sluice_portfolio *portfolio,
                                                             sluice_portfolio *groups,
                                                             uint64_t *next_offset);

/* Lent until the engine is closed; another thread must not read it while run or apply do. */
const sluice_portfolio *sluice_engine_portfolio(const sluice_engine *engine);
/* The one by group, lent until the policy changes; NULL without fairness.group_by. */
const sluice_portfolio *sluice_engine_groups(const sluice_engine *engine);

/* sluice_engine_merge - adds what another engine has learned and counted: influence, and counts by
 * source. The index is not part of it: what two engines remember are different streams, and a cover
 * over both is made by sending both through one engine.
 *
 * checkpoint  Borrows what sluice_engine_save wrote there, under the same configuration.
 * Order       a with b or b with a: the same scores to 1e-6 and the same counts, as long as all
 *             sources together are at most SLUICE_LIMIT_SOURCES. Unfinished blocks are learned
 *             first. `next_offset` stays that of this engine.
 * Threads     As load.
 * Returns     CORRUPT; CONFIG: encoders or reference sets that do not go together. Nothing was
 *             added. */
SLUICE_MUST_USE sluice_status sluice_engine_merge(sluice_engine *engine, sluice_span checkpoint,
                                                  sluice_message *why);

/* What the duplicate stage remembers and has done (counters.h). By the thread of run and apply;
 * cheap enough for many times a second. */
void sluice_engine_counters(const sluice_engine *engine, sluice_counters *out);

/* sluice_engine_change - another policy, budget and fairness from the next block on; everything
 * else of `config` is ignored. A change that waits is replaced. The thread of run. CONFIG: it
 * cannot be used; nothing changes. */
SLUICE_MUST_USE sluice_status sluice_engine_change(sluice_engine *engine,
                                                   const sluice_config *config,
                                                   sluice_message *why);
/* The offset from which on the last change holds; UINT64_MAX: it waits, or there was none. */
uint64_t sluice_engine_changed_at(const sluice_engine *engine);

uint32_t sluice_engine_n_rules(const sluice_engine *engine);
sluice_rule_faults sluice_engine_rule_faults(const sluice_engine *engine, uint32_t i_rule);

/* None without fairness.group_by. */
uint32_t sluice_engine_n_groups(const sluice_engine *engine);
sluice_group_counts sluice_engine_group(const sluice_engine *engine, uint32_t i_group);
sluice_fairness sluice_engine_fairness(const sluice_engine *engine);

/* What is known of one encoder; the thread of run. */
typedef struct sluice_encoder_state {
    char name[SLUICE_LIMIT_SOURCE_BYTES + 1];
    uint32_t n_views, dim;
    sluice_influence_state state;
    uint64_t n_samples, n_refreshes; /* absorbed; bases published */
    float reliability;               /* NaN at two views */
} sluice_encoder_state;
/* Returns how many there are. */
uint32_t sluice_engine_encoders(const sluice_engine *engine,
                                sluice_encoder_state out[SLUICE_LIMIT_ENCODERS]);

/* Whether index and portfolio are whole. `reason` is set, to static text, on false. */
bool sluice_engine_validate(const sluice_engine *engine, const char **reason);

#endif
