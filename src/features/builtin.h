/* builtin.h - what the two built-in encoders have in common. */
#ifndef SL_BUILTIN_H
#define SL_BUILTIN_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#define SL_BUILTIN_DIM   256
#define SL_BUILTIN_VIEWS 3 /* the anchor and two augmentations */

/* The names under which their views are judged. Another way to make views is another encoder: the
 * number goes up with any change of builtin_text.c or builtin_image.c that moves a value. */
#define SL_BUILTIN_TEXT_NAME  "sluice-text-1"
#define SL_BUILTIN_IMAGE_NAME "sluice-image-1"

/* The next number of the stream that begins at a seed: splitmix64, Vigna. */
static inline uint64_t sl_builtin_draw(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *state;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* Uniform in [0, 1). */
static inline float sl_builtin_uniform(uint64_t *state)
{
    return (float)(sl_builtin_draw(state) >> 40) / 16777216.0F;
}

/* Makes a row of SL_BUILTIN_DIM one of unit length; false if it has none. */
static inline bool sl_builtin_unit(float *row)
{
    double part[4] = {0}; /* four sums: one would wait for itself */
    for (uint32_t i = 0; i < SL_BUILTIN_DIM; i++) {
        part[i % 4] += (double)row[i] * (double)row[i];
    }
    double square = part[0] + part[1] + part[2] + part[3];
    if (square < 1e-12) {
        return false;
    }
    double scale = 1 / sqrt(square);
    for (uint32_t i = 0; i < SL_BUILTIN_DIM; i++) {
        row[i] = (float)(row[i] * scale);
    }
    return true;
}

#endif
