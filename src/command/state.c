/* state.c - looks at the durable state of a filter, which may be running: what is in it, whether it
 * is sound, its digest.
 *
 *   ls       log, rows, producers with their counts, consumer groups with their lag
 *   verify   every checksum and count; then the index built again from the rows, as a start does
 *   digest   one number, equal for equal histories however they were sent and interrupted
 *   dead     dead letters (dead_letters.c)
 *
 * Why always read only: the one writer of a state is its filter. */
#include "command/command.h"
#include "command/dead_letters.h"
#include "command/progress.h"
#include "command/settings.h"

#include "bytes.h"
#include "duplicate/durable.h"
#include "sluice/engine.h"
#include "spool/spool.h"
#include "store.h"

#include <jansson.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: sluice state ls|verify|digest [--state DIR] [-c FILE] [--json]\n"
    "       sluice state dead [--show KEY | --export FILE] [--state DIR] [-c FILE] [--json]\n"
    "\n"
    "  ls       what is in the log, who sent it, who has read how far\n"
    "  verify   checks every checksum and builds the index again from its rows\n"
    "  digest   a number that is equal for equal histories, however they were interrupted\n"
    "  dead     samples that were refused or rejected: list, --show one, --export their bytes as\n"
    "           .pb (length-delimited), to be sent again with `sluice send`\n"
    "\n"
    "The state is --state DIR, or `state` of the configuration -c FILE, or ./sluice-state. The\n"
    "filter may be running.\n";

typedef struct state_options {
    const char *verb, *path;
    sl_settings settings;
    sluice_config config; /* of -c; else what the state itself was made with */
    bool json;
    sl_dead_options dead;
} state_options;

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
    printf("dead letters %s%s\n", sl_progress_count(extent->n_dead, n[0], sizeof n[0]),
           extent->n_dead_cut + extent->n_dead_lost > 0
               ? " (some without their sample: their room is used up)"
               : "");
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
        "{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "state", path,
        "first_offset", number(extent->first_offset), "next_offset", number(extent->next_offset),
        "log_bytes", number(extent->log_bytes), "max_bytes", number(extent->max_bytes),
        "deleted_samples", number(extent->deleted_samples), "rows", number(all->n_rows),
        "row_bytes", number(all->row_bytes), "checkpoint_offset", number(extent->checkpoint_offset),
        "dead_letters", number(extent->n_dead), "producers", producers, "groups", groups);
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

/* Sets the keys of a state over the configuration: "key: value" a line. */
static sluice_status configure_as_stored(sl_spool *spool, sluice_config *config,
                                         sluice_message *why)
{
    sluice_bytes lines = {0};
    sluice_status status = sl_spool_state_lines(spool, &lines, why);
    if (status == SLUICE_OK) {
        status = sl_bytes_put_u8(&lines, 0);
    }
    char *at = (char *)lines.data;
    while (status == SLUICE_OK && *at != '\0') {
        char *end = at + strcspn(at, "\n");
        char *next = *end != '\0' ? end + 1 : end;
        *end = '\0';
        char *colon = strstr(at, ": ");
        sluice_config_errors errors = {0};
        if (colon != NULL) {
            *colon = '=';
            memmove(colon + 1, colon + 2, strlen(colon + 2) + 1);
            status = sluice_config_set(config, at, &errors);
        }
        if (status != SLUICE_OK) {
            status = sluice_fail(why, SLUICE_E_CONFIG, "the state was made with %s: %s", at,
                                 errors.n > 0 ? errors.error[0].text : "not understood");
        }
        at = next;
    }
    sl_bytes_fini(&lines);
    return status;
}

/* Builds the index as a start does and checks it. */
static sluice_status rebuild(state_options *options, sl_spool *spool, uint64_t *next_offset,
                             sluice_message *why)
{
    if (options->settings.file == NULL) {
        SLUICE_TRY(configure_as_stored(spool, &options->config, why));
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

static int parse(int argc, char **argv, state_options *options)
{
    options->verb = argv[1];
    for (int i = 2; i < argc; i++) {
        bool has_value = i + 1 < argc;
        bool is_dead = strcmp(options->verb, "dead") == 0;
        if (strcmp(argv[i], "--state") == 0 && has_value) {
            options->path = argv[++i];
        } else if (strcmp(argv[i], "-c") == 0 && has_value) {
            options->settings.file = argv[++i];
        } else if (strcmp(argv[i], "--json") == 0) {
            options->json = options->dead.json = true;
        } else if (is_dead && strcmp(argv[i], "--show") == 0 && has_value) {
            options->dead.show = argv[++i];
        } else if (is_dead && strcmp(argv[i], "--export") == 0 && has_value) {
            options->dead.export_file = argv[++i];
        } else {
            fprintf(stderr, "sluice state %s: \"%s\" is not understood\n%s", options->verb, argv[i],
                    usage);
            return SL_EXIT_USAGE;
        }
    }
    return SL_EXIT_OK;
}

static int run(state_options *options)
{
    if (!sl_settings_read(&options->settings, &options->config)) {
        return SL_EXIT_CONFIG;
    }
    options->path = options->path != NULL ? options->path : options->config.state;
    sl_spool_options spool_options = {.path = options->path, .read_only = true};
    sluice_message why = {""};
    sl_spool *spool = NULL;
    sluice_status status = sl_spool_open(&spool_options, &spool, &why);
    if (status == SLUICE_OK && strcmp(options->verb, "ls") == 0) {
        status = list_state(options, spool, &why);
    } else if (status == SLUICE_OK && strcmp(options->verb, "verify") == 0) {
        status = verify_state(options, spool, &why);
    } else if (status == SLUICE_OK && strcmp(options->verb, "digest") == 0) {
        status = print_digest(options, spool, &why);
    } else if (status == SLUICE_OK) {
        status = sl_dead_letters_show(&options->dead, spool, &why);
    }
    if (status != SLUICE_OK) {
        fprintf(stderr, "sluice state %s: %s\n", options->verb,
                why.text[0] != '\0' ? why.text : sluice_status_name(status));
    }
    sl_spool_close(&spool);
    return sl_exit_of(status);
}

int sl_command_state(int argc, char **argv)
{
    static const char *const verbs[] = {"ls", "verify", "digest", "dead"};
    static const char *const later[] = {"dependents", "restore", "forget"};
    bool asks = false, known = false;
    for (int i = 1; i < argc; i++) {
        asks |= strcmp(argv[i], "--help") == 0;
    }
    if (asks) {
        fputs(usage, stdout);
        return SL_EXIT_OK;
    }
    for (size_t i = 0; argc > 1 && i < sizeof verbs / sizeof verbs[0]; i++) {
        known |= strcmp(argv[1], verbs[i]) == 0;
    }
    for (size_t i = 0; argc > 1 && i < sizeof later / sizeof later[0]; i++) {
        if (strcmp(argv[1], later[i]) == 0) {
            fprintf(stderr, "sluice state %s: not in this version\n", later[i]);
            return SL_EXIT_USAGE;
        }
    }
    if (!known) {
        fprintf(stderr, "sluice state: %s%s%s\n%s", argc > 1 ? "\"" : "what is wanted is missing",
                argc > 1 ? argv[1] : "", argc > 1 ? "\" is not understood" : "", usage);
        return SL_EXIT_USAGE;
    }
    state_options *options = calloc(1, sizeof *options);
    if (options == NULL) {
        return SL_EXIT_FAILED;
    }
    int code = parse(argc, argv, options);
    if (code == SL_EXIT_OK) {
        code = run(options);
    }
    free(options);
    return code;
}
