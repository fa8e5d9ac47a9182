/* leverage.c - how far a row lies outside what the stream has shown: leverage and residual.
 *
 *   M = E x x'  in its eigenbasis: diag(eig)          y = U'(x_0 - mean), mt = U' mean
 *   (M + ridge - mean mean')^-1 by Sherman-Morrison:   sum p y^2 + (sum p y mt)^2 / (1 - sum p
 * mt^2)
 *
 * Why centred: embeddings sit in a narrow cone, and without the mean taken out leverage measures
 * the cone. Why not the eigenbasis of the centred moment: one basis serves curvature and leverage.
 *
 * d_eff = sum e / (e + ridge) over the eigenvalues e of the centred moment, is the mean of the
 * leverage before it is divided: tr((C + ridge)^-1 C) = d - ridge tr((C + ridge)^-1), and that
 * inverse is diag(p) + (p mt)(p mt)' / left_over. No eigenproblem a block. */
#include "influence/leverage.h"

void sl_leverage_freeze(sl_leverage *leverage, double ridge_share)
{
    const uint32_t d = leverage->dim;
    double trace = 0;
    for (uint32_t j = 0; j < d; j++) {
        double mean = (double)leverage->mt[j];
        double variance = (double)leverage->eig[j] - mean * mean;
        trace += variance;
        leverage->centred[j] = (float)(variance > 0 ? variance : 0);
    }
    trace = trace > 1e-12 ? trace : 1e-12;
    leverage->ridge = ridge_share * trace / d;
    double inverse_trace = 0;
    double square = 0;
    leverage->left_over = 1;
    for (uint32_t j = 0; j < d; j++) {
        double eig = leverage->eig[j] > 0 ? (double)leverage->eig[j] : 0;
        double p = 1 / (eig + leverage->ridge);
        double mean = (double)leverage->mt[j];
        leverage->p[j] = (float)p;
        leverage->left_over -= p * mean * mean;
        inverse_trace += p;
        square += p * p * mean * mean;
    }
    /* Positive but for rounding: M - mean mean' has no negative eigenvalue. */
    leverage->left_over = leverage->left_over > 1e-9 ? leverage->left_over : 1e-9;
    leverage->d_eff = d - leverage->ridge * (inverse_trace + square / leverage->left_over);
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
            double y = (double)row[j] - (double)leverage->mt[j];
            double py = (double)leverage->p[j] * y;
            sum += py * y;
            cross += py * (double)leverage->mt[j];
            square += y * y;
            inside = j + 1 == leverage->rank ? square : inside;
        }
        out[i] = (sum + cross * cross / leverage->left_over) / leverage->d_eff;
        residual[i] = square > 0 ? 1 - inside / square : 0;
    }
}
