/* index.c - the rows of one method and the table that finds them, inside the method's bytes.
 *
 *   memory  | table: n_keys x rows / SL_TABLE_FILL lines of 64 bytes | rows: the rest |
 *
 * Why the table is sized for rows with short names: longer names mean fewer rows, a less full table
 * and better recall; a table sized for long names would overflow with short ones.
 * Why from the configuration only: the same stream must find the same rows on any machine. */
#include "duplicate/index.h"

#include "duplicate/memory.h"

#define PAGES_BYTES ((uint64_t)2 * 4096 + 128) /* what the allocator may add to two of its own */
#define SMALL_BYTES ((uint64_t)256 << 10)      /* below, only tests care                       */

typedef struct division {
    uint64_t rows_bytes;
    uint32_t n_lines;
} division;

static division divide(const sl_index_options *options)
{
    uint64_t memory = options->memory_bytes;
    memory -= memory >= SMALL_BYTES ? PAGES_BYTES : 0;
    uint32_t row_bytes =
        sl_rows_row_bytes(options->payload_bytes, SL_INDEX_ID_BYTES + SL_INDEX_SOURCE_BYTES);
    double row = (double)row_bytes * 65 / 64;
    double lines = (double)options->n_keys / SL_TABLE_FILL;
    double n_rows = (double)memory / (row + lines * SL_TABLE_LINE_BYTES);
    double n_lines_wanted = n_rows * lines;
    n_lines_wanted = n_lines_wanted > UINT32_MAX ? UINT32_MAX : n_lines_wanted;
    uint32_t n_lines = n_lines_wanted < 1 ? 1 : (uint32_t)n_lines_wanted;
    size_t table_bytes = sl_table_bytes(n_lines);
    return (division){memory > table_bytes ? memory - table_bytes : 0, n_lines};
}

static sl_rows_options rows_options_of(const sl_index_options *options)
{
    return (sl_rows_options){.memory_bytes = (size_t)divide(options).rows_bytes,
                             .payload_bytes = options->payload_bytes};
}

sluice_status sl_index_init(sl_index *index, const sl_index_options *options, const char *name,
                            sluice_message *why)
{
    *index =
        (sl_index){.rows_options = rows_options_of(options), .n_lines = divide(options).n_lines};
    if (sl_rows_capacity_of(&index->rows_options) == 0) {
        return sluice_fail(why, SLUICE_E_CONFIG,
                           "%s: %llu bytes hold no row of the longest kind; give 16KiB or more",
                           name, (unsigned long long)options->memory_bytes);
    }
    sluice_status status = sl_rows_open(&index->rows_options, &index->rows);
    if (status == SLUICE_OK) {
        status = sl_table_open(index->n_lines, &index->table);
    }
    if (status != SLUICE_OK) {
        sl_index_fini(index);
        return sluice_fail(why, status, "%s: cannot reserve %llu bytes", name,
                           (unsigned long long)options->memory_bytes);
    }
    return SLUICE_OK;
}

void sl_index_fini(sl_index *index)
{
    sl_table_close(&index->table);
    sl_rows_close(&index->rows);
}

void sl_index_touch(const sl_index *index)
{
    sl_memory_touch(index->table, sl_table_bytes(index->n_lines));
    sl_memory_touch(index->rows, sl_rows_bytes(index->rows));
}

uint64_t sl_index_rows_of(const sl_index_options *options, uint32_t id_bytes)
{
    sl_rows_options rows_options = rows_options_of(options);
    return sl_rows_capacity_of(&rows_options) /
           sl_rows_row_bytes(options->payload_bytes, id_bytes + SL_INDEX_SOURCE_BYTES);
}

bool sl_index_erase(sl_index *index, uint64_t offset)
{
    uint32_t place = sl_rows_find(index->rows, offset);
    if (place == SL_ROWS_NONE) {
        return false;
    }
    sl_rows_erase(index->rows, place);
    return true;
}

sl_duplicate_usage sl_index_usage(const sl_index *index)
{
    uint64_t rows = sl_rows_count(index->rows);
    uint64_t bytes = sl_rows_used_bytes(index->rows);
    uint64_t bytes_max = sl_rows_capacity_of(&index->rows_options);
    uint64_t row_bytes = rows > 0 ? bytes / rows
                                  : sl_rows_row_bytes(index->rows_options.payload_bytes,
                                                      SL_INDEX_ID_BYTES + SL_INDEX_SOURCE_BYTES);
    return (sl_duplicate_usage){.rows = rows,
                                .rows_max = bytes_max / row_bytes,
                                .bytes = bytes,
                                .bytes_max = bytes_max,
                                .evicted = sl_rows_evicted(index->rows)};
}

bool sl_index_validate(const sl_index *index, const char **reason)
{
    return sl_rows_validate(index->rows, reason) && sl_table_validate(index->table, reason);
}
