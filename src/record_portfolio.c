/* record_portfolio.c - a portfolio as one JSON object.
 *
 *   {references, total, sources[], repeats[], groups{by, rows[], repeats[]}, curves{}, labels[],
 *    alerts[], advice[]}
 *
 * Numbers that have no value are null. What is derived (shares, cost per kept sample) is derived
 * here, once, for the page, the report and the API alike. */
#include "record_portfolio.h"
#include "bytes.h"

#include <jansson.h>

#include <math.h>
#include <stdlib.h>

#define REPEATS_SHOWN 4096
#define N_QUANTILES   7
#define N_BINS        24 /* of a histogram */

static const double quantiles[N_QUANTILES] = {0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99};
static const char *const quantile_names[N_QUANTILES] = {"p01", "p05", "p25", "p50",
                                                        "p75", "p95", "p99"};

static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *count(uint64_t value)
{
    return json_integer((json_int_t)value);
}

static json_t *text_of(sluice_span span)
{
    json_t *text = json_stringn((const char *)span.data, span.size);
    return text != NULL ? text : json_string("(not UTF-8)");
}

static json_t *source_name(const sluice_portfolio *portfolio, uint32_t i_source)
{
    return i_source == SLUICE_ALL_SOURCES
               ? json_null()
               : text_of(sluice_portfolio_row(portfolio, i_source).source);
}

/* What the rows are: the name of a member. */
static const char *kind_of(const sluice_portfolio *portfolio)
{
    return sluice_portfolio_group_by(portfolio)[0] == '\0' ? "source" : "group";
}

static double ratio(double a, double b)
{
    return b > 0 ? a / b : NAN;
}

static void put(json_t *object, const char *name, json_t *value)
{
    json_object_set_new(object, name, value);
}

/* --- distributions --- */

/* Edges of a histogram between the 1 % and the 99 % quantile: even in the logarithm where all
 * values are positive, else even. */
static void place_edges(double low, double high, double *edges)
{
    bool logarithmic = low > 0 && high > low;
    for (int i = 0; i < N_BINS; i++) {
        double part = (double)(i + 1) / N_BINS;
        edges[i] = logarithmic ? low * pow(high / low, part) : low + (high - low) * part;
    }
}

static json_t *histogram_json(const sluice_portfolio *portfolio, uint32_t i_source,
                              uint32_t statistic, double low, double high)
{
    double edges[N_BINS];
    uint64_t counts[N_BINS];
    place_edges(low, high, edges);
    sluice_portfolio_counts(portfolio, i_source, statistic, edges, N_BINS, counts);
    json_t *out = json_array();
    for (int i = 0; i < N_BINS; i++) {
        uint64_t below = i > 0 ? counts[i - 1] : 0;
        json_array_append_new(out, json_pack("[f, I]", edges[i], (json_int_t)(counts[i] - below)));
    }
    return out;
}

static json_t *distribution_json(const sluice_portfolio *portfolio, uint32_t i_source,
                                 uint32_t statistic, bool histogram)
{
    double values[N_QUANTILES];
    sluice_portfolio_quantiles(portfolio, i_source, statistic, quantiles, N_QUANTILES, values);
    if (isnan(values[0])) {
        return json_null();
    }
    json_t *out = json_object();
    for (int i = 0; i < N_QUANTILES; i++) {
        put(out, quantile_names[i], number(values[i]));
    }
    if (histogram) {
        put(out, "histogram",
            histogram_json(portfolio, i_source, statistic, values[0], values[N_QUANTILES - 1]));
    }
    return out;
}

static json_t *distributions_json(const sluice_portfolio *portfolio, uint32_t i_source,
                                  bool histogram)
{
    json_t *toward = json_object();
    for (uint32_t r = 0; r < sluice_portfolio_n_references(portfolio); r++) {
        put(toward, sluice_portfolio_reference(portfolio, r),
            distribution_json(portfolio, i_source, SLUICE_STATISTIC_TOWARD + r, histogram));
    }
    json_t *out = json_object();
    put(out, "loss", distribution_json(portfolio, i_source, SLUICE_STATISTIC_LOSS, histogram));
    put(out, "self", distribution_json(portfolio, i_source, SLUICE_STATISTIC_SELF, histogram));
    put(out, "leverage",
        distribution_json(portfolio, i_source, SLUICE_STATISTIC_LEVERAGE, histogram));
    put(out, "toward", toward);
    return out;
}

