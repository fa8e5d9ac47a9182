/* portfolio.c - what became of the samples of each source.
 *
 *   name --XXH3--> slot[2048] --> entry[1 + 1024]    entry 0 is "(other)", the rest in order of
 *                                                    first appearance in the log
 * Why "(other)" and no eviction: a portfolio that forgets a source would lie about it; a sender
 * that invents sources must not grow us. Which names get an entry depends on log order alone. */
#include "decide/portfolio.h"
#include "bytes.h"

#include <stdlib.h>
#include <xxhash.h>

#define N_ENTRIES (1 + SLUICE_LIMIT_SOURCES)
#define N_SLOTS   2048 /* a power of two, twice the entries: linear probing stays short */
#define N_COUNTS  4

typedef struct entry {
    uint8_t name[SLUICE_LIMIT_SOURCE_BYTES];
    uint32_t name_size;
    uint64_t kept, flagged, dropped, duplicates;
} entry;

struct sl_portfolio {
    uint32_t n_entries;
    uint16_t slot[N_SLOTS]; /* 0 = free: entry 0 has no slot */
    entry entry[N_ENTRIES];
};

static void forget_all(sl_portfolio *portfolio)
{
    static const char other[] = "(other)";
    memset(portfolio, 0, sizeof *portfolio);
    memcpy(portfolio->entry[0].name, other, sizeof other - 1);
    portfolio->entry[0].name_size = sizeof other - 1;
    portfolio->n_entries = 1;
}

sluice_status sl_portfolio_open(sl_portfolio **out)
{
    *out = malloc(sizeof **out);
    if (*out == NULL) {
        return SLUICE_E_NOMEM;
    }
    forget_all(*out);
    return SLUICE_OK;
}

void sl_portfolio_close(sl_portfolio **portfolio_p)
{
    free(*portfolio_p);
    *portfolio_p = NULL;
}

static entry *find_entry(sl_portfolio *portfolio, sluice_span name)
{
    uint32_t i_slot = (uint32_t)XXH3_64bits(name.data, name.size) % N_SLOTS;
    while (portfolio->slot[i_slot] != 0) {
        entry *known = &portfolio->entry[portfolio->slot[i_slot]];
        if (sl_span_equal((sluice_span){known->name, known->name_size}, name)) {
            return known;
        }
        i_slot = (i_slot + 1) % N_SLOTS;
    }
    if (portfolio->n_entries == N_ENTRIES || name.size > SLUICE_LIMIT_SOURCE_BYTES) {
        return &portfolio->entry[0];
    }
    entry *added = &portfolio->entry[portfolio->n_entries];
    if (name.size > 0) {
        memcpy(added->name, name.data, name.size);
    }
    added->name_size = (uint32_t)name.size;
    portfolio->slot[i_slot] = (uint16_t)portfolio->n_entries++;
    return added;
}

void sl_portfolio_apply(sl_portfolio *portfolio, const sluice_sample *sample)
{
    entry *source = find_entry(portfolio, sample->source);
    source->kept += sample->verdict.decision == SLUICE_KEEP;
    source->flagged += sample->verdict.decision == SLUICE_FLAG;
    source->dropped += sample->verdict.decision == SLUICE_DROP;
    source->duplicates += sample->match.method != SLUICE_METHOD_NONE;
}

uint32_t sl_portfolio_find(const sl_portfolio *portfolio, sluice_span source)
{
    uint32_t i_slot = (uint32_t)XXH3_64bits(source.data, source.size) % N_SLOTS;
    while (portfolio->slot[i_slot] != 0) {
        const entry *known = &portfolio->entry[portfolio->slot[i_slot]];
        if (sl_span_equal((sluice_span){known->name, known->name_size}, source)) {
            return portfolio->slot[i_slot];
        }
        i_slot = (i_slot + 1) % N_SLOTS;
    }
    return portfolio->n_entries == N_ENTRIES ? 0 : UINT32_MAX;
}

