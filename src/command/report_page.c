/* report_page.c - a report as JSON, and as one page with everything in it.
 *
 *   portfolios --> {"portfolio", "before"} --+
 *   highlights --> pairs, tops, samples -----+--> data --> the template of the dashboard
 *   config     --> thresholds, rules --------+ */
#include "command/report_page.h"

#include "bytes.h"
#include "record_json.h"
#include "record_portfolio.h"
#include "sluice/version.h"
#include "watch/object.h"
#include "watch/page.h"
#include "watch/pages.h"

#include <inttypes.h>
#include <stdio.h>

static sluice_status put_period(const sl_portfolio_period *period, const sluice_portfolio *stream,
                                sluice_bytes *out)
{
    const sl_portfolio_parts parts = {.sources = period->sources,
                                      .groups = period->groups,
                                      .stream = stream,
                                      .from = period->from,
                                      .to = period->to};
    return sl_record_portfolio_json(&parts, out);
}

static sluice_status put_report(const sl_portfolios *portfolios, sluice_bytes *out)
{
    SLUICE_TRY(sl_json_put_text(out, "{\"portfolio\": "));
    SLUICE_TRY(put_period(&portfolios->now, portfolios->stream, out));
    SLUICE_TRY(sl_json_put_text(out, ", \"before\": "));
    return portfolios->before.sources != NULL
               ? put_period(&portfolios->before, portfolios->stream, out)
               : sl_json_put_text(out, "null");
}

sluice_status sl_report_json(const sl_portfolios *portfolios, sluice_bytes *out)
{
    SLUICE_TRY(put_report(portfolios, out));
    return sl_json_put_text(out, "}\n");
}

/* --- the page --- */

static uint64_t n_samples(const sluice_portfolio *portfolio)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < sluice_portfolio_n_sources(portfolio); i++) {
        sluice_source_row row = sluice_portfolio_row(portfolio, i);
        n += row.kept + row.flagged + row.dropped;
    }
    return n;
}

static const char *duration_of(int64_t us, char *out, size_t size)
{
    static const struct {
        int64_t us;
        const char *word;
    } units[] = {{86400000000, "days"}, {3600000000, "hours"}, {60000000, "minutes"}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (us % units[i].us == 0) {
            snprintf(out, size, "%" PRId64 " %s", us / units[i].us, units[i].word);
            return out;
        }
    }
    snprintf(out, size, "%.9g seconds", (double)us / 1e6);
    return out;
}

static void put_title(const sl_portfolio_source *source, const sl_portfolios *portfolios,
                      sl_object *object)
{
    char made[128], period[128] = "from the beginning", before[128] = "", time[64];
    if (source->samples > 0) {
        snprintf(period, sizeof period, "the last %" PRIu64 " samples", source->samples);
    } else if (source->last_us > 0) {
        snprintf(period, sizeof period, "the last %s, %" PRIu64 " samples",
                 duration_of(source->last_us, time, sizeof time),
                 n_samples(portfolios->now.sources));
    }
    if (portfolios->before.sources != NULL) {
        snprintf(before, sizeof before, "beside the period before: %" PRIu64 " samples",
                 n_samples(portfolios->before.sources));
    }
    snprintf(made, sizeof made, "Sluice %s", sluice_version());
    sl_object_text(object, "name", source->state != NULL ? source->state : source->verdicts);
    sl_object_text(object, "period", period);
    sl_object_text(object, "beside", before);
    sl_object_text(object, "made", made);
    sl_object_text(object, "missing",
                   source->verdicts != NULL ? "A file of verdicts holds no payloads"
                   : source->bare           ? "Made with --bare, without payloads"
                                            : "");
}

static void put_config(sl_object *object, const sluice_config *config)
{
    if (config == NULL) {
        sl_object_json(object, "config", (sluice_span){0});
        return;
    }
    sl_object_open(object, "config", '{');
    sl_pages_thresholds(object, config);
    sl_object_close(object, '}');
}

static sluice_status put_data(const sl_portfolio_source *source, const sl_portfolios *portfolios,
                              const sluice_config *config, sluice_bytes *out)
{
    SLUICE_TRY(put_report(portfolios, out));
    SLUICE_TRY(sl_highlights_write(source->highlights, out));
    sl_object object = sl_object_of(out);
    object.comma = true;
    put_title(source, portfolios, &object);
    put_config(&object, config);
    SLUICE_TRY(object.status);
    return sl_json_put_text(out, "}");
}

sluice_status sl_report_page(const sl_portfolio_source *source, const sl_portfolios *portfolios,
                             const sluice_config *config, sluice_bytes *out)
{
    sluice_bytes data = {0};
    sluice_status status = put_data(source, portfolios, config, &data);
    status =
        status == SLUICE_OK ? sl_page_report((sluice_span){data.data, data.size}, out) : status;
    sl_bytes_fini(&data);
    return status;
}