/* --- sources --- */

static json_t *toward_json(const sluice_portfolio *portfolio, const sluice_source_row *row)
{
    json_t *out = json_object();
    for (uint32_t r = 0; r < sluice_portfolio_n_references(portfolio); r++) {
        const sluice_toward *toward = &row->toward[r];
        json_t *of = json_object();
        put(of, "n", count(toward->n));
        put(of, "mean", number(toward->mean));
        put(of, "low", number(toward->low));
        put(of, "high", number(toward->high));
        put(of, "positive", number(toward->positive));
        put(of, "cost_per_positive", number(ratio(row->cost, toward->positive)));
        put(out, sluice_portfolio_reference(portfolio, r), of);
    }
    return out;
}

static json_t *trend_json(const sluice_portfolio *portfolio, uint32_t i_source)
{
    sluice_trend_point points[SLUICE_TREND_POINTS];
    uint64_t span;
    uint32_t n = sluice_portfolio_trend(portfolio, i_source, points, &span);
    json_t *list = json_array();
    for (uint32_t i = 0; i < n; i++) {
        const sluice_trend_point *point = &points[i];
        json_t *of = json_object();
        put(of, "received", count(point->received));
        put(of, "kept", count(point->kept));
        put(of, "duplicates", count(point->duplicates));
        put(of, "rare", count(point->rare));
        put(of, "scored", count(point->scored));
        put(of, "loss", number((double)point->loss));
        put(of, "self", number((double)point->self));
        put(of, "leverage", number((double)point->leverage));
        put(of, "shift", number((double)point->shift));
        put(of, "toward", number((double)point->toward));
        json_array_append_new(list, of);
    }
    json_t *out = json_object();
    put(out, "span", count(span));
    put(out, "points", list);
    return out;
}

static json_t *row_json(const sluice_portfolio *portfolio, uint32_t i_source)
{
    sluice_source_row row = sluice_portfolio_row(portfolio, i_source);
    uint64_t received = row.kept + row.flagged + row.dropped;
    double useful = (double)(row.kept + row.flagged);
    json_t *out = json_object();
    put(out, kind_of(portfolio), text_of(row.source));
    put(out, "received", count(received));
    put(out, "kept", count(row.kept));
    put(out, "flagged", count(row.flagged));
    put(out, "dropped", count(row.dropped));
    put(out, "duplicates", count(row.duplicates));
    put(out, "duplicate_share", number(ratio((double)row.duplicates, (double)received)));
    put(out, "own_duplicates", count(row.own));
    put(out, "scored", count(row.scored));
    put(out, "rare", count(row.rare));
    put(out, "restored", count(row.restored));
    put(out, "rare_share", number(ratio((double)row.rare, (double)row.scored)));
    put(out, "cost", number(row.cost));
    put(out, "cost_per_kept", row.cost > 0 ? number(ratio(row.cost, useful)) : json_null());
    put(out, "self", number(row.self));
    put(out, "first_us", count((uint64_t)row.first_us));
    put(out, "last_us", count((uint64_t)row.last_us));
    put(out, "toward", toward_json(portfolio, &row));
    put(out, "quantiles", distributions_json(portfolio, i_source, false));
    put(out, "trend", trend_json(portfolio, i_source));
    return out;
}

static bool has_samples(const sluice_source_row *row)
{
    return row->kept + row->flagged + row->dropped + row->restored > 0;
}

static json_t *rows_json(const sluice_portfolio *portfolio)
{
    json_t *out = json_array();
    for (uint32_t i = 0; i < sluice_portfolio_n_sources(portfolio); i++) {
        sluice_source_row row = sluice_portfolio_row(portfolio, i);
        if (has_samples(&row)) {
            json_array_append_new(out, row_json(portfolio, i));
        }
    }
    return out;
}

