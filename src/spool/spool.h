/* spool.h - the durable state of a filter: one LMDB environment, one transaction a group.
 *
 * Threads: appends come from one thread; everything else from any thread meanwhile. A read holds
 * one read transaction until it returns and sees one moment of the state. After a fork the child
 * must not touch the spool; one process opens a state once. */
#ifndef SL_SPOOL_H
#define SL_SPOOL_H

#include "status.h"
#include "sluice/sample.h"

#define SLUICE_LIMIT_GROUP_BYTES     (4u << 20) /* of one log value, a single larger sample aside */
#define SLUICE_LIMIT_CONSUMER_GROUPS 64
#define SLUICE_LIMIT_RANGES          1024 /* committed ranges above a consumer group's floor */
#define SLUICE_LIMIT_DEAD_BYTES      (256u << 20) /* of all dead letters on the disk, see below      */
#define SLUICE_LIMIT_DEAD_WIRE_BYTES                                                               \
    (1u << 20) /* of the sample in one dead letter                */

typedef struct sl_spool sl_spool;

typedef struct sl_spool_options {
    const char *path;        /* directory; made (0700) unless read_only                        */
    uint64_t max_bytes;      /* of the log; 0 = 16 GiB                                         */
    uint64_t rows_bytes;     /* memory of the index, which its rows take on the disk too, to
                                reserve address space for; 0 = 1 GiB                           */
    bool sync_os;            /* commits are not flushed: safe against the end of the process,
                                not of the power, which may then damage all of the state       */
    bool read_only;          /* state ls, explain...: works beside a running filter            */
    sluice_span state_lines; /* sluice_config_state_lines; must equal what the state was made
                                with, unless read_only: the first differing key is named. A key
                                that is younger than the state must have its default           */
} sl_spool_options;

/* sl_spool_open - opens the state in a directory, or makes one.
 *
 * options  Borrows until the return.
 * out      Gives; NULL on error.
 * Returns  CONFIG: nothing there (read_only), not a directory, a foreign or newer state, or one
 * made with other state lines. IO: another process writes it (one writer by an flock of path/lock),
 * no permission, disk full. CORRUPT: damaged. `why` names the path and what to do. */
SLUICE_MUST_USE sluice_status sl_spool_open(const sl_spool_options *options, sl_spool **out,
                                            sluice_message *why);
void sl_spool_close(sl_spool **spool_p); /* Takes; NULL ok */

/* --- what one transaction writes --- */

typedef struct sl_spool_sample { /* an accepted sample, in order of offset, without holes         */
    uint64_t offset;
    int64_t arrived_us;
    uint32_t i_producer;
    sluice_decision decision;
    sluice_span wire;       /* the Sample message                                            */
    sluice_span annotation; /* encoded field, appended to wire in the log                    */
} sl_spool_sample;

typedef struct sl_spool_producer { /* one row of `producers`; counts obey the conservation law */
    uint32_t i_producer; /* given in order of first HELLO, from 0                         */
    char name[SLUICE_LIMIT_ID_BYTES + 1];
    uint64_t next_sequence;
    uint64_t received, kept, flagged, dropped, refused, redelivered;
} sl_spool_producer;

/* Dead letters are never deleted to make room, only by hand (drop_dead). Once they take 3/4 of
 * SLUICE_LIMIT_DEAD_BYTES a new letter is kept without its sample (n_dead_cut counts those), once
 * they take all of it a new one is only counted (n_dead_lost): sl_spool_extent shows both, and the
 * log line of a refusal is there besides. */
typedef struct sl_spool_dead { /* a sample that found no way on                                 */
    int64_t at_us;
    char by[SLUICE_LIMIT_ID_BYTES + 1]; /* producer name, or "group NAME"                         */
    uint64_t sequence; /* in the producer, or the offset when a consumer rejected it    */
    char reason[64];
    char text[256];
    sluice_span wire;    /* as it came; cut to 1 MiB, or empty for want of room            */
    uint64_t wire_bytes; /* read only: its size before the cut                             */
} sl_spool_dead;

typedef struct sl_spool_range {
    uint64_t first, next;
} sl_spool_range;

