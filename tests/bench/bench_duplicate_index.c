/* bench_duplicate_index.c - what finding and remembering duplicates costs a sample.
 *
 *   bench_duplicate_index                       short: flat to 1e6, copies, forget, restore
 *   bench_duplicate_index flat N [AHEAD]        N made-up texts, every fifth a near-duplicate (J =
 * .9) bench_duplicate_index copies N              N copies of one text mixed into N distinct ones
 *   bench_duplicate_index forget N              what closing the gap of a forgotten row takes
 *   bench_duplicate_index restore N             rows back into the index
 *   bench_duplicate_index texts SETS FLAGS      real shingle sets of peers_index.py; writes a byte
 * a text: 1 exact keep-first drops it, 2 Sluice does
 *
 * Keep-first everywhere: probe, drop what matches, remember the rest. Making the samples is not
 * timed. Blocks of 1,000 samples are: their median and 99th percentile are given. */
#include "bytes.h"
#include "duplicate/duplicate.h"
#include "features/features.h"
#include "features/set_sketch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BATCH_SAMPLES 4000
#define BLOCK_SAMPLES 1000
#define AHEAD         8 /* samples between prefetch and probe */
#define ID_BYTES      16
#define THRESHOLD     0.8

/* The bench's own setting, whatever the profiles are: 16 bands of 8 at .8. */
__attribute__((weak)) sl_text_settings sl_text_settings_of(const sluice_config *config,
                                                           sluice_profile profile)
{
    (void)config;
    (void)profile;
    return (sl_text_settings){.threshold = (float)THRESHOLD, .n_bands = 16, .band_rows = 8};
}

typedef struct run {
    sl_duplicate *duplicate;
    sluice_sample *samples; /* [BATCH_SAMPLES] */
    char (*ids)[ID_BYTES + 1];
    uint32_t n_samples, ahead;
    uint64_t text_memory, exact_memory;
    uint64_t n, n_dropped;
    double seconds, *block_seconds;
    uint64_t n_blocks;
} run;

static void fail(const char *what)
{
    fprintf(stderr, "bench_duplicate_index: %s\n", what);
    exit(1);
}

