/* features_image_decode_test.c - each kind of image gives its raster, each hostile one its state.
 */
#include "features/image_decode.h"

#include "images.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void raster_of(const picture *from, sl_raster *raster)
{
    sl_reducer reducer;
    sl_reducer_init(&reducer, from->width, from->height, 3);
    for (uint32_t y = 0; y < from->height; y++) {
        sl_reducer_row(&reducer, from->rgb + (size_t)y * from->width * 3);
    }
    sl_reducer_finish(&reducer, raster);
}

/* Takes `bytes`: decodes them to the raster of `from` within a mean difference. */
static void assert_decodes(sluice_span bytes, const picture *from, double tolerance)
{
    static sl_raster expected, raster;
    raster_of(from, &expected);
    assert_int_equal(sl_image_decode(bytes, &raster), SL_IMAGE_DECODED);
    assert_int_equal(raster.width, from->width);
    assert_int_equal(raster.height, from->height);
    double sum = 0;
    for (uint32_t i = 0; i < 32 * 32; i++) {
        for (uint32_t c = 0; c < 3; c++) {
            sum += fabs((double)raster.rgb[i][c] - (double)expected.rgb[i][c]);
        }
    }
    if (sum / (32 * 32 * 3) > tolerance) {
        fail_msg("mean difference %.3f", sum / (32 * 32 * 3));
    }
    span_free(bytes);
}

/* Takes `bytes`. */
static void assert_state(sluice_span bytes, sl_image_state expected)
{
    static sl_raster raster;
    assert_int_equal(sl_image_decode(bytes, &raster), expected);
    span_free(bytes);
}

static sluice_span copy_of(const void *data, size_t size)
{
    uint8_t *copy = malloc(size + (size == 0));
    assert_non_null(copy);
    memcpy(copy, data, size);
    return (sluice_span){copy, size};
}

static void test_jpeg_of_every_scale_is_decoded(void **state)
{
    (void)state;
    static const uint32_t sizes[][2] = {{64, 64}, {127, 300}, {640, 480}, {1024, 513}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        picture from = picture_make(1, sizes[i][0], sizes[i][1]);
        assert_decodes(jpeg_of(&from, 95, 0), &from, 1.5);
        assert_decodes(jpeg_of(&from, 95, TJFLAG_PROGRESSIVE), &from, 1.5);
        free(from.rgb);
    }
    picture small = picture_make(1, 20, 16);
    assert_decodes(jpeg_of(&small, 95, 0), &small, 5); /* colours at half of 20 x 16 */
    free(small.rgb);
}

static void test_jpeg_of_inks_is_decoded_as_colours(void **state)
{
    (void)state;
    picture from = picture_make(2, 300, 200);
    assert_decodes(jpeg_of_inks(&from), &from, 1.5);
    free(from.rgb);
}

static void test_png_of_every_kind_is_decoded(void **state)
{
    (void)state;
    picture from = picture_make(3, 70, 50);
    size_t n = 70 * 50 * 3;
    assert_decodes(png_of_rgb(&from), &from, 0.001);
    assert_decodes(png_of(from.rgb, 70, 50, SPNG_COLOR_TYPE_TRUECOLOR, 8, true), &from, 0.001);
    uint8_t *wide = malloc(2 * n);
    assert_non_null(wide);
    for (size_t i = 0; i < n; i++) { /* 16 bits: v x 257, any byte order */
        wide[2 * i] = wide[2 * i + 1] = from.rgb[i];
    }
    assert_decodes(png_of(wide, 70, 50, SPNG_COLOR_TYPE_TRUECOLOR, 16, false), &from, 0.001);
    free(wide);
    for (size_t i = 0; i < n; i += 3) {
        from.rgb[i + 1] = from.rgb[i + 2] = from.rgb[i];
        from.rgb[i / 3] = from.rgb[i];
    }
    uint8_t *grey = malloc(n / 3);
    assert_non_null(grey);
    memcpy(grey, from.rgb, n / 3);
    for (size_t i = 0; i < n; i++) {
        from.rgb[i] = grey[i / 3];
    }
    assert_decodes(png_of(grey, 70, 50, SPNG_COLOR_TYPE_GRAYSCALE, 8, false), &from, 0.001);
    free(grey);
    free(from.rgb);
}

