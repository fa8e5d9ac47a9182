/* features_set_sketch_test.c - a sketch is a function of the set, the same by every kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "features/set_sketch.h"

#define LONGEST 20000

static uint64_t next_random(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *state;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static int open_sketcher(void **state)
{
    return sl_set_sketch_open(7, (sl_set_sketch **)state) == SLUICE_OK ? 0 : -1;
}

static int close_sketcher(void **state)
{
    sl_set_sketch_close((sl_set_sketch **)state);
    return 0;
}

/* The sketch of hash[0..n) by one kernel; the input stays as it is. */
static void sketch_by(const sl_set_sketch *sketcher, const uint64_t *hash, size_t n,
                      sl_kernel kernel, uint8_t out[SLUICE_SKETCH_COORDINATES])
{
    /* Of exactly that size, so that reading past the end is seen by a sanitizer. */
    uint64_t *copy = malloc(n * sizeof *copy);
    assert_non_null(copy);
    memcpy(copy, hash, n * sizeof *copy);
    sl_set_sketch_make(sketcher, copy, n, kernel, out);
    free(copy);
}

/* By all kernels, which must agree. */
static void sketch_of(const sl_set_sketch *sketcher, const uint64_t *hash, size_t n,
                      uint8_t out[SLUICE_SKETCH_COORDINATES])
{
    sketch_by(sketcher, hash, n, SL_KERNEL_REF, out);
    for (sl_kernel kernel = SL_KERNEL_REF + 1; kernel <= sl_kernel_best(); kernel++) {
        uint8_t fast[SLUICE_SKETCH_COORDINATES];
        sketch_by(sketcher, hash, n, kernel, fast);
        assert_memory_equal(out, fast, sizeof fast);
    }
}

static void fill(uint64_t *hash, size_t n, uint64_t seed)
{
    for (size_t i = 0; i < n; i++) {
        hash[i] = next_random(&seed);
    }
}

/* Sizes around every border between the ways of making a sketch. */
static const size_t sizes[] = {1,   2,   7,    8,    9,    16,   17,   31,   32,   33,   63,
                               64,  65,  100,  127,  128,  129,  255,  256,  257,  319,  320,
                               321, 351, 352,  353,  383,  384,  385,  511,  512,  513,  575,
                               576, 577, 1000, 2047, 2048, 2049, 4000, 4096, 4097, 9999, LONGEST};
#define N_SIZES (sizeof sizes / sizeof sizes[0])

static void test_sketch_kernels_are_equal_for_every_size(void **state)
{
    static uint64_t hash[LONGEST];
    uint8_t sketch[SLUICE_SKETCH_COORDINATES];
    for (size_t i = 0; i < N_SIZES; i++) {
        fill(hash, sizes[i], i);
        sketch_of(*state, hash, sizes[i], sketch);
    }
}

/* Often enough for elements to meet in a round with equal top bytes. */
static void test_sketch_kernels_are_equal_for_many_small_sets(void **state)
{
    for (uint64_t i = 0; i < 20000; i++) {
        uint64_t hash[40];
        uint8_t sketch[SLUICE_SKETCH_COORDINATES];
        size_t n = 1 + i % 40;
        fill(hash, n, i);
        hash[n / 2] = hash[i % n]; /* sometimes twice the same */
        sketch_of(*state, hash, n, sketch);
    }
}

/* As many as the vectors of a kernel and one more or less; of no bits, of all, of any. */
static void test_sketch_kernels_are_equal_for_extreme_hashes(void **state)
{
    static uint64_t hash[LONGEST];
    uint64_t seed = 7;
    const uint64_t extremes[] = {0, UINT64_MAX, next_random(&seed), UINT64_C(1) << 63, 1};
    enum { N_EXTREMES = sizeof extremes / sizeof extremes[0] };
    uint8_t sketch[SLUICE_SKETCH_COORDINATES], alone[SLUICE_SKETCH_COORDINATES];
    for (size_t i = 0; i < N_SIZES; i++) {
        for (size_t e = 0; e < N_EXTREMES; e++) {
            sketch_of(*state, &extremes[e], 1, alone);
            for (size_t j = 0; j < sizes[i]; j++) {
                hash[j] = extremes[e];
            }
            sketch_of(*state, hash, sizes[i], sketch);
            assert_memory_equal(sketch, alone, sizeof sketch);
        }
        for (size_t j = 0; j < sizes[i]; j++) {
            uint64_t draw = next_random(&seed);
            hash[j] = draw % 8 < N_EXTREMES ? extremes[draw % 8] ^ (draw >> 61) : draw;
        }
        sketch_of(*state, hash, sizes[i], sketch);
    }
}

