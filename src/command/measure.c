/* measure.c - what this machine does a second, by the code that a filter runs.
 *
 *   streams   made-up wire bytes --> decode, features --> engine_run      one thread, no sockets
 *               of a worker: "prepared" -----^                ^----- of the one judge: "judged"
 *   index     probes of texts that nobody sent, beside N texts that are remembered
 *   spool     commits of 256 samples of 1 KiB; and a plain write of 4 KiB, flushed
 *
 * Why made up: the same input everywhere, no files, no network. Nothing repeats, so that every
 * sample is looked for and remembered, the dearer half of a stream's work. */
#include "command/measure.h"
#include "bytes.h"
#include "duplicate/duplicate.h"
#include "spool/spool.h"
#include "sluice/engine.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#define SLICE        256
#define PREFETCH     4
#define SAMPLE_BYTES 1024
#define ROW_BYTES    300
#define MAX_COMMITS  256 /* 90 MB on the disk, at most */
#define MAX_FLUSHES  100
#define MAX_WARMING  8192
#define TMPFS        0x01021994 /* statfs(2) */

/* --- streams: made-up wire bytes through decode, features and the engine --- */

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static uint64_t count_dropped(const sluice_batch *batch)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < batch->n_samples; i++) {
        n += batch->samples[i].verdict.decision >= SLUICE_DROP; /* or refused */
    }
    return n;
}

/* One batch; its times are added if `live`, which it becomes with the first batch (whose memory
 * nobody touched before), or with the first scores of one that warms. */
static sluice_status pass_batch(sl_measure *measure, sl_measured_stream *stream,
                                sluice_engine *engine, sluice_batch *batch, bool *live)
{
    sluice_span wire;
    uint64_t first = sluice_engine_next_offset(engine);
    SLUICE_TRY(sl_made_batch(measure->made, stream->kind, first, stream->batch_samples, &wire));
    double start = now();
    SLUICE_TRY(sluice_batch_decode(batch, wire, &measure->why));
    SLUICE_TRY(sluice_batch_features(batch, sluice_engine_config(engine)));
    double prepared = now();
    for (uint32_t i = 0; i < batch->n_samples; i++) {
        batch->samples[i].arrived_us = (int64_t)(first + i);
    }
    sluice_engine_run(engine, batch);
    double judged = now();
    if (*live) {
        stream->n += batch->n_samples;
        stream->n_dropped += count_dropped(batch);
        stream->bytes += wire.size;
        stream->prepared_s += prepared - start;
        stream->judged_s += judged - prepared;
    }
    const sluice_sample *last = &batch->samples[batch->n_samples - 1];
    *live = *live || !stream->warms || last->scores.state == SLUICE_LIVE;
    return SLUICE_OK;
}

static sluice_status pass_stream(sl_measure *measure, sl_measured_stream *stream,
                                 sluice_engine *engine, sluice_batch *batch)
{
    bool live = false;
    double end = now() + measure->seconds;
    while (stream->n == 0 || now() < end) {
        bool was_live = live;
        SLUICE_TRY(pass_batch(measure, stream, engine, batch, &live));
        if (live && !was_live) {
            end = now() + measure->seconds;
        }
        if (!live && sluice_engine_next_offset(engine) > MAX_WARMING) {
            return SLUICE_E_TIMEOUT;
        }
    }
    return SLUICE_OK;
}

/* The defaults, with a bound on what a fast machine remembers meanwhile, and a short warm-up. */
static sluice_status configure(sluice_config *config)
{
    static const char *const settings[] = {
        "duplicate.text.memory=128MiB", "duplicate.embedding.memory=64MiB",
        "influence.expert.warmup=512", "influence.expert.refresh_lag=1"};
    sluice_config_errors errors;
    sluice_config_default(config);
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        SLUICE_TRY(sluice_config_set(config, settings[i], &errors));
    }
    return SLUICE_OK;
}

