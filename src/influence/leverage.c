/* leverage.c - how far a row lies outside what the stream has shown: leverage and residual.
 *
 *   M = E x x'  in its eigenbasis: diag(eig)          y = U'(x_0 - mean), mt = U' mean
 *   y' (M + ridge - mean mean')^-1 y  =  sum p y^2 + (sum p y mt)^2 / (1 - sum p mt^2)
 *                                        by Sherman-Morrison, p = 1 / (eig + ridge)
 *
 * Why centred: embeddings sit in a narrow cone, and without the mean taken out leverage measures
 * the cone.
 * Why not the eigenbasis of the centred moment: one basis serves curvature and leverage.
 *
 * d_eff = sum e / (e + ridge) over the eigenvalues e of the centred moment is the mean of the
 * leverage before it is divided. In a new basis it is exact without an eigenproblem, because
 * tr((C + ridge)^-1 C) = d - ridge tr((C + ridge)^-1) and that inverse is diag(p) + (p mt)(p mt)' /
 * left_over; from block to block it moves with the variances along the basis.
 *
 * Why double: 1 - sum p mt^2 is a small difference, as the mean is nearly all of the largest
 * eigenvalue. In a basis that is not new it is wrong, since only the diagonal of M is kept, and may
 * come out negative; where that form is the one in use, the scores say "stale".
 *
 * Why a second form: once 1 - sum p mt^2 has left half to twice of what it was when the basis was
 * new, its reciprocal owns the sum (on real embeddings within 512 samples; rank correlation with
 * the exact leverage .63 instead of .95). From there on the covariance of that time is kept, each
 * direction scaled to the variance that it has now: its inverse is exact and positive, and what
 * changes is followed. Not so where the refreshes are a list of the configuration (expert.refresh):
 * that is the protocol of data/influence, whose expectations are of the first form throughout. */
#include "influence/leverage.h"
#include "influence/rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

sluice_status sl_leverage_open(uint32_t dim, uint32_t rank, sl_leverage *out)
{
    *out = (sl_leverage){.dim = dim, .rank = rank};
    double **wanted[] = {&out->p,       &out->mt,     &out->eig, &out->eig_then,
                         &out->mt_then, &out->weight, &out->pull};
    bool there = true;
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        *wanted[i] = calloc(dim, sizeof(double));
        there = there && *wanted[i] != NULL;
    }
    out->centred = calloc(dim, sizeof(float));
    if (!there || out->centred == NULL) {
        sl_leverage_close(out);
        return SLUICE_E_NOMEM;
    }
    return SLUICE_OK;
}

void sl_leverage_close(sl_leverage *leverage)
{
    double *owned[] = {leverage->p,       leverage->mt,     leverage->eig, leverage->eig_then,
                       leverage->mt_then, leverage->weight, leverage->pull};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) {
        free(owned[i]);
    }
    free(leverage->centred);
    *leverage = (sl_leverage){.dim = 0};
}

static double d_eff_by_variances(const sl_leverage *leverage)
{
    double sum = 0;
    for (uint32_t j = 0; j < leverage->dim; j++) {
        const double e = (double)leverage->centred[j];
        sum += e / (e + leverage->ridge);
    }
    return sum;
}

/* Sherman-Morrison with the mean `mt`: p, 1 - sum p mt^2, and d_eff if the basis is that of M. */
typedef struct rank_one {
    double left_over, d_eff;
} rank_one;

static rank_one invert(uint32_t d, const double *eig, const double *mt, double ridge, double *p)
{
    double inverse_trace = 0;
    double square = 0;
    rank_one out = {.left_over = 1};
    for (uint32_t j = 0; j < d; j++) {
        p[j] = 1 / ((eig[j] > 0 ? eig[j] : 0) + ridge);
        out.left_over -= p[j] * mt[j] * mt[j];
        inverse_trace += p[j];
        square += p[j] * p[j] * mt[j] * mt[j];
    }
    if (out.left_over > -1e-9 && out.left_over < 1e-9) {
        out.left_over = 1e-9;
    }
    out.d_eff = d - ridge * (inverse_trace + square / out.left_over);
    return out;
}

