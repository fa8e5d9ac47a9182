/* state.c - the durable state of a filter: what is in it, whether it is sound, and what a person
 * may change in it.
 *
 *   ls          log, rows, producers with their counts, consumer groups with their lag
 *   verify      every checksum and count; then the index built again from the rows, as a start does
 *   digest      one number, equal for equal histories however they were sent and interrupted
 *   dead        dead letters (dead_letters.c); --drop (state_change.c)
 *   dependents  what was dropped in favour of a sample (dependents.c)
 *   forget (forget.c), restore (restore.c), retire (state_change.c)
 *
 * Why looks are read only and changes need the filter stopped, or go through it: the one writer of
 * a state is its filter. */
#include "command/command.h"
#include "command/connection.h"
#include "command/counters_view.h"
#include "command/dead_letters.h"
#include "command/dependents.h"
#include "command/progress.h"
#include "command/settings.h"
#include "command/state_change.h"

#include "bytes.h"
#include "counters.h"
#include "duplicate/durable.h"
#include "sluice/engine.h"
#include "spool/spool.h"
#include "job.h"
#include "store.h"

#include <jansson.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: sluice state ls|verify|digest [--state DIR] [-c FILE] [--json]\n"
    "       sluice state dead [--show KEY | --export FILE | --drop] [--state DIR] [-c FILE]\n"
    "                         [--json]\n"
    "       sluice state dependents ID [--state DIR] [-c FILE] [--json]\n"
    "       sluice state restore ID [--offset N] [--to ENDPOINT] [--state DIR] [-c FILE]\n"
    "                         [--json]\n"
    "       sluice state forget ID [--offset N] [--from ENDPOINT] [--state DIR] [-c FILE]\n"
    "                         [--json]\n"
    "       sluice state retire GROUP [--state DIR] [-c FILE] [--json]\n"
    "\n"
    "  ls          what is in the log, who sent it, who has read how far\n"
    "  verify      checks every checksum and builds the index again from its rows\n"
    "  digest      a number that is equal for equal histories, however they were interrupted\n"
    "  dead        samples that were refused or rejected: list, --show one, --export their bytes\n"
    "              as .pb (length-delimited), to be sent again with `sluice send`; --drop deletes\n"
    "              them all, which makes room for new ones\n"
    "  dependents  the samples that were dropped as duplicates of ID\n"
    "  forget      what the index remembers of ID: it represents no others from now on\n"
    "  restore     offers the dropped sample ID again as kept, to every consumer group\n"
    "  retire      deletes the progress of a consumer group, for which the log was kept\n"
    "\n"
    "The state is --state DIR, or `state` of the configuration -c FILE, or ./sluice-state.\n"
    "Looking is possible while the filter runs; to retire or drop, stop it first. A running\n"
    "filter restores with --to and its listen.ingest, and forgets with --from and its\n"
    "listen.egress (--key, --server-key and --timeout as for send). With keys, the one that\n"
    "restores is named " SL_RESTORE_PRODUCER ", and the one that forgets has the right\n"
    "\"admin\". --offset says which of several samples of that id is meant.\n";

typedef struct state_options {
    const char *verb, *path;
    sl_settings settings;
    sluice_config config; /* of -c; else what the state itself was made with */
    bool json, drop;
    sl_dead_options dead;
    sl_state_change change;
} state_options;

typedef struct state_verb {
    const char *name, *argument; /* of a second word; NULL: takes none */
    sluice_status (*change)(sl_state_change *change, sluice_message *why);
} state_verb;

static const state_verb verbs[] = {
    {"ls", NULL, NULL},
    {"verify", NULL, NULL},
    {"digest", NULL, NULL},
    {"dead", NULL, NULL},
    {"dependents", "ID", NULL},
    {"forget", "ID", sl_state_forget},
    {"restore", "ID", sl_state_restore},
    {"retire", "GROUP", sl_state_retire},
};

/* --- ls --- */

typedef struct group_row {
    char name[SLUICE_LIMIT_ID_BYTES + 1];
    uint64_t floor;
    uint32_t n_ranges;
    uint64_t above; /* committed above the floor */
} group_row;

