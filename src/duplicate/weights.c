/* weights.c - how much each coordinate of a sketch counts: little if the stream is full of it.
 *
 *   coordinate i of a sketch is a hash of one shingle of the text
 *        |
 *   n(i, v)   u32[128][256]: remembered sketches whose coordinate i is v
 *        |    background N / 256; far above it only where many texts share that shingle
 *        v
 *   weight    boilerplate and stop words weigh little, what is rare weighs 64
 *
 * Why cells and not shingles: sketches are all that is remembered, and 128 KiB of counts are in
 * the cache; a count of every shingle of a stream has no bound. A shingle in less than 1 of 256
 * texts cannot be told from a rare one, and need not be.
 * Why remembered sketches only: copies that were dropped would make their own content common.
 * Why one in 16 later: a share is known well enough from some thousands, and an insert stays cheap.
 * Why squared: with it the labelled packs separate best; see tests/quality.
 * Source: Sparck Jones 1972 (inverse document frequency), here of sketch coordinates. */
#include "duplicate/weights.h"

#include <stdlib.h>
#include <string.h>

#define PRIOR 256u /* sketches that share nothing, counted before the first */

struct sl_weights {
    uint64_t n_counted, from;
    uint32_t cells[SLUICE_SKETCH_COORDINATES][256];
};

sluice_status sl_weights_open(sl_weights **out)
{
    *out = calloc(1, sizeof **out);
    return *out != NULL ? SLUICE_OK : SLUICE_E_NOMEM;
}

void sl_weights_close(sl_weights **weights_p)
{
    free(*weights_p);
    *weights_p = NULL;
}

static bool is_counted(uint64_t offset)
{
    return offset < SL_WEIGHTS_ALL_BELOW || offset % 16 == 0;
}

void sl_weights_add(sl_weights *weights, uint64_t offset, const uint8_t *sketch)
{
    if (is_counted(offset)) {
        weights->n_counted++;
        for (uint32_t i = 0; i < SLUICE_SKETCH_COORDINATES; i++) {
            weights->cells[i][sketch[i]]++;
        }
    }
}

void sl_weights_remove(sl_weights *weights, uint64_t offset, const uint8_t *sketch)
{
    if (is_counted(offset)) {
        SLUICE_DCHECK(weights->n_counted > 0);
        weights->n_counted--;
        for (uint32_t i = 0; i < SLUICE_SKETCH_COORDINATES; i++) {
            SLUICE_DCHECK(weights->cells[i][sketch[i]] > 0);
            weights->cells[i][sketch[i]]--;
        }
    }
}

/* 16 log2 of n > 0, linear between powers of two. */
static uint32_t logarithm(uint64_t n)
{
    uint32_t exponent = 63 - (uint32_t)__builtin_clzll(n);
    uint64_t fraction = n - ((uint64_t)1 << exponent);
    return exponent * 16 +
           (uint32_t)(exponent < 4 ? fraction << (4 - exponent) : fraction >> (exponent - 4));
}

uint32_t sl_weights_of(const sl_weights *weights, const uint8_t *sketch,
                       uint8_t weight[SLUICE_SKETCH_COORDINATES])
{
    uint32_t all = logarithm(weights->n_counted + PRIOR), sum = 0;
    for (uint32_t i = 0; i < SLUICE_SKETCH_COORDINATES; i++) {
        uint32_t n = weights->cells[i][sketch[i]];
        uint32_t own = logarithm(n > 0 ? n : 1);
        uint32_t rarity = own > all ? 0 : all - own > 128 ? 128 : all - own;
        weight[i] = (uint8_t)(rarity * rarity / 256);
        sum += weight[i];
    }
    if (sum == 0) {
        memset(weight, SL_WEIGHTS_MOST, SLUICE_SKETCH_COORDINATES);
        sum = SLUICE_SKETCH_COORDINATES * SL_WEIGHTS_MOST;
    }
    return sum;
}

uint64_t *sl_weights_from(sl_weights *weights)
{
    return &weights->from;
}

uint64_t sl_weights_counted(const sl_weights *weights)
{
    return weights->n_counted;
}
