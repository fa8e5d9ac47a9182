/* verdict_line.c - one line of a verdict file as the sample that it was written of.
 *
 *   {"id": ..., "decision": ..., "duplicate": {...} | null, "influence": {...} | null}
 *      --> sluice_sample
 *
 * Numbers become float again: they were written in the shortest form that reads back as the same.
 */
#include "command/verdict_line.h"
#include "bytes.h"

#include <jansson.h>

#include <math.h>

static int place_of(const json_t *word, const char *const *words, int n)
{
    const char *text = json_string_value(word);
    for (int i = 0; text != NULL && i < n; i++) {
        if (words[i] != NULL && strcmp(words[i], text) == 0) {
            return i;
        }
    }
    return -1;
}

static sluice_span text_of(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return (sluice_span){(const uint8_t *)json_string_value(value), json_string_length(value)};
}

static float number_of(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_number(value) ? (float)json_number_value(value) : NAN;
}

static bool read_match(const json_t *record, sluice_match *match)
{
    static const char *const differs_words[SLUICE_N_DIFFERS] = {NULL, "numbers", "slot"};
    const json_t *from = json_object_get(record, "duplicate");
    float contained = number_of(record, "contained");
    *match = (sluice_match){.contained = isnan(contained) ? 0 : contained,
                            .contained_in = text_of(record, "contained_in")};
    static const char *const methods[SLUICE_N_METHODS] = {NULL, "exact", "text", "image",
                                                          "embedding"};
    if (from == NULL || json_is_null(from)) {
        return true;
    }
    int method = place_of(json_object_get(from, "method"), methods, SLUICE_N_METHODS);
    int differs = place_of(json_object_get(from, "differs"), differs_words, SLUICE_N_DIFFERS);
    match->method = method > 0 ? (sluice_method)method : SLUICE_METHOD_NONE;
    match->differs = differs > 0 ? (sluice_differs)differs : SLUICE_DIFFERS_NONE;
    match->similarity = number_of(from, "similarity");
    match->of_id = text_of(from, "of");
    match->of_source = text_of(from, "of_source");
    return method > 0;
}

static bool read_scores(json_t *from, sluice_scores *scores)
{
    static const char *const states[SLUICE_N_INFLUENCE_STATES] = {NULL, "warming", "live", "stale"};
    if (from == NULL || json_is_null(from)) {
        return true;
    }
    int state = place_of(json_object_get(from, "state"), states, SLUICE_N_INFLUENCE_STATES);
    json_t *percentile = json_object_get(from, "percentile");
    *scores =
        (sluice_scores){.state = state > 0 ? (sluice_influence_state)state : SLUICE_INFLUENCE_NONE,
                        .loss = number_of(from, "loss"),
                        .self = number_of(from, "self"),
                        .ratio = number_of(from, "ratio"),
                        .leverage = number_of(from, "leverage"),
                        .residual = number_of(from, "residual"),
                        .source_shift = number_of(from, "source_shift"),
                        .reliability = number_of(from, "reliability")};
    scores->percentile.loss = number_of(percentile, "loss");
    scores->percentile.self = number_of(percentile, "self");
    scores->percentile.leverage = number_of(percentile, "leverage");
    const char *name;
    json_t *value, *toward = json_object_get(percentile, "toward");
    json_object_foreach(json_object_get(from, "toward"), name, value)
    {
        if (scores->n_toward < SLUICE_LIMIT_REFERENCES) {
            uint32_t r = scores->n_toward++;
            scores->toward_name[r] = name;
            scores->toward[r] = json_is_number(value) ? (float)json_number_value(value) : NAN;
            scores->percentile.toward[r] = number_of(toward, name);
        }
    }
    return state > 0;
}

static bool read_verdict(const json_t *record, sluice_verdict *verdict)
{
    static const char *const decisions[SLUICE_N_DECISIONS] = {"keep", "flag", "drop", "refuse"};
    int decision = place_of(json_object_get(record, "decision"), decisions, SLUICE_N_DECISIONS);
    const json_t *reasons = json_object_get(record, "reasons");
    float weight = number_of(record, "weight");
    *verdict = (sluice_verdict){.weight = isnan(weight) ? 1 : weight};
    verdict->decision = decision < 0 ? SLUICE_REFUSE : (sluice_decision)decision;
    for (size_t i = 0; i < json_array_size(reasons) && i < SLUICE_LIMIT_REASONS; i++) {
        const char *reason = json_string_value(json_array_get(reasons, i));
        verdict->reasons[verdict->n_reasons++] = reason != NULL ? reason : "";
    }
    return decision >= 0;
}

static const char *read_record(json_t *record, sluice_sample *sample)
{
    const json_t *offset = json_object_get(record, "offset");
    sample->id = text_of(record, "id");
    sample->source = text_of(record, "source");
    sample->offset = json_is_integer(offset) && json_integer_value(offset) >= 0
                         ? (uint64_t)json_integer_value(offset)
                         : UINT64_MAX;
    if (!json_is_object(record) || sample->id.size == 0) {
        return "a verdict record is a JSON object with an id";
    }
    if (sample->id.size > SLUICE_LIMIT_ID_BYTES ||
        sample->source.size > SLUICE_LIMIT_SOURCE_BYTES) {
        return "id or source is longer than 256 bytes";
    }
    if (!read_verdict(record, &sample->verdict)) {
        return "decision is none of keep, flag, drop, refuse";
    }
    if (sample->verdict.decision != SLUICE_REFUSE && sample->offset == UINT64_MAX) {
        return "offset is missing";
    }
    if (!read_match(record, &sample->match)) {
        return "duplicate has an unknown method";
    }
    return read_scores(json_object_get(record, "influence"), &sample->scores)
               ? NULL
               : "influence has an unknown state";
}

sluice_status sl_verdict_line_read(sluice_span line, sl_verdict_line *out, sluice_message *why)
{
    json_error_t error;
    *out = (sl_verdict_line){
        .json = json_loadb((const char *)line.data, line.size, JSON_ALLOW_NUL, &error)};
    if (out->json == NULL) {
        return sluice_fail(why, SLUICE_E_BADSAMPLE, "not JSON: %s", error.text);
    }
    const char *wrong = read_record(out->json, &out->sample);
    if (wrong != NULL) {
        sl_verdict_line_fini(out);
        return sluice_fail(why, SLUICE_E_BADSAMPLE, "%s", wrong);
    }
    return SLUICE_OK;
}

void sl_verdict_line_fini(sl_verdict_line *line)
{
    json_decref(line->json);
    line->json = NULL;
}