/* Elements that meet in a bin with equal top bytes, of which a kernel may look at those alone. */
static void test_sketch_kernels_are_equal_for_close_orders(void **state)
{
    static uint64_t hash[4000];
    uint64_t seed = 9, mask_seed = 7;
    const uint64_t mask = next_random(&mask_seed);
    uint64_t inverse = 1; /* of the multiplier: Newton */
    for (int i = 0; i < 6; i++) {
        inverse *= 2 - UINT64_C(0x9fb21c651e98df25) * inverse;
    }
    for (uint64_t round = 0; round < 300; round++) {
        size_t n = sizes[round % N_SIZES] < 4000 ? sizes[round % N_SIZES] : 4000;
        for (size_t i = 0; i < n; i++) {
            uint64_t draw = next_random(&seed);
            uint64_t x = (draw % 3) << 56 | (draw >> 32 & 0xffff) | (draw >> 8 & 3) << 40;
            x = round % 2 == 0 ? x : ~x;
            hash[i] = (x ^ x >> 32) * inverse ^ mask;
        }
        uint8_t sketch[SLUICE_SKETCH_COORDINATES];
        sketch_of(*state, hash, n, sketch);
    }
}

static void test_sketch_ignores_order_and_repetition(void **state)
{
    static uint64_t hash[LONGEST], mixed[LONGEST];
    static const size_t distinct[] = {1, 2, 5, 17, 33, 64, 200, 700, 3000};
    for (size_t i = 0; i < sizeof distinct / sizeof distinct[0]; i++) {
        uint8_t once[SLUICE_SKETCH_COORDINATES], often[SLUICE_SKETCH_COORDINATES];
        uint64_t seed = i;
        fill(hash, distinct[i], i);
        sketch_of(*state, hash, distinct[i], once);
        for (size_t j = 0; j < N_SIZES; j++) {
            if (sizes[j] < distinct[i]) {
                continue;
            }
            for (size_t k = 0; k < sizes[j]; k++) {
                mixed[sizes[j] - 1 - k] =
                    hash[k < distinct[i] ? k : next_random(&seed) % distinct[i]];
            }
            sketch_of(*state, mixed, sizes[j], often);
            assert_memory_equal(once, often, sizeof once);
        }
    }
}

static void test_sketch_of_another_seed_shares_next_to_nothing(void **state)
{
    static uint64_t hash[LONGEST];
    sl_set_sketch *other = NULL;
    assert_int_equal(sl_set_sketch_open(8, &other), SLUICE_OK);
    for (size_t i = 0; i < N_SIZES; i++) {
        uint8_t one[SLUICE_SKETCH_COORDINATES], two[SLUICE_SKETCH_COORDINATES];
        fill(hash, sizes[i], i);
        sketch_of(*state, hash, sizes[i], one);
        sketch_of(other, hash, sizes[i], two);
        int equal = 0;
        for (size_t b = 0; b < sizeof one; b++) {
            equal += one[b] == two[b];
        }
        assert_true(equal <=
                    6); /* 128 / 256 expected; more than 6 is 1e-6 for all sizes together */
    }
    sl_set_sketch_close(&other);
}

/* Single elements differ in all coordinates but 1 in 256, not in all or none of them. */
static void test_sketches_of_single_elements_share_one_in_256(void **state)
{
    uint64_t seed = 3;
    long equal = 0;
    for (int i = 0; i < 2000; i++) {
        uint8_t one[SLUICE_SKETCH_COORDINATES], two[SLUICE_SKETCH_COORDINATES];
        uint64_t a = next_random(&seed), b = next_random(&seed);
        sketch_of(*state, &a, 1, one);
        sketch_of(*state, &b, 1, two);
        int here = 0;
        for (size_t c = 0; c < sizeof one; c++) {
            here += one[c] == two[c];
        }
        assert_true(here <= 8);
        equal += here;
    }
    /* 1000 expected, deviation 31.6; six of them */
    assert_true(equal > 810 && equal < 1190);
}

