/* leases.c - what each consumer group has done, and what its consumers are working on.
 *
 *   offsets  ------floor=====C=====..LL..==C==...LLLL......................head
 *                  below: done    = done above the floor    L leased    . free
 *
 * Why leases are not durable: a lease is a promise among the living. What must survive a kill is
 * what was committed, and that is floor and ranges. Invariants (sl_leases_validate): ranges and
 * leases sorted, disjoint, above the floor. */
#include "egress/leases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sl_leases {
    uint32_t n;
    sl_consumer_group *group[SLUICE_LIMIT_CONSUMER_GROUPS];
};

sluice_status sl_leases_open(sl_leases **out)
{
    *out = calloc(1, sizeof **out);
    return *out != NULL ? SLUICE_OK : SLUICE_E_NOMEM;
}

void sl_leases_close(sl_leases **leases_p)
{
    for (uint32_t i = 0; *leases_p != NULL && i < (*leases_p)->n; i++) {
        free((*leases_p)->group[i]);
    }
    free(*leases_p);
    *leases_p = NULL;
}

sl_consumer_group *sl_leases_group(sl_leases *leases, const char *name, uint64_t floor, bool *added)
{
    *added = false;
    for (uint32_t i = 0; i < leases->n; i++) {
        if (strcmp(leases->group[i]->progress.name, name) == 0) {
            return leases->group[i];
        }
    }
    if (leases->n == SLUICE_LIMIT_CONSUMER_GROUPS) {
        return NULL;
    }
    sl_consumer_group *group = calloc(1, sizeof *group);
    if (group != NULL) {
        snprintf(group->progress.name, sizeof group->progress.name, "%s", name);
        group->progress.floor = floor;
        leases->group[leases->n++] = group;
        *added = true;
    }
    return group;
}

typedef struct load {
    sl_leases *leases;
    bool full;
} load;

static bool load_group(void *context, const sl_spool_group *stored)
{
    load *self = context;
    bool added;
    sl_consumer_group *group = sl_leases_group(self->leases, stored->name, stored->floor, &added);
    self->full = group == NULL;
    if (group != NULL) {
        group->progress = *stored;
        group->sent_floor = stored->floor;
    }
    return group != NULL;
}

sluice_status sl_leases_load(sl_leases *leases, sl_spool *spool, sluice_message *why)
{
    load self = {.leases = leases};
    SLUICE_TRY(sl_spool_groups(spool, load_group, &self, why));
    return self.full ? sluice_fail(why, SLUICE_E_NOMEM, "no room for the consumer groups")
                     : SLUICE_OK;
}

/* --- offers --- */

static const sl_lease *oldest_expired(const sl_consumer_group *group, int64_t now_us)
{
    for (uint32_t i = 0; i < group->n_leases; i++) {
        if (group->lease[i].until_us <= now_us) {
            return &group->lease[i];
        }
    }
    return NULL;
}

/* The first range at or above the floor that is neither committed nor leased. Both lists are
 * sorted, so one walk over the two finds it. */
static void find_free(const sl_consumer_group *group, sl_offer *offer)
{
    const sl_spool_group *progress = &group->progress;
    uint32_t i_range = 0, i_lease = 0;
    offer->from = progress->floor;
    for (;;) {
        uint64_t range = i_range < progress->n_ranges ? progress->range[i_range].first : UINT64_MAX;
        uint64_t lease = i_lease < group->n_leases ? group->lease[i_lease].first : UINT64_MAX;
        offer->below = range < lease ? range : lease;
        if (offer->below > offer->from) {
            return;
        }
        offer->from =
            range < lease ? progress->range[i_range++].next : group->lease[i_lease++].next;
    }
}

sluice_status sl_leases_offer(const sl_consumer_group *group, int64_t now_us, sl_offer *offer)
{
    const sl_lease *expired = oldest_expired(group, now_us);
    if (expired != NULL) {
        *offer = (sl_offer){expired->first, expired->next, expired->delivery + 1};
        return SLUICE_OK;
    }
    if (group->n_leases == SLUICE_LIMIT_LEASES) {
        return SLUICE_E_AGAIN;
    }
    find_free(group, offer);
    offer->delivery = 1;
    return SLUICE_OK;
}

static void remove_lease(sl_consumer_group *group, uint32_t i)
{
    group->n_leases--;
    memmove(&group->lease[i], &group->lease[i + 1], (group->n_leases - i) * sizeof group->lease[0]);
}

static void insert_lease(sl_consumer_group *group, const sl_lease *lease)
{
    uint32_t i = group->n_leases;
    while (i > 0 && group->lease[i - 1].first > lease->first) {
        i--;
    }
    memmove(&group->lease[i + 1], &group->lease[i], (group->n_leases - i) * sizeof group->lease[0]);
    group->lease[i] = *lease;
    group->n_leases++;
}

