/* names.c - what a policy may speak of, and what each name stands for in one sample.
 *
 *   duplicate   false, or .similarity .method .of .source .differs; .contained
 *   influence   .loss .self .leverage .source_shift .state .reliability .toward.REFERENCE
 *   percentile  .loss .self .leverage .toward.REFERENCE          number -> NaN where there is none
 *   sample      .source .media_type .bytes .cost .age_s          text   -> nil where there is none
 *   attributes  .NAME                                            always text
 *
 * Why names are resolved when the policy is loaded: a misspelt one would be missing in every
 * sample, so its rule would silently never match.
 * Why age is arrival less event time: both are recorded with the sample; a clock is not. */
#include "decide/names.h"
#include "bytes.h"
#include "nearest.h"

#include <math.h>
#include <stdio.h>

typedef struct known_name {
    const char *path;
    sl_value_type type;
} known_name;

static const known_name known[SL_N_NAMES] = {
    [SL_NAME_DUPLICATE] = {"duplicate", SL_VALUE_BOOLEAN},
    [SL_NAME_DUPLICATE_SIMILARITY] = {"duplicate.similarity", SL_VALUE_NUMBER},
    [SL_NAME_DUPLICATE_METHOD] = {"duplicate.method", SL_VALUE_TEXT},
    [SL_NAME_DUPLICATE_OF] = {"duplicate.of", SL_VALUE_TEXT},
    [SL_NAME_DUPLICATE_DIFFERS] = {"duplicate.differs", SL_VALUE_TEXT},
    [SL_NAME_DUPLICATE_SOURCE] = {"duplicate.source", SL_VALUE_TEXT},
    [SL_NAME_DUPLICATE_CONTAINED] = {"duplicate.contained", SL_VALUE_NUMBER},
    [SL_NAME_INFLUENCE_LOSS] = {"influence.loss", SL_VALUE_NUMBER},
    [SL_NAME_INFLUENCE_SELF] = {"influence.self", SL_VALUE_NUMBER},
    [SL_NAME_INFLUENCE_LEVERAGE] = {"influence.leverage", SL_VALUE_NUMBER},
    [SL_NAME_INFLUENCE_SOURCE_SHIFT] = {"influence.source_shift", SL_VALUE_NUMBER},
    [SL_NAME_INFLUENCE_STATE] = {"influence.state", SL_VALUE_TEXT},
    [SL_NAME_INFLUENCE_RELIABILITY] = {"influence.reliability", SL_VALUE_NUMBER},
    [SL_NAME_INFLUENCE_TOWARD] = {"influence.toward", SL_VALUE_NUMBER},
    [SL_NAME_PERCENTILE_LOSS] = {"percentile.loss", SL_VALUE_NUMBER},
    [SL_NAME_PERCENTILE_SELF] = {"percentile.self", SL_VALUE_NUMBER},
    [SL_NAME_PERCENTILE_LEVERAGE] = {"percentile.leverage", SL_VALUE_NUMBER},
    [SL_NAME_PERCENTILE_TOWARD] = {"percentile.toward", SL_VALUE_NUMBER},
    [SL_NAME_SAMPLE_SOURCE] = {"sample.source", SL_VALUE_TEXT},
    [SL_NAME_SAMPLE_MEDIA_TYPE] = {"sample.media_type", SL_VALUE_TEXT},
    [SL_NAME_SAMPLE_BYTES] = {"sample.bytes", SL_VALUE_NUMBER},
    [SL_NAME_SAMPLE_COST] = {"sample.cost", SL_VALUE_NUMBER},
    [SL_NAME_SAMPLE_AGE_S] = {"sample.age_s", SL_VALUE_NUMBER},
    [SL_NAME_ATTRIBUTE] = {"attributes", SL_VALUE_TEXT},
};