typedef struct listing {
    sl_spool_producer *producer; /* [SLUICE_LIMIT_PRODUCERS]       */
    group_row *group;            /* [SLUICE_LIMIT_CONSUMER_GROUPS] */
    uint32_t n_producers, n_groups;
    uint64_t n_rows, row_bytes;
    sluice_counters counters; /* as of the last checkpoint */
} listing;

static bool list_row(void *context, uint64_t offset, sluice_span row)
{
    (void)offset;
    ((listing *)context)->n_rows++;
    ((listing *)context)->row_bytes += row.size;
    return true;
}

static bool list_producer(void *context, const sl_spool_producer *producer)
{
    listing *all = context;
    all->producer[all->n_producers++] = *producer;
    return all->n_producers < SLUICE_LIMIT_PRODUCERS;
}

static bool list_group(void *context, const sl_spool_group *group)
{
    listing *all = context;
    group_row *row = &all->group[all->n_groups++];
    *row = (group_row){.floor = group->floor, .n_ranges = group->n_ranges};
    memcpy(row->name, group->name, sizeof row->name);
    for (uint32_t i = 0; i < group->n_ranges; i++) {
        row->above += group->range[i].next - group->range[i].first;
    }
    return all->n_groups < SLUICE_LIMIT_CONSUMER_GROUPS;
}

static uint64_t told(const sl_spool_producer *producer)
{
    return producer->kept + producer->flagged + producer->dropped + producer->refused +
           producer->redelivered;
}

static uint64_t lag_of(const group_row *group, uint64_t next_offset)
{
    uint64_t done = group->floor + group->above;
    return next_offset > done ? next_offset - done : 0;
}

static void print_listing(const listing *all, const sl_spool_extent *extent, const char *path)
{
    char n[4][32];
    printf("state        %s\n", path);
    printf("log          offsets %" PRIu64 " to %" PRIu64 ", %s of %s; %" PRIu64
           " samples deleted by retention\n",
           extent->first_offset, extent->next_offset,
           sl_progress_bytes((double)extent->log_bytes, n[0], sizeof n[0]),
           sl_progress_bytes((double)extent->max_bytes, n[1], sizeof n[1]),
           extent->deleted_samples);
    printf("index        %s rows, %s; checkpoint at offset %" PRIu64 "\n",
           sl_progress_count(all->n_rows, n[0], sizeof n[0]),
           sl_progress_bytes((double)all->row_bytes, n[1], sizeof n[1]), extent->checkpoint_offset);
    printf("dead letters %s%s%s%s\n", sl_progress_count(extent->n_dead, n[0], sizeof n[0]),
           extent->n_dead_dropped > 0 ? ", dropped by hand since: " : "",
           extent->n_dead_dropped > 0 ? sl_progress_count(extent->n_dead_dropped, n[1], sizeof n[1])
                                      : "",
           extent->n_dead_cut + extent->n_dead_lost > 0
               ? " (some without their sample: their room is used up)"
               : "");
    sl_counters_print(&all->counters, stdout);
    printf("\n%-24s %12s %12s %12s %12s %12s %12s %12s\n", "producer", "next", "received", "kept",
           "flagged", "dropped", "refused", "redelivered");
    for (uint32_t i = 0; i < all->n_producers; i++) {
        const sl_spool_producer *producer = &all->producer[i];
        printf("%-24s %12" PRIu64 " %12" PRIu64 " %12" PRIu64 " %12" PRIu64 " %12" PRIu64
               " %12" PRIu64 " %12" PRIu64 "%s\n",
               producer->name, producer->next_sequence, producer->received, producer->kept,
               producer->flagged, producer->dropped, producer->refused, producer->redelivered,
               producer->received == told(producer) ? "" : "  DOES NOT ADD UP");
    }
    printf("(received = kept + flagged + dropped + refused + redelivered)\n");
    printf("\n%-24s %12s %12s %12s\n", "consumer group", "floor", "lag", "above floor");
    for (uint32_t i = 0; i < all->n_groups; i++) {
        const group_row *group = &all->group[i];
        printf("%-24s %12" PRIu64 " %12" PRIu64 " %12" PRIu64 "\n", group->name, group->floor,
               lag_of(group, extent->next_offset), group->above);
    }
}

