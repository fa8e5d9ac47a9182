/* distribution.h - values of many statistics as mergeable counts, in pages taken from one pool. */
#ifndef SL_DISTRIBUTION_H
#define SL_DISTRIBUTION_H

#include "bytes.h"

#define SL_DISTRIBUTION_PAGE    64 /* buckets an octave, 1.1 % to 1.6 % wide                       */
#define SL_DISTRIBUTION_INDEX   128 /* octaves from 2^-40 to 2^24, of both signs */
#define SL_DISTRIBUTION_BUCKETS (SL_DISTRIBUTION_INDEX * SL_DISTRIBUTION_PAGE + 1)

/* Source: DDSketch, Masson, Rim, Lee 2019: relative buckets as plain counters, so that merging is
 * exact in any order. The middle of a bucket is within 0.8 % of all its values. Smaller magnitudes
 * than 2^-40 count as zero, larger than 2^24 as 2^24. */
typedef struct sl_distribution {
    uint64_t zeros, lost;                 /* lost: values for which the pool had no page */
    uint16_t page[SL_DISTRIBUTION_INDEX]; /* 0 = none */
} sl_distribution;

typedef struct sl_distribution_pool {
    uint32_t n_pages, n_used; /* page 0 is never given */
    uint64_t (*pages)[SL_DISTRIBUTION_PAGE];
} sl_distribution_pool;

SLUICE_MUST_USE sluice_status sl_distribution_pool_open(uint32_t n_pages,
                                                        sl_distribution_pool *out);
void sl_distribution_pool_close(sl_distribution_pool *pool);

void sl_distribution_add(sl_distribution *distribution, sl_distribution_pool *pool, double value);
void sl_distribution_merge(sl_distribution *distribution, sl_distribution_pool *pool,
                           const sl_distribution *other, const sl_distribution_pool *other_pool);

/* Adds the counts to [SL_DISTRIBUTION_BUCKETS], from the most negative value up. */
void sl_distribution_unfold(const sl_distribution *distribution, const sl_distribution_pool *pool,
                            uint64_t *buckets);
double sl_distribution_middle(uint32_t i_bucket);
uint32_t sl_distribution_bucket(double value);

SLUICE_MUST_USE sluice_status sl_distribution_save(const sl_distribution *distribution,
                                                   const sl_distribution_pool *pool,
                                                   sluice_bytes *out);
/* Into an empty one. False: not what save wrote, or the pool is full. */
bool sl_distribution_load(sl_distribution *distribution, sl_distribution_pool *pool,
                          sl_reader *reader);

#endif
