/* bench_influence_score.c - what scoring and learning cost a sample, beside the same products done
 * by BLAS alone.
 *
 *   bench_influence_score share [D]...      128, 384 and 768 unless told; one thread, pin it to a
 * core bench_influence_score refresh [D]...    384 unless told; does a refresh beside the stream
 * stall it?
 *
 * K = 2, one reference, everything on, one refresh in 25,600 samples: what an automatic refresh
 * comes to once the half-life is full. */
#include "influence/gemm.h"
#include "influence/influence.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define N_VIEWS 2
#define BLOCK   256
#define BETWEEN 25600 /* samples for each refresh */
#define WARM    1024

enum { REFRESH_NEVER, REFRESH_INLINE, REFRESH_BESIDE /* automatic, in a thread */ };

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static uint64_t seed = 1;

static float random_normal(void)
{
    double sum = 0;
    for (int i = 0; i < 4; i++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        sum += (double)(seed >> 33) / 2147483648.0 - 0.5;
    }
    return (float)(sum * 1.7320508);
}

/* Unit rows: an anchor in a cone with decaying spectrum, and a noisy copy. */
static float *make_rows(uint32_t n, uint32_t d)
{
    float *rows = malloc(sizeof *rows * n * N_VIEWS * d);
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t k = 0; k < N_VIEWS; k++) {
            float *row = rows + ((size_t)i * N_VIEWS + k) * d;
            double square = 0;
            for (uint32_t j = 0; j < d; j++) {
                const float scale = 1 / sqrtf((float)(j + 1));
                row[j] = k == 0 ? scale * (random_normal() + 1)
                                : row[(ptrdiff_t)j - (ptrdiff_t)d] + 0.3F * scale * random_normal();
                square += (double)row[j] * (double)row[j];
            }
            if (k == 0) {
                continue; /* scaled below, when the copy is made */
            }
            for (uint32_t l = 0; l < N_VIEWS; l++) {
                float *view = rows + ((size_t)i * N_VIEWS + l) * d;
                square = 0;
                for (uint32_t j = 0; j < d; j++) {
                    square += (double)view[j] * (double)view[j];
                }
                for (uint32_t j = 0; j < d; j++) {
                    view[j] = (float)((double)view[j] / sqrt(square));
                }
            }
        }
    }
    return rows;
}

/* Gigaflops a second of one product of this dimension with `rows` rows. */
static double blas_rate(uint32_t d, uint32_t rows)
{
    float *a = calloc((size_t)BLOCK * d, sizeof *a);
    float *b = calloc((size_t)d * d, sizeof *b);
    float *c = calloc((size_t)BLOCK * d, sizeof *c);
    const double flops = 2.0 * rows * d * d;
    const int n = (int)(4e9 / flops) + 1;
    double best = 0;
    for (int r = 0; r < 5; r++) {
        double start = now_s();
        for (int i = 0; i < n; i++) {
            sl_gemm_product(false, false, rows, d, d, a, b, c);
        }
        double rate = n * flops / (now_s() - start) / 1e9;
        best = rate > best ? rate : best;
    }
    free(a);
    free(b);
    free(c);
    return best;
}

static sl_influence *open_influence(uint32_t d, const float *rows, int mode)
{
    sluice_config config;
    sl_influence *influence;
    sluice_config_default(&config);
    config.influence.n_references = 1;
    strcpy(config.influence.reference[0].name, "r");
    strcpy(config.influence.reference[0].path, "r");
    config.influence.expert.warmup = 512;
    config.influence.expert.n_refresh = mode == REFRESH_BESIDE ? 0 : 1;
    config.influence.expert.refresh[0] = mode == REFRESH_INLINE ? WARM + BETWEEN / 2 : UINT32_MAX;
    if (sl_influence_open(&config, &influence, NULL) != SLUICE_OK) {
        exit(1);
    }
    for (uint32_t i = 0; i < 256; i++) {
        sluice_sample sample = {
            .views = {.n_views = N_VIEWS, .dim = d, .rows = rows + (size_t)i * N_VIEWS * d}};
        if (sl_influence_reference_add(influence, "r", &sample) != SLUICE_OK) {
            exit(1);
        }
    }
    return influence;
}

static void run_slice(sl_influence *influence, sl_arena *arena, const float *rows, uint32_t d,
                      uint32_t n, uint64_t next)
{
    static sluice_sample sample[64];
    static const uint16_t i_source[64];
    for (uint32_t i = 0; i < 64; i++) {
        sample[i] = (sluice_sample){
            .offset = next + i,
            .views = {.n_views = N_VIEWS, .dim = d, .rows = rows + (next + i) % n * N_VIEWS * d}};
        (void)sl_influence_admit(influence, &sample[i]);
    }
    sl_arena_reset(arena, 1 << 16);
    sl_influence_score(influence, sample, 64, i_source, arena);
    for (uint32_t i = 0; i < 64; i++) {
        sl_influence_apply(influence, &sample[i], 0);
    }
    if ((next + 64) % BLOCK == 0) {
        sl_influence_freeze(influence, next + 64);
    }
}