typedef struct sl_spool_group { /* progress of one consumer group                                */
    char name[SLUICE_LIMIT_ID_BYTES + 1];
    uint64_t floor;    /* everything below is committed                                 */
    uint32_t n_ranges; /* committed above the floor, sorted, disjoint, not touching     */
    sl_spool_range range[SLUICE_LIMIT_RANGES];
} sl_spool_group;

typedef struct sl_spool_write {
    const sl_spool_sample *samples;
    uint32_t n_samples;
    const sluice_span *rows;
    uint32_t n_rows;             /* rows of kept samples, in order     */
    const uint64_t *row_offsets; /* offset of each row                 */
    const sl_spool_producer *producers;
    uint32_t n_producers; /* the changed ones                   */
    const sl_spool_dead *dead;
    uint32_t n_dead;
    const sl_spool_group *groups;
    uint32_t n_groups; /* the changed ones                   */
    const uint64_t *forget;
    uint32_t n_forget; /* offsets whose rows are erased      */
    const char *const *retired;
    uint32_t n_retired; /* names of consumer groups whose progress is deleted: the log is kept for
                           them no longer; an unknown name is nothing              */
    bool drop_dead;     /* deletes the dead letters there are, before `dead` is added */
    sluice_span checkpoint;
    uint64_t checkpoint_offset; /* size 0 = none this time    */
    sluice_span numbers;        /* the filter's own, for people; size 0 = as they were     */
    uint64_t oldest_row;        /* rows below are out of every window: may be deleted       */
} sl_spool_write;

/* sl_spool_append - one transaction, durable when it returns OK.
 *
 * write    Borrows. Samples begin at next_offset and have no holes; a row's offset is that of one
 *          of these samples; oldest_row below an earlier one is ignored. Samples are split into
 *          log values of at most SLUICE_LIMIT_GROUP_BYTES. A write of nothing writes nothing.
 * Retention  A log value is deleted, oldest first, only while the log takes more than max_bytes
 * less a headroom (an eighth of it, 64 MiB at most: free bytes for the windows of producers), and
 * only if all its samples lie below every consumer group's floor and below the checkpoint. What was
 * deleted is counted (deleted_samples). Returns  Any error is fatal for the process: memory is
 * ahead of the disk (design 5.3). Nothing was written then, or, if the disk failed during the last
 * step, all or nothing; further appends are refused. */
SLUICE_MUST_USE sluice_status sl_spool_append(sl_spool *spool, const sl_spool_write *write,
                                              sluice_message *why);

/* Where the log begins and ends, and how full it is; cheap, from memory, any thread. Numbers of two
 * appends may mix; each of them is right. A read_only spool keeps those of its open. */
typedef struct sl_spool_extent {
    uint64_t first_offset, next_offset; /* equal: the log is empty                              */
    uint64_t log_bytes; /* pages of the log on the disk                                         */
    uint64_t max_bytes; /* log_bytes >= max_bytes: nothing could be deleted, hold producers     */
    uint64_t deleted_samples;   /* by retention, since the state began                          */
    uint64_t checkpoint_offset; /* samples below are in the checkpoint                          */
    uint64_t oldest_row;        /* rows below are forgotten                                     */
    uint64_t n_dead;            /* letters stored, since the state began                        */
    uint64_t n_dead_cut;        /* of those, without their sample because their room is used up */
    uint64_t n_dead_lost;       /* not stored at all for the same reason                        */
    uint64_t n_dead_dropped;    /* of those stored, deleted by hand since                       */
} sl_spool_extent;
sl_spool_extent sl_spool_extent_of(const sl_spool *spool);

/* --- what a start and a look read --- */

typedef bool sl_spool_row_visit(void *context, uint64_t offset, sluice_span row);
typedef bool sl_spool_producer_visit(void *context, const sl_spool_producer *producer);
typedef bool sl_spool_group_visit(void *context, const sl_spool_group *group);
typedef bool sl_spool_dead_visit(void *context, uint64_t key, const sl_spool_dead *dead);
/* `sample->wire` is the annotated sample; `annotation` empty. */
typedef bool sl_spool_sample_visit(void *context, const sl_spool_sample *sample);

