/* leverage.c - how far a row lies outside what the stream has shown: leverage and residual.
 *
 *   M = E x x'  in its eigenbasis: diag(eig)          y = U'(x_0 - mean), mt = U' mean
 *   (M + ridge - mean mean')^-1 by Sherman-Morrison:   sum p y^2 + (sum p y mt)^2 / (1 - sum p
 * mt^2)
 *
 * Why centred: embeddings sit in a narrow cone, and without the mean taken out leverage measures
 * the cone. Why not the eigenbasis of the centred moment: one basis serves curvature and leverage.
 *
 * d_eff = sum e / (e + ridge) over the eigenvalues e of the centred moment is the mean of the
 * leverage before it is divided. In a new basis it is exact without an eigenproblem, because
 * tr((C + ridge)^-1 C) = d - ridge tr((C + ridge)^-1) and that inverse is diag(p) + (p mt)(p mt)' /
 * left_over; from block to block it moves with the variances along the basis.
 *
 * Why double: 1 - sum p mt^2 is a small difference, as the mean is nearly all of the largest
 * eigenvalue. In a basis that the stream has left it may come out negative, since only the diagonal
 * of M is kept (with few samples in memory the noise of the mean is enough: d / n_eff of it against
 * a left_over of .02 to .1); leverage is of little use then, the scores say "stale", and
 * percentiles are by the plain form. */
#include "influence/leverage.h"
#include "influence/rows.h"

static double d_eff_by_variances(const sl_leverage *leverage)
{
    double sum = 0;
    for (uint32_t j = 0; j < leverage->dim; j++) {
        const double e = (double)leverage->centred[j];
        sum += e / (e + leverage->ridge);
    }
    return sum;
}

void sl_leverage_freeze(sl_leverage *leverage, double ridge_share, double weight, bool new_basis)
{
    const uint32_t d = leverage->dim;
    double trace = 0;
    for (uint32_t j = 0; j < d; j++) {
        const double variance = leverage->eig[j] - leverage->mt[j] * leverage->mt[j];
        trace += variance;
        leverage->centred[j] = (float)(variance > 0 ? variance : 0);
    }
    trace = trace > 1e-12 ? trace : 1e-12;
    leverage->ridge = ridge_share * trace / d;
    double inverse_trace = 0;
    double square = 0;
    leverage->left_over = 1;
    for (uint32_t j = 0; j < d; j++) {
        const double eig = leverage->eig[j] > 0 ? leverage->eig[j] : 0;
        const double p = 1 / (eig + leverage->ridge);
        const double mean = leverage->mt[j];
        leverage->p[j] = p;
        leverage->left_over -= p * mean * mean;
        inverse_trace += p;
        square += p * p * mean * mean;
    }
    if (leverage->left_over > -1e-9 && leverage->left_over < 1e-9) {
        leverage->left_over = 1e-9;
    }
    const double by_variances = d_eff_by_variances(leverage);
    leverage->left_over_new = new_basis ? leverage->left_over : leverage->left_over_new;
    const double noise = d / weight;
    leverage->sound =
        leverage->left_over >= leverage->left_over_new / 2 && leverage->left_over >= 2 * noise;
    leverage->d_eff_plain = by_variances > 1e-3 ? by_variances : 1e-3;
    if (new_basis) {
        leverage->d_eff_off =
            d - leverage->ridge * (inverse_trace + square / leverage->left_over) - by_variances;
    }
    leverage->d_eff = by_variances + leverage->d_eff_off;
    leverage->d_eff = leverage->d_eff > 1e-3 ? leverage->d_eff : 1e-3;
}

double sl_leverage_plain(const sl_leverage *leverage, const float *a)
{
    double sum = 0;
    for (uint32_t j = 0; j < leverage->dim; j++) {
        const double y = (double)a[j] - leverage->mt[j];
        sum += y * y / ((double)leverage->centred[j] + leverage->ridge);
    }
    return sum / leverage->d_eff_plain;
}

/* Sums along a stretch of one row. */
typedef struct row_sums {
    sl_double4 square, weighted, cross;
} row_sums;

SL_ROWS_INLINE row_sums sum_stretch(const sl_leverage *leverage, const float *row, uint32_t first,
                                    uint32_t end)
{
    row_sums sums = {.square = {0}};
    uint32_t j = first;
    for (; j + 4 <= end; j += 4) {
        const sl_double4 mean = sl_rows_load4(leverage->mt + j);
        const sl_double4 y = sl_rows_widen(row + j) - mean;
        const sl_double4 py = sl_rows_load4(leverage->p + j) * y;
        sums.weighted += py * y;
        sums.cross += py * mean;
        sums.square += y * y;
    }
    for (; j < end; j++) {
        const double y = (double)row[j] - leverage->mt[j];
        const double py = leverage->p[j] * y;
        sums.weighted[0] += py * y;
        sums.cross[0] += py * leverage->mt[j];
        sums.square[0] += y * y;
    }
    return sums;
}

SL_WIDE void sl_leverage_rows(const sl_leverage *leverage, const float *a0, double out[SL_SLOTS],
                              double residual[SL_SLOTS])
{
    const uint32_t d = leverage->dim;
    for (uint32_t i = 0; i < SL_SLOTS; i++) {
        const float *row = a0 + (size_t)i * d;
        const row_sums top = sum_stretch(leverage, row, 0, leverage->rank);
        const row_sums rest = sum_stretch(leverage, row, leverage->rank, d);
        const double cross = sl_rows_sum4(top.cross + rest.cross);
        const double inside = sl_rows_sum4(top.square);
        const double square = inside + sl_rows_sum4(rest.square);
        out[i] =
            (sl_rows_sum4(top.weighted + rest.weighted) + cross * cross / leverage->left_over) /
            leverage->d_eff;
        residual[i] = square > 0 ? 1 - inside / square : 0;
    }
}
