/* verdict_file.c - reads a file of verdict records.
 *
 *   line --jansson--> object --> sluice_sample, its spans in the object
 *
 * Strict where a wrong value would be counted wrongly (decision, offset, method), lenient about
 * members that it does not know: a newer version may have written them. */
#include "command/verdict_file.h"
#include "bytes.h"

#include <jansson.h>

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static sluice_span span_of(const json_t *text)
{
    return (sluice_span){(const uint8_t *)json_string_value(text), json_string_length(text)};
}

static float float_of(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_number(value) ? (float)json_number_value(value) : NAN;
}

/* Place of a word; n if it is not there. */
static uint32_t word_of(const json_t *text, const char *const *words, uint32_t n)
{
    const char *word = json_string_value(text);
    uint32_t i = 0;
    while (i < n && (words[i] == NULL || word == NULL || strcmp(word, words[i]) != 0)) {
        i++;
    }
    return i;
}

static bool read_match(const json_t *duplicate, sluice_match *match)
{
    static const char *const methods[SLUICE_N_METHODS] = {NULL, "exact", "text", "image",
                                                          "embedding"};
    *match = (sluice_match){.method = SLUICE_METHOD_NONE};
    if (!json_is_object(duplicate)) {
        return duplicate == NULL || json_is_null(duplicate);
    }
    uint32_t method = word_of(json_object_get(duplicate, "method"), methods, SLUICE_N_METHODS);
    match->method = (sluice_method)method;
    match->similarity = float_of(duplicate, "similarity");
    match->of_offset = UINT64_MAX;
    match->of_id = span_of(json_object_get(duplicate, "of"));
    match->of_source = span_of(json_object_get(duplicate, "of_source"));
    return method < SLUICE_N_METHODS;
}

/* Values by name; the order of `influence.toward` rules, the percentiles follow it. */
static void read_toward(const json_t *influence, sluice_scores *scores)
{
    json_t *toward = json_object_get(influence, "toward");
    const json_t *percentile = json_object_get(json_object_get(influence, "percentile"), "toward");
    const char *name;
    json_t *value;
    json_object_foreach(toward, name, value)
    {
        if (scores->n_toward < SLUICE_LIMIT_REFERENCES) {
            uint32_t r = scores->n_toward++;
            scores->toward_name[r] = name;
            scores->toward[r] = float_of(toward, name);
            scores->percentile.toward[r] = float_of(percentile, name);
        }
    }
}

static bool read_scores(const json_t *influence, sluice_scores *scores)
{
    static const char *const states[SLUICE_N_INFLUENCE_STATES] = {NULL, "warming", "live", "stale"};
    *scores = (sluice_scores){.state = SLUICE_INFLUENCE_NONE};
    if (!json_is_object(influence)) {
        return influence == NULL || json_is_null(influence);
    }
    const json_t *percentile = json_object_get(influence, "percentile");
    uint32_t state =
        word_of(json_object_get(influence, "state"), states, SLUICE_N_INFLUENCE_STATES);
    scores->state = (sluice_influence_state)state;
    scores->loss = float_of(influence, "loss");
    scores->self = float_of(influence, "self");
    scores->ratio = float_of(influence, "ratio");
    scores->leverage = float_of(influence, "leverage");
    scores->residual = float_of(influence, "residual");
    scores->source_shift = float_of(influence, "source_shift");
    scores->reliability = float_of(influence, "reliability");
    scores->percentile.loss = float_of(percentile, "loss");
    scores->percentile.self = float_of(percentile, "self");
    scores->percentile.leverage = float_of(percentile, "leverage");
    read_toward(influence, scores);
    return state < SLUICE_N_INFLUENCE_STATES;
}

static bool read_verdict(const json_t *record, sluice_verdict *verdict)
{
    static const char *const decisions[SLUICE_N_DECISIONS] = {"keep", "flag", "drop", "refuse"};
    uint32_t decision = word_of(json_object_get(record, "decision"), decisions, SLUICE_N_DECISIONS);
    *verdict = (sluice_verdict){.decision = (sluice_decision)decision,
                                .weight = float_of(record, "weight")};
    const json_t *reasons = json_object_get(record, "reasons");
    for (size_t i = 0; i < json_array_size(reasons) && i < SLUICE_LIMIT_REASONS; i++) {
        const char *reason = json_string_value(json_array_get(reasons, i));
        if (reason != NULL) {
            verdict->reasons[verdict->n_reasons++] = reason;
        }
    }
    return decision < SLUICE_N_DECISIONS;
}

static bool read_record(const json_t *record, sluice_sample *sample)
{
    const json_t *offset = json_object_get(record, "offset");
    *sample = (sluice_sample){
        .id = span_of(json_object_get(record, "id")),
        .source = span_of(json_object_get(record, "source")),
        .offset = json_is_integer(offset) ? (uint64_t)json_integer_value(offset) : UINT64_MAX};
    return sample->id.data != NULL && sample->source.data != NULL &&
           read_match(json_object_get(record, "duplicate"), &sample->match) &&
           read_scores(json_object_get(record, "influence"), &sample->scores) &&
           read_verdict(record, &sample->verdict) &&
           (sample->offset != UINT64_MAX) == (sample->verdict.decision != SLUICE_REFUSE);
}

static sluice_status read_lines(FILE *file, const char *path, sl_verdict_visit *visit,
                                void *context, sluice_message *why)
{
    char *line = NULL;
    size_t capacity = 0;
    uint64_t n_line = 0;
    sluice_status status = SLUICE_OK;
    bool goes_on = true;
    for (ssize_t size;
         status == SLUICE_OK && goes_on && (size = getline(&line, &capacity, file)) > 0;) {
        n_line++;
        sluice_sample sample;
        json_t *record = json_loadb(line, (size_t)size, 0, NULL);
        if (!json_is_object(record) || !read_record(record, &sample)) {
            status = sluice_fail(why, SLUICE_E_CORRUPT, "%s:%" PRIu64 ": this is no verdict record",
                                 path, n_line);
        } else {
            goes_on = visit(context, &sample);
        }
        json_decref(record);
    }
    if (status == SLUICE_OK && ferror(file)) {
        status = sluice_fail(why, SLUICE_E_IO, "cannot read %s: %s", path, strerror(errno));
    }
    free(line);
    return status;
}

sluice_status sl_verdict_file_read(const char *path, sl_verdict_visit *visit, void *context,
                                   sluice_message *why)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
    if (file == NULL) {
        return sluice_fail(why, SLUICE_E_IO, "cannot open %s: %s", path, strerror(errno));
    }
    sluice_status status = read_lines(file, path, visit, context, why);
    if (file != stdin) {
        fclose(file);
    }
    return status;
}