static json_t *total_json(const sluice_portfolio *portfolio)
{
    sluice_source_row sum = {.kept = 0};
    for (uint32_t i = 0; i < sluice_portfolio_n_sources(portfolio); i++) {
        sluice_source_row row = sluice_portfolio_row(portfolio, i);
        sum.kept += row.kept;
        sum.flagged += row.flagged;
        sum.dropped += row.dropped;
        sum.duplicates += row.duplicates;
        sum.scored += row.scored;
        sum.rare += row.rare;
        sum.restored += row.restored;
        sum.cost += row.cost;
        sum.self += row.self;
    }
    json_t *out = json_object();
    put(out, "received", count(sum.kept + sum.flagged + sum.dropped));
    put(out, "kept", count(sum.kept));
    put(out, "flagged", count(sum.flagged));
    put(out, "dropped", count(sum.dropped));
    put(out, "duplicates", count(sum.duplicates));
    put(out, "scored", count(sum.scored));
    put(out, "rare", count(sum.rare));
    put(out, "restored", count(sum.restored));
    put(out, "cost", number(sum.cost));
    put(out, "self", number(sum.self));
    put(out, "distributions", distributions_json(portfolio, SLUICE_ALL_SOURCES, true));
    return out;
}

/* --- the other parts --- */

static json_t *repeats_json(const sluice_portfolio *portfolio)
{
    json_t *out = json_array();
    sluice_repeat *cells = calloc(REPEATS_SHOWN, sizeof *cells);
    uint32_t n = cells == NULL ? 0 : sluice_portfolio_repeats(portfolio, cells, REPEATS_SHOWN);
    for (uint32_t i = 0; i < n && i < REPEATS_SHOWN; i++) {
        json_t *of = json_object();
        put(of, kind_of(portfolio), source_name(portfolio, cells[i].i_source));
        put(of, "of", source_name(portfolio, cells[i].i_of));
        put(of, "count", count(cells[i].count));
        json_array_append_new(out, of);
    }
    free(cells);
    return out;
}

static const char *ordering_name(const sluice_portfolio *portfolio, uint32_t statistic, char *room,
                                 size_t size)
{
    static const char *const names[] = {"loss", "self", "leverage"};
    if (statistic < SLUICE_STATISTIC_TOWARD) {
        return names[statistic];
    }
    snprintf(room, size, "toward.%s",
             sluice_portfolio_reference(portfolio, statistic - SLUICE_STATISTIC_TOWARD));
    return room;
}

/* {"self": {"loss": [..101..], "self": ...}, "toward.NAME": {...}}: influence, then ordering */
static json_t *curves_json(const sluice_portfolio *portfolio)
{
    char room[128];
    uint32_t n = SLUICE_STATISTIC_TOWARD + sluice_portfolio_n_references(portfolio);
    json_t *out = json_object();
    for (uint32_t of = SLUICE_STATISTIC_SELF; of < n; of++) {
        json_t *curves = json_object();
        for (uint32_t ordering = 0; ordering < n; ordering++) {
            double share[SLUICE_CURVE_POINTS];
            if (sluice_portfolio_curve(portfolio, ordering, of, share)) {
                json_t *list = json_array();
                for (int i = 0; i < SLUICE_CURVE_POINTS; i++) {
                    json_array_append_new(list, number(share[i]));
                }
                put(curves, ordering_name(portfolio, ordering, room, sizeof room), list);
            }
        }
        if (of != SLUICE_STATISTIC_LEVERAGE) {
            put(out, ordering_name(portfolio, of, room, sizeof room), curves);
        } else {
            json_decref(curves);
        }
    }
    return out;
}

static json_t *labels_json(const sluice_portfolio *portfolio)
{
    json_t *out = json_array();
    sluice_label *labels = calloc(SLUICE_LIMIT_LABELS, sizeof *labels);
    uint32_t n = labels == NULL ? 0 : sluice_portfolio_labels(portfolio, labels);
    for (uint32_t i = 0; i < n; i++) {
        json_t *of = json_object();
        put(of, "id", text_of(labels[i].id));
        put(of, "source", source_name(portfolio, labels[i].i_source));
        put(of, "offset", count(labels[i].offset));
        put(of, "score", number(labels[i].score));
        put(of, "leverage", number((double)labels[i].leverage));
        put(of, "influence", number((double)labels[i].influence));
        json_array_append_new(out, of);
    }
    free(labels);
    return out;
}

