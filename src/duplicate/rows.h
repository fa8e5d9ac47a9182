/* rows.h - remembers rows of kept samples in a fixed number of bytes, newest last. */
#ifndef SL_DUPLICATE_ROWS_H
#define SL_DUPLICATE_ROWS_H

#include "status.h"
#include "sluice/sample.h"

#define SL_ROWS_UNIT        8  /* bytes; rows begin at multiples of it */
#define SL_ROWS_HEAD_BYTES  24 /* of a row, before its payload */
#define SL_ROWS_NAME_BYTES  (SLUICE_LIMIT_ID_BYTES + SLUICE_LIMIT_SOURCE_BYTES)
#define SL_ROWS_UNITS_MAX   (UINT32_MAX - 1) /* a place and "none" fit in 32 bits: 32 GiB */
#define SL_ROWS_NONE        UINT32_MAX
#define SL_ROWS_EXTRA_BYTES 8192 /* of a row, of its own length, between payload and names */

typedef struct sl_rows sl_rows; /* opaque; one writer */

typedef struct sl_rows_options {
    size_t memory_bytes;    /* hard cap of everything allocated                                  */
    uint32_t payload_bytes; /* fixed part of a row; a multiple of SL_ROWS_UNIT                   */
    uint32_t extra_bytes;   /* the longest extra part; SL_ROWS_EXTRA_BYTES at most [none]        */
} sl_rows_options;

/* One row. Lent by the rows until the next append, erase or compact. */
typedef struct sl_row {
    uint64_t offset;
    int64_t arrived_us;
    uint32_t i_producer;
    uint16_t kind;          /* the method's own, 14 bits; 0 where rows have an extra part        */
    const uint8_t *payload; /* payload_bytes                                                     */
    sluice_span extra;      /* a multiple of SL_ROWS_UNIT bytes                                  */
    sluice_span id, source;
} sl_row;

/* Bytes of the ring that a row with names (and extra part) of `name_bytes` takes. */
uint32_t sl_rows_row_bytes(uint32_t payload_bytes, uint32_t name_bytes);
/* Bytes that hold rows if all of `options->memory_bytes` is given; 0 = too little for one row. */
uint64_t sl_rows_capacity_of(const sl_rows_options *options);

SLUICE_MUST_USE sluice_status sl_rows_open(const sl_rows_options *options, sl_rows **out);
void sl_rows_close(sl_rows **rows_p);

/* Called with every row just before it is evicted or erased. */
typedef void sl_rows_leaves(void *context, const sl_row *row);
void sl_rows_watch(sl_rows *rows, sl_rows_leaves *leaves, void *context);

size_t sl_rows_bytes(const sl_rows *rows); /* everything allocated */

/* sl_rows_append - remembers a row, evicting the oldest ones until it fits; cannot fail.
 *
 * row      Borrows; offset above the newest row's; id and source within their limits.
 * Returns  the row's place, its until it is evicted, erased or moved by compact. */
uint32_t sl_rows_append(sl_rows *rows, const sl_row *row);

/* The row at a place, if one begins there. Any number is allowed: a slot of a table may be older
 * than the row that lies there now. */
bool sl_rows_at(const sl_rows *rows, uint32_t place, sl_row *row);
void sl_rows_prefetch(const sl_rows *rows, uint32_t place);

/* Places in order of offset; SL_ROWS_NONE at the end. No next while there are gaps. */
uint32_t sl_rows_first(const sl_rows *rows);
uint32_t sl_rows_next(const sl_rows *rows, uint32_t place);

/* As next, also while there are gaps. */
uint32_t sl_rows_next_live(const sl_rows *rows, uint32_t place);

/* Place of the oldest row with at least this offset and arrival; SL_ROWS_NONE if there is none.
 * Arrivals must not fall from row to row, else the answer may be newer than the oldest. Log n. */
uint32_t sl_rows_lower(const sl_rows *rows, uint64_t offset, int64_t arrived_us);
uint32_t sl_rows_find(const sl_rows *rows, uint64_t offset); /* of exactly this offset */

void sl_rows_evict(sl_rows *rows, uint64_t below_offset); /* not while there are gaps */

/* Erasing leaves a gap; compact closes all gaps and thereby moves rows, so tables must be filled
 * again. Between the two nothing but at, first, lower, find and erase is allowed. */
void sl_rows_erase(sl_rows *rows, uint32_t place);
bool sl_rows_has_gaps(const sl_rows *rows);
uint64_t sl_rows_gaps(const sl_rows *rows); /* how many */
void sl_rows_compact(sl_rows *rows);

uint64_t sl_rows_count(const sl_rows *rows);
uint64_t sl_rows_evicted(const sl_rows *rows);
uint64_t sl_rows_used_bytes(const sl_rows *rows); /* of live rows; capacity_of is the most */

bool sl_rows_validate(const sl_rows *rows, const char **reason);

/* --- what a probing sample may be told of --- */

typedef struct sl_window {
    uint64_t samples; /* positions of the log back from the sample; 0 = all                      */
    uint64_t age_us;  /* of arrival; 0 = any                                                     */
} sl_window;

typedef struct sl_horizon { /* rows it shows */
    uint64_t offset, below_offset;
    int64_t arrived_us;
} sl_horizon;

/* Of a sample at `offset` that arrived at `arrived_us`. */
sl_horizon sl_window_horizon(const sl_window *window, uint64_t offset, int64_t arrived_us);

static inline bool sl_horizon_shows(const sl_horizon *horizon, const sl_row *row)
{
    return row->offset >= horizon->offset && row->offset < horizon->below_offset &&
           row->arrived_us >= horizon->arrived_us;
}

/* Offset of the oldest row that the horizon shows; UINT64_MAX if it shows none. */
uint64_t sl_rows_oldest(const sl_rows *rows, const sl_horizon *horizon);

#endif
