/* config_policy.h - the policy, the budget and the fairness of a configuration. */
#ifndef SL_CONFIG_POLICY_H
#define SL_CONFIG_POLICY_H

#include "config_table.h"
#include "config_yaml.h"

/* Where the parts of a policy stand in the text that is being read; line 0: somewhere else. */
typedef struct sl_config_place {
    uint32_t line, column;
    bool quoted; /* the value begins one column later */
    bool broken; /* of a rule, by, group_by: something was wrong with it already */
} sl_config_place;

typedef struct sl_config_places {
    sl_config_place rule[SLUICE_LIMIT_RULES], when[SLUICE_LIMIT_RULES], reason[SLUICE_LIMIT_RULES];
    sl_config_place by, group_by;
    bool touched; /* something that the policy depends on was read */
    bool broken;  /* names of references could not be              */
} sl_config_places;

bool sl_config_policy_is(const sl_config_key *key);

void sl_config_policy_default(sluice_config *config);

/* As sl_config_node_read. What is read is not compiled yet: names of references may come later. */
void sl_config_policy_read(const sl_config_key *key, sl_config_yaml *yaml,
                           const sl_config_item *first, sluice_config *config,
                           sl_config_places *places);

/* Compiles everything once and reports what cannot be, with its place. */
SLUICE_MUST_USE sluice_status sl_config_policy_check(const sluice_config *config,
                                                     const sl_config_places *places,
                                                     sl_config_yaml *yaml);

/* As sl_config_node_print and sl_config_node_expected; rules stand on lines of their own. */
SLUICE_MUST_USE sluice_status sl_config_policy_print(const sl_config_key *key,
                                                     const sluice_config *config,
                                                     sluice_bytes *out);
const char *sl_config_policy_expected(const sl_config_key *key);

#endif
