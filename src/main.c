/* main.c - finds the verb of the command line and runs it. */
#include "command/command.h"
#include "nearest.h"
#include "sluice/version.h"

#include <errno.h>
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
    fprintf(file, "sluice help VERB says more.\n"
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

/* What stays in a buffer or finds no room would be lost in silence. */
static int finish(int exit_code, const char *name)
{
    if ((ferror(stdout) == 0 && fflush(stdout) == 0) || exit_code != SL_EXIT_OK) {
        return exit_code;
    }
    fprintf(stderr, "sluice %s: cannot write standard output: %s\n", name, strerror(errno));
    return SL_EXIT_FAILED;
}

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0;
}

static int run_verb(int argc, char **argv)
{
    for (size_t i = 0; i < N_VERBS; i++) {
        if (strcmp(argv[0], verbs[i].name) == 0) {
            return verbs[i].run(argc, argv);
        }
    }
    return refuse_verb(argv[0]);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_usage(stderr);
        return SL_EXIT_USAGE;
    }
    static char long_help[] = "--help";
    const char *name = argv[1];
    bool asked = is_help(name);
    if (asked && argc == 2) {
        print_usage(stdout);
        return finish(SL_EXIT_OK, "help");
    }
    if (strcmp(name, "version") == 0 || strcmp(name, "--version") == 0) {
        printf("sluice %s\n", sluice_version());
        return finish(SL_EXIT_OK, "version");
    }
    if (asked || (argc == 3 && strcmp(argv[2], "-h") == 0)) { /* help VERB, VERB -h */
        char *words[] = {argv[asked ? 2 : 1], long_help, NULL};
        return finish(run_verb(2, words), words[0]);
    }
    return finish(run_verb(argc - 1, argv + 1), name);
}
