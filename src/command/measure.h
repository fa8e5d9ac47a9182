/* measure.h - how fast the parts of a filter are on this machine. */
#ifndef SL_MEASURE_H
#define SL_MEASURE_H

#include "command/made_samples.h"

#define SL_MEASURE_COMMIT 256 /* samples */

typedef struct sl_measure {
    sl_made *made;
    double seconds;     /* of each part, about     */
    uint32_t n_indexed; /* texts remembered        */
    sluice_message why; /* out: "" or what failed  */
} sl_measure;

typedef struct sl_measured_stream {
    sl_made_kind kind;
    uint32_t batch_samples;
    bool warms; /* measured once its scores are live                            */
    /* out */
    uint64_t n, bytes;  /* measured, of the wire                                        */
    uint64_t n_dropped; /* of them, or refused: none, as no two are alike               */
    double prepared_s;  /* decoded, features made: by each of the `workers` of a filter */
    double judged_s;    /* found, scored, decided, remembered: by its one judge         */
} sl_measured_stream;

typedef struct sl_measured_index {
    uint64_t n_rows;
    double probes_per_s;
} sl_measured_index;

typedef struct sl_measured_spool {
    double commits_per_s;            /* of SL_MEASURE_COMMIT samples of 1 KiB          */
    double commit_ms, commit_ms_max; /* median, longest                                */
    double fsync_ms;                 /* median of writing 4 KiB behind others, flushed */
    bool in_memory;                  /* tmpfs: no disk was measured                    */
} sl_measured_spool;

/* Each on the calling thread. Errors: `why` may say more. */
SLUICE_MUST_USE sluice_status sl_measure_stream(sl_measure *measure, sl_measured_stream *stream);
SLUICE_MUST_USE sluice_status sl_measure_index(sl_measure *measure, sl_measured_index *found);
/* In a folder of its own inside `folder`, which is deleted again. */
SLUICE_MUST_USE sluice_status sl_measure_spool(sl_measure *measure, const char *folder,
                                               sl_measured_spool *found);

#endif
