/* reference.c - lists, adds and removes reference sets of influence, of a running filter or a
 * state.
 *
 *   FILE --samples with views--> an encoded Batch --+--> a running filter (its egress port)
 *                                                   +--> --state DIR, of a filter that does not run
 *
 * Either way the set scores from the next block of 256 samples on, and is durable when this
 * returns. */
#include "command/command.h"
#include "command/connection.h"
#include "command/journal.h"
#include "command/references.h"
#include "command/settings.h"

#include "bytes.h"

#include <jansson.h>

#include <stdio.h>
#include <string.h>

#define DEFAULT_ENDPOINT "tcp://127.0.0.1:5571"
#define TIMEOUT_MS       30000

static const char usage[] =
    "usage: sluice reference ls [--from ENDPOINT | --state DIR [-c FILE]] [--json]\n"
    "       sluice reference add NAME FILE [--views FILE.npy] [--from ... | --state ...] [--json]\n"
    "       sluice reference rm NAME [--from ENDPOINT | --state DIR [-c FILE]] [--json]\n"
    "\n"
    "Sets toward which influence is measured, beside those of influence.references. FILE is any\n"
    "input with views (.pb), or one whose views are rows of --views; at most 1,000 samples,\n"
    "64 MiB, 8 sets. A set that is added counts for encoders whose views have its shape, from the\n"
    "next 256 samples on; it stays until it is removed. So does the removal, also of a set of the\n"
    "configuration.\n"
    "\n"
    "  --from ENDPOINT    a running filter's listen.egress (" DEFAULT_ENDPOINT ");\n"
    "                     with keys, the right \"admin\" is needed beside \"egress\"\n"
    "  --state DIR        the state of a filter that does not run, made with the configuration\n"
    "                     -c FILE (or --set KEY=VALUE)\n"
    "  --json             the sets as one JSON object\n" SL_CONNECTION_USAGE;

typedef struct reference_options {
    sl_client_options client;
    sl_reference_action action;
    sluice_reference set; /* name; path and views of what is added */
    const char *state;
    sl_settings settings;
    sluice_config config;
    bool json, endpoint_given;
} reference_options;

static int parse_option(int argc, char **argv, int *i, reference_options *options)
{
    const char *name = argv[*i];
    int taken = sl_connection_option(argc, argv, i, &options->client);
    if (taken != 0) {
        return taken < 0 ? SL_EXIT_USAGE : SL_EXIT_OK;
    }
    const char *value = *i + 1 < argc ? argv[++*i] : NULL;
    if (value != NULL && strcmp(name, "--from") == 0) {
        options->client.endpoint = value;
        options->endpoint_given = true;
    } else if (value != NULL && strcmp(name, "--state") == 0) {
        options->state = value;
    } else if (value != NULL && strcmp(name, "-c") == 0) {
        options->settings.file = value;
    } else if (value != NULL && strcmp(name, "--set") == 0) {
        return sl_settings_assign(&options->settings, value) ? SL_EXIT_OK : SL_EXIT_USAGE;
    } else if (value != NULL && strcmp(name, "--views") == 0 &&
               strlen(value) < sizeof options->set.views) {
        snprintf(options->set.views, sizeof options->set.views, "%s", value);
    } else {
        fprintf(stderr, "sluice reference: \"%s\" is not understood\n%s", name, usage);
        return SL_EXIT_USAGE;
    }
    return SL_EXIT_OK;
}

/* The words that are no options: ls, add NAME FILE, rm NAME. */
static bool take_words(const char *const *word, int n, reference_options *options)
{
    if (n == 1 && strcmp(word[0], "ls") == 0) {
        options->action = SL_REFERENCE_LIST;
        return options->set.views[0] == '\0';
    }
    bool add = n == 3 && strcmp(word[0], "add") == 0 && strlen(word[2]) < sizeof options->set.path;
    if ((!add && !(n == 2 && strcmp(word[0], "rm") == 0)) ||
        strlen(word[1]) >= sizeof options->set.name) {
        return false;
    }
    options->action = add ? SL_REFERENCE_ADD : SL_REFERENCE_REMOVE;
    memcpy(options->set.name, word[1], strlen(word[1]) + 1);
    if (add) {
        snprintf(options->set.path, sizeof options->set.path, "%s", word[2]);
    }
    return add || options->set.views[0] == '\0';
}

static int parse(int argc, char **argv, reference_options *options)
{
    const char *word[4];
    int n_words = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            fputs(usage, stdout);
            return -1;
        }
        if (strcmp(argv[i], "--json") == 0) {
            options->json = true;
        } else if (argv[i][0] != '-' && n_words < 4) {
            word[n_words++] = argv[i];
        } else {
            int parsed = parse_option(argc, argv, &i, options);
            if (parsed != SL_EXIT_OK) {
                return parsed;
            }
        }
    }
    if (!take_words(word, n_words, options) ||
        (options->state != NULL && options->endpoint_given)) {
        fprintf(stderr, "sluice reference: expected ls, add NAME FILE or rm NAME\n%s", usage);
        return SL_EXIT_USAGE;
    }
    return SL_EXIT_OK;
}

/* --- a running filter --- */

