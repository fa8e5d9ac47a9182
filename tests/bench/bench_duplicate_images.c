/* bench_duplicate_images.c - what finding and remembering images costs a sample.
 *
 *   usage: bench_duplicate_images SIGNATURES KEPT THRESHOLD [ANSWERS|- [keep|flat]]
 *
 * SIGNATURES is a file of signatures of SLUICE_IMAGE_BYTES. The first KEPT are remembered, untimed;
 * each of the others is then probed and, where nothing is found, remembered, as the duplicate stage
 * does it, one at a time. Prints one line of JSON: samples a second, microseconds a sample (median,
 * 99th percentile of blocks of 64). ANSWERS: the offset found of each, as u64, all ones for none.
 * keep: what is found is remembered too, as a policy may have it. flat: the samples have no
 * signature, as those of images without structure.
 */
#include "bytes.h"
#include "duplicate/image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BLOCK_SAMPLES 64
#define ID_BYTES      24

static void fail(const char *what)
{
    fprintf(stderr, "bench_duplicate_images: %s\n", what);
    exit(1);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time); /* others may use the core too */
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static uint8_t *read_signatures(const char *path, uint64_t *n)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        fail("cannot read the signatures");
    }
    *n = (uint64_t)ftell(file) / SLUICE_IMAGE_BYTES;
    rewind(file);
    uint8_t *all = malloc(*n * SLUICE_IMAGE_BYTES + 1);
    if (all == NULL || fread(all, SLUICE_IMAGE_BYTES, *n, file) != *n) {
        fail("cannot read the signatures");
    }
    fclose(file);
    return all;
}

static sluice_sample sample_of(const uint8_t *all, uint64_t offset, char *id)
{
    snprintf(id, ID_BYTES, "%016llu", (unsigned long long)offset);
    sluice_sample sample = {.offset = offset,
                            .arrived_us = (int64_t)offset,
                            .id = sl_span_of(id),
                            .source = sl_span_of("source 8")};
    sample.features.has = SLUICE_HAS_IMAGE;
    memcpy(sample.features.image_signature, all + offset * SLUICE_IMAGE_BYTES, SLUICE_IMAGE_BYTES);
    return sample;
}

static uint64_t probe_and_insert(sl_image *image, const sluice_sample *sample, bool keeps)
{
    sluice_match match = {.of_offset = UINT64_MAX};
    if (!sl_image_probe(image, sample, &match) || keeps) {
        sl_image_insert(image, sample);
    }
    return match.of_offset;
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fail("usage: bench_duplicate_images SIGNATURES KEPT THRESHOLD [ANSWERS|- [keep|flat]]");
    }
    uint64_t n, n_kept = strtoull(argv[2], NULL, 10);
    uint8_t *all = read_signatures(argv[1], &n);
    sluice_config config = {0};
    config.duplicate.image_memory = (n + 1000) * 240 + (1 << 20);
    config.duplicate.image_threshold = atof(argv[3]);
    sl_image *image;
    sluice_message why;
    if (n_kept >= n || sl_image_open(&config, &image, &why) != SLUICE_OK) {
        fail("nothing to measure, or no memory");
    }
    char id[ID_BYTES];
    for (uint64_t i = 0; i < n_kept; i++) {
        sluice_sample sample = sample_of(all, i, id);
        sl_image_insert(image, &sample);
    }
    uint64_t n_blocks = (n - n_kept) / BLOCK_SAMPLES, n_found = 0;
    double *blocks = calloc(n_blocks + 1, sizeof *blocks), seconds = 0;
    bool keeps = argc > 5 && strcmp(argv[5], "keep") == 0;
    bool flat = argc > 5 && strcmp(argv[5], "flat") == 0;
    FILE *answers = argc > 4 && strcmp(argv[4], "-") != 0 ? fopen(argv[4], "wb") : NULL;
    if (blocks == NULL || n_blocks == 0) {
        fail("fewer than 64 samples to measure");
    }
    for (uint64_t b = 0; b < n_blocks; b++) {
        uint64_t found[BLOCK_SAMPLES];
        double start = now();
        for (uint64_t i = 0; i < BLOCK_SAMPLES; i++) {
            sluice_sample sample = sample_of(all, n_kept + b * BLOCK_SAMPLES + i, id);
            sample.features.has = flat ? 0 : sample.features.has;
            found[i] = probe_and_insert(image, &sample, keeps);
            n_found += found[i] != UINT64_MAX;
        }
        blocks[b] = (now() - start) / BLOCK_SAMPLES;
        seconds += blocks[b] * BLOCK_SAMPLES;
        if (answers != NULL && fwrite(found, sizeof found, 1, answers) != 1) {
            fail("cannot write the answers");
        }
    }
    qsort(blocks, n_blocks, sizeof *blocks, compare);
    printf("{\"kept\": %llu, \"samples\": %llu, \"found\": %llu, \"threshold\": %s, "
           "\"samples_per_s\": %.0f, \"us_median\": %.2f, \"us_p99\": %.2f, \"row_bytes\": %.0f}\n",
           (unsigned long long)n_kept, (unsigned long long)(n_blocks * BLOCK_SAMPLES),
           (unsigned long long)n_found, argv[3], (double)(n_blocks * BLOCK_SAMPLES) / seconds,
           blocks[n_blocks / 2] * 1e6, blocks[n_blocks * 99 / 100] * 1e6,
           (double)config.duplicate.image_memory / (double)sl_image_rows_of(&config, 16));
    if (answers != NULL) {
        fclose(answers);
    }
    sl_image_close(&image);
    free(blocks);
    free(all);
    return 0;
}
