/* image_decode.c - encoded JPEG, PNG or WebP bytes to a small raster of mean colours.
 *
 *   first bytes -> header: limits -> decode, as small as the codec can -> rows -> raster
 *                    |                 JPEG  1/8 .. 1 of its size
 *                    v                 PNG   row by row
 *                 a state              WebP  rescaled while it is decoded
 *
 * Why limits before decoding: a few bytes can ask for gigabytes. Width, height and, for JPEG, the
 * number of scans (each of them passes over all coefficients) are read first.
 * Why not smaller than 64 pixels a side: the raster has 32, and a cell should average several. */
#include "features/image_decode.h"

#include "features/orientation.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <spng.h>
#include <turbojpeg.h>
#include <webp/decode.h>

#define SIDE_LEAST      64u /* of the decoded image, where it has as many pixels                  */
#define PNG_CHUNK_BYTES ((size_t)1 << 20) /* of one ancillary chunk, unpacked */
#define PNG_CACHE_BYTES ((size_t)4 << 20) /* of all of them */

static bool within_limits(uint64_t width, uint64_t height)
{
    return width <= SL_RASTER_PIXELS_MAX && height <= SL_RASTER_PIXELS_MAX &&
           width * height <= SL_IMAGE_PIXELS_MAX;
}

static void reduce(const uint8_t *pixels, uint32_t width, uint32_t height, uint32_t n_channels,
                   sl_raster *raster)
{
    sl_reducer reducer;
    sl_reducer_init(&reducer, width, height, n_channels);
    for (uint32_t y = 0; y < height; y++) {
        sl_reducer_row(&reducer, pixels + (size_t)y * width * n_channels);
    }
    sl_reducer_finish(&reducer, raster);
}

/* ---- JPEG ------------------------------------------------------------------------------------ */

typedef struct jpeg_outline {
    uint32_t width, height, precision, n_scans;
    bool ends; /* the end-of-image marker is there */
} jpeg_outline;

/* Entropy-coded bytes: an FF in them is followed by 00 or the number of a restart. */
static size_t skip_scan(sluice_span bytes, size_t at)
{
    while (at + 1 < bytes.size) {
        const uint8_t *found = memchr(bytes.data + at, 0xff, bytes.size - 1 - at);
        if (found == NULL) {
            return bytes.size;
        }
        at = (size_t)(found - bytes.data);
        uint8_t marker = found[1];
        if (marker != 0 && marker != 0xff && (marker < 0xd0 || marker > 0xd7)) {
            return at;
        }
        at += marker == 0xff ? 1 : 2;
    }
    return bytes.size;
}

static bool is_frame(uint8_t marker)
{
    return marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
}

/* Walks the segments. What is not a segment is left to the codec to complain about. */
static jpeg_outline outline_of(sluice_span bytes)
{
    jpeg_outline outline = {0};
    size_t at = 2;
    while (at + 2 <= bytes.size) {
        if (bytes.data[at] != 0xff) {
            at++; /* junk between segments, which the codec skips too */
            continue;
        }
        uint8_t marker = bytes.data[at + 1];
        if (marker == 0xd9) {
            outline.ends = true;
            break;
        }
        if (marker == 0xff || marker == 0 || marker == 1 || (marker >= 0xd0 && marker <= 0xd8)) {
            at += marker == 0xff ? 1 : 2;
            continue;
        }
        if (at + 4 > bytes.size) {
            break;
        }
        size_t size = (size_t)bytes.data[at + 2] << 8 | bytes.data[at + 3];
        if (is_frame(marker) && at + 9 <= bytes.size) {
            const uint8_t *frame = bytes.data + at + 4;
            outline.precision = frame[0];
            outline.height = (uint32_t)frame[1] << 8 | frame[2];
            outline.width = (uint32_t)frame[3] << 8 | frame[4];
        }
        at += 2 + size;
        if (marker == 0xda) {
            outline.n_scans++;
            at = skip_scan(bytes, at);
        }
    }
    return outline;
}

/* The smallest of 1/8, 1/4, 1/2 and 1 that leaves SIDE_LEAST pixels a side. */
static tjscalingfactor jpeg_scale(uint32_t width, uint32_t height)
{
    tjscalingfactor scale = {1, 8};
    uint32_t least = width < height ? width : height;
    while (scale.denom > 1 && least / (uint32_t)scale.denom < SIDE_LEAST) {
        scale.denom /= 2;
    }
    return scale;
}

/* In place. Adobe's CMYK, which all writers follow, is inverted: 255 is no ink. */
static void rgb_of_cmyk(uint8_t *pixels, size_t n_pixels)
{
    for (size_t i = 0; i < n_pixels; i++) {
        const uint8_t *from = pixels + 4 * i;
        uint8_t *to = pixels + 3 * i;
        uint32_t k = from[3];
        for (uint32_t c = 0; c < 3; c++) {
            to[c] = (uint8_t)((from[c] * k + 127) / 255);
        }
    }
}