static void *allocate(size_t n, size_t size)
{
    void *memory = calloc(n, size);
    if (memory == NULL) {
        fail("no memory");
    }
    return memory;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static uint64_t mix(uint64_t value) /* the finalizer of splitmix64 */
{
    value += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return value ^ value >> 31;
}

static run open_bench(uint64_t n_rows, uint64_t n_samples, uint32_t ahead)
{
    run bench = {.ahead = ahead};
    sluice_config config = {0};
    config.duplicate.enabled = true;
    config.duplicate.exact_memory = bench.exact_memory = n_rows * 110 + 65536;
    config.duplicate.text_memory = bench.text_memory = n_rows * 340 + 65536;
    config.duplicate.image_memory = config.duplicate.embedding_memory = 1 << 20; /* none here */
    sluice_message why;
    if (sl_duplicate_open(&config, &bench.duplicate, &why) != SLUICE_OK) {
        fail(why.text);
    }
    bench.samples = allocate(BATCH_SAMPLES, sizeof *bench.samples);
    bench.ids = allocate(BATCH_SAMPLES, sizeof *bench.ids);
    bench.block_seconds = allocate(n_samples / BLOCK_SAMPLES + 1, sizeof *bench.block_seconds);
    return bench;
}

static void close_bench(run *bench)
{
    sl_duplicate_close(&bench->duplicate);
    free(bench->samples);
    free(bench->ids);
    free(bench->block_seconds);
}

/* A sample with id and hashes; the sketch is the caller's. */
static sluice_sample *add_sample(run *bench, uint64_t offset, uint64_t identity, uint8_t has)
{
    uint32_t i = bench->n_samples++;
    sluice_sample *sample = &bench->samples[i];
    snprintf(bench->ids[i], sizeof bench->ids[i], "%016llx", (unsigned long long)offset);
    *sample = (sluice_sample){.offset = offset,
                              .arrived_us = (int64_t)offset,
                              .id = {(const uint8_t *)bench->ids[i], ID_BYTES},
                              .source = {(const uint8_t *)"source 8", 8}};
    sample->features.has = has;
    sample->features.profile = SLUICE_PROFILE_NEWS;
    for (uint64_t j = 0; j < 2; j++) {
        sample->features.raw_hash[j] = mix(identity * 4 + j);
        sample->features.normal_hash[j] = mix(identity * 4 + 2 + j);
    }
    return sample;
}

/* What engine_run does with the duplicate stage, and the default policy. */
static void run_block(run *bench, uint32_t from, uint32_t to)
{
    double start = now();
    for (uint32_t i = from; i < to; i++) {
        sluice_sample *sample = &bench->samples[i];
        if (bench->ahead > 0 && i + bench->ahead < bench->n_samples) {
            sl_duplicate_prefetch(bench->duplicate, sample + bench->ahead);
        }
        sl_duplicate_probe(bench->duplicate, sample, &sample->match);
        bool found = sample->match.method != SLUICE_METHOD_NONE;
        sample->verdict.decision = found ? SLUICE_DROP : SLUICE_KEEP;
        bench->n_dropped += found;
        sl_duplicate_apply(bench->duplicate, sample);
    }
    double seconds = now() - start;
    bench->seconds += seconds;
    bench->block_seconds[bench->n_blocks++] = seconds / (to - from);
}

static void run_batch(run *bench)
{
    for (uint32_t i = 0; i < bench->n_samples; i += BLOCK_SAMPLES) {
        uint32_t to = i + BLOCK_SAMPLES;
        run_block(bench, i, to < bench->n_samples ? to : bench->n_samples);
    }
    bench->n += bench->n_samples;
    bench->n_samples = 0;
}

static int compare_doubles(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static void report(run *bench, const char *variant)
{
    qsort(bench->block_seconds, bench->n_blocks, sizeof(double), compare_doubles);
    sl_duplicate_usage text = sl_duplicate_usage_of(bench->duplicate, SLUICE_METHOD_TEXT);
    sl_duplicate_usage exact = sl_duplicate_usage_of(bench->duplicate, SLUICE_METHOD_EXACT);
    printf("bench_duplicate_index/%s  n=%llu  %.3f M/s  median %.0f ns  p99 %.0f ns a sample  "
           "dropped %llu  text rows %llu evicted %llu  (%s)\n",
           variant, (unsigned long long)bench->n, (double)bench->n / bench->seconds / 1e6,
           bench->block_seconds[bench->n_blocks / 2] * 1e9,
           bench->block_seconds[bench->n_blocks * 99 / 100] * 1e9,
           (unsigned long long)bench->n_dropped, (unsigned long long)text.rows,
           (unsigned long long)text.evicted, __VERSION__);
    if (text.evicted > 0) { /* full: what a row costs */
        printf("bench_duplicate_index/bytes  text %.1f a row  exact %.1f a row\n",
               (double)bench->text_memory / (double)text.rows,
               exact.evicted == 0 ? 0 : (double)bench->exact_memory / (double)exact.rows);
    }
    fflush(stdout);
}

static bool is_copy(uint64_t i)
{
    return i > 0 && mix(i) % 5 == 0;
}

/* The sketch of text i; a copy agrees with an original before it in 9 of 10 coordinates. */
static void make_sketch(uint64_t i, uint8_t *sketch)
{
    uint64_t seed = i;
    if (is_copy(i)) {
        seed = mix(i + 1) % i;
        while (is_copy(seed)) {
            seed--;
        }
    }
    for (uint64_t j = 0; j < SLUICE_SKETCH_COORDINATES / 8; j++) {
        uint64_t word = mix(seed * 16 + j);
        memcpy(sketch + j * 8, &word, sizeof word);
    }
    for (uint64_t j = 0; seed != i && j < SLUICE_SKETCH_COORDINATES; j++) {
        if (mix(i * SLUICE_SKETCH_COORDINATES + j) % 10 == 0) {
            sketch[j]++;
        }
    }
}

/* Memory for `n_rows`: fewer than n, and the first ones are evicted; what is then timed is the
 * second half, where every page has been touched and every bucket is full. */
static void run_flat(uint64_t n, uint64_t n_rows, uint32_t ahead, uint8_t has, const char *variant)
{
    run bench = open_bench(n_rows, n, ahead);
    uint64_t n_copies = 0;
    for (uint64_t i = 0; i < n; i++) {
        sluice_sample *sample = add_sample(&bench, i, i, has);
        make_sketch(i, sample->features.sketch);
        n_copies += is_copy(i);
        if (bench.n_samples == BATCH_SAMPLES || i + 1 == n) {
            run_batch(&bench);
            if (n_rows < n && i >= n / 2 && i - n / 2 < BATCH_SAMPLES) {
                bench.seconds = 0;
                bench.n = bench.n_blocks = 0;
            }
        }
    }
    char name[64];
    snprintf(name, sizeof name, "%s/ahead=%u/recall=%.4f", variant, ahead,
             (double)bench.n_dropped / (double)n_copies);
    report(&bench, name);
    close_bench(&bench);
}

static void run_copies(uint64_t n)
{
    run bench = open_bench(n, 2 * n, AHEAD);
    for (uint64_t i = 0; i < 2 * n; i++) {
        bool copy = i > 0 && mix(i) % 2 == 0;
        uint64_t identity = copy ? 0 : i;
        sluice_sample *sample =
            add_sample(&bench, i, identity, SLUICE_HAS_RAW | SLUICE_HAS_NORMAL | SLUICE_HAS_SKETCH);
        for (uint64_t j = 0; j < SLUICE_SKETCH_COORDINATES / 8; j++) {
            uint64_t word = mix(identity * 16 + j);
            memcpy(sample->features.sketch + j * 8, &word, sizeof word);
        }
        if (bench.n_samples == BATCH_SAMPLES || i + 1 == 2 * n) {
            run_batch(&bench);
        }
    }
    report(&bench, "copies");
    close_bench(&bench);
}

/* n distinct texts, remembered; their rows too, if wanted. */
static run remember_distinct(uint64_t n, sluice_bytes *rows)
{
    run bench = open_bench(n, n, AHEAD);
    for (uint64_t i = 0; i < n; i++) {
        sluice_sample *sample =
            add_sample(&bench, i, i, SLUICE_HAS_RAW | SLUICE_HAS_NORMAL | SLUICE_HAS_SKETCH);
        for (uint64_t j = 0; j < SLUICE_SKETCH_COORDINATES / 8; j++) {
            uint64_t word = mix(i * 16 + j);
            memcpy(sample->features.sketch + j * 8, &word, sizeof word);
        }
        if (bench.n_samples == BATCH_SAMPLES || i + 1 == n) {
            uint32_t n_samples = bench.n_samples;
            run_batch(&bench);
            sl_durable_from from = sl_duplicate_row_from(bench.duplicate);
            for (uint32_t j = 0; rows != NULL && j < n_samples; j++) {
                if (sl_duplicate_row_write(bench.duplicate, &from, &bench.samples[j], rows) !=
                    SLUICE_OK) {
                    fail("no memory");
                }
            }
        }
    }
    return bench;
}

static void run_forget(uint64_t n)
{
    run bench = remember_distinct(n, NULL);
    sluice_match match;
    double start = now();
    for (uint64_t i = 0; i < 1000; i++) {
        (void)sl_duplicate_forget(bench.duplicate, n / 2 + i);
    }
    double forgotten = now();
    sl_duplicate_probe(bench.duplicate, &bench.samples[0], &match);
    printf("bench_duplicate_index/forget  n=%llu  1000 forgotten in %.3f ms, gaps closed in "
           "%.3f s\n",
           (unsigned long long)n, (forgotten - start) * 1e3, now() - forgotten);
    close_bench(&bench);
}

/* Rows of distinct texts are of one size here: ids and sources are. Offsets grow a byte at 128,
 * 16,384 and 2,097,152, so sizes are tried upwards. */
static void run_restore(uint64_t n)
{
    sluice_bytes rows = {0};
    run bench = remember_distinct(n, &rows);
    close_bench(&bench);
    bench = open_bench(n, n, AHEAD);
    double start = now();
    uint64_t at = 0, n_rows = 0, offset;
    size_t size = rows.size / n > 20 ? rows.size / n - 20 : 1;
    while (at < rows.size && at + size <= rows.size) {
        if (sl_duplicate_row_read(bench.duplicate, (sluice_span){rows.data + at, size}, &offset) ==
            SLUICE_OK) {
            at += size;
            n_rows++;
        } else {
            size++;
        }
    }
    double seconds = now() - start;
    printf("bench_duplicate_index/restore  n=%llu  %.3f M rows/s  %.1f bytes a row on disk\n",
           (unsigned long long)n_rows, (double)n_rows / seconds / 1e6,
           (double)rows.size / (double)n);
    sl_bytes_fini(&rows);
    close_bench(&bench);
}

/* --- real shingle sets: | n u32 | counts u32 x n | hashes u64 | --- */

typedef struct shingle_sets {
    uint32_t n, *count;
    uint64_t *at; /* [n + 1] of the first hash of a text */
    uint64_t *hash;
} shingle_sets;

static shingle_sets read_sets(const char *path)
{
    shingle_sets sets = {0};
    FILE *file = fopen(path, "rb");
    if (file == NULL || fread(&sets.n, sizeof sets.n, 1, file) != 1) {
        fail("cannot read the sets");
    }
    sets.count = allocate(sets.n, sizeof *sets.count);
    sets.at = allocate((size_t)sets.n + 1, sizeof *sets.at);
    if (fread(sets.count, sizeof *sets.count, sets.n, file) != sets.n) {
        fail("the sets are cut");
    }
    for (uint32_t i = 0; i < sets.n; i++) {
        sets.at[i + 1] = sets.at[i] + sets.count[i];
    }
    sets.hash = allocate(sets.at[sets.n], sizeof *sets.hash);
    if (fread(sets.hash, sizeof *sets.hash, sets.at[sets.n], file) != sets.at[sets.n]) {
        fail("the sets are cut");
    }
    fclose(file);
    return sets;
}

static int compare_words(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

/* Every hash becomes its rank, rare ones first, so that prefixes of sorted sets are selective.
 * Source: Bayardo, Ma, Srikant 2007 (all-pairs similarity search). */
static uint64_t *rank_hashes(const shingle_sets *sets, uint64_t *n_ranks)
{
    uint64_t n = sets->at[sets->n], n_distinct = 0;
    uint64_t *sorted = allocate(n, sizeof *sorted), *by_count = allocate(n, sizeof *by_count);
    memcpy(sorted, sets->hash, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, compare_words);
    for (uint64_t i = 0, count = 1; i < n; i++, count++) {
        if (i + 1 == n || sorted[i + 1] != sorted[i]) {
            by_count[n_distinct] = count << 32 | n_distinct;
            sorted[n_distinct++] = sorted[i];
            count = 0;
        }
    }
    qsort(by_count, n_distinct, sizeof *by_count, compare_words);
    uint64_t *rank_of = allocate(n_distinct, sizeof *rank_of);
    for (uint64_t i = 0; i < n_distinct; i++) {
        rank_of[by_count[i] & UINT32_MAX] = i;
    }
    uint64_t *rank = by_count;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t *found =
            bsearch(&sets->hash[i], sorted, n_distinct, sizeof *sorted, compare_words);
        rank[i] = rank_of[found - sorted];
    }
    free(sorted);
    free(rank_of);
    *n_ranks = n_distinct;
    return rank;
}

static double jaccard(const uint64_t *a, uint32_t n_a, const uint64_t *b, uint32_t n_b)
{
    uint32_t i = 0, j = 0, n_both = 0;
    while (i < n_a && j < n_b) {
        n_both += a[i] == b[j];
        uint64_t left = a[i], right = b[j];
        i += left <= right;
        j += right <= left;
    }
    return (double)n_both / (double)(n_a + n_b - n_both);
}

/* flags[i] |= 1: a kept text before it has exact Jaccard >= THRESHOLD. */
static void run_exact(const shingle_sets *sets, uint8_t *flags)
{
    uint64_t n_ranks;
    uint64_t *rank = rank_hashes(sets, &n_ranks);
    uint32_t *posting = allocate(n_ranks, sizeof *posting); /* + 1; newest posting of a rank */
    uint32_t *next = allocate(sets->at[sets->n] + 1, sizeof *next);
    uint32_t *text = allocate(sets->at[sets->n] + 1, sizeof *text);
    uint32_t *seen = allocate(sets->n, sizeof *seen), n_postings = 1;
    for (uint32_t i = 0; i < sets->n; i++) {
        uint64_t *own = rank + sets->at[i];
        uint32_t n = sets->count[i];
        qsort(own, n, sizeof *own, compare_words);
        uint32_t n_prefix = n - (uint32_t)(THRESHOLD * n + 0.999999) + 1;
        bool found = false;
        for (uint32_t j = 0; j < n_prefix && !found; j++) {
            for (uint32_t p = posting[own[j]]; p != 0 && !found; p = next[p]) {
                uint32_t other = text[p], m = sets->count[other];
                if (seen[other] != i + 1 && m >= THRESHOLD * n && n >= THRESHOLD * m) {
                    found = jaccard(own, n, rank + sets->at[other], m) >= THRESHOLD;
                }
                seen[other] = i + 1;
            }
        }
        flags[i] |= found;
        for (uint32_t j = 0; j < n_prefix && !found; j++) {
            next[n_postings] = posting[own[j]];
            text[n_postings] = i;
            posting[own[j]] = n_postings++;
        }
    }
    free(rank);
    free(posting);
    free(next);
    free(text);
    free(seen);
}

static uint8_t (*sketch_all(const shingle_sets *sets))[SLUICE_SKETCH_COORDINATES]
{
    uint8_t(*sketches)[SLUICE_SKETCH_COORDINATES] = allocate(sets->n, sizeof *sketches);
    uint64_t *copy = allocate(sets->at[sets->n], sizeof *copy);
    memcpy(copy, sets->hash, sets->at[sets->n] * sizeof *copy);
    sl_set_sketch *sketcher;
    if (sl_set_sketch_open(1, &sketcher) != SLUICE_OK) {
        fail("no memory");
    }
    for (uint32_t i = 0; i < sets->n; i++) {
        sl_set_sketch_make(sketcher, copy + sets->at[i], sets->count[i], sl_kernel_best(),
                           sketches[i]);
    }
    sl_set_sketch_close(&sketcher);
    free(copy);
    return sketches;
}

static void run_sketches(const shingle_sets *sets, uint8_t (*sketches)[SLUICE_SKETCH_COORDINATES],
                         uint8_t *flags)
{
    for (int round = 0; round < 5; round++) { /* the first is cold; the best counts */
        run bench = open_bench(sets->n, sets->n + BATCH_SAMPLES, AHEAD);
        for (uint32_t i = 0; i < sets->n; i++) {
            sluice_sample *sample = add_sample(&bench, i, i, SLUICE_HAS_SKETCH);
            memcpy(sample->features.sketch, sketches[i], SLUICE_SKETCH_COORDINATES);
            if (bench.n_samples == BATCH_SAMPLES || i + 1 == sets->n) {
                uint32_t first = i + 1 - bench.n_samples;
                run_batch(&bench);
                for (uint32_t j = first; j <= i; j++) {
                    bool dropped = bench.samples[j - first].verdict.decision == SLUICE_DROP;
                    flags[j] |= (uint8_t)(dropped ? 2 : 0);
                }
            }
        }
        report(&bench, "texts");
        close_bench(&bench);
    }
}

static void run_texts(const char *sets_path, const char *flags_path)
{
    shingle_sets sets = read_sets(sets_path);
    uint8_t *flags = allocate(sets.n, 1);
    run_exact(&sets, flags);
    uint8_t(*sketches)[SLUICE_SKETCH_COORDINATES] = sketch_all(&sets);
    run_sketches(&sets, sketches, flags);
    FILE *file = fopen(flags_path, "wb");
    if (file == NULL || fwrite(flags, 1, sets.n, file) != sets.n || fclose(file) != 0) {
        fail("cannot write the flags");
    }
    uint32_t n_true = 0, n_found = 0, n_dropped = 0;
    for (uint32_t i = 0; i < sets.n; i++) {
        n_true += flags[i] & 1;
        n_found += flags[i] == 3;
        n_dropped += flags[i] >> 1;
    }
    printf("bench_duplicate_index/texts  exact drops %u, Sluice %u, recall %.4f\n", n_true,
           n_dropped, (double)n_found / n_true);
    free(flags);
    free(sketches);
    free(sets.count);
    free(sets.at);
    free(sets.hash);
}

int main(int argc, char **argv)
{
    uint8_t all = SLUICE_HAS_RAW | SLUICE_HAS_NORMAL | SLUICE_HAS_SKETCH;
    uint64_t n = argc > 2 ? (uint64_t)strtod(argv[2], NULL) : 0;
    uint32_t ahead = argc > 3 ? (uint32_t)atoi(argv[3]) : AHEAD;
    if (argc == 1) {
        run_flat(100000, 100000, AHEAD, all, "exact+text");
        run_flat(1000000, 1000000, AHEAD, all, "exact+text");
        run_flat(1000000, 300000, AHEAD, all, "full");
        run_copies(200000);
        run_forget(200000);
        run_restore(200000);
    } else if (n > 1 && strcmp(argv[1], "flat") == 0) {
        run_flat(n, n, ahead, SLUICE_HAS_SKETCH, "text");
        run_flat(n, n, ahead, all, "exact+text");
    } else if (n > 1 && strcmp(argv[1], "full") == 0) {
        run_flat(n, n / 3, ahead, all, "full");
    } else if (n > 1 && strcmp(argv[1], "copies") == 0) {
        run_copies(n);
    } else if (n > 2000 && strcmp(argv[1], "forget") == 0) {
        run_forget(n);
    } else if (n > 1 && strcmp(argv[1], "restore") == 0) {
        run_restore(n);
    } else if (argc == 4 && strcmp(argv[1], "texts") == 0) {
        run_texts(argv[2], argv[3]);
    } else {
        fail("see the head of bench_duplicate_index.c for how to call it");
    }
    return 0;
}
