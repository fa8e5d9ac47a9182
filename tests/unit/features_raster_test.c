/* features_raster_test.c - the cells of a raster are the means of the areas they cover. */
#include "features/raster.h"

#include "images.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/* The mean by the definition: every overlap of a pixel with a cell, in float64. */
static double mean_of(const picture *from, uint32_t i, uint32_t j, uint32_t c)
{
    double top = i * from->height / 32.0, bottom = (i + 1) * from->height / 32.0;
    double left = j * from->width / 32.0, right = (j + 1) * from->width / 32.0, sum = 0;
    for (uint32_t y = 0; y < from->height; y++) {
        double high = fmin(bottom, y + 1.0) - fmax(top, y);
        for (uint32_t x = 0; x < from->width && high > 0; x++) {
            double wide = fmin(right, x + 1.0) - fmax(left, x);
            sum += wide > 0 ? wide * high * from->rgb[((size_t)y * from->width + x) * 3 + c] : 0;
        }
    }
    return sum / ((bottom - top) * (right - left));
}

static void check_size(uint32_t width, uint32_t height)
{
    picture from = picture_make(width, width, height);
    sl_reducer reducer;
    sl_raster raster;
    sl_reducer_init(&reducer, width, height, 3);
    for (uint32_t y = 0; y < height; y++) {
        sl_reducer_row(&reducer, from.rgb + (size_t)y * width * 3);
    }
    sl_reducer_finish(&reducer, &raster);
    for (uint32_t i = 0; i < 32; i++) {
        for (uint32_t j = 0; j < 32; j++) {
            for (uint32_t c = 0; c < 3; c++) {
                assert_float_equal(raster.rgb[i * 32 + j][c], mean_of(&from, i, j, c), 1e-3);
            }
        }
    }
    free(from.rgb);
}

static void test_raster_of_any_size_is_the_mean_of_areas(void **state)
{
    (void)state;
    static const uint32_t sizes[][2] = {{32, 32}, {1, 1}, {7, 90}, {33, 31}, {64, 97}, {200, 3}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        check_size(sizes[i][0], sizes[i][1]);
    }
}

static void test_raster_of_transparent_pixels_is_white(void **state)
{
    (void)state;
    sl_reducer reducer;
    sl_raster raster;
    uint8_t row[64 * 4];
    for (uint32_t x = 0; x < 64; x++) {
        memcpy(row + 4 * x, (uint8_t[]){10, 20, 30, x < 32 ? 0 : 51}, 4);
    }
    sl_reducer_init(&reducer, 64, 1, 4);
    sl_reducer_row(&reducer, row);
    sl_reducer_finish(&reducer, &raster);
    assert_float_equal(raster.rgb[0][0], 255, 0);
    assert_float_equal(raster.rgb[31][0], 206, 0); /* (10 x 51 + 255 x 204) / 255 */
    assert_float_equal(raster.rgb[32 * 31 + 31][2], 210, 0);
}

static void test_raster_at_the_longest_side_does_not_overflow(void **state)
{
    (void)state;
    sl_reducer reducer;
    sl_raster raster;
    uint8_t *row = malloc((size_t)SL_RASTER_PIXELS_MAX * 3);
    assert_non_null(row);
    memset(row, 255, (size_t)SL_RASTER_PIXELS_MAX * 3);
    sl_reducer_init(&reducer, SL_RASTER_PIXELS_MAX, 2, 3);
    sl_reducer_row(&reducer, row);
    sl_reducer_row(&reducer, row);
    sl_reducer_finish(&reducer, &raster);
    for (uint32_t i = 0; i < 32 * 32; i++) {
        assert_float_equal(raster.rgb[i][0], 255, 0);
    }
    free(row);
    memset(&reducer, 0, sizeof reducer);
    sl_reducer_init(&reducer, 1, SL_RASTER_PIXELS_MAX, 3);
    for (uint32_t y = 0; y < SL_RASTER_PIXELS_MAX; y++) {
        sl_reducer_row(&reducer, (uint8_t[]){255, 0, 255});
    }
    sl_reducer_finish(&reducer, &raster);
    assert_float_equal(raster.rgb[5][0], 255, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_raster_of_any_size_is_the_mean_of_areas),
        cmocka_unit_test(test_raster_of_transparent_pixels_is_white),
        cmocka_unit_test(test_raster_at_the_longest_side_does_not_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
