/* duplicate_scan_test.c - a scan finds what a plain loop finds, over the turn of the ring too. */
#include "duplicate/scan.h"
#include "duplicate_samples.h"

#include <stdlib.h>

#define N 1000

static void test_kernel_equals_its_reference(void **state)
{
    (void)state;
    static uint64_t word[SL_SCAN_WORDS][N];
    const uint64_t *words[SL_SCAN_WORDS];
    uint64_t random = 1, query[SL_SCAN_WORDS];
    for (uint32_t k = 0; k < SL_SCAN_WORDS; k++) {
        query[k] = next_random(&random);
        words[k] = word[k];
        for (uint32_t i = 0; i < N; i++) {
            word[k][i] = query[k] ^ (next_random(&random) & next_random(&random));
        }
    }
    static uint32_t fast[N], slow[N];
    for (uint32_t n = 0; n < N; n += 1 + n / 20) {
        for (uint32_t radius = 0; radius <= 128; radius += 4) {
            for (uint32_t n_words = 1; n_words <= SL_SCAN_WORDS; n_words++) {
                uint32_t n_slow = sl_scan_kernel_ref(words, query, n_words, n, radius, slow);
                assert_int_equal(sl_scan_kernel_best()(words, query, n_words, n, radius, fast),
                                 n_slow);
                assert_memory_equal(fast, slow, n_slow * sizeof *slow);
            }
        }
    }
}

static uint32_t distance(const uint8_t *a, const uint8_t *b, uint32_t n_words)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < n_words * 8; i++) {
        n += (uint32_t)__builtin_popcount((unsigned)(a[i] ^ b[i]));
    }
    return n;
}

static void test_scan_of_the_newest_finds_all_in_order(void **state)
{
    (void)state;
    enum { ROWS = 9000, APPENDED = 20000, NEWEST = 8500 };
    sl_scan *scan;
    assert_int_equal(sl_scan_open(ROWS, &scan), SLUICE_OK);
    static uint8_t signatures[APPENDED][SL_SCAN_WORDS * 8];
    uint64_t random = 5;
    for (uint32_t i = 0; i < APPENDED; i++) {
        for (int k = 0; k < SL_SCAN_WORDS * 8; k++) {
            signatures[i][k] = (uint8_t)next_random(&random);
        }
        sl_scan_append(scan, signatures[i], i * 3);
    }
    for (uint32_t n_words = 1; n_words <= 2; n_words++) {
        uint32_t radius = n_words == 1 ? 26 : 55, n_found = 0, n_seen = 0;
        static uint32_t places[SL_SCAN_CHUNK], found[NEWEST];
        for (uint32_t i = 0; i < NEWEST; i += SL_SCAN_CHUNK) {
            uint32_t n = sl_scan_find(scan, signatures[7], n_words, radius, NEWEST, i, places);
            memcpy(found + n_found, places, n * sizeof *places);
            n_found += n;
        }
        for (uint32_t i = APPENDED - NEWEST; i < APPENDED; i++) {
            if (distance(signatures[7], signatures[i], n_words) <= radius) {
                assert_true(n_seen < n_found);
                assert_int_equal(found[n_seen++], i * 3);
            }
        }
        assert_int_equal(n_seen, n_found);
        assert_true(n_found > 10);
    }
    sl_scan_clear(scan);
    sl_scan_append(scan, signatures[0], 77);
    uint32_t place[SL_SCAN_CHUNK];
    assert_int_equal(sl_scan_find(scan, signatures[0], 2, 0, 1, 0, place), 1);
    assert_int_equal(place[0], 77);
    assert_int_equal(sl_scan_find(scan, signatures[0], 2, 0, 0, 0, place), 0);
    sl_scan_close(&scan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kernel_equals_its_reference),
        cmocka_unit_test(test_scan_of_the_newest_finds_all_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
