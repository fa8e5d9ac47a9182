/* record_portfolio.h - a portfolio as one JSON object. */
#ifndef SL_RECORD_PORTFOLIO_H
#define SL_RECORD_PORTFOLIO_H

#include "status.h"
#include "sluice/portfolio.h"

/* Appends the object; deploy/docs/portfolio.md names its members. NOMEM only. */
SLUICE_MUST_USE sluice_status sl_record_portfolio_json(const sluice_portfolio *portfolio,
                                                       sluice_bytes *out);

#endif
