/* config.c - reads YAML into the configuration and says everything that is wrong with it.
 *
 *   config_yaml items -> walk_sections -> handle_value -> a copy of the configuration
 *                        a stack of       by the table     (given back if nothing was wrong)
 *                        open sections
 *
 * Why it goes on behind an error: a person mends a file once, not once an error. */
#include "config_node.h"
#include "config_policy.h"
#include "config_value.h"
#include "config_yaml.h"
#include "bytes.h"

#include <stdlib.h>

#define SL_CONFIG_DEPTH 16 /* of nested YAML      */
#define SL_CONFIG_KEYS  64 /* room for the table  */

typedef struct config_walk {
    sluice_config config;
    sl_config_yaml yaml;
    size_t open[SL_CONFIG_DEPTH]; /* length of the path of each open section */
    uint32_t n_open;
    uint32_t seen[SL_CONFIG_KEYS]; /* line where a key was given, plus 1; 0 = not yet */
    sl_config_places places;       /* of the policy */
} config_walk;

/* ---- values that are not read here ---- */

static bool too_deep(config_walk *walk, const sl_config_item *at, uint32_t depth)
{
    if (depth < SL_CONFIG_DEPTH) {
        return false;
    }
    sl_config_report(&walk->yaml, at->line, at->column, "nested deeper than %d levels",
                     SL_CONFIG_DEPTH);
    walk->yaml.stopped = true;
    return true;
}

static void skip_node(config_walk *walk, const sl_config_item *first)
{
    uint32_t depth = 0;
    for (sl_config_item at = *first; at.kind != SL_CONFIG_ITEM_END;
         at = sl_config_next(&walk->yaml)) {
        if (at.kind == SL_CONFIG_ITEM_MAPPING || at.kind == SL_CONFIG_ITEM_SEQUENCE) {
            depth++;
            if (too_deep(walk, &at, walk->n_open + depth)) {
                return;
            }
        } else if (at.kind == SL_CONFIG_ITEM_CLOSE) {
            depth--;
        }
        if (depth == 0) {
            return;
        }
    }
}

/* ---- values by the table ---- */

static void refuse_later(config_walk *walk, const sl_config_key *key, const sl_config_item *at)
{
    sl_config_report(&walk->yaml, at->line, at->column,
                     "%s: not in this version; only the default %s is accepted", key->name,
                     key->initial);
}

static bool is_accepted_later(const sl_config_key *key, const sl_config_value *value)
{
    sl_config_value known;
    const char *accepted[2] = {key->initial, key->also};
    for (uint32_t i = 0; i < 2 && accepted[i] != NULL; i++) {
        if (sl_config_value_parse(key, sl_span_of(accepted[i]), &known, NULL) &&
            sl_config_value_equal(key, value, &known)) {
            return true;
        }
    }
    return false;
}

static void handle_scalar(config_walk *walk, const sl_config_key *key, const sl_config_item *at)
{
    sl_config_value value;
    sluice_message wrong;
    if (at->null) {
        sl_config_expected(key, &wrong);
        sl_config_report(&walk->yaml, at->line, at->column, "%s: have nothing; expected %.200s",
                         key->name, wrong.text);
    } else if (!sl_config_value_parse(key, at->text, &value, &wrong)) {
        sl_config_report(&walk->yaml, at->line, at->column, "%s: %.300s", key->name, wrong.text);
    } else if (key->offset != SL_CONFIG_NO_FIELD) {
        sl_config_value_store(key, &value, &walk->config);
    } else if (!is_accepted_later(key, &value)) {
        refuse_later(walk, key, at);
    }
}

static void open_section(config_walk *walk, const sl_config_item *at)
{
    if (!too_deep(walk, at, walk->n_open + 1)) {
        walk->open[walk->n_open++] = strlen(walk->yaml.path);
    }
}

static void refuse_unknown(config_walk *walk, const sl_config_item *at)
{
    /* Past the last error that is kept, what was meant is not looked for. */
    const char *nearest = walk->yaml.errors->n < SLUICE_LIMIT_CONFIG_ERRORS
                              ? sl_config_nearest(walk->yaml.path)
                              : NULL;
    sl_config_report(&walk->yaml, at->line, at->column, "%.200s: unknown key%s%s%s",
                     walk->yaml.path, nearest != NULL ? "; did you mean " : "",
                     nearest != NULL ? nearest : "", nearest != NULL ? "?" : "");
}

