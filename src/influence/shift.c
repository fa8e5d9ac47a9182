/* shift.c - how far each source has moved from its own past and from the stream.
 *
 *   rows of a source --> [ current < 64 ] --> [ previous 64 ] --> older, fading
 *                          \______ recent mean ______/              \ baseline,
 *                                                                     with the stream's mean
 *
 * Why by source: a coherent group among other groups is no outlier, and no statistic of one sample
 * finds it; the mean of 20 of them stands out at once.
 * Why its own past: real sources differ from each other always, and that is no news.
 * Why buckets: what is recent must not be in its own baseline, or a young source would be compared
 * with itself.
 * Why the scatter is measured: the mean of K views scatters less than one view, how much less only
 * the augmentations know.
 * Source: chi-square of a mean, research on rare samples. */
#include "influence/shift.h"
#include "influence/moments.h"
#include "influence/rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STREAM_SAMPLES 64  /* the stream's mean counts as this many older samples */
#define LEAST_SAMPLES  8   /* of a source, before it has a z */
#define RIDGE_SHARE    0.1 /* of the mean variance */

enum { CURRENT, PREVIOUS, OLDER, N_SUMS };

static float *sum_of(const sl_shift *shift, uint32_t which, uint32_t i_source)
{
    return shift->sums + ((size_t)which * SL_SHIFT_SOURCES + i_source) * shift->dim;
}

static float *n_of(const sl_shift *shift, uint32_t which, uint32_t i_source)
{
    return shift->n + (size_t)which * SL_SHIFT_SOURCES + i_source;
}

sluice_status sl_shift_open(uint32_t dim, sl_shift *out)
{
    *out = (sl_shift){.dim = dim};
    out->sums = calloc((size_t)N_SUMS * SL_SHIFT_SOURCES * dim, sizeof(float));
    out->n = calloc((size_t)N_SUMS * SL_SHIFT_SOURCES, sizeof(float));
    out->z = calloc(SL_SHIFT_SOURCES, sizeof(float));
    out->seen = calloc(SL_SHIFT_SOURCES, 1);
    if (out->sums == NULL || out->n == NULL || out->z == NULL || out->seen == NULL) {
        sl_shift_close(out);
        return SLUICE_E_NOMEM;
    }
    for (uint32_t i = 0; i < SL_SHIFT_SOURCES; i++) {
        out->z[i] = NAN;
    }
    return SLUICE_OK;
}

void sl_shift_close(sl_shift *shift)
{
    free(shift->sums);
    free(shift->n);
    free(shift->z);
    free(shift->seen);
    *shift = (sl_shift){.dim = 0};
}

/* The current bucket is full: previous joins the older ones, current becomes previous. */
static void turn_over(sl_shift *shift, uint32_t i_source, uint64_t half_life)
{
    float *current = sum_of(shift, CURRENT, i_source);
    float *previous = sum_of(shift, PREVIOUS, i_source);
    float *older = sum_of(shift, OLDER, i_source);
    const float fade = (float)sl_moments_fade(half_life, SL_SHIFT_RECENT);
    for (uint32_t j = 0; j < shift->dim; j++) {
        older[j] = fade * older[j] + previous[j];
        previous[j] = current[j];
        current[j] = 0;
    }
    *n_of(shift, OLDER, i_source) =
        fade * *n_of(shift, OLDER, i_source) + *n_of(shift, PREVIOUS, i_source);
    *n_of(shift, PREVIOUS, i_source) = *n_of(shift, CURRENT, i_source);
    *n_of(shift, CURRENT, i_source) = 0;
}

void sl_shift_add(sl_shift *shift, uint32_t i_source, const float *row, uint64_t half_life)
{
    SLUICE_DCHECK(i_source < SL_SHIFT_SOURCES);
    float *n = n_of(shift, CURRENT, i_source);
    if (*n >= SL_SHIFT_RECENT) {
        turn_over(shift, i_source, half_life);
    }
    float *current = sum_of(shift, CURRENT, i_source);
    for (uint32_t j = 0; j < shift->dim; j++) {
        current[j] += row[j];
    }
    *n += 1;
    shift->seen[i_source] = 1;
}

void sl_shift_merge(sl_shift *shift, const sl_shift *other, const uint16_t *source_of)
{
    for (uint32_t i = 0; i < SL_SHIFT_SOURCES; i++) {
        for (uint32_t which = CURRENT; which < N_SUMS; which++) {
            float *to = sum_of(shift, which, source_of[i]);
            const float *from = sum_of(other, which, i);
            const float n = *n_of(other, which, i);
            for (uint32_t j = 0; j < shift->dim && n > 0; j++) {
                to[j] += from[j];
            }
            *n_of(shift, which, source_of[i]) += n;
        }
    }
    shift->spread += other->spread;
    shift->spread_weight += other->spread_weight;
    for (uint32_t i = 0; i < SL_SHIFT_SOURCES; i++) {
        shift->seen[i] = *n_of(shift, CURRENT, i) + *n_of(shift, PREVIOUS, i) > 0;
    }
}

