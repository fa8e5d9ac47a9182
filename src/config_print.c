/* config_print.c - the configuration as annotated YAML, and its `state` class as sorted lines.
 *
 *   sl_config_keys[]  ->  # doc [what may stand there; class]
 *                         key: value
 *
 * The only text about a key is in the table; deploy/sluice.yaml is this output for the defaults.
 * Parsing the output gives the configuration back: every value is written so that it reads back. */
#include "config_node.h"
#include "config_value.h"
#include "bytes.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const class_names[] = {
    [SL_CONFIG_LIVE] = "live", [SL_CONFIG_RESTART] = "restart", [SL_CONFIG_STATE] = "state"};

static uint32_t depth_of(const char *path)
{
    uint32_t depth = 0;
    for (; *path != '\0'; path++) {
        depth += *path == '.';
    }
    return depth;
}

static sluice_status put_indent(sluice_bytes *out, const char *path)
{
    for (uint32_t i = depth_of(path); i > 0; i--) {
        SLUICE_TRY(sl_config_put_text(out, "  "));
    }
    return SLUICE_OK;
}

static const char *last_part(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot != NULL ? dot + 1 : path;
}

static sluice_status put_note(const sl_config_key *key, sluice_bytes *out)
{
    sluice_message expected;
    if (key->type == SL_CONFIG_SECTION) {
        return SLUICE_OK;
    }
    if (key->offset == SL_CONFIG_NO_FIELD) {
        SLUICE_TRY(sl_config_put_text(out, " [not in this version: only the default"));
        if (key->also != NULL) {
            SLUICE_TRY(sl_config_put_text(out, " or "));
            SLUICE_TRY(sl_config_put_text(out, key->also));
        }
        return sl_config_put_text(out, "]");
    }
    sl_config_expected(key, &expected);
    SLUICE_TRY(sl_config_put_text(out, " ["));
    SLUICE_TRY(sl_config_put_text(out, expected.text));
    SLUICE_TRY(sl_config_put_text(out, "; "));
    SLUICE_TRY(sl_config_put_text(out, class_names[key->class]));
    return sl_config_put_text(out, "]");
}

static sluice_status put_value(const sl_config_key *key, const sluice_config *config, bool plain,
                               sluice_bytes *out)
{
    sl_config_value value;
    if (key->offset == SL_CONFIG_NO_FIELD) {
        return sl_config_put_text(out, key->initial);
    }
    if (sl_config_node_is(key)) {
        return sl_config_node_print(key, config, out);
    }
    sl_config_value_load(key, config, &value);
    return sl_config_value_print(key, &value, plain, out);
}

static sluice_status put_key(const sl_config_key *key, const sluice_config *config,
                             sluice_bytes *out)
{
    if (depth_of(key->name) == 0) {
        SLUICE_TRY(sl_config_put_text(out, "\n"));
    }
    SLUICE_TRY(put_indent(out, key->name));
    SLUICE_TRY(sl_config_put_text(out, "# "));
    SLUICE_TRY(sl_config_put_text(out, key->doc));
    SLUICE_TRY(put_note(key, out));
    SLUICE_TRY(sl_config_put_text(out, "\n"));
    SLUICE_TRY(put_indent(out, key->name));
    SLUICE_TRY(sl_config_put_text(out, last_part(key->name)));
    SLUICE_TRY(sl_config_put_text(out, ":"));
    if (key->type != SL_CONFIG_SECTION) {
        SLUICE_TRY(sl_config_put_text(out, key->initial[0] == '\n' ? "" : " "));
        SLUICE_TRY(put_value(key, config, false, out));
    }
    return sl_config_put_text(out, "\n");
}

sluice_status sluice_config_print(const sluice_config *config, sluice_bytes *out)
{
    SLUICE_TRY(
        sl_config_put_text(out, "# Every key of Sluice with its value; all of them are optional.\n"
                                "# Class: live = read again on SIGHUP, restart = read at start,\n"
                                "# state = a state folder refuses another value.\n"));
    for (uint32_t i = 0; i < sl_config_n_keys; i++) {
        SLUICE_TRY(put_key(&sl_config_keys[i], config, out));
    }
    return SLUICE_OK;
}

static int compare_names(const void *a, const void *b)
{
    const sl_config_key *const *key_a = a;
    const sl_config_key *const *key_b = b;
    return strcmp((*key_a)->name, (*key_b)->name);
}

sluice_status sluice_config_state_lines(const sluice_config *config, sluice_bytes *out)
{
    const sl_config_key *keys[64];
    uint32_t n_keys = 0;
    for (uint32_t i = 0; i < sl_config_n_keys; i++) {
        const sl_config_key *key = &sl_config_keys[i];
        if (key->class == SL_CONFIG_STATE && key->offset != SL_CONFIG_NO_FIELD) {
            SLUICE_ASSERT(n_keys < sizeof keys / sizeof keys[0]);
            keys[n_keys++] = key;
        }
    }
    qsort(keys, n_keys, sizeof keys[0], compare_names);
    for (uint32_t i = 0; i < n_keys; i++) {
        SLUICE_TRY(sl_config_put_text(out, keys[i]->name));
        SLUICE_TRY(sl_config_put_text(out, ": "));
        SLUICE_TRY(put_value(keys[i], config, true, out));
        SLUICE_TRY(sl_config_put_text(out, "\n"));
    }
    return SLUICE_OK;
}

static void add_name(sluice_message *names, const char *name)
{
    size_t size = strlen(names->text);
    snprintf(names->text + size, sizeof names->text - size, "%s%s", size > 0 ? ", " : "", name);
}

sluice_status sluice_config_compare(const sluice_config *a, const sluice_config *b,
                                    sluice_config_changes *changes)
{
    sluice_bytes left = {0}, right = {0};
    sluice_status status = SLUICE_OK;
    memset(changes, 0, sizeof *changes);
    sluice_message *const of_class[] = {[SL_CONFIG_LIVE] = &changes->live,
                                        [SL_CONFIG_RESTART] = &changes->restart,
                                        [SL_CONFIG_STATE] = &changes->state};
    for (uint32_t i = 0; i < sl_config_n_keys && status == SLUICE_OK; i++) {
        const sl_config_key *key = &sl_config_keys[i];
        if (key->type == SL_CONFIG_SECTION) {
            continue;
        }
        sl_bytes_clear(&left);
        sl_bytes_clear(&right);
        status = put_value(key, a, true, &left);
        status = status == SLUICE_OK ? put_value(key, b, true, &right) : status;
        if (status == SLUICE_OK && !sl_span_equal((sluice_span){left.data, left.size},
                                                  (sluice_span){right.data, right.size})) {
            add_name(of_class[key->class], key->name);
        }
    }
    sl_bytes_fini(&left);
    sl_bytes_fini(&right);
    return status;
}

sluice_status sluice_config_live_hash(const sluice_config *config, uint64_t *hash)
{
    sluice_bytes values = {0};
    sluice_status status = SLUICE_OK;
    *hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a, 64 bits */
    for (uint32_t i = 0; i < sl_config_n_keys && status == SLUICE_OK; i++) {
        if (sl_config_keys[i].class == SL_CONFIG_LIVE &&
            sl_config_keys[i].type != SL_CONFIG_SECTION) {
            status = put_value(&sl_config_keys[i], config, true, &values);
        }
    }
    for (size_t i = 0; i < values.size; i++) {
        *hash = (*hash ^ values.data[i]) * UINT64_C(0x100000001b3);
    }
    sl_bytes_fini(&values);
    return status;
}
