/* verdict_file.c - reads a file of verdict records, line by line. */
#include "command/verdict_file.h"
#include "command/stream.h"
#include "command/verdict_line.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static ssize_t read_stream(void *cookie, char *data, size_t size)
{
    sluice_message why;
    size_t n_read = 0;
    sluice_status status = sl_stream_read(cookie, (uint8_t *)data, size, &n_read, &why);
    if (status == SLUICE_OK || status == SLUICE_E_CLOSED) {
        return (ssize_t)n_read;
    }
    errno = EIO;
    return -1;
}

static int close_stream(void *cookie)
{
    sl_stream *stream = cookie;
    sl_stream_close(&stream);
    return 0;
}

FILE *sl_verdict_file_open(const char *path, sluice_message *why)
{
    sl_stream *stream;
    if (sl_stream_open(path, &stream, why) != SLUICE_OK) {
        return NULL;
    }
    const cookie_io_functions_t calls = {.read = read_stream, .close = close_stream};
    FILE *file = fopencookie(stream, "r", calls);
    if (file == NULL) {
        (void)sluice_fail(why, SLUICE_E_NOMEM, "no memory to read %s", path);
        sl_stream_close(&stream);
    }
    return file;
}

static sluice_status read_lines(FILE *file, const char *path, sl_verdict_visit *visit,
                                void *context, sluice_message *why)
{
    char *line = NULL;
    size_t capacity = 0;
    uint64_t n_line = 0;
    sluice_status status = SLUICE_OK;
    bool goes_on = true;
    for (ssize_t size;
         status == SLUICE_OK && goes_on && (size = getline(&line, &capacity, file)) > 0;) {
        n_line++;
        sl_verdict_line record;
        sluice_message fault;
        sluice_span text = {(const uint8_t *)line, (size_t)size};
        if (sl_verdict_line_read(text, &record, &fault) != SLUICE_OK) {
            status =
                sluice_fail(why, SLUICE_E_CORRUPT, "%s:%" PRIu64 ": %s", path, n_line, fault.text);
        } else {
            goes_on = visit(context, &record.sample);
            sl_verdict_line_fini(&record);
        }
    }
    if (status == SLUICE_OK && ferror(file)) {
        status = sluice_fail(why, SLUICE_E_IO, "cannot read %s: %s", path, strerror(errno));
    }
    free(line);
    return status;
}

sluice_status sl_verdict_file_read(const char *path, sl_verdict_visit *visit, void *context,
                                   sluice_message *why)
{
    FILE *file = sl_verdict_file_open(path, why);
    if (file == NULL) {
        return SLUICE_E_IO;
    }
    sluice_status status = read_lines(file, path, visit, context, why);
    fclose(file);
    return status;
}
