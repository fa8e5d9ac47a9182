/* portfolio_saved.c - a portfolio as bytes and back, and two of them as one.
 *
 *   | mark, version 1 | references | entries, distributions | repeats | trend | curve | labels |
 *     alerts | restored, of each entry, if any was |
 *   | mark, version 2, group by | references | entries, distributions | repeats | trend | curve |
 *     labels | membership | restored, as above |                                    by group
 *
 * Before version 1 there was no mark: entries of four counts, and nothing else. */
#include "decide/portfolio.h"

#include <stdlib.h>

#define MARK      UINT32_MAX /* no number of entries */
#define BY_SOURCE 1          /* versions: a change of either needs a number of its own */
#define BY_GROUP  2

/* --- save --- */

static sluice_status save_toward(const sl_portfolio_toward *toward, sluice_bytes *out)
{
    SLUICE_TRY(sl_bytes_put_varint(out, toward->n));
    if (toward->n == 0) {
        return SLUICE_OK;
    }
    SLUICE_TRY(sl_bytes_put_double(out, toward->mean));
    SLUICE_TRY(sl_bytes_put_double(out, toward->squares));
    return sl_bytes_put_double(out, toward->positive);
}

static sluice_status save_entry(const sl_portfolio_entry *entry, uint32_t n_references,
                                sluice_bytes *out)
{
    SLUICE_TRY(sl_bytes_put_u32(out, entry->name_size));
    SLUICE_TRY(sl_bytes_append(out, entry->name, entry->name_size));
    const uint64_t counts[] = {entry->kept,
                               entry->flagged,
                               entry->dropped,
                               entry->duplicates,
                               entry->own,
                               entry->scored,
                               entry->rare,
                               (uint64_t)entry->first_us,
                               (uint64_t)entry->last_us};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        SLUICE_TRY(sl_bytes_put_u64(out, counts[i]));
    }
    SLUICE_TRY(sl_bytes_put_double(out, entry->cost));
    SLUICE_TRY(sl_bytes_put_double(out, entry->self));
    for (uint32_t r = 0; r < n_references; r++) {
        SLUICE_TRY(save_toward(&entry->toward[r], out));
    }
    return SLUICE_OK;
}

static sluice_status save_whole(const sluice_portfolio *portfolio, sluice_bytes *out)
{
    SLUICE_TRY(sl_bytes_put_u32(out, MARK));
    SLUICE_TRY(sl_bytes_put_u32(out, portfolio->groups ? BY_GROUP : BY_SOURCE));
    if (portfolio->groups) {
        SLUICE_TRY(sl_bytes_append(out, portfolio->group_by, sizeof portfolio->group_by));
    }
    SLUICE_TRY(sl_bytes_put_u32(out, portfolio->n_references));
    for (uint32_t r = 0; r < portfolio->n_references; r++) {
        SLUICE_TRY(sl_bytes_append(out, portfolio->reference[r], sizeof portfolio->reference[r]));
    }
    SLUICE_TRY(sl_bytes_put_u32(out, portfolio->n_entries));
    for (uint32_t i = 0; i < portfolio->n_entries; i++) {
        SLUICE_TRY(save_entry(&portfolio->entry[i], portfolio->n_references, out));
        for (uint32_t s = 0; s < SLUICE_STATISTIC_TOWARD + portfolio->n_references; s++) {
            SLUICE_TRY(sl_distribution_save(&portfolio->distribution[i][s], &portfolio->pool, out));
        }
    }
    SLUICE_TRY(sl_repeats_save(portfolio->repeats, out));
    SLUICE_TRY(sl_trend_save(portfolio->trend, portfolio->n_entries, out));
    SLUICE_TRY(sl_curve_save(&portfolio->curve, 1 + portfolio->n_references, out));
    SLUICE_TRY(sl_shortlist_save(&portfolio->shortlist, out));
    return portfolio->groups ? sl_membership_save(portfolio->membership, out)
                             : sl_alerts_save(portfolio->alerts, portfolio->n_entries, out);
}