/* What stands behind walk->yaml.path. `name` is where the key was, `at` the first item of its
 * value. */
static void handle_value(config_walk *walk, const sl_config_item *name, sl_config_item *at)
{
    const sl_config_key *key = sl_config_find(walk->yaml.path);
    if (key == NULL) {
        refuse_unknown(walk, name);
        skip_node(walk, at);
        return;
    }
    uint32_t *seen = &walk->seen[key - sl_config_keys];
    if (*seen != 0) {
        sl_config_report(&walk->yaml, name->line, name->column, "%s: given twice; first in line %u",
                         walk->yaml.path, *seen - 1);
        skip_node(walk, at);
        return;
    }
    *seen = name->line + 1;
    if (at->null) { /* nothing is nowhere */
        at->line = name->line;
        at->column = name->column;
    }
    if (at->kind == SL_CONFIG_ITEM_ALIAS || at->kind == SL_CONFIG_ITEM_END) {
        return; /* reported already */
    }
    uint32_t errors = walk->yaml.errors->n;
    if (sl_config_policy_is(key)) {
        sl_config_policy_read(key, &walk->yaml, at, &walk->config, &walk->places);
    } else if (sl_config_node_is(key)) {
        sl_config_node_read(key, &walk->yaml, at, &walk->config);
    } else if (key->type == SL_CONFIG_SECTION && at->kind == SL_CONFIG_ITEM_MAPPING) {
        open_section(walk, at);
    } else if (key->type == SL_CONFIG_SECTION && at->null) {
        return; /* everything in it is commented out */
    } else if (key->type != SL_CONFIG_SECTION && at->kind == SL_CONFIG_ITEM_SCALAR) {
        handle_scalar(walk, key, at);
    } else {
        sluice_message expected;
        sl_config_expected(key, &expected);
        sl_config_report(&walk->yaml, at->line, at->column, "%s: have a %s; expected %.200s",
                         key->name,
                         at->kind == SL_CONFIG_ITEM_SCALAR    ? "single value"
                         : at->kind == SL_CONFIG_ITEM_MAPPING ? "section"
                                                              : "list",
                         expected.text);
        skip_node(walk, at);
    }
    walk->places.touched = walk->places.touched || sl_config_node_is(key);
    walk->places.broken =
        walk->places.broken || (key->type == SL_CONFIG_REFERENCES && walk->yaml.errors->n > errors);
}

/* Puts a name behind the path of the innermost section. */
static bool extend_path(config_walk *walk, sluice_span name)
{
    size_t at = walk->n_open > 0 ? walk->open[walk->n_open - 1] : 0;
    size_t dot = at > 0 ? 1 : 0;
    bool fits = at + dot + name.size < sizeof walk->yaml.path;
    size_t size = fits ? name.size : sizeof walk->yaml.path - 1 - at - dot;
    memcpy(walk->yaml.path + at, ".", dot);
    if (size > 0) {
        memcpy(walk->yaml.path + at + dot, name.data, size);
    }
    for (size_t i = at + dot; i < at + dot + size; i++) { /* shown in messages */
        bool control = (unsigned char)walk->yaml.path[i] < 0x20 || walk->yaml.path[i] == 0x7f;
        walk->yaml.path[i] = control ? '?' : walk->yaml.path[i];
    }
    walk->yaml.path[at + dot + size] = '\0';
    return fits;
}

static void close_path(config_walk *walk)
{
    walk->yaml.path[walk->n_open > 0 ? walk->open[walk->n_open - 1] : 0] = '\0';
}

/* Members of the open sections, until the outermost closes. */
static void walk_sections(config_walk *walk)
{
    while (walk->n_open > 0) {
        close_path(walk);
        sl_config_item name = sl_config_next(&walk->yaml);
        if (name.kind == SL_CONFIG_ITEM_END) {
            return;
        }
        if (name.kind == SL_CONFIG_ITEM_CLOSE) {
            walk->n_open--;
            continue;
        }
        if (name.kind != SL_CONFIG_ITEM_SCALAR) {
            sl_config_report(&walk->yaml, name.line, name.column, "a key must be a plain word");
            skip_node(walk, &name);
            sl_config_item ignored = sl_config_next(&walk->yaml);
            skip_node(walk, &ignored);
            continue;
        }
        (void)extend_path(walk, name.text); /* a cut one is unknown too */
        sl_config_item value = sl_config_next(&walk->yaml);
        handle_value(walk, &name, &value);
    }
}

