/* reliability.c - how well a second draw of augmentations would rank the same samples.
 *
 *   self of (0, 1)  \  rank correlation r over        n r
 *   self of (0, 2)  /  the rows of a slice     -->  ---------   for n = K - 1 augmentations
 *                                                   1 + (n-1) r
 *
 * Why ranks within a slice: verdicts use percentiles, and 64 rows need no memory of others.
 * Source: Spearman 1910, Brown 1910. */
#include "influence/reliability.h"
#include "influence/score.h"

#include <math.h>

#define LEAST_ROWS 16

/* self of the pair (0, k), with its own gradient of K = 2, in every row. */
static void score_pair(const sl_shape *shape, const sl_slice *slice, uint32_t k,
                       const float *inverse, float *work, double out[SL_SLOTS])
{
    const uint32_t m = shape->dim_out;
    const uint32_t d = shape->dim_in;
    const sl_shape two = {.n_views = 2, .dim_out = m, .dim_in = d};
    float *left = work; /* [2][64][m], then scratch */
    const float *s0 = slice->s;
    const float *e = slice->s + k * sl_view_floats(m);
    for (uint32_t i = 0; i < SL_SLOTS; i++) {
        const float delta = slice->delta[k][i];
        for (size_t j = (size_t)i * m; j < (size_t)(i + 1) * m; j++) {
            const float pulled = delta * (s0[j] + e[j]);
            left[j] = -delta * s0[j] - pulled;
            left[sl_view_floats(m) + j] = e[j] - pulled;
        }
    }
    /* The rows of views 0 and k, side by side as a slice of two views. */
    float *right = work + 2 * sl_view_floats(m);
    for (size_t j = 0; j < sl_view_floats(d); j++) {
        right[j] = slice->a[j];
        right[sl_view_floats(d) + j] = slice->a[k * sl_view_floats(d) + j];
    }
    const sl_slice pair = {.a = right};
    sl_score_self(&two, &pair, left, inverse, right + 2 * sl_view_floats(d), out);
}

/* Places from 0 in ascending order; equal values by their index. */
static void rank_rows(const double *value, const uint32_t *row, uint32_t n, double *rank)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t place = 0;
        for (uint32_t j = 0; j < n; j++) {
            place += value[row[j]] < value[row[i]] ||
                     (value[row[j]] <= value[row[i]] && row[j] < row[i]);
        }
        rank[i] = place;
    }
}

static double correlate(const double *a, const double *b, uint32_t n)
{
    double mean = (n - 1) / 2.0;
    double cross = 0;
    double square = 0;
    for (uint32_t i = 0; i < n; i++) {
        cross += (a[i] - mean) * (b[i] - mean);
        square += (a[i] - mean) * (a[i] - mean);
    }
    return cross / square;
}

void sl_reliability_add(const sl_shape *shape, const sl_slice *slice, const float *inverse,
                        const float weight[SL_SLOTS], double fade, float *work,
                        sl_reliability *reliability)
{
    uint32_t row[SL_SLOTS];
    uint32_t n = 0;
    for (uint32_t i = 0; i < SL_SLOTS; i++) {
        if (weight[i] > 0) {
            row[n++] = i;
        }
    }
    if (shape->n_views < 3 || n < LEAST_ROWS) {
        return;
    }
    double rank[SL_VIEWS_MAX][SL_SLOTS];
    double sum = 0;
    uint32_t n_pairs = 0;
    for (uint32_t k = 1; k < shape->n_views; k++) {
        double score[SL_SLOTS];
        score_pair(shape, slice, k, inverse, work, score);
        rank_rows(score, row, n, rank[k]);
        for (uint32_t l = 1; l < k; l++) {
            sum += correlate(rank[k], rank[l], n);
            n_pairs++;
        }
    }
    reliability->weight = fade * reliability->weight + n;
    reliability->sum = fade * reliability->sum + n * sum / n_pairs;
}

float sl_reliability_of(const sl_reliability *reliability, uint32_t n_views)
{
    if (n_views < 3 || reliability->weight <= 0) {
        return NAN;
    }
    double r = reliability->sum / reliability->weight;
    double n = n_views - 1;
    r = r > 0 ? r : 0;
    return (float)(n * r / (1 + (n - 1) * r));
}
