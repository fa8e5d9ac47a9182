/* config_node.h - values that are lists or mappings: damping, refresh, references. */
#ifndef SL_CONFIG_NODE_H
#define SL_CONFIG_NODE_H

#include "config_table.h"
#include "config_yaml.h"

bool sl_config_node_is(const sl_config_key *key);

/* Reads the node whose first item is `first` into the field of `key`; what is wrong is reported,
 * and the node is read to its end in any case. */
void sl_config_node_read(const sl_config_key *key, sl_config_yaml *yaml,
                         const sl_config_item *first, sluice_config *config);

/* In flow style, on one line; reading it gives the value back. */
SLUICE_MUST_USE sluice_status sl_config_node_print(const sl_config_key *key,
                                                   const sluice_config *config, sluice_bytes *out);

/* What may stand there. */
const char *sl_config_node_expected(const sl_config_key *key);

#endif
