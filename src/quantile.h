/* quantile.h - the share of recent values below a value, from a decayed histogram that merges. */
#ifndef SL_QUANTILE_H
#define SL_QUANTILE_H

#include "status.h"
#include "sluice/sample.h"

#define SL_QUANTILE_BUCKETS 8193 /* 64 an octave from 2^-40 to 2^24, both signs, and zero */

/* Values of one statistic. Buckets are 1.1 % wide (1.6 % at most); smaller values than 2^-40 count
 * as zero, larger than 2^24 as 2^24. */
typedef struct sl_quantile {
    double total;                     /* sum of count  */
    float count[SL_QUANTILE_BUCKETS]; /* from the most negative up */
    float below[SL_QUANTILE_BUCKETS]; /* of `count` in smaller buckets; as of the last freeze */
    double frozen_total;
} sl_quantile;

void sl_quantile_add(sl_quantile *quantile, double value); /* NaN is left out */

/* What was added before is multiplied by `factor`. */
void sl_quantile_decay(sl_quantile *quantile, double factor);

/* What is read from now on: everything added so far. */
void sl_quantile_freeze(sl_quantile *quantile);

/* Share of the frozen values below, 0 to 1; half of its own bucket counts as below. NaN for NaN,
 * and while fewer than 64 values are there. */
float sl_quantile_share(const sl_quantile *quantile, double value);

/* Adds the values of another one; order does not matter but for rounding. */
void sl_quantile_merge(sl_quantile *quantile, const sl_quantile *other);

#endif
