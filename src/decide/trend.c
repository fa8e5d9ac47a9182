/* trend.c - a source from the beginning of the stream until now, in at most 64 points.
 *
 *   offset / span -> point;  beyond the last one: pairs become one, span doubles
 *
 * Why doubling: the points of all sources stay aligned and bounded at any length of the stream, and
 * nothing of it is ever forgotten. */
#include "decide/trend.h"

#include <math.h>
#include <stdlib.h>

#define FIRST_SPAN 256

/* Sums of what a sluice_trend_point has as means. */
typedef struct point {
    uint32_t received, kept, duplicates, rare, scored, n_shift, n_toward;
    double loss, self, leverage, shift, toward;
} point;

struct sl_trend {
    uint64_t first_offset, span, n_points; /* n_points 0: nothing yet */
    uint32_t n_sources;                    /* that have any, or come before one that has */
    point point[][SLUICE_TREND_POINTS];
};

size_t sl_trend_bytes(uint32_t n_sources)
{
    return sizeof(sl_trend) + (size_t)n_sources * SLUICE_TREND_POINTS * sizeof(point);
}

sluice_status sl_trend_open(uint32_t n_sources, sl_trend **out)
{
    *out = calloc(1, sl_trend_bytes(n_sources));
    if (*out == NULL) {
        return SLUICE_E_NOMEM;
    }
    (*out)->span = FIRST_SPAN;
    return SLUICE_OK;
}

void sl_trend_close(sl_trend **trend_p)
{
    free(*trend_p);
    *trend_p = NULL;
}

static void add_point(point *to, const point *from)
{
    to->received += from->received;
    to->kept += from->kept;
    to->duplicates += from->duplicates;
    to->rare += from->rare;
    to->scored += from->scored;
    to->n_shift += from->n_shift;
    to->n_toward += from->n_toward;
    to->loss += from->loss;
    to->self += from->self;
    to->leverage += from->leverage;
    to->shift += from->shift;
    to->toward += from->toward;
}

static void double_span(sl_trend *trend)
{
    for (uint32_t i = 0; i < trend->n_sources; i++) {
        point *points = trend->point[i];
        for (uint32_t p = 0; p < SLUICE_TREND_POINTS / 2; p++) {
            point both = points[2 * p];
            add_point(&both, &points[2 * p + 1]);
            points[p] = both;
        }
        memset(&points[SLUICE_TREND_POINTS / 2], 0, SLUICE_TREND_POINTS / 2 * sizeof *points);
    }
    trend->span *= 2;
}

static void add_scores(point *to, const sluice_scores *scores)
{
    if (isnan(scores->percentile.loss) || isnan(scores->percentile.self) ||
        isnan(scores->percentile.leverage)) {
        return;
    }
    to->scored++;
    to->rare += (double)scores->percentile.leverage >= SLUICE_RARE_SHARE;
    to->loss += (double)scores->percentile.loss;
    to->self += (double)scores->percentile.self;
    to->leverage += (double)scores->percentile.leverage;
    if (!isnan(scores->source_shift)) {
        to->n_shift++;
        to->shift += (double)scores->source_shift;
    }
    if (scores->n_toward > 0 && !isnan(scores->toward[0])) {
        to->n_toward++;
        to->toward += (double)scores->toward[0];
    }
}

void sl_trend_add(sl_trend *trend, uint32_t i_source, const sluice_sample *sample)
{
    if (trend->n_points == 0) {
        trend->first_offset = sample->offset;
    }
    uint64_t from_first = sample->offset - trend->first_offset;
    while (from_first / trend->span >= SLUICE_TREND_POINTS) {
        double_span(trend);
    }
    uint64_t i = from_first / trend->span;
    trend->n_points = i + 1;
    trend->n_sources = i_source < trend->n_sources ? trend->n_sources : i_source + 1;
    point *to = &trend->point[i_source][i];
    to->received++;
    to->kept += sample->verdict.decision == SLUICE_KEEP || sample->verdict.decision == SLUICE_FLAG;
    to->duplicates += sample->match.method != SLUICE_METHOD_NONE;
    if (sample->scores.state == SLUICE_LIVE || sample->scores.state == SLUICE_STALE) {
        add_scores(to, &sample->scores);
    }
}

