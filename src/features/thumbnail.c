/* thumbnail.c - a small picture of an encoded image, as a PNG of our own making.
 *
 *   JPEG, PNG, WebP -> raster, 32 x 32 mean colours -> bilinear, longer side 96 -> PNG
 *
 * Why from the raster: nothing of the sender's bytes reaches a browser, neither a codec's fault nor
 * what was hidden in a comment; and the limits of the decoder hold here too. */
#include "features/thumbnail.h"
#include "bytes.h"
#include "features/image_decode.h"

#include <math.h>
#include <spng.h>
#include <stdlib.h>

/* Between the centres of cells; beyond the outermost centres their colour. */
static void sample_raster(const sl_raster *raster, float x, float y, uint8_t rgb[3])
{
    const float last = SL_RASTER_SIDE - 1;
    x = fminf(fmaxf(x * SL_RASTER_SIDE - 0.5f, 0), last);
    y = fminf(fmaxf(y * SL_RASTER_SIDE - 0.5f, 0), last);
    uint32_t i = (uint32_t)fminf(y, last - 1), j = (uint32_t)fminf(x, last - 1);
    float v = y - (float)i, u = x - (float)j;
    const float(*cell)[3] = raster->rgb + i * SL_RASTER_SIDE + j;
    for (int c = 0; c < 3; c++) {
        float above = cell[0][c] * (1 - u) + cell[1][c] * u;
        float below = cell[SL_RASTER_SIDE][c] * (1 - u) + cell[SL_RASTER_SIDE + 1][c] * u;
        rgb[c] = (uint8_t)lrintf(fminf(fmaxf(above * (1 - v) + below * v, 0), 255));
    }
}

static uint32_t scaled(uint32_t side, uint32_t longest)
{
    uint32_t pixels = (uint32_t)((uint64_t)side * SL_THUMBNAIL_SIDE / longest);
    return pixels > 0 ? pixels : 1;
}

static sluice_status encode(const uint8_t *pixels, uint32_t width, uint32_t height,
                            sluice_bytes *out)
{
    struct spng_ihdr header = {
        .width = width, .height = height, .bit_depth = 8, .color_type = SPNG_COLOR_TYPE_TRUECOLOR};
    spng_ctx *codec = spng_ctx_new(SPNG_CTX_ENCODER);
    if (codec == NULL) {
        return SLUICE_E_NOMEM;
    }
    int error = spng_set_option(codec, SPNG_ENCODE_TO_BUFFER, 1);
    error = error == 0 ? spng_set_ihdr(codec, &header) : error;
    error = error == 0 ? spng_encode_image(codec, pixels, (size_t)width * height * 3, SPNG_FMT_PNG,
                                           SPNG_ENCODE_FINALIZE)
                       : error;
    size_t size = 0;
    void *png = error == 0 ? spng_get_png_buffer(codec, &size, &error) : NULL;
    sluice_status status = png != NULL ? sl_bytes_append(out, png, size) : SLUICE_E_NOMEM;
    free(png);
    spng_ctx_free(codec);
    return status;
}

sluice_status sl_thumbnail_make(sluice_span image, sluice_bytes *out)
{
    sl_raster raster;
    sl_image_state state = sl_image_decode(image, &raster);
    if (state != SL_IMAGE_DECODED) {
        return state == SL_IMAGE_NO_MEMORY ? SLUICE_E_NOMEM : SLUICE_E_BADSAMPLE;
    }
    uint32_t longest = raster.width > raster.height ? raster.width : raster.height;
    uint32_t width = scaled(raster.width, longest), height = scaled(raster.height, longest);
    uint8_t pixels[SL_THUMBNAIL_SIDE * SL_THUMBNAIL_SIDE * 3];
    for (uint32_t i = 0; i < height; i++) {
        for (uint32_t j = 0; j < width; j++) {
            sample_raster(&raster, ((float)j + 0.5f) / (float)width,
                          ((float)i + 0.5f) / (float)height, pixels + 3 * (i * width + j));
        }
    }
    return encode(pixels, width, height, out);
}
