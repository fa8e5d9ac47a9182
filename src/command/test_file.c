/* test_file.c - reads a file of unit tests of a policy.
 *
 *   policy: sluice.yaml
 *   tests:
 *     - name: rare samples are flagged
 *       given: {percentile: {leverage: 0.995}}            what is not given is missing
 *       expect: {decision: flag, reasons: [rare], weight: 1}
 *
 * Why the names of policies: a test then says what a rule sees, and a misspelt name is an error
 * here as it is there. */
#include "command/test_file.h"
#include "bytes.h"
#include "config_yaml.h"
#include "nearest.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define DEPTH_MAX 4
#define TEXTS_CAP ((size_t)16 << 20)

typedef struct reading {
    sl_test_file *file;
    sl_config_yaml yaml;
    sl_names *names; /* NULL: of the whole file only `policy` is wanted */
    sl_policy_test *test;
} reading;

static void report(reading *self, const sl_config_item *at, const char *what)
{
    sl_config_report(&self->yaml, at->line, at->column, "%.300s", what);
}

static void skip(reading *self, const sl_config_item *first)
{
    uint32_t depth = 0;
    for (sl_config_item at = *first; at.kind != SL_CONFIG_ITEM_END;
         at = sl_config_next(&self->yaml)) {
        if (at.kind == SL_CONFIG_ITEM_MAPPING || at.kind == SL_CONFIG_ITEM_SEQUENCE) {
            depth++;
        } else if (at.kind == SL_CONFIG_ITEM_CLOSE) {
            depth--;
        }
        if (depth == 0) {
            return;
        }
    }
}

/* A copy with its end, in the arena. */
static const char *keep_text(reading *self, sluice_span text)
{
    sl_arena_allow(self->file->arena, text.size + 32);
    char *copy = sl_arena_used(self->file->arena) < TEXTS_CAP
                     ? sl_arena_alloc(self->file->arena, text.size + 1)
                     : NULL;
    if (copy == NULL) {
        self->yaml.stopped = true;
        sl_config_report(&self->yaml, 1, 1, "no memory, or more than 16 MiB of texts");
        return "";
    }
    if (text.size > 0) {
        memcpy(copy, text.data, text.size);
    }
    copy[text.size] = '\0';
    return copy;
}

static bool read_number(sluice_span text, double *out)
{
    char copy[64], *end;
    if (text.size == 0 || text.size >= sizeof copy) {
        return false;
    }
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    *out = strtod(copy, &end);
    return *end == '\0' && isfinite(*out);
}

/* The next member of a mapping that was opened; false at its end. Its value is `value`. */
static bool next_member(reading *self, char *name, size_t size, sl_config_item *at,
                        sl_config_item *value)
{
    *at = sl_config_next(&self->yaml);
    while (at->kind != SL_CONFIG_ITEM_CLOSE && at->kind != SL_CONFIG_ITEM_END) {
        bool good = at->kind == SL_CONFIG_ITEM_SCALAR && at->text.size < size;
        if (good) {
            snprintf(name, size, "%.*s", (int)at->text.size,
                     at->text.size > 0 ? (const char *)at->text.data : "");
            *value = sl_config_next(&self->yaml);
            return true;
        }
        report(self, at, "a name must be a word");
        skip(self, at);
        *value = sl_config_next(&self->yaml);
        skip(self, value);
        *at = sl_config_next(&self->yaml);
    }
    return false;
}

static void refuse_name(reading *self, const sl_config_item *at, const char *name,
                        const char *const *known)
{
    const char *nearest = sl_nearest_word(name, known);
    sl_config_report(&self->yaml, at->line, at->column, "%.60s: unknown key%s%s%s", name,
                     nearest != NULL ? "; did you mean " : "", nearest != NULL ? nearest : "",
                     nearest != NULL ? "?" : "");
}

/* --- given --- */

static sluice_scores *scores_of(reading *self)
{
    sluice_scores *scores = &self->test->sample.scores;
    if (scores->state == SLUICE_INFLUENCE_NONE) {
        scores->state = SLUICE_LIVE;
    }
    return scores;
}

static sluice_match *match_of(reading *self)
{
    sluice_match *match = &self->test->sample.match;
    if (match->method == SLUICE_METHOD_NONE) {
        match->method = SLUICE_METHOD_EXACT;
        match->similarity = 1;
    }
    return match;
}

static int place_of(const char *text, const char *const *words, int n)
{
    for (int i = 1; i < n; i++) {
        if (strcmp(text, words[i]) == 0) {
            return i;
        }
    }
    return 0;
}

