/* duplicate_nearest_few_test.c - many at once are kept as one by one: nearest, then oldest. */
#include "duplicate/nearest_few.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>

#define N_ROUNDS 400

static uint64_t random_state = 7;

static uint32_t draw(uint32_t below)
{
    random_state = random_state * UINT64_C(6364136223846793005) + 1;
    return (uint32_t)((random_state >> 33) % below);
}

static void test_few_takes_many_as_it_takes_one_by_one(void **state)
{
    (void)state;
    static const uint32_t spreads[] = {1, 3, 40, SLUICE_SIGN_BITS + 1};
    static sl_signs_hit hits[SL_SIGNS_CHUNK];
    for (uint32_t round = 0; round < N_ROUNDS; round++) {
        sl_few many, one_by_one;
        many.n = one_by_one.n = 0;
        uint64_t number = 0;
        for (uint32_t lot = 0; lot < 4; lot++) {
            uint32_t spread = spreads[draw(4)];
            uint32_t n = draw(4) == 0 ? SL_SIGNS_CHUNK - draw(2) : draw(3 * SL_FEW);
            for (uint32_t i = 0; i < n; i++) {
                number += 1 + draw(3);
                hits[i] = (sl_signs_hit){number, SLUICE_SIGN_BITS - draw(spread)};
                sl_few_add(&one_by_one, hits[i]);
            }
            sl_few_add_new(&many, hits, n);
            assert_int_equal(many.n, one_by_one.n);
        }
        sl_few_sort(&many);
        sl_few_sort(&one_by_one);
        for (uint32_t i = 0; i < many.n; i++) {
            assert_int_equal(many.hit[i].number, one_by_one.hit[i].number);
            assert_int_equal(many.hit[i].distance, one_by_one.hit[i].distance);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_few_takes_many_as_it_takes_one_by_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
