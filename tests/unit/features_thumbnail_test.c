/* features_thumbnail_test.c - small pictures keep proportions and colours, and nothing else. */
#include "features/thumbnail.h"
#include "bytes.h"

#include <setjmp.h>
#include <spng.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A PNG whose left half is red and whose right half is blue. */
static sluice_bytes make_png(uint32_t width, uint32_t height)
{
    sluice_bytes png = {0};
    uint8_t *pixels = calloc((size_t)width * height, 3);
    for (uint32_t i = 0; i < width * height; i++) {
        pixels[3 * i + (i % width < width / 2 ? 0 : 2)] = 200;
    }
    struct spng_ihdr header = {width, height, 8, SPNG_COLOR_TYPE_TRUECOLOR, 0, 0, 0};
    spng_ctx *codec = spng_ctx_new(SPNG_CTX_ENCODER);
    spng_set_option(codec, SPNG_ENCODE_TO_BUFFER, 1);
    spng_set_ihdr(codec, &header);
    struct spng_text text = {
        .type = SPNG_TEXT, .keyword = "Comment", .text = "<script>", .length = 8};
    spng_set_text(codec, &text, 1);
    assert_int_equal(spng_encode_image(codec, pixels, (size_t)width * height * 3, SPNG_FMT_PNG,
                                       SPNG_ENCODE_FINALIZE),
                     0);
    int error;
    void *data = spng_get_png_buffer(codec, &png.size, &error);
    png.data = data;
    png.capacity = png.size;
    spng_ctx_free(codec);
    free(pixels);
    return png;
}

static uint8_t *read_png(const sluice_bytes *png, uint32_t *width, uint32_t *height)
{
    struct spng_ihdr header;
    size_t size;
    spng_ctx *codec = spng_ctx_new(0);
    assert_int_equal(spng_set_png_buffer(codec, png->data, png->size), 0);
    assert_int_equal(spng_get_ihdr(codec, &header), 0);
    assert_int_equal(spng_decoded_image_size(codec, SPNG_FMT_RGB8, &size), 0);
    uint8_t *pixels = malloc(size);
    assert_int_equal(spng_decode_image(codec, pixels, size, SPNG_FMT_RGB8, 0), 0);
    spng_ctx_free(codec);
    *width = header.width;
    *height = header.height;
    return pixels;
}

static void test_thumbnail_keeps_proportions_and_colours(void **state)
{
    (void)state;
    static const uint32_t sides[][4] = {
        {400, 200, 96, 48}, {100, 300, 32, 96}, {5, 5, 96, 96}, {1000, 2, 96, 1}};
    for (size_t i = 0; i < sizeof sides / sizeof sides[0]; i++) {
        sluice_bytes image = make_png(sides[i][0], sides[i][1]), small = {0};
        assert_int_equal(sl_thumbnail_make((sluice_span){image.data, image.size}, &small),
                         SLUICE_OK);
        uint32_t width, height;
        uint8_t *pixels = read_png(&small, &width, &height);
        assert_int_equal(width, sides[i][2]);
        assert_int_equal(height, sides[i][3]);
        const uint8_t *last = pixels + 3 * (width - 1);
        assert_true(pixels[0] > 190 && pixels[2] < 10);
        assert_true(last[0] < 10 && last[2] > 190);
        assert_null(memmem(small.data, small.size, "script", 6));
        free(pixels);
        sl_bytes_fini(&small);
        sl_bytes_fini(&image);
    }
}

static void test_thumbnail_of_what_is_no_image_is_refused(void **state)
{
    (void)state;
    sluice_bytes small = {0};
    sluice_bytes image = make_png(100, 100);
    assert_int_equal(sl_thumbnail_make(sl_span_of("<svg onload=alert(1)>"), &small),
                     SLUICE_E_BADSAMPLE);
    assert_int_equal(sl_thumbnail_make((sluice_span){image.data, image.size / 2}, &small),
                     SLUICE_E_BADSAMPLE);
    assert_int_equal(sl_thumbnail_make((sluice_span){NULL, 0}, &small), SLUICE_E_BADSAMPLE);
    assert_int_equal(small.size, 0);
    sl_bytes_fini(&image);
    sl_bytes_fini(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_thumbnail_keeps_proportions_and_colours),
        cmocka_unit_test(test_thumbnail_of_what_is_no_image_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
