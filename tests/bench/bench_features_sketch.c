/* bench_features_sketch.c - how fast is a text a sketch, and how fast are ready hashes one?
 *
 * usage: bench_features_sketch                     ready hashes only, and a text of its own making
 *        bench_features_sketch TEXTS SHINGLE...    also texts from a file
 *
 * TEXTS: u32 size (little-endian), then that many bytes, again and again. SHINGLE: w5, t3, c5, ...
 * or "auto" or a profile's name. Pin it to one core: taskset -c 1. tests/bench/peers_sketch.py runs
 * it beside its peers. Output: variant, median and best of the repetitions, in documents and
 * megabytes a second. */
#include "features/features.h"
#include "features/set_sketch.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define REPETITIONS     7
#define REPETITION_US   60000 /* a repetition goes on for at least this long */
#define HASHES_IN_CACHE (1u << 16)

/* Processor time, not the clock on the wall: others may be using the core. */
static double now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_row(const char *variant, double *docs_per_us, double bytes_per_doc)
{
    qsort(docs_per_us, REPETITIONS, sizeof *docs_per_us, by_value);
    double median = docs_per_us[REPETITIONS / 2];
    double best = docs_per_us[REPETITIONS - 1];
    printf("bench_features_sketch/%s median %.0f docs/s %.1f MB/s best %.0f docs/s %.1f MB/s\n",
           variant, median * 1e6, median * bytes_per_doc, best * 1e6, best * bytes_per_doc);
    fflush(stdout);
}

/* ---- ready hashes ---------------------------------------------------------------------------- */

static uint64_t next_random(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *state;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static void run_hashes(const sl_set_sketch *sketcher, const char *name, sl_kernel kernel,
                       uint32_t n)
{
    static uint64_t hashes[HASHES_IN_CACHE];
    uint64_t state = n;
    for (uint32_t i = 0; i < HASHES_IN_CACHE; i++) {
        hashes[i] = next_random(&state);
    }
    double rate[REPETITIONS];
    uint32_t checksum = 0;
    for (int repetition = 0; repetition < REPETITIONS; repetition++) {
        double start = now_us();
        double docs = 0;
        do {
            for (uint32_t at = 0; at + n <= HASHES_IN_CACHE; at += n) {
                uint8_t sketch[SLUICE_SKETCH_COORDINATES];
                sl_set_sketch_make(sketcher, hashes + at, n, kernel, sketch);
                checksum += sketch[at % SLUICE_SKETCH_COORDINATES];
                docs++;
            }
        } while (now_us() - start < REPETITION_US);
        rate[repetition] = docs / (now_us() - start);
    }
    char variant[64];
    snprintf(variant, sizeof variant, "hashes-%u/%s", n, name);
    print_row(variant, rate, (double)n * 8);
    fprintf(stderr, "%s", checksum == 1 ? " " : ""); /* so that the work is not optimized away */
}

/* Root mean square error of the estimate for pairs of sets of n of Jaccard similarity .8. */
static void run_error(const sl_set_sketch *sketcher, uint32_t n)
{
    enum { PAIRS = 4000, MOST = 5000 };
    static uint64_t a[MOST], b[MOST];
    uint64_t state = 77;
    uint32_t n_common = n * 8 / 9; /* n / 9 in one of them only: 8 of 10 in both */
    double squares = 0;
    for (int pair = 0; pair < PAIRS; pair++) {
        uint8_t sketch[2][SLUICE_SKETCH_COORDINATES];
        for (uint32_t i = 0; i < n; i++) {
            a[i] = next_random(&state);
            b[i] = i < n_common ? a[i] : next_random(&state);
        }
        sl_set_sketch_make(sketcher, a, n, sl_kernel_best(), sketch[0]);
        sl_set_sketch_make(sketcher, b, n, sl_kernel_best(), sketch[1]);
        double equal = 0;
        for (int i = 0; i < SLUICE_SKETCH_COORDINATES; i++) {
            equal += sketch[0][i] == sketch[1][i];
        }
        double estimate = (equal / SLUICE_SKETCH_COORDINATES - 1.0 / 256) / (1 - 1.0 / 256);
        double error = estimate - (double)n_common / (2 * n - n_common);
        squares += error * error;
    }
    printf("bench_features_sketch/error-%u rmse %.4f\n", n, sqrt(squares / PAIRS));
}

/* ---- texts ----------------------------------------------------------------------------------- */

typedef struct texts {
    uint8_t *data;
    sluice_sample *samples;
    size_t n, bytes;
} text_list;

static void add_texts(text_list *texts, size_t size)
{
    size_t at = 0;
    while (at + 4 <= size) {
        const uint8_t *head = texts->data + at;
        uint32_t length =
            head[0] | (uint32_t)head[1] << 8 | (uint32_t)head[2] << 16 | (uint32_t)head[3] << 24;
        if (at + 4 + length > size) {
            break;
        }
        if (texts->samples != NULL) {
            texts->samples[texts->n].payload = (sluice_span){head + 4, length};
        }
        texts->n++;
        texts->bytes += length;
        at += 4 + length;
    }
}

static bool read_texts(const char *path, text_list *texts)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        return false;
    }
    long size = ftell(file);
    rewind(file);
    texts->data = malloc((size_t)size + 1);
    if (texts->data == NULL || fread(texts->data, 1, (size_t)size, file) != (size_t)size) {
        return false;
    }
    fclose(file);
    add_texts(texts, (size_t)size);
    texts->samples = calloc(texts->n + 1, sizeof *texts->samples);
    if (texts->samples == NULL) {
        return false;
    }
    texts->n = 0;
    texts->bytes = 0;
    add_texts(texts, (size_t)size);
    return texts->n > 0;
}

