/* groups.c - how many samples of each group were dropped, and whether that is unequal.
 *
 *   value --compare--> group[0 .. 63] in order of first appearance | group[64] = "(other)"
 *
 * Why so few: a group is something a person answers for (a region, a language). Where a sender
 * invents values the table must not grow, and which values have a row depends on log order alone.
 */
#include "decide/groups.h"
#include "bytes.h"

#include <math.h>

#define OTHER SLUICE_LIMIT_GROUPS

static void name_group(struct sl_group *group, sluice_span name)
{
    memcpy(group->name, name.data, name.size);
    group->name_size = (uint32_t)name.size;
}

void sl_groups_init(sl_groups *groups)
{
    memset(groups, 0, sizeof *groups);
    name_group(&groups->group[OTHER], sl_span_of("(other)"));
}

void sl_groups_apply(sl_groups *groups, sluice_span name, bool dropped)
{
    if (name.size == 0) {
        name = sl_span_of("(none)");
    }
    name.size = name.size < SLUICE_LIMIT_SOURCE_BYTES ? name.size : SLUICE_LIMIT_SOURCE_BYTES;
    uint32_t i = 0;
    while (i < groups->n &&
           !sl_span_equal((sluice_span){groups->group[i].name, groups->group[i].name_size}, name)) {
        i++;
    }
    if (i == groups->n && i < SLUICE_LIMIT_GROUPS) {
        name_group(&groups->group[i], name);
        groups->n++;
    }
    groups->group[i].received++; /* i == OTHER where there is no room */
    groups->group[i].dropped += dropped;
}

uint32_t sl_groups_n(const sl_groups *groups)
{
    return groups->n + (groups->group[OTHER].received > 0);
}

sluice_group_counts sl_groups_at(const sl_groups *groups, uint32_t i)
{
    SLUICE_ASSERT(i < sl_groups_n(groups));
    const struct sl_group *group = &groups->group[i < groups->n ? i : OTHER];
    return (sluice_group_counts){{group->name, group->name_size}, group->received, group->dropped};
}

sluice_fairness sl_groups_fairness(const sl_groups *groups, double max_ratio, uint64_t min_samples)
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

sluice_status sl_groups_save(const sl_groups *groups, sluice_bytes *out)
{
    SLUICE_TRY(sl_bytes_put_u32(out, groups->n));
    for (uint32_t i = 0; i <= groups->n; i++) {
        const struct sl_group *group = &groups->group[i < groups->n ? i : OTHER];
        SLUICE_TRY(sl_bytes_put_u32(out, group->name_size));
        SLUICE_TRY(sl_bytes_append(out, group->name, group->name_size));
        SLUICE_TRY(sl_bytes_put_u64(out, group->received));
        SLUICE_TRY(sl_bytes_put_u64(out, group->dropped));
    }
    return SLUICE_OK;
}

sluice_status sl_groups_load(sl_groups *groups, sl_reader *reader)
{
    sl_groups loaded;
    sl_groups_init(&loaded);
    uint32_t n = sl_reader_u32(reader);
    if (n > SLUICE_LIMIT_GROUPS) {
        return SLUICE_E_CORRUPT;
    }
    for (uint32_t i = 0; i <= n && !reader->bad; i++) {
        struct sl_group *group = &loaded.group[i < n ? i : OTHER];
        uint32_t size = sl_reader_u32(reader);
        sluice_span name = sl_reader_span(reader, size);
        if (reader->bad || size > SLUICE_LIMIT_SOURCE_BYTES || size == 0) {
            return SLUICE_E_CORRUPT;
        }
        name_group(group, name);
        group->received = sl_reader_u64(reader);
        group->dropped = sl_reader_u64(reader);
    }
    loaded.n = n;
    if (reader->bad) {
        return SLUICE_E_CORRUPT;
    }
    *groups = loaded;
    return SLUICE_OK;
}