static atomic_bool stop_refreshing;

/* What `run` does in a thread of low priority. */
static void *refresh_all(void *influence)
{
    while (!atomic_load(&stop_refreshing)) {
        if (!sl_influence_refresh(influence)) {
            usleep(200);
        }
    }
    return NULL;
}

static int compare(const void *a, const void *b)
{
    const double *x = a;
    const double *y = b;
    return (*x > *y) - (*x < *y);
}

typedef struct timing {
    double sample_s, median_s, p99_s; /* of a sample in the mean; of a slice of 64 */
} timing;

static timing time_stream(uint32_t d, int mode)
{
    const uint32_t n = 2048;
    const uint32_t n_slices = (mode == REFRESH_INLINE ? 1 : 2) * BETWEEN / 64;
    double *slice_s = calloc(n_slices, sizeof *slice_s);
    float *rows = make_rows(n, d);
    sl_influence *influence = open_influence(d, rows, mode);
    sl_arena *arena;
    if (sl_arena_open(&arena) != SLUICE_OK) {
        exit(1);
    }
    uint64_t next = 0;
    for (; next < WARM; next += 64) { /* warm-up and the first step */
        run_slice(influence, arena, rows, d, n, next);
    }
    pthread_t thread;
    atomic_store(&stop_refreshing, false);
    if (mode == REFRESH_BESIDE && pthread_create(&thread, NULL, refresh_all, influence) != 0) {
        exit(1);
    }
    const double start = now_s();
    for (uint32_t i = 0; i < n_slices; i++, next += 64) {
        const double slice_start = now_s();
        run_slice(influence, arena, rows, d, n, next);
        slice_s[i] = now_s() - slice_start;
    }
    timing out = {.sample_s = (now_s() - start) / (64 * n_slices)};
    atomic_store(&stop_refreshing, true);
    if (mode == REFRESH_BESIDE) {
        pthread_join(thread, NULL);
    }
    qsort(slice_s, n_slices, sizeof *slice_s, compare);
    out.median_s = slice_s[n_slices / 2];
    out.p99_s = slice_s[(size_t)n_slices * 99 / 100];
    sl_influence_close(&influence);
    sl_arena_close(&arena);
    free(slice_s);
    free(rows);
    return out;
}

static void measure_share(uint32_t d)
{
    /* K = 2, two sides: adapter 4, rotations 8, self 6, one reference 4, curvature 6, moments 4,
     * gradient 4. */
    const double flops = 36.0 * d * d;
    const double before = blas_rate(d, BLOCK);
    const timing time = time_stream(d, REFRESH_INLINE);
    const double after = blas_rate(d, BLOCK);
    const double rate = before > after ? before : after;
    printf("bench_influence_score/d=%u: %.1f us a sample, %.0f samples/s; %.1f us by BLAS at %.0f "
           "GF/s; share of BLAS %.2f\n",
           d, time.sample_s * 1e6, 1 / time.sample_s, flops / rate / 1e3, rate,
           flops / rate / 1e9 / time.sample_s);
}

static void measure_refresh(uint32_t d)
{
    const timing without = time_stream(d, REFRESH_NEVER);
    const timing beside = time_stream(d, REFRESH_BESIDE);
    printf("bench_influence_score/refresh/d=%u: slice of 64 without median %.2f ms p99 %.2f ms; "
           "refresh beside median %.2f ms p99 %.2f ms; p99 %.2f x\n",
           d, without.median_s * 1e3, without.p99_s * 1e3, beside.median_s * 1e3,
           beside.p99_s * 1e3, beside.p99_s / without.p99_s);
}

int main(int argc, char **argv)
{
    static const uint32_t dims[] = {128, 384, 768};
    const bool refresh = argc > 1 && strcmp(argv[1], "refresh") == 0;
    if (!refresh && (argc < 2 || strcmp(argv[1], "share") != 0)) {
        fprintf(stderr, "usage: bench_influence_score share|refresh [D]...\n");
        return 64;
    }
    sl_gemm_init();
    for (int i = 2; i < argc; i++) {
        (refresh ? measure_refresh : measure_share)((uint32_t)strtoul(argv[i], NULL, 10));
    }
    for (size_t i = 0; argc < 3 && i < sizeof dims / sizeof *dims; i++) {
        if (!refresh || dims[i] == 384) {
            (refresh ? measure_refresh : measure_share)(dims[i]);
        }
    }
    return 0;
}
