/* duplicate_signs_test.c - the scan finds what lies within the bounds, with every kernel. */
#include "duplicate/buckets.h"
#include "duplicate/nearest_few.h"
#include "duplicate/sign_keys.h"
#include "unit/embedding_samples.h"

#include <stdlib.h>

#define N_ROWS 9001 /* more than a kernel lists at once */

static void draw_bits(uint64_t *random, uint64_t *bits)
{
    for (uint32_t k = 0; k < SLUICE_SIGN_WORDS; k++) {
        bits[k] = next_random(random);
    }
}

/* Each bit flipped with chance of n in 512. */
static void blur_bits(uint64_t *random, uint32_t n, uint64_t *bits)
{
    for (uint32_t i = 0; i < SLUICE_SIGN_BITS; i++) {
        bits[i / 64] ^= (uint64_t)(random_below(random, 512) < n) << i % 64;
    }
}

/* Of a vector whose bits are as sure as the margins say. */
static sl_sign_query make_query(double cosine, const uint64_t *bits, const uint8_t *margins)
{
    sl_sign_bounds bounds;
    sl_sign_query query;
    sl_sign_bounds_of(cosine, &bounds);
    sl_sign_query_make(&bounds, bits, margins, &query);
    return query;
}

/* Margins of a normal number each: two thirds of them are asked. */
static void draw_margins(uint64_t *random, uint8_t *margins)
{
    for (uint32_t i = 0; i < SLUICE_SIGN_BITS; i++) {
        double margin = fabs(draw_normal(random)) * 85;
        margins[i] = margin < 255 ? (uint8_t)margin : 255;
    }
}

static void test_sign_bounds_are_tails_of_the_binomial(void **state)
{
    (void)state;
    static sl_sign_bounds bounds;
    sl_sign_bounds_of(0.90,
                      &bounds); /* 1 in 24 of those asked differs: 13.6 of 327, deviation 3.6 */
    assert_in_range(bounds.most[3][327], 29, 31);
    assert_in_range(bounds.most[0][41], 7, 8); /* 1.7 of 41, 1.3 */
    uint16_t at_90 = bounds.most[3][327];
    for (uint32_t s = 0; s < SL_SIGN_STEPS; s++) {
        assert_int_equal(bounds.most[s][0], 0);
        for (uint32_t n = 1; n <= UINT32_C(64) << s; n++) {
            assert_in_range(bounds.most[s][n] - bounds.most[s][n - 1], 0, 1);
        }
    }
    sl_sign_bounds_of(0.95, &bounds);
    assert_in_range(bounds.most[3][327], 11, at_90 - 12);
    sl_sign_bounds_of(1, &bounds);
    for (uint32_t n = 0; n <= SLUICE_SIGN_BITS; n++) {
        assert_int_equal(bounds.most[3][n], 0);
    }
}

static void test_sign_query_asks_for_bits_that_are_sure(void **state)
{
    (void)state;
    uint64_t random = 11, bits[SLUICE_SIGN_WORDS];
    uint8_t margins[SLUICE_SIGN_BITS];
    static sl_sign_bounds bounds;
    sl_sign_bounds_of(0.9, &bounds);
    draw_bits(&random, bits);
    for (uint32_t i = 0; i < SLUICE_SIGN_BITS; i++) {
        margins[i] = (uint8_t)(i * 7 + i / 256); /* each value at each place of eight, nearly */
    }
    sl_sign_query query = make_query(0.9, bits, margins);
    uint32_t n_asked = 0;
    for (uint32_t i = 0, s = 0; i < SLUICE_SIGN_BITS; i++) {
        bool asked = query.asked[i / 64] >> i % 64 & 1;
        assert_int_equal(asked, margins[i] >= SL_SIGN_MARGIN_MIN);
        n_asked += asked;
        if (i + 1 == UINT32_C(64) << s) {
            assert_int_equal(query.most[s], bounds.most[s][n_asked]);
            s++;
        }
    }
    assert_memory_equal(query.bits, bits, sizeof bits);
    assert_int_equal(query.most_of_all, SLUICE_SIGN_BITS);
}

/* Of pairs exactly at the threshold hardly any is lost, and of others a tenth passes that would
 * pass if all bits were asked; of any dimension. */
