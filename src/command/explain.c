/* explain.c - why a sample got its verdict: finds it in a state or a verdict file and says it in
 * words.
 *
 *   --state DIR       log: samples of that id --> twin: the kept sample that its record names
 *                     dead letters: refused ones
 *   --verdicts FILE   lines of that id
 *
 * Why two passes over the log: which sample is the twin is known only when the first is found, and
 * the twin came earlier. The log has no index by id (design 5.1); a pass reads about 1 GB/s.
 * Why all of them: ids are unique per producer only, and a sample may have been sent again changed.
 */
#include "command/beside.h"
#include "command/command.h"
#include "command/influence_words.h"
#include "command/nearest_kept.h"
#include "command/verdict_file.h"

#include "bytes.h"
#include "decode/sample_fields.h"
#include "features/features.h"
#include "record.h"
#include "spool/spool.h"

#include <jansson.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DEFAULT_STATE "./sluice-state"
#define FOUND_MAX     32 /* the newest are shown */
#define NAME_BYTES    (SLUICE_LIMIT_ID_BYTES + 1)

static const char usage[] =
    "usage: sluice explain ID [--state DIR | --verdicts FILE] [--json]\n"
    "       sluice explain ... -- ID      (an ID that begins with a dash)\n"
    "\n"
    "Says why the sample ID was kept, flagged, dropped or refused, of which kept sample it is a\n"
    "duplicate or which one is nearest, and what its influence scores mean. Looks into the state\n"
    "of a filter (" DEFAULT_STATE "; the filter may be running) or into a file that\n"
    "`sluice filter --verdicts` or `sluice recv --verdicts` wrote.\n";

typedef struct explain_options {
    const char *id, *state, *verdicts;
    bool json;
} explain_options;

typedef struct found_sample {
    bool from_log, refused;
    uint64_t offset, sequence;
    int64_t arrived_us;
    uint32_t i_producer;
    char producer[NAME_BYTES], reason[64], text[256]; /* reason, text: of a refused one */
    sluice_bytes wire;                                /* the annotated sample           */
    sluice_bytes record;                              /* the verdict record             */
    char of[NAME_BYTES], of_source[NAME_BYTES];       /* the twin, "" = none            */
    bool has_twin;
    uint64_t twin_offset;
    sluice_bytes twin;
    sl_nearest_kept nearest; /* of the newest only, if it has views and no twin */
} found_sample;

typedef struct explain_work {
    const explain_options *options;
    found_sample found[FOUND_MAX];
    uint32_t n_found; /* ever; found[] holds the newest */
    sluice_bytes state_lines;
    sluice_status failed; /* of a visitor */
} explain_work;

static bool span_is(sluice_span span, const char *text)
{
    return sl_span_equal(span, sl_span_of(text));
}

/* A cleared place for the next one; the oldest makes room. */
static found_sample *next_place(explain_work *work)
{
    if (work->n_found >= FOUND_MAX) {
        found_sample oldest = work->found[0];
        memmove(work->found, work->found + 1, (FOUND_MAX - 1) * sizeof work->found[0]);
        sl_bytes_fini(&oldest.wire);
        sl_bytes_fini(&oldest.record);
        sl_bytes_fini(&oldest.twin);
    }
    uint32_t i = work->n_found < FOUND_MAX ? work->n_found : FOUND_MAX - 1;
    work->n_found++;
    work->found[i] = (found_sample){0};
    return &work->found[i];
}

static uint32_t n_places(const explain_work *work)
{
    return work->n_found < FOUND_MAX ? work->n_found : FOUND_MAX;
}

static void copy_member(json_t *object, const char *name, char *out, size_t size)
{
    const char *text = json_string_value(json_object_get(object, name));
    snprintf(out, size, "%s", text != NULL ? text : "");
}

static json_t *parse_record(const found_sample *found)
{
    return json_loadb((const char *)found->record.data, found->record.size, JSON_ALLOW_NUL, NULL);
}

static void note_twin(found_sample *found)
{
    json_t *record = parse_record(found);
    json_t *duplicate = json_object_get(record, "duplicate");
    copy_member(duplicate, "of", found->of, sizeof found->of);
    copy_member(duplicate, "of_source", found->of_source, sizeof found->of_source);
    json_decref(record);
}

/* --- a state --- */