/* False: the value is none of what may stand there. */
static bool set_text(reading *self, const sl_name *name, const char *text)
{
    static const char *const methods[SLUICE_N_METHODS] = {"", "exact", "text", "image",
                                                          "embedding"};
    static const char *const states[SLUICE_N_INFLUENCE_STATES] = {"", "warming", "live", "stale"};
    static const char *const differs[SLUICE_N_DIFFERS] = {"", "numbers", "slot"};
    sluice_sample *sample = &self->test->sample;
    int place;
    switch (name->kind) {
    case SL_NAME_DUPLICATE_METHOD:
        place = place_of(text, methods, SLUICE_N_METHODS);
        match_of(self)->method = (sluice_method)(place > 0 ? place : (int)SLUICE_METHOD_EXACT);
        return place > 0;
    case SL_NAME_DUPLICATE_DIFFERS:
        place = place_of(text, differs, SLUICE_N_DIFFERS);
        match_of(self)->differs = (sluice_differs)place;
        return place > 0;
    case SL_NAME_INFLUENCE_STATE:
        place = place_of(text, states, SLUICE_N_INFLUENCE_STATES);
        sample->scores.state = (sluice_influence_state)place;
        return place > 0;
    case SL_NAME_DUPLICATE_OF:
        match_of(self)->of_id = sl_span_of(text);
        return true;
    case SL_NAME_DUPLICATE_SOURCE:
        match_of(self)->of_source = sl_span_of(text);
        return true;
    case SL_NAME_SAMPLE_SOURCE:
        sample->source = sl_span_of(text);
        return true;
    case SL_NAME_SAMPLE_MEDIA_TYPE:
        sample->media_type = sl_span_of(text);
        return true;
    default:
        self->test->attribute[name->index] = sl_span_of(text);
        return true;
    }
}

static bool set_number(reading *self, const sl_name *name, double value)
{
    sluice_sample *sample = &self->test->sample;
    float number = (float)value;
    switch (name->kind) {
    case SL_NAME_DUPLICATE_SIMILARITY:
        match_of(self)->similarity = number;
        return true;
    case SL_NAME_DUPLICATE_CONTAINED:
        sample->match.contained = number;
        return value > 0 && value <= 1;
    case SL_NAME_INFLUENCE_LOSS:
        scores_of(self)->loss = number;
        return true;
    case SL_NAME_INFLUENCE_SELF:
        scores_of(self)->self = number;
        return true;
    case SL_NAME_INFLUENCE_LEVERAGE:
        scores_of(self)->leverage = number;
        return true;
    case SL_NAME_INFLUENCE_SOURCE_SHIFT:
        scores_of(self)->source_shift = number;
        return true;
    case SL_NAME_INFLUENCE_RELIABILITY:
        scores_of(self)->reliability = number;
        return true;
    case SL_NAME_INFLUENCE_TOWARD:
        scores_of(self)->toward[name->index] = number;
        return true;
    case SL_NAME_PERCENTILE_LOSS:
        scores_of(self)->percentile.loss = number;
        return true;
    case SL_NAME_PERCENTILE_SELF:
        scores_of(self)->percentile.self = number;
        return true;
    case SL_NAME_PERCENTILE_LEVERAGE:
        scores_of(self)->percentile.leverage = number;
        return true;
    case SL_NAME_PERCENTILE_TOWARD:
        scores_of(self)->percentile.toward[name->index] = number;
        return true;
    case SL_NAME_SAMPLE_BYTES:
        sample->payload = (sluice_span){NULL, value >= 0 && value < 1e9 ? (size_t)value : 0};
        return value >= 0 && value < 1e9;
    case SL_NAME_SAMPLE_COST:
        sample->cost = value;
        return true;
    default: /* sample.age_s: of two times only the difference counts */
        sample->event_time_us = 1;
        sample->arrived_us = 1 + (int64_t)fmin(fmax(value * 1e6, -1e15), 1e15);
        return true;
    }
}

/* duplicate: false | true, and every other name's own type. */
static void set_value(reading *self, const char *path, const sl_config_item *at)
{
    char copy[SL_CONFIG_WRITTEN_BYTES];
    sluice_span part[3];
    uint32_t n_parts = 0;
    snprintf(copy, sizeof copy, "%s", path);
    for (char *word = copy; word != NULL && n_parts < 3; n_parts++) {
        bool attribute = n_parts == 1 && strncmp(copy, "attributes", 11) == 0;
        char *dot = attribute ? NULL : strchr(word, '.');
        if (dot != NULL) {
            *dot = '\0';
        }
        part[n_parts] = sl_span_of(word);
        word = dot != NULL ? dot + 1 : NULL;
    }
    sl_name name = {0};
    sluice_message wrong;
    double number = 0;
    bool good = false;
    if (!sl_names_find(self->names, part, n_parts, &name, &wrong)) {
        report(self, at, wrong.text);
        return;
    }
    if (at->null) {
        return; /* missing, and said so */
    }
    if (name.kind == SL_NAME_DUPLICATE) {
        bool truth = sl_span_equal(at->text, sl_span_of("true"));
        if (truth) {
            (void)match_of(self);
        }
        good = truth || sl_span_equal(at->text, sl_span_of("false"));
    } else if (sl_name_type(name.kind) == SL_VALUE_NUMBER) {
        good = read_number(at->text, &number) && set_number(self, &name, number);
    } else {
        good = set_text(self, &name, keep_text(self, at->text));
    }
    if (!good) {
        sl_config_report(&self->yaml, at->line, at->column, "%.200s: have \"%.*s\"; %s", path,
                         (int)(at->text.size < 60 ? at->text.size : 60),
                         at->text.size > 0 ? (const char *)at->text.data : "",
                         name.kind == SL_NAME_DUPLICATE ? "expected true or false, or its members"
                                                        : "it cannot have this value");
    }
}