static void test_sign_bounds_lose_the_share_they_say(void **state)
{
    (void)state;
    static const uint32_t dims[] = {16, 100, 384, 1000};
    static const double cosines[] = {0.9, 0.95, 0.7};
    enum { N_PAIRS = 6000 };
    sl_sign_sketch *sketch;
    assert_int_equal(sl_sign_sketch_open(1, &sketch), SLUICE_OK);
    static vector_room room;
    static sl_sign_bounds bounds;
    uint64_t random = 13;
    for (uint32_t c = 0; c < 3; c++) {
        sl_sign_bounds_of(cosines[c], &bounds);
        uint32_t n_lost = 0;
        for (uint32_t i = 0; i < N_PAIRS; i++) {
            uint32_t dim = dims[i % 4], distance;
            float kept[1000];
            draw_unit(kept, dim, &random);
            memcpy(room.row, kept, dim * sizeof *kept);
            sluice_sample sample = make_vector_sample(sketch, i, dim, 1, &room);
            const uint64_t *words[SLUICE_SIGN_WORDS];
            uint64_t row[SLUICE_SIGN_WORDS];
            memcpy(row, sample.features.sign_bits, sizeof row);
            for (uint32_t k = 0; k < SLUICE_SIGN_WORDS; k++) {
                words[k] = &row[k];
            }
            draw_near(kept, cosines[c], room.row, dim, &random);
            sample = make_vector_sample(sketch, i, dim, 1, &room);
            sl_sign_query query;
            sl_sign_query_make(&bounds, sample.features.sign_bits, room.margins, &query);
            uint32_t found;
            n_lost += sl_signs_kernel_ref(words, &query, 1, &found, &distance) == 0;
        }
        print_message("cosine %.2f: %u of %u lost\n", cosines[c], n_lost, N_PAIRS);
        assert_in_range(n_lost, 0, 9); /* 2.3 expected */
    }
    sl_sign_sketch_close(&sketch);
}

static void assert_kernel(sl_signs_kernel *kernel, const uint64_t *const *words,
                          const sl_sign_query *query, uint32_t n)
{
    static uint32_t found[2][N_ROWS], distance[2][N_ROWS];
    uint32_t n_found = sl_signs_kernel_ref(words, query, n, found[0], distance[0]);
    assert_int_equal(kernel(words, query, n, found[1], distance[1]), n_found);
    assert_memory_equal(found[0], found[1], n_found * sizeof(uint32_t));
    assert_memory_equal(distance[0], distance[1], n_found * sizeof(uint32_t));
}

static void test_signs_kernels_find_the_same(void **state)
{
    (void)state;
    static uint64_t plane[SLUICE_SIGN_WORDS][N_ROWS];
    const uint64_t *words[SLUICE_SIGN_WORDS];
    uint64_t random = 3, bits[SLUICE_SIGN_WORDS], row[SLUICE_SIGN_WORDS];
    uint8_t margins[SLUICE_SIGN_BITS];
    draw_bits(&random, bits);
    draw_margins(&random, margins);
    for (uint32_t i = 0; i < N_ROWS; i++) {
        memcpy(row, bits, sizeof row);
        blur_bits(&random, random_below(&random, 300), row);
        for (uint32_t k = 0; k < SLUICE_SIGN_WORDS; k++) {
            plane[k][i] = row[k];
        }
    }
    for (uint32_t k = 0; k < SLUICE_SIGN_WORDS; k++) {
        words[k] = plane[k];
    }
    const double cosines[] = {0.5, 0.65, 0.75, 0.8, 0.9, 0.95, 0.99, 1};
    for (uint32_t i = 0; i < 16; i++) {
        sl_sign_query query = make_query(cosines[i / 2], bits, margins);
        query.most_of_all = i % 2 == 0 ? query.most_of_all : 90; /* as narrowing does */
        for (uint32_t n = N_ROWS - 40; n <= N_ROWS; n++) {
            assert_kernel(sl_signs_kernel_best(), words, &query, n);
#if defined(__x86_64__)
            if (__builtin_cpu_supports("avx2")) {
                assert_kernel(sl_signs_kernel_avx2, words, &query, n);
            }
#endif
        }
    }
}

/* Whatever block of a ring a row lies in: a kernel that looks at more words at once, because many
 * rows pass, must find what it finds where few do. */
