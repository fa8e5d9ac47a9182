/* config_yaml.h - turns YAML text into a row of items with line and column. */
#ifndef SL_CONFIG_YAML_H
#define SL_CONFIG_YAML_H

#include "status.h"
#include "sluice/config.h"

#define SL_CONFIG_WRITTEN_BYTES 256 /* of a path as a person wrote it, with its end */

typedef enum sl_config_item_kind {
    SL_CONFIG_ITEM_SCALAR,
    SL_CONFIG_ITEM_ALIAS, /* reported already */
    SL_CONFIG_ITEM_MAPPING,
    SL_CONFIG_ITEM_SEQUENCE,
    SL_CONFIG_ITEM_CLOSE, /* of the innermost mapping or sequence */
    SL_CONFIG_ITEM_DOCUMENT,
    SL_CONFIG_ITEM_END /* of the text, or of what could be read of it */
} sl_config_item_kind;

typedef struct sl_config_item {
    sl_config_item_kind kind;
    uint32_t line, column;
    bool null;        /* SCALAR: nothing, ~ or null           */
    bool quoted;      /* SCALAR: in quotes, so its text begins one column later */
    sluice_span text; /* SCALAR; lent until the next item     */
} sl_config_item;

typedef struct sl_config_yaml {   /* zero but for the first three, then open */
    sluice_config_errors *errors; /* borrowed; what is no YAML, or decorated, is reported here */
    bool positions; /* false: report without line and column                          */
    char path[SL_CONFIG_WRITTEN_BYTES]; /* the caller's: where it is, for messages */
    bool stopped; /* nothing more is read                                     */
    struct fy_diag *diag;
    struct fy_parser *parser;
    struct fy_event *event; /* the one that lends its text */
} sl_config_yaml;

/* Borrows text until close. CONFIG: reported. Nothing is left to close on error. */
SLUICE_MUST_USE sluice_status sl_config_yaml_open(sl_config_yaml *yaml, sluice_span text);
void sl_config_yaml_close(sl_config_yaml *yaml);

/* The next item; END for ever once the text ends, is no YAML, or reading was stopped. */
sl_config_item sl_config_next(sl_config_yaml *yaml);

/* Adds one error; beyond SLUICE_LIMIT_CONFIG_ERRORS they are counted only. */
void sl_config_report(sl_config_yaml *yaml, uint32_t line, uint32_t column, const char *format, ...)
    SLUICE_PRINTF(4, 5);

/* To the end of a node whose first item was taken. */
void sl_config_skip(sl_config_yaml *yaml, const sl_config_item *first);

#endif
