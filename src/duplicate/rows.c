/* rows.c - remembers rows of kept samples in a fixed number of bytes, newest last.
 *
 *   ring   | row | row | row ......... free ......... | row | row | row |gap|
 *                       ^ head                         ^ tail            ^ end of the older lap
 *   row    | offset 8 | arrived 8 | producer 4 | sizes, kind 4 | payload | extra | id | source |
 *   bits   1 0 0 1 0 0 0 1 ...        one a unit of 8 bytes: does a live row begin here
 *
 * Why rows of their own length in one ring: ids of 4 and of 200 bytes share the budget, so nobody
 * has to guess how long ids will be.
 * Why a bit a unit: tables hold places, and a slot may outlive its row; the bit says whether its
 * place is still the begin of one (1/64 of the ring).
 * Why the ring is one longest row larger than what it may hold: a row is never split, so up to one
 * row is lost at the end of a lap. With that slack what is evicted depends on the sizes of the live
 * rows alone, never on where the ring happens to begin: rows that are restored in order after a
 * restart are evicted exactly as they would have been.
 * Invariants (sl_rows_validate): rows and gaps tile the ring from tail to head; offsets rise; the
 * bits are the live rows; used is their sum and within the capacity. */
#include "duplicate/rows.h"

#include "duplicate/memory.h"

#include <stdlib.h>
#include <string.h>

typedef struct row_head {
    uint64_t offset;
    int64_t arrived_us;
    uint32_t i_producer;
    uint32_t id_size : 9;
    uint32_t source_size : 9;
    uint32_t kind : 14; /* or, where rows have an extra part, its units */
} row_head;

_Static_assert(sizeof(row_head) == SL_ROWS_HEAD_BYTES, "heads are packed");
_Static_assert(SLUICE_LIMIT_ID_BYTES < 512 && SLUICE_LIMIT_SOURCE_BYTES < 512, "9 bits");
_Static_assert(SL_ROWS_EXTRA_BYTES / SL_ROWS_UNIT < 1 << 14, "14 bits");

struct sl_rows {
    uint8_t *ring;
    uint64_t *begins;         /* bit a unit: a live row begins here                              */
    uint32_t payload_bytes;   /* of every row                                                    */
    uint32_t extra_bytes;     /* of a row, the most                                              */
    uint32_t n_units;         /* of the ring                                                     */
    uint32_t n_units_live;    /* at most this much of it is given to live rows                   */
    uint32_t used;            /* units of live rows                                              */
    uint32_t tail, head, end; /* end: where the older lap stops, if wrapped                      */
    bool wrapped;             /* rows lie in [tail, end) and [0, head), else in [tail, head)     */
    uint32_t newest;          /* place of the last row appended that is not evicted              */
    uint64_t n_rows, n_gaps, n_evicted;
    sl_rows_leaves *leaves; /* or NULL */
    void *context;          /* of leaves */
};

static uint32_t units_of(uint32_t payload_bytes, uint32_t name_bytes)
{
    return (SL_ROWS_HEAD_BYTES + payload_bytes + name_bytes + SL_ROWS_UNIT - 1) / SL_ROWS_UNIT;
}

uint32_t sl_rows_row_bytes(uint32_t payload_bytes, uint32_t name_bytes)
{
    return units_of(payload_bytes, name_bytes) * SL_ROWS_UNIT;
}

/* The struct, then the bits, then the ring from a cache line on, in one allocation. */
static size_t ring_at(uint64_t n_units)
{
    size_t at = sizeof(sl_rows) + (size_t)((n_units + 63) / 64) * sizeof(uint64_t);
    return (at + 63) / 64 * 64;
}

static uint64_t units_for(const sl_rows_options *options)
{
    size_t fixed = ring_at(0) + 64 + sizeof(uint64_t); /* and what rounding may cost */
    if (options->memory_bytes <= fixed) {
        return 0;
    }
    uint64_t bits = (uint64_t)(options->memory_bytes - fixed) * 8;
    uint64_t n_units = bits / (SL_ROWS_UNIT * 8 + 1);
    return n_units < SL_ROWS_UNITS_MAX ? n_units : SL_ROWS_UNITS_MAX;
}