/* Nested members are a path with dots. */
static void read_given(reading *self, const sl_config_item *first)
{
    char path[SL_CONFIG_WRITTEN_BYTES] = "", name[128];
    size_t end[DEPTH_MAX] = {0};
    uint32_t depth = 1;
    sl_config_item at, value;
    if (first->kind != SL_CONFIG_ITEM_MAPPING) {
        report(self, first, "given: expected names and values, such as {percentile: {self: 0.9}}");
        skip(self, first);
        return;
    }
    while (depth > 0) {
        path[end[depth - 1]] = '\0';
        if (!next_member(self, name, sizeof name, &at, &value)) {
            depth = at.kind == SL_CONFIG_ITEM_END ? 0 : depth - 1;
            continue;
        }
        size_t size = strlen(path);
        snprintf(path + size, sizeof path - size, "%s%s", size > 0 ? "." : "", name);
        if (value.kind == SL_CONFIG_ITEM_SCALAR) {
            set_value(self, path, &value);
        } else if (value.kind == SL_CONFIG_ITEM_MAPPING && depth < DEPTH_MAX) {
            end[depth++] = strlen(path);
        } else {
            report(self, &value, "expected a single value here");
            skip(self, &value);
        }
    }
}

/* --- expect --- */

static void read_reasons(reading *self, const sl_config_item *first)
{
    sl_policy_test *test = self->test;
    if (first->kind != SL_CONFIG_ITEM_SEQUENCE) {
        report(self, first, "reasons: expected a list, such as [rare]");
        skip(self, first);
        return;
    }
    test->expects_reasons = true;
    for (sl_config_item at = sl_config_next(&self->yaml);
         at.kind != SL_CONFIG_ITEM_CLOSE && at.kind != SL_CONFIG_ITEM_END;
         at = sl_config_next(&self->yaml)) {
        if (at.kind != SL_CONFIG_ITEM_SCALAR || test->n_reasons == SLUICE_LIMIT_REASONS) {
            report(self, &at, "reasons: expected at most 8 words");
            skip(self, &at);
        } else {
            test->reasons[test->n_reasons++] = keep_text(self, at.text);
        }
    }
}

static bool read_decision(sluice_span text, sluice_decision *decision)
{
    static const char *const words[] = {"keep", "flag", "drop"};
    for (uint32_t i = 0; i < 3; i++) {
        if (sl_span_equal(text, sl_span_of(words[i]))) {
            *decision = (sluice_decision)(SLUICE_KEEP + i);
            return true;
        }
    }
    return false;
}

static void read_expect(reading *self, const sl_config_item *first)
{
    static const char *const known[] = {"decision", "reasons", "weight", NULL};
    char name[64];
    bool decided = false;
    sl_config_item at, value;
    if (first->kind != SL_CONFIG_ITEM_MAPPING) {
        report(self, first, "expect: expected {decision: ..., reasons: [...], weight: ...}");
        skip(self, first);
        return;
    }
    while (next_member(self, name, sizeof name, &at, &value)) {
        bool scalar = value.kind == SL_CONFIG_ITEM_SCALAR;
        if (strcmp(name, "reasons") == 0) {
            read_reasons(self, &value);
        } else if (strcmp(name, "decision") == 0 && scalar) {
            decided = read_decision(value.text, &self->test->decision);
            if (!decided) {
                report(self, &value, "decision: expected keep, flag or drop");
                decided = true;
            }
        } else if (strcmp(name, "weight") == 0 && scalar) {
            self->test->expects_weight = read_number(value.text, &self->test->weight);
            if (!self->test->expects_weight) {
                report(self, &value, "weight: expected a number");
            }
        } else {
            refuse_name(self, &at, name, known);
            skip(self, &value);
        }
    }
    if (!decided) {
        report(self, first, "expect: decision is missing");
    }
}

/* --- the file --- */

