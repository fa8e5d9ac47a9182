/* config_node.c - values that are lists or mappings: damping, refresh, references.
 *
 *   damping:     {margin: 2.0} | {relative: 0.1}
 *   refresh:     auto | [512, 1024]             offsets, multiples of 256
 *   references:  [{name: a, source: s, samples: 500}, {name: b, path: r.jsonl, views: r.npy}]
 *
 * Why a row of members first: a mapping is read to its end before anything in it is believed, so
 * that one wrong member gives one error, and the items behind it keep their places. */
#include "config_node.h"
#include "config_policy.h"
#include "config_value.h"
#include "bytes.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define MEMBERS_MAX 8

typedef struct member {
    char name[32];
    char value[SLUICE_LIMIT_STRING_BYTES];
    uint32_t line, column;
} member;

typedef struct members {
    member at[MEMBERS_MAX];
    uint32_t n;
    bool flat; /* nothing but scalars in it, and not too many */
} members;

bool sl_config_node_is(const sl_config_key *key)
{
    return key->type == SL_CONFIG_DAMPING || key->type == SL_CONFIG_OFFSETS ||
           key->type == SL_CONFIG_REFERENCES || sl_config_policy_is(key);
}

const char *sl_config_node_expected(const sl_config_key *key)
{
    if (sl_config_policy_is(key)) {
        return sl_config_policy_expected(key);
    }
    if (key->type == SL_CONFIG_DAMPING) {
        return "{margin: X} or {relative: X}, X from 0.000001 to 1000000";
    }
    if (key->type == SL_CONFIG_OFFSETS) {
        return "auto, or at most 32 ascending multiples of 256, such as [512, 1024]";
    }
    return "at most 8 of {name: N, source: S, samples: 1 to 1000} or {name: N, path: F, views: F}";
}

static void report(sl_config_yaml *yaml, const sl_config_key *key, const sl_config_item *at,
                   const char *what)
{
    sl_config_report(yaml, at->line, at->column, "%s: %s; expected %s", key->name, what,
                     sl_config_node_expected(key));
}

static bool copy_text(sluice_span from, char *to, size_t size)
{
    bool fits = from.size < size && (from.size == 0 || memchr(from.data, 0, from.size) == NULL);
    size_t n = fits ? from.size : 0;
    if (n > 0) {
        memcpy(to, from.data, n);
    }
    to[n] = '\0';
    return fits;
}

/* The mapping whose opening item was taken. */
static void read_members(sl_config_yaml *yaml, members *out)
{
    out->n = 0;
    out->flat = true;
    for (;;) {
        sl_config_item name = sl_config_next(yaml);
        if (name.kind == SL_CONFIG_ITEM_CLOSE || name.kind == SL_CONFIG_ITEM_END) {
            return;
        }
        member added = {.line = name.line, .column = name.column};
        out->flat = out->flat && name.kind == SL_CONFIG_ITEM_SCALAR &&
                    copy_text(name.text, added.name, sizeof added.name);
        if (name.kind != SL_CONFIG_ITEM_SCALAR) {
            sl_config_skip(yaml, &name);
        }
        sl_config_item value = sl_config_next(yaml);
        out->flat = out->flat && value.kind == SL_CONFIG_ITEM_SCALAR && out->n < MEMBERS_MAX &&
                    copy_text(value.text, added.value, sizeof added.value);
        if (value.kind != SL_CONFIG_ITEM_SCALAR) {
            sl_config_skip(yaml, &value);
        }
        if (out->flat) {
            out->at[out->n++] = added;
        }
    }
}

static bool read_real(const char *text, double least, double most, double *out)
{
    char *end;
    *out = strtod(text, &end);
    return text[0] != '\0' && *end == '\0' && strspn(text, "0123456789.eE+-") == strlen(text) &&
           *out >= least && *out <= most;
}

static bool read_count(const char *text, uint64_t least, uint64_t most, uint64_t *out)
{
    size_t digits = strspn(text, "0123456789");
    *out = strtoull(text, NULL, 10);
    return digits > 0 && digits < 19 && text[digits] == '\0' && *out >= least && *out <= most;
}

