/* recall.h - how often the index finds what brute force finds, watched on a thin sample. */
#ifndef SL_RECALL_H
#define SL_RECALL_H

#include "duplicate/embedding.h"
#include "duplicate/image.h"
#include "duplicate/text.h"
#include "sluice/counters.h"

#define SL_RECALL_SHARE 1024 /* one sample in so many is watched                            */
#define SL_RECALL_ROWS  256  /* compared by brute force: so many newest, and so many others */

typedef struct sl_recall_methods { /* borrowed */
    const sl_text *text;
    const sl_image *image;
    const sl_embedding *embedding;
} sl_recall_methods;

typedef struct sl_recall { /* in place; counts only */
    uint64_t seed;
    sl_window window;
    struct {
        uint64_t checked, found, missed;
    } of[SLUICE_N_METHODS];
} sl_recall;

void sl_recall_init(sl_recall *recall, const sluice_config *config);

/* Whether the sample at this offset is watched: a function of the two alone. */
bool sl_recall_watches(uint64_t seed, uint64_t offset);

/* If the sample is watched: asks each method and compares its answer with the best row of a window
 * of remembered ones. The sample has its offset and is not remembered yet. Changes nothing else. */
void sl_recall_watch(sl_recall *recall, const sl_recall_methods *methods,
                     const sluice_sample *sample);

/* Adds the counts to a method's counters. */
void sl_recall_count(const sl_recall *recall, sluice_method method,
                     sluice_method_counters *counters);

#endif
