/* duplicate_index_test.c - a method's bytes: never exceeded, and worth what the plan says. */
#include "duplicate/index.h"
#include "duplicate_samples.h"

#include <malloc.h>

#define PAYLOAD_BYTES 136

static const sl_index_options small = {20000, PAYLOAD_BYTES, 16};

static void append(sl_index *index, uint64_t offset, size_t id_size)
{
    static const uint8_t payload[PAYLOAD_BYTES];
    static const uint8_t name[SLUICE_LIMIT_ID_BYTES];
    sl_rows_append(index->rows, &(sl_row){.offset = offset,
                                          .arrived_us = (int64_t)offset,
                                          .payload = payload,
                                          .id = {name, id_size},
                                          .source = {name, SL_INDEX_SOURCE_BYTES}});
}

static void test_index_init_with_too_little_memory_names_the_key(void **state)
{
    (void)state;
    sl_index index;
    sluice_message why;
    for (uint64_t memory = 0; memory < 1400; memory++) {
        sl_index_options options = {memory, PAYLOAD_BYTES, 16};
        assert_int_equal(sl_index_init(&index, &options, "duplicate.text.memory", &why),
                         SLUICE_E_CONFIG);
        assert_non_null(strstr(why.text, "duplicate.text.memory"));
        assert_int_equal(sl_index_rows_of(&options, 16), 0);
    }
}

static void test_index_remembers_as_many_rows_as_planned(void **state)
{
    (void)state;
    static const uint32_t id_bytes[] = {1, 16, 36, SLUICE_LIMIT_ID_BYTES};
    for (size_t i = 0; i < sizeof id_bytes / sizeof id_bytes[0]; i++) {
        sl_index index;
        assert_int_equal(sl_index_init(&index, &small, "", NULL), SLUICE_OK);
        uint64_t planned = sl_index_rows_of(&small, id_bytes[i]);
        assert_true(planned > 0);
        for (uint64_t offset = 0; offset < 500; offset++) {
            append(&index, offset, id_bytes[i]);
        }
        sl_duplicate_usage usage = sl_index_usage(&index);
        assert_true(usage.rows >= planned);
        assert_true(usage.rows_max >= usage.rows && usage.bytes <= usage.bytes_max);
        assert_int_equal(usage.rows + usage.evicted, 500);
        assert_valid(sl_index_validate, &index);
        sl_index_fini(&index);
    }
}

/* All that is asked of the allocator, as it counts itself. Sanitizers do not count: then 0. */
static size_t allocated(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static void test_index_allocates_no_more_than_its_bytes(void **state)
{
    (void)state;
    for (uint64_t memory = 4096; memory < (uint64_t)64 << 20; memory = memory * 5 / 3 + 1) {
        sl_index_options options = {memory, PAYLOAD_BYTES, 16};
        sl_index index;
        size_t before = allocated();
        assert_int_equal(sl_index_init(&index, &options, "", NULL), SLUICE_OK);
        size_t after = allocated();
        assert_true(sl_table_bytes(index.n_lines) + index.rows_options.memory_bytes <= memory);
        if (memory >= 256 << 10) { /* with what the allocator rounds up */
            assert_true(after - before <= memory);
        }
        sl_index_fini(&index);
    }
}

static void test_index_16_byte_ids_cost_at_most_320_bytes(void **state)
{
    (void)state;
    sl_index_options text = {(uint64_t)512 << 20, PAYLOAD_BYTES, 16};
    sl_index_options exact = {(uint64_t)64 << 20, 32, 2};
    assert_true((double)text.memory_bytes / (double)sl_index_rows_of(&text, 16) <= 320);
    assert_true((double)exact.memory_bytes / (double)sl_index_rows_of(&exact, 16) <= 320);
}

static void test_index_oldest_follows_the_horizon(void **state)
{
    (void)state;
    sl_index index;
    assert_int_equal(sl_index_init(&index, &small, "", NULL), SLUICE_OK);
    sl_horizon all = {0, UINT64_MAX, INT64_MIN};
    assert_int_equal(sl_rows_oldest(index.rows, &all), UINT64_MAX);
    for (uint64_t offset = 0; offset < 500; offset += 2) {
        append(&index, offset, 16);
    }
    uint64_t rows = sl_index_usage(&index).rows;
    assert_int_equal(sl_rows_oldest(index.rows, &all), 500 - 2 * rows);
    assert_int_equal(sl_rows_oldest(index.rows, &(sl_horizon){451, 500, INT64_MIN}), 452);
    assert_int_equal(sl_rows_oldest(index.rows, &(sl_horizon){0, 500, 461}), 462);
    assert_int_equal(sl_rows_oldest(index.rows, &(sl_horizon){499, 500, 0}), UINT64_MAX);
    sl_index_fini(&index);
}

static void test_index_erase_is_true_once(void **state)
{
    (void)state;
    sl_index index;
    assert_int_equal(sl_index_init(&index, &small, "", NULL), SLUICE_OK);
    append(&index, 5, 16);
    append(&index, 7, 16);
    assert_false(sl_index_erase(&index, 6));
    assert_true(sl_index_erase(&index, 5));
    assert_false(sl_index_erase(&index, 5));
    assert_valid(sl_index_validate, &index);
    assert_int_equal(sl_index_usage(&index).rows, 1);
    sl_index_fini(&index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_index_init_with_too_little_memory_names_the_key),
        cmocka_unit_test(test_index_remembers_as_many_rows_as_planned),
        cmocka_unit_test(test_index_allocates_no_more_than_its_bytes),
        cmocka_unit_test(test_index_16_byte_ids_cost_at_most_320_bytes),
        cmocka_unit_test(test_index_oldest_follows_the_horizon),
        cmocka_unit_test(test_index_erase_is_true_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