static float mean_of(double sum, uint32_t n)
{
    return n > 0 ? (float)(sum / n) : NAN;
}

uint32_t sl_trend_read(const sl_trend *trend, uint32_t i_source,
                       sluice_trend_point points[SLUICE_TREND_POINTS], uint64_t *span)
{
    *span = trend->span;
    for (uint32_t i = 0; i < trend->n_points; i++) {
        const point *from = &trend->point[i_source][i];
        points[i] = (sluice_trend_point){.received = from->received,
                                         .kept = from->kept,
                                         .duplicates = from->duplicates,
                                         .rare = from->rare,
                                         .scored = from->scored,
                                         .loss = mean_of(from->loss, from->scored),
                                         .self = mean_of(from->self, from->scored),
                                         .leverage = mean_of(from->leverage, from->scored),
                                         .shift = mean_of(from->shift, from->n_shift),
                                         .toward = mean_of(from->toward, from->n_toward)};
    }
    return (uint32_t)trend->n_points;
}

/* --- save and load --- */

static sluice_status save_point(const point *from, sluice_bytes *out)
{
    SLUICE_TRY(sl_bytes_put_varint(out, from->received));
    if (from->received == 0) {
        return SLUICE_OK;
    }
    const uint32_t counts[] = {from->kept,   from->duplicates, from->rare,
                               from->scored, from->n_shift,    from->n_toward};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        SLUICE_TRY(sl_bytes_put_varint(out, counts[i]));
    }
    const double sums[] = {from->loss, from->self, from->leverage, from->shift, from->toward};
    for (size_t i = 0; from->scored > 0 && i < sizeof sums / sizeof sums[0]; i++) {
        SLUICE_TRY(sl_bytes_put_double(out, sums[i]));
    }
    return SLUICE_OK;
}

static void load_point(point *to, sl_reader *reader)
{
    to->received = (uint32_t)sl_reader_varint(reader);
    if (to->received == 0) {
        return;
    }
    uint32_t *const counts[] = {&to->kept,   &to->duplicates, &to->rare,
                                &to->scored, &to->n_shift,    &to->n_toward};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        *counts[i] = (uint32_t)sl_reader_varint(reader);
    }
    double *const sums[] = {&to->loss, &to->self, &to->leverage, &to->shift, &to->toward};
    for (size_t i = 0; to->scored > 0 && i < sizeof sums / sizeof sums[0]; i++) {
        *sums[i] = sl_reader_double(reader);
    }
}

sluice_status sl_trend_save(const sl_trend *trend, uint32_t n_sources, sluice_bytes *out)
{
    SLUICE_TRY(sl_bytes_put_u64(out, trend->first_offset));
    SLUICE_TRY(sl_bytes_put_u64(out, trend->span));
    SLUICE_TRY(sl_bytes_put_u64(out, trend->n_points));
    for (uint32_t i = 0; i < n_sources; i++) {
        for (uint32_t p = 0; p < trend->n_points; p++) {
            SLUICE_TRY(save_point(&trend->point[i][p], out));
        }
    }
    return SLUICE_OK;
}

bool sl_trend_load(sl_trend *trend, sl_reader *reader, uint32_t n_sources)
{
    trend->first_offset = sl_reader_u64(reader);
    trend->span = sl_reader_u64(reader);
    trend->n_points = sl_reader_u64(reader);
    trend->n_sources = n_sources;
    if (trend->n_points > SLUICE_TREND_POINTS || trend->span < FIRST_SPAN) {
        return false;
    }
    for (uint32_t i = 0; i < n_sources; i++) {
        for (uint32_t p = 0; p < trend->n_points && !reader->bad; p++) {
            load_point(&trend->point[i][p], reader);
        }
    }
    return !reader->bad;
}
