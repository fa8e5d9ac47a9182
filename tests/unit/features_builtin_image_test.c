/* features_builtin_image_test.c - views of images without a model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "features/builtin_image.h"
#include "images.h"

#define ROWS (SL_BUILTIN_VIEWS * SL_BUILTIN_DIM)

static void make_raster(const picture *from, sl_raster *raster)
{
    sl_reducer *reducer = malloc(sizeof *reducer);
    assert_non_null(reducer);
    sl_reducer_init(reducer, from->width, from->height, 3);
    for (uint32_t y = 0; y < from->height; y++) {
        sl_reducer_row(reducer, from->rgb + (size_t)y * from->width * 3);
    }
    sl_reducer_finish(reducer, raster);
    free(reducer);
}

static void make_scene(uint32_t seed, uint32_t side, sl_raster *raster)
{
    picture made = picture_make(seed, side, side);
    make_raster(&made, raster);
    free(made.rgb);
}

static double cosine(const float *a, const float *b)
{
    double sum = 0;
    for (uint32_t i = 0; i < SL_BUILTIN_DIM; i++) {
        sum += (double)a[i] * (double)b[i];
    }
    return sum;
}

static void test_views_of_an_image_are_unit_rows_that_differ(void **state)
{
    (void)state;
    sl_raster raster;
    for (uint32_t scene = 0; scene < 20; scene++) {
        float rows[ROWS];
        make_scene(scene, 96, &raster);
        assert_true(sl_builtin_image_make(&raster, scene, rows));
        for (uint32_t v = 0; v < SL_BUILTIN_VIEWS; v++) {
            const float *row = rows + (size_t)v * SL_BUILTIN_DIM;
            assert_true(fabs(cosine(row, row) - 1) < 1e-6);
            assert_true(v == 0 || cosine(rows, row) < 0.9999);
        }
        assert_true(cosine(rows + SL_BUILTIN_DIM, rows + 2 * SL_BUILTIN_DIM) < 0.9999);
    }
}

static void test_views_made_again_are_the_same_bits(void **state)
{
    (void)state;
    sl_raster raster;
    float first[ROWS], again[ROWS];
    make_scene(1, 96, &raster);
    assert_true(sl_builtin_image_make(&raster, 7, first));
    assert_true(sl_builtin_image_make(&raster, 7, again));
    assert_memory_equal(first, again, sizeof first);
}

static void test_seed_changes_the_augmentations_and_not_the_anchor(void **state)
{
    (void)state;
    sl_raster raster;
    float one[ROWS], two[ROWS];
    make_scene(1, 96, &raster);
    assert_true(sl_builtin_image_make(&raster, 7, one));
    assert_true(sl_builtin_image_make(&raster, 8, two));
    assert_memory_equal(one, two, sizeof *one * SL_BUILTIN_DIM);
    assert_memory_not_equal(one + SL_BUILTIN_DIM, two + SL_BUILTIN_DIM,
                            sizeof *one * SL_BUILTIN_DIM);
    assert_memory_not_equal(one + 2 * SL_BUILTIN_DIM, two + 2 * SL_BUILTIN_DIM,
                            sizeof *one * SL_BUILTIN_DIM);
}

static void test_one_colour_gives_finite_rows(void **state)
{
    (void)state;
    sl_raster raster = {.width = 64, .height = 64};
    float rows[ROWS];
    assert_true(sl_builtin_image_make(&raster, 1, rows)); /* black is a share of lumas */
    double sizes = 0;
    for (uint32_t i = 0; i < ROWS; i++) {
        assert_true(isfinite(rows[i]));
        sizes += fabs((double)rows[i]);
    }
    assert_true(sizes > 0);
}

static void test_other_sizes_of_a_scene_are_nearer_than_other_scenes(void **state)
{
    (void)state;
    sl_raster raster;
    float one[ROWS], larger[ROWS], other[ROWS];
    for (uint32_t scene = 0; scene < 20; scene++) {
        make_scene(scene, 64, &raster);
        assert_true(sl_builtin_image_make(&raster, 1, one));
        make_scene(scene, 200, &raster);
        assert_true(sl_builtin_image_make(&raster, 1, larger));
        make_scene(scene + 100, 64, &raster);
        assert_true(sl_builtin_image_make(&raster, 1, other));
        assert_true(cosine(one, larger) > 0.98);
        assert_true(cosine(one, other) < 0.9);
    }
}

static uint32_t strongest_direction(double along_x, double along_y)
{
    sl_raster raster = {.width = 64, .height = 64};
    for (uint32_t i = 0; i < SL_RASTER_SIDE * SL_RASTER_SIDE; i++) {
        double x = i % SL_RASTER_SIDE, y = i / SL_RASTER_SIDE;
        float luma = (float)(128 + 100 * sin((x * along_x + y * along_y) * 0.8));
        for (uint32_t c = 0; c < 3; c++) {
            raster.rgb[i][c] = luma;
        }
    }
    float rows[ROWS];
    assert_true(sl_builtin_image_make(&raster, 1, rows));
    const float *edges = rows + 96; /* of the first cell */
    uint32_t best = 0;
    for (uint32_t k = 1; k < 8; k++) {
        best = edges[k] > edges[best] ? k : best;
    }
    return best;
}

static void test_edges_are_found_in_their_direction(void **state)
{
    (void)state;
    assert_int_equal(strongest_direction(1, 0), 0);
    assert_int_equal(strongest_direction(0.7071, 0.7071), 2);
    assert_int_equal(strongest_direction(0, 1), 4);
    assert_int_equal(strongest_direction(-0.7071, 0.7071), 6);
}

/* As for texts: another value asks for a new name. */
static void test_values_are_those_that_the_name_stands_for(void **state)
{
    (void)state;
    sl_raster raster = {.width = 64, .height = 64};
    uint32_t random = 1;
    for (uint32_t i = 0; i < SL_RASTER_SIDE * SL_RASTER_SIDE; i++) {
        for (uint32_t c = 0; c < 3; c++) {
            raster.rgb[i][c] = (float)((i * (c + 3) / 7 + (image_random(&random) & 31)) & 255);
        }
    }
    float rows[ROWS];
    assert_true(sl_builtin_image_make(&raster, 3, rows));
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < sizeof rows; i++) {
        hash = (hash ^ ((const uint8_t *)rows)[i]) * UINT64_C(0x100000001b3);
    }
    assert_string_equal(SL_BUILTIN_IMAGE_NAME, "sluice-image-1");
    assert_int_equal(hash, UINT64_C(0x9f006bb2dc4fa330));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_views_of_an_image_are_unit_rows_that_differ),
        cmocka_unit_test(test_views_made_again_are_the_same_bits),
        cmocka_unit_test(test_seed_changes_the_augmentations_and_not_the_anchor),
        cmocka_unit_test(test_one_colour_gives_finite_rows),
        cmocka_unit_test(test_other_sizes_of_a_scene_are_nearer_than_other_scenes),
        cmocka_unit_test(test_edges_are_found_in_their_direction),
        cmocka_unit_test(test_values_are_those_that_the_name_stands_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