/* Where set_sketch.c puts an element in round 0 under seed 7. */
static unsigned bin_of(uint64_t hash)
{
    uint64_t seed = 7;
    uint64_t x = (hash ^ next_random(&seed)) * UINT64_C(0x9fb21c651e98df25);
    return (unsigned)(x ^ x >> 32) % SLUICE_SKETCH_COORDINATES;
}

/* Hostile: thousands of different elements that leave bins empty in round 0, with and without
 * enough of them empty for duplicates to be looked for. */
static void test_sketch_of_a_set_that_avoids_bins_is_complete(void **state)
{
    static uint64_t hash[LONGEST];
    for (unsigned n_avoided = 1; n_avoided <= 64; n_avoided *= 4) {
        uint8_t all[SLUICE_SKETCH_COORDINATES], reversed[SLUICE_SKETCH_COORDINATES];
        uint8_t filled[SLUICE_SKETCH_COORDINATES];
        uint64_t seed = 5;
        size_t n = 0;
        while (n < 6000) {
            uint64_t candidate = next_random(&seed);
            hash[n] = candidate;
            n += bin_of(candidate) >= n_avoided;
        }
        sketch_of(*state, hash, n, all);
        uint64_t filler = next_random(&seed);
        while (bin_of(filler) != 0) {
            filler = next_random(&seed);
        }
        hash[n] = filler; /* takes bin 0 in round 0, and changes nothing else */
        sketch_of(*state, hash, n + 1, filled);
        assert_int_not_equal(filled[0], all[0]);
        if (n_avoided == 1) {
            assert_memory_equal(filled + 1, all + 1, sizeof filled - 1);
        }
        /* Each coordinate is that of one of three parts, which do not go the long way. */
        uint8_t part[3][SLUICE_SKETCH_COORDINATES];
        for (size_t i = 0; i < 3; i++) {
            sketch_of(*state, hash + 2000 * i, 2000, part[i]);
        }
        for (size_t b = 0; b < sizeof all; b++) {
            assert_true(all[b] == part[0][b] || all[b] == part[1][b] || all[b] == part[2][b]);
        }
        static uint64_t backwards[LONGEST];
        for (size_t i = 0; i < n; i++) {
            backwards[i] = hash[n - 1 - i];
        }
        sketch_of(*state, backwards, n, reversed);
        assert_memory_equal(reversed, all, sizeof all);
    }
}

/* A stored sketch must mean the same for ever: these bytes may not change. */
static void test_sketch_is_what_it_always_was(void **state)
{
    static uint64_t hash[1000];
    static const struct {
        size_t n;
        uint8_t first[8];
    } rows[] = {{1, {0x0c, 0x71, 0x83, 0x04, 0x8d, 0x7d, 0x9d, 0xb9}},
                {20, {0xad, 0xa7, 0x1c, 0xfa, 0x10, 0x5e, 0xcd, 0xfd}},
                {100, {0x6f, 0x2a, 0x1c, 0x50, 0x10, 0x1f, 0x18, 0xd6}},
                {1000, {0xd8, 0xad, 0x6a, 0xf8, 0x10, 0xc1, 0x18, 0x2c}}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t sketch[SLUICE_SKETCH_COORDINATES];
        fill(hash, rows[i].n, 1);
        sketch_of(*state, hash, rows[i].n, sketch);
        assert_memory_equal(sketch, rows[i].first, sizeof rows[i].first);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sketch_kernels_are_equal_for_every_size),
        cmocka_unit_test(test_sketch_kernels_are_equal_for_many_small_sets),
        cmocka_unit_test(test_sketch_kernels_are_equal_for_extreme_hashes),
        cmocka_unit_test(test_sketch_kernels_are_equal_for_close_orders),
        cmocka_unit_test(test_sketch_ignores_order_and_repetition),
        cmocka_unit_test(test_sketch_of_another_seed_shares_next_to_nothing),
        cmocka_unit_test(test_sketches_of_single_elements_share_one_in_256),
        cmocka_unit_test(test_sketch_of_a_set_that_avoids_bins_is_complete),
        cmocka_unit_test(test_sketch_is_what_it_always_was),
    };
    return cmocka_run_group_tests(tests, open_sketcher, close_sketcher);
}