static void test_webp_of_both_kinds_is_decoded(void **state)
{
    (void)state;
    picture from = picture_make(4, 300, 210);
    assert_decodes(webp_of(&from, 90), &from, 2);
    assert_decodes(webp_of(&from, -1), &from, 0.5);
    free(from.rgb);
}

static void test_format_is_told_by_bytes(void **state)
{
    (void)state;
    assert_state(copy_of("", 0), SL_IMAGE_BROKEN);
    assert_state(copy_of("<svg xmlns=", 11), SL_IMAGE_FOREIGN);
    assert_state(copy_of("GIF89a\1\0\1\0\0\0\0", 13), SL_IMAGE_FOREIGN);
    assert_state(copy_of("\xff\xd8\xff", 3), SL_IMAGE_BROKEN);
    assert_state(copy_of("\x89PNG\r\n\x1a\n", 8), SL_IMAGE_BROKEN);
    assert_state(copy_of("RIFF\4\0\0\0WEBP", 12), SL_IMAGE_BROKEN);
}

static void test_truncated_image_is_broken(void **state)
{
    (void)state;
    picture from = picture_make(5, 200, 150);
    sluice_span whole[] = {jpeg_of(&from, 90, 0), jpeg_of(&from, 90, TJFLAG_PROGRESSIVE),
                           png_of_rgb(&from), webp_of(&from, 80), webp_of(&from, -1)};
    for (size_t i = 0; i < sizeof whole / sizeof whole[0]; i++) {
        for (size_t part = 1; part < 8; part++) {
            assert_state(copy_of(whole[i].data, whole[i].size * part / 8), SL_IMAGE_BROKEN);
        }
        span_free(whole[i]);
    }
    free(from.rgb);
}

static uint32_t crc_of(const uint8_t *data, size_t size)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (int k = 0; k < 8; k++) {
            crc = crc >> 1 ^ (0xedb88320u & (0u - (crc & 1)));
        }
    }
    return ~crc;
}

static void put_u32(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++) {
        at[i] = (uint8_t)(value >> (24 - 8 * i));
    }
}

/* Takes a PNG; gives it with another size in its header. */
static sluice_span with_png_size(sluice_span png, uint32_t width, uint32_t height)
{
    uint8_t *bytes = (uint8_t *)(uintptr_t)png.data;
    put_u32(bytes + 16, width);
    put_u32(bytes + 20, height);
    put_u32(bytes + 29, crc_of(bytes + 12, 17));
    return png;
}

/* Takes a JPEG; gives it with another size in its frame. */
static sluice_span with_jpeg_size(sluice_span jpeg, uint32_t width, uint32_t height)
{
    uint8_t *bytes = (uint8_t *)(uintptr_t)jpeg.data;
    for (size_t i = 2; i + 9 < jpeg.size; i++) {
        if (bytes[i] == 0xff && (bytes[i + 1] == 0xc0 || bytes[i + 1] == 0xc2)) {
            bytes[i + 5] = (uint8_t)(height >> 8);
            bytes[i + 6] = (uint8_t)height;
            bytes[i + 7] = (uint8_t)(width >> 8);
            bytes[i + 8] = (uint8_t)width;
            return jpeg;
        }
    }
    fail_msg("no frame");
    return jpeg;
}

static void test_pixel_bombs_are_refused_at_the_limit(void **state)
{
    (void)state;
    picture from = picture_make(6, 64, 64);
    assert_state(with_png_size(png_of_rgb(&from), 65535, 65535), SL_IMAGE_TOO_LARGE);
    assert_state(with_png_size(png_of_rgb(&from), 8000, 5001), SL_IMAGE_TOO_LARGE);
    assert_state(with_png_size(png_of_rgb(&from), 65536, 1), SL_IMAGE_TOO_LARGE);
    assert_state(with_png_size(png_of_rgb(&from), 8000, 5000), SL_IMAGE_BROKEN); /* lacks data */
    sluice_span interlaced = png_of(from.rgb, 64, 64, SPNG_COLOR_TYPE_TRUECOLOR, 8, true);
    assert_state(with_png_size(interlaced, 4001, 4000), SL_IMAGE_TOO_LARGE);
    assert_state(with_jpeg_size(jpeg_of(&from, 80, 0), 65535, 65535), SL_IMAGE_TOO_LARGE);
    assert_state(with_jpeg_size(jpeg_of(&from, 80, 0), 8000, 5001), SL_IMAGE_TOO_LARGE);
    assert_state(with_jpeg_size(jpeg_of(&from, 80, 0), 8000, 5000), SL_IMAGE_BROKEN);
    free(from.rgb);
}