static bool has_id(sluice_span wire, const char *id, sl_sample_fields *fields)
{
    sl_refusal refusal;
    return memmem(wire.data, wire.size, id, strlen(id)) != NULL &&
           sl_sample_fields_find(wire, fields, &refusal) && span_is(fields->id, id);
}

static bool visit_sample(void *context, const sl_spool_sample *sample)
{
    explain_work *work = context;
    sl_sample_fields fields;
    if (!has_id(sample->wire, work->options->id, &fields)) {
        return true;
    }
    found_sample *found = next_place(work);
    found->from_log = true;
    found->offset = sample->offset;
    found->arrived_us = sample->arrived_us;
    found->i_producer = sample->i_producer;
    work->failed = sl_bytes_append(&found->wire, sample->wire.data, sample->wire.size);
    if (work->failed == SLUICE_OK) {
        work->failed = sl_record_json_of_wire(sample->wire, &found->record);
    }
    if (work->failed == SLUICE_OK) {
        note_twin(found);
    }
    return work->failed == SLUICE_OK;
}

static bool visit_twin(void *context, const sl_spool_sample *sample)
{
    explain_work *work = context;
    if (sample->decision == SLUICE_DROP) {
        return true;
    }
    for (uint32_t i = 0; i < n_places(work); i++) {
        found_sample *found = &work->found[i];
        sl_sample_fields fields;
        if (sample->offset < found->offset) {
            sl_nearest_kept_look(&found->nearest, sample->offset, sample->wire);
        }
        if (found->of[0] != '\0' && sample->offset < found->offset &&
            has_id(sample->wire, found->of, &fields) && span_is(fields.source, found->of_source)) {
            found->has_twin = true;
            found->twin_offset = sample->offset;
            sl_bytes_clear(&found->twin);
            work->failed = sl_bytes_append(&found->twin, sample->wire.data, sample->wire.size);
        }
    }
    return work->failed == SLUICE_OK;
}

static bool visit_producer(void *context, const sl_spool_producer *producer)
{
    explain_work *work = context;
    for (uint32_t i = 0; i < n_places(work); i++) {
        found_sample *found = &work->found[i];
        if (found->from_log && found->i_producer == producer->i_producer) {
            memcpy(found->producer, producer->name, sizeof found->producer);
        }
    }
    return true;
}

static bool visit_dead(void *context, uint64_t key, const sl_spool_dead *dead)
{
    (void)key;
    explain_work *work = context;
    sl_sample_fields fields = {0};
    sl_refusal refusal;
    (void)!sl_sample_fields_find(dead->wire, &fields, &refusal); /* refused ones may be broken */
    if (!span_is(fields.id, work->options->id)) {
        return true;
    }
    found_sample *found = next_place(work);
    found->refused = true;
    found->sequence = dead->sequence;
    found->arrived_us = dead->at_us;
    memcpy(found->producer, dead->by, sizeof found->producer);
    memcpy(found->reason, dead->reason, sizeof found->reason);
    memcpy(found->text, dead->text, sizeof found->text);
    work->failed = sl_bytes_append(&found->wire, dead->wire.data, dead->wire.size);
    return work->failed == SLUICE_OK;
}

/* A look at every embedding of the log takes its time: for the newest of that id, if it needs one.
 */
static sluice_status want_nearest(explain_work *work)
{
    found_sample *newest = n_places(work) > 0 ? &work->found[n_places(work) - 1] : NULL;
    if (newest == NULL || work->options->json || !newest->from_log || newest->of[0] != '\0') {
        return SLUICE_OK;
    }
    sluice_status status =
        sl_nearest_kept_open((sluice_span){newest->wire.data, newest->wire.size}, &newest->nearest);
    return status == SLUICE_E_BADSAMPLE ? SLUICE_OK : status;
}

static sluice_status look_into_state(explain_work *work, sluice_message *why)
{
    sl_spool_options options = {.path = work->options->state, .read_only = true};
    sl_spool *spool = NULL;
    SLUICE_TRY(sl_spool_open(&options, &spool, why));
    sluice_status status = sl_spool_dead_letters(spool, visit_dead, work, why);
    if (status == SLUICE_OK) {
        status = sl_spool_samples(spool, 0, visit_sample, work, why);
    }
    if (status == SLUICE_OK) {
        status = want_nearest(work);
    }
    if (status == SLUICE_OK && n_places(work) > 0) {
        status = sl_spool_samples(spool, 0, visit_twin, work, why);
    }
    if (status == SLUICE_OK) {
        status = sl_spool_producers(spool, visit_producer, work, why);
    }
    if (status == SLUICE_OK) {
        status = sl_spool_state_lines(spool, &work->state_lines, why);
    }
    sl_spool_close(&spool);
    return status != SLUICE_OK ? status : work->failed;
}

