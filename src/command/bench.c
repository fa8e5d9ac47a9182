/* bench.c - sluice bench: prints what this machine does a second. */
#include "command/command.h"
#include "command/measure.h"
#include "features/kernel.h"
#include "influence/gemm.h"
#include "sluice/version.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: sluice bench [--state DIR] [--quick] [--json]\n"
    "\n"
    "Measures this machine with made-up samples, in about ten seconds: what one thread prepares\n"
    "(decodes, sketches) and judges (finds, scores, decides, remembers), how fast the index "
    "answers,\n"
    "and how fast a disk makes samples durable.\n"
    "\n"
    "  --state DIR  measure the disk of this directory, in a folder of its own that is deleted\n"
    "               again (default: $TMPDIR or /tmp, which may be in memory)\n"
    "  --quick      a second instead of ten, and rougher\n"
    "  --json       the figures as one JSON object\n";

typedef struct bench_options {
    const char *folder;
    bool quick, json;
} bench_options;

typedef struct bench_figures {
    sl_measured_stream stream[SL_N_MADE_KINDS];
    sl_measured_index index;
    sl_measured_spool spool;
} bench_figures;

static const char *const stream_name[SL_N_MADE_KINDS] = {"texts", "images", "embeddings",
                                                         "influence"};
static const char *const stream_doc[SL_N_MADE_KINDS] = {"texts of 1 KiB", "JPEGs of 256 x 256",
                                                        "embeddings of 384", "influence, 2 x 384"};

static int parse(int argc, char **argv, bench_options *options)
{
    const char *temporary = getenv("TMPDIR");
    bool has_temporary = temporary != NULL && temporary[0] != '\0';
    *options = (bench_options){.folder = has_temporary ? temporary : "/tmp"};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            fputs(usage, stdout);
            return -1;
        }
        if (strcmp(argv[i], "--state") == 0 && i + 1 < argc) {
            options->folder = argv[++i];
        } else if (strcmp(argv[i], "--quick") == 0) {
            options->quick = true;
        } else if (strcmp(argv[i], "--json") == 0) {
            options->json = true;
        } else {
            fprintf(stderr, "sluice bench: \"%s\" is not understood\n%s", argv[i], usage);
            return SL_EXIT_USAGE;
        }
    }
    return SL_EXIT_OK;
}

static sluice_status measure_all(sl_measure *measure, const char *folder, bench_figures *figures)
{
    for (uint32_t kind = 0; kind < SL_N_MADE_KINDS; kind++) {
        figures->stream[kind] =
            (sl_measured_stream){.kind = (sl_made_kind)kind,
                                 .batch_samples = kind == SL_MADE_IMAGES ? 16 : 256,
                                 .warms = kind == SL_MADE_VIEWS};
        SLUICE_TRY(sl_measure_stream(measure, &figures->stream[kind]));
    }
    SLUICE_TRY(sl_measure_index(measure, &figures->index));
    return sl_measure_spool(measure, folder, &figures->spool);
}

/* --- print --- */

static const char *features_kernel(void)
{
    static const char *const names[] = {
        [SL_KERNEL_REF] = "portable", [SL_KERNEL_AVX2] = "AVX2", [SL_KERNEL_AVX512] = "AVX-512"};
    return names[sl_kernel_best()];
}

/* Of the loops that the compiler makes for each (influence/rows.h). */
static const char *influence_kernel(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl")) { /* x86-64-v4, a name that clang 14 does not know */
        return "AVX-512";
    }
    if (__builtin_cpu_supports("avx2")) {
        return "AVX2";
    }
#endif
    return "portable";
}

static double prepared_per_s(const sl_measured_stream *stream)
{
    return (double)stream->n / stream->prepared_s;
}

static double judged_per_s(const sl_measured_stream *stream)
{
    return (double)stream->n / stream->judged_s;
}

static double megabytes_per_s(const sl_measured_stream *stream)
{
    return (double)stream->bytes / stream->prepared_s / 1e6;
}

