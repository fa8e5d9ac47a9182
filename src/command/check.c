/* check.c - sluice check: what is wrong with a configuration, and what it buys. */
#include "command/calibrate.h"
#include "command/command.h"
#include "command/progress.h"
#include "command/replay.h"
#include "command/settings.h"
#include "bytes.h"
#include "config_value.h"
#include "duplicate/duplicate.h"

#include <jansson.h>

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#define SL_CHECK_PLANS           3
#define SL_CHECK_PLAN            1   /* the one whose numbers stand alone          */
#define SL_CHECK_ROWS_PER_SECOND 1e6 /* at a restart; tests/bench/RESULTS.md       */
#define SL_CHECK_WARNINGS        8
#define SL_CHECK_LISTENERS       5

static const char usage[] =
    "usage: sluice check [-c FILE] [--set KEY=VALUE]... [--json] [--print-defaults]\n"
    "       sluice check --replay VERDICTS [-c FILE] [--set KEY=VALUE]... [--json] [INPUT...]\n"
    "       sluice check --calibrate PAIRS --views FILE.npy [--ids FILE] [--mean FILE] [--json]\n"
    "\n"
    "Reports every error of a configuration at once, with line and column; then how many\n"
    "samples the memory remembers, how long a restart takes, and what the adapters do not\n"
    "promise.\n"
    "\n"
    "  -c FILE           YAML; - = standard input. Without it: the defaults\n"
    "  --set KEY=VALUE   over the file, VALUE in YAML; can be repeated\n"
    "  --json            everything as one JSON object on standard output\n"
    "  --print-defaults  every key, explained, with the value it has after -c and --set\n"
    "  --replay VERDICTS what this policy would have done with the samples of a verdict file, by\n"
    "                    source and by group of fairness; INPUT, in the order of the verdicts, if\n"
    "                    it speaks of attributes or sample.bytes, .cost, .media_type\n"
    "  --calibrate PAIRS which cosine means \"duplicate\" for one encoder: precision, recall and\n"
    "                    F1 by threshold, and a proposal. PAIRS has lines of id_a TAB id_b TAB\n"
    "                    label (1 duplicate, 0 not, else left out), or of id TAB group. Where no\n"
    "                    pair is labelled 0, every pair not labelled is one\n"
    "  --views FILE      its vectors: a .npy file, (N, d) or (N, K, d)\n"
    "  --ids FILE        their ids, a line each; without it they are 0, 1, 2 ...\n"
    "  --mean FILE.npy   calibrates for the unit vectors less their mean; writes the mean there\n"
    "\n"
    "Exit codes: 0 good, 1 the replay is unfair or cannot be read, 64 usage, 78 an error in the\n"
    "configuration.\n";

typedef struct check_options {
    sl_settings settings;
    bool json, print;
    sl_replay_options replay;       /* verdicts NULL: none */
    sl_calibrate_options calibrate; /* pairs NULL: not asked */
} check_options;

typedef struct check_findings {
    sl_settings_faults *faults;
    sluice_message warnings[SL_CHECK_WARNINGS];
    uint32_t n_warnings;
    sluice_message exposed;                 /* "" or why `run` would not start */
    sl_duplicate_plan plan[SL_CHECK_PLANS]; /* for ids of id_bytes */
} check_findings;

static const uint32_t id_bytes[SL_CHECK_PLANS] = {16, 32, 64};

static void warn(check_findings *findings, const char *subject, const char *text)
{
    if (findings->n_warnings < SL_CHECK_WARNINGS) {
        sluice_message *warning = &findings->warnings[findings->n_warnings++];
        snprintf(warning->text, sizeof warning->text, "%s: %s", subject, text);
    }
}

/* ---- what is found ---- */

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Reachable from another machine. */
static bool is_exposed(const char *endpoint)
{
    const char *host = starts_with(endpoint, "tcp://") ? endpoint + 6 : endpoint;
    if (endpoint[0] == '\0' || starts_with(endpoint, "ipc://") ||
        starts_with(endpoint, "inproc://")) {
        return false;
    }
    return !starts_with(host, "127.") && !starts_with(host, "localhost:") &&
           !starts_with(host, "[::1]:");
}

