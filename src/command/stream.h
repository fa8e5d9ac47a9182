/* stream.h - the bytes of a file or pipe, decompressed. */
#ifndef SL_STREAM_H
#define SL_STREAM_H

#include "sluice/sample.h"

typedef struct sl_stream sl_stream;

/* sl_stream_open - "-" is standard input. gzip and Zstandard are known by their first bytes; a name
 * that ends in .gz or .zst promises them.
 * Returns  IO: cannot be opened; CORRUPT: the name promises what the bytes are not. Gives *out. */
SLUICE_MUST_USE sluice_status sl_stream_open(const char *path, sl_stream **out,
                                             sluice_message *why);
void sl_stream_close(sl_stream **stream_p); /* Takes; NULL ok */

/* sl_stream_read - at least one byte, unless it is the end.
 * Returns  CLOSED at the end; IO or CORRUPT with a sentence that names file and byte. What was read
 *          before stays valid. */
SLUICE_MUST_USE sluice_status sl_stream_read(sl_stream *stream, uint8_t *data, size_t size,
                                             size_t *n_read, sluice_message *why);

/* True if a read would not wait for somebody else to write. */
bool sl_stream_ready(const sl_stream *stream);

uint64_t sl_stream_position(const sl_stream *stream); /* bytes of the file consumed so far */

#endif
