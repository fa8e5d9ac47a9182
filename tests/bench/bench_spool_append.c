/* bench_spool_append.c - what a durable commit costs, beside a plain write and flush of its bytes.
 *
 *   bench_spool_append [FOLDER [SECONDS]]       default: the working folder, 1 second a line
 *
 * Samples of 1,024 bytes with a row of 300 bytes each, a producer and the running numbers, in
 * commits of 64 to 4,096 samples; the peer appends the same bytes to a file and calls fdatasync.
 * The two take turns of a quarter of a second, since disks have moods. Then reading: select_batch
 * of 1 MiB each. */
#include "spool/spool.h"
#include "bytes.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define SAMPLE_BYTES     1024
#define ANNOTATION_BYTES 80
#define ROW_BYTES        300
#define MAX_GROUP        4096
#define MAX_COMMITS      100000
#define TURN_SECONDS     0.25

typedef struct lane { /* one way to make bytes durable */
    double seconds;
    double *commit_ms;
    uint32_t n_commits;
} lane;

typedef struct bench {
    sl_spool *spool;
    int file;
    uint8_t *bytes; /* random, MAX_GROUP x (SAMPLE_BYTES + ANNOTATION_BYTES) */
    sl_spool_sample samples[MAX_GROUP];
    sluice_span rows[MAX_GROUP];
    uint64_t offsets[MAX_GROUP];
} bench;

static void fail(const char *what)
{
    fprintf(stderr, "bench_spool_append: %s\n", what);
    exit(1);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void make_bytes(bench *b)
{
    const size_t size = (size_t)MAX_GROUP * (SAMPLE_BYTES + ANNOTATION_BYTES);
    b->bytes = malloc(size);
    if (b->bytes == NULL) {
        fail("no memory");
    }
    uint64_t x = 1;
    for (size_t i = 0; i < size; i++) {
        x = x * UINT64_C(6364136223846793005) + 1;
        b->bytes[i] = (uint8_t)(x >> 56);
    }
}

static void append_spool(bench *b, uint32_t n)
{
    uint64_t next = sl_spool_extent_of(b->spool).next_offset;
    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *at = b->bytes + (size_t)i * (SAMPLE_BYTES + ANNOTATION_BYTES);
        b->samples[i] = (sl_spool_sample){.offset = next + i,
                                          .arrived_us = (int64_t)(next + i),
                                          .wire = {at, SAMPLE_BYTES},
                                          .annotation = {at + SAMPLE_BYTES, ANNOTATION_BYTES}};
        b->rows[i] = (sluice_span){at, ROW_BYTES};
        b->offsets[i] = next + i;
    }
    sl_spool_producer producer = {.name = "bench", .next_sequence = next + n};
    producer.received = producer.kept = next + n;
    sluice_message why;
    if (sl_spool_append(b->spool,
                        &(sl_spool_write){.samples = b->samples,
                                          .n_samples = n,
                                          .rows = b->rows,
                                          .row_offsets = b->offsets,
                                          .n_rows = n,
                                          .producers = &producer,
                                          .n_producers = 1},
                        &why) != SLUICE_OK) {
        fail(why.text);
    }
}

static void append_file(bench *b, uint32_t n)
{
    size_t left = (size_t)n * (SAMPLE_BYTES + ANNOTATION_BYTES);
    const size_t rows = (size_t)n * ROW_BYTES;
    const uint8_t *at = b->bytes;
    while (left > 0) {
        ssize_t size = write(b->file, at, left);
        if (size < 0) {
            fail("cannot write");
        }
        at += size;
        left -= (size_t)size;
    }
    if (write(b->file, b->bytes, rows) != (ssize_t)rows || fdatasync(b->file) != 0) {
        fail("cannot write");
    }
}