uint64_t sl_rows_capacity_of(const sl_rows_options *options)
{
    uint32_t longest = units_of(options->payload_bytes, options->extra_bytes + SL_ROWS_NAME_BYTES);
    uint64_t n_units = units_for(options);
    return n_units < 2 * (uint64_t)longest ? 0 : (n_units - longest) * SL_ROWS_UNIT;
}

sluice_status sl_rows_open(const sl_rows_options *options, sl_rows **out)
{
    *out = NULL;
    SLUICE_ASSERT(options->payload_bytes % SL_ROWS_UNIT == 0);
    SLUICE_ASSERT(options->extra_bytes <= SL_ROWS_EXTRA_BYTES);
    uint64_t capacity = sl_rows_capacity_of(options);
    if (capacity == 0) {
        return SLUICE_E_CONFIG;
    }
    uint64_t n_units = units_for(options);
    size_t size = ring_at(n_units) + (size_t)n_units * SL_ROWS_UNIT;
    SLUICE_ASSERT(size <= options->memory_bytes);
    sl_rows *rows = sl_memory_reserve(size);
    if (rows == NULL) {
        return SLUICE_E_NOMEM;
    }
    rows->begins = (uint64_t *)(rows + 1);
    rows->ring = (uint8_t *)rows + ring_at(n_units);
    rows->payload_bytes = options->payload_bytes;
    rows->extra_bytes = options->extra_bytes;
    rows->n_units = (uint32_t)n_units;
    rows->n_units_live = (uint32_t)(capacity / SL_ROWS_UNIT);
    rows->newest = SL_ROWS_NONE;
    *out = rows;
    return SLUICE_OK;
}

void sl_rows_watch(sl_rows *rows, sl_rows_leaves *leaves, void *context)
{
    rows->leaves = leaves;
    rows->context = context;
}

size_t sl_rows_bytes(const sl_rows *rows)
{
    return ring_at(rows->n_units) + (size_t)rows->n_units * SL_ROWS_UNIT;
}

void sl_rows_close(sl_rows **rows_p)
{
    free(*rows_p);
    *rows_p = NULL;
}

static row_head *head_at(const sl_rows *rows, uint32_t place)
{
    return (row_head *)(void *)(rows->ring + (size_t)place * SL_ROWS_UNIT);
}

static uint32_t extra_of(const sl_rows *rows, const row_head *head)
{
    return rows->extra_bytes > 0 ? (uint32_t)head->kind * SL_ROWS_UNIT : 0;
}

static uint32_t units_at(const sl_rows *rows, uint32_t place)
{
    const row_head *head = head_at(rows, place);
    return units_of(rows->payload_bytes, extra_of(rows, head) + head->id_size + head->source_size);
}

static bool begins(const sl_rows *rows, uint32_t place)
{
    return (rows->begins[place / 64] >> (place % 64) & 1) != 0;
}

static void set_begins(sl_rows *rows, uint32_t place, bool value)
{
    uint64_t bit = (uint64_t)1 << (place % 64);
    rows->begins[place / 64] =
        value ? rows->begins[place / 64] | bit : rows->begins[place / 64] & ~bit;
}

/* Where the row or gap behind this one is; `end` is only a turning point on the older lap. */
static uint32_t place_after(const sl_rows *rows, uint32_t place)
{
    uint32_t after = place + units_at(rows, place);
    return rows->wrapped && after == rows->end && place >= rows->tail ? 0 : after;
}

static void tell(const sl_rows *rows, uint32_t place)
{
    sl_row row;
    if (rows->leaves != NULL && sl_rows_at(rows, place, &row)) {
        rows->leaves(rows->context, &row);
    }
}

