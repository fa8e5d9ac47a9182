/* config_print.c - the configuration as annotated YAML, and its `state` class as sorted lines.
 *
 *   sl_config_keys[]  ->  # doc [what may stand there; class]      the only text about a key is in
 * the key: value                               table; deploy/sluice.yaml is this
 *
 * Parsing the output gives the configuration back: every value is written so that it reads back. */
#include "config_node.h"
#include "config_value.h"
#include "bytes.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const class_names[] = {
    [SL_CONFIG_LIVE] = "live", [SL_CONFIG_RESTART] = "restart", [SL_CONFIG_STATE] = "state"};

static sluice_status put_text(sluice_bytes *out, const char *text)
{
    return sl_bytes_append(out, text, strlen(text));
}

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
        SLUICE_TRY(put_text(out, "  "));
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
        SLUICE_TRY(put_text(out, " [not in this version: only the default"));
        if (key->also != NULL) {
            SLUICE_TRY(put_text(out, " or "));
            SLUICE_TRY(put_text(out, key->also));
        }
        return put_text(out, "]");
    }
    sl_config_expected(key, &expected);
    SLUICE_TRY(put_text(out, " ["));
    SLUICE_TRY(put_text(out, expected.text));
    SLUICE_TRY(put_text(out, "; "));
    SLUICE_TRY(put_text(out, class_names[key->class]));
    return put_text(out, "]");
}

static sluice_status put_value(const sl_config_key *key, const sluice_config *config, bool plain,
                               sluice_bytes *out)
{
    sl_config_value value;
    if (key->offset == SL_CONFIG_NO_FIELD) {
        return put_text(out, key->initial);
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
        SLUICE_TRY(put_text(out, "\n"));
    }
    SLUICE_TRY(put_indent(out, key->name));
    SLUICE_TRY(put_text(out, "# "));
    SLUICE_TRY(put_text(out, key->doc));
    SLUICE_TRY(put_note(key, out));
    SLUICE_TRY(put_text(out, "\n"));
    SLUICE_TRY(put_indent(out, key->name));
    SLUICE_TRY(put_text(out, last_part(key->name)));
    SLUICE_TRY(put_text(out, ":"));
    if (key->type != SL_CONFIG_SECTION) {
        SLUICE_TRY(put_text(out, key->initial[0] == '\n' ? "" : " "));
        SLUICE_TRY(put_value(key, config, false, out));
    }
    return put_text(out, "\n");
}

sluice_status sluice_config_print(const sluice_config *config, sluice_bytes *out)
{
    SLUICE_TRY(put_text(out, "# Every key of Sluice with its value; all of them are optional.\n"
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
        SLUICE_TRY(put_text(out, keys[i]->name));
        SLUICE_TRY(put_text(out, ": "));
        SLUICE_TRY(put_value(keys[i], config, true, out));
        SLUICE_TRY(put_text(out, "\n"));
    }
    return SLUICE_OK;
}