static void look_at_listeners(const sluice_config *config, check_findings *findings)
{
    const char *listeners[SL_CHECK_LISTENERS] = {config->listen.ingest, config->listen.egress,
                                                 config->listen.pull, config->listen.push,
                                                 config->listen.http};
    static const char *const names[SL_CHECK_LISTENERS] = {
        "listen.ingest", "listen.egress", "listen.pull", "listen.push", "listen.http"};
    for (uint32_t i = 0; i < SL_CHECK_LISTENERS; i++) {
        if (!is_exposed(listeners[i])) {
            continue;
        }
        bool http = listeners[i] == config->listen.http;
        bool keys = (http ? config->security.http_token : config->security.server_key)[0] != '\0';
        if (config->security.insecure && !keys) {
            warn(findings, names[i],
                 "can be reached from other machines by anybody (security.insecure: true)");
        } else if (!keys && findings->exposed.text[0] == '\0') {
            snprintf(findings->exposed.text, sizeof findings->exposed.text,
                     "%s: \"%.100s\" can be reached from other machines; expected a loopback "
                     "address, security.%s, or security.insecure: true",
                     names[i], listeners[i], http ? "http_token" : "server_key");
        }
    }
}

static void look_at_promises(const sluice_config *config, check_findings *findings)
{
    if (config->listen.pull[0] != '\0') {
        warn(findings, "listen.pull",
             "a PUSH sender is not acknowledged; what is lost before it arrives here stays lost");
    }
    if (config->listen.push[0] != '\0') {
        warn(findings, "listen.push",
             "a PULL receiver does not commit; what is lost behind here stays lost");
    }
    if (config->spool.sync_os) {
        warn(findings, "spool.sync", "with os a power cut can lose acknowledged samples");
    }
    if (config->encoder == SLUICE_ENCODER_BUILTIN) {
        warn(findings, "encoder",
             "builtin is weak: it sees words, colours and edges, not what they mean; it costs "
             "14 us a KiB of text or 35 us an image, then 50 us for influence, and 20 MB each for "
             "texts and images");
    }
}

static void look(const sluice_config *config, check_findings *findings)
{
    look_at_listeners(config, findings);
    look_at_promises(config, findings);
    if (config->duplicate.enabled) {
        for (int i = 0; i < SL_CHECK_PLANS; i++) {
            findings->plan[i] = sl_duplicate_plan_of(config, id_bytes[i]);
        }
    } else {
        warn(findings, "duplicate.enabled", "is false; nothing is dropped");
    }
}

static bool is_bad(const check_findings *findings)
{
    return findings->faults->n > 0 || findings->exposed.text[0] != '\0';
}

static double restart_seconds(const check_findings *findings)
{
    const sl_duplicate_plan *plan = &findings->plan[SL_CHECK_PLAN];
    return (double)(plan->exact_rows + plan->text_rows) / SL_CHECK_ROWS_PER_SECOND;
}

/* ---- how it is said ---- */

/* A size as the configuration has it: 64MiB. */
static void print_size(const char *name, const sluice_config *config)
{
    const sl_config_key *key = sl_config_find(name);
    sl_config_value value;
    sluice_bytes text = {0};
    sl_config_value_load(key, config, &value);
    if (sl_config_value_print(key, &value, false, &text) == SLUICE_OK) {
        printf("%.*s", (int)text.size, (const char *)text.data);
    }
    sl_bytes_fini(&text);
}

/* What one method remembers for each length of id. */
typedef struct method_plan {
    const char *method, *what, *key;
    uint64_t rows[SL_CHECK_PLANS], memory;
    double row_bytes;
} method_plan;

