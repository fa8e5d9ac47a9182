/* features_orientation_test.c - Exif's eight orientations in three formats, and hostile ones. */
#include "bytes.h"
#include "features/image_decode.h"
#include "features/orientation.h"

#include "images.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/* One tag before, the orientation, one behind. */
static void write_tiff(sluice_bytes *out, uint32_t value, bool little)
{
    static const uint8_t big[] = "MM\0*\0\0\0\x0a\0\0\0\3"
                                 "\1\x0f\0\2\0\0\0\4ABC\0"
                                 "\1\x12\0\3\0\0\0\1\0\0\0\0"
                                 "\1\x1a\0\5\0\0\0\1\0\0\0\x20"
                                 "\0\0\0\0";
    static const uint8_t small[] = "II*\0\x0a\0\0\0\0\0\3\0"
                                   "\x0f\1\2\0\4\0\0\0ABC\0"
                                   "\x12\1\3\0\1\0\0\0\0\0\0\0"
                                   "\x1a\1\5\0\1\0\0\0\x20\0\0\0"
                                   "\0\0\0\0";
    size_t at = out->size;
    assert_int_equal(sl_bytes_append(out, little ? small : big, sizeof big - 1), SLUICE_OK);
    out->data[at + 32 + !little] = (uint8_t)value;
}

static void append(sluice_bytes *out, const void *data, size_t size)
{
    assert_int_equal(sl_bytes_append(out, data, size), SLUICE_OK);
}

/* Each takes `image` and gives it with Exif data. */
static sluice_bytes jpeg_with(sluice_span image, uint32_t value, bool little)
{
    sluice_bytes tiff = {0}, out = {0};
    write_tiff(&tiff, value, little);
    append(&out, image.data, 2);
    uint8_t size = (uint8_t)(tiff.size + 8);
    append(&out, (uint8_t[]){0xff, 0xe1, 0, size, 'E', 'x', 'i', 'f', 0, 0}, 10);
    append(&out, tiff.data, tiff.size);
    append(&out, image.data + 2, image.size - 2);
    sl_bytes_fini(&tiff);
    span_free(image);
    return out;
}

static sluice_bytes png_with(sluice_span image, uint32_t value, bool little)
{
    sluice_bytes out = {0};
    append(&out, image.data, 33); /* signature, IHDR */
    append(&out, "\0\0\0\0eXIf", 8);
    size_t at = out.size;
    write_tiff(&out, value, little);
    out.data[at - 5] = (uint8_t)(out.size - at);
    uint32_t crc = UINT32_MAX;
    for (size_t i = at - 4; i < out.size; i++) {
        crc ^= out.data[i];
        for (int k = 0; k < 8; k++) {
            crc = crc >> 1 ^ (0xedb88320u & (0u - (crc & 1)));
        }
    }
    crc = ~crc;
    append(
        &out,
        (uint8_t[]){(uint8_t)(crc >> 24), (uint8_t)(crc >> 16), (uint8_t)(crc >> 8), (uint8_t)crc},
        4);
    append(&out, image.data + 33, image.size - 33);
    span_free(image);
    return out;
}

static sluice_bytes webp_with(sluice_span image, const picture *from, uint32_t value, bool little)
{
    sluice_bytes out = {0};
    append(&out, "RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\x08\0\0\0", 24);
    uint32_t width = from->width - 1, height = from->height - 1;
    append(&out,
           (uint8_t[]){(uint8_t)width, (uint8_t)(width >> 8), 0, (uint8_t)height,
                       (uint8_t)(height >> 8), 0},
           6);
    append(&out, image.data + 12, image.size - 12);
    append(&out, "EXIF\0\0\0\0", 8);
    size_t at = out.size;
    write_tiff(&out, value, little);
    out.data[at - 4] = (uint8_t)(out.size - at);
    uint32_t size = (uint32_t)out.size - 8;
    for (int i = 0; i < 4; i++) {
        out.data[4 + i] = (uint8_t)(size >> (8 * i));
    }
    span_free(image);
    return out;
}

static sluice_span span_of(const sluice_bytes *bytes)
{
    return (sluice_span){bytes->data, bytes->size};
}

static const uint32_t expected[9] = {0, 0, 1, 3, 2, 4, 6, 7, 5};

/* The raster is that of the upright picture: pixel (0, 0) of what is shown comes from where Exif
 * says that the first row and column lie. */