static void evict_oldest(sl_rows *rows)
{
    uint32_t place = rows->tail;
    tell(rows, place);
    uint32_t after = place_after(rows, place);
    set_begins(rows, place, false);
    rows->used -= units_at(rows, place);
    rows->wrapped = rows->wrapped && after != 0;
    rows->tail = after;
    rows->n_rows--;
    rows->n_evicted++;
    if (rows->n_rows == 0) {
        rows->tail = rows->head = 0;
        rows->wrapped = false;
        rows->newest = SL_ROWS_NONE;
    }
}

static void write_row(sl_rows *rows, uint32_t place, const sl_row *row)
{
    row_head *head = head_at(rows, place);
    *head = (row_head){
        .offset = row->offset,
        .arrived_us = row->arrived_us,
        .i_producer = row->i_producer,
        .id_size = (uint32_t)row->id.size & 511,
        .source_size = (uint32_t)row->source.size & 511,
        .kind = (rows->extra_bytes > 0 ? (uint32_t)(row->extra.size / SL_ROWS_UNIT) : row->kind) &
                0x3fff};
    uint8_t *at = (uint8_t *)(head + 1);
    if (rows->payload_bytes > 0) {
        memcpy(at, row->payload, rows->payload_bytes);
    }
    at += rows->payload_bytes;
    if (row->extra.size > 0) {
        memcpy(at, row->extra.data, row->extra.size);
    }
    at += row->extra.size;
    if (row->id.size > 0) {
        memcpy(at, row->id.data, row->id.size);
    }
    if (row->source.size > 0) {
        memcpy(at + row->id.size, row->source.data, row->source.size);
    }
}

uint32_t sl_rows_append(sl_rows *rows, const sl_row *row)
{
    SLUICE_ASSERT(rows->n_gaps == 0);
    SLUICE_ASSERT(row->id.size <= SLUICE_LIMIT_ID_BYTES);
    SLUICE_ASSERT(row->source.size <= SLUICE_LIMIT_SOURCE_BYTES);
    SLUICE_ASSERT(rows->n_rows == 0 || row->offset > head_at(rows, rows->newest)->offset);
    SLUICE_ASSERT(row->extra.size <= rows->extra_bytes && row->extra.size % SL_ROWS_UNIT == 0);
    SLUICE_ASSERT(row->kind == 0 || rows->extra_bytes == 0);
    uint32_t need = units_of(rows->payload_bytes,
                             (uint32_t)(row->extra.size + row->id.size + row->source.size));
    while (rows->used + (uint64_t)need > rows->n_units_live) {
        evict_oldest(rows);
    }
    if (!rows->wrapped && rows->head + (uint64_t)need > rows->n_units) {
        rows->end = rows->head;
        rows->head = 0;
        rows->wrapped = true;
    }
    SLUICE_DCHECK(!rows->wrapped || rows->head + need <= rows->tail);
    uint32_t place = rows->head;
    write_row(rows, place, row);
    set_begins(rows, place, true);
    rows->head += need;
    rows->used += need;
    rows->newest = place;
    rows->n_rows++;
    return place;
}

bool sl_rows_at(const sl_rows *rows, uint32_t place, sl_row *row)
{
    if (place >= rows->n_units || !begins(rows, place)) {
        return false;
    }
    const row_head *head = head_at(rows, place);
    const uint8_t *payload = (const uint8_t *)(head + 1);
    const uint8_t *extra = payload + rows->payload_bytes;
    const uint8_t *id = extra + extra_of(rows, head);
    *row = (sl_row){.offset = head->offset,
                    .arrived_us = head->arrived_us,
                    .i_producer = head->i_producer,
                    .kind = rows->extra_bytes > 0 ? 0 : (uint16_t)head->kind,
                    .payload = payload,
                    .extra = {extra, (size_t)(id - extra)},
                    .id = {id, head->id_size},
                    .source = {id + head->id_size, head->source_size}};
    return true;
}