static void clear_test(reading *self, uint32_t line)
{
    sl_policy_test *test = self->test;
    *test = (sl_policy_test){.name = "", .line = line};
    sluice_scores *scores = &test->sample.scores;
    scores->loss = scores->self = scores->ratio = scores->leverage = scores->residual = NAN;
    scores->source_shift = scores->reliability = NAN;
    scores->percentile.loss = scores->percentile.self = scores->percentile.leverage = NAN;
    scores->n_toward = self->names->n_references;
    for (uint32_t r = 0; r < scores->n_toward; r++) {
        scores->toward_name[r] = self->names->reference[r];
        scores->toward[r] = scores->percentile.toward[r] = NAN;
    }
    test->sample.match.of_id = sl_span_of("the-kept-one");
}

static void read_test(reading *self, const sl_config_item *first)
{
    static const char *const known[] = {"name", "given", "expect", NULL};
    char name[64];
    bool expects = false;
    sl_config_item at, value;
    if (first->kind != SL_CONFIG_ITEM_MAPPING || self->file->n_tests == SL_TEST_FILE_TESTS) {
        report(self, first, "tests: expected at most 1024 of {name: ..., given: ..., expect: ...}");
        skip(self, first);
        return;
    }
    self->test = &self->file->tests[self->file->n_tests++];
    clear_test(self, first->line);
    while (next_member(self, name, sizeof name, &at, &value)) {
        if (strcmp(name, "given") == 0) {
            read_given(self, &value);
        } else if (strcmp(name, "expect") == 0) {
            expects = true;
            read_expect(self, &value);
        } else if (strcmp(name, "name") == 0 && value.kind == SL_CONFIG_ITEM_SCALAR) {
            self->test->name = keep_text(self, value.text);
        } else {
            refuse_name(self, &at, name, known);
            skip(self, &value);
        }
    }
    if (!expects) {
        report(self, first, "expect is missing");
    }
}

static void read_tests(reading *self, const sl_config_item *first)
{
    if (first->kind != SL_CONFIG_ITEM_SEQUENCE) {
        report(self, first, "tests: expected a list");
        skip(self, first);
        return;
    }
    for (sl_config_item at = sl_config_next(&self->yaml);
         at.kind != SL_CONFIG_ITEM_CLOSE && at.kind != SL_CONFIG_ITEM_END;
         at = sl_config_next(&self->yaml)) {
        read_test(self, &at);
    }
}

static void read_root(reading *self)
{
    static const char *const known[] = {"policy", "tests", NULL};
    char name[64];
    sl_config_item document = sl_config_next(&self->yaml);
    sl_config_item root =
        document.kind == SL_CONFIG_ITEM_DOCUMENT ? sl_config_next(&self->yaml) : document;
    sl_config_item at, value;
    if (root.kind != SL_CONFIG_ITEM_MAPPING) {
        report(self, &root, "expected policy: FILE and tests: [...]");
        return;
    }
    while (next_member(self, name, sizeof name, &at, &value)) {
        if (strcmp(name, "policy") == 0 && value.kind == SL_CONFIG_ITEM_SCALAR &&
            value.text.size < sizeof self->file->config) {
            snprintf(self->file->config, sizeof self->file->config, "%.*s", (int)value.text.size,
                     value.text.size > 0 ? (const char *)value.text.data : "");
        } else if (strcmp(name, "tests") == 0) {
            if (self->names != NULL) {
                read_tests(self, &value);
            } else {
                skip(self, &value);
            }
        } else {
            refuse_name(self, &at, name, known);
            skip(self, &value);
        }
    }
}

static sluice_status read_file(sl_test_file *file, sluice_span text, sl_names *names)
{
    reading self = {
        .file = file, .names = names, .yaml = {.errors = &file->errors, .positions = true}};
    file->errors.n = 0;
    SLUICE_TRY(sl_config_yaml_open(&self.yaml, text));
    read_root(&self);
    sl_config_yaml_close(&self.yaml);
    return file->errors.n > 0 ? SLUICE_E_CONFIG : SLUICE_OK;
}

sluice_status sl_test_file_config(sl_test_file *file, sluice_span text)
{
    file->config[0] = '\0';
    return read_file(file, text, NULL);
}

sluice_status sl_test_file_read(sl_test_file *file, sluice_span text, sl_names *names)
{
    file->n_tests = 0;
    if (file->tests == NULL) {
        file->tests = calloc(SL_TEST_FILE_TESTS, sizeof *file->tests);
    }
    if (file->tests == NULL || (file->arena == NULL && sl_arena_open(&file->arena) != SLUICE_OK)) {
        return SLUICE_E_NOMEM;
    }
    sl_arena_reset(file->arena, 0);
    return read_file(file, text, names);
}

void sl_test_file_fini(sl_test_file *file)
{
    free(file->tests);
    file->tests = NULL;
    sl_arena_close(&file->arena);
}