void sl_names_init(sl_names *names, const sluice_config *config)
{
    memset(names, 0, sizeof *names);
    names->n_references = config->influence.n_references;
    for (uint32_t r = 0; r < names->n_references; r++) {
        memcpy(names->reference[r], config->influence.reference[r].name,
               sizeof names->reference[r]);
    }
}

/* --- finding --- */

static bool equals(sluice_span span, const char *text)
{
    return sl_span_equal(span, sl_span_of(text));
}

static bool find_attribute(sl_names *names, sluice_span word, sl_name *name, sluice_message *wrong)
{
    if (word.size == 0 || word.size > SLUICE_LIMIT_SOURCE_BYTES) {
        (void)sluice_fail(wrong, SLUICE_OK, "an attribute's name has 1 to %d bytes",
                          SLUICE_LIMIT_SOURCE_BYTES);
        return false;
    }
    uint32_t i = 0;
    while (i < names->n_attributes && !equals(word, names->attribute[i])) {
        i++;
    }
    if (i == SL_NAMES_ATTRIBUTES) {
        (void)sluice_fail(wrong, SLUICE_OK, "more than %d different attributes are used",
                          SL_NAMES_ATTRIBUTES);
        return false;
    }
    if (i == names->n_attributes) {
        memcpy(names->attribute[i], word.data, word.size);
        names->attribute[i][word.size] = '\0';
        names->n_attributes++;
    }
    *name = (sl_name){SL_NAME_ATTRIBUTE, i};
    return true;
}

static bool find_reference(const sl_names *names, sluice_span word, sl_name *name,
                           sluice_message *wrong)
{
    for (uint32_t r = 0; r < names->n_references; r++) {
        if (equals(word, names->reference[r])) {
            name->index = r;
            return true;
        }
    }
    const char *words[SLUICE_LIMIT_REFERENCES + 1] = {NULL};
    for (uint32_t r = 0; r < names->n_references; r++) {
        words[r] = names->reference[r];
    }
    char have[64];
    snprintf(have, sizeof have, "%.*s", (int)(word.size < 63 ? word.size : 63), word.data);
    const char *nearest = sl_nearest_word(have, words);
    (void)sluice_fail(wrong, SLUICE_OK, "toward.%s: influence.references has no such name%s%s%s",
                      have, nearest != NULL ? "; did you mean " : "",
                      nearest != NULL ? nearest : "", nearest != NULL ? "?" : "");
    return false;
}

static bool refuse_unknown(const char *path, sluice_message *wrong)
{
    const char *words[SL_N_NAMES + 1] = {NULL};
    size_t size = strlen(path);
    const char *member = NULL;
    for (int i = 0; i < SL_N_NAMES; i++) {
        words[i] = known[i].path;
        bool inside = strncmp(known[i].path, path, size) == 0 && known[i].path[size] == '.';
        member = member == NULL && inside ? known[i].path : member;
    }
    if (member != NULL) {
        (void)sluice_fail(wrong, SLUICE_OK, "%s: has no value of its own, only members such as %s",
                          path, member);
        return false;
    }
    const char *nearest = sl_nearest_word(path, words);
    (void)sluice_fail(wrong, SLUICE_OK, "%s: unknown name%s%s%s", path,
                      nearest != NULL ? "; did you mean " : "", nearest != NULL ? nearest : "",
                      nearest != NULL ? "?" : "");
    return false;
}