static void read_damping(const sl_config_key *key, sl_config_yaml *yaml,
                         const sl_config_item *first, sluice_config *config)
{
    members found;
    double value;
    if (first->kind != SL_CONFIG_ITEM_MAPPING) {
        report(yaml, key, first, "not a mapping");
        sl_config_skip(yaml, first);
        return;
    }
    read_members(yaml, &found);
    bool good = found.flat && found.n == 1 && read_real(found.at[0].value, 1e-6, 1e6, &value);
    bool margin = good && strcmp(found.at[0].name, "margin") == 0;
    bool relative = good && strcmp(found.at[0].name, "relative") == 0;
    if (!margin && !relative) {
        report(yaml, key, first, "cannot be read");
        return;
    }
    config->influence.damping.margin = margin ? value : 0;
    config->influence.damping.relative = relative ? value : 0;
}

static void read_offsets(const sl_config_key *key, sl_config_yaml *yaml,
                         const sl_config_item *first, sluice_config *config)
{
    sluice_influence_config *influence = &config->influence;
    if (first->kind == SL_CONFIG_ITEM_SCALAR && sl_span_equal(first->text, sl_span_of("auto"))) {
        influence->expert.n_refresh = 0;
        return;
    }
    if (first->kind != SL_CONFIG_ITEM_SEQUENCE) {
        report(yaml, key, first, "cannot be read");
        sl_config_skip(yaml, first);
        return;
    }
    uint64_t offset[SLUICE_LIMIT_REFRESHES];
    uint32_t n = 0;
    bool good = true;
    for (sl_config_item at = sl_config_next(yaml);
         at.kind != SL_CONFIG_ITEM_CLOSE && at.kind != SL_CONFIG_ITEM_END;
         at = sl_config_next(yaml)) {
        char text[32];
        uint64_t value = 0;
        good = good && at.kind == SL_CONFIG_ITEM_SCALAR && n < SLUICE_LIMIT_REFRESHES &&
               copy_text(at.text, text, sizeof text) &&
               read_count(text, 256, UINT64_C(1) << 52, &value) && value % 256 == 0 &&
               (n == 0 || value > offset[n - 1]);
        if (at.kind != SL_CONFIG_ITEM_SCALAR) {
            sl_config_skip(yaml, &at);
        }
        if (good) {
            offset[n++] = value;
        }
    }
    if (!good || n == 0) {
        report(yaml, key, first, "cannot be read");
        return;
    }
    memset(influence->expert.refresh, 0, sizeof influence->expert.refresh);
    memcpy(influence->expert.refresh, offset, n * sizeof *offset);
    influence->expert.n_refresh = n;
}

/* Letters, digits, _ - : a name is written into policies as toward.NAME. */
static bool is_name(const char *text)
{
    return text[0] != '\0' &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") ==
               strlen(text);
}

static bool take_member(const member *from, sluice_reference *to)
{
    uint64_t samples;
    if (strcmp(from->name, "name") == 0) {
        snprintf(to->name, sizeof to->name, "%.63s", from->value);
        return is_name(from->value) && strlen(from->value) < sizeof to->name;
    }
    if (strcmp(from->name, "source") == 0) {
        memcpy(to->source, from->value, sizeof to->source);
        return true;
    }
    if (strcmp(from->name, "path") == 0) {
        memcpy(to->path, from->value, sizeof to->path);
        return from->value[0] != '\0';
    }
    if (strcmp(from->name, "views") == 0) {
        memcpy(to->views, from->value, sizeof to->views);
        return from->value[0] != '\0';
    }
    if (strcmp(from->name, "samples") == 0 &&
        read_count(from->value, 1, SLUICE_LIMIT_REFERENCE, &samples)) {
        to->samples = (uint32_t)samples;
        return true;
    }
    return false;
}

static bool read_reference(sl_config_yaml *yaml, const sl_config_item *first, sluice_reference *out)
{
    members found;
    bool has_source = false;
    memset(out, 0, sizeof *out); /* equal configurations are equal bytes */
    if (first->kind != SL_CONFIG_ITEM_MAPPING) {
        sl_config_skip(yaml, first);
        return false;
    }
    read_members(yaml, &found);
    bool good = found.flat;
    for (uint32_t i = 0; i < found.n && good; i++) {
        good = take_member(&found.at[i], out);
        has_source = has_source || strcmp(found.at[i].name, "source") == 0;
    }
    bool by_path = out->path[0] != '\0';
    return good && out->name[0] != '\0' && by_path != has_source &&
           (by_path ? out->samples == 0 : out->samples > 0 && out->views[0] == '\0');
}

