/* verdict_file.h - reads a file of verdict records. */
#ifndef SL_VERDICT_FILE_H
#define SL_VERDICT_FILE_H

#include "status.h"
#include "sluice/sample.h"

#include <stdio.h>

/* sl_verdict_file_open - a file of records to be read by line, compressed or not; "-" is standard
 * input. Broken packing is an error of the file. NULL: `why` says what is wrong. fclose() it. */
FILE *sl_verdict_file_open(const char *path, sluice_message *why);

/* `sample` has id, source, offset, match, scores and verdict, lent during the visit; of_offset is
 * UINT64_MAX, because a record names its original by id. False ends the reading. */
typedef bool sl_verdict_visit(void *context, const sluice_sample *sample);

/* sl_verdict_file_read - each record of a file in its order; refused ones too.
 *
 * path     "-" is standard input.
 * Returns  IO: it cannot be read. CORRUPT: a line is no verdict record; `why` has file and line. */
SLUICE_MUST_USE sluice_status sl_verdict_file_read(const char *path, sl_verdict_visit *visit,
                                                   void *context, sluice_message *why);

#endif
