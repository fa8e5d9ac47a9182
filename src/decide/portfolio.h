/* portfolio.h - how the parts of a portfolio hang together. */
#ifndef SL_PORTFOLIO_H
#define SL_PORTFOLIO_H

#include "decide/alerts.h"
#include "decide/curve.h"
#include "decide/distribution.h"
#include "decide/membership.h"
#include "decide/repeats.h"
#include "decide/shortlist.h"
#include "decide/trend.h"
#include "sluice/config.h"

#define SL_PORTFOLIO_ENTRIES (1 + SLUICE_LIMIT_SOURCES)
#define SL_PORTFOLIO_SLOTS   2048 /* a power of two, twice the entries: probing stays short */

typedef struct sl_portfolio_toward {
    uint64_t n;
    double mean, squares; /* sum of squared distances from the mean: Welford */
    double positive;
} sl_portfolio_toward;

typedef struct sl_portfolio_entry {
    uint8_t name[SLUICE_LIMIT_SOURCE_BYTES];
    uint32_t name_size;
    uint64_t kept, flagged, dropped, duplicates, own, scored, rare, restored;
    double cost, self;
    int64_t first_us, last_us; /* 0 = none */
    sl_portfolio_toward toward[SLUICE_LIMIT_REFERENCES];
} sl_portfolio_entry;

struct sluice_portfolio {
    bool groups; /* rows are groups: no curve, shortlist, alerts, but membership */
    char group_by[SLUICE_LIMIT_STRING_BYTES];
    uint32_t n_entries, n_entries_most;
    uint16_t slot[SL_PORTFOLIO_SLOTS]; /* 0 = free: entry 0 has no slot */
    uint32_t n_references;
    char reference[SLUICE_LIMIT_REFERENCES][64];
    sl_portfolio_entry *entry;                            /* [n_entries_most] */
    sl_distribution (*distribution)[SLUICE_N_STATISTICS]; /* the same */
    sl_distribution_pool pool;
    sl_repeats *repeats;
    sl_trend *trend;
    sl_curve curve;
    sl_shortlist shortlist;
    sl_alerts *alerts;
    sl_membership *membership;
};

/* Number of a source, added if it is new and there is room. */
uint32_t sl_portfolio_number(sluice_portfolio *portfolio, sluice_span source);
/* Slot of a reference, added if it is new; SLUICE_LIMIT_REFERENCES if there is no room. */
uint32_t sl_portfolio_reference_slot(sluice_portfolio *portfolio, const char *name);

#endif