bool sl_names_find(sl_names *names, const sluice_span *part, uint32_t n_parts, sl_name *name,
                   sluice_message *wrong)
{
    char path[96] = "";
    size_t size = 0;
    for (uint32_t i = 0; i < n_parts && size + 1 < sizeof path; i++) {
        size_t room = sizeof path - size;
        int n = snprintf(path + size, room, "%s%.*s", i > 0 ? "." : "",
                         (int)(part[i].size < 64 ? part[i].size : 64), part[i].data);
        size += (size_t)n < room ? (size_t)n : room - 1;
    }
    if (n_parts == 2 && equals(part[0], known[SL_NAME_ATTRIBUTE].path)) {
        return find_attribute(names, part[1], name, wrong);
    }
    bool influence = equals(part[0], "influence");
    if (n_parts == 3 && equals(part[1], "toward") && (influence || equals(part[0], "percentile"))) {
        name->kind = influence ? SL_NAME_INFLUENCE_TOWARD : SL_NAME_PERCENTILE_TOWARD;
        return find_reference(names, part[2], name, wrong);
    }
    for (int i = 0; i < SL_N_NAMES; i++) {
        bool whole = i != SL_NAME_INFLUENCE_TOWARD && i != SL_NAME_PERCENTILE_TOWARD &&
                     i != SL_NAME_ATTRIBUTE;
        if (whole && strcmp(known[i].path, path) == 0) {
            *name = (sl_name){(sl_name_kind)i, 0};
            return true;
        }
    }
    if (strcmp(path, "attributes") == 0 || strcmp(path, "influence.toward") == 0 ||
        strcmp(path, "percentile.toward") == 0) {
        (void)sluice_fail(wrong, SLUICE_OK, "%s: has no value of its own; expected %s.NAME", path,
                          path);
        return false;
    }
    return refuse_unknown(path, wrong);
}

/* --- values --- */

sl_value_type sl_name_type(sl_name_kind kind)
{
    return known[kind].type;
}

const char *sl_name_path(sl_name_kind kind)
{
    return known[kind].path;
}

const char *sl_name_last(const sl_names *names, const sl_name *name)
{
    if (name->kind == SL_NAME_ATTRIBUTE) {
        return names->attribute[name->index];
    }
    bool toward = name->kind == SL_NAME_INFLUENCE_TOWARD || name->kind == SL_NAME_PERCENTILE_TOWARD;
    return toward ? names->reference[name->index] : "";
}

static sl_value number_of(double number)
{
    return (sl_value){.type = SL_VALUE_NUMBER, .number = number};
}

static sl_value text_of(sluice_span span)
{
    size_t size = span.size < SL_NAMES_TEXT_BYTES ? span.size : SL_NAMES_TEXT_BYTES;
    return (sl_value){.type = SL_VALUE_TEXT, .text = {span.data, size}};
}

static sl_value word_of(const char *word)
{
    return word != NULL ? text_of(sl_span_of(word)) : (sl_value){.type = SL_VALUE_NIL};
}

/* The record of an older log names its references itself, perhaps in another order. */
static double toward_of(const sl_names *names, uint32_t i_reference, const sluice_scores *scores,
                        const float *toward)
{
    const char *name = names->reference[i_reference];
    for (uint32_t r = 0; r < scores->n_toward; r++) {
        if (scores->toward_name[r] != NULL && strcmp(scores->toward_name[r], name) == 0) {
            return (double)toward[r];
        }
    }
    return (double)NAN;
}

static sl_value duplicate_value(sl_name_kind kind, const sluice_match *match)
{
    static const char *const methods[SLUICE_N_METHODS] = {NULL, "exact", "text", "image",
                                                          "embedding"};
    static const char *const differs[SLUICE_N_DIFFERS] = {NULL, "numbers", "slot"};
    bool found = match->method != SLUICE_METHOD_NONE;
    switch (kind) {
    case SL_NAME_DUPLICATE:
        return (sl_value){.type = SL_VALUE_BOOLEAN, .truth = found};
    case SL_NAME_DUPLICATE_SIMILARITY:
        return number_of(found ? (double)match->similarity : (double)NAN);
    case SL_NAME_DUPLICATE_METHOD:
        return word_of((unsigned)match->method < SLUICE_N_METHODS ? methods[match->method] : NULL);
    case SL_NAME_DUPLICATE_OF:
        return found ? text_of(match->of_id) : word_of(NULL);
    case SL_NAME_DUPLICATE_DIFFERS:
        found = found && (unsigned)match->differs < SLUICE_N_DIFFERS;
        return word_of(found ? differs[match->differs] : NULL);
    case SL_NAME_DUPLICATE_CONTAINED:
        return number_of(match->contained > 0 ? (double)match->contained : (double)NAN);
    default:
        return found ? text_of(match->of_source) : word_of(NULL);
    }
}

