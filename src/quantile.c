/* quantile.c - the share of recent values below a value, from a decayed histogram that merges.
 *
 *   float32   s eeeeeeee mmmmmm.................   the upper 15 bits: the bucket, 64 an octave
 *   index     -4096 .. 0 .. 4096                   [ negative values | 0 | positive values ]
 *
 * Why not KLL or t-digest: buckets are plain counters, so forgetting is a multiplication and
 * merging an addition, exact and in any order.
 * Source: DDSketch, Masson, Rim, Lee 2019, for relative buckets; bits of the float as logarithm. */
#include "quantile.h"

#include <math.h>
#include <string.h>

#define MIDDLE       ((SL_QUANTILE_BUCKETS - 1) / 2)
#define BITS_DROPPED 17                          /* of 23 of the mantissa */
#define FIRST_BUCKET ((uint32_t)(127 - 40) << 6) /* of 2^-40 */
#define LEAST_VALUES 64

static int32_t bucket_of(double value)
{
    float magnitude = (float)fabs(value);
    uint32_t bits;
    memcpy(&bits, &magnitude, sizeof bits);
    bits >>= BITS_DROPPED;
    if (bits < FIRST_BUCKET) {
        return MIDDLE;
    }
    int32_t place = (int32_t)(bits - FIRST_BUCKET) + 1;
    place = place > MIDDLE ? MIDDLE : place;
    return value < 0 ? MIDDLE - place : MIDDLE + place;
}

void sl_quantile_add(sl_quantile *quantile, double value)
{
    if (!isnan(value)) {
        quantile->count[bucket_of(value)] += 1;
        quantile->total += 1;
    }
}

void sl_quantile_decay(sl_quantile *quantile, double factor)
{
    if (factor >= 1) {
        return;
    }
    for (uint32_t i = 0; i < SL_QUANTILE_BUCKETS; i++) {
        quantile->count[i] *= (float)factor;
    }
    quantile->total *= factor;
}

void sl_quantile_freeze(sl_quantile *quantile)
{
    double below = 0;
    for (uint32_t i = 0; i < SL_QUANTILE_BUCKETS; i++) {
        quantile->below[i] = (float)below;
        below += (double)quantile->count[i];
    }
    quantile->frozen_total = below;
}

float sl_quantile_share(const sl_quantile *quantile, double value)
{
    if (isnan(value) || quantile->frozen_total < LEAST_VALUES) {
        return NAN;
    }
    int32_t i = bucket_of(value);
    double end =
        i + 1 < SL_QUANTILE_BUCKETS ? (double)quantile->below[i + 1] : quantile->frozen_total;
    double share = ((double)quantile->below[i] + end) / 2 / quantile->frozen_total;
    return share > 1 ? 1.0F : (float)share;
}

void sl_quantile_merge(sl_quantile *quantile, const sl_quantile *other)
{
    for (uint32_t i = 0; i < SL_QUANTILE_BUCKETS; i++) {
        quantile->count[i] += other->count[i];
    }
    quantile->total += other->total;
}
