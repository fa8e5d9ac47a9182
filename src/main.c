/* main.c - finds the verb of the command line and runs it. */
#include "command/command.h"
#include "command/libraries.h"
#include "nearest.h"
#include "sluice/version.h"

#include <stdio.h>
#include <string.h>

typedef struct verb {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *doc;
} verb;

static const verb verbs[] = {
    {"run", sl_command_run, "the daemon: samples in and out over sockets, everything durable"},
    {"filter", sl_command_filter, "files or a pipe in, kept samples and verdicts out"},
    {"send", sl_command_send, "files to a running filter, acknowledged, resumable"},
    {"recv", sl_command_recv, "kept samples from a running filter, as JSONL"},
    {"check", sl_command_check, "every error of a configuration, and what its memory buys"},
    {"explain", sl_command_explain, "why a sample got its verdict"},
    {"state", sl_command_state, "look into and verify the durable state"},
    {"reference", sl_command_reference, "reference sets of influence: list, add, remove"},
    {"keygen", sl_command_keygen, "make a pair of CURVE keys"},
    {"test", sl_command_test, "unit tests of a policy"},
    {"report", sl_command_report, "what each source is worth: the portfolio, as a page or as JSON"},
    {"bench", sl_command_bench, "what this machine does a second"},
};
#define N_VERBS (sizeof verbs / sizeof verbs[0])

static void print_usage(FILE *file)
{
    fprintf(file, "usage: sluice VERB [...]\n\n");
    for (size_t i = 0; i < N_VERBS; i++) {
        fprintf(file, "  %-9s %s\n", verbs[i].name, verbs[i].doc);
    }
    fprintf(file, "  %-9s %s\n\n", "version", "the version of this program");
    fprintf(file, "sluice VERB --help says more.\n"
                  "Exit codes: 0, 1 failed, 64 usage, 75 try again later, 78 configuration.\n");
}

static int refuse_verb(const char *name)
{
    const char *known[N_VERBS + 3] = {"version", "help"};
    for (size_t i = 0; i < N_VERBS; i++) {
        known[2 + i] = verbs[i].name;
    }
    const char *nearest = sl_nearest_word(name, known);
    fprintf(stderr, "sluice: unknown verb \"%s\"%s%s%s\nTry: sluice --help\n", name,
            nearest != NULL ? "; did you mean " : "", nearest != NULL ? nearest : "",
            nearest != NULL ? "?" : "");
    return SL_EXIT_USAGE;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_usage(stderr);
        return SL_EXIT_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_usage(stdout);
        return SL_EXIT_OK;
    }
    if (strcmp(name, "version") == 0 || strcmp(name, "--version") == 0) {
        printf("sluice %s\n", sluice_version());
        return SL_EXIT_OK;
    }
    for (size_t i = 0; i < N_VERBS; i++) {
        if (strcmp(name, verbs[i].name) == 0) {
            sl_libraries_release();
            return verbs[i].run(argc - 1, argv + 1);
        }
    }
    return refuse_verb(name);
}
