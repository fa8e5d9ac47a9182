/* config_value.h - one value of the configuration, from what a person writes and back. */
#ifndef SL_CONFIG_VALUE_H
#define SL_CONFIG_VALUE_H

#include "config_table.h"

typedef struct sl_config_value { /* the members that the key's type uses */
    uint64_t number;             /* counts, bytes, microseconds, place of a word */
    double real;
    sluice_shingle shingle;
    char text[SLUICE_LIMIT_STRING_BYTES];
} sl_config_value;

/* sl_config_value_parse - what a person wrote for `key` (not a SECTION, and not one of
 * config_node.h).
 *
 * wrong    Out on false: "have 64MB; expected a size ..., 1MiB to 1024GiB".
 * Returns  false if it is not of the key's type or outside its range. */
bool sl_config_value_parse(const sl_config_key *key, sluice_span written, sl_config_value *value,
                           sluice_message *wrong);

/* True if two values of this key are the same. */
bool sl_config_value_equal(const sl_config_key *key, const sl_config_value *a,
                           const sl_config_value *b);

/* Moves a value into its field, and out of it. The key has a field. */
void sl_config_value_store(const sl_config_key *key, const sl_config_value *value,
                           sluice_config *config);
void sl_config_value_load(const sl_config_key *key, const sluice_config *config,
                          sl_config_value *value);

/* As a person would write it (`plain` false), or with numbers in base units (`plain` true). */
SLUICE_MUST_USE sluice_status sl_config_value_print(const sl_config_key *key,
                                                    const sl_config_value *value, bool plain,
                                                    sluice_bytes *out);

/* Appends a text as it is; in double quotes, with what they need escaped; and a number in as few
 * digits as read back as the same. */
SLUICE_MUST_USE sluice_status sl_config_put_text(sluice_bytes *out, const char *text);
SLUICE_MUST_USE sluice_status sl_config_put_quoted(sluice_bytes *out, const char *text);
SLUICE_MUST_USE sluice_status sl_config_put_real(sluice_bytes *out, double real);

/* "a size such as 512MiB (KiB, MiB or GiB), 1MiB to 1024GiB": what may stand there. */
void sl_config_expected(const sl_config_key *key, sluice_message *expected);

#endif
