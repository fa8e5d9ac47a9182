/* duplicate_weights_test.c - what is common in the remembered sketches weighs little. */
#include "duplicate/weights.h"
#include "duplicate_samples.h"

#include <math.h>

static void make(uint64_t family, uint8_t *sketch)
{
    sluice_sample sample = make_sample(0, family, "a", "s");
    memcpy(sketch, sample.features.sketch, SLUICE_SKETCH_COORDINATES);
}

static void test_weights_follow_their_formula(void **state)
{
    (void)state;
    sl_weights *weights;
    assert_int_equal(sl_weights_open(&weights), SLUICE_OK);
    uint8_t common[SLUICE_SKETCH_COORDINATES], sketch[SLUICE_SKETCH_COORDINATES];
    uint8_t weight[SLUICE_SKETCH_COORDINATES];
    uint32_t cells[256] = {0};
    make(1, common);
    for (uint32_t i = 0; i < 3000; i++) {
        make(2 + i, sketch);
        if (i % 3 == 0) {
            memcpy(sketch, common, 64);
        }
        cells[sketch[5]]++;
        sl_weights_add(weights, i, sketch);
    }
    assert_int_equal(sl_weights_counted(weights), 3000);
    for (uint32_t value = 0; value < 256; value++) {
        sketch[5] = (uint8_t)value;
        uint32_t sum = sl_weights_of(weights, sketch, weight), all = 0;
        for (uint32_t i = 0; i < SLUICE_SKETCH_COORDINATES; i++) {
            all += weight[i];
        }
        assert_int_equal(sum, all);
        double rarity = log2((3000.0 + 256) / fmax(cells[value], 1));
        rarity = rarity > 8 ? 8 : rarity;
        assert_true(fabs(weight[5] - rarity * rarity) <= 4); /* steps of 1/16 */
    }
    assert_true(weight[5] >= 16);
    sketch[5] = common[5];
    (void)sl_weights_of(weights, sketch, weight);
    assert_true(weight[5] <= 3);
    sl_weights_close(&weights);
}

static void test_weights_of_nothing_or_of_all_boilerplate_are_equal(void **state)
{
    (void)state;
    sl_weights *weights;
    assert_int_equal(sl_weights_open(&weights), SLUICE_OK);
    uint8_t sketch[SLUICE_SKETCH_COORDINATES], weight[SLUICE_SKETCH_COORDINATES];
    make(1, sketch);
    assert_int_equal(sl_weights_of(weights, sketch, weight), 128 * SL_WEIGHTS_MOST);
    for (uint64_t i = 0; i < 16384; i++) {
        sl_weights_add(weights, i, sketch);
    }
    assert_int_equal(sl_weights_of(weights, sketch, weight), 128 * SL_WEIGHTS_MOST);
    sl_weights_close(&weights);
}

/* What is added and removed again leaves nothing, in any order: rows come and go. */
static void test_weights_are_those_of_the_sketches_that_are_left(void **state)
{
    (void)state;
    sl_weights *weights, *fresh;
    assert_int_equal(sl_weights_open(&weights), SLUICE_OK);
    assert_int_equal(sl_weights_open(&fresh), SLUICE_OK);
    uint8_t sketch[SLUICE_SKETCH_COORDINATES];
    uint8_t weight[SLUICE_SKETCH_COORDINATES], fresh_weight[SLUICE_SKETCH_COORDINATES];
    for (uint64_t i = 0; i < 900; i++) {
        make(1 + i % 40, sketch);
        sl_weights_add(weights, 16000 + i, sketch);
    }
    for (uint64_t i = 0; i < 900; i++) {
        make(1 + i % 40, sketch);
        if (i % 7 != 0) {
            sl_weights_remove(weights, 16000 + i, sketch);
        } else {
            sl_weights_add(fresh, 16000 + i, sketch);
        }
    }
    assert_int_equal(sl_weights_counted(weights), sl_weights_counted(fresh));
    for (uint64_t i = 0; i < 40; i++) {
        make(1 + i, sketch);
        (void)sl_weights_of(weights, sketch, weight);
        (void)sl_weights_of(fresh, sketch, fresh_weight);
        assert_memory_equal(weight, fresh_weight, sizeof weight);
    }
    sl_weights_close(&weights);
    sl_weights_close(&fresh);
}

static void test_weights_count_one_in_16_later(void **state)
{
    (void)state;
    sl_weights *weights;
    assert_int_equal(sl_weights_open(&weights), SLUICE_OK);
    uint8_t sketch[SLUICE_SKETCH_COORDINATES];
    make(1, sketch);
    sl_weights_add(weights, SL_WEIGHTS_ALL_BELOW - 1, sketch);
    assert_int_equal(sl_weights_counted(weights), 1);
    for (uint64_t i = 0; i < 160; i++) {
        sl_weights_add(weights, SL_WEIGHTS_ALL_BELOW + i, sketch);
    }
    assert_int_equal(sl_weights_counted(weights), 11);
    sl_weights_close(&weights);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weights_follow_their_formula),
        cmocka_unit_test(test_weights_of_nothing_or_of_all_boilerplate_are_equal),
        cmocka_unit_test(test_weights_are_those_of_the_sketches_that_are_left),
        cmocka_unit_test(test_weights_count_one_in_16_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
