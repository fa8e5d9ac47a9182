/* bench_duplicate_embedding.c - what finding and remembering embeddings costs a sample.
 *
 *   usage: bench_duplicate_embedding VECTORS DIM THRESHOLD MEMORY [TRUTH [ANSWERS]]
 *
 * VECTORS is a file of unit rows of DIM float32. Each is sketched, looked for, and remembered if
 * TRUTH (an i64 a row, -1 = keep) says so, or without it if nothing was found. Prints one line of
 * JSON: samples a second of CPU time of the thread, over all and over the last tenth, and what of
 * it the sketch is. ANSWERS: the row found of each as i64, -1 for none. */
#include "bytes.h"
#include "duplicate/embedding.h"
#include "features/sign_sketch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ID_BYTES 24

static void fail(const char *what)
{
    fprintf(stderr, "bench_duplicate_embedding: %s\n", what);
    exit(1);
}

static double cpu_seconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        fail("cannot read a file");
    }
    *size = (size_t)ftell(file);
    rewind(file);
    void *all = malloc(*size + 1);
    if (all == NULL || fread(all, 1, *size, file) != *size) {
        fail("cannot read a file");
    }
    fclose(file);
    return all;
}

typedef struct sketch_of_sample {
    uint8_t margins[SLUICE_SIGN_BITS];
    uint8_t vector[2 * SLUICE_EMBEDDING_MAX];
    char id[ID_BYTES];
} sketch_of_sample;

static sluice_sample make(sl_sign_sketch *sketcher, const float *row, uint32_t dim, int64_t offset,
                          sketch_of_sample *room)
{
    for (uint32_t i = 0; i < 16; i++) {
        room->id[i] = "0123456789abcdef"[offset >> (60 - 4 * i) & 15];
    }
    sluice_sample sample = {.offset = (uint64_t)offset,
                            .arrived_us = offset,
                            .id = {(const uint8_t *)room->id, 16},
                            .source = sl_span_of("source 8"),
                            .views = {.n_views = 1, .dim = dim, .rows = row}};
    sample.features.has = SLUICE_HAS_EMBEDDING;
    sample.features.sign_margins = room->margins;
    sample.features.embedding = (sluice_span){room->vector, 2 * (size_t)dim};
    sl_sign_sketch_make(sketcher, row, dim, 1, sl_kernel_best(), sample.features.sign_bits,
                        room->margins);
    sl_sign_quantize(row, dim, sl_kernel_best(), room->vector);
    return sample;
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        fail("usage: bench_duplicate_embedding VECTORS DIM THRESHOLD MEMORY [TRUTH [ANSWERS]]");
    }
    size_t size, truth_size = 0;
    uint32_t dim = (uint32_t)atoi(argv[2]);
    float *rows = read_file(argv[1], &size);
    int64_t n = (int64_t)(size / (dim * sizeof *rows)), n_kept = 0, n_found = 0;
    int64_t *truth = argc > 5 && strlen(argv[5]) > 0 ? read_file(argv[5], &truth_size) : NULL;
    FILE *answers = argc > 6 ? fopen(argv[6], "wb") : NULL;
    sluice_config config = {0};
    config.duplicate.embedding_memory = strtoull(argv[4], NULL, 10);
    config.duplicate.embedding_threshold = atof(argv[3]);
    sl_embedding *embedding;
    sl_sign_sketch *sketcher;
    sketch_of_sample *room = malloc(sizeof *room);
    sluice_message why;
    if (sl_embedding_open(&config, &embedding, &why) != SLUICE_OK || room == NULL ||
        sl_sign_sketch_open(1, &sketcher) != SLUICE_OK) {
        fail("no memory");
    }
    double start = cpu_seconds(), tail_start = start;
    for (int64_t i = 0; i < n; i++) {
        if (i == n - n / 10) {
            tail_start = cpu_seconds();
        }
        sluice_sample sample = make(sketcher, rows + (size_t)i * dim, dim, i, room);
        sluice_match match = {.of_offset = UINT64_MAX};
        bool found = sl_embedding_probe(embedding, &sample, &match);
        n_found += found;
        if (truth != NULL ? truth[i] < 0 : !found) {
            sl_embedding_insert(embedding, &sample);
            n_kept++;
        }
        if (answers != NULL && fwrite(&match.of_offset, 8, 1, answers) != 1) {
            fail("cannot write the answers");
        }
    }
    double end = cpu_seconds();
    for (int64_t i = 0; i < n; i++) {
        make(sketcher, rows + (size_t)i * dim, dim, i, room);
    }
    double sketch = cpu_seconds() - end;
    sl_duplicate_usage usage = sl_embedding_usage(embedding);
    uint64_t rows_max = sl_embedding_rows_of(&config, dim, 16);
    printf("{\"samples\": %lld, \"kept\": %lld, \"found\": %lld, \"samples_per_s\": %.0f, "
           "\"tail_samples_per_s\": %.0f, \"sketch_us\": %.3f, \"rows\": %llu, "
           "\"bytes_without_vector\": %.1f, \"keys\": %s}\n",
           (long long)n, (long long)n_kept, (long long)n_found, (double)n / (end - start),
           (double)(n / 10) / (end - tail_start), sketch / (double)n * 1e6,
           (unsigned long long)usage.rows,
           (double)config.duplicate.embedding_memory / (double)rows_max - 2.0 * dim - 24,
           sl_embedding_has_keys(&config) ? "true" : "false");
    if (answers != NULL) {
        fclose(answers);
    }
    sl_embedding_close(&embedding);
    sl_sign_sketch_close(&sketcher);
    free(room);
    free(rows);
    free(truth);
    return 0;
}