/* Recent mean minus baseline; the number of samples that this difference is worth. */
static double difference_of(const sl_shift *shift, uint32_t i_source, const float *mean, float *out)
{
    const float n_recent = *n_of(shift, CURRENT, i_source) + *n_of(shift, PREVIOUS, i_source);
    const float n_older = *n_of(shift, OLDER, i_source);
    const float *current = sum_of(shift, CURRENT, i_source);
    const float *previous = sum_of(shift, PREVIOUS, i_source);
    const float *older = sum_of(shift, OLDER, i_source);
    const float n_base = n_older + STREAM_SAMPLES;
    for (uint32_t j = 0; j < shift->dim; j++) {
        out[j] =
            (current[j] + previous[j]) / n_recent - (older[j] + STREAM_SAMPLES * mean[j]) / n_base;
    }
    return 1 / (1 / (double)n_recent + (double)n_older / ((double)n_base * (double)n_base));
}

static double mean_variance_of(const sl_leverage *leverage)
{
    double sum = 0;
    for (uint32_t j = 0; j < leverage->dim; j++) {
        sum += (double)leverage->centred[j];
    }
    return sum / leverage->dim;
}

SL_WIDE void sl_shift_add_spread(sl_shift *shift, const float *rows, uint32_t n,
                                 const sl_leverage *leverage)
{
    const uint32_t d = leverage->dim;
    const double ridge = RIDGE_SHARE * mean_variance_of(leverage) + 1e-12;
    for (uint32_t i = 0; i < n; i++) {
        const float *row = rows + (size_t)i * d;
        sl_double4 sum = {0};
        uint32_t j = 0;
        for (; j + 4 <= d; j += 4) {
            const sl_double4 y = sl_rows_widen(row + j) - sl_rows_load4(leverage->mt + j);
            sum += y * y / (sl_rows_widen(leverage->centred + j) + ridge);
        }
        for (; j < d; j++) {
            const double y = (double)row[j] - leverage->mt[j];
            sum[0] += y * y / ((double)leverage->centred[j] + ridge);
        }
        shift->spread += sl_rows_sum4(&sum);
    }
    shift->spread_weight += n;
}

static float z_of(const sl_shift *shift, const float *y, double n, const sl_leverage *leverage)
{
    const double mean_variance = mean_variance_of(leverage);
    double t = 0;
    double expected = 0;
    double variance = 0;
    for (uint32_t j = 0; j < leverage->dim; j++) {
        double e = (double)leverage->centred[j];
        double p = 1 / (e + RIDGE_SHARE * mean_variance + 1e-12);
        t += p * (double)y[j] * (double)y[j];
        expected += p * e;
        variance += p * e * p * e;
    }
    const bool known = shift->spread_weight > 0 && shift->spread > 0;
    const double of_one = known ? shift->spread / shift->spread_weight : expected;
    return (float)((n * t / of_one - 1) * expected / sqrt(2 * variance + 1e-12));
}

void sl_shift_freeze(sl_shift *shift, const float *mean, const float *basis,
                     const sl_leverage *leverage, float *work)
{
    const uint32_t d = shift->dim;
    float *raw = work;
    float *rotated = work + sl_view_floats(d);
    uint32_t i_source = 0;
    while (i_source < SL_SHIFT_SOURCES) {
        uint32_t source[SL_SLOTS];
        double n[SL_SLOTS];
        uint32_t n_rows = 0;
        memset(raw, 0, sizeof *raw * sl_view_floats(d));
        for (; i_source < SL_SHIFT_SOURCES && n_rows < SL_SLOTS; i_source++) {
            const float n_recent =
                *n_of(shift, CURRENT, i_source) + *n_of(shift, PREVIOUS, i_source);
            if (shift->seen[i_source] != 0 && n_recent >= LEAST_SAMPLES) {
                source[n_rows] = i_source;
                n[n_rows] = difference_of(shift, i_source, mean, raw + (size_t)n_rows * d);
                n_rows++;
            }
        }
        if (n_rows > 0) {
            sl_gemm_slots(1, raw, d, basis, d, rotated);
        }
        for (uint32_t i = 0; i < n_rows; i++) {
            shift->z[source[i]] = z_of(shift, rotated + (size_t)i * d, n[i], leverage);
        }
    }
    memset(shift->seen, 0, SL_SHIFT_SOURCES);
}
