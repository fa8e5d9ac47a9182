/* features_image_hash_test.c - the signature is its definition, and copies have nearly the same. */
#include "features/image_decode.h"
#include "features/image_hash.h"

#include "images.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

typedef struct look {
    uint8_t signature[SLUICE_IMAGE_BYTES];
    int8_t colours[SLUICE_IMAGE_COLOURS];
    uint8_t quality;
} look;

/* Takes `bytes`. */
static look look_of(const sl_image_hash *hash, sluice_span bytes)
{
    static sl_raster raster;
    look found;
    assert_int_equal(sl_image_decode(bytes, &raster), SL_IMAGE_DECODED);
    sl_image_hash_make(hash, &raster, found.signature, found.colours, &found.quality);
    span_free(bytes);
    return found;
}

static double share(const look *a, const look *b)
{
    int equal = SLUICE_IMAGE_BITS;
    for (int i = 0; i < SLUICE_IMAGE_BYTES; i++) {
        equal -= __builtin_popcount((unsigned)(a->signature[i] ^ b->signature[i]));
    }
    return (double)equal / SLUICE_IMAGE_BITS;
}

static int open_hash(void **state)
{
    return sl_image_hash_open((sl_image_hash **)state) != SLUICE_OK;
}

static int close_hash(void **state)
{
    sl_image_hash_close((sl_image_hash **)state);
    return 0;
}

static void test_signature_equals_its_definition(void **state)
{
    uint32_t n_different = 0;
    for (uint32_t seed = 0; seed < 40; seed++) {
        picture from = picture_make(seed, 90, 70);
        sluice_span png = png_of_rgb(&from);
        static sl_raster raster;
        assert_int_equal(sl_image_decode(png, &raster), SL_IMAGE_DECODED);
        look fast = {0}, slow = {0};
        sl_image_hash_make(*state, &raster, fast.signature, fast.colours, &fast.quality);
        sl_image_hash_ref(&raster, slow.signature, slow.colours, &slow.quality);
        n_different += (uint32_t)lrint((1 - share(&fast, &slow)) * SLUICE_IMAGE_BITS);
        assert_memory_equal(fast.colours, slow.colours, sizeof fast.colours);
        assert_in_range(fast.quality + 1 - slow.quality, 0, 2);
        assert_int_equal(fast.signature[SLUICE_IMAGE_BYTES - 1], 0); /* bits beyond the last */
        span_free(png);
        free(from.rgb);
    }
    assert_true(n_different <= 4); /* of 19,800: within rounding of a threshold */
}

static void test_copy_at_another_size_and_quality_shares_most_bits(void **state)
{
    picture from = picture_make(1, 640, 480), smaller = picture_make(1, 160, 120);
    look original = look_of(*state, png_of_rgb(&from));
    look copies[] = {look_of(*state, jpeg_of(&from, 40, 0)), look_of(*state, webp_of(&from, 60)),
                     look_of(*state, jpeg_of(&smaller, 80, TJFLAG_PROGRESSIVE))};
    for (size_t i = 0; i < sizeof copies / sizeof copies[0]; i++) {
        assert_true(share(&original, &copies[i]) >= 0.96);
    }
    for (size_t i = 0; i < 640 * 480 * 3; i++) { /* half the contrast, darker */
        from.rgb[i] = (uint8_t)(20 + from.rgb[i] / 2);
    }
    look pale = look_of(*state, png_of_rgb(&from));
    assert_true(share(&original, &pale) >= 0.96);
    free(from.rgb);
    free(smaller.rgb);
}

static void test_other_pictures_share_about_half(void **state)
{
    look looks[20];
    for (uint32_t i = 0; i < 20; i++) {
        picture from = picture_make(i + 100, 100, 100);
        looks[i] = look_of(*state, png_of_rgb(&from));
        free(from.rgb);
    }
    for (uint32_t i = 0; i < 20; i++) {
        for (uint32_t j = 0; j < i; j++) {
            assert_true(share(&looks[i], &looks[j]) < 0.8);
        }
    }
}

static void test_flat_and_tiny_images_have_no_quality(void **state)
{
    picture flat = picture_flat(300, 200, 77), tiny = picture_make(1, 200, 15),
            least = picture_make(1, 200, 16);
    assert_int_equal(look_of(*state, png_of_rgb(&flat)).quality, 0);
    assert_int_equal(look_of(*state, jpeg_of(&flat, 30, 0)).quality, 0);
    assert_int_equal(look_of(*state, png_of_rgb(&tiny)).quality, 0);
    assert_true(look_of(*state, png_of_rgb(&least)).quality >= 50);
    uint32_t random = 1;
    for (size_t i = 0; i < 300 * 200 * 3; i++) { /* a grey wall with noise */
        flat.rgb[i] = (uint8_t)(120 + image_random(&random) % 8);
    }
    assert_true(look_of(*state, png_of_rgb(&flat)).quality < 50);
    free(flat.rgb);
    free(tiny.rgb);
    free(least.rgb);
}

static void test_colours_tell_red_from_blue(void **state)
{
    picture from = picture_make(1, 64, 64);
    look red = look_of(*state, png_of_rgb(&from));
    for (size_t i = 0; i < 64 * 64 * 3; i += 3) {
        uint8_t swapped = from.rgb[i];
        from.rgb[i] = from.rgb[i + 2];
        from.rgb[i + 2] = swapped;
    }
    look blue = look_of(*state, png_of_rgb(&from));
    assert_memory_not_equal(red.colours, blue.colours, sizeof red.colours);
    free(from.rgb);
}

static void test_turned_signature_is_that_of_the_turned_picture(void **state)
{
    uint32_t n_different = 0;
    for (uint32_t seed = 0; seed < 20; seed++) {
        picture from = picture_make(seed, 90, 70);
        sluice_span png = png_of_rgb(&from);
        static sl_raster raster, turned;
        assert_int_equal(sl_image_decode(png, &raster), SL_IMAGE_DECODED);
        look original = {0};
        sl_image_hash_make(*state, &raster, original.signature, original.colours,
                           &original.quality);
        for (uint32_t turn = 0; turn < SL_RASTER_TURNS; turn++) {
            turned = raster;
            sl_raster_turn(&turned, turn);
            look made = {0}, derived = {0};
            sl_image_hash_make(*state, &turned, made.signature, made.colours, &made.quality);
            sl_image_turn(original.signature, original.colours, turn, derived.signature,
                          derived.colours);
            n_different += (uint32_t)lrint((1 - share(&made, &derived)) * SLUICE_IMAGE_BITS);
            for (uint32_t i = 0; i < SLUICE_IMAGE_COLOURS; i++) { /* sums in another order */
                assert_in_range(made.colours[i] + 128 - derived.colours[i], 127, 129);
            }
            assert_true(turn == 0 || share(&original, &derived) < 0.8);
        }
        span_free(png);
        free(from.rgb);
    }
    assert_true(n_different <= 16); /* of 79,200: within rounding of a threshold */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signature_equals_its_definition),
        cmocka_unit_test(test_copy_at_another_size_and_quality_shares_most_bits),
        cmocka_unit_test(test_other_pictures_share_about_half),
        cmocka_unit_test(test_flat_and_tiny_images_have_no_quality),
        cmocka_unit_test(test_colours_tell_red_from_blue),
        cmocka_unit_test(test_turned_signature_is_that_of_the_turned_picture),
    };
    return cmocka_run_group_tests(tests, open_hash, close_hash);
}
