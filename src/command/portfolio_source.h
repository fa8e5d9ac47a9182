/* portfolio_source.h - makes a portfolio from a state or from a file of verdicts. */
#ifndef SL_PORTFOLIO_SOURCE_H
#define SL_PORTFOLIO_SOURCE_H

#include "status.h"
#include "sluice/portfolio.h"

typedef struct sl_portfolio_source {
    const char *state, *verdicts; /* one of them; the other NULL */
    uint64_t samples;             /* 0: from the beginning; else the last so many */
} sl_portfolio_source;

/* sl_portfolio_read - Gives *now and, with `samples`, *before: the same number of samples before
 * those (NULL without). A state is read beside a running filter, up to its last durable sample;
 * from the beginning means its checkpoint and the log behind it, so that deleted samples still
 * count. CORRUPT, IO: `why` says what. */
SLUICE_MUST_USE sluice_status sl_portfolio_read(const sl_portfolio_source *source,
                                                sluice_portfolio **now, sluice_portfolio **before,
                                                sluice_message *why);

#endif