/* Behind the rest, and only where there are any: a portfolio without is what it always was. */
static sluice_status save_restored(const sluice_portfolio *portfolio, sluice_bytes *out)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < portfolio->n_entries; i++) {
        sum += portfolio->entry[i].restored;
    }
    for (uint32_t i = 0; i < portfolio->n_entries && sum > 0; i++) {
        SLUICE_TRY(sl_bytes_put_varint(out, portfolio->entry[i].restored));
    }
    return SLUICE_OK;
}

sluice_status sluice_portfolio_save(const sluice_portfolio *portfolio, sluice_bytes *out)
{
    SLUICE_TRY(save_whole(portfolio, out));
    return save_restored(portfolio, out);
}

/* --- load --- */

/* The name of entry `i_entry`, which must be the next new one; NULL if it is not. */
static sl_portfolio_entry *load_name(sluice_portfolio *portfolio, sl_reader *reader,
                                     uint32_t i_entry)
{
    uint32_t name_size = sl_reader_u32(reader);
    sluice_span name = sl_reader_span(reader, name_size);
    if (reader->bad || name_size > SLUICE_LIMIT_SOURCE_BYTES) {
        return NULL;
    }
    if (i_entry == SLUICE_OTHER_SOURCES) {
        return &portfolio->entry[0];
    }
    bool is_next = portfolio->n_entries == i_entry &&
                   sl_portfolio_number(portfolio, name) == i_entry &&
                   portfolio->n_entries == i_entry + 1;
    return is_next ? &portfolio->entry[i_entry] : NULL;
}

static bool load_counts_only(sluice_portfolio *portfolio, sl_reader *reader, uint32_t n_entries)
{
    for (uint32_t i = 0; i < n_entries; i++) {
        sl_portfolio_entry *entry = load_name(portfolio, reader, i);
        if (entry == NULL) {
            return false;
        }
        entry->kept = sl_reader_u64(reader);
        entry->flagged = sl_reader_u64(reader);
        entry->dropped = sl_reader_u64(reader);
        entry->duplicates = sl_reader_u64(reader);
        if (entry->duplicates > 0) { /* of whom was not counted then */
            sl_repeats_add(portfolio->repeats, i, SLUICE_OTHER_SOURCES, entry->duplicates);
        }
    }
    return !reader->bad;
}

static bool load_entry(sluice_portfolio *portfolio, sl_reader *reader, uint32_t i_entry)
{
    sl_portfolio_entry *entry = load_name(portfolio, reader, i_entry);
    if (entry == NULL) {
        return false;
    }
    uint64_t *const counts[] = {&entry->kept, &entry->flagged, &entry->dropped, &entry->duplicates,
                                &entry->own,  &entry->scored,  &entry->rare};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        *counts[i] = sl_reader_u64(reader);
    }
    entry->first_us = (int64_t)sl_reader_u64(reader);
    entry->last_us = (int64_t)sl_reader_u64(reader);
    entry->cost = sl_reader_double(reader);
    entry->self = sl_reader_double(reader);
    for (uint32_t r = 0; r < portfolio->n_references; r++) {
        sl_portfolio_toward *toward = &entry->toward[r];
        toward->n = sl_reader_varint(reader);
        if (toward->n > 0) {
            toward->mean = sl_reader_double(reader);
            toward->squares = sl_reader_double(reader);
            toward->positive = sl_reader_double(reader);
        }
    }
    for (uint32_t s = 0; s < SLUICE_STATISTIC_TOWARD + portfolio->n_references; s++) {
        if (!sl_distribution_load(&portfolio->distribution[i_entry][s], &portfolio->pool, reader)) {
            return false;
        }
    }
    return true;
}

static bool load_references(sluice_portfolio *portfolio, sl_reader *reader)
{
    uint32_t n = sl_reader_u32(reader);
    for (uint32_t r = 0; r < n && !reader->bad; r++) {
        sluice_span name = sl_reader_span(reader, sizeof portfolio->reference[0]);
        bool ended = name.size > 0 && memchr(name.data, 0, name.size) != NULL;
        if (!ended || sl_portfolio_reference_slot(portfolio, (const char *)name.data) != r) {
            return false;
        }
    }
    return !reader->bad && portfolio->n_references == n;
}