void sl_rows_prefetch(const sl_rows *rows, uint32_t place)
{
    if (place < rows->n_units) {
        const uint8_t *at = rows->ring + (size_t)place * SL_ROWS_UNIT;
        __builtin_prefetch(&rows->begins[place / 64]);
        for (uint32_t i = 0; i < SL_ROWS_HEAD_BYTES + rows->payload_bytes; i += 64) {
            __builtin_prefetch(at + i);
        }
    }
}

uint32_t sl_rows_next(const sl_rows *rows, uint32_t place)
{
    return place == rows->newest ? SL_ROWS_NONE : place_after(rows, place);
}

/* First live row that begins in [place, limit). */
static uint32_t next_begin(const sl_rows *rows, uint32_t place, uint32_t limit)
{
    while (place < limit) {
        uint64_t word = rows->begins[place / 64] >> (place % 64);
        if (word != 0) {
            uint64_t found = (uint64_t)place + (uint32_t)__builtin_ctzll(word);
            return found < limit ? (uint32_t)found : SL_ROWS_NONE;
        }
        uint64_t after = ((uint64_t)place / 64 + 1) * 64;
        place = after < limit ? (uint32_t)after : limit;
    }
    return SL_ROWS_NONE;
}

static uint32_t lower_between(const sl_rows *rows, uint32_t low, uint32_t high, uint64_t offset,
                              int64_t arrived_us)
{
    uint32_t found = SL_ROWS_NONE;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        uint32_t place = next_begin(rows, middle, high);
        if (place == SL_ROWS_NONE) {
            high = middle;
        } else if (head_at(rows, place)->offset >= offset &&
                   head_at(rows, place)->arrived_us >= arrived_us) {
            found = place;
            high = middle;
        } else {
            low = place + 1;
        }
    }
    return found;
}

uint32_t sl_rows_lower(const sl_rows *rows, uint64_t offset, int64_t arrived_us)
{
    uint32_t older_end = rows->wrapped ? rows->end : rows->head;
    uint32_t place = lower_between(rows, rows->tail, older_end, offset, arrived_us);
    return rows->wrapped && place == SL_ROWS_NONE
               ? lower_between(rows, 0, rows->head, offset, arrived_us)
               : place;
}

uint32_t sl_rows_find(const sl_rows *rows, uint64_t offset)
{
    uint32_t place = sl_rows_lower(rows, offset, INT64_MIN);
    return place != SL_ROWS_NONE && head_at(rows, place)->offset == offset ? place : SL_ROWS_NONE;
}

uint32_t sl_rows_first(const sl_rows *rows)
{
    if (rows->n_rows == 0) {
        return SL_ROWS_NONE;
    }
    return rows->n_gaps == 0 ? rows->tail : sl_rows_lower(rows, 0, INT64_MIN);
}

uint32_t sl_rows_next_live(const sl_rows *rows, uint32_t place)
{
    if (!rows->wrapped || place < rows->head) {
        return next_begin(rows, place + 1, rows->head);
    }
    uint32_t found = next_begin(rows, place + 1, rows->end);
    return found != SL_ROWS_NONE ? found : next_begin(rows, 0, rows->head);
}

void sl_rows_evict(sl_rows *rows, uint64_t below_offset)
{
    SLUICE_ASSERT(rows->n_gaps == 0);
    while (rows->n_rows > 0 && head_at(rows, rows->tail)->offset < below_offset) {
        evict_oldest(rows);
    }
}

void sl_rows_erase(sl_rows *rows, uint32_t place)
{
    SLUICE_ASSERT(place < rows->n_units && begins(rows, place));
    tell(rows, place);
    set_begins(rows, place, false);
    rows->used -= units_at(rows, place);
    rows->n_rows--;
    rows->n_gaps++;
}

bool sl_rows_has_gaps(const sl_rows *rows)
{
    return rows->n_gaps > 0;
}

uint64_t sl_rows_gaps(const sl_rows *rows)
{
    return rows->n_gaps;
}

/* Rows move towards the tail, in order. The target never passes the source: it lies behind by the
 * gaps so far, and so never wraps before the source did. */
