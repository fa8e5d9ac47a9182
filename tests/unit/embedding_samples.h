/* embedding_samples.h - samples with real embedding features of made-up vectors. */
#ifndef SL_TEST_EMBEDDING_SAMPLES_H
#define SL_TEST_EMBEDDING_SAMPLES_H

#include "features/sign_sketch.h"
#include "unit/duplicate_samples.h"

#include <math.h>
#include <stdlib.h>

/* What a sample borrows. */
typedef struct vector_room {
    float row[SLUICE_EMBEDDING_MAX];
    uint8_t margins[SLUICE_SIGN_BITS];
    uint8_t vector[2 * SLUICE_EMBEDDING_MAX];
    char id[24];
} vector_room;

/* About normal: the sum of twelve uniform numbers. */
static inline float draw_normal(uint64_t *random)
{
    double sum = -6;
    for (int i = 0; i < 12; i++) {
        sum += (double)(next_random(random) >> 11) * 0x1p-53;
    }
    return (float)sum;
}

static inline void make_unit(float *row, uint32_t dim)
{
    double square = 0;
    for (uint32_t i = 0; i < dim; i++) {
        square += (double)row[i] * (double)row[i];
    }
    for (uint32_t i = 0; i < dim; i++) {
        row[i] = (float)((double)row[i] / sqrt(square));
    }
}

static inline void draw_unit(float *row, uint32_t dim, uint64_t *random)
{
    for (uint32_t i = 0; i < dim; i++) {
        row[i] = draw_normal(random);
    }
    make_unit(row, dim);
}

static inline double cosine_of(const float *a, const float *b, uint32_t dim)
{
    double sum = 0;
    for (uint32_t i = 0; i < dim; i++) {
        sum += (double)a[i] * (double)b[i];
    }
    return sum;
}

/* A unit vector at that cosine of `of`, in a random direction. */
static inline void draw_near(const float *of, double cosine, float *row, uint32_t dim,
                             uint64_t *random)
{
    float aside[SLUICE_EMBEDDING_MAX];
    draw_unit(aside, dim, random);
    double along = cosine_of(aside, of, dim), square = 0;
    for (uint32_t i = 0; i < dim; i++) {
        aside[i] = (float)((double)aside[i] - along * (double)of[i]);
        square += (double)aside[i] * (double)aside[i];
    }
    double sine = sqrt((1 - cosine * cosine) / square);
    for (uint32_t i = 0; i < dim; i++) {
        row[i] = (float)(cosine * (double)of[i] + sine * (double)aside[i]);
    }
    make_unit(row, dim);
}

/* A kept sample of room->row, as the features stage makes it; an arrival a millisecond. */
static inline sluice_sample make_vector_sample(sl_sign_sketch *sketch, uint64_t offset,
                                               uint32_t dim, uint32_t encoder, vector_room *room)
{
    snprintf(room->id, sizeof room->id, "v%llu", (unsigned long long)offset);
    sluice_sample sample = {.offset = offset,
                            .arrived_us = (int64_t)(offset * 1000),
                            .id = sl_span_of(room->id),
                            .source = sl_span_of("source"),
                            .views = {.n_views = 1, .dim = dim, .rows = room->row}};
    sl_sign_sketch_make(sketch, room->row, dim, encoder * UINT64_C(0x100000001b3), sl_kernel_best(),
                        sample.features.sign_bits, room->margins);
    sl_sign_quantize(room->row, dim, sl_kernel_best(), room->vector);
    sample.features.has = SLUICE_HAS_EMBEDDING;
    sample.features.embedding_key = encoder;
    sample.features.sign_margins = room->margins;
    sample.features.embedding = (sluice_span){room->vector, 2 * (size_t)dim};
    return sample;
}

#endif