static bool load_kind(sluice_portfolio *portfolio, sl_reader *reader)
{
    uint32_t version = sl_reader_u32(reader);
    if (version != (portfolio->groups ? BY_GROUP : BY_SOURCE)) {
        return false;
    }
    if (portfolio->groups) {
        sluice_span group_by = sl_reader_span(reader, sizeof portfolio->group_by);
        if (group_by.size == 0 || memchr(group_by.data, 0, group_by.size) == NULL) {
            return false;
        }
        memcpy(portfolio->group_by, group_by.data, group_by.size);
    }
    return true;
}

static bool load_whole(sluice_portfolio *portfolio, sl_reader *reader)
{
    if (!load_kind(portfolio, reader) || !load_references(portfolio, reader)) {
        return false;
    }
    uint32_t n_entries = sl_reader_u32(reader);
    if (n_entries < 1 || n_entries > portfolio->n_entries_most) {
        return false;
    }
    for (uint32_t i = 0; i < n_entries; i++) {
        if (!load_entry(portfolio, reader, i)) {
            return false;
        }
    }
    return sl_repeats_load(portfolio->repeats, reader, n_entries) &&
           sl_trend_load(portfolio->trend, reader, n_entries) &&
           sl_curve_load(&portfolio->curve, 1 + portfolio->n_references, reader) &&
           sl_shortlist_load(&portfolio->shortlist, reader, n_entries) &&
           (portfolio->groups ? sl_membership_load(portfolio->membership, reader, n_entries)
                              : sl_alerts_load(portfolio->alerts, reader, n_entries));
}

static bool load_restored(sluice_portfolio *portfolio, sl_reader *reader)
{
    bool any = reader->at < reader->end;
    for (uint32_t i = 0; i < portfolio->n_entries && any; i++) {
        portfolio->entry[i].restored = sl_reader_varint(reader);
    }
    return !reader->bad;
}

/* In pieces: a portfolio has megabytes, a stack has not. */
static void swap(uint8_t *a, uint8_t *b, size_t size)
{
    uint8_t piece[4096];
    while (size > 0) {
        size_t n = size < sizeof piece ? size : sizeof piece;
        memcpy(piece, a, n);
        memcpy(a, b, n);
        memcpy(b, piece, n);
        a += n;
        b += n;
        size -= n;
    }
}

sluice_status sluice_portfolio_load(sluice_portfolio *portfolio, sluice_span saved)
{
    sluice_portfolio *loaded = NULL;
    SLUICE_TRY(portfolio->groups ? sluice_portfolio_open_groups("", &loaded)
                                 : sluice_portfolio_open(&loaded));
    sl_reader reader = sl_reader_of(saved);
    uint32_t n_entries = sl_reader_u32(&reader);
    bool good = !reader.bad && n_entries >= 1;
    if (good && n_entries == MARK) {
        good = load_whole(loaded, &reader);
    } else if (good) {
        good = !loaded->groups && n_entries <= SL_PORTFOLIO_ENTRIES &&
               load_counts_only(loaded, &reader, n_entries);
    }
    good = good && load_restored(loaded, &reader) && reader.at == reader.end;
    if (good) { /* the parts change hands; what was there goes with `loaded` */
        swap((uint8_t *)portfolio, (uint8_t *)loaded, sizeof *portfolio);
    }
    sluice_portfolio_close(&loaded);
    return good ? SLUICE_OK : SLUICE_E_CORRUPT;
}

/* --- merge --- */

/* Chan, Golub, LeVeque 1983. */
static void merge_toward(sl_portfolio_toward *to, const sl_portfolio_toward *from)
{
    if (from->n == 0) {
        return;
    }
    double n = (double)to->n + (double)from->n;
    double step = from->mean - to->mean;
    to->squares += from->squares + step * step * (double)to->n * (double)from->n / n;
    to->mean += step * (double)from->n / n;
    to->n += from->n;
    to->positive += from->positive;
}

