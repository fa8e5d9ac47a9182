/* moments.h - decayed sums over samples: mean, second moments, gradient. */
#ifndef SL_MOMENTS_H
#define SL_MOMENTS_H

#include "influence/slice.h"

/* Un-normalised, so that two of them are merged by adding them. */
typedef struct sl_moments {
    double weight;
    double *mean;      /* [d] sum of mean_k x_k                              */
    float *second_in;  /* [d][d] upper triangle: sum of mean_k x_k x_k'      */
    float *second_out; /* [m][m] the same of u; NULL: it is second_in       */
} sl_moments;

/* S <- factor S: what `n` samples of forgetting leave, factor = 2^(-n / half_life). */
void sl_moments_decay(const sl_shape *shape, sl_moments *moments, double factor);

/* sl_moments_add - the 64 rows of a slice, each with its weight (0 leaves it out).
 * work     Scratch of K 64 max(m, d) floats.
 * Cost     64 K (m^2 + d^2) flops. */
void sl_moments_add(const sl_shape *shape, const sl_slice *slice, const float weight[SL_SLOTS],
                    float *work, sl_moments *moments);

/* gradient[m][d] += sum over rows of weight D; left and right not rotated. */
void sl_moments_add_gradient(const sl_shape *shape, const float *left, const float *right,
                             const float weight[SL_SLOTS], float *work, float *gradient);

double sl_moments_fade(uint64_t half_life, uint32_t n); /* 2^(-n / half_life); 1 for 0 */

#endif