sluice_status sl_measure_stream(sl_measure *measure, sl_measured_stream *stream)
{
    sluice_config *config = malloc(sizeof *config);
    sluice_engine *engine = NULL;
    sluice_batch *batch = NULL;
    sluice_status status = config != NULL ? configure(config) : SLUICE_E_NOMEM;
    status = status == SLUICE_OK ? sluice_engine_open(config, &engine, &measure->why) : status;
    status = status == SLUICE_OK ? sluice_batch_open(&batch) : status;
    if (status == SLUICE_OK) {
        sluice_engine_touch(engine); /* as a filter that runs does before it is ready */
    }
    status = status == SLUICE_OK ? pass_stream(measure, stream, engine, batch) : status;
    sluice_batch_close(&batch);
    sluice_engine_close(&engine);
    free(config);
    return status;
}

/* --- index: how fast it says that it knows nothing alike --- */

static sluice_sample indexed_sample(uint64_t number)
{
    sluice_sample sample = {.offset = number,
                            .arrived_us = (int64_t)number,
                            .id = sl_span_of("bench-0000000000"),
                            .source = sl_span_of("bench"),
                            .match = {.of_offset = UINT64_MAX}};
    sluice_features *features = &sample.features;
    features->has = SLUICE_HAS_RAW | SLUICE_HAS_NORMAL | SLUICE_HAS_SKETCH;
    features->profile = SLUICE_PROFILE_PROSE;
    uint64_t draw[2 + SLUICE_SKETCH_COORDINATES / 8 + 2];
    for (uint64_t i = 0; i < sizeof draw / sizeof draw[0]; i++) {
        draw[i] = sl_made_number(number * 32 + i);
    }
    memcpy(features->raw_hash, draw, sizeof features->raw_hash);
    memcpy(features->normal_hash, draw + 2, sizeof features->normal_hash);
    memcpy(features->sketch, draw + 4, sizeof features->sketch);
    return sample;
}

sluice_status sl_measure_index(sl_measure *measure, sl_measured_index *found)
{
    static sluice_config config;
    static sluice_sample samples[SLICE];
    sl_duplicate *duplicate = NULL;
    sluice_config_default(&config);
    SLUICE_TRY(sl_duplicate_open(&config, &duplicate, &measure->why));
    found->n_rows = measure->n_indexed;
    for (uint64_t i = 0; i < found->n_rows; i++) {
        samples[0] = indexed_sample(i);
        sl_duplicate_apply(duplicate, &samples[0]);
    }
    uint64_t n = 0;
    double seconds = 0;
    for (double end = now() + measure->seconds; n == 0 || now() < end; n += SLICE) {
        for (uint32_t i = 0; i < SLICE; i++) {
            samples[i] = indexed_sample(found->n_rows + n + i);
        }
        double start = now();
        for (uint32_t i = 0; i < SLICE; i++) {
            sl_duplicate_prefetch(duplicate, &samples[(i + PREFETCH) % SLICE]);
            sl_duplicate_probe(duplicate, &samples[i], &samples[i].match);
        }
        seconds += now() - start;
    }
    found->probes_per_s = (double)n / seconds;
    sl_duplicate_close(&duplicate);
    return SLUICE_OK;
}

/* --- spool: how fast a disk makes samples durable --- */

