/* nearest_few.h - keeps the rows whose sign bits are nearest, a bounded number of them. */
#ifndef SL_NEAREST_FEW_H
#define SL_NEAREST_FEW_H

#include "duplicate/signs.h"

#define SL_FEW 64 /* rows of a probe that are compared exactly, at most */

typedef struct sl_few {
    uint32_t n;
    uint32_t i_worst; /* meaningless until n == SL_FEW */
    sl_signs_hit hit[SL_FEW];
} sl_few;

/* The order in which hits come is not seen in what is kept: nearer first, then older. A row that is
 * there already changes nothing. */
void sl_few_add(sl_few *few, sl_signs_hit hit);

/* Narrows the query to what could still be kept among newer rows; false: nothing could. */
bool sl_few_narrow(const sl_few *few, sl_sign_query *query);

void sl_few_sort(sl_few *few); /* oldest first */

/* sl_few_add for many at once, at most SL_SIGNS_CHUNK, of which none is there and all differ: those
 * that are not among the nearest of their own lot cost next to nothing. */
void sl_few_add_new(sl_few *few, const sl_signs_hit *hits, uint32_t n);

#endif
