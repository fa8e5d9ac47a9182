/* report_page.h - a report as JSON, and as one page with everything in it. */
#ifndef SL_REPORT_PAGE_H
#define SL_REPORT_PAGE_H

#include "command/portfolio_source.h"
#include "sluice/config.h"

/* Appends {"portfolio": {...}, "before": {...} | null}. */
SLUICE_MUST_USE sluice_status sl_report_json(const sl_portfolios *portfolios, sluice_bytes *out);

/* sl_report_page - appends the page: the report, its highlights, and what it is of.
 *
 * config  Borrows; NULL: neither thresholds nor rules are known. */
SLUICE_MUST_USE sluice_status sl_report_page(const sl_portfolio_source *source,
                                             const sl_portfolios *portfolios,
                                             const sluice_config *config, sluice_bytes *out);

#endif
