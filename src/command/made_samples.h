/* made_samples.h - made-up samples to measure with. */
#ifndef SL_MADE_SAMPLES_H
#define SL_MADE_SAMPLES_H

#include "status.h"
#include "sluice/sample.h"

#define SL_MADE_TEXT 1024 /* bytes of a text         */
#define SL_MADE_SIDE 256  /* pixels of an image      */
#define SL_MADE_DIM  384  /* numbers of an embedding */

typedef enum sl_made_kind {
    SL_MADE_TEXTS,
    SL_MADE_IMAGES, /* JPEG */
    SL_MADE_EMBEDDINGS,
    SL_MADE_VIEWS, /* two of them a sample: an anchor and another one */
    SL_N_MADE_KINDS
} sl_made_kind;

typedef struct sl_made sl_made; /* one thread */

SLUICE_MUST_USE sluice_status sl_made_open(sl_made **out); /* Gives *out    */
void sl_made_close(sl_made **made_p);                      /* Takes; NULL ok */

/* The samples first .. first + n - 1 as an encoded Batch, lent until the next call. The same bytes
 * every time; no two samples are alike. NOMEM. */
SLUICE_MUST_USE sluice_status sl_made_batch(sl_made *made, sl_made_kind kind, uint64_t first,
                                            uint32_t n, sluice_span *out);

/* A well mixed number of another (the finalizer of splitmix64). */
uint64_t sl_made_number(uint64_t value);

#endif
