/* verdict_file.c - reads a file of verdict records, line by line. */
#include "command/verdict_file.h"
#include "command/verdict_line.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
    if (file == NULL) {
        return sluice_fail(why, SLUICE_E_IO, "cannot open %s: %s", path, strerror(errno));
    }
    sluice_status status = read_lines(file, path, visit, context, why);
    if (file != stdin) {
        fclose(file);
    }
    return status;
}
