/* summary.h - what a pass over samples came to, for people and for programs. */
#ifndef SL_SUMMARY_H
#define SL_SUMMARY_H

#include "sluice/engine.h"

#include <stdio.h>

typedef struct sl_summary { /* zero = nothing yet */
    uint64_t received, kept, flagged, dropped, refused, redelivered;
    uint64_t duplicates[SLUICE_N_METHODS];         /* by method */
    uint64_t images[SLUICE_N_IMAGE_STATES];        /* what became of them */
    uint64_t influence[SLUICE_N_INFLUENCE_STATES]; /* NONE: without views, or it is off */
    uint64_t bytes;                                /* of the samples as they came, decompressed */
    double seconds;
} sl_summary;

/* Counts one judged sample. */
void sl_summary_add(sl_summary *summary, const sluice_sample *sample);

/* The engine lends the counts by source. */
void sl_summary_print(const sl_summary *summary, const sluice_engine *engine, FILE *file);
void sl_summary_print_json(const sl_summary *summary, const sluice_engine *engine, FILE *file);

#endif
