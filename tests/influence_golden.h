/* influence_golden.h - reads the golden cases of data/influence: arrays, numbers, errors. */
#ifndef INFLUENCE_GOLDEN_H
#define INFLUENCE_GOLDEN_H

#include "command/npy.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One array as doubles. `n` is 0 where there is no such file. */
typedef struct golden_array {
    double *at;
    size_t n;
    uint64_t shape[SL_NPY_DIMS];
} golden_array;

static inline void golden_path(const char *name, const char *file, char *path, size_t size)
{
    const char *data = getenv("SLUICE_DATA");
    if (data != NULL) {
        snprintf(path, size, "%s/influence/%s/%s", data, name, file);
    } else {
        snprintf(path, size, "%s/../shared/data/influence/%s/%s", SLUICE_SOURCE_DIR, name, file);
    }
}

static inline double golden_item(const sl_npy *npy, size_t i)
{
    if (npy->kind == 'b') {
        return npy->data.data[i];
    }
    if (npy->item_bytes == 4) {
        float value;
        memcpy(&value, npy->data.data + 4 * i, 4);
        return (double)value;
    }
    double value;
    memcpy(&value, npy->data.data + 8 * i, 8);
    return value;
}

static inline golden_array golden_read(const char *name, const char *file)
{
    char path[1024];
    sl_npy npy;
    golden_array array = {.n = 0};
    golden_path(name, file, path, sizeof path);
    if (sl_npy_open(path, &npy, NULL) != SLUICE_OK) {
        return array;
    }
    array.n = npy.data.size / npy.item_bytes;
    memcpy(array.shape, npy.shape, sizeof array.shape);
    array.at = malloc(sizeof *array.at * (array.n + 1));
    for (size_t i = 0; i < array.n; i++) {
        array.at[i] = golden_item(&npy, i);
    }
    sl_npy_close(&npy);
    return array;
}

/* The array in float32, to be freed. */
static inline float *golden_floats(const golden_array *array)
{
    float *out = malloc(sizeof *out * (array->n + 1));
    for (size_t i = 0; i < array->n; i++) {
        out[i] = (float)array->at[i];
    }
    return out;
}

/* A number, or the first of the list, behind "key" in config.json; `otherwise` where there is none.
 */
static inline double golden_number(const char *name, const char *key, double otherwise)
{
    char path[1024], text[4096], quoted[64];
    golden_path(name, "config.json", path, sizeof path);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return otherwise;
    }
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    const char *at = strstr(text, quoted);
    if (at == NULL) {
        return otherwise;
    }
    at += strlen(quoted);
    at += strspn(at, " [\n");
    return *at == 'n' ? otherwise : strtod(at, NULL);
}

static int golden_compare(const void *a, const void *b)
{
    const double *x = a;
    const double *y = b;
    return (*x > *y) - (*x < *y);
}

/* |x - e| / max(|e|, 1e-3 median |e|) over the rows that have an expectation: its p99 and maximum.
 */
static inline void golden_errors(const double *have, const double *want, size_t n, double *p99,
                                 double *worst)
{
    double *sorted = malloc(sizeof *sorted * (n + 1));
    size_t n_used = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isnan(want[i])) {
            sorted[n_used++] = fabs(want[i]);
        }
    }
    qsort(sorted, n_used, sizeof *sorted, golden_compare);
    double floor = n_used > 0 ? 1e-3 * sorted[n_used / 2] : 0;
    n_used = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isnan(want[i])) {
            double error = fabs(have[i] - want[i]) / fmax(fabs(want[i]), floor);
            sorted[n_used++] = isnan(error) ? INFINITY : error;
        }
    }
    qsort(sorted, n_used, sizeof *sorted, golden_compare);
    *worst = n_used > 0 ? sorted[n_used - 1] : 0;
    *p99 = n_used > 0 ? sorted[(size_t)((double)(n_used - 1) * 0.99)] : 0;
    free(sorted);
}

#endif
