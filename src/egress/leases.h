/* leases.h - what each consumer group has done, and what its consumers are working on. */
#ifndef SL_LEASES_H
#define SL_LEASES_H

#include "spool/spool.h"

#define SLUICE_LIMIT_LEASES     1024 /* outstanding ranges of one group                         */
#define SLUICE_LIMIT_DELIVERIES 5    /* a range that expired this often becomes dead letters    */

typedef struct sl_lease {
    uint64_t first, next; /* offsets [first, next)                                              */
    uint64_t holder;      /* who has it; any number that tells connections apart                */
    int64_t until_us;     /* expired from then on                                               */
    uint32_t delivery;    /* 1 the first time                                                   */
} sl_lease;

/* One group: committed ranges as they will be durable, and the leases above the floor, which are
 * memory only: after a restart what is not committed is given again. */
typedef struct sl_consumer_group {
    sl_spool_group progress;
    uint64_t sent_floor; /* the floor that was last on its way to the disk */
    uint32_t n_leases;
    sl_lease lease[SLUICE_LIMIT_LEASES]; /* sorted, disjoint */
} sl_consumer_group;

typedef struct sl_leases sl_leases;

SLUICE_MUST_USE sluice_status sl_leases_open(sl_leases **out); /* Gives *out     */
void sl_leases_close(sl_leases **leases_p);                    /* Takes; NULL ok */
SLUICE_MUST_USE sluice_status sl_leases_load(sl_leases *leases, sl_spool *spool,
                                             sluice_message *why);

/* The group of that name; a new one begins at `floor` (*added true). NULL: there are
 * SLUICE_LIMIT_CONSUMER_GROUPS already, or no memory. Lent for the life of `leases`. */
sl_consumer_group *sl_leases_group(sl_leases *leases, const char *name, uint64_t floor,
                                   bool *added);

/* What a consumer may be given now. */
typedef struct sl_offer {
    uint64_t from, below; /* below = UINT64_MAX: to the end of the log                          */
    uint32_t delivery;    /* 1 fresh; more: an expired lease; > LIMIT_DELIVERIES: dead letters  */
} sl_offer;

/* Expired leases first, then the lowest range that nobody has. AGAIN: the group's leases are all
 * taken. */
SLUICE_MUST_USE sluice_status sl_leases_offer(const sl_consumer_group *group, int64_t now_us,
                                              sl_offer *offer);

/* Leases [offer.from, next) of an offer to a holder; the rest of an expired lease stays expired. */
void sl_leases_grant(sl_consumer_group *group, const sl_offer *offer, uint64_t next,
                     uint64_t holder, int64_t until_us);

/* Marks [first, next) as done. CLOSED: somebody else holds a part of it now (LEASE_LOST). AGAIN:
 * too many separate ranges above the floor: commit older ones first. Committing again is OK. */
SLUICE_MUST_USE sluice_status sl_leases_commit(sl_consumer_group *group, uint64_t first,
                                               uint64_t next, uint64_t holder, int64_t now_us);

bool sl_leases_validate(const sl_consumer_group *group, const char **reason);

#endif