/* Where influence has no value at all its numbers are zero in the sample, and NaN here. */
static sl_value score_value(const sl_names *names, const sl_name *name, const sluice_scores *scores)
{
    static const char *const states[SLUICE_N_INFLUENCE_STATES] = {NULL, "warming", "live", "stale"};
    if (name->kind == SL_NAME_INFLUENCE_STATE) {
        return word_of((unsigned)scores->state < SLUICE_N_INFLUENCE_STATES ? states[scores->state]
                                                                           : NULL);
    }
    if (scores->state == SLUICE_INFLUENCE_NONE) {
        return number_of((double)NAN);
    }
    switch (name->kind) {
    case SL_NAME_INFLUENCE_LOSS:
        return number_of((double)scores->loss);
    case SL_NAME_INFLUENCE_SELF:
        return number_of((double)scores->self);
    case SL_NAME_INFLUENCE_LEVERAGE:
        return number_of((double)scores->leverage);
    case SL_NAME_INFLUENCE_SOURCE_SHIFT:
        return number_of((double)scores->source_shift);
    case SL_NAME_INFLUENCE_RELIABILITY:
        return number_of((double)scores->reliability);
    case SL_NAME_INFLUENCE_TOWARD:
        return number_of(toward_of(names, name->index, scores, scores->toward));
    case SL_NAME_PERCENTILE_LOSS:
        return number_of((double)scores->percentile.loss);
    case SL_NAME_PERCENTILE_SELF:
        return number_of((double)scores->percentile.self);
    case SL_NAME_PERCENTILE_LEVERAGE:
        return number_of((double)scores->percentile.leverage);
    default:
        return number_of(toward_of(names, name->index, scores, scores->percentile.toward));
    }
}

static double age_of(const sluice_sample *sample)
{
    double age_us = (double)sample->arrived_us - (double)sample->event_time_us;
    return sample->event_time_us == 0 ? (double)NAN : age_us / 1e6;
}

sl_value sl_name_value(const sl_names *names, const sl_name *name, const sl_facts *facts)
{
    const sluice_sample *sample = facts->sample;
    switch (name->kind) {
    case SL_NAME_DUPLICATE:
    case SL_NAME_DUPLICATE_SIMILARITY:
    case SL_NAME_DUPLICATE_METHOD:
    case SL_NAME_DUPLICATE_OF:
    case SL_NAME_DUPLICATE_DIFFERS:
    case SL_NAME_DUPLICATE_SOURCE:
    case SL_NAME_DUPLICATE_CONTAINED:
        return duplicate_value(name->kind, &sample->match);
    case SL_NAME_SAMPLE_SOURCE:
        return text_of(sample->source);
    case SL_NAME_SAMPLE_MEDIA_TYPE:
        return facts->record_only ? word_of(NULL) : text_of(sample->media_type);
    case SL_NAME_SAMPLE_BYTES:
        return number_of(facts->record_only ? (double)NAN : (double)sample->payload.size);
    case SL_NAME_SAMPLE_COST:
        return number_of(facts->record_only ? (double)NAN : sample->cost);
    case SL_NAME_SAMPLE_AGE_S:
        return number_of(facts->record_only ? (double)NAN : age_of(sample));
    case SL_NAME_ATTRIBUTE:
        return facts->attribute != NULL && facts->attribute[name->index].data != NULL
                   ? text_of(facts->attribute[name->index])
                   : word_of(NULL);
    default:
        return score_value(names, name, &sample->scores);
    }
}