static void merge_entry(sl_portfolio_entry *to, const sl_portfolio_entry *from,
                        const uint32_t *slot)
{
    to->kept += from->kept;
    to->flagged += from->flagged;
    to->dropped += from->dropped;
    to->duplicates += from->duplicates;
    to->own += from->own;
    to->scored += from->scored;
    to->rare += from->rare;
    to->cost += from->cost;
    to->self += from->self;
    if (from->first_us != 0 && (to->first_us == 0 || from->first_us < to->first_us)) {
        to->first_us = from->first_us;
    }
    to->last_us = from->last_us > to->last_us ? from->last_us : to->last_us;
    for (uint32_t r = 0; r < SLUICE_LIMIT_REFERENCES; r++) {
        if (slot[r] < SLUICE_LIMIT_REFERENCES) {
            merge_toward(&to->toward[slot[r]], &from->toward[r]);
        }
    }
}

static void merge_distributions(sluice_portfolio *portfolio, uint32_t i_to,
                                const sluice_portfolio *other, uint32_t i_from,
                                const uint32_t *slot)
{
    for (uint32_t s = 0; s < SLUICE_N_STATISTICS; s++) {
        uint32_t to = s < SLUICE_STATISTIC_TOWARD
                          ? s
                          : SLUICE_STATISTIC_TOWARD + slot[s - SLUICE_STATISTIC_TOWARD];
        if (to < SLUICE_N_STATISTICS) {
            sl_distribution_merge(&portfolio->distribution[i_to][to], &portfolio->pool,
                                  &other->distribution[i_from][s], &other->pool);
        }
    }
}

static void merge_repeats(sluice_portfolio *portfolio, const sluice_portfolio *other,
                          const uint16_t *number)
{
    static const uint32_t most = SL_REPEATS_CELLS + SL_PORTFOLIO_ENTRIES;
    sluice_repeat *cells = calloc(most, sizeof *cells);
    SLUICE_ASSERT(cells != NULL);
    uint32_t n = sl_repeats_list(other->repeats, cells, most);
    for (uint32_t i = 0; i < n; i++) {
        sl_repeats_add(portfolio->repeats, number[cells[i].i_source], number[cells[i].i_of],
                       cells[i].count);
    }
    free(cells);
}

void sluice_portfolio_merge(sluice_portfolio *portfolio, const sluice_portfolio *other,
                            uint16_t number[SL_PORTFOLIO_ENTRIES])
{
    uint32_t slot[SLUICE_LIMIT_REFERENCES];
    memset(number, 0, SL_PORTFOLIO_ENTRIES * sizeof *number);
    for (uint32_t r = 0; r < SLUICE_LIMIT_REFERENCES; r++) {
        slot[r] = r < other->n_references
                      ? sl_portfolio_reference_slot(portfolio, other->reference[r])
                      : SLUICE_LIMIT_REFERENCES;
    }
    for (uint32_t i = 0; i < other->n_entries; i++) {
        const sl_portfolio_entry *from = &other->entry[i];
        sluice_span name = {from->name, from->name_size};
        number[i] = i == 0 ? 0 : (uint16_t)sl_portfolio_number(portfolio, name);
        merge_entry(&portfolio->entry[number[i]], from, slot);
        merge_distributions(portfolio, number[i], other, i, slot);
    }
    merge_repeats(portfolio, other, number);
    sl_curve_merge(&portfolio->curve, &other->curve, slot);
}

bool sluice_portfolio_validate(const sluice_portfolio *portfolio, const char **reason)
{
    uint32_t n_used = 0;
    for (uint32_t i = 0; i < SL_PORTFOLIO_SLOTS; i++) {
        n_used += portfolio->slot[i] != 0;
        if (portfolio->slot[i] >= portfolio->n_entries) {
            *reason = "portfolio: a slot points beyond the entries";
            return false;
        }
    }
    if (n_used != portfolio->n_entries - 1) {
        *reason = "portfolio: slots and entries differ in number";
        return false;
    }
    return true;
}