static void test_signs_kernels_find_the_same_among_others(void **state)
{
    (void)state;
    static uint64_t plane[SLUICE_SIGN_WORDS][N_ROWS];
    const uint64_t *words[SLUICE_SIGN_WORDS];
    uint64_t random = 17, bits[SLUICE_SIGN_WORDS];
    uint8_t margins[SLUICE_SIGN_BITS];
    draw_bits(&random, bits);
    draw_margins(&random, margins);
    sl_sign_query query = make_query(0.9, bits, margins);
    for (uint32_t i = 0; i < N_ROWS; i++) { /* the first word fails, or only it passes */
        uint64_t differ[SLUICE_SIGN_WORDS] = {0};
        uint32_t n_flips = random_below(&random, 3) == 0 ? query.most[0] + 1 : query.most[0];
        uint64_t left = query.asked[0];
        for (uint32_t k = 0; k < n_flips; k++) {
            differ[0] |= left & -left;
            left &= left - 1;
        }
        differ[2] = i % 5 == 0 ? UINT64_MAX : 0;
        for (uint32_t k = 0; k < SLUICE_SIGN_WORDS; k++) {
            plane[k][i] = bits[k] ^ differ[k];
        }
    }
    for (uint32_t k = 0; k < SLUICE_SIGN_WORDS; k++) {
        words[k] = plane[k];
    }
    for (uint32_t n = 64; n <= N_ROWS; n += 331) {
        assert_kernel(sl_signs_kernel_best(), words, &query, n);
#if defined(__x86_64__)
        if (__builtin_cpu_supports("avx2")) {
            assert_kernel(sl_signs_kernel_avx2, words, &query, n);
        }
#endif
    }
}

/* Over several turns of the ring, against a list. */
static void test_signs_find_sees_the_newest_rows_in_order(void **state)
{
    (void)state;
    enum { N_RING = 5000, N_ALL = 17000 };
    static uint64_t all[N_ALL][SLUICE_SIGN_WORDS];
    sl_signs *signs;
    assert_int_equal(sl_signs_open(N_RING, &signs), SLUICE_OK);
    uint64_t random = 5, bits[SLUICE_SIGN_WORDS];
    uint8_t margins[SLUICE_SIGN_BITS];
    static sl_signs_hit hits[SL_SIGNS_CHUNK];
    draw_bits(&random, bits);
    draw_margins(&random, margins);
    sl_sign_query query = make_query(0.9, bits, margins);
    for (uint64_t i = 0; i < N_ALL; i++) {
        memcpy(all[i], bits, sizeof bits);
        blur_bits(&random, i % 50 == 0 ? 15 : 250, all[i]);
        assert_int_equal(sl_signs_append(signs, all[i], (uint32_t)i), i);
        if (i % 1700 != 0 || i < 3000) {
            continue;
        }
        uint64_t from = i + 1 - 3000, n_hits = 0, n_true = 0;
        for (uint64_t number = from; number <= i; number += SL_SIGNS_CHUNK) {
            uint32_t n = sl_signs_find(signs, &query, number, hits);
            for (uint32_t k = 0; k < n; k++, n_hits++) {
                uint32_t slot = sl_signs_slot(signs, hits[k].number), distance;
                assert_true(sl_signs_check(signs, &query, slot, &distance));
                assert_int_equal(distance, hits[k].distance);
                assert_int_equal(sl_signs_place(signs, hits[k].number), hits[k].number);
                assert_int_equal(sl_signs_number_at(signs, slot), hits[k].number);
            }
        }
        for (uint64_t number = from; number <= i; number++) {
            uint32_t distance;
            n_true += sl_signs_check(signs, &query, sl_signs_slot(signs, number), &distance);
        }
        assert_int_equal(n_hits, n_true);
        assert_true(n_true >= 50);
    }
    sl_signs_close(&signs);
}

/* In whatever order they come. */
static void test_nearest_few_keeps_the_nearest_then_the_oldest(void **state)
{
    (void)state;
    uint64_t random = 7;
    for (int round = 0; round < 20; round++) {
        static sl_signs_hit all[1000];
        for (uint32_t i = 0; i < 1000; i++) {
            all[i] = (sl_signs_hit){i, random_below(&random, 60)};
        }
        sl_few forward = {.n = 0}, shuffled = {.n = 0};
        for (uint32_t i = 0; i < 1000; i++) {
            sl_few_add(&forward, all[i]);
            sl_few_add(&shuffled, all[i * 387 % 1000]);
            sl_few_add(&shuffled, all[i * 387 % 1000]);
        }
        uint32_t worst = forward.hit[forward.i_worst].distance;
        sl_sign_query query = {.most = {5, 50, 60, 70}, .most_of_all = SLUICE_SIGN_BITS};
        assert_int_equal(sl_few_narrow(&forward, &query), worst > 0);
        assert_int_equal(query.most_of_all, worst - 1);
        assert_int_equal(query.most[0], worst > 5 ? 5 : worst - 1);
        assert_int_equal(query.most[3], worst - 1);
        sl_few_sort(&forward);
        sl_few_sort(&shuffled);
        assert_int_equal(forward.n, SL_FEW);
        assert_memory_equal(forward.hit, shuffled.hit, sizeof forward.hit);
        for (uint32_t i = 0; i < 1000; i++) {
            bool kept = false;
            for (uint32_t k = 0; k < SL_FEW; k++) {
                kept = kept || forward.hit[k].number == i;
            }
            assert_true(kept || all[i].distance >= 2);
        }
    }
}

