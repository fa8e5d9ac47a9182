/* index.h - the rows of one method and the table that finds them, inside the method's bytes. */
#ifndef SL_INDEX_H
#define SL_INDEX_H

#include "duplicate/duplicate.h"
#include "duplicate/rows.h"
#include "duplicate/table.h"

/* Names a plan reckons with. Others change how many rows fit, never the bytes. */
#define SL_INDEX_ID_BYTES     16
#define SL_INDEX_SOURCE_BYTES 8

typedef struct sl_index_options {
    uint64_t memory_bytes;  /* hard cap of everything allocated                                  */
    uint32_t payload_bytes; /* of a row                                                          */
    uint32_t n_keys;        /* of a row, the most that is usual                                  */
} sl_index_options;

typedef struct sl_index { /* in place */
    sl_rows *rows;
    sl_table *table;
    sl_rows_options rows_options;
    uint32_t n_lines;
} sl_index;

/* Init: CONFIG if the bytes do not hold a few rows of the longest kind; `name` goes into `why`. */
SLUICE_MUST_USE sluice_status sl_index_init(sl_index *index, const sl_index_options *options,
                                            const char *name, sluice_message *why);
void sl_index_fini(sl_index *index);

/* Makes all of the memory real (memory.h). */
void sl_index_touch(const sl_index *index);

/* Rows that fit for ids of `id_bytes` and sources of SL_INDEX_SOURCE_BYTES. */
uint64_t sl_index_rows_of(const sl_index_options *options, uint32_t id_bytes);

/* Erases the row of an offset, if there is one. The rows then have gaps: see sl_rows_compact. */
bool sl_index_erase(sl_index *index, uint64_t offset);

sl_duplicate_usage sl_index_usage(const sl_index *index);
bool sl_index_validate(const sl_index *index, const char **reason);

#endif