#define METHOD_PLAN(findings, name, things, rows_field, bytes_field, budget)                       \
    (method_plan)                                                                                  \
    {                                                                                              \
        .method = #name, .what = things, .key = "duplicate." #name ".memory",                      \
        .rows = {(findings)->plan[0].rows_field, (findings)->plan[1].rows_field,                   \
                 (findings)->plan[2].rows_field},                                                  \
        .memory = (budget), .row_bytes = (findings)->plan[SL_CHECK_PLAN].bytes_field               \
    }

static uint32_t plan_methods(const sluice_config *config, const check_findings *findings,
                             method_plan methods[SLUICE_N_METHODS])
{
    methods[0] = METHOD_PLAN(findings, exact, "samples", exact_rows, exact_row_bytes,
                             config->duplicate.exact_memory);
    methods[1] = METHOD_PLAN(findings, text, "documents", text_rows, text_row_bytes,
                             config->duplicate.text_memory);
    methods[2] = METHOD_PLAN(findings, image, "images", image_rows, image_row_bytes,
                             config->duplicate.image_memory);
    methods[3] = METHOD_PLAN(findings, embedding, "vectors", embedding_rows, embedding_row_bytes,
                             config->duplicate.embedding_memory);
    return 4;
}

static uint64_t memory_in_all(const method_plan *methods, uint32_t n)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        sum += methods[i].memory;
    }
    return sum;
}

static void print_plan(const sluice_config *config, const check_findings *findings)
{
    method_plan methods[SLUICE_N_METHODS];
    uint32_t n = plan_methods(config, findings, methods);
    char count[32], name[32];
    printf("Memory remembers, at least, by length of the ids:\n  %-17s", "");
    for (int i = 0; i < SL_CHECK_PLANS; i++) {
        snprintf(name, sizeof name, "%u bytes", id_bytes[i]);
        printf(" %13s", name);
    }
    printf("\n");
    for (uint32_t m = 0; m < n; m++) {
        printf("  %-6s %-10s", methods[m].method, methods[m].what);
        for (int i = 0; i < SL_CHECK_PLANS; i++) {
            printf(" %13s", sl_progress_count(methods[m].rows[i], count, sizeof count));
        }
        printf("  in ");
        print_size(methods[m].key, config);
        printf(" (%.0f bytes each at %u)\n", methods[m].row_bytes, id_bytes[SL_CHECK_PLAN]);
    }
    printf("Images are duplicates from %g of the signature on, found by %s%s.\n",
           findings->plan->image_threshold, findings->plan->image_keyed ? "keys" : "a scan",
           config->duplicate.image_turns ? ", turned ones too" : "");
    printf("Vectors are of %d numbers; shorter ones are not more.\n", SL_DUPLICATE_PLAN_DIM);
    double mib = (double)memory_in_all(methods, n) / (1 << 20);
    printf("In all %.0f MiB; the program needs 2 MiB (`filter`) or 32 MiB (`run`) around them, and "
           "the samples\nthat are under way (deploy/docs/operations.md has the formula).\n",
           mib);
}

static void print_findings(const sluice_config *config, const check_findings *findings)
{
    char seconds[40];
    sl_settings_print(findings->faults, stderr);
    if (findings->exposed.text[0] != '\0') {
        fprintf(stderr, "%s\n", findings->exposed.text);
    }
    if (is_bad(findings)) {
        return;
    }
    printf("The configuration is good.\n");
    if (config->duplicate.enabled) {
        print_plan(config, findings);
        printf("A restart with all of it in use takes about %s (at %.0f rows/s).\n",
               sl_progress_duration(restart_seconds(findings), seconds, sizeof seconds),
               SL_CHECK_ROWS_PER_SECOND);
    }
    for (uint32_t i = 0; i < findings->n_warnings; i++) {
        printf("warning: %s\n", findings->warnings[i].text);
    }
}