static void test_picture_is_turned_as_exif_asks(void **state)
{
    (void)state;
    picture from = picture_make(3, 160, 96);
    static sl_raster plain, turned;
    for (uint32_t value = 1; value <= 8; value++) {
        for (int little = 0; little < 2; little++) {
            sluice_bytes images[] = {jpeg_with(jpeg_of(&from, 95, 0), value, little),
                                     png_with(png_of_rgb(&from), value, little),
                                     webp_with(webp_of(&from, 95), &from, value, little)};
            sluice_span plains[] = {jpeg_of(&from, 95, 0), png_of_rgb(&from), webp_of(&from, 95)};
            for (int i = 0; i < 3; i++) {
                assert_int_equal(sl_orientation_of(span_of(&images[i])), expected[value]);
                assert_int_equal(sl_image_decode(span_of(&images[i]), &turned), SL_IMAGE_DECODED);
                assert_int_equal(sl_image_decode(plains[i], &plain), SL_IMAGE_DECODED);
                assert_int_equal(turned.width, value < 5 ? 160 : 96);
                assert_int_equal(turned.height, value < 5 ? 96 : 160);
                /* where the stored first row and column are seen */
                bool bottom = value == 3 || value == 4 || value == 7 || value == 8;
                bool right = value == 2 || value == 3 || value == 6 || value == 7;
                uint32_t corner = (bottom ? 31u * 32 : 0) + (right ? 31u : 0);
                assert_memory_equal(turned.rgb[corner], plain.rgb[0], sizeof plain.rgb[0]);
                /* and the next pixel of the stored first row: along a row, or down a column */
                uint32_t next = value < 5 ? (right ? corner - 1 : corner + 1)
                                          : (bottom ? corner - 32 : corner + 32);
                assert_memory_equal(turned.rgb[next], plain.rgb[1], sizeof plain.rgb[1]);
                span_free(plains[i]);
                sl_bytes_fini(&images[i]);
            }
        }
    }
    free(from.rgb);
}

static void test_other_values_and_no_exif_leave_it_as_it_is(void **state)
{
    (void)state;
    picture from = picture_make(3, 40, 30);
    for (uint32_t value = 0; value < 256; value += value < 10 ? 1 : 41) {
        sluice_bytes image = jpeg_with(jpeg_of(&from, 90, 0), value, true);
        uint32_t wanted = value <= 8 ? expected[value] : 0;
        assert_int_equal(sl_orientation_of(span_of(&image)), wanted);
        sl_bytes_fini(&image);
    }
    sluice_span plain[] = {jpeg_of(&from, 90, 0), png_of_rgb(&from), webp_of(&from, 90)};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(sl_orientation_of(plain[i]), 0);
        span_free(plain[i]);
    }
    assert_int_equal(sl_orientation_of((sluice_span){NULL, 0}), 0);
    free(from.rgb);
}

/* Every prefix, every byte changed: always a turn, never a byte beyond (sanitizers look). */
static void test_damaged_exif_is_read_within_its_bytes(void **state)
{
    (void)state;
    picture from = picture_make(3, 40, 30);
    sluice_bytes images[] = {jpeg_with(jpeg_of(&from, 90, 0), 6, true),
                             png_with(png_of_rgb(&from), 6, false),
                             webp_with(webp_of(&from, 90), &from, 6, true)};
    for (int i = 0; i < 3; i++) {
        for (size_t size = 0; size <= images[i].size; size += size < 200 ? 1 : 97) {
            uint8_t *exact = malloc(size + (size == 0));
            assert_non_null(exact);
            memcpy(exact, images[i].data, size);
            assert_in_range(sl_orientation_of((sluice_span){exact, size}), 0, 7);
            free(exact);
        }
        for (size_t at = 0; at < 100; at++) {
            for (int k = 0; k < 4; k++) {
                static const uint8_t values[4] = {0, 1, 0x7f, 0xff};
                uint8_t kept = images[i].data[at];
                images[i].data[at] = values[k];
                assert_in_range(sl_orientation_of(span_of(&images[i])), 0, 7);
                images[i].data[at] = kept;
            }
        }
        sl_bytes_fini(&images[i]);
    }
    free(from.rgb);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_picture_is_turned_as_exif_asks),
        cmocka_unit_test(test_other_values_and_no_exif_leave_it_as_it_is),
        cmocka_unit_test(test_damaged_exif_is_read_within_its_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
