/* portfolio_source.h - makes portfolios from a state or from a file of verdicts. */
#ifndef SL_PORTFOLIO_SOURCE_H
#define SL_PORTFOLIO_SOURCE_H

#include "command/highlights.h"
#include "status.h"
#include "sluice/config.h"
#include "sluice/portfolio.h"

typedef struct sl_portfolio_source {
    const char *state, *verdicts; /* one of them; the other NULL                       */
    uint64_t samples;             /* a period: the last so many; or                    */
    int64_t last_us;              /* the last so long, by arrival, from a state alone; */
                                  /* both 0: from the beginning                        */
    bool bare;                    /* highlights without payloads */
    sluice_config *config;        /* Borrows; the keys that a state was made with are set over it.
                                     NULL: not wanted */
    sl_highlights *highlights; /* Borrows; offered the samples of the period, but no more than the
                                  last SL_HIGHLIGHTS_LOOKED of a state. NULL: not wanted */
} sl_portfolio_source;

typedef struct sl_portfolio_period {
    sluice_portfolio *sources;
    sluice_portfolio *groups; /* NULL: nothing is known of groups */
    uint64_t from, to;        /* offsets */
} sl_portfolio_period;

typedef struct sl_portfolios {
    sl_portfolio_period now, before; /* before: empty without a period */
    sluice_portfolio *stream; /* all of it, for its alerts; NULL without a period: it is `now` */
} sl_portfolios;

/* sl_portfolios_read - Gives what `out` holds: the period, and as much of the stream before it. A
 * state is read beside a running filter, up to its last durable sample; from the beginning means
 * its checkpoint and the log behind it, so that deleted samples still count. CORRUPT, IO: `why`
 * says what. */
SLUICE_MUST_USE sluice_status sl_portfolios_read(const sl_portfolio_source *source,
                                                 sl_portfolios *out, sluice_message *why);
void sl_portfolios_close(sl_portfolios *portfolios);

#endif