void sl_leases_grant(sl_consumer_group *group, const sl_offer *offer, uint64_t next,
                     uint64_t holder, int64_t until_us)
{
    for (uint32_t i = 0; i < group->n_leases; i++) {
        sl_lease *lease = &group->lease[i];
        if (lease->first == offer->from) { /* an expired one: taken over, whole or its front */
            if (next >= lease->next || group->n_leases == SLUICE_LIMIT_LEASES) {
                lease->holder = holder;
                lease->until_us = until_us;
                lease->delivery = offer->delivery;
                lease->next = next < lease->next ? next : lease->next;
                return;
            }
            lease->first = next;
            break;
        }
    }
    insert_lease(group, &(sl_lease){offer->from, next, holder, until_us, offer->delivery});
}

/* --- commits --- */

static bool held_by_another(const sl_consumer_group *group, uint64_t first, uint64_t next,
                            uint64_t holder, int64_t now_us)
{
    for (uint32_t i = 0; i < group->n_leases; i++) {
        const sl_lease *lease = &group->lease[i];
        if (lease->first < next && lease->next > first && lease->holder != holder &&
            lease->until_us > now_us) {
            return true;
        }
    }
    return false;
}

/* Takes [first, next) out of the leases; what sticks out of it stays leased. */
static void cut_leases(sl_consumer_group *group, uint64_t first, uint64_t next)
{
    for (uint32_t i = 0; i < group->n_leases;) {
        sl_lease *lease = &group->lease[i];
        if (lease->first >= next || lease->next <= first) {
            i++;
            continue;
        }
        sl_lease behind = *lease;
        behind.first = next;
        if (lease->first < first) {
            lease->next = first;
            i++;
        } else {
            remove_lease(group, i);
        }
        if (behind.first < behind.next && group->n_leases < SLUICE_LIMIT_LEASES) {
            insert_lease(group, &behind);
            i++;
        }
    }
}

/* Adds a range, joining the ones it touches. False: no place for one more. */
static bool add_range(sl_spool_group *progress, uint64_t first, uint64_t next)
{
    uint32_t i = 0;
    while (i < progress->n_ranges && progress->range[i].next < first) {
        i++;
    }
    uint32_t n_joined = 0;
    while (i + n_joined < progress->n_ranges && progress->range[i + n_joined].first <= next) {
        const sl_spool_range *joined = &progress->range[i + n_joined];
        first = joined->first < first ? joined->first : first;
        next = joined->next > next ? joined->next : next;
        n_joined++;
    }
    if (n_joined == 0 && progress->n_ranges == SLUICE_LIMIT_RANGES) {
        return false;
    }
    memmove(&progress->range[i + 1], &progress->range[i + n_joined],
            (progress->n_ranges - i - n_joined) * sizeof progress->range[0]);
    progress->range[i] = (sl_spool_range){first, next};
    progress->n_ranges = progress->n_ranges + 1 - n_joined;
    return true;
}

sluice_status sl_leases_commit(sl_consumer_group *group, uint64_t first, uint64_t next,
                               uint64_t holder, int64_t now_us)
{
    sl_spool_group *progress = &group->progress;
    first = first < progress->floor ? progress->floor : first;
    if (next <= first) {
        return SLUICE_OK;
    }
    if (held_by_another(group, first, next, holder, now_us)) {
        return SLUICE_E_CLOSED;
    }
    if (first == progress->floor) { /* the usual case: in order, no range needed */
        progress->floor = next;
    } else if (!add_range(progress, first, next)) {
        return SLUICE_E_AGAIN;
    }
    cut_leases(group, first, next);
    uint32_t n_below = 0;
    while (n_below < progress->n_ranges && progress->range[n_below].first <= progress->floor) {
        uint64_t end = progress->range[n_below++].next;
        progress->floor = end > progress->floor ? end : progress->floor;
    }
    progress->n_ranges -= n_below;
    memmove(&progress->range[0], &progress->range[n_below],
            progress->n_ranges * sizeof progress->range[0]);
    return SLUICE_OK;
}

bool sl_leases_validate(const sl_consumer_group *group, const char **reason)
{
    const sl_spool_group *progress = &group->progress;
    uint64_t end = progress->floor;
    for (uint32_t i = 0; i < progress->n_ranges; i++) {
        if (progress->range[i].first <= end ||
            progress->range[i].next <= progress->range[i].first) {
            *reason = "leases: committed ranges touch, overlap or are empty";
            return false;
        }
        end = progress->range[i].next;
    }
    end = progress->floor;
    for (uint32_t i = 0; i < group->n_leases; i++) {
        if (group->lease[i].first < end || group->lease[i].next <= group->lease[i].first) {
            *reason = "leases: leases overlap, are empty or lie below the floor";
            return false;
        }
        end = group->lease[i].next;
    }
    return true;
}