/* --- a verdict file --- */

static sluice_status look_into_verdicts(explain_work *work, sluice_message *why)
{
    const char *path = work->options->verdicts;
    FILE *file = sl_verdict_file_open(path, why);
    if (file == NULL) {
        return SLUICE_E_IO;
    }
    char *line = NULL;
    size_t capacity = 0;
    sluice_status status = SLUICE_OK;
    uint64_t n_line = 0;
    for (ssize_t size; status == SLUICE_OK && (size = getline(&line, &capacity, file)) > 0;) {
        n_line++;
        json_t *record = json_loadb(line, (size_t)size, JSON_ALLOW_NUL, NULL);
        const json_t *id = json_object_get(record, "id");
        if (!json_is_object(record)) {
            status = sluice_fail(why, SLUICE_E_CORRUPT,
                                 "%s:%" PRIu64 ": a verdict record is a JSON object", path, n_line);
        } else if (json_string_length(id) == strlen(work->options->id) &&
                   strcmp(json_string_value(id), work->options->id) == 0) {
            found_sample *found = next_place(work);
            status = sl_bytes_append(&found->record, line, (size_t)size - (line[size - 1] == '\n'));
        }
        json_decref(record);
    }
    if (status == SLUICE_OK && ferror(file)) {
        status = sluice_fail(why, SLUICE_E_IO, "cannot read %s to its end", path);
    }
    free(line);
    fclose(file);
    return status;
}

/* --- words --- */

static sluice_span payload_of(const sluice_bytes *wire)
{
    sl_sample_fields fields = {0};
    sl_refusal refusal;
    (void)!sl_sample_fields_find((sluice_span){wire->data, wire->size}, &fields, &refusal);
    return sl_media_type_is_image(fields.media_type) ? (sluice_span){0} : fields.payload;
}

static void print_texts(const found_sample *found)
{
    char head[64];
    snprintf(head, sizeof head, "the kept one, offset %" PRIu64, found->twin_offset);
    sl_beside_print(payload_of(&found->wire), "this one", payload_of(&found->twin), head);
}

static const char *unit_of(const char *method)
{
    static const struct {
        const char *method, *unit;
    } table[] = {{"exact", "the same content"},
                 {"text", "estimated share of common shingles (Jaccard)"},
                 {"image", "share of equal signature bits"},
                 {"embedding", "cosine"}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (strcmp(method, table[i].method) == 0) {
            return table[i].unit;
        }
    }
    return "";
}

/* The configuration that the state was made with, as far as it decides verdicts. */
static void read_config(const explain_work *work, sluice_config *config)
{
    sluice_config_default(config);
    sluice_config_errors errors;
    sl_reader reader = sl_reader_of((sluice_span){work->state_lines.data, work->state_lines.size});
    while (reader.at < reader.end) {
        const uint8_t *stop = memchr(reader.at, '\n', (size_t)(reader.end - reader.at));
        sluice_span line =
            sl_reader_span(&reader, (size_t)((stop != NULL ? stop : reader.end) - reader.at));
        (void)sl_reader_u8(&reader);
        char assignment[2 * SLUICE_LIMIT_STRING_BYTES];
        snprintf(assignment, sizeof assignment, "%.*s", (int)line.size, (const char *)line.data);
        char *colon = strstr(assignment, ": ");
        if (colon != NULL) {
            *colon = '=';
            memmove(colon + 1, colon + 2, strlen(colon + 2) + 1);
            (void)!sluice_config_set(config, assignment, &errors);
        }
    }
}

/* Which profile the text was judged by, and its threshold: features are pure, so they can be made
 * again. */