static json_t *number(uint64_t value)
{
    return json_integer((json_int_t)value);
}

static void print_listing_json(const listing *all, const sl_spool_extent *extent, const char *path)
{
    json_t *producers = json_array(), *groups = json_array();
    for (uint32_t i = 0; i < all->n_producers; i++) {
        const sl_spool_producer *row = &all->producer[i];
        json_array_append_new(
            producers, json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b}", "name", row->name,
                                 "next_sequence", number(row->next_sequence), "received",
                                 number(row->received), "kept", number(row->kept), "flagged",
                                 number(row->flagged), "dropped", number(row->dropped), "refused",
                                 number(row->refused), "redelivered", number(row->redelivered),
                                 "adds_up", row->received == told(row)));
    }
    for (uint32_t i = 0; i < all->n_groups; i++) {
        const group_row *row = &all->group[i];
        json_array_append_new(groups, json_pack("{s:s, s:o, s:o, s:o}", "name", row->name,
                                                "floor_offset", number(row->floor), "lag",
                                                number(lag_of(row, extent->next_offset)),
                                                "committed_above_floor", number(row->above)));
    }
    json_t *whole = json_pack(
        "{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "state",
        path, "first_offset", number(extent->first_offset), "next_offset",
        number(extent->next_offset), "log_bytes", number(extent->log_bytes), "max_bytes",
        number(extent->max_bytes), "deleted_samples", number(extent->deleted_samples), "rows",
        number(all->n_rows), "row_bytes", number(all->row_bytes), "checkpoint_offset",
        number(extent->checkpoint_offset), "dead_letters", number(extent->n_dead),
        "dead_letters_lost", number(extent->n_dead_lost), "dead_letters_dropped",
        number(extent->n_dead_dropped), "counters", sl_counters_json(&all->counters),
        "counters_offset", number(all->counters.next_offset), "producers", producers, "groups",
        groups);
    json_dumpf(whole, stdout, JSON_COMPACT);
    printf("\n");
    json_decref(whole);
}

static sluice_status list_state(const state_options *options, sl_spool *spool, sluice_message *why)
{
    listing all = {0};
    all.producer = calloc(SLUICE_LIMIT_PRODUCERS, sizeof *all.producer);
    all.group = calloc(SLUICE_LIMIT_CONSUMER_GROUPS, sizeof *all.group);
    sluice_status status = all.producer == NULL || all.group == NULL ? SLUICE_E_NOMEM : SLUICE_OK;
    if (status == SLUICE_OK) {
        status = sl_spool_producers(spool, list_producer, &all, why);
    }
    if (status == SLUICE_OK) {
        status = sl_spool_groups(spool, list_group, &all, why);
    }
    if (status == SLUICE_OK) {
        status = sl_spool_rows(spool, list_row, &all, why);
    }
    sluice_bytes numbers = {0};
    if (status == SLUICE_OK) {
        status = sl_spool_numbers(spool, &numbers, why);
        sl_counters_read((sluice_span){numbers.data, numbers.size}, &all.counters);
    }
    sl_bytes_fini(&numbers);
    sl_spool_extent extent = sl_spool_extent_of(spool);
    if (status == SLUICE_OK && options->json) {
        print_listing_json(&all, &extent, options->path);
    } else if (status == SLUICE_OK) {
        print_listing(&all, &extent, options->path);
    }
    free(all.producer);
    free(all.group);
    return status;
}

/* --- verify --- */