static void test_largest_flat_png_is_decoded(void **state)
{
    (void)state;
    uint8_t *grey = calloc(8000, 5000);
    assert_non_null(grey);
    sluice_span png = png_of(grey, 8000, 5000, SPNG_COLOR_TYPE_GRAYSCALE, 8, false);
    free(grey);
    assert_state(png, SL_IMAGE_DECODED);
}

static void test_jpeg_of_many_scans_is_refused(void **state)
{
    (void)state;
    picture from = picture_make(7, 2000, 1500); /* 3e6 pixels: 133 scans are the most */
    sluice_span jpeg = jpeg_of(&from, 30, TJFLAG_PROGRESSIVE);
    size_t last = 0;
    for (size_t i = 0; i + 1 < jpeg.size; i++) {
        last = jpeg.data[i] == 0xff && jpeg.data[i + 1] == 0xda ? i : last;
    }
    size_t scan = jpeg.size - 2 - last; /* the last scan, 140 times over */
    uint8_t *bomb = malloc(jpeg.size + 140 * scan);
    assert_non_null(bomb);
    memcpy(bomb, jpeg.data, jpeg.size - 2);
    size_t size = jpeg.size - 2;
    for (int i = 0; i < 140; i++, size += scan) {
        memcpy(bomb + size, jpeg.data + last, scan);
    }
    assert_state((sluice_span){bomb, size}, SL_IMAGE_TOO_LARGE);
    span_free(jpeg);
    free(from.rgb);
}

static void test_animated_webp_and_12_bit_jpeg_are_unsupported(void **state)
{
    (void)state;
    static const uint8_t animated[] = "RIFF\x4a\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0\x0f\0\0\x0f\0\0"
                                      "ANIM\x06\0\0\0\0\0\0\0\0\0ANMF\x18\0\0\0\0\0\0\0\0\0\x0f\0\0"
                                      "\x0f\0\0\x64\0\0\0VP8L\0\0\0\0\0\0\0\0";
    assert_state(copy_of(animated, sizeof animated - 1), SL_IMAGE_UNSUPPORTED);
    picture from = picture_make(8, 64, 64);
    sluice_span jpeg = jpeg_of(&from, 80, 0);
    uint8_t *bytes = (uint8_t *)(uintptr_t)jpeg.data;
    for (size_t i = 2; i + 9 < jpeg.size; i++) {
        if (bytes[i] == 0xff && bytes[i + 1] == 0xc0) {
            bytes[i + 4] = 12;
            break;
        }
    }
    assert_state(jpeg, SL_IMAGE_UNSUPPORTED);
    free(from.rgb);
}

static void test_image_beyond_32_mib_is_too_large(void **state)
{
    (void)state;
    uint8_t *bytes = calloc(1, SLUICE_LIMIT_IMAGE_BYTES + 1);
    assert_non_null(bytes);
    memcpy(bytes, "\xff\xd8\xff", 3);
    assert_state((sluice_span){bytes, SLUICE_LIMIT_IMAGE_BYTES + 1}, SL_IMAGE_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jpeg_of_every_scale_is_decoded),
        cmocka_unit_test(test_jpeg_of_inks_is_decoded_as_colours),
        cmocka_unit_test(test_png_of_every_kind_is_decoded),
        cmocka_unit_test(test_webp_of_both_kinds_is_decoded),
        cmocka_unit_test(test_format_is_told_by_bytes),
        cmocka_unit_test(test_truncated_image_is_broken),
        cmocka_unit_test(test_pixel_bombs_are_refused_at_the_limit),
        cmocka_unit_test(test_largest_flat_png_is_decoded),
        cmocka_unit_test(test_jpeg_of_many_scans_is_refused),
        cmocka_unit_test(test_animated_webp_and_12_bit_jpeg_are_unsupported),
        cmocka_unit_test(test_image_beyond_32_mib_is_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