/* One document whose root stands for walk->yaml.path; "" is the whole configuration. */
static void walk_document(config_walk *walk)
{
    sl_config_item first = sl_config_next(&walk->yaml);
    if (first.kind == SL_CONFIG_ITEM_DOCUMENT) {
        sl_config_item root = sl_config_next(&walk->yaml);
        if (walk->yaml.path[0] != '\0') {
            handle_value(walk, &root, &root);
        } else if (root.kind == SL_CONFIG_ITEM_MAPPING) {
            open_section(walk, &root);
        } else if (root.kind != SL_CONFIG_ITEM_SCALAR || !root.null) {
            sl_config_report(&walk->yaml, root.line, root.column,
                             "expected keys and values, such as \"seed: 1\"");
            skip_node(walk, &root);
        }
        walk_sections(walk);
        first = sl_config_next(&walk->yaml);
    }
    if (first.kind != SL_CONFIG_ITEM_END) {
        sl_config_report(&walk->yaml, first.line, first.column, "a second document; expected one");
    }
}

static sluice_status walk_text(config_walk *walk, sluice_span text)
{
    SLUICE_TRY(sl_config_yaml_open(&walk->yaml, text));
    walk_document(walk);
    sl_config_yaml_close(&walk->yaml);
    if (walk->places.touched && !walk->places.broken) { /* else names seem unknown */
        sluice_status status = sl_config_policy_check(&walk->config, &walk->places, &walk->yaml);
        if (status == SLUICE_E_NOMEM) {
            return status;
        }
    }
    return walk->yaml.errors->n > 0 ? SLUICE_E_CONFIG : SLUICE_OK;
}

/* ---- public ---- */

void sluice_config_default(sluice_config *config)
{
    memset(config, 0, sizeof *config); /* equal configurations are equal bytes */
    config->influence.damping.margin = 2;
    sl_config_policy_default(config);
    SLUICE_ASSERT(sl_config_n_keys <= SL_CONFIG_KEYS);
    for (uint32_t i = 0; i < sl_config_n_keys; i++) {
        const sl_config_key *key = &sl_config_keys[i];
        sl_config_value value;
        if (key->offset != SL_CONFIG_NO_FIELD && !sl_config_node_is(key)) {
            SLUICE_ASSERT(sl_config_value_parse(key, sl_span_of(key->initial), &value, NULL));
            sl_config_value_store(key, &value, config);
        }
    }
}

sluice_status sluice_config_parse(sluice_config *config, sluice_span text,
                                  sluice_config_errors *errors)
{
    errors->n = 0;
    config_walk walk = {.config = *config, .yaml = {.errors = errors, .positions = true}};
    SLUICE_TRY(walk_text(&walk, text));
    *config = walk.config;
    return SLUICE_OK;
}

sluice_status sluice_config_set(sluice_config *config, const char *assignment,
                                sluice_config_errors *errors)
{
    errors->n = 0;
    config_walk walk = {.config = *config, .yaml.errors = errors};
    const char *equals = strchr(assignment, '=');
    if (equals == NULL || equals == assignment) {
        sl_config_report(&walk.yaml, 0, 0, "have \"%.100s\"; expected KEY=VALUE, such as seed=7",
                         assignment);
        return SLUICE_E_CONFIG;
    }
    (void)extend_path(&walk,
                      (sluice_span){(const uint8_t *)assignment, (size_t)(equals - assignment)});
    sluice_span text = sl_span_of(equals + 1);
    if (text.size == 0) { /* listen.pull= : the empty text, which YAML cannot say so shortly */
        sl_config_item empty = {.kind = SL_CONFIG_ITEM_SCALAR};
        handle_value(&walk, &empty, &empty);
        if (errors->n > 0) {
            return SLUICE_E_CONFIG;
        }
    } else {
        SLUICE_TRY(walk_text(&walk, text));
    }
    *config = walk.config;
    return SLUICE_OK;
}