static json_t *fault_json(const sl_settings_fault *fault)
{
    json_t *object = json_object();
    if (fault->file != NULL) {
        json_object_set_new(object, "file", json_string(fault->file));
        json_object_set_new(object, "line", json_integer(fault->error.line));
        json_object_set_new(object, "column", json_integer(fault->error.column));
    } else {
        json_object_set_new(object, "set", json_string(fault->assignment));
    }
    json_object_set_new(object, "text", json_string(fault->error.text));
    return object;
}

static json_t *method_json(const method_plan *plan)
{
    json_t *object = json_object();
    json_t *by_id = json_object();
    char name[16];
    for (int i = 0; i < SL_CHECK_PLANS; i++) {
        snprintf(name, sizeof name, "%u", id_bytes[i]);
        json_object_set_new(by_id, name, json_integer((json_int_t)plan->rows[i]));
    }
    json_object_set_new(object, "rows", json_integer((json_int_t)plan->rows[SL_CHECK_PLAN]));
    json_object_set_new(object, "rows_by_id_bytes", by_id);
    json_object_set_new(object, "row_bytes", json_real(plan->row_bytes));
    json_object_set_new(object, "memory", json_integer((json_int_t)plan->memory));
    return object;
}

static void add_plan(json_t *object, const sluice_config *config, const check_findings *findings)
{
    method_plan methods[SLUICE_N_METHODS];
    uint32_t n = plan_methods(config, findings, methods);
    for (uint32_t i = 0; i < n; i++) {
        json_object_set_new(object, methods[i].method, method_json(&methods[i]));
    }
    json_t *image = json_object_get(object, "image");
    json_object_set_new(image, "threshold", json_real(findings->plan->image_threshold));
    json_object_set_new(image, "found_by",
                        json_string(findings->plan->image_keyed ? "keys" : "scan"));
    json_object_set_new(object, "memory", json_integer((json_int_t)memory_in_all(methods, n)));
    json_object_set_new(object, "restart_seconds", json_real(restart_seconds(findings)));
}