/* A warning leaves a picture, but one about missing data leaves a part of it made up. The codec
 * keeps only its last warning, so a missing end is found by the outline before. */
static bool is_damaged(tjhandle codec)
{
    return tjGetErrorCode(codec) != TJERR_WARNING ||
           strstr(tjGetErrorStr2(codec), "remature end") != NULL;
}

static sl_image_state jpeg_pixels(tjhandle codec, sluice_span bytes, sl_raster *raster)
{
    int width, height, subsampling, colours;
    if (tjDecompressHeader3(codec, bytes.data, bytes.size, &width, &height, &subsampling,
                            &colours) != 0 &&
        is_damaged(codec)) {
        return SL_IMAGE_BROKEN;
    }
    if (!within_limits((uint64_t)width, (uint64_t)height)) {
        return SL_IMAGE_TOO_LARGE;
    }
    raster->width = (uint32_t)width;
    raster->height = (uint32_t)height;
    tjscalingfactor scale = jpeg_scale(raster->width, raster->height);
    width = TJSCALED(width, scale);
    height = TJSCALED(height, scale);
    bool inks = colours == TJCS_CMYK || colours == TJCS_YCCK;
    size_t n_pixels = (size_t)width * (size_t)height;
    uint8_t *pixels = malloc(n_pixels * (inks ? 4 : 3));
    if (pixels == NULL) {
        return SL_IMAGE_NO_MEMORY;
    }
    sl_image_state state = SL_IMAGE_DECODED;
    if (tjDecompress2(codec, bytes.data, bytes.size, pixels, width, 0, height,
                      inks ? TJPF_CMYK : TJPF_RGB, TJFLAG_ACCURATEDCT | TJFLAG_LIMITSCANS) != 0 &&
        is_damaged(codec)) {
        state = SL_IMAGE_BROKEN;
    } else {
        if (inks) {
            rgb_of_cmyk(pixels, n_pixels);
        }
        reduce(pixels, (uint32_t)width, (uint32_t)height, 3, raster);
    }
    free(pixels);
    return state;
}

static sl_image_state decode_jpeg(sluice_span bytes, sl_raster *raster)
{
    jpeg_outline outline = outline_of(bytes);
    if (outline.precision != 0 && outline.precision != 8) {
        return SL_IMAGE_UNSUPPORTED;
    }
    uint64_t n_pixels = (uint64_t)outline.width * outline.height;
    if (!within_limits(outline.width, outline.height) ||
        n_pixels * outline.n_scans > SL_IMAGE_WORK_MAX) {
        return SL_IMAGE_TOO_LARGE;
    }
    if (n_pixels == 0 || outline.n_scans == 0 || !outline.ends) {
        return SL_IMAGE_BROKEN;
    }
    tjhandle codec = tjInitDecompress();
    if (codec == NULL) {
        return SL_IMAGE_NO_MEMORY;
    }
    sl_image_state state = jpeg_pixels(codec, bytes, raster);
    tjDestroy(codec);
    return state;
}

/* ---- PNG ------------------------------------------------------------------------------------- */

static sl_image_state png_state(int error)
{
    return error == SPNG_EMEM ? SL_IMAGE_NO_MEMORY : SL_IMAGE_BROKEN;
}

static sl_image_state png_rows(spng_ctx *codec, const struct spng_ihdr *header, sl_raster *raster)
{
    size_t row_bytes = (size_t)header->width * 4;
    uint8_t *row = malloc(row_bytes);
    if (row == NULL) {
        return SL_IMAGE_NO_MEMORY;
    }
    int error = spng_decode_image(codec, NULL, 0, SPNG_FMT_RGBA8,
                                  SPNG_DECODE_TRNS | SPNG_DECODE_PROGRESSIVE);
    sl_reducer reducer;
    sl_reducer_init(&reducer, header->width, header->height, 4);
    for (uint32_t y = 0; y < header->height && error == 0; y++) {
        error = spng_decode_row(codec, row, row_bytes);
        if (error == SPNG_EOI && y + 1 == header->height) {
            error = 0; /* told with the last row, which is there */
        }
        sl_reducer_row(&reducer, row);
    }
    free(row);
    if (error != 0) {
        return png_state(error);
    }
    sl_reducer_finish(&reducer, raster);
    return SL_IMAGE_DECODED;
}

/* Rows of an interlaced image come seven times over. */
static sl_image_state png_whole(spng_ctx *codec, const struct spng_ihdr *header, sl_raster *raster)
{
    if ((uint64_t)header->width * header->height > SL_IMAGE_INTERLACED_MAX) {
        return SL_IMAGE_TOO_LARGE;
    }
    size_t size = (size_t)header->width * header->height * 4;
    uint8_t *pixels = malloc(size);
    if (pixels == NULL) {
        return SL_IMAGE_NO_MEMORY;
    }
    int error = spng_decode_image(codec, pixels, size, SPNG_FMT_RGBA8, SPNG_DECODE_TRNS);
    if (error == 0) {
        reduce(pixels, header->width, header->height, 4, raster);
    }
    free(pixels);
    return error == 0 ? SL_IMAGE_DECODED : png_state(error);
}