/* Builds the index as a start does and checks it. */
static sluice_status rebuild(state_options *options, sl_spool *spool, uint64_t *next_offset,
                             sluice_message *why)
{
    if (options->settings.file == NULL) {
        SLUICE_TRY(sl_settings_as_stored(spool, &options->config, why));
    }
    sluice_engine *engine = NULL;
    SLUICE_TRY(sluice_engine_open(&options->config, &engine, why));
    int64_t arrived_us = 0;
    sluice_status status = sl_store_restore(spool, engine, &arrived_us, why);
    const char *reason = NULL;
    if (status == SLUICE_OK && !sluice_engine_validate(engine, &reason)) {
        status = sluice_fail(why, SLUICE_E_CORRUPT, "the index built from the rows of %s: %s",
                             options->path, reason);
    }
    if (status == SLUICE_OK) {
        *next_offset = sluice_engine_next_offset(engine);
    }
    sluice_engine_close(&engine);
    return status;
}

static sluice_status verify_state(state_options *options, sl_spool *spool, sluice_message *why)
{
    uint64_t next_offset = 0;
    sluice_status status = sl_spool_verify(spool, why);
    if (status == SLUICE_OK) {
        status = rebuild(options, spool, &next_offset, why);
    }
    if (options->json) {
        json_t *result =
            json_pack("{s:b, s:s, s:o}", "sound", status == SLUICE_OK, "fault",
                      status == SLUICE_OK ? "" : why->text, "next_offset", number(next_offset));
        json_dumpf(result, stdout, JSON_COMPACT);
        printf("\n");
        json_decref(result);
    } else if (status == SLUICE_OK) {
        printf("%s is sound: every checksum and count, and the index built again up to offset "
               "%" PRIu64 "\n",
               options->path, next_offset);
    }
    return status;
}

/* --- digest --- */

/* A row without what two equal runs need not share: when it came, the number that its producer got
 * by being early (producers count by name), and how far back the index reached when the batch that
 * brought it was judged (where batches end differs; what is remembered does not). */
static sluice_status mask_row(sluice_span row, sluice_bytes *out)
{
    sluice_sample sample;
    sl_durable_from from;
    SLUICE_TRY(sl_durable_read(row, &sample, &from));
    sample.arrived_us = 0;
    sample.i_producer = 0;
    from = (sl_durable_from){0};
    return sl_durable_write(&sample, &from, out);
}

static sluice_status print_digest(const state_options *options, sl_spool *spool,
                                  sluice_message *why)
{
    uint64_t digest[2];
    SLUICE_TRY(sl_spool_digest(spool, mask_row, digest, why));
    printf(options->json ? "{\"digest\": \"%016" PRIx64 "%016" PRIx64 "\"}\n"
                         : "%016" PRIx64 "%016" PRIx64 "\n",
           digest[1], digest[0]);
    return SLUICE_OK;
}

/* --- the verb --- */

static const state_verb *find_verb(const char *name)
{
    for (size_t i = 0; name != NULL && i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(verbs[i].name, name) == 0) {
            return &verbs[i];
        }
    }
    return NULL;
}

/* Takes the options of one verb alone: 1 taken, 0 it is none of them, -1 it has a wrong value. */
static int parse_own(int argc, char **argv, int *i, state_options *options)
{
    bool has_value = *i + 1 < argc;
    bool dead = strcmp(options->verb, "dead") == 0, restore = strcmp(options->verb, "restore") == 0;
    bool forget = strcmp(options->verb, "forget") == 0;
    if (dead && strcmp(argv[*i], "--show") == 0 && has_value) {
        options->dead.show = argv[++*i];
    } else if (dead && strcmp(argv[*i], "--export") == 0 && has_value) {
        options->dead.export_file = argv[++*i];
    } else if (dead && strcmp(argv[*i], "--drop") == 0) {
        options->drop = true;
    } else if ((restore || forget) && strcmp(argv[*i], "--offset") == 0 && has_value) {
        options->change.has_offset = true;
        return sl_number_option(restore ? "state restore" : "state forget", "--offset", argv[++*i],
                                0, UINT64_MAX - 1, &options->change.offset)
                   ? 1
                   : -1;
    } else if ((restore || forget) && has_value &&
               strcmp(argv[*i], restore ? "--to" : "--from") == 0) {
        options->change.to.endpoint = argv[++*i];
    } else {
        return restore || forget ? sl_connection_option(argc, argv, i, &options->change.to) : 0;
    }
    return 1;
}

