/* duplicate_samples.h - samples with made-up features for the tests of the duplicate stage. */
#ifndef SL_TEST_DUPLICATE_SAMPLES_H
#define SL_TEST_DUPLICATE_SAMPLES_H

#include "bytes.h"
#include "features/features.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define assert_valid(validate, object)                                                             \
    do {                                                                                           \
        const char *reason_ = NULL;                                                                \
        if (!validate(object, &reason_)) {                                                         \
            fail_msg("%s", reason_);                                                               \
        }                                                                                          \
    } while (0)

/* Weak, so that these tests have their own profiles, whatever the features stage thinks best:
 * 16 bands of 8 at .8, and 32 of 4 at .5, weighted, for records; pages like news, but .9 where they
 * are brief, and their numbers tell them apart. */
__attribute__((weak)) sl_text_settings sl_text_settings_of(const sluice_config *config,
                                                           sluice_profile profile)
{
    bool records = profile == SLUICE_PROFILE_RECORDS, pages = profile == SLUICE_PROFILE_PAGES;
    float threshold = (float)config->duplicate.text_threshold;
    return (sl_text_settings){.threshold = threshold > 0 ? threshold
                                           : records     ? 0.5f
                                                         : 0.8f,
                              .brief = pages ? 0.9f : 0,
                              .weighted = records,
                              .numbers = pages,
                              .n_bands = records ? 32 : 16,
                              .band_rows = records ? 4 : 8};
}

static inline uint64_t next_random(uint64_t *state) /* splitmix64 */
{
    uint64_t value = *state += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return value ^ value >> 31;
}

static inline uint32_t random_below(uint64_t *state, uint32_t limit)
{
    return (uint32_t)((next_random(state) >> 32) * limit >> 32);
}

static inline void make_sketch(uint64_t seed, uint8_t *sketch)
{
    for (uint32_t i = 0; i < SLUICE_SKETCH_COORDINATES; i += 8) {
        uint64_t word = next_random(&seed);
        memcpy(sketch + i, &word, sizeof word);
    }
}

/* A kept text: hashes, sketch and arrival (a millisecond an offset) follow from seed and offset.
 * `id` and `source` are borrowed. */
static inline sluice_sample make_sample(uint64_t offset, uint64_t seed, const char *id,
                                        const char *source)
{
    sluice_sample sample = {.offset = offset,
                            .arrived_us = (int64_t)(offset * 1000),
                            .id = sl_span_of(id),
                            .source = sl_span_of(source),
                            .verdict = {.weight = 1}};
    uint64_t state = seed;
    sample.features.has = SLUICE_HAS_RAW | SLUICE_HAS_NORMAL | SLUICE_HAS_SKETCH;
    sample.features.profile = SLUICE_PROFILE_NEWS;
    for (int i = 0; i < 2; i++) {
        sample.features.raw_hash[i] = next_random(&state);
        sample.features.normal_hash[i] = next_random(&state);
    }
    make_sketch(seed, sample.features.sketch);
    return sample;
}

/* Makes the sketch agree with `with` in `n` coordinates: the first n, so whole bands. */
static inline void make_agree(sluice_sample *sample, const sluice_sample *with, uint32_t n)
{
    for (uint32_t i = 0; i < SLUICE_SKETCH_COORDINATES; i++) {
        uint8_t theirs = with->features.sketch[i];
        sample->features.sketch[i] = i < n ? theirs : (uint8_t)(theirs + 1);
    }
}

/* A kept image of random signature and no colours. */
static inline sluice_sample make_image_sample(uint64_t offset, uint64_t seed, const char *id,
                                              const char *source)
{
    sluice_sample sample = {.offset = offset,
                            .arrived_us = (int64_t)(offset * 1000),
                            .id = sl_span_of(id),
                            .source = sl_span_of(source)};
    sample.features.has = SLUICE_HAS_IMAGE;
    for (uint32_t i = 0; i < SLUICE_IMAGE_BYTES; i++) {
        sample.features.image_signature[i] = (uint8_t)next_random(&seed);
    }
    memset(sample.features.image_signature + SLUICE_IMAGE_BITS / 8, 0,
           SLUICE_IMAGE_BYTES - SLUICE_IMAGE_BITS / 8);
    return sample;
}

/* Flips `n` different bits of the signature, spread evenly. */
static inline void flip_bits(sluice_sample *sample, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t bit = i * (SLUICE_IMAGE_BITS - 8) / n;
        sample->features.image_signature[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static inline sluice_config make_config(uint64_t exact_memory, uint64_t text_memory)
{
    sluice_config config = {0};
    config.duplicate.enabled = true;
    config.duplicate.exact_memory = exact_memory;
    config.duplicate.text_memory = text_memory;
    config.duplicate.image_memory = 64 << 10;
    config.duplicate.embedding_memory = 64 << 10;
    config.duplicate.embedding_threshold = 0.9;
    return config;
}

#endif
