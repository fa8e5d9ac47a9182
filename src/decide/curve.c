/* curve.c - how much influence the best share of the samples holds, by each way to order them.
 *
 *   percentile of the ordering -> bin of 0.2 % --+--> count
 *   influence ---------------------------------+--> sum
 *
 * Why percentiles and not values: they are what a policy or a budget cuts by, and they bound the
 * bins. A percentile is as of the sample's own time; in a stream that drifts, the curve is that of
 * a cut which moves with the stream. */
#include "decide/curve.h"

#include <math.h>

static uint32_t bin_of(float percentile)
{
    int32_t bin = (int32_t)(percentile * SL_CURVE_BINS);
    return bin < 0 ? 0 : bin < SL_CURVE_BINS ? (uint32_t)bin : SL_CURVE_BINS - 1;
}

static void add_influence(double *sum, const sluice_scores *scores, const uint32_t *slot)
{
    if (scores->self > 0) {
        sum[0] += (double)scores->self;
    }
    for (uint32_t r = 0; r < scores->n_toward; r++) {
        if (slot[r] < SLUICE_LIMIT_REFERENCES && scores->toward[r] > 0) {
            sum[1 + slot[r]] += (double)scores->toward[r];
        }
    }
}

static void add_ordered(sl_curve *curve, uint32_t ordering, float percentile,
                        const sluice_scores *scores, const uint32_t *slot)
{
    if (!isnan(percentile)) {
        uint32_t bin = bin_of(percentile);
        curve->n[ordering][bin]++;
        add_influence(curve->sum[ordering][bin], scores, slot);
    }
}

void sl_curve_add(sl_curve *curve, const sluice_scores *scores, const uint32_t *slot)
{
    if (isnan(scores->self)) {
        return; /* warming: the loss alone has no influence to go with it */
    }
    add_ordered(curve, SLUICE_STATISTIC_LOSS, scores->percentile.loss, scores, slot);
    add_ordered(curve, SLUICE_STATISTIC_SELF, scores->percentile.self, scores, slot);
    add_ordered(curve, SLUICE_STATISTIC_LEVERAGE, scores->percentile.leverage, scores, slot);
    for (uint32_t r = 0; r < scores->n_toward; r++) {
        if (slot[r] < SLUICE_LIMIT_REFERENCES) {
            add_ordered(curve, SLUICE_STATISTIC_TOWARD + slot[r], scores->percentile.toward[r],
                        scores, slot);
        }
    }
}

/* slot[r]: number here of the other's reference r. */
void sl_curve_merge(sl_curve *curve, const sl_curve *other, const uint32_t *slot)
{
    for (uint32_t o = 0; o < SLUICE_N_STATISTICS; o++) {
        uint32_t to = o < SLUICE_STATISTIC_TOWARD
                          ? o
                          : SLUICE_STATISTIC_TOWARD + slot[o - SLUICE_STATISTIC_TOWARD];
        for (uint32_t bin = 0; to < SLUICE_N_STATISTICS && bin < SL_CURVE_BINS; bin++) {
            curve->n[to][bin] += other->n[o][bin];
            curve->sum[to][bin][0] += other->sum[o][bin][0];
            for (uint32_t r = 0; r < SLUICE_LIMIT_REFERENCES; r++) {
                if (slot[r] < SLUICE_LIMIT_REFERENCES) {
                    curve->sum[to][bin][1 + slot[r]] += other->sum[o][bin][1 + r];
                }
            }
        }
    }
}

/* Walks down from the best bin; within a bin influence is taken to be spread evenly. */
bool sl_curve_read(const sl_curve *curve, uint32_t ordering, uint32_t kind,
                   double share[SLUICE_CURVE_POINTS])
{
    double n_all = 0;
    double sum_all = 0;
    for (uint32_t bin = 0; bin < SL_CURVE_BINS; bin++) {
        n_all += (double)curve->n[ordering][bin];
        sum_all += curve->sum[ordering][bin][kind];
    }
    if (n_all < 1 || sum_all <= 0) {
        return false;
    }
    double n_above = 0;
    double sum_above = 0;
    int32_t bin = SL_CURVE_BINS - 1;
    share[0] = 0;
    for (uint32_t i = 1; i < SLUICE_CURVE_POINTS; i++) {
        double wanted = n_all * i / (SLUICE_CURVE_POINTS - 1);
        while (bin > 0 && n_above + (double)curve->n[ordering][bin] < wanted) {
            n_above += (double)curve->n[ordering][bin];
            sum_above += curve->sum[ordering][bin][kind];
            bin--;
        }
        double of_bin = (double)curve->n[ordering][bin];
        double part = of_bin > 0 ? fmin((wanted - n_above) / of_bin, 1) : 0;
        share[i] = fmin((sum_above + part * curve->sum[ordering][bin][kind]) / sum_all, 1);
    }
    return true;
}

/* [ordering] bins that hold something, each: bin + 1, n, sums; 0 ends */
sluice_status sl_curve_save(const sl_curve *curve, uint32_t n_kinds, sluice_bytes *out)
{
    for (uint32_t o = 0; o < SLUICE_N_STATISTICS; o++) {
        for (uint32_t bin = 0; bin < SL_CURVE_BINS; bin++) {
            if (curve->n[o][bin] == 0) {
                continue;
            }
            SLUICE_TRY(sl_bytes_put_varint(out, bin + 1));
            SLUICE_TRY(sl_bytes_put_varint(out, curve->n[o][bin]));
            for (uint32_t k = 0; k < n_kinds; k++) {
                SLUICE_TRY(sl_bytes_put_double(out, curve->sum[o][bin][k]));
            }
        }
        SLUICE_TRY(sl_bytes_put_u8(out, 0));
    }
    return SLUICE_OK;
}

bool sl_curve_load(sl_curve *curve, uint32_t n_kinds, sl_reader *reader)
{
    for (uint32_t o = 0; o < SLUICE_N_STATISTICS; o++) {
        for (uint64_t bin = sl_reader_varint(reader); bin != 0; bin = sl_reader_varint(reader)) {
            if (bin > SL_CURVE_BINS) {
                return false;
            }
            curve->n[o][bin - 1] = sl_reader_varint(reader);
            for (uint32_t k = 0; k < n_kinds; k++) {
                curve->sum[o][bin - 1][k] = sl_reader_double(reader);
            }
        }
    }
    return !reader->bad;
}