static void print_table(const bench_options *options, const bench_figures *figures)
{
    printf("sluice %s, %ld cores; features %s, influence %s, OpenBLAS %s\n\n", sluice_version(),
           sysconf(_SC_NPROCESSORS_ONLN), features_kernel(), influence_kernel(), sl_gemm_core());
    printf("  %-20s %12s %10s %12s\n", "a second, one thread", "prepared", "MB", "judged");
    for (uint32_t kind = 0; kind < SL_N_MADE_KINDS; kind++) {
        const sl_measured_stream *stream = &figures->stream[kind];
        printf("  %-20s %12.0f %10.1f %12.0f\n", stream_doc[kind], prepared_per_s(stream),
               megabytes_per_s(stream), judged_per_s(stream));
    }
    const sl_measured_spool *spool = &figures->spool;
    printf("\n  index   %.0f probes a second beside %llu texts\n"
           "  spool   %.0f commits of %d KiB a second (median %.2f ms, longest %.2f), fsync of 4 "
           "KiB %.2f ms\n          in %s%s\n",
           figures->index.probes_per_s, (unsigned long long)figures->index.n_rows,
           spool->commits_per_s, SL_MEASURE_COMMIT, spool->commit_ms, spool->commit_ms_max,
           spool->fsync_ms, options->folder,
           spool->in_memory ? ", which is in memory: name a disk with --state DIR" : "");
}

static json_t *streams_json(const bench_figures *figures)
{
    json_t *streams = json_object();
    for (uint32_t kind = 0; kind < SL_N_MADE_KINDS; kind++) {
        const sl_measured_stream *stream = &figures->stream[kind];
        json_object_set_new(streams, stream_name[kind],
                            json_pack("{s:I, s:I, s:f, s:f, s:f}", "samples", (json_int_t)stream->n,
                                      "dropped", (json_int_t)stream->n_dropped, "prepared_per_s",
                                      prepared_per_s(stream), "prepared_mb_per_s",
                                      megabytes_per_s(stream), "judged_per_s",
                                      judged_per_s(stream)));
    }
    return streams;
}

static void print_json(const bench_options *options, const bench_figures *figures)
{
    const sl_measured_spool *spool = &figures->spool;
    json_t *object = json_pack(
        "{s:s, s:I, s:{s:s, s:s, s:s}, s:o, s:{s:I, s:f}, s:{s:s, s:b, s:i, s:f, s:f, s:f, s:f}}",
        "version", sluice_version(), "cores", (json_int_t)sysconf(_SC_NPROCESSORS_ONLN), "kernels",
        "features", features_kernel(), "influence", influence_kernel(), "openblas", sl_gemm_core(),
        "streams", streams_json(figures), "index", "rows", (json_int_t)figures->index.n_rows,
        "probes_per_s", figures->index.probes_per_s, "spool", "folder", options->folder,
        "in_memory", (int)spool->in_memory, "samples_per_commit", SL_MEASURE_COMMIT,
        "commits_per_s", spool->commits_per_s, "commit_ms", spool->commit_ms, "commit_ms_max",
        spool->commit_ms_max, "fsync_ms", spool->fsync_ms);
    json_dumpf(object, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(object);
}

int sl_command_bench(int argc, char **argv)
{
    bench_options options;
    int parsed = parse(argc, argv, &options);
    if (parsed != SL_EXIT_OK) {
        return parsed < 0 ? SL_EXIT_OK : parsed;
    }
    bench_figures figures;
    sl_measure measure = {.seconds = options.quick ? 0.1 : 1.3,
                          .n_indexed = options.quick ? 20000 : 200000};
    sluice_status status = sl_made_open(&measure.made);
    status = status == SLUICE_OK ? measure_all(&measure, options.folder, &figures) : status;
    sl_made_close(&measure.made);
    if (status != SLUICE_OK) {
        fprintf(stderr, "sluice bench: %s\n",
                measure.why.text[0] != '\0' ? measure.why.text : sluice_status_name(status));
        return sl_exit_of(status);
    }
    if (options.json) {
        print_json(&options, &figures);
    } else {
        print_table(&options, &figures);
    }
    return SL_EXIT_OK;
}
