/* pipeline_alerts.c - says in the log what has become strange, and that it is over.
 *
 *   counts of the portfolio --changed?--> alerts, oldest first --raised since--> ALERT-RAISED
 *                                                              --cleared since-> ALERT-CLEARED
 *
 * Why by offsets: an alert carries where it was raised and cleared, so what was told before needs
 * no copy. */
#include "pipeline_alerts.h"
#include "log.h"

sl_pipeline_alerts sl_pipeline_alerts_of(const sluice_engine *engine)
{
    return (sl_pipeline_alerts){.told =
                                    sluice_portfolio_alert_counts(sluice_engine_portfolio(engine)),
                                .next_offset = sluice_engine_next_offset(engine)};
}

static void say(const sluice_portfolio *portfolio, const sluice_alert *alert, bool cleared)
{
    static const char all[] = "(all)";
    sluice_span source = {(const uint8_t *)all, sizeof all - 1};
    if (alert->i_source != SLUICE_ALL_SOURCES) {
        source = sluice_portfolio_row(portfolio, alert->i_source).source;
    }
    sl_log(1, cleared ? "ALERT-CLEARED" : "ALERT-RAISED",
           "kind=%s source=%.*s offset=%llu value=%.4g usual=%.4g limit=%.4g",
           sluice_alert_word(alert->kind), (int)source.size,
           source.size > 0 ? (const char *)source.data : "",
           (unsigned long long)(cleared ? alert->cleared : alert->offset), alert->value,
           alert->usual, alert->limit);
}

void sl_pipeline_alerts_tell(sl_pipeline_alerts *self, const sluice_engine *engine)
{
    const sluice_portfolio *portfolio = sluice_engine_portfolio(engine);
    sluice_alert_counts now = sluice_portfolio_alert_counts(portfolio);
    if (now.raised != self->told.raised || now.cleared != self->told.cleared) {
        sluice_alert alert[SLUICE_LIMIT_ALERTS];
        uint64_t n_new = now.raised - self->told.raised;
        for (uint32_t i = sluice_portfolio_alerts(portfolio, alert); i > 0; i--) {
            const sluice_alert *at = &alert[i - 1]; /* newest first */
            if (i <= n_new) {
                say(portfolio, at, false);
            }
            if (at->cleared != 0 && at->cleared >= self->next_offset) {
                say(portfolio, at, true);
            }
        }
        self->told = now;
    }
    self->next_offset = sluice_engine_next_offset(engine);
}