void sl_rows_compact(sl_rows *rows)
{
    uint64_t n_places = rows->n_rows + rows->n_gaps;
    uint32_t from = rows->tail, to = rows->tail, end = rows->end, newest = SL_ROWS_NONE;
    bool wrapped = false;
    for (uint64_t i = 0; i < n_places; i++) {
        uint32_t after = place_after(rows, from);
        uint32_t units = units_at(rows, from);
        if (begins(rows, from)) {
            if (!wrapped && to + (uint64_t)units > rows->n_units) {
                end = to;
                to = 0;
                wrapped = true;
            }
            set_begins(rows, from, false);
            memmove(head_at(rows, to), head_at(rows, from), (size_t)units * SL_ROWS_UNIT);
            set_begins(rows, to, true);
            newest = to;
            to += units;
        }
        from = after;
    }
    rows->n_gaps = 0;
    rows->head = rows->n_rows > 0 ? to : 0;
    rows->tail = rows->n_rows > 0 ? rows->tail : 0;
    rows->end = end;
    rows->wrapped = wrapped;
    rows->newest = newest;
}

uint64_t sl_rows_count(const sl_rows *rows)
{
    return rows->n_rows;
}

uint64_t sl_rows_evicted(const sl_rows *rows)
{
    return rows->n_evicted;
}

uint64_t sl_rows_used_bytes(const sl_rows *rows)
{
    return (uint64_t)rows->used * SL_ROWS_UNIT;
}

static uint64_t count_begins(const sl_rows *rows)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < (rows->n_units + 63u) / 64; i++) {
        n += (uint64_t)__builtin_popcountll(rows->begins[i]);
    }
    return n;
}

/* Walks rows and gaps from tail to head. */
static const char *find_fault(const sl_rows *rows)
{
    uint64_t used = 0, n_rows = 0, last_offset = 0;
    uint32_t place = rows->tail;
    for (uint64_t i = 0; i < rows->n_rows + rows->n_gaps; i++) {
        if (place >= rows->n_units || place + (uint64_t)units_at(rows, place) > rows->n_units) {
            return "a row leaves the ring";
        }
        if (begins(rows, place)) {
            const row_head *head = head_at(rows, place);
            if (n_rows > 0 && head->offset <= last_offset) {
                return "offsets do not rise";
            }
            if (sl_rows_find(rows, head->offset) != place) {
                return "a row is not found by its offset";
            }
            last_offset = head->offset;
            used += units_at(rows, place);
            n_rows++;
        }
        place = place_after(rows, place);
    }
    if (n_rows != rows->n_rows || count_begins(rows) != rows->n_rows) {
        return "begin bits do not count the rows";
    }
    if (used != rows->used || used > rows->n_units_live) {
        return "used bytes are not those of the rows, or beyond the capacity";
    }
    return place == rows->head ? NULL : "the walk does not end at the head";
}

bool sl_rows_validate(const sl_rows *rows, const char **reason)
{
    *reason = find_fault(rows);
    return *reason == NULL;
}

sl_horizon sl_window_horizon(const sl_window *window, uint64_t offset, int64_t arrived_us)
{
    uint64_t age_us = window->age_us;
    bool any_age = age_us == 0 || age_us > (uint64_t)arrived_us - (uint64_t)INT64_MIN;
    bool all = window->samples == 0 || window->samples > offset;
    return (sl_horizon){.offset = all ? 0 : offset - window->samples,
                        .below_offset = offset,
                        .arrived_us =
                            any_age ? INT64_MIN : (int64_t)((uint64_t)arrived_us - age_us)};
}

uint64_t sl_rows_oldest(const sl_rows *rows, const sl_horizon *horizon)
{
    sl_row row;
    uint32_t place = sl_rows_lower(rows, horizon->offset, horizon->arrived_us);
    return place != SL_ROWS_NONE && sl_rows_at(rows, place, &row) ? row.offset : UINT64_MAX;
}
