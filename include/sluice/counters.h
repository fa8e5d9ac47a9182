/* counters.h - what the duplicate stage remembers and has done, in numbers. */
#ifndef SLUICE_COUNTERS_H
#define SLUICE_COUNTERS_H

#include "sluice/sample.h"

/* Of one method. Numbers that only grow count since the engine was opened; what is remembered now
 * can fall. None of them has any influence on a verdict. */
typedef struct sluice_method_counters {
    uint64_t memory_bytes;     /* the budget                                                      */
    uint64_t rows, rows_max;   /* remembered; that fit, of the present mean length                */
    uint64_t bytes, bytes_max; /* of rows; the rest of the budget is the table that finds them    */
    uint64_t evicted;          /* rows, by newer ones that needed their room                      */
    uint64_t oldest_offset;    /* of what a sample to come may be told; next_offset: nothing      */
    int64_t oldest_arrived_us; /* of the same, microseconds since 1970; 0: nothing                */
    uint64_t probes;           /* samples looked up; those with views twice                       */
    uint64_t candidates;       /* rows that the table named and that had what it promised         */
    uint64_t verified;         /* of those, duplicates inside the window ...                      */
    uint64_t rejected;         /* ... and the others                                              */
    uint64_t buckets_checked;  /* entries of rows inserted, on 1 in 1,024 of them: text           */
    uint64_t buckets_overflowed; /* of those, that pushed out an entry of a row still remembered */
    uint64_t hot_bands;      /* met by samples; a row named by one alone is not compared: text  */
    uint64_t recall_checked; /* samples compared with 512 rows by brute force, 1 in 1,024       */
    uint64_t recall_found;   /* of those that have a duplicate among the 512: index found one   */
    uint64_t recall_missed;  /* ... and index did not; recall = found / (found + missed)        */
} sluice_method_counters;

typedef struct sluice_counters {
    uint64_t next_offset; /* when they were read                        */
    sluice_method_counters method[SLUICE_N_METHODS]; /* [SLUICE_METHOD_NONE]: zeros */
} sluice_counters;

#endif