static double at_least(double value, double least)
{
    return value > least ? value : least;
}

/* What rows are scored with: the numbers of now, or those of then, scaled. */
static void choose(sl_leverage *leverage)
{
    const double ratio = leverage->left_over / leverage->left_over_then;
    const bool now =
        !leverage->follow || (ratio >= 0.5 && ratio <= 2) || leverage->left_over_then <= 1e-6;
    const double *mean = now ? leverage->mt : leverage->mt_then;
    leverage->left_over_used = now ? leverage->left_over : leverage->left_over_then;
    leverage->d_eff_used = now ? leverage->d_eff : leverage->d_eff_then;
    for (uint32_t j = 0; j < leverage->dim; j++) {
        const double then = leverage->eig_then[j] - leverage->mt_then[j] * leverage->mt_then[j];
        const double square = now ? 1
                                  : (at_least(then, 0) + leverage->ridge) /
                                        ((double)leverage->centred[j] + leverage->ridge);
        const double p = now ? leverage->p[j] : leverage->weight[j]; /* of then, by invert */
        leverage->weight[j] = p * square;
        leverage->pull[j] = p * sqrt(square) * mean[j];
    }
}

void sl_leverage_freeze(sl_leverage *leverage, double ridge_share, bool new_basis)
{
    const uint32_t d = leverage->dim;
    double trace = 0;
    for (uint32_t j = 0; j < d; j++) {
        const double variance = leverage->eig[j] - leverage->mt[j] * leverage->mt[j];
        trace += variance;
        leverage->centred[j] = (float)at_least(variance, 0);
    }
    leverage->ridge = ridge_share * at_least(trace, 1e-12) / d;
    if (new_basis) {
        memcpy(leverage->eig_then, leverage->eig, sizeof *leverage->eig * d);
        memcpy(leverage->mt_then, leverage->mt, sizeof *leverage->mt * d);
    }
    const rank_one then =
        invert(d, leverage->eig_then, leverage->mt_then, leverage->ridge, leverage->weight);
    const rank_one now = invert(d, leverage->eig, leverage->mt, leverage->ridge, leverage->p);
    const double by_variances = d_eff_by_variances(leverage);
    if (new_basis) {
        leverage->d_eff_off = now.d_eff - by_variances;
    }
    leverage->left_over = now.left_over;
    leverage->d_eff = at_least(by_variances + leverage->d_eff_off, 1e-3);
    leverage->left_over_then = then.left_over;
    leverage->d_eff_then = at_least(then.d_eff, 1e-3);
    choose(leverage);
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
        const sl_double4 y = sl_rows_widen(row + j) - sl_rows_load4(leverage->mt + j);
        const sl_double4 yy = y * y;
        sums.weighted += sl_rows_load4(leverage->weight + j) * yy;
        sums.cross += sl_rows_load4(leverage->pull + j) * y;
        sums.square += yy;
    }
    for (; j < end; j++) {
        const double y = (double)row[j] - leverage->mt[j];
        sums.weighted[0] += leverage->weight[j] * y * y;
        sums.cross[0] += leverage->pull[j] * y;
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
        row_sums top = sum_stretch(leverage, row, 0, leverage->rank);
        const row_sums rest = sum_stretch(leverage, row, leverage->rank, d);
        const double inside = sl_rows_sum4(&top.square);
        const double square = inside + sl_rows_sum4(&rest.square);
        top.cross += rest.cross;
        top.weighted += rest.weighted;
        const double cross = sl_rows_sum4(&top.cross);
        out[i] = (sl_rows_sum4(&top.weighted) + cross * cross / leverage->left_over_used) /
                 leverage->d_eff_used;
        residual[i] = square > 0 ? 1 - inside / square : 0;
    }
}
