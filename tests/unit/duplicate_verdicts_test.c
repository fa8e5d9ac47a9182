/* duplicate_verdicts_test.c - verdicts come back by their numbers, and there is an end of them. */
#include "duplicate/verdicts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

static sluice_verdict make_verdict(sluice_decision decision, float weight, const char *reason)
{
    sluice_verdict verdict = {.decision = decision, .weight = weight};
    if (reason != NULL) {
        verdict.reasons[verdict.n_reasons++] = reason;
    }
    return verdict;
}

static void test_verdicts_come_back_and_equal_ones_are_one(void **state)
{
    (void)state;
    sl_verdicts *verdicts;
    assert_int_equal(sl_verdicts_open(1 << 20, &verdicts), SLUICE_OK);
    sluice_verdict plain = make_verdict(SLUICE_KEEP, 1, NULL);
    assert_int_equal(sl_verdicts_enter(verdicts, &plain), 0);
    char rare[] = "rare";
    sluice_verdict flagged = make_verdict(SLUICE_FLAG, 0.5F, rare);
    uint16_t number = sl_verdicts_enter(verdicts, &flagged);
    strcpy(rare, "gone"); /* it was borrowed only */
    flagged.reasons[0] = "rare";
    assert_int_equal(sl_verdicts_enter(verdicts, &flagged), number);
    const sluice_verdict *back = sl_verdicts_at(verdicts, number);
    assert_int_equal(back->decision, SLUICE_FLAG);
    assert_float_equal(back->weight, 0.5, 0);
    assert_int_equal(back->n_reasons, 1);
    assert_string_equal(back->reasons[0], "rare");
    sluice_verdict others[] = {make_verdict(SLUICE_KEEP, 0.5F, "rare"),
                               make_verdict(SLUICE_FLAG, 1, "rare"),
                               make_verdict(SLUICE_FLAG, 0.5F, "rar"), flagged};
    others[3].reasons[others[3].n_reasons++] = "rare";
    for (size_t i = 0; i < 4; i++) {
        assert_int_not_equal(sl_verdicts_enter(verdicts, &others[i]), number);
    }
    assert_true(sl_verdicts_at(verdicts, number) == back); /* lent until close */
    sl_verdicts_close(&verdicts);
}

static void test_verdicts_beyond_the_limit_keep_their_decision(void **state)
{
    (void)state;
    sl_verdicts *verdicts;
    assert_int_equal(sl_verdicts_open(1 << 20, &verdicts), SLUICE_OK);
    sluice_verdict verdict;
    uint16_t number = 0;
    char reason[16];
    for (int i = 0; i < SL_VERDICTS_MAX; i++) {
        snprintf(reason, sizeof reason, "r%d", i);
        verdict = make_verdict(SLUICE_FLAG, 1, reason);
        uint16_t next = sl_verdicts_enter(verdicts, &verdict);
        if (next < number) {
            break;
        }
        number = next;
    }
    assert_int_equal(number, SL_VERDICTS_MAX - 1);
    const sluice_verdict *last = sl_verdicts_at(verdicts, sl_verdicts_enter(verdicts, &verdict));
    assert_int_equal(last->decision, SLUICE_FLAG);
    assert_int_equal(last->n_reasons, 0);
    verdict = make_verdict(SLUICE_KEEP, 2, "new");
    assert_int_equal(sl_verdicts_enter(verdicts, &verdict), 0);
    sl_verdicts_close(&verdicts);
}

/* What it takes is what malloc says of the whole: one block. */
static void test_verdicts_stay_within_their_memory(void **state)
{
    (void)state;
    const size_t sizes[] = {0, 100, 4096, 16384};
    for (size_t k = 0; k < 4; k++) {
        sl_verdicts *verdicts;
        assert_int_equal(sl_verdicts_open(sizes[k], &verdicts), SLUICE_OK);
        char reason[64];
        uint16_t most = 0;
        for (int i = 0; i < 400; i++) {
            memset(reason, 'r', sizeof reason);
            snprintf(reason + i % 40, sizeof reason - 40, "%d", i);
            sluice_verdict verdict = make_verdict(SLUICE_FLAG, 1, reason);
            uint16_t number = sl_verdicts_enter(verdicts, &verdict);
            const sluice_verdict *back = sl_verdicts_at(verdicts, number);
            assert_int_equal(back->decision, SLUICE_FLAG);
            if (back->n_reasons > 0) {
                assert_string_equal(back->reasons[0], reason);
            }
            most = number > most ? number : most;
            assert_true(malloc_usable_size(verdicts) <= sizes[k] + 64);
        }
        assert_in_range(most, sizes[k] / 200, sizes[k] / 100 + 1);
        sl_verdicts_close(&verdicts);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verdicts_come_back_and_equal_ones_are_one),
        cmocka_unit_test(test_verdicts_beyond_the_limit_keep_their_decision),
        cmocka_unit_test(test_verdicts_stay_within_their_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
