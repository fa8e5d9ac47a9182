/* output.h - a file or pipe that is written, compressed by its name. */
#ifndef SL_OUTPUT_H
#define SL_OUTPUT_H

#include "sluice/sample.h"

typedef struct sl_output sl_output;

/* sl_output_open - "-" is standard output; a name that ends in .gz or .zst is compressed. An
 * existing file is emptied. Gives *out; borrows path. */
SLUICE_MUST_USE sluice_status sl_output_open(const char *path, sl_output **out,
                                             sluice_message *why);

/* IO: a sentence that names the file (full disk, closed pipe). Bytes may be held back until flush.
 */
SLUICE_MUST_USE sluice_status sl_output_write(sl_output *output, const void *data, size_t size,
                                              sluice_message *why);
/* Everything written so far can be read by others. */
SLUICE_MUST_USE sluice_status sl_output_flush(sl_output *output, sluice_message *why);

/* Ends the file and closes it. Takes, also on error; NULL ok. A file that is not finished so is
 * given up by sl_output_abandon. */
SLUICE_MUST_USE sluice_status sl_output_finish(sl_output **output_p, sluice_message *why);
void sl_output_abandon(sl_output **output_p);

#endif