static void test_buckets_hold_the_newest_of_a_line(void **state)
{
    (void)state;
    sl_buckets *buckets;
    assert_int_equal(sl_buckets_open(1, 1000, &buckets), SLUICE_OK);
    uint32_t slots[SL_BUCKETS_SLOTS];
    assert_int_equal(sl_buckets_find(buckets, 77, slots), 0);
    for (uint32_t i = 0; i < 1000; i++) {
        sl_buckets_insert(buckets, i % 2 == 0 ? 77 : 78, i);
    }
    assert_int_equal(sl_buckets_find(buckets, 77, slots), SL_BUCKETS_SLOTS / 2);
    for (uint32_t i = 0; i < SL_BUCKETS_SLOTS / 2; i++) {
        assert_int_equal(slots[i], 998 - 2 * i);
    }
    sl_buckets_clear(buckets);
    assert_int_equal(sl_buckets_find(buckets, 77, slots), 0);
    sl_buckets_close(&buckets);
}

/* A bit in the margin is what a probe looks for; a bit outside of it costs the group. */
static void test_sign_keys_find_rows_whose_weak_bits_differ(void **state)
{
    (void)state;
    sl_sign_keys *keys;
    assert_int_equal(sl_sign_keys_open(100000, &keys), SLUICE_OK);
    uint32_t n_bits = sl_sign_keys_bits(100000);
    assert_in_range(n_bits, 16, 17);
    uint64_t random = 9, bits[SLUICE_SIGN_WORDS], other[SLUICE_SIGN_WORDS];
    draw_bits(&random, bits);
    sl_sign_keys_insert(keys, bits, 4242);
    uint8_t margins[SLUICE_SIGN_BITS];
    memset(margins, 200, sizeof margins);
    memcpy(other, bits, sizeof other);
    for (uint32_t group = 0; group < SL_SIGN_KEYS_GROUPS; group++) {
        uint32_t weak = group * n_bits + 3; /* the least margin: flipped by some probe */
        margins[weak] = 5;
        other[weak / 64] ^= UINT64_C(1) << weak % 64;
        if (group >= 8) {
            uint32_t strong = group * n_bits + 9;
            other[strong / 64] ^= UINT64_C(1) << strong % 64;
        }
    }
    static sl_sign_keys_hit hits[SL_SIGN_KEYS_HITS];
    uint32_t n = sl_sign_keys_find(keys, other, margins, hits), n_right = 0;
    for (uint32_t i = 0; i < n; i++) {
        bool right = hits[i].slot == 4242 && sl_sign_keys_agree(keys, bits, &hits[i]);
        assert_true(!right || hits[i].group < 8);
        n_right += right;
    }
    assert_int_equal(n_right, 8);
    sl_sign_keys_hit own = {.slot = 4242, .group = 2, .value = 0};
    for (uint32_t bit = 0; bit < n_bits; bit++) {
        own.value |= (uint32_t)(bits[(2 * n_bits + bit) / 64] >> (2 * n_bits + bit) % 64 & 1)
                     << bit;
    }
    assert_true(sl_sign_keys_agree(keys, bits, &own));
    own.value ^= 1; /* what an older row in that slot may have left */
    assert_false(sl_sign_keys_agree(keys, bits, &own));
    sl_sign_keys_clear(keys);
    assert_int_equal(sl_sign_keys_find(keys, bits, margins, hits), 0);
    sl_sign_keys_close(&keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sign_bounds_are_tails_of_the_binomial),
        cmocka_unit_test(test_sign_query_asks_for_bits_that_are_sure),
        cmocka_unit_test(test_sign_bounds_lose_the_share_they_say),
        cmocka_unit_test(test_signs_kernels_find_the_same),
        cmocka_unit_test(test_signs_kernels_find_the_same_among_others),
        cmocka_unit_test(test_signs_find_sees_the_newest_rows_in_order),
        cmocka_unit_test(test_nearest_few_keeps_the_nearest_then_the_oldest),
        cmocka_unit_test(test_buckets_hold_the_newest_of_a_line),
        cmocka_unit_test(test_sign_keys_find_rows_whose_weak_bits_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
