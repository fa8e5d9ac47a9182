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
 * of M is kept; leverage is of little use then, and the scores say "stale". */
#include "influence/leverage.h"

static double d_eff_by_variances(const sl_leverage *leverage)
{
    double sum = 0;
    for (uint32_t j = 0; j < leverage->dim; j++) {
        const double e = (double)leverage->centred[j];
        sum += e / (e + leverage->ridge);
    }
    return sum;
}

void sl_leverage_freeze(sl_leverage *leverage, double ridge_share, bool new_basis)
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
    if (new_basis) {
        leverage->d_eff_off =
            d - leverage->ridge * (inverse_trace + square / leverage->left_over) - by_variances;
    }
    leverage->d_eff = by_variances + leverage->d_eff_off;
    leverage->d_eff = leverage->d_eff > 1e-3 ? leverage->d_eff : 1e-3;
}

void sl_leverage_rows(const sl_leverage *leverage, const float *a0, double out[SL_SLOTS],
                      double residual[SL_SLOTS])
{
    const uint32_t d = leverage->dim;
    for (uint32_t i = 0; i < SL_SLOTS; i++) {
        const float *row = a0 + (size_t)i * d;
        double sum = 0;
        double cross = 0;
        double square = 0;
        double inside = 0;
        for (uint32_t j = 0; j < d; j++) {
            double y = (double)row[j] - leverage->mt[j];
            double py = leverage->p[j] * y;
            sum += py * y;
            cross += py * leverage->mt[j];
            square += y * y;
            inside = j + 1 == leverage->rank ? square : inside;
        }
        out[i] = (sum + cross * cross / leverage->left_over) / leverage->d_eff;
        residual[i] = square > 0 ? 1 - inside / square : 0;
    }
}