static void read_references(const sl_config_key *key, sl_config_yaml *yaml,
                            const sl_config_item *first, sluice_config *config)
{
    sluice_influence_config *influence = &config->influence;
    if (first->kind != SL_CONFIG_ITEM_SEQUENCE) {
        report(yaml, key, first, "not a list");
        sl_config_skip(yaml, first);
        return;
    }
    uint32_t n = 0;
    memset(influence->reference, 0, sizeof influence->reference);
    for (sl_config_item at = sl_config_next(yaml);
         at.kind != SL_CONFIG_ITEM_CLOSE && at.kind != SL_CONFIG_ITEM_END;
         at = sl_config_next(yaml)) {
        sluice_reference found;
        bool good = read_reference(yaml, &at, &found) && n < SLUICE_LIMIT_REFERENCES;
        for (uint32_t i = 0; i < n && good; i++) {
            good = strcmp(influence->reference[i].name, found.name) != 0;
        }
        if (good) {
            influence->reference[n++] = found;
        } else {
            report(yaml, key, &at, "an entry cannot be read, or its name is taken");
        }
    }
    influence->n_references = n;
}

void sl_config_node_read(const sl_config_key *key, sl_config_yaml *yaml,
                         const sl_config_item *first, sluice_config *config)
{
    if (key->type == SL_CONFIG_DAMPING) {
        read_damping(key, yaml, first, config);
    } else if (key->type == SL_CONFIG_OFFSETS) {
        read_offsets(key, yaml, first, config);
    } else {
        read_references(key, yaml, first, config);
    }
}

/* --- printing --- */

static sluice_status put_quoted(sluice_bytes *out, const char *label, const char *text)
{
    SLUICE_TRY(sl_config_put_text(out, label));
    return sl_config_put_quoted(out, text);
}

static sluice_status print_reference(const sluice_reference *from, sluice_bytes *out)
{
    char samples[32];
    SLUICE_TRY(put_quoted(out, "{name: ", from->name));
    if (from->path[0] != '\0') {
        SLUICE_TRY(put_quoted(out, ", path: ", from->path));
        if (from->views[0] != '\0') {
            SLUICE_TRY(put_quoted(out, ", views: ", from->views));
        }
        return sl_config_put_text(out, "}");
    }
    SLUICE_TRY(put_quoted(out, ", source: ", from->source));
    snprintf(samples, sizeof samples, ", samples: %u}", from->samples);
    return sl_config_put_text(out, samples);
}

sluice_status sl_config_node_print(const sl_config_key *key, const sluice_config *config,
                                   sluice_bytes *out)
{
    const sluice_influence_config *influence = &config->influence;
    char text[64];
    if (sl_config_policy_is(key)) {
        return sl_config_policy_print(key, config, out);
    }
    if (key->type == SL_CONFIG_DAMPING) {
        bool margin = influence->damping.margin > 0;
        double value = margin ? influence->damping.margin : influence->damping.relative;
        SLUICE_TRY(sl_config_put_text(out, margin ? "{margin: " : "{relative: "));
        SLUICE_TRY(sl_config_put_real(out, value));
        return sl_config_put_text(out, "}");
    }
    if (key->type == SL_CONFIG_OFFSETS) {
        if (influence->expert.n_refresh == 0) {
            return sl_config_put_text(out, "auto");
        }
        for (uint32_t i = 0; i < influence->expert.n_refresh; i++) {
            snprintf(text, sizeof text, "%s%llu", i == 0 ? "[" : ", ",
                     (unsigned long long)influence->expert.refresh[i]);
            SLUICE_TRY(sl_config_put_text(out, text));
        }
        return sl_config_put_text(out, "]");
    }
    SLUICE_TRY(sl_config_put_text(out, "["));
    for (uint32_t i = 0; i < influence->n_references; i++) {
        SLUICE_TRY(sl_config_put_text(out, i > 0 ? ", " : ""));
        SLUICE_TRY(print_reference(&influence->reference[i], out));
    }
    return sl_config_put_text(out, "]");
}
