/* golden_file.h - reads a file of tests/data for comparison. */
#ifndef TEST_GOLDEN_FILE_H
#define TEST_GOLDEN_FILE_H

#include "wire_bytes.h"

#include <stdio.h>

/* The whole file at tests/data/`name`; the caller frees it. Aborts if it is not there. */
static inline sluice_bytes golden_file(const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/tests/data/%s", SLUICE_SOURCE_DIR, name);
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fprintf(stderr, "cannot open %s\n", path);
        abort();
    }
    sluice_bytes bytes = {0};
    uint8_t chunk[4096];
    size_t size;
    while ((size = fread(chunk, 1, sizeof chunk, file)) > 0) {
        wire_raw(&bytes, chunk, size);
    }
    fclose(file);
    return bytes;
}

#endif
