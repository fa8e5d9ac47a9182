/* counters_test.c - the numbers as text: every one survives, others are passed over. */
#include "counters.h"
#include "bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <string.h>

static void test_every_number_survives_its_text(void **state)
{
    (void)state;
    sluice_counters counters = {.next_offset = 17}, read;
    for (int m = SLUICE_METHOD_EXACT; m < SLUICE_N_METHODS; m++) {
        for (uint32_t i = 0; i < sl_n_counters_of_method; i++) {
            uint64_t value = UINT64_MAX - (uint64_t)m * 100 - i;
            memcpy((char *)&counters.method[m] + sl_counters_of_method[i].offset, &value, 8);
            assert_int_equal(sl_counters_value(&counters.method[m], &sl_counters_of_method[i]),
                             value);
        }
    }
    sluice_bytes text = {0};
    assert_int_equal(sl_counters_write(&counters, &text), SLUICE_OK);
    sl_counters_read((sluice_span){text.data, text.size}, &read);
    assert_memory_equal(&read, &counters, sizeof read);
    sl_bytes_fini(&text);
}

static void test_methods_without_a_budget_are_left_out(void **state)
{
    (void)state;
    sluice_counters counters = {.next_offset = 3};
    counters.method[SLUICE_METHOD_TEXT] = (sluice_method_counters){.memory_bytes = 5, .rows = 2};
    sluice_bytes text = {0};
    assert_int_equal(sl_counters_write(&counters, &text), SLUICE_OK);
    assert_int_equal(sl_bytes_put_u8(&text, 0), SLUICE_OK);
    assert_ptr_equal(strstr((const char *)text.data, "next_offset 3\ntext.memory_bytes 5\n"),
                     text.data);
    assert_null(strstr((const char *)text.data, "exact"));
    sl_bytes_fini(&text);
}

static void test_text_of_others_is_passed_over(void **state)
{
    (void)state;
    sluice_counters read;
    sl_counters_read(sl_span_of("text.rows 7\nsound.rows 9\ntext.depth 1\n\ntext.rows\nnonsense"
                                "\nimage.rows x\nnext_offset 4"),
                     &read);
    sluice_counters wanted = {.next_offset = 4};
    wanted.method[SLUICE_METHOD_TEXT].rows = 7;
    assert_memory_equal(&read, &wanted, sizeof read);
    char line[300];
    memset(line, 'x', sizeof line);
    sl_counters_read((sluice_span){(const uint8_t *)line, sizeof line}, &read);
    assert_int_equal(read.next_offset, 0);
}

static void test_recall_is_a_share_or_unknown(void **state)
{
    (void)state;
    sluice_method_counters method = {.recall_checked = 9};
    assert_true(sl_counters_recall(&method) < 0);
    method.recall_found = 3;
    method.recall_missed = 1;
    assert_true(sl_counters_recall(&method) == 0.75);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_number_survives_its_text),
        cmocka_unit_test(test_methods_without_a_budget_are_left_out),
        cmocka_unit_test(test_text_of_others_is_passed_over),
        cmocka_unit_test(test_recall_is_a_share_or_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
