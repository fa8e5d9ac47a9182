/* duplicate_signature_test.c - the keys of a search meet every signature within its reach. */
#include "duplicate/signature.h"
#include "duplicate_samples.h"

#include <stdbool.h>
#include <stdlib.h>

/* Bits of a scale, as image_hash makes them: 0, -.6, .6, -1.5, 1.5. */
static void write_symbols(const uint8_t *symbols, uint8_t *signature)
{
    static const uint32_t rank[5] = {2, 1, 3, 0, 4};
    memset(signature, 0, SLUICE_IMAGE_BYTES);
    for (uint32_t bit = 0; bit < SLUICE_IMAGE_BITS; bit++) {
        uint32_t above = symbols[bit % SL_SIGNATURE_SYMBOLS] > rank[bit / SL_SIGNATURE_SYMBOLS];
        signature[bit / 8] |= (uint8_t)(above << bit % 8);
    }
}

static void draw_symbols(uint64_t *state, uint8_t *symbols)
{
    for (uint32_t i = 0; i < SL_SIGNATURE_SYMBOLS; i++) {
        symbols[i] = (uint8_t)random_below(state, 6);
    }
}

static void move_some(uint64_t *state, uint8_t *symbols, uint32_t n)
{
    while (n > 0) {
        uint8_t *symbol = &symbols[random_below(state, SL_SIGNATURE_SYMBOLS)];
        bool up = random_below(state, 2) == 0;
        if (up ? *symbol < 5 : *symbol > 0) {
            *symbol = (uint8_t)(up ? *symbol + 1 : *symbol - 1);
            n--;
        }
    }
}

static uint32_t distance_of(const uint8_t *a, const uint8_t *b, uint32_t i_group)
{
    uint32_t sum = 0;
    for (uint32_t i = i_group; i < SL_SIGNATURE_SYMBOLS; i += SL_SIGNATURE_GROUPS) {
        sum += (uint32_t)abs(a[i] - b[i]);
    }
    return sum;
}

static void test_symbols_are_what_the_bits_say(void **state)
{
    (void)state;
    uint64_t random = 1;
    for (int i = 0; i < 100; i++) {
        uint8_t written[SL_SIGNATURE_SYMBOLS], read[SL_SIGNATURE_SYMBOLS];
        uint8_t signature[SLUICE_IMAGE_BYTES];
        draw_symbols(&random, written);
        write_symbols(written, signature);
        sl_signature_symbols(signature, read);
        assert_memory_equal(written, read, sizeof read);
    }
}

/* A step finds a group exactly if it is that step's group and distance. */
static void test_step_has_the_keys_at_its_distance_and_no_others(void **state)
{
    (void)state;
    uint64_t random = 2;
    uint8_t own[SL_SIGNATURE_SYMBOLS], other[SL_SIGNATURE_SYMBOLS];
    uint64_t keys[SL_SIGNATURE_KEYS];
    for (uint32_t round = 0; round < 3000; round++) {
        draw_symbols(&random, own);
        memcpy(other, own, sizeof other);
        move_some(&random, other, random_below(&random, 40));
        uint32_t i_step = round % SL_SIGNATURE_STEPS, i_group = i_step % SL_SIGNATURE_GROUPS;
        uint32_t n = sl_signature_step(own, i_step, keys), n_met = 0;
        assert_in_range(n, 1, SL_SIGNATURE_KEYS);
        for (uint32_t k = 0; k < n; k++) {
            n_met += keys[k] == sl_signature_key(other, i_group);
        }
        assert_int_equal(n_met, distance_of(own, other, i_group) == i_step / SL_SIGNATURE_GROUPS);
    }
}

/* The pigeonholes, with no slack: exactly as many bits as steps were made. */
static void test_search_meets_all_within_its_reach(void **state)
{
    (void)state;
    uint64_t random = 3;
    uint8_t own[SL_SIGNATURE_SYMBOLS], other[SL_SIGNATURE_SYMBOLS];
    uint64_t keys[SL_SIGNATURE_KEYS];
    for (uint32_t round = 0; round < 6000; round++) {
        uint32_t n_bits = round % SL_SIGNATURE_STEPS;
        draw_symbols(&random, own);
        memcpy(other, own, sizeof other);
        move_some(&random, other, n_bits);
        bool met = false;
        for (uint32_t i = 0; i <= n_bits && !met; i++) {
            uint32_t n = sl_signature_step(own, i, keys);
            for (uint32_t k = 0; k < n; k++) {
                met |= keys[k] == sl_signature_key(other, i % SL_SIGNATURE_GROUPS);
            }
        }
        assert_true(met);
    }
}

/* Worst case: the bits are spread so that the last group alone is near enough. */
static void test_search_meets_the_evenly_spread(void **state)
{
    (void)state;
    uint8_t own[SL_SIGNATURE_SYMBOLS], other[SL_SIGNATURE_SYMBOLS];
    uint64_t keys[SL_SIGNATURE_KEYS];
    memset(own, 2, sizeof own);
    memset(other, 2, sizeof other);
    for (uint32_t i = 0; i < 29; i++) { /* three in each group but the last, two there */
        other[i] = 3;
    }
    for (uint32_t i = 0; i <= 29; i++) {
        uint32_t n = sl_signature_step(own, i, keys), n_met = 0;
        for (uint32_t k = 0; k < n; k++) {
            n_met += keys[k] == sl_signature_key(other, i % SL_SIGNATURE_GROUPS);
        }
        assert_int_equal(n_met, i == 29);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_symbols_are_what_the_bits_say),
        cmocka_unit_test(test_step_has_the_keys_at_its_distance_and_no_others),
        cmocka_unit_test(test_search_meets_all_within_its_reach),
        cmocka_unit_test(test_search_meets_the_evenly_spread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
