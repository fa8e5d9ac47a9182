/* duplicate_table_test.c - buckets of ten slots, first in first out. */
#include "duplicate/table.h"
#include "duplicate_samples.h"

#define N_LINES 64

static sl_table *open_table(void)
{
    sl_table *table;
    assert_int_equal(sl_table_open(N_LINES, &table), SLUICE_OK);
    assert_valid(sl_table_validate, table);
    return table;
}

static bool finds(const sl_table *table, uint64_t key, uint32_t place)
{
    uint32_t places[SL_TABLE_SLOTS];
    uint32_t n = sl_table_find(table, key, places);
    for (uint32_t i = 0; i < n; i++) {
        if (places[i] == place) {
            return true;
        }
    }
    return false;
}

static void test_table_find_in_empty_table_finds_nothing(void **state)
{
    (void)state;
    sl_table *table = open_table();
    uint32_t places[SL_TABLE_SLOTS];
    for (uint64_t key = 0; key < 100; key++) { /* a fingerprint of 0 is not an empty slot */
        assert_int_equal(sl_table_find(table, key << 32, places), 0);
    }
    sl_table_close(&table);
    assert_null(table);
}

static void test_table_find_after_insert_gives_the_place(void **state)
{
    (void)state;
    sl_table *table = open_table();
    sl_table_insert(table, 0, 0);
    sl_table_insert(table, UINT64_MAX, SL_TABLE_SLOTS);
    assert_true(finds(table, 0, 0));
    assert_true(finds(table, UINT64_MAX, SL_TABLE_SLOTS));
    assert_false(finds(table, 1, 0));
    assert_valid(sl_table_validate, table);
    sl_table_close(&table);
}

/* At the limit and one beyond: the bucket holds the newest ten, whatever their keys. */
static void test_table_insert_beyond_slots_loses_the_oldest(void **state)
{
    (void)state;
    sl_table *table = open_table();
    for (uint32_t i = 0; i < SL_TABLE_SLOTS; i++) {
        sl_table_insert(table, i % 2, i);
    }
    for (uint32_t i = 0; i < SL_TABLE_SLOTS; i++) {
        assert_true(finds(table, i % 2, i));
    }
    sl_table_insert(table, 0, 500);
    assert_false(finds(table, 0, 0));
    assert_true(finds(table, 1, 1));
    assert_true(finds(table, 0, 500));
    assert_valid(sl_table_validate, table);
    sl_table_close(&table);
}

static void test_table_giant_bucket_keeps_the_newest_ten(void **state)
{
    (void)state;
    sl_table *table = open_table();
    uint32_t places[SL_TABLE_SLOTS];
    for (uint32_t i = 0; i < 100000; i++) {
        sl_table_insert(table, 77, i);
    }
    assert_int_equal(sl_table_find(table, 77, places), SL_TABLE_SLOTS);
    for (uint32_t i = 0; i < SL_TABLE_SLOTS; i++) {
        assert_true(finds(table, 77, 100000 - 1 - i));
    }
    assert_valid(sl_table_validate, table);
    sl_table_close(&table);
}

static void test_table_clear_forgets_everything(void **state)
{
    (void)state;
    sl_table *table = open_table();
    uint64_t random = 1, key = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        key = next_random(&random);
        sl_table_insert(table, key, i);
        assert_true(finds(table, key, i));
    }
    sl_table_clear(table);
    assert_false(finds(table, key, 999));
    assert_valid(sl_table_validate, table);
    sl_table_close(&table);
}

static void test_table_match_is_as_its_reference(void **state)
{
    (void)state;
    uint64_t random = 2;
    uint16_t line[32]; /* a whole line */
    for (int i = 0; i < 20000; i++) {
        for (int j = 0; j < 32; j++) {
            line[j] = (uint16_t)random_below(&random, i % 2 ? 3 : 65536);
        }
        uint16_t fingerprint = line[random_below(&random, 32)];
        assert_int_equal(sl_table_match(line, fingerprint), sl_table_match_ref(line, fingerprint));
    }
}

static void test_table_bytes_are_a_line_each(void **state)
{
    (void)state;
    assert_true(sl_table_bytes(1000) - sl_table_bytes(999) == SL_TABLE_LINE_BYTES);
    assert_true(sl_table_bytes(1) <= 3 * SL_TABLE_LINE_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_find_in_empty_table_finds_nothing),
        cmocka_unit_test(test_table_find_after_insert_gives_the_place),
        cmocka_unit_test(test_table_insert_beyond_slots_loses_the_oldest),
        cmocka_unit_test(test_table_giant_bucket_keeps_the_newest_ten),
        cmocka_unit_test(test_table_clear_forgets_everything),
        cmocka_unit_test(test_table_match_is_as_its_reference),
        cmocka_unit_test(test_table_bytes_are_a_line_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
