/* portfolio.h - what became of the samples of each source. */
#ifndef SL_PORTFOLIO_H
#define SL_PORTFOLIO_H

#include "status.h"
#include "sluice/engine.h"

typedef struct sl_portfolio sl_portfolio;

SLUICE_MUST_USE sluice_status sl_portfolio_open(sl_portfolio **out); /* Gives *out     */
void sl_portfolio_close(sl_portfolio **portfolio_p);                 /* Takes; NULL ok */

/* Counts a judged sample under its source, or under "(other)" once SLUICE_LIMIT_SOURCES names are
 * known. Cannot fail: the memory is there since open. */
void sl_portfolio_apply(sl_portfolio *portfolio, const sluice_sample *sample);

/* Number of a source below SLUICE_LIMIT_SOURCES + 1; 0 is "(other)"; UINT32_MAX: none of it was
 * applied yet. */
uint32_t sl_portfolio_find(const sl_portfolio *portfolio, sluice_span source);

uint32_t sl_portfolio_n_sources(const sl_portfolio *portfolio);
sluice_source_counts sl_portfolio_source(const sl_portfolio *portfolio, uint32_t i_source);

SLUICE_MUST_USE sluice_status sl_portfolio_save(const sl_portfolio *portfolio, sluice_bytes *out);
/* Takes the place of what was counted. CORRUPT: nothing changed. */
SLUICE_MUST_USE sluice_status sl_portfolio_load(sl_portfolio *portfolio, sluice_span saved);
/* Adds what another one counted, from what it saved. source_of [SLUICE_LIMIT_SOURCES + 1], out: the
 * number here of each source there. CORRUPT: nothing changed. */
SLUICE_MUST_USE sluice_status sl_portfolio_merge(sl_portfolio *portfolio, sluice_span saved,
                                                 uint16_t *source_of);
bool sl_portfolio_validate(const sl_portfolio *portfolio, const char **reason);

#endif
