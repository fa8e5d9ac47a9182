/* test.c - sluice test: runs the unit tests of a policy and shows what differs.
 *
 *   FILE: policy: --> configuration --> rules --\
 *         tests:  given --> facts ---------------+--> verdict == expect ?
 *
 * The budget has no say here: it depends on the stream before, and a test has none. */
#include "command/command.h"
#include "command/settings.h"
#include "command/test_file.h"
#include "bytes.h"
#include "decide/policy.h"

#include <jansson.h>

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char usage[] =
    "usage: sluice test [-c FILE] [--set KEY=VALUE]... [--json] FILE\n"
    "\n"
    "Runs the unit tests of a policy. FILE is YAML:\n"
    "\n"
    "  policy: sluice.yaml       the configuration, beside FILE; -c names another one\n"
    "  tests:\n"
    "    - name: rare samples are flagged\n"
    "      given: {percentile: {leverage: 0.995}, attributes: {region: north}}\n"
    "      expect: {decision: flag, reasons: [rare], weight: 1}\n"
    "\n"
    "given has the names of policies; what is not given is missing. reasons and weight may be\n"
    "left out. The budget has no say.\n"
    "\n"
    "Exit codes: 0 all passed, 1 one failed, 64 usage, 78 FILE or the configuration is wrong.\n";

static const char *const decision_words[SLUICE_N_DECISIONS] = {"keep", "flag", "drop", "refuse"};

typedef struct test_run {
    sl_settings settings;
    const char *path;
    bool json;
    sluice_bytes text;
    sl_test_file file;
    sl_policy *policy;
    sl_names names; /* the policy's, and what tests add */
    json_t *results;
    uint32_t n_failed;
} test_run;

/* --- one test --- */

static bool same_reasons(const sl_policy_test *test, const sluice_verdict *verdict)
{
    bool same = test->n_reasons == verdict->n_reasons;
    for (uint32_t i = 0; same && i < test->n_reasons; i++) {
        same = strcmp(test->reasons[i], verdict->reasons[i]) == 0;
    }
    return same;
}

static bool same_weight(const sl_policy_test *test, const sluice_verdict *verdict)
{
    return fabs(test->weight - (double)verdict->weight) <= 1e-6 * fmax(1, fabs(test->weight));
}

static bool passes(const sl_policy_test *test, const sluice_verdict *verdict)
{
    return test->decision == verdict->decision &&
           (!test->expects_reasons || same_reasons(test, verdict)) &&
           (!test->expects_weight || same_weight(test, verdict));
}

static void print_reasons(const char *const *reasons, uint32_t n)
{
    printf("[");
    for (uint32_t i = 0; i < n; i++) {
        printf("%s%s", i > 0 ? ", " : "", reasons[i]);
    }
    printf("]");
}

static void print_difference(const test_run *run, const sl_policy_test *test,
                             const sluice_verdict *verdict)
{
    printf("FAIL %s:%u: %s\n", run->path, test->line, test->name);
    if (test->decision != verdict->decision) {
        printf("  - decision: %s\n  + decision: %s\n", decision_words[test->decision],
               decision_words[verdict->decision]);
    }
    if (test->expects_reasons && !same_reasons(test, verdict)) {
        printf("  - reasons: ");
        print_reasons(test->reasons, test->n_reasons);
        printf("\n  + reasons: ");
        print_reasons(verdict->reasons, verdict->n_reasons);
        printf("\n");
    }
    if (test->expects_weight && !same_weight(test, verdict)) {
        printf("  - weight: %.6g\n  + weight: %.6g\n", test->weight, (double)verdict->weight);
    }
}

static json_t *reasons_json(const char *const *reasons, uint32_t n)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < n; i++) {
        json_array_append_new(list, json_string(reasons[i]));
    }
    return list;
}

static void add_json(test_run *run, const sl_policy_test *test, const sluice_verdict *verdict)
{
    json_t *expected = json_pack("{s:s}", "decision", decision_words[test->decision]);
    if (test->expects_reasons) {
        json_object_set_new(expected, "reasons", reasons_json(test->reasons, test->n_reasons));
    }
    if (test->expects_weight) {
        json_object_set_new(expected, "weight", json_real(test->weight));
    }
    json_array_append_new(
        run->results, json_pack("{s:s,s:I,s:b,s:o,s:{s:s,s:o,s:f}}", "name", test->name, "line",
                                (json_int_t)test->line, "passed", passes(test, verdict), "expected",
                                expected, "got", "decision", decision_words[verdict->decision],
                                "reasons", reasons_json(verdict->reasons, verdict->n_reasons),
                                "weight", (double)verdict->weight));
}

static void run_tests(test_run *run)
{
    for (uint32_t i = 0; i < run->file.n_tests; i++) {
        const sl_policy_test *test = &run->file.tests[i];
        sl_facts facts = {&test->sample, test->attribute, false};
        sluice_verdict verdict;
        bool ended;
        sl_policy_judge(run->policy, &facts, &verdict, &ended);
        run->n_failed += !passes(test, &verdict);
        if (run->json) {
            add_json(run, test, &verdict);
        } else if (!passes(test, &verdict)) {
            print_difference(run, test, &verdict);
        }
    }
    for (uint32_t i = 0; i < sl_policy_n_rules(run->policy); i++) {
        const sl_policy_rule_faults *faults = sl_policy_faults_of(run->policy, i);
        if (faults->n > 0) {
            fprintf(stderr, "warning: rule %u failed in %llu tests and did not match: %s\n", i + 1,
                    (unsigned long long)faults->n, faults->text.text);
        }
    }
}

