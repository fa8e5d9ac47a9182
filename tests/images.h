/* images.h - pictures made by arithmetic, and their encodings, for tests. */
#ifndef SL_TEST_IMAGES_H
#define SL_TEST_IMAGES_H

#include "sluice/sample.h"

#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <spng.h>
#include <turbojpeg.h>
#include <webp/encode.h>

typedef struct picture {
    uint32_t width, height;
    uint8_t *rgb;
} picture;

static inline uint32_t image_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* A dozen smooth blobs of random colours: the same scene at any size. */
static inline picture picture_make(uint32_t seed, uint32_t width, uint32_t height)
{
    picture made = {width, height, malloc((size_t)width * height * 3)};
    assert(made.rgb != NULL);
    double blob[12][6];
    uint32_t state = seed * 2654435761u + 1;
    for (int i = 0; i < 12; i++) {
        for (int k = 0; k < 6; k++) {
            blob[i][k] = image_random(&state) / 16777216.0;
        }
    }
    for (uint32_t y = 0; y < height; y++) {
        for (uint32_t x = 0; x < width; x++) {
            double sum[3] = {110, 120, 130};
            for (int i = 0; i < 12; i++) {
                double dx = (x + 0.5) / width - blob[i][0], dy = (y + 0.5) / height - blob[i][1];
                double size = 0.05 + 0.15 * blob[i][2];
                double weight = 160 * exp(-(dx * dx + dy * dy) / (size * size));
                for (int c = 0; c < 3; c++) {
                    sum[c] += weight * (blob[i][3 + c] - 0.5);
                }
            }
            for (int c = 0; c < 3; c++) {
                double v = sum[c] < 0 ? 0 : sum[c] > 255 ? 255 : sum[c];
                made.rgb[((size_t)y * width + x) * 3 + (size_t)c] = (uint8_t)(v + 0.5);
            }
        }
    }
    return made;
}

static inline picture picture_flat(uint32_t width, uint32_t height, uint8_t value)
{
    picture made = {width, height, malloc((size_t)width * height * 3)};
    assert(made.rgb != NULL);
    memset(made.rgb, value, (size_t)width * height * 3);
    return made;
}

/* All encodings are given as spans to free(). */
static inline sluice_span jpeg_of(const picture *from, int quality, int flags)
{
    tjhandle codec = tjInitCompress();
    unsigned char *bytes = NULL;
    unsigned long size = 0;
    int failed = tjCompress2(codec, from->rgb, (int)from->width, 0, (int)from->height, TJPF_RGB,
                             &bytes, &size, TJSAMP_420, quality, flags);
    assert(failed == 0);
    (void)failed;
    tjDestroy(codec);
    uint8_t *copy = malloc(size);
    assert(copy != NULL);
    memcpy(copy, bytes, size);
    tjFree(bytes);
    return (sluice_span){copy, size};
}

static inline sluice_span jpeg_of_inks(const picture *from)
{
    size_t n = (size_t)from->width * from->height;
    uint8_t *inks = malloc(n * 4);
    assert(inks != NULL);
    for (size_t i = 0; i < n; i++) { /* inverted, no black */
        memcpy(inks + 4 * i, from->rgb + 3 * i, 3);
        inks[4 * i + 3] = 255;
    }
    tjhandle codec = tjInitCompress();
    unsigned char *bytes = NULL;
    unsigned long size = 0;
    int failed = tjCompress2(codec, inks, (int)from->width, 0, (int)from->height, TJPF_CMYK, &bytes,
                             &size, TJSAMP_444, 90, 0);
    assert(failed == 0);
    (void)failed;
    tjDestroy(codec);
    free(inks);
    uint8_t *copy = malloc(size);
    assert(copy != NULL);
    memcpy(copy, bytes, size);
    tjFree(bytes);
    return (sluice_span){copy, size};
}

static inline sluice_span png_of(const void *pixels, uint32_t width, uint32_t height,
                                 uint8_t colour_type, uint8_t bits, bool interlaced)
{
    spng_ctx *codec = spng_ctx_new(SPNG_CTX_ENCODER);
    spng_set_option(codec, SPNG_ENCODE_TO_BUFFER, 1);
    struct spng_ihdr header = {.width = width,
                               .height = height,
                               .color_type = colour_type,
                               .bit_depth = bits,
                               .interlace_method = interlaced ? SPNG_INTERLACE_ADAM7 : 0};
    spng_set_ihdr(codec, &header);
    size_t channels = colour_type == SPNG_COLOR_TYPE_TRUECOLOR_ALPHA ? 4
                      : colour_type == SPNG_COLOR_TYPE_TRUECOLOR     ? 3
                                                                     : 1;
    int failed = spng_encode_image(codec, pixels, (size_t)width * height * channels * bits / 8,
                                   SPNG_FMT_PNG, SPNG_ENCODE_FINALIZE);
    assert(failed == 0);
    size_t size;
    uint8_t *bytes = spng_get_png_buffer(codec, &size, &failed);
    assert(bytes != NULL);
    (void)failed;
    spng_ctx_free(codec);
    return (sluice_span){bytes, size};
}

static inline sluice_span png_of_rgb(const picture *from)
{
    return png_of(from->rgb, from->width, from->height, SPNG_COLOR_TYPE_TRUECOLOR, 8, false);
}

static inline sluice_span webp_of(const picture *from, float quality) /* quality < 0: lossless */
{
    uint8_t *bytes = NULL;
    int stride = (int)from->width * 3;
    size_t size = quality < 0 ? WebPEncodeLosslessRGB(from->rgb, (int)from->width,
                                                      (int)from->height, stride, &bytes)
                              : WebPEncodeRGB(from->rgb, (int)from->width, (int)from->height,
                                              stride, quality, &bytes);
    assert(size > 0);
    uint8_t *copy = malloc(size);
    assert(copy != NULL);
    memcpy(copy, bytes, size);
    WebPFree(bytes);
    return (sluice_span){copy, size};
}

static inline void span_free(sluice_span span)
{
    free((void *)(uintptr_t)span.data);
}

#endif
