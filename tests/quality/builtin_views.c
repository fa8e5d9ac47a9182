/* builtin_views.c - the built-in views of the samples of an encoded Batch, for tests of them.
 *
 *   usage: builtin_views SEED < BATCH > ROWS
 *
 * A sample is uint32 n_views (0 or 3), then n_views x 256 float32, little-endian. With a second
 * argument nothing is written, and how long the views took is printed. */
#include "sluice/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void must(bool good, const char *what)
{
    if (!good) {
        fprintf(stderr, "builtin_views: %s\n", what);
        exit(1);
    }
}

static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double features_seconds(sluice_batch *batch, const sluice_config *config, sluice_span bytes)
{
    sluice_message why;
    must(sluice_batch_decode(batch, bytes, &why) == SLUICE_OK, "not a batch");
    double begin = cpu_seconds();
    must(sluice_batch_features(batch, config) == SLUICE_OK, "no memory");
    return cpu_seconds() - begin;
}

/* Features with views and without, alternating: the difference is what views cost. */
static void measure(sluice_batch *batch, const sluice_config *config, sluice_span bytes)
{
    sluice_batch *plain;
    must(sluice_batch_open(&plain) == SLUICE_OK, "no memory");
    sluice_config off = *config;
    off.encoder = SLUICE_ENCODER_UPSTREAM;
    double with = 1e9, without = 1e9;
    for (int i = 0; i < 9; i++) {
        double both = features_seconds(batch, config, bytes);
        with = both < with ? both : with;
        double alone = features_seconds(plain, &off, bytes);
        without = alone < without ? alone : without;
    }
    size_t payload = 0;
    for (uint32_t i = 0; i < batch->n_samples; i++) {
        payload += batch->samples[i].payload.size;
    }
    double seconds = with - without;
    printf("%u samples, %.1f MB: views %.0f/s, %.0f MB/s, %.1f us each; %.0f %% of the features\n",
           batch->n_samples, (double)payload / 1e6, batch->n_samples / seconds,
           (double)payload / seconds / 1e6, seconds / batch->n_samples * 1e6, 100 * seconds / with);
    sluice_batch_close(&plain);
}

int main(int argc, char **argv)
{
    must(argc >= 2, "usage: builtin_views SEED [time] < BATCH");
    static uint8_t bytes[SLUICE_LIMIT_BATCH_BYTES];
    size_t size = fread(bytes, 1, sizeof bytes, stdin);
    sluice_config config;
    sluice_config_default(&config);
    config.seed = strtoull(argv[1], NULL, 10);
    config.encoder = SLUICE_ENCODER_BUILTIN;
    sluice_batch *batch;
    must(sluice_batch_open(&batch) == SLUICE_OK, "no memory");
    if (argc > 2) {
        measure(batch, &config, (sluice_span){bytes, size});
    } else {
        (void)features_seconds(batch, &config, (sluice_span){bytes, size});
        for (uint32_t i = 0; i < batch->n_samples; i++) {
            const sluice_views *views = &batch->samples[i].views;
            fwrite(&views->n_views, sizeof views->n_views, 1, stdout);
            fwrite(views->rows, sizeof(float), (size_t)views->n_views * views->dim, stdout);
        }
    }
    sluice_batch_close(&batch);
    return 0;
}
