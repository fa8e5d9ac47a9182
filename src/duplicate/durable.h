/* durable.h - the durable form of what the duplicate stage remembers of one sample. */
#ifndef SL_DURABLE_H
#define SL_DURABLE_H

#include "status.h"
#include "sluice/sample.h"

/* Oldest offset that each method remembered when the row was written. */
typedef struct sl_durable_from {
    uint64_t exact, text, image, embedding;
} sl_durable_from;

/* Appends the row of a sample that has features; the format is at the head of durable.c. */
SLUICE_MUST_USE sluice_status sl_durable_write(const sluice_sample *sample,
                                               const sl_durable_from *from, sluice_bytes *out);

/* sl_durable_read - the fields of a sample that a row holds, its verdict among them; all others are
 * zero.
 *
 * row      Borrows: id, source, reasons and embedding of `sample` point into it.
 * Returns  BADSAMPLE for anything that sl_durable_write does not make; the outputs are then
 *          zero. */
SLUICE_MUST_USE sluice_status sl_durable_read(sluice_span row, sluice_sample *sample,
                                              sl_durable_from *from);

#endif
