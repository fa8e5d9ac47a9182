/* config_table.h - every key of the configuration as one table. */
#ifndef SL_CONFIG_TABLE_H
#define SL_CONFIG_TABLE_H

#include "status.h"
#include "sluice/config.h"

#define SL_CONFIG_NO_FIELD SIZE_MAX /* offset of a key that a later version reads */

typedef enum sl_config_type {
    SL_CONFIG_SECTION,    /* holds other keys                                           */
    SL_CONFIG_STRING,     /* char[SLUICE_LIMIT_STRING_BYTES]                            */
    SL_CONFIG_ENDPOINT,   /* the same: tcp://host:port, ipc://path or ""                */
    SL_CONFIG_ADDRESS,    /* the same: host:port or ""                                  */
    SL_CONFIG_SWITCH,     /* bool: the second of two words                              */
    SL_CONFIG_CHOICE,     /* an enum: place in `words`                                  */
    SL_CONFIG_COUNT32,    /* uint32_t                                                   */
    SL_CONFIG_COUNT,      /* uint64_t                                                   */
    SL_CONFIG_SIZE,       /* uint64_t, bytes                                            */
    SL_CONFIG_DURATION,   /* uint64_t, microseconds                                     */
    SL_CONFIG_THRESHOLD,  /* double; auto = 0                                           */
    SL_CONFIG_SHINGLE,    /* sluice_shingle; auto = unit 0                              */
    SL_CONFIG_REAL,       /* double                                                     */
    SL_CONFIG_AUTO32,     /* uint32_t; auto = 0                                         */
    SL_CONFIG_DAMPING,    /* influence.damping       } config_node.h                    */
    SL_CONFIG_OFFSETS,    /* influence.expert.refresh                                   */
    SL_CONFIG_REFERENCES, /* influence.references                                       */
    SL_CONFIG_POLICY,     /* policy                  } config_policy.h                  */
    SL_CONFIG_BUDGET,     /* budget                                                     */
    SL_CONFIG_FAIRNESS    /* fairness                                                   */
} sl_config_type;

typedef enum sl_config_class {
    SL_CONFIG_LIVE,    /* SIGHUP                                     */
    SL_CONFIG_RESTART, /* read at start                              */
    SL_CONFIG_STATE    /* a stored state refuses another value       */
} sl_config_class;

typedef struct sl_config_key {
    const char *name; /* full path                                                             */
    sl_config_type type;
    size_t offset; /* in sluice_config; SL_CONFIG_NO_FIELD: only the default is accepted    */
    const char *min, *max; /* as one would write them; NULL: the type's own */
    const char *initial; /* the default, as one would write it                                    */
    const char *also;    /* a second value that is accepted without a field, NULL if none         */
    const char *const *words; /* of SWITCH and CHOICE, NULL-terminated */
    sl_config_class class;
    const char *doc;
} sl_config_key;

extern const sl_config_key sl_config_keys[];
extern const uint32_t sl_config_n_keys;

/* Lends the entry of a full path, NULL if there is none. */
const sl_config_key *sl_config_find(const char *path);

/* Lends the path that a person most likely meant, NULL if nothing is close. */
const char *sl_config_nearest(const char *path);

#endif