static bool set_shingle(sluice_config *config, const char *name)
{
    static const char *const profiles[] = {"auto", "news", "prose", "records",
                                           "code", "cjk",  "pages", "legal"};
    for (int i = 0; i < SLUICE_N_PROFILES; i++) {
        if (strcmp(name, profiles[i]) == 0) {
            config->duplicate.text_profile = (sluice_profile)i;
            return true;
        }
    }
    int n = atoi(name + 1);
    if (strchr("wtc", name[0]) == NULL || n < 1 || n > 16) {
        return false;
    }
    config->duplicate.text_profile = SLUICE_PROFILE_NEWS;
    config->duplicate.text_shingle = (sluice_shingle){name[0], (uint8_t)n};
    return true;
}

static bool run_texts(const text_list *texts, const char *shingle)
{
    static sluice_config config;
    memset(&config, 0, sizeof config);
    config.seed = 1;
    sl_features *features = NULL;
    if (!set_shingle(&config, shingle) || sl_features_open(&config, &features) != SLUICE_OK) {
        return false;
    }
    double rate[REPETITIONS];
    double shingles = 0;
    sluice_sample sample = {0};
    for (int repetition = 0; repetition < REPETITIONS; repetition++) {
        double start = now_us();
        double docs = 0;
        do {
            for (size_t i = 0; i < texts->n; i++) {
                /* One sample for all: in a filter they are a few hundred that stay in the cache. */
                sample.payload = texts->samples[i].payload;
                sl_features_make(features, &sample);
                shingles +=
                    repetition == 0 && docs < (double)texts->n ? sample.features.n_shingles : 0;
                docs++;
            }
        } while (now_us() - start < REPETITION_US);
        rate[repetition] = docs / (now_us() - start);
    }
    sl_features_close(&features);
    char variant[64];
    snprintf(variant, sizeof variant, "text/%s/shingles=%.0f", shingle,
             shingles / (double)texts->n);
    print_row(variant, rate, (double)texts->bytes / (double)texts->n);
    return true;
}

/* Words of a to j, sentences, lines: enough to see a kernel break, not to quote. */
static bool make_texts(text_list *texts)
{
    enum { N = 200, SIZE = 4000 };
    texts->data = malloc((size_t)N * SIZE);
    texts->samples = calloc(N, sizeof *texts->samples);
    if (texts->data == NULL || texts->samples == NULL) {
        return false;
    }
    uint64_t state = 5;
    for (size_t i = 0; i < (size_t)N * SIZE; i++) {
        uint64_t draw = next_random(&state);
        texts->data[i] =
            (uint8_t)(draw % 6 == 0 ? " \n,.  "[draw / 6 % 6] : "aBcdefghij"[draw % 10]);
    }
    for (size_t i = 0; i < N; i++) {
        texts->samples[i].payload = (sluice_span){texts->data + i * SIZE, SIZE};
    }
    texts->n = N;
    texts->bytes = (size_t)N * SIZE;
    return true;
}

static void free_texts(text_list *texts)
{
    free(texts->data);
    free(texts->samples);
}

int main(int argc, char **argv)
{
    text_list texts = {0};
    if (argc > 2) {
        if (!read_texts(argv[1], &texts)) {
            fprintf(stderr, "%s: cannot read texts from it\n", argv[1]);
            return 1;
        }
        for (int i = 2; i < argc; i++) {
            if (!run_texts(&texts, argv[i])) {
                fprintf(stderr, "%s: not a shingle or profile\n", argv[i]);
                return 64;
            }
        }
        free_texts(&texts);
        return 0;
    }
    static const char *const kernels[] = {"ref", "avx2", "avx512"};
    static const uint32_t sizes[] = {10, 30, 100, 300, 1000, 4000};
    sl_set_sketch *sketcher = NULL;
    if (sl_set_sketch_open(1, &sketcher) != SLUICE_OK) {
        return 1;
    }
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (sl_kernel kernel = SL_KERNEL_REF; kernel <= sl_kernel_best(); kernel++) {
            run_hashes(sketcher, kernels[kernel], kernel, sizes[i]);
        }
    }
    run_error(sketcher, 100);
    run_error(sketcher, 1000);
    run_error(sketcher, 4000);
    sl_set_sketch_close(&sketcher);
    bool done = make_texts(&texts) && run_texts(&texts, "w5");
    free_texts(&texts);
    return done ? 0 : 1;
}
