/* views.h - the array of --views, a row for each sample of the input. */
#ifndef SL_VIEWS_H
#define SL_VIEWS_H

#include "command/npy.h"

typedef struct sl_views_file {
    sl_npy npy; /* (N, d) or (N, K, d) of float16 or float32 */
    uint64_t n, next;
    uint32_t n_views, dim;
} sl_views_file;

SLUICE_MUST_USE sluice_status sl_views_open(const char *path, sl_views_file *out,
                                            sluice_message *why);
void sl_views_close(sl_views_file *views); /* zero is fine */

/* Appends the next row to an encoded Sample as its `views`. CLOSED: there are no more rows. */
SLUICE_MUST_USE sluice_status sl_views_append(sl_views_file *views, sluice_bytes *wire);

void sl_views_skip(sl_views_file *views); /* the row of a sample that input refused */

#endif
