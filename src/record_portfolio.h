/* record_portfolio.h - a portfolio as one JSON object. */
#ifndef SL_RECORD_PORTFOLIO_H
#define SL_RECORD_PORTFOLIO_H

#include "status.h"
#include "sluice/portfolio.h"

/* What the object is made of; Borrows all. */
typedef struct sl_portfolio_parts {
    const sluice_portfolio *sources;
    const sluice_portfolio *groups; /* the one by group; NULL: there is none                     */
    const sluice_portfolio *stream; /* NULL: `sources`; else its alerts, those raised or holding in
                                       [from, to), stand for those of a part of the stream       */
    uint64_t from, to;
} sl_portfolio_parts;

/* Appends the object; deploy/docs/portfolio.md names its members. NOMEM only. */
SLUICE_MUST_USE sluice_status sl_record_portfolio_json(const sl_portfolio_parts *parts,
                                                       sluice_bytes *out);

#endif