uint32_t sl_portfolio_n_sources(const sl_portfolio *portfolio)
{
    return portfolio->n_entries;
}

sluice_source_counts sl_portfolio_source(const sl_portfolio *portfolio, uint32_t i_source)
{
    SLUICE_ASSERT(i_source < portfolio->n_entries);
    const entry *source = &portfolio->entry[i_source];
    return (sluice_source_counts){{source->name, source->name_size},
                                  source->kept,
                                  source->flagged,
                                  source->dropped,
                                  source->duplicates};
}

sluice_status sl_portfolio_save(const sl_portfolio *portfolio, sluice_bytes *out)
{
    SLUICE_TRY(sl_bytes_put_u32(out, portfolio->n_entries));
    for (uint32_t i = 0; i < portfolio->n_entries; i++) {
        const entry *source = &portfolio->entry[i];
        SLUICE_TRY(sl_bytes_put_u32(out, source->name_size));
        SLUICE_TRY(sl_bytes_append(out, source->name, source->name_size));
        const uint64_t count[N_COUNTS] = {source->kept, source->flagged, source->dropped,
                                          source->duplicates};
        for (int j = 0; j < N_COUNTS; j++) {
            SLUICE_TRY(sl_bytes_put_u64(out, count[j]));
        }
    }
    return SLUICE_OK;
}

static bool read_entry(sl_portfolio *portfolio, sl_reader *reader, uint32_t i_entry)
{
    uint32_t name_size = sl_reader_u32(reader);
    sluice_span name = sl_reader_span(reader, name_size);
    if (reader->bad || name_size > SLUICE_LIMIT_SOURCE_BYTES) {
        return false;
    }
    entry *source = i_entry == 0 ? &portfolio->entry[0] : find_entry(portfolio, name);
    source->kept = sl_reader_u64(reader);
    source->flagged = sl_reader_u64(reader);
    source->dropped = sl_reader_u64(reader);
    source->duplicates = sl_reader_u64(reader);
    return !reader->bad && portfolio->n_entries == i_entry + 1;
}

sluice_status sl_portfolio_load(sl_portfolio *portfolio, sluice_span saved)
{
    sl_portfolio *loaded = NULL;
    SLUICE_TRY(sl_portfolio_open(&loaded));
    sl_reader reader = sl_reader_of(saved);
    uint32_t n_entries = sl_reader_u32(&reader);
    bool good = !reader.bad && n_entries >= 1 && n_entries <= N_ENTRIES;
    for (uint32_t i = 0; good && i < n_entries; i++) {
        good = read_entry(loaded, &reader, i);
    }
    good = good && reader.at == reader.end;
    if (good) {
        *portfolio = *loaded;
    }
    sl_portfolio_close(&loaded);
    return good ? SLUICE_OK : SLUICE_E_CORRUPT;
}

sluice_status sl_portfolio_merge(sl_portfolio *portfolio, sluice_span saved, uint16_t *source_of)
{
    sl_portfolio *other = NULL;
    SLUICE_TRY(sl_portfolio_open(&other));
    sluice_status status = sl_portfolio_load(other, saved);
    memset(source_of, 0, sizeof *source_of * N_ENTRIES);
    for (uint32_t i = 0; status == SLUICE_OK && i < other->n_entries; i++) {
        const entry *from = &other->entry[i];
        entry *to = i == 0 ? &portfolio->entry[0]
                           : find_entry(portfolio, (sluice_span){from->name, from->name_size});
        to->kept += from->kept;
        to->flagged += from->flagged;
        to->dropped += from->dropped;
        to->duplicates += from->duplicates;
        source_of[i] = (uint16_t)(to - portfolio->entry);
    }
    sl_portfolio_close(&other);
    return status;
}

bool sl_portfolio_validate(const sl_portfolio *portfolio, const char **reason)
{
    uint32_t n_used = 0;
    for (uint32_t i = 0; i < N_SLOTS; i++) {
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