static void print_threshold(const explain_work *work, const found_sample *found)
{
    static const char *const names[SLUICE_N_PROFILES] = {"auto", "news", "prose", "records",
                                                         "code", "cjk",  "pages", "legal"};
    sluice_config config;
    sl_features *features = NULL;
    sluice_sample sample = {.payload = payload_of(&found->wire)};
    read_config(work, &config);
    if (!found->from_log || sl_features_open(&config, &features) != SLUICE_OK) {
        return;
    }
    sl_features_make(features, &sample);
    if ((sample.features.has & SLUICE_HAS_SKETCH) != 0) {
        sluice_profile profile = (sluice_profile)sample.features.profile;
        sl_text_settings settings = sl_text_settings_of(&config, profile);
        bool brief = settings.brief > 0 && sample.features.n_shingles < SL_TEXT_BRIEF;
        printf("  judged as   %s (%c%u shingles), duplicates from %.4g on\n", names[profile],
               settings.shingle.unit, settings.shingle.n,
               (double)(brief ? settings.brief : settings.threshold));
    }
    sl_features_close(&features);
}

static void print_duplicate(const explain_work *work, const found_sample *found, json_t *duplicate)
{
    char of[NAME_BYTES], source[NAME_BYTES], method[32];
    copy_member(duplicate, "of", of, sizeof of);
    copy_member(duplicate, "of_source", source, sizeof source);
    copy_member(duplicate, "method", method, sizeof method);
    printf("  duplicate   of '%s' (source '%s')\n", of, source);
    printf("  similarity  %.4g by %s: %s\n",
           json_number_value(json_object_get(duplicate, "similarity")), method, unit_of(method));
    if (strcmp(method, "text") == 0) {
        print_threshold(work, found);
    }
    if (found->has_twin) {
        print_texts(found);
    } else if (found->from_log) {
        printf("  the log does not hold '%s' any more\n", of);
    }
}

static void print_nearest(const sl_nearest_kept *nearest)
{
    if (nearest->batch != NULL && nearest->cosine >= -1) {
        printf("  nearest     '%s' (source '%s', offset %" PRIu64 "), "
               "cosine %.4f: the most similar kept one before it\n",
               nearest->id, nearest->source, nearest->offset, nearest->cosine);
    }
}

static void print_arrival(const found_sample *found)
{
    time_t seconds = (time_t)(found->arrived_us / 1000000);
    struct tm date;
    char text[64] = "";
    if (gmtime_r(&seconds, &date) != NULL) {
        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &date);
    }
    printf("  arrived     %s", text);
    if (found->refused) {
        printf(", sequence %" PRIu64 " of producer '%s'\n", found->sequence, found->producer);
    } else {
        printf(", offset %" PRIu64 ", from producer '%s'\n", found->offset, found->producer);
    }
}

static void print_record(const explain_work *work, const found_sample *found)
{
    json_t *record = parse_record(found);
    char decision[32], source[NAME_BYTES];
    copy_member(record, "decision", decision, sizeof decision);
    copy_member(record, "source", source, sizeof source);
    static const struct {
        const char *decision, *words;
    } table[] = {{"keep", "was kept"},
                 {"flag", "was kept and flagged"},
                 {"drop", "was dropped"},
                 {"refuse", "was refused"}};
    const char *words = decision;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        words = strcmp(decision, table[i].decision) == 0 ? table[i].words : words;
    }
    printf("'%s' (source '%s') %s\n", work->options->id, source, words);
    json_t *reasons = json_object_get(record, "reasons");
    for (size_t i = 0; i < json_array_size(reasons); i++) {
        printf("  %s %s\n", i == 0 ? "reason     " : "           ",
               json_string_value(json_array_get(reasons, i)));
    }
    if (json_array_size(reasons) == 0) {
        printf("  reason      no rule took it out\n");
    }
    json_t *offset = json_object_get(record, "offset");
    if (found->from_log) {
        print_arrival(found);
    } else if (json_is_integer(offset)) {
        printf("  offset      %lld\n", (long long)json_integer_value(offset));
    }
    json_t *duplicate = json_object_get(record, "duplicate");
    if (json_is_object(duplicate)) {
        print_duplicate(work, found, duplicate);
    } else {
        printf("  duplicate   of nothing that was remembered then\n");
        print_nearest(&found->nearest);
    }
    static sluice_config config;
    if (found->from_log) {
        read_config(work, &config);
    }
    sl_influence_words_print(json_object_get(record, "influence"),
                             found->from_log ? &config : NULL);
    json_decref(record);
}

static void print_refused(const explain_work *work, const found_sample *found)
{
    bool by_group = strncmp(found->producer, "group ", 6) == 0;
    printf("'%s' %s\n", work->options->id, by_group ? "was rejected by a consumer" : "was refused");
    printf("  reason      %s%s%s\n", found->reason, found->text[0] != '\0' ? ": " : "",
           found->text);
    if (by_group) {
        printf("  consumer    %s, offset %" PRIu64 "\n", found->producer, found->sequence);
    } else {
        print_arrival(found);
    }
}