/* Raised before the end of the part, and not over before it begins. */
static bool is_of(const sluice_alert *alert, const sl_portfolio_parts *parts)
{
    return parts->stream == NULL ||
           (alert->offset < parts->to && (alert->cleared == 0 || alert->cleared >= parts->from));
}

static json_t *alerts_json(const sl_portfolio_parts *parts)
{
    const sluice_portfolio *portfolio = parts->stream != NULL ? parts->stream : parts->sources;
    json_t *out = json_array();
    sluice_alert *alerts = calloc(SLUICE_LIMIT_ALERTS, sizeof *alerts);
    uint32_t n = alerts == NULL ? 0 : sluice_portfolio_alerts(portfolio, alerts);
    for (uint32_t i = 0; i < n; i++) {
        if (!is_of(&alerts[i], parts)) {
            continue;
        }
        json_t *of = json_object();
        put(of, "kind", json_string(sluice_alert_word(alerts[i].kind)));
        put(of, "source", source_name(portfolio, alerts[i].i_source));
        put(of, "offset", count(alerts[i].offset));
        put(of, "at_us", count((uint64_t)alerts[i].at_us));
        put(of, "value", number(alerts[i].value));
        put(of, "usual", number(alerts[i].usual));
        put(of, "limit", number(alerts[i].limit));
        put(of, "cleared", alerts[i].cleared > 0 ? count(alerts[i].cleared) : json_null());
        json_array_append_new(out, of);
    }
    free(alerts);
    return out;
}

static json_t *advice_json(const sluice_portfolio *portfolio)
{
    json_t *out = json_array();
    sluice_advice *advice = calloc(SLUICE_LIMIT_ADVICE, sizeof *advice);
    uint32_t n = advice == NULL ? 0 : sluice_portfolio_advise(portfolio, advice);
    for (uint32_t i = 0; i < n; i++) {
        json_t *of = json_object();
        put(of, "source", source_name(portfolio, advice[i].i_source));
        put(of, "advice", json_string(sluice_advice_word(advice[i].kind)));
        put(of, "because", text_of(sl_span_of(advice[i].text)));
        put(of, "confidence", number(advice[i].confidence));
        json_array_append_new(out, of);
    }
    free(advice);
    return out;
}

static json_t *references_json(const sluice_portfolio *portfolio)
{
    json_t *out = json_array();
    for (uint32_t r = 0; r < sluice_portfolio_n_references(portfolio); r++) {
        json_array_append_new(out, json_string(sluice_portfolio_reference(portfolio, r)));
    }
    return out;
}

static json_t *groups_json(const sluice_portfolio *groups)
{
    if (groups == NULL) {
        return json_null();
    }
    json_t *out = json_object();
    put(out, "by", text_of(sl_span_of(sluice_portfolio_group_by(groups))));
    put(out, "rows", rows_json(groups));
    put(out, "repeats", repeats_json(groups));
    return out;
}

sluice_status sl_record_portfolio_json(const sl_portfolio_parts *parts, sluice_bytes *out)
{
    const sluice_portfolio *portfolio = parts->sources;
    json_t *object = json_object();
    put(object, "references", references_json(portfolio));
    put(object, "total", total_json(portfolio));
    put(object, "sources", rows_json(portfolio));
    put(object, "repeats", repeats_json(portfolio));
    put(object, "groups", groups_json(parts->groups));
    put(object, "curves", curves_json(portfolio));
    put(object, "labels", labels_json(portfolio));
    put(object, "alerts", alerts_json(parts));
    put(object, "advice", advice_json(portfolio));
    char *text = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(object);
    if (text == NULL) {
        return SLUICE_E_NOMEM;
    }
    sluice_status status = sl_bytes_append(out, text, strlen(text));
    free(text);
    return status;
}