static sluice_status commit_samples(sl_spool *spool, const uint8_t *bytes, sluice_message *why)
{
    sl_spool_sample samples[SL_MEASURE_COMMIT];
    sluice_span rows[SL_MEASURE_COMMIT];
    uint64_t offsets[SL_MEASURE_COMMIT], next = sl_spool_extent_of(spool).next_offset;
    for (uint32_t i = 0; i < SL_MEASURE_COMMIT; i++) {
        samples[i] = (sl_spool_sample){.offset = next + i,
                                       .arrived_us = (int64_t)(next + i),
                                       .wire = {bytes + (size_t)i * SAMPLE_BYTES, SAMPLE_BYTES}};
        rows[i] = (sluice_span){samples[i].wire.data, ROW_BYTES};
        offsets[i] = next + i;
    }
    sl_spool_producer producer = {.name = "bench", .next_sequence = next + SL_MEASURE_COMMIT};
    producer.received = producer.kept = producer.next_sequence;
    sl_spool_write write = {.samples = samples,
                            .n_samples = SL_MEASURE_COMMIT,
                            .rows = rows,
                            .row_offsets = offsets,
                            .n_rows = SL_MEASURE_COMMIT,
                            .producers = &producer,
                            .n_producers = 1};
    return sl_spool_append(spool, &write, why);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static sluice_status time_commits(sl_measure *measure, sl_spool *spool, sl_measured_spool *found)
{
    double ms[MAX_COMMITS];
    uint64_t random[SL_MEASURE_COMMIT * SAMPLE_BYTES / 8 / 8]; /* an eighth of them, repeated */
    uint8_t *bytes = malloc(SL_MEASURE_COMMIT * SAMPLE_BYTES);
    if (bytes == NULL) {
        return SLUICE_E_NOMEM;
    }
    for (size_t i = 0; i < sizeof random / 8; i++) {
        random[i] = sl_made_number(i);
    }
    for (size_t i = 0; i < 8; i++) {
        memcpy(bytes + i * sizeof random, random, sizeof random);
    }
    uint32_t n = 0;
    double start = now(), from = start;
    sluice_status status = SLUICE_OK;
    while (status == SLUICE_OK && n < MAX_COMMITS && (n == 0 || from < start + measure->seconds)) {
        status = commit_samples(spool, bytes, &measure->why);
        double to = now();
        ms[n++] = (to - from) * 1e3;
        from = to;
    }
    qsort(ms, n, sizeof ms[0], compare_doubles);
    found->commits_per_s = n / (from - start);
    found->commit_ms = ms[n / 2];
    found->commit_ms_max = ms[n - 1];
    free(bytes);
    return status;
}

static sluice_status time_flushes(sl_measure *measure, const char *path, sl_measured_spool *found)
{
    static const uint8_t page[4096];
    double ms[MAX_FLUSHES];
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    uint32_t n = 0;
    double start = now(), from = start;
    while (n < MAX_FLUSHES && (n == 0 || from < start + measure->seconds / 2)) {
        if (file < 0 || write(file, page, sizeof page) != sizeof page || fdatasync(file) != 0) {
            snprintf(measure->why.text, sizeof measure->why.text, "%.300s: %s", path,
                     strerror(errno));
            break;
        }
        double to = now();
        ms[n++] = (to - from) * 1e3;
        from = to;
    }
    bool good = measure->why.text[0] == '\0';
    if (good) {
        qsort(ms, n, sizeof ms[0], compare_doubles);
        found->fsync_ms = ms[n / 2];
    }
    if (file >= 0) {
        close(file);
    }
    return good ? SLUICE_OK : SLUICE_E_IO;
}

/* The folder was made here and holds files only. */
static void delete_folder(const char *path)
{
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        (void)unlinkat(dirfd(folder), entry->d_name, 0); /* "." and "..": refused */
    }
    if (folder != NULL) {
        closedir(folder);
    }
    (void)rmdir(path);
}

sluice_status sl_measure_spool(sl_measure *measure, const char *folder, sl_measured_spool *found)
{
    char path[4096], file[4200];
    struct statfs system;
    *found = (sl_measured_spool){0};
    snprintf(path, sizeof path, "%.4000s/sluice-bench-XXXXXX", folder);
    if (mkdtemp(path) == NULL || statfs(path, &system) != 0) {
        snprintf(measure->why.text, sizeof measure->why.text, "%.300s: %s", folder,
                 strerror(errno));
        return SLUICE_E_IO;
    }
    found->in_memory = system.f_type == TMPFS;
    sl_spool *spool = NULL;
    sl_spool_options options = {.path = path, .max_bytes = UINT64_C(256) << 20};
    sluice_status status = sl_spool_open(&options, &spool, &measure->why);
    status = status == SLUICE_OK ? time_commits(measure, spool, found) : status;
    sl_spool_close(&spool);
    snprintf(file, sizeof file, "%s/flushed", path);
    status = status == SLUICE_OK ? time_flushes(measure, file, found) : status;
    delete_folder(path);
    return status;
}