static void run_turn(bench *b, lane *l, uint32_t n, void (*append)(bench *, uint32_t))
{
    double end = now() + TURN_SECONDS;
    double start = now();
    while (start < end && l->n_commits < MAX_COMMITS) {
        append(b, n);
        double stop = now();
        l->commit_ms[l->n_commits++] = (stop - start) * 1e3;
        l->seconds += stop - start;
        start = stop;
    }
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double samples_a_second(const lane *l, uint32_t n)
{
    return (double)l->n_commits * n / l->seconds;
}

static void print_lane(const char *name, lane *l, uint32_t n)
{
    qsort(l->commit_ms, l->n_commits, sizeof *l->commit_ms, compare_doubles);
    double rate = samples_a_second(l, n);
    printf("bench_spool_append/%s group=%u: %.0f samples/s, %.1f MB/s, commit median %.2f ms p99 "
           "%.2f ms, %u commits\n",
           name, n, rate, rate * (SAMPLE_BYTES + ANNOTATION_BYTES + ROW_BYTES) / 1e6,
           l->commit_ms[l->n_commits / 2], l->commit_ms[(size_t)l->n_commits * 99 / 100],
           l->n_commits);
}

static void compare_group(bench *b, uint32_t n, double seconds)
{
    lane spool = {.commit_ms = calloc(MAX_COMMITS, sizeof(double))};
    lane file = {.commit_ms = calloc(MAX_COMMITS, sizeof(double))};
    if (spool.commit_ms == NULL || file.commit_ms == NULL) {
        fail("no memory");
    }
    while (spool.seconds < seconds) {
        run_turn(b, &spool, n, append_spool);
        run_turn(b, &file, n, append_file);
    }
    print_lane("spool", &spool, n);
    print_lane("write+fdatasync", &file, n);
    printf("bench_spool_append/ratio group=%u: %.2f of the plain file\n", n,
           samples_a_second(&spool, n) / samples_a_second(&file, n));
    free(spool.commit_ms);
    free(file.commit_ms);
}

static void read_all(bench *b)
{
    sluice_bytes out = {0};
    sl_spool_select select = {.below_offset = UINT64_MAX, .max_bytes = 1u << 20};
    uint64_t bytes = 0;
    uint64_t end = sl_spool_extent_of(b->spool).next_offset;
    end = end < 500000 ? end : 500000;
    double start = now();
    while (select.from_offset < end) {
        sl_spool_selected selected;
        sl_bytes_clear(&out);
        if (sl_spool_select_batch(b->spool, &select, &out, &selected, NULL) != SLUICE_OK) {
            fail("cannot read");
        }
        select.from_offset = selected.next_offset;
        bytes += out.size;
    }
    double seconds = now() - start;
    printf("bench_spool_append/select max_bytes=1MiB: %.0f samples/s, %.0f MB/s\n",
           (double)end / seconds, (double)bytes / seconds / 1e6);
    sl_bytes_fini(&out);
    start = now();
    if (sl_spool_verify(b->spool, NULL) != SLUICE_OK) {
        fail("verify");
    }
    printf("bench_spool_append/verify: %.0f samples/s\n",
           (double)sl_spool_extent_of(b->spool).next_offset / (now() - start));
}

int main(int argc, char **argv)
{
    char path[512], name[600], command[600];
    snprintf(path, sizeof path, "%s/bench-spool-XXXXXX", argc > 1 ? argv[1] : ".");
    double seconds = argc > 2 ? strtod(argv[2], NULL) : 1;
    if (mkdtemp(path) == NULL) {
        fail("cannot make a folder");
    }
    bench *b = calloc(1, sizeof *b);
    if (b == NULL) {
        fail("no memory");
    }
    make_bytes(b);
    sluice_message why;
    sl_spool_options options = {.path = path, .rows_bytes = UINT64_C(8) << 30};
    if (sl_spool_open(&options, &b->spool, &why) != SLUICE_OK) {
        fail(why.text);
    }
    snprintf(name, sizeof name, "%s/plain", path);
    b->file = open(name, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (b->file < 0) {
        fail("cannot make a file");
    }
    for (uint32_t n = 64; n <= MAX_GROUP; n *= 4) {
        compare_group(b, n, seconds);
    }
    read_all(b);
    close(b->file);
    sl_spool_close(&b->spool);
    free(b->bytes);
    free(b);
    snprintf(command, sizeof command, "rm -rf '%s'", path);
    return system(command) == 0 ? 0 : 1;
}