/* Each visits in key order until the visitor returns false; spans are lent during the visit. Rows
 * below oldest_row are left out. What fails its checksum is CORRUPT and not visited. */
SLUICE_MUST_USE sluice_status sl_spool_rows(sl_spool *spool, sl_spool_row_visit *visit,
                                            void *context, sluice_message *why);
SLUICE_MUST_USE sluice_status sl_spool_producers(sl_spool *spool, sl_spool_producer_visit *visit,
                                                 void *context, sluice_message *why);
SLUICE_MUST_USE sluice_status sl_spool_groups(sl_spool *spool, sl_spool_group_visit *visit,
                                              void *context, sluice_message *why);
SLUICE_MUST_USE sluice_status sl_spool_dead_letters(sl_spool *spool, sl_spool_dead_visit *visit,
                                                    void *context, sluice_message *why);
SLUICE_MUST_USE sluice_status sl_spool_samples(sl_spool *spool, uint64_t from_offset,
                                               sl_spool_sample_visit *visit, void *context,
                                               sluice_message *why);
SLUICE_MUST_USE sluice_status sl_spool_checkpoint(sl_spool *spool, sluice_bytes *out,
                                                  uint64_t *checkpoint_offset, sluice_message *why);
/* Appends the last `numbers` written; nothing if there are none. */
SLUICE_MUST_USE sluice_status sl_spool_numbers(sl_spool *spool, sluice_bytes *out,
                                               sluice_message *why);
/* The state_lines that the state was made with. */
SLUICE_MUST_USE sluice_status sl_spool_state_lines(sl_spool *spool, sluice_bytes *out,
                                                   sluice_message *why);
/* Appends the annotated sample at `offset`; AGAIN if the log does not hold it (any more). */
SLUICE_MUST_USE sluice_status sl_spool_sample_at(sl_spool *spool, uint64_t offset,
                                                 sluice_bytes *out, sluice_message *why);
/* Checks every checksum, order and count of the environment; `why` names the first fault. */
SLUICE_MUST_USE sluice_status sl_spool_verify(sl_spool *spool, sluice_message *why);

/* Appends to `out` what of a row two equal runs must have in common (not its arrival time). */
typedef sluice_status sl_spool_row_canonical(sluice_span row, sluice_bytes *out);

/* sl_spool_digest - one number for what the state says, the same however it was committed.
 *
 *     XXH3-128 over  next_offset
 *                    every sample, in order: offset, producer's name, decision, annotated bytes
 *                    every row, in order: offset, canonical form
 *                    every producer, by name: name, next_sequence
 *
 * canonical  NULL: rows count as they are.
 * Left out: arrival times, boundaries of groups, checkpoints, consumers, dead letters, rows below
 * oldest_row. Where retention has deleted, the first sample left does depend on boundaries. */
SLUICE_MUST_USE sluice_status sl_spool_digest(sl_spool *spool, sl_spool_row_canonical *canonical,
                                              uint64_t digest[2], sluice_message *why);

/* --- egress: samples as the bytes of a Batch --- */

typedef struct sl_spool_select {
    uint64_t from_offset;   /* first offset wanted                                          */
    uint64_t below_offset;  /* UINT64_MAX = to the end                                      */
    uint32_t max_bytes;     /* stop before exceeding, but give at least one sample          */
    bool all;               /* dropped ones too                                             */
    uint32_t shard, shards; /* shards > 0: only log groups whose ordinal % shards == shard  */
} sl_spool_select;

typedef struct sl_spool_selected {
    uint64_t first_offset; /* = from_offset, or the log's first when that is gone (OFFSET_GONE
                              is the caller's to say: compare)                             */
    uint64_t next_offset;  /* read on from here; offsets between that are not given were
                              dropped or another shard's. A call looks at 1,024 log groups at
                              most, so count may be 0 with next_offset below the log's end:
                              call again                                                   */
    uint32_t count;
} sl_spool_selected;

/* Appends `0A len Sample` for each selected sample: the body of a Batch. One read transaction. */
SLUICE_MUST_USE sluice_status sl_spool_select_batch(sl_spool *spool, const sl_spool_select *select,
                                                    sluice_bytes *out, sl_spool_selected *selected,
                                                    sluice_message *why);

#endif