static void print_refused_json(const explain_work *work, const found_sample *found)
{
    sluice_span source = {0};
    sl_sample_fields fields = {0};
    sl_refusal refusal;
    if (sl_sample_fields_find((sluice_span){found->wire.data, found->wire.size}, &fields,
                              &refusal)) {
        source = fields.source;
    }
    json_t *record = json_pack(
        "{s:s, s:s%, s:n, s:s, s:[s], s:f, s:n, s:n}", "id", work->options->id, "source",
        source.size > 0 ? (const char *)source.data : "", source.size, "offset", "decision",
        "refuse", "reasons", found->reason, "weight", 1.0, "duplicate", "influence");
    json_dumpf(record, stdout, JSON_COMPACT);
    printf("\n");
    json_decref(record);
}

static void print_all(const explain_work *work)
{
    if (work->n_found > FOUND_MAX && !work->options->json) {
        printf("%u samples have this id; the newest %d:\n", work->n_found, FOUND_MAX);
    }
    for (uint32_t i = 0; i < n_places(work); i++) {
        const found_sample *found = &work->found[i];
        if (work->options->json) {
            if (found->refused) {
                print_refused_json(work, found);
            } else {
                printf("%.*s\n", (int)found->record.size, (const char *)found->record.data);
            }
        } else if (found->refused) {
            print_refused(work, found);
        } else {
            print_record(work, found);
        }
    }
}

static int parse(int argc, char **argv, explain_options *options)
{
    for (int i = 1; i < argc; i++) {
        bool has_value = i + 1 < argc;
        if (strcmp(argv[i], "--") == 0 && has_value && options->id == NULL) {
            options->id = argv[++i]; /* an id may begin with a dash */
        } else if (strcmp(argv[i], "--help") == 0) {
            fputs(usage, stdout);
            return -1;
        } else if (strcmp(argv[i], "--state") == 0 && has_value) {
            options->state = argv[++i];
        } else if (strcmp(argv[i], "--verdicts") == 0 && has_value) {
            options->verdicts = argv[++i];
        } else if (strcmp(argv[i], "--json") == 0) {
            options->json = true;
        } else if (options->id == NULL && argv[i][0] != '-') {
            options->id = argv[i];
        } else {
            fprintf(stderr, "sluice explain: \"%s\" is not understood\n%s", argv[i], usage);
            return SL_EXIT_USAGE;
        }
    }
    if (options->id == NULL || (options->state != NULL && options->verdicts != NULL)) {
        fprintf(stderr, "sluice explain: %s\n%s",
                options->id == NULL ? "an ID is missing" : "--state and --verdicts: one of them",
                usage);
        return SL_EXIT_USAGE;
    }
    if (options->state == NULL && options->verdicts == NULL) {
        options->state = DEFAULT_STATE;
    }
    return SL_EXIT_OK;
}

int sl_command_explain(int argc, char **argv)
{
    explain_options options = {0};
    int code = parse(argc, argv, &options);
    if (code != SL_EXIT_OK) {
        return code < 0 ? SL_EXIT_OK : code;
    }
    explain_work work = {.options = &options};
    sluice_message why = {""};
    sluice_status status =
        options.verdicts != NULL ? look_into_verdicts(&work, &why) : look_into_state(&work, &why);
    if (status != SLUICE_OK) {
        fprintf(stderr, "sluice explain: %s\n",
                why.text[0] != '\0' ? why.text : sluice_status_name(status));
        code = sl_exit_of(status);
    } else if (work.n_found == 0) {
        fprintf(stderr, "sluice explain: no sample '%s' in %s%s\n", options.id,
                options.verdicts != NULL ? options.verdicts : options.state,
                options.verdicts != NULL ? "" : " (its log and its dead letters)");
        code = SL_EXIT_FAILED;
    } else {
        print_all(&work);
    }
    for (uint32_t i = 0; i < n_places(&work); i++) {
        sl_bytes_fini(&work.found[i].wire);
        sl_bytes_fini(&work.found[i].record);
        sl_bytes_fini(&work.found[i].twin);
        sl_nearest_kept_close(&work.found[i].nearest);
    }
    sl_bytes_fini(&work.state_lines);
    return code;
}
