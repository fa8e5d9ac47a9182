/* groups.c - which group a sample is of, and whether groups are dropped unequally.
 *
 *   sample --fairness.group_by--> name --> portfolio by group: (other) | 64 rows, in order of
 *                                                               appearance
 *
 * Why so few: a group is something a person answers for (a region, a language). Where a sender
 * invents values the table must not grow; which values have a row depends on log order alone. */
#include "decide/groups.h"
#include "decide/portfolio.h"

#include <math.h>
#include <stdio.h>

#define EXPECTED "expected attributes.NAME, sample.source or sample.media_type"

/* --- the group of a sample --- */

/* A group is one text, not an expression: its values become names of a table. */
bool sl_groups_key(sl_names *names, const char *group_by, sl_name *key, sluice_message *wrong)
{
    sluice_span part[2];
    const char *dot = strchr(group_by, '.'); /* a NAME may have dots in it */
    uint32_t n_parts = dot != NULL ? 2 : 1;
    part[0] = sl_span_of(group_by);
    if (dot != NULL) {
        part[0].size = (size_t)(dot - group_by);
        part[1] = sl_span_of(dot + 1);
    }
    snprintf(wrong->text, sizeof wrong->text, EXPECTED);
    if (!sl_names_find(names, part, n_parts, key, wrong)) {
        return false;
    }
    bool is_text = key->kind == SL_NAME_ATTRIBUTE || key->kind == SL_NAME_SAMPLE_SOURCE ||
                   key->kind == SL_NAME_SAMPLE_MEDIA_TYPE;
    if (!is_text) {
        snprintf(wrong->text, sizeof wrong->text, EXPECTED);
    }
    return is_text;
}

sluice_span sl_groups_of(const sl_names *names, const sl_name *key, const sl_facts *facts)
{
    sl_value value = sl_name_value(names, key, facts);
    return value.type == SL_VALUE_TEXT ? value.text : (sluice_span){NULL, 0};
}

/* --- counting --- */

static sluice_span row_name(sluice_span name)
{
    name = name.size > 0 ? name : sl_span_of("(none)");
    name.size = name.size < SLUICE_LIMIT_SOURCE_BYTES ? name.size : SLUICE_LIMIT_SOURCE_BYTES;
    return name;
}

void sl_groups_apply(sluice_portfolio *groups, sluice_span name, const sluice_sample *sample)
{
    sluice_portfolio_apply_group(groups, sample, row_name(name));
}

void sl_groups_note(sluice_portfolio *groups, sluice_span name, const sluice_sample *sample)
{
    sluice_portfolio_note_group(groups, sample, row_name(name));
}

static sluice_group_counts counts_of(const sluice_portfolio *groups, uint32_t i_entry)
{
    const sl_portfolio_entry *entry = &groups->entry[i_entry];
    return (sluice_group_counts){{entry->name, entry->name_size},
                                 entry->kept + entry->flagged + entry->dropped,
                                 entry->dropped};
}

uint32_t sl_groups_n(const sluice_portfolio *groups)
{
    return groups == NULL
               ? 0
               : groups->n_entries - 1 + (counts_of(groups, SLUICE_OTHER_SOURCES).received > 0);
}

sluice_group_counts sl_groups_at(const sluice_portfolio *groups, uint32_t i)
{
    SLUICE_ASSERT(i < sl_groups_n(groups));
    return counts_of(groups, i + 1 < groups->n_entries ? i + 1 : SLUICE_OTHER_SOURCES);
}

sluice_fairness sl_groups_fairness(const sluice_portfolio *groups, double max_ratio,
                                   uint64_t min_samples)
{
    sluice_fairness found = {.ratio = (double)NAN};
    double high = 0, low = 0;
    uint32_t n_counted = 0;
    bool any = false;
    for (uint32_t i = 0; i < sl_groups_n(groups); i++) {
        sluice_group_counts group = sl_groups_at(groups, i);
        if (group.received < min_samples || group.received == 0) {
            continue;
        }
        any = any || group.dropped > 0;
        double drops = group.dropped > 0 ? (double)group.dropped : 0.5;
        double rate = drops / (double)group.received;
        if (n_counted == 0 || rate > high) {
            high = rate;
            found.i_high = i;
        }
        if (n_counted == 0 || rate < low) {
            low = rate;
            found.i_low = i;
        }
        n_counted++;
    }
    if (n_counted >= 2) {
        found.ratio = any ? high / low : 1;
        found.unfair = found.ratio > max_ratio;
    }
    return found;
}

sluice_status sl_groups_load_counts(sluice_portfolio *groups, sl_reader *reader)
{
    uint32_t n = sl_reader_u32(reader);
    if (n > SLUICE_LIMIT_GROUPS) {
        return SLUICE_E_CORRUPT;
    }
    for (uint32_t i = 0; i <= n && !reader->bad; i++) {
        uint32_t size = sl_reader_u32(reader);
        sluice_span name = sl_reader_span(reader, size);
        uint64_t received = sl_reader_u64(reader);
        uint64_t dropped = sl_reader_u64(reader);
        if (reader->bad || size > SLUICE_LIMIT_SOURCE_BYTES || size == 0 || dropped > received) {
            return SLUICE_E_CORRUPT;
        }
        if (groups != NULL) { /* the last one is "(other)" */
            uint32_t i_entry = i < n ? sl_portfolio_number(groups, name) : SLUICE_OTHER_SOURCES;
            groups->entry[i_entry].kept = received - dropped;
            groups->entry[i_entry].dropped = dropped;
        }
    }
    return reader->bad ? SLUICE_E_CORRUPT : SLUICE_OK;
}
