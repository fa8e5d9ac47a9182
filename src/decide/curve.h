/* curve.h - how much influence the best share of the samples holds, by each way to order them. */
#ifndef SL_CURVE_H
#define SL_CURVE_H

#include "bytes.h"
#include "sluice/portfolio.h"

#define SL_CURVE_BINS  (SLUICE_CURVE_POINTS - 1)
#define SL_CURVE_KINDS (1 + SLUICE_LIMIT_REFERENCES) /* of influence: self, each toward */

/* [ordering][bin of its percentile][kind]: influence summed, the positive part toward references */
typedef struct sl_curve {
    uint64_t n[SLUICE_N_STATISTICS][SL_CURVE_BINS];
    double sum[SLUICE_N_STATISTICS][SL_CURVE_BINS][SL_CURVE_KINDS];
} sl_curve;

/* slot[r]: number of the sample's reference r in the portfolio, below SLUICE_LIMIT_REFERENCES. */
void sl_curve_add(sl_curve *curve, const sluice_scores *scores, const uint32_t *slot);
void sl_curve_merge(sl_curve *curve, const sl_curve *other, const uint32_t *slot);
bool sl_curve_read(const sl_curve *curve, uint32_t ordering, uint32_t kind,
                   double share[SLUICE_CURVE_POINTS]);

/* n_kinds: self and the references there are. */
SLUICE_MUST_USE sluice_status sl_curve_save(const sl_curve *curve, uint32_t n_kinds,
                                            sluice_bytes *out);
bool sl_curve_load(sl_curve *curve, uint32_t n_kinds, sl_reader *reader); /* empty before */

#endif