static int parse(int argc, char **argv, const state_verb *verb, state_options *options)
{
    options->verb = verb->name;
    for (int i = 2; i < argc; i++) {
        bool has_value = i + 1 < argc;
        int own = 0;
        if (strcmp(argv[i], "--state") == 0 && has_value) {
            options->path = argv[++i];
        } else if (strcmp(argv[i], "-c") == 0 && has_value) {
            options->settings.file = argv[++i];
        } else if (strcmp(argv[i], "--json") == 0) {
            options->json = options->dead.json = options->change.json = true;
        } else if (verb->argument != NULL && options->change.name == NULL &&
                   (argv[i][0] != '-' || (strcmp(argv[i], "--") == 0 && has_value))) {
            i += argv[i][0] == '-'; /* "-- ID": one that begins with a dash */
            options->change.name = argv[i];
        } else if ((own = parse_own(argc, argv, &i, options)) < 0) {
            return SL_EXIT_USAGE;
        } else if (own == 0) {
            fprintf(stderr, "sluice state %s: \"%s\" is not understood\n%s", options->verb, argv[i],
                    usage);
            return SL_EXIT_USAGE;
        }
    }
    size_t size = options->change.name != NULL ? strlen(options->change.name) : 0;
    if (verb->argument != NULL && (size == 0 || size > SLUICE_LIMIT_ID_BYTES)) {
        fprintf(stderr, "sluice state %s: %s of 1 to %d bytes is needed\n%s", options->verb,
                verb->argument, SLUICE_LIMIT_ID_BYTES, usage);
        return SL_EXIT_USAGE;
    }
    return SL_EXIT_OK;
}

static sluice_status look(state_options *options, sluice_message *why)
{
    sl_spool_options spool_options = {.path = options->path, .read_only = true};
    sl_spool *spool = NULL;
    SLUICE_TRY(sl_spool_open(&spool_options, &spool, why));
    sluice_status status;
    if (strcmp(options->verb, "ls") == 0) {
        status = list_state(options, spool, why);
    } else if (strcmp(options->verb, "verify") == 0) {
        status = verify_state(options, spool, why);
    } else if (strcmp(options->verb, "digest") == 0) {
        status = print_digest(options, spool, why);
    } else if (strcmp(options->verb, "dependents") == 0) {
        status = sl_dependents_print(options->change.name, options->json, spool, why);
    } else {
        status = sl_dead_letters_show(&options->dead, spool, why);
    }
    sl_spool_close(&spool);
    return status;
}

static int run(const state_verb *verb, state_options *options)
{
    if (!sl_settings_read(&options->settings, &options->config)) {
        return SL_EXIT_CONFIG;
    }
    options->path = options->path != NULL ? options->path : options->config.state;
    options->change.verb = options->verb;
    options->change.path = options->path;
    options->change.configured = options->settings.file != NULL;
    options->change.config = options->config;
    sluice_message why = {""};
    sluice_status status;
    if (options->drop) {
        status = sl_state_drop_dead(&options->change, &why);
    } else {
        status = verb->change != NULL ? verb->change(&options->change, &why) : look(options, &why);
    }
    if (status != SLUICE_OK) {
        fprintf(stderr, "sluice state %s: %s\n", options->verb,
                why.text[0] != '\0' ? why.text : sluice_status_name(status));
    }
    return sl_exit_of(status);
}

int sl_command_state(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            fputs(usage, stdout);
            return SL_EXIT_OK;
        }
    }
    const state_verb *verb = find_verb(argc > 1 ? argv[1] : NULL);
    if (verb == NULL) {
        fprintf(stderr, "sluice state: %s%s%s\n%s", argc > 1 ? "\"" : "what is wanted is missing",
                argc > 1 ? argv[1] : "", argc > 1 ? "\" is not understood" : "", usage);
        return SL_EXIT_USAGE;
    }
    state_options *options = calloc(1, sizeof *options);
    if (options == NULL) {
        return SL_EXIT_FAILED;
    }
    int code = parse(argc, argv, verb, options);
    if (code == SL_EXIT_OK) {
        code = run(verb, options);
    }
    free(options);
    return code;
}