static sluice_status ask_filter(const reference_options *options, sluice_span set,
                                sl_references *found, sluice_message *why)
{
    sl_consumer *consumer;
    SLUICE_TRY(sl_consumer_open(&options->client, &consumer, why));
    sluice_status status;
    switch (options->action) {
    case SL_REFERENCE_ADD:
        status = sl_consumer_reference_add(consumer, options->set.name, set, found, why);
        break;
    case SL_REFERENCE_REMOVE:
        status = sl_consumer_reference_remove(consumer, options->set.name, found, why);
        break;
    default:
        status = sl_consumer_references(consumer, found, why);
        break;
    }
    sl_consumer_close(&consumer);
    return status;
}

/* --- a state --- */

static sluice_status change_engine(const reference_options *options, sluice_span set,
                                   sluice_engine *engine, sl_journal *journal, sluice_message *why)
{
    if (options->action == SL_REFERENCE_LIST) {
        return SLUICE_OK;
    }
    SLUICE_TRY(options->action == SL_REFERENCE_ADD
                   ? sluice_engine_reference_add(engine, options->set.name, set, why)
                   : sluice_engine_reference_remove(engine, options->set.name, why));
    return sl_journal_checkpoint(journal, why);
}

static sluice_status change_state(reference_options *options, sluice_span set, sl_references *found,
                                  sluice_message *why)
{
    sluice_engine *engine;
    sl_journal *journal = NULL;
    int64_t arrived_us;
    if (options->action != SL_REFERENCE_ADD) { /* to look must not make one */
        const sl_spool_options look = {.path = options->state, .read_only = true};
        sl_spool *spool;
        SLUICE_TRY(sl_spool_open(&look, &spool, why));
        sl_spool_close(&spool);
    }
    snprintf(options->config.state, sizeof options->config.state, "%s", options->state);
    SLUICE_TRY(sluice_engine_open(&options->config, &engine, why));
    sluice_status status = sl_references_load(&options->config, engine, why);
    if (status == SLUICE_OK) {
        status = sl_journal_open(&options->config, engine, "filter", &journal, &arrived_us, why);
    }
    if (status == SLUICE_OK) {
        status = change_engine(options, set, engine, journal, why);
    }
    sluice_reference_info info[SLUICE_LIMIT_REFERENCES];
    found->n = status == SLUICE_OK ? sluice_engine_references(engine, info) : 0;
    for (uint32_t i = 0; i < found->n; i++) {
        memcpy(found->set[i].name, info[i].name, sizeof found->set[i].name);
        snprintf(found->set[i].origin, sizeof found->set[i].origin, "%s", info[i].origin);
        found->set[i].samples = info[i].samples;
        found->set[i].wanted = info[i].wanted;
    }
    sl_journal_close(&journal, false);
    sluice_engine_close(&engine);
    return status;
}

/* --- output --- */

static void print_sets(const sl_references *found)
{
    for (uint32_t i = 0; i < found->n; i++) {
        const sl_reference_set *set = &found->set[i];
        printf("%-24s %-6s %4u samples", set->name, set->origin, set->samples);
        printf(set->samples < set->wanted ? " of %u: nothing is scored toward it yet\n" : "\n",
               set->wanted);
    }
    if (found->n == 0) {
        printf("no reference sets\n");
    }
}

static void print_json(const sl_references *found)
{
    json_t *sets = json_array();
    for (uint32_t i = 0; i < found->n; i++) {
        const sl_reference_set *set = &found->set[i];
        json_array_append_new(sets, json_pack("{s:s, s:s, s:i, s:i}", "name", set->name, "origin",
                                              set->origin, "samples", (int)set->samples, "wanted",
                                              (int)set->wanted));
    }
    json_t *root = json_pack("{s:o}", "references", sets);
    json_dumpf(root, stdout, JSON_COMPACT);
    printf("\n");
    json_decref(root);
}

int sl_command_reference(int argc, char **argv)
{
    static reference_options options = {
        .client = {.endpoint = DEFAULT_ENDPOINT, .timeout_ms = TIMEOUT_MS}};
    int parsed = parse(argc, argv, &options);
    if (parsed != SL_EXIT_OK) {
        return parsed < 0 ? SL_EXIT_OK : parsed;
    }
    if (options.state != NULL && !sl_settings_read(&options.settings, &options.config)) {
        return SL_EXIT_CONFIG;
    }
    static sl_references found;
    sluice_bytes set = {0};
    sluice_message why = {""};
    sluice_status status = SLUICE_OK;
    if (options.action == SL_REFERENCE_ADD) {
        status = sl_reference_read(options.state != NULL ? &options.config : NULL, &options.set,
                                   &set, &why);
    }
    const sluice_span span = {set.data, set.size};
    if (status == SLUICE_OK) {
        status = options.state != NULL ? change_state(&options, span, &found, &why)
                                       : ask_filter(&options, span, &found, &why);
    }
    sl_bytes_fini(&set);
    if (status != SLUICE_OK) {
        fprintf(stderr, "sluice reference: %s\n", why.text);
        return sl_exit_of(status);
    }
    (options.json ? print_json : print_sets)(&found);
    return SL_EXIT_OK;
}