static sl_image_state png_pixels(spng_ctx *codec, sluice_span bytes, sl_raster *raster)
{
    struct spng_ihdr header;
    int error = spng_set_chunk_limits(codec, PNG_CHUNK_BYTES, PNG_CACHE_BYTES);
    error = error == 0 ? spng_set_png_buffer(codec, bytes.data, bytes.size) : error;
    error = error == 0 ? spng_get_ihdr(codec, &header) : error;
    if (error != 0) {
        return png_state(error);
    }
    if (!within_limits(header.width, header.height)) {
        return SL_IMAGE_TOO_LARGE;
    }
    raster->width = header.width;
    raster->height = header.height;
    return header.interlace_method == SPNG_INTERLACE_NONE ? png_rows(codec, &header, raster)
                                                          : png_whole(codec, &header, raster);
}

static sl_image_state decode_png(sluice_span bytes, sl_raster *raster)
{
    spng_ctx *codec = spng_ctx_new(0);
    if (codec == NULL) {
        return SL_IMAGE_NO_MEMORY;
    }
    sl_image_state state = png_pixels(codec, bytes, raster);
    spng_ctx_free(codec);
    return state;
}

/* ---- WebP ------------------------------------------------------------------------------------ */

static sl_image_state webp_state(VP8StatusCode code)
{
    return code == VP8_STATUS_OUT_OF_MEMORY         ? SL_IMAGE_NO_MEMORY
           : code == VP8_STATUS_UNSUPPORTED_FEATURE ? SL_IMAGE_UNSUPPORTED
                                                    : SL_IMAGE_BROKEN;
}

/* As jpeg_scale, with any denominator. */
static void webp_scale(const sl_raster *raster, WebPDecoderOptions *options)
{
    uint32_t least = raster->width < raster->height ? raster->width : raster->height;
    uint32_t by = least / SIDE_LEAST;
    if (by > 1) {
        options->use_scaling = 1;
        options->scaled_width = (int)(raster->width / by);
        options->scaled_height = (int)(raster->height / by);
    }
}

static sl_image_state decode_webp(sluice_span bytes, sl_raster *raster)
{
    WebPDecoderConfig config;
    if (!WebPInitDecoderConfig(&config)) {
        return SL_IMAGE_NO_MEMORY;
    }
    VP8StatusCode code = WebPGetFeatures(bytes.data, bytes.size, &config.input);
    if (code != VP8_STATUS_OK) {
        return webp_state(code);
    }
    if (!within_limits((uint64_t)config.input.width, (uint64_t)config.input.height)) {
        return SL_IMAGE_TOO_LARGE;
    }
    if (config.input.has_animation) {
        return SL_IMAGE_UNSUPPORTED;
    }
    raster->width = (uint32_t)config.input.width;
    raster->height = (uint32_t)config.input.height;
    config.output.colorspace = MODE_RGBA;
    webp_scale(raster, &config.options);
    code = WebPDecode(bytes.data, bytes.size, &config);
    if (code != VP8_STATUS_OK) {
        WebPFreeDecBuffer(&config.output);
        return webp_state(code);
    }
    sl_reducer reducer;
    sl_reducer_init(&reducer, (uint32_t)config.output.width, (uint32_t)config.output.height, 4);
    for (int y = 0; y < config.output.height; y++) {
        const WebPRGBABuffer *buffer = &config.output.u.RGBA;
        sl_reducer_row(&reducer, buffer->rgba + (ptrdiff_t)y * buffer->stride);
    }
    sl_reducer_finish(&reducer, raster);
    WebPFreeDecBuffer(&config.output);
    return SL_IMAGE_DECODED;
}

/* ---- all ------------------------------------------------------------------------------------- */

static bool starts_with(sluice_span bytes, const char *prefix, size_t size)
{
    return bytes.size >= size && memcmp(bytes.data, prefix, size) == 0;
}

static sl_image_state decode_known(sluice_span bytes, sl_raster *raster)
{
    if (bytes.size > SLUICE_LIMIT_IMAGE_BYTES) {
        return SL_IMAGE_TOO_LARGE;
    }
    if (starts_with(bytes, "\xff\xd8\xff", 3)) {
        return decode_jpeg(bytes, raster);
    }
    if (starts_with(bytes, "\x89PNG\r\n\x1a\n", 8)) {
        return decode_png(bytes, raster);
    }
    if (starts_with(bytes, "RIFF", 4) && bytes.size >= 12 &&
        memcmp(bytes.data + 8, "WEBP", 4) == 0) {
        return decode_webp(bytes, raster);
    }
    return bytes.size == 0 ? SL_IMAGE_BROKEN : SL_IMAGE_FOREIGN;
}

sl_image_state sl_image_decode(sluice_span bytes, sl_raster *raster)
{
    sl_image_state state = decode_known(bytes, raster);
    if (state == SL_IMAGE_DECODED) {
        sl_raster_turn(raster, sl_orientation_of(bytes));
    }
    return state;
}
