/* input.h - files and pipes as a row of encoded Samples. */
#ifndef SL_INPUT_H
#define SL_INPUT_H

#include "command/jsonl.h"

#define SL_INPUT_LINE_BYTES   ((size_t)64 << 20)              /* of one line or message     */
#define SL_INPUT_SAMPLE_BYTES (SLUICE_LIMIT_BATCH_BYTES - 64) /* so that a batch can hold it */
#define SL_INPUT_IMAGE_BYTES                                                                       \
    (SLUICE_LIMIT_MESSAGE_BYTES - 64) /* ... or a message hold it alone                            \
                                       */
#define SL_INPUT_POSITION_BYTES 512

typedef enum sl_input_format {
    SL_INPUT_AUTO, /* by the names; JSONL for a pipe */
    SL_INPUT_JSONL,
    SL_INPUT_PB,    /* each Sample behind its size as a varint */
    SL_INPUT_IMAGES /* folders and tars of images */
} sl_input_format;

/* One sample, or what stands in its place. Spans are lent until the next call. */
typedef struct sl_input_item {
    sluice_span wire;     /* an encoded Sample; of a refused one, its names only              */
    sluice_span line;     /* JSONL: the line as it came, without its newline; an image: one
                             with its id and where it lies                                    */
    const char *position; /* "FILE:LINE" */
    const char *reason;   /* NULL, or why it is refused before it is decoded                  */
    const char *text;     /* with a reason: the sentence                                      */
} sl_input_item;

typedef struct sl_input sl_input;

/* Format of a word of --format; false if it is none. */
bool sl_input_format_of(const char *word, sl_input_format *format);

/* sl_input_open - looks at every file before any is read.
 *
 * paths    Borrows, until close; n = 0 is standard input, as is "-".
 * Returns  IO: a file cannot be read. CONFIG: an unknown name without a format, or files of two
 *          formats. Gives *out. */
SLUICE_MUST_USE sluice_status sl_input_open(const char *const *paths, uint32_t n,
                                            sl_input_format format, sl_input **out,
                                            sluice_message *why);
void sl_input_close(sl_input **input_p); /* Takes; NULL ok */

/* sl_input_next - the next sample, over all files in order.
 * Returns  CLOSED at the end; IO or CORRUPT: nothing more can be read, `why` names file and byte.
 *          Everything before it has been given. */
SLUICE_MUST_USE sluice_status sl_input_next(sl_input *input, sl_input_item *item,
                                            sluice_message *why);

/* True if the next call need not wait for somebody else to write. */
bool sl_input_ready(const sl_input *input);

sl_input_format sl_input_format_used(const sl_input *input);

/* Bytes of all files, and how many have been read; *total is 0 if they are not all known. */
uint64_t sl_input_progress(const sl_input *input, uint64_t *total);

#endif