static void print_json(const sluice_config *config, const check_findings *findings)
{
    json_t *object = json_object();
    json_t *errors = json_array();
    json_t *warnings = json_array();
    const sl_settings_faults *faults = findings->faults;
    for (uint32_t i = 0; i < faults->n && i < SL_SETTINGS_FAULTS; i++) {
        json_array_append_new(errors, fault_json(&faults->fault[i]));
    }
    if (findings->exposed.text[0] != '\0') {
        json_t *exposed = json_object();
        json_object_set_new(exposed, "text", json_string(findings->exposed.text));
        json_array_append_new(errors, exposed);
    }
    for (uint32_t i = 0; i < findings->n_warnings; i++) {
        json_array_append_new(warnings, json_string(findings->warnings[i].text));
    }
    json_object_set_new(object, "good", json_boolean(!is_bad(findings)));
    json_object_set_new(object, "errors", errors);
    json_object_set_new(object, "warnings", warnings);
    if (config->duplicate.enabled && !is_bad(findings)) {
        add_plan(object, config, findings);
    }
    json_dumpf(object, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(object);
}

static int print_values(const sluice_config *config)
{
    sluice_bytes printed = {0};
    bool good = sluice_config_print(config, &printed) == SLUICE_OK &&
                fwrite(printed.data, 1, printed.size, stdout) == printed.size;
    sl_bytes_fini(&printed);
    return good ? SL_EXIT_OK : SL_EXIT_FAILED;
}

/* ---- the command line ---- */

static int refuse_usage(const char *what, const char *have)
{
    fprintf(stderr, "sluice check: %s%s\nTry: sluice check --help\n", what, have);
    return SL_EXIT_USAGE;
}

enum {
    OPTION_SET = 256,
    OPTION_JSON,
    OPTION_PRINT,
    OPTION_REPLAY,
    OPTION_CALIBRATE,
    OPTION_VIEWS,
    OPTION_IDS,
    OPTION_MEAN,
    OPTION_HELP
};

static const struct option long_options[] = {
    {"config", required_argument, NULL, 'c'},
    {"set", required_argument, NULL, OPTION_SET},
    {"json", no_argument, NULL, OPTION_JSON},
    {"print-defaults", no_argument, NULL, OPTION_PRINT},
    {"replay", required_argument, NULL, OPTION_REPLAY},
    {"calibrate", required_argument, NULL, OPTION_CALIBRATE},
    {"views", required_argument, NULL, OPTION_VIEWS},
    {"ids", required_argument, NULL, OPTION_IDS},
    {"mean", required_argument, NULL, OPTION_MEAN},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

/* -1: go on; else the exit code. */
static int parse_options(int argc, char **argv, check_options *options)
{
    int option;
    optind = 0;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":c:", long_options, NULL)) != -1) {
        if (option == 'c') {
            options->settings.file = optarg;
        } else if (option == OPTION_SET) {
            if (!sl_settings_assign(&options->settings, optarg)) {
                return refuse_usage("too many --set", "");
            }
        } else if (option == OPTION_JSON) {
            options->json = true;
        } else if (option == OPTION_PRINT) {
            options->print = true;
        } else if (option == OPTION_REPLAY) {
            options->replay.verdicts = optarg;
        } else if (option == OPTION_CALIBRATE) {
            options->calibrate.pairs = optarg;
        } else if (option == OPTION_VIEWS) {
            options->calibrate.views = optarg;
        } else if (option == OPTION_IDS) {
            options->calibrate.ids = optarg;
        } else if (option == OPTION_MEAN) {
            options->calibrate.mean = optarg;
        } else if (option == OPTION_HELP) {
            fputs(usage, stdout);
            return SL_EXIT_OK;
        } else {
            return refuse_usage(option == ':' ? "a value is missing behind " : "unknown option ",
                                argv[optind - 1]);
        }
    }
    if ((options->calibrate.pairs != NULL) != (options->calibrate.views != NULL) ||
        ((options->calibrate.ids != NULL || options->calibrate.mean != NULL) &&
         options->calibrate.pairs == NULL)) {
        return refuse_usage("--calibrate PAIRS and --views FILE go together", "");
    }
    options->replay.inputs = (const char *const *)argv + optind;
    options->replay.n_inputs = (uint32_t)(argc - optind);
    options->replay.json = options->json;
    return optind < argc && options->replay.verdicts == NULL
               ? refuse_usage("unexpected ", argv[optind])
               : -1;
}

static int check(const check_options *options, check_findings *findings)
{
    sluice_config config;
    sluice_status status = sl_settings_load(&options->settings, &config, findings->faults);
    if (status == SLUICE_E_NOMEM) {
        fprintf(stderr, "sluice check: no memory\n");
        return SL_EXIT_FAILED;
    }
    if (options->print && status == SLUICE_OK) {
        return print_values(&config);
    }
    if (options->replay.verdicts != NULL && status == SLUICE_OK) {
        return sl_replay_run(&config, &options->replay);
    }
    if (options->calibrate.pairs != NULL && status == SLUICE_OK) {
        sl_calibrate_options calibrate = options->calibrate;
        calibrate.now = config.duplicate.embedding_threshold;
        calibrate.json = options->json;
        return sl_calibrate(&calibrate);
    }
    look(&config, findings);
    if (options->json) {
        print_json(&config, findings);
    } else {
        print_findings(&config, findings);
    }
    return is_bad(findings) ? SL_EXIT_CONFIG : SL_EXIT_OK;
}

int sl_command_check(int argc, char **argv)
{
    check_options options = {0};
    check_findings findings = {0};
    int exit_code = parse_options(argc, argv, &options);
    if (exit_code >= 0) {
        return exit_code;
    }
    findings.faults = calloc(1, sizeof *findings.faults);
    if (findings.faults == NULL) {
        fprintf(stderr, "sluice check: no memory\n");
        return SL_EXIT_FAILED;
    }
    exit_code = check(&options, &findings);
    free(findings.faults);
    return exit_code;
}