/* --- files --- */

static bool read_text(test_run *run)
{
    FILE *file = strcmp(run->path, "-") == 0 ? stdin : fopen(run->path, "rb");
    if (file == NULL || sl_bytes_reserve(&run->text, SLUICE_LIMIT_CONFIG_BYTES + 1) != SLUICE_OK) {
        fprintf(stderr, "sluice test: cannot read %s: %s\n", run->path, strerror(errno));
        return false;
    }
    run->text.size = fread(run->text.data, 1, SLUICE_LIMIT_CONFIG_BYTES + 1, file);
    bool good = !ferror(file);
    if (file != stdin) {
        fclose(file);
    }
    return good;
}

static void print_errors(const test_run *run)
{
    const sluice_config_errors *errors = &run->file.errors;
    uint32_t n = errors->n < SLUICE_LIMIT_CONFIG_ERRORS ? errors->n : SLUICE_LIMIT_CONFIG_ERRORS;
    for (uint32_t i = 0; i < n; i++) {
        fprintf(stderr, "%s:%u:%u: %s\n", run->path, errors->error[i].line, errors->error[i].column,
                errors->error[i].text);
    }
    if (errors->n > n) {
        fprintf(stderr, "and %u more\n", errors->n - n);
    }
}

/* A path in the file is beside the file. */
static void take_config_path(test_run *run, char *path, size_t size)
{
    const char *slash = strrchr(run->path, '/');
    const char *name = run->file.config;
    if (run->settings.file != NULL || name[0] == '\0') {
        return;
    }
    int folder = name[0] == '/' || slash == NULL ? 0 : (int)(slash - run->path) + 1;
    snprintf(path, size, "%.*s%s", folder, run->path, name);
    run->settings.file = path;
}

static bool open_policy(test_run *run)
{
    sluice_config config;
    char path[4096];
    sl_policy_faults *faults = calloc(1, sizeof *faults);
    take_config_path(run, path, sizeof path);
    bool good = faults != NULL && sl_settings_read(&run->settings, &config) &&
                sl_policy_open(&config, &run->policy, faults) == SLUICE_OK;
    if (good) {
        run->names = *sl_policy_names(run->policy);
    }
    free(faults);
    return good;
}

static int run_file(test_run *run)
{
    sluice_span text = {run->text.data, run->text.size};
    if (sl_test_file_config(&run->file, text) != SLUICE_OK) {
        print_errors(run);
        return SL_EXIT_CONFIG;
    }
    if (!open_policy(run)) {
        return SL_EXIT_CONFIG;
    }
    if (sl_test_file_read(&run->file, text, &run->names) != SLUICE_OK) {
        print_errors(run);
        return SL_EXIT_CONFIG;
    }
    run->results = json_array();
    run_tests(run);
    uint32_t n = run->file.n_tests;
    if (run->json) {
        json_t *object = json_pack("{s:I,s:I,s:O}", "passed", (json_int_t)(n - run->n_failed),
                                   "failed", (json_int_t)run->n_failed, "tests", run->results);
        json_dumpf(object, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
        putchar('\n');
        json_decref(object);
    } else {
        printf("%u passed, %u failed\n", n - run->n_failed, run->n_failed);
    }
    json_decref(run->results);
    return run->n_failed > 0 ? SL_EXIT_FAILED : SL_EXIT_OK;
}

/* --- the command line --- */

static int refuse_usage(const char *what, const char *have)
{
    fprintf(stderr, "sluice test: %s%s\nTry: sluice test --help\n", what, have);
    return SL_EXIT_USAGE;
}

enum { OPTION_SET = 256, OPTION_JSON, OPTION_HELP };

static const struct option long_options[] = {
    {"config", required_argument, NULL, 'c'},
    {"set", required_argument, NULL, OPTION_SET},
    {"json", no_argument, NULL, OPTION_JSON},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

/* -1: go on; else the exit code. */
static int parse_options(int argc, char **argv, test_run *run)
{
    int option;
    optind = 0;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":c:", long_options, NULL)) != -1) {
        if (option == 'c') {
            run->settings.file = optarg;
        } else if (option == OPTION_SET) {
            if (!sl_settings_assign(&run->settings, optarg)) {
                return refuse_usage("too many --set", "");
            }
        } else if (option == OPTION_JSON) {
            run->json = true;
        } else if (option == OPTION_HELP) {
            fputs(usage, stdout);
            return SL_EXIT_OK;
        } else {
            return refuse_usage(option == ':' ? "a value is missing behind " : "unknown option ",
                                argv[optind - 1]);
        }
    }
    if (argc - optind != 1) {
        return optind == argc ? refuse_usage("FILE is missing", "")
                              : refuse_usage("unexpected ", argv[optind + 1]);
    }
    run->path = argv[optind];
    return -1;
}

int sl_command_test(int argc, char **argv)
{
    test_run *run = calloc(1, sizeof *run);
    if (run == NULL) {
        fprintf(stderr, "sluice test: no memory\n");
        return SL_EXIT_FAILED;
    }
    int exit_code = parse_options(argc, argv, run);
    if (exit_code < 0) {
        exit_code = read_text(run) ? run_file(run) : SL_EXIT_FAILED;
    }
    sl_test_file_fini(&run->file);
    sl_policy_close(&run->policy);
    sl_bytes_fini(&run->text);
    free(run);
    return exit_code;
}
