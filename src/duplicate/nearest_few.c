/* nearest_few.c - keeps the rows whose sign bits are nearest, a bounded number of them.
 *
 *   hits, any number  -->  | 64 of least (distance, age) |  --> the exact cosine of each
 *
 * Why a bound: where thousands of kept vectors lie just below the threshold of each other (or a
 * policy keeps what is identical), each probe would compare all of them. The true duplicate is
 * nearer than they are, so it is among the nearest few; if not, it is missed, never invented. */
#include "duplicate/nearest_few.h"

#include <string.h>

static bool is_worse(const sl_signs_hit *a, const sl_signs_hit *b)
{
    return a->distance != b->distance ? a->distance > b->distance : a->number > b->number;
}

static void find_worst(sl_few *few)
{
    few->i_worst = 0;
    for (uint32_t i = 1; i < few->n; i++) {
        if (is_worse(&few->hit[i], &few->hit[few->i_worst])) {
            few->i_worst = i;
        }
    }
}

static bool is_too_far(const sl_few *few, const sl_signs_hit *hit)
{
    return few->n == SL_FEW && !is_worse(&few->hit[few->i_worst], hit);
}

static void take(sl_few *few, sl_signs_hit hit)
{
    if (few->n < SL_FEW) {
        few->hit[few->n++] = hit;
    } else {
        few->hit[few->i_worst] = hit;
    }
    if (few->n == SL_FEW) {
        find_worst(few);
    }
}

void sl_few_add(sl_few *few, sl_signs_hit hit)
{
    if (is_too_far(few, &hit)) {
        return;
    }
    for (uint32_t i = 0; i < few->n; i++) {
        if (few->hit[i].number == hit.number) {
            return;
        }
    }
    take(few, hit);
}

bool sl_few_narrow(const sl_few *few, sl_sign_query *query)
{
    if (few->n < SL_FEW) {
        return true;
    }
    uint32_t least = few->hit[few->i_worst].distance;
    if (least == 0) {
        return false;
    }
    query->most_of_all = least - 1;
    for (uint32_t s = 0; s < SL_SIGN_STEPS; s++) { /* no more of them differ than of all */
        query->most[s] = query->most[s] < least ? query->most[s] : least - 1;
    }
    return true;
}

void sl_few_sort(sl_few *few)
{
    for (uint32_t i = 1; i < few->n; i++) {
        sl_signs_hit hit = few->hit[i];
        uint32_t k = i;
        for (; k > 0 && few->hit[k - 1].number > hit.number; k--) {
            few->hit[k] = few->hit[k - 1];
        }
        few->hit[k] = hit;
    }
}

/* Least distance that SL_FEW of the hits do not exceed. */
static uint32_t distance_of_few(const sl_signs_hit *hits, uint32_t n)
{
    uint16_t count[SLUICE_SIGN_BITS + 1];
    memset(count, 0, sizeof count);
    for (uint32_t i = 0; i < n; i++) {
        count[hits[i].distance]++;
    }
    uint32_t distance = 0;
    for (uint32_t n_within = count[0]; n_within < SL_FEW; n_within += count[distance]) {
        distance++;
    }
    return distance;
}

void sl_few_add_new(sl_few *few, const sl_signs_hit *hits, uint32_t n)
{
    SLUICE_ASSERT(n <= SL_SIGNS_CHUNK); /* so that 16 bits count them */
    uint32_t most = n > SL_FEW ? distance_of_few(hits, n) : SLUICE_SIGN_BITS;
    for (uint32_t i = 0; i < n; i++) {
        if (hits[i].distance <= most && !is_too_far(few, &hits[i])) {
            take(few, hits[i]);
        }
    }
}
