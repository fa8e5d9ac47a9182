/* filter_options.c - what the command line of sluice filter asks for. */
#include "command/filter_options.h"
#include "command/command.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char usage[] =
    "usage: sluice filter [-c FILE] [--set KEY=VALUE]... [--state DIR] [-o OUT]\n"
    "                     [--verdicts FILE] [--views FILE.npy] [--format jsonl|pb|images]\n"
    "                     [--bare] [--json] [INPUT...]\n"
    "\n"
    "Reads samples (default: standard input), drops duplicates, writes the others.\n"
    "\n"
    "  INPUT            .jsonl or .pb (each Sample behind its size), also .gz and .zst;\n"
    "                   - = standard input. A JSONL line has \"text\" and may have id, source,\n"
    "                   ts, cost, encoder, media_type; every other text, number or boolean is an\n"
    "                   attribute. Instead of text it may have \"image\", a path from its file.\n"
    "                   A folder or a .tar (.tar.gz, .tar.zst) of images: id = path inside,\n"
    "                   source = its first folder; other files in it are passed over.\n"
    "  -o OUT           kept and flagged samples as they came, each with its verdict as a member\n"
    "                   \"sluice\"; default - (standard output); .gz and .zst are compressed\n"
    "  --bare           without that member\n"
    "  --verdicts FILE  the verdict of every sample, one JSON object a line, in order of arrival\n"
    "  --views FILE     embeddings of the samples, row by row: a .npy file of float16 or float32,\n"
    "                   (N, d), or (N, K, d) for an anchor and K - 1 augmentations\n"
    "  --format F       jsonl, pb or images, whatever the names say\n"
    "  --json           the summary as JSON: on standard output, or on standard error where\n"
    "                   standard output has samples or verdicts\n"
    "  --state DIR      remember what was seen in DIR, the state of sluice run (one at a time)\n"
    "  -c, --set        configuration; see sluice check\n"
    "\n"
    "Exit codes: 0 done (refused samples are counted, not an error), 1 failed, 64 usage,\n"
    "78 configuration.\n";

static bool same_file(const char *a, const char *b)
{
    struct stat x, y;
    if (strcmp(a, "-") == 0 || strcmp(b, "-") == 0) {
        return false; /* no file: standard input, standard output */
    }
    if (stat(a, &x) != 0 || stat(b, &y) != 0) {
        return strcmp(a, b) == 0;
    }
    return S_ISREG(x.st_mode) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* Writing empties the file first: a name given twice would destroy what it names. */
static bool names_clash(const sl_filter_options *options)
{
    const char *written[2] = {options->out, options->verdicts};
    for (uint32_t k = 0; k < 2; k++) {
        for (uint32_t i = 0; written[k] != NULL && i < options->n_inputs; i++) {
            if (same_file(written[k], options->inputs[i])) {
                fprintf(stderr, "sluice filter: %s is read and cannot be written too\n",
                        written[k]);
                return true;
            }
        }
    }
    if (options->out != NULL && options->verdicts != NULL &&
        (same_file(options->out, options->verdicts) ||
         (strcmp(options->out, "-") == 0 && strcmp(options->verdicts, "-") == 0))) {
        fprintf(stderr, "sluice filter: samples and verdicts cannot both go to %s\n",
                strcmp(options->out, "-") == 0 ? "standard output" : options->out);
        return true;
    }
    return false;
}

enum {
    OPTION_SET = 256,
    OPTION_STATE,
    OPTION_VERDICTS,
    OPTION_VIEWS,
    OPTION_FORMAT,
    OPTION_BARE,
    OPTION_JSON,
    OPTION_HELP
};

static const struct option long_options[] = {
    {"config", required_argument, NULL, 'c'},
    {"set", required_argument, NULL, OPTION_SET},
    {"state", required_argument, NULL, OPTION_STATE},
    {"output", required_argument, NULL, 'o'},
    {"verdicts", required_argument, NULL, OPTION_VERDICTS},
    {"views", required_argument, NULL, OPTION_VIEWS},
    {"format", required_argument, NULL, OPTION_FORMAT},
    {"bare", no_argument, NULL, OPTION_BARE},
    {"json", no_argument, NULL, OPTION_JSON},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

static bool refuse_usage(const char *what, const char *have)
{
    fprintf(stderr, "sluice filter: %s%s\nTry: sluice filter --help\n", what, have);
    return false;
}

static bool take_option(sl_filter_options *options, int option, char **argv)
{
    switch (option) {
    case 'c':
        options->settings.file = optarg;
        return true;
    case OPTION_SET:
        return sl_settings_assign(&options->settings, optarg) || refuse_usage("too many --set", "");
    case 'o':
        options->out = optarg;
        return true;
    case OPTION_VERDICTS:
        options->verdicts = optarg;
        return true;
    case OPTION_FORMAT:
        return sl_input_format_of(optarg, &options->format) ||
               refuse_usage("--format is jsonl, pb or images, not ", optarg);
    case OPTION_BARE:
        options->bare = true;
        return true;
    case OPTION_JSON:
        options->json = true;
        return true;
    case OPTION_VIEWS:
        options->views = optarg;
        return true;
    case OPTION_STATE:
        options->state = optarg;
        return true;
    case ':':
        return refuse_usage("a value is missing behind ", argv[optind - 1]);
    default:
        return refuse_usage("unknown option ", argv[optind - 1]);
    }
}

bool sl_filter_options_parse(int argc, char **argv, sl_filter_options *options, int *exit_code)
{
    int option;
    *exit_code = SL_EXIT_USAGE;
    optind = 0; /* another verb may have parsed before */
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":c:o:", long_options, NULL)) != -1) {
        if (option == OPTION_HELP) {
            fputs(usage, stdout);
            *exit_code = SL_EXIT_OK;
            return false;
        }
        if (!take_option(options, option, argv)) {
            return false;
        }
    }
    options->inputs = (const char *const *)(argv + optind);
    options->n_inputs = (uint32_t)(argc - optind);
    bool verdicts_only = options->verdicts != NULL && strcmp(options->verdicts, "-") == 0;
    if (options->out == NULL && !verdicts_only) {
        options->out = "-";
    }
    return !names_clash(options);
}
