/* distribution.c - values of many statistics as mergeable counts, in pages taken from one pool.
 *
 *   float32   s eeeeeeee mmmmmm.................   sign and exponent choose the page, the upper six
 *                                                  bits of the mantissa the counter in it
 *   page[]    [ negative octaves | positive octaves ], each from 2^-40 up
 *
 * Why pages: a source has a few octaves of each score, and there may be a thousand sources; a
 * histogram each over all octaves would take 700 MB. */
#include "decide/distribution.h"

#include <math.h>
#include <stdlib.h>

#define OCTAVES        (SL_DISTRIBUTION_INDEX / 2)
#define FIRST_EXPONENT (127 - 40)
#define BITS_DROPPED   17 /* of 23 of the mantissa */

sluice_status sl_distribution_pool_open(uint32_t n_pages, sl_distribution_pool *out)
{
    *out = (sl_distribution_pool){.n_pages = n_pages, .n_used = 1};
    out->pages = calloc(n_pages, sizeof *out->pages);
    return out->pages != NULL ? SLUICE_OK : SLUICE_E_NOMEM;
}

void sl_distribution_pool_close(sl_distribution_pool *pool)
{
    free(pool->pages);
    pool->pages = NULL;
}

/* Octave (SL_DISTRIBUTION_INDEX for what counts as zero) and place in its page. */
static uint32_t octave_of(double value, uint32_t *place)
{
    float magnitude = (float)fabs(value);
    uint32_t bits;
    memcpy(&bits, &magnitude, sizeof bits);
    bits >>= BITS_DROPPED;
    if (bits < (uint32_t)FIRST_EXPONENT << 6) {
        return SL_DISTRIBUTION_INDEX;
    }
    uint32_t i = bits - ((uint32_t)FIRST_EXPONENT << 6);
    i = i < OCTAVES * SL_DISTRIBUTION_PAGE ? i : OCTAVES * SL_DISTRIBUTION_PAGE - 1;
    *place = i % SL_DISTRIBUTION_PAGE;
    return i / SL_DISTRIBUTION_PAGE + (value < 0 ? 0 : OCTAVES);
}

static uint64_t *page_of(sl_distribution *distribution, sl_distribution_pool *pool, uint32_t octave)
{
    if (distribution->page[octave] == 0) {
        if (pool->n_used == pool->n_pages) {
            return NULL;
        }
        distribution->page[octave] = (uint16_t)pool->n_used++;
    }
    return pool->pages[distribution->page[octave]];
}

void sl_distribution_add(sl_distribution *distribution, sl_distribution_pool *pool, double value)
{
    if (isnan(value)) {
        return;
    }
    uint32_t place = 0;
    uint32_t octave = octave_of(value, &place);
    if (octave == SL_DISTRIBUTION_INDEX) {
        distribution->zeros++;
        return;
    }
    uint64_t *page = page_of(distribution, pool, octave);
    if (page != NULL) {
        page[place]++;
    } else {
        distribution->lost++;
    }
}

void sl_distribution_merge(sl_distribution *distribution, sl_distribution_pool *pool,
                           const sl_distribution *other, const sl_distribution_pool *other_pool)
{
    distribution->zeros += other->zeros;
    distribution->lost += other->lost;
    for (uint32_t octave = 0; octave < SL_DISTRIBUTION_INDEX; octave++) {
        if (other->page[octave] == 0) {
            continue;
        }
        const uint64_t *from = other_pool->pages[other->page[octave]];
        uint64_t *page = page_of(distribution, pool, octave);
        for (uint32_t i = 0; i < SL_DISTRIBUTION_PAGE; i++) {
            if (page != NULL) {
                page[i] += from[i];
            } else {
                distribution->lost += from[i];
            }
        }
    }
}

/* Buckets run [negative, large to small | zero | positive, small to large]. */
static uint32_t bucket_at(uint32_t octave, uint32_t place)
{
    uint32_t half = OCTAVES * SL_DISTRIBUTION_PAGE;
    return octave < OCTAVES ? half - 1 - (octave * SL_DISTRIBUTION_PAGE + place)
                            : half + 1 + (octave - OCTAVES) * SL_DISTRIBUTION_PAGE + place;
}

uint32_t sl_distribution_bucket(double value)
{
    uint32_t place = 0;
    uint32_t octave = octave_of(value, &place);
    return octave == SL_DISTRIBUTION_INDEX ? OCTAVES * SL_DISTRIBUTION_PAGE
                                           : bucket_at(octave, place);
}

double sl_distribution_middle(uint32_t i_bucket)
{
    const int32_t half = OCTAVES * SL_DISTRIBUTION_PAGE;
    int32_t from_middle = (int32_t)i_bucket - half;
    if (from_middle == 0) {
        return 0;
    }
    int32_t i = abs(from_middle) - 1;
    double octave = ldexp(1.0, i / SL_DISTRIBUTION_PAGE + FIRST_EXPONENT - 127);
    double middle = octave * (1 + (i % SL_DISTRIBUTION_PAGE + 0.5) / SL_DISTRIBUTION_PAGE);
    return from_middle < 0 ? -middle : middle;
}

void sl_distribution_unfold(const sl_distribution *distribution, const sl_distribution_pool *pool,
                            uint64_t *buckets)
{
    buckets[OCTAVES * SL_DISTRIBUTION_PAGE] += distribution->zeros;
    for (uint32_t octave = 0; octave < SL_DISTRIBUTION_INDEX; octave++) {
        const uint64_t *page = pool->pages[distribution->page[octave]];
        for (uint32_t i = 0; distribution->page[octave] != 0 && i < SL_DISTRIBUTION_PAGE; i++) {
            buckets[bucket_at(octave, i)] += page[i];
        }
    }
}

/* zeros, lost, then each page: octave + 1 and its counts; 0 ends. */
sluice_status sl_distribution_save(const sl_distribution *distribution,
                                   const sl_distribution_pool *pool, sluice_bytes *out)
{
    SLUICE_TRY(sl_bytes_put_varint(out, distribution->zeros));
    SLUICE_TRY(sl_bytes_put_varint(out, distribution->lost));
    for (uint32_t octave = 0; octave < SL_DISTRIBUTION_INDEX; octave++) {
        if (distribution->page[octave] == 0) {
            continue;
        }
        SLUICE_TRY(sl_bytes_put_u8(out, (uint8_t)(octave + 1)));
        for (uint32_t i = 0; i < SL_DISTRIBUTION_PAGE; i++) {
            SLUICE_TRY(sl_bytes_put_varint(out, pool->pages[distribution->page[octave]][i]));
        }
    }
    return sl_bytes_put_u8(out, 0);
}

bool sl_distribution_load(sl_distribution *distribution, sl_distribution_pool *pool,
                          sl_reader *reader)
{
    distribution->zeros = sl_reader_varint(reader);
    distribution->lost = sl_reader_varint(reader);
    for (uint32_t octave = sl_reader_u8(reader); octave != 0; octave = sl_reader_u8(reader)) {
        if (octave > SL_DISTRIBUTION_INDEX || distribution->page[octave - 1] != 0) {
            return false;
        }
        uint64_t *page = page_of(distribution, pool, octave - 1);
        if (page == NULL) {
            return false;
        }
        for (uint32_t i = 0; i < SL_DISTRIBUTION_PAGE; i++) {
            page[i] = sl_reader_varint(reader);
        }
    }
    return !reader->bad;
}
