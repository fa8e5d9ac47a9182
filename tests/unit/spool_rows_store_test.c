/* spool_rows_store_test.c - the layout of rows, damage to it, and forgetting from it. */
#include "unit/spool_state.h"
#include "spool/rows_store.h"
#include "spool/seal.h"

#define N_ROWS 3

/* A value as the store writes it, built by hand: rows "aa", "", "cccc" of offsets 5, 7, 9. */
static uint8_t value[SL_ROWS_HEAD_BYTES + N_ROWS * SL_ROWS_ENTRY_BYTES + 6];

static void put_entry(uint32_t i, uint64_t offset, uint32_t position, uint32_t size)
{
    uint8_t *entry = value + SL_ROWS_HEAD_BYTES + (size_t)i * SL_ROWS_ENTRY_BYTES;
    sl_put_u64(entry, offset);
    sl_put_u32(entry + 8, position);
    sl_put_u32(entry + 12, size);
}

static int setup_value(void **state)
{
    (void)state;
    memset(value, 0, sizeof value);
    sl_put_u32(value + 16, N_ROWS);
    put_entry(0, 5, 0, 2);
    put_entry(1, 7, 2, 0);
    put_entry(2, 9, 2, 4);
    memcpy(value + sizeof value - 6, "aacccc", 6);
    sl_seal_write(value, sizeof value, SL_MAGIC_ROWS);
    return 0;
}

static const char *fault_of(void)
{
    sl_rows rows;
    return sl_rows_store_fault((sluice_span){value, sizeof value}, &rows);
}

static const char *fault_of_resealed(void)
{
    sl_seal_write(value, sizeof value, SL_MAGIC_ROWS);
    return fault_of();
}

static void test_rows_read_back(void **state)
{
    (void)state;
    sl_rows rows;
    assert_null(sl_rows_store_fault((sluice_span){value, sizeof value}, &rows));
    assert_int_equal(rows.count, 3);
    assert_int_equal(sl_rows_store_offset(&rows, 2), 9);
    assert_int_equal(sl_rows_store_row(&rows, 1).size, 0);
    assert_memory_equal(sl_rows_store_row(&rows, 2).data, "cccc", 4);
}

static void test_rows_with_any_bit_flipped_are_found(void **state)
{
    (void)state;
    for (size_t bit = 0; bit < 8 * sizeof value; bit++) {
        value[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_non_null(fault_of());
        value[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_null(fault_of());
}

static void test_rows_resealed_with_wrong_fields_are_found(void **state)
{
    (void)state;
    put_entry(1, 5, 2, 0);
    assert_string_equal(fault_of_resealed(), "are not in order");
    setup_value(NULL);
    put_entry(1, 7, 3, 0);
    assert_non_null(fault_of_resealed());
    setup_value(NULL);
    put_entry(2, 9, 2, UINT32_MAX);
    assert_non_null(fault_of_resealed());
    setup_value(NULL);
    sl_put_u32(value + 16, 0);
    assert_non_null(fault_of_resealed());
    sl_put_u32(value + 16, UINT32_MAX);
    assert_non_null(fault_of_resealed());
}

static void test_rows_cut_at_any_byte_are_found(void **state)
{
    (void)state;
    for (size_t size = 0; size < sizeof value; size++) {
        uint8_t *cut = malloc(size + (size == 0));
        assert_non_null(cut);
        memcpy(cut, value, size);
        if (size >= SL_SEAL_BYTES) {
            sl_seal_write(cut, size, SL_MAGIC_ROWS);
        }
        sl_rows rows;
        assert_non_null(sl_rows_store_fault((sluice_span){cut, size}, &rows));
        free(cut);
    }
}

/* Rows of many commits, larger than one value, against a plain array. */
#define N_OFFSETS 600

static bool alive[N_OFFSETS];
static uint64_t next_expected;

static bool expect_row(void *context, uint64_t offset, sluice_span row)
{
    (void)context;
    while (next_expected < N_OFFSETS && !alive[next_expected]) {
        next_expected++;
    }
    assert_int_equal(offset, next_expected);
    assert_int_equal(row.size, 10 + 37 * offset);
    for (size_t i = 0; i < row.size; i += 501) {
        assert_int_equal(row.data[i], (uint8_t)mix(offset));
    }
    next_expected++;
    return true;
}

static void append_many(spool_state *s)
{
    static sl_spool_sample samples[N_OFFSETS];
    static sluice_span rows[N_OFFSETS];
    static uint64_t offsets[N_OFFSETS];
    make_samples(samples, 0, N_OFFSETS, sl_span_of("s"));
    uint32_t n = 0;
    for (uint64_t i = 0; i < N_OFFSETS; i++) {
        alive[i] = mix(i) % 3 != 0;
        if (alive[i]) {
            size_t size = 10 + 37 * i;
            uint8_t *row = malloc(size);
            assert_non_null(row);
            memset(row, (uint8_t)mix(i), size);
            rows[n] = (sluice_span){row, size};
            offsets[n++] = i;
        }
    }
    append_ok(s, &(sl_spool_write){.samples = samples,
                                   .n_samples = N_OFFSETS,
                                   .rows = rows,
                                   .row_offsets = offsets,
                                   .n_rows = n});
    for (uint32_t i = 0; i < n; i++) {
        free((void *)(uintptr_t)rows[i].data);
    }
}

static void test_rows_forgotten_one_by_one_leave_the_others(void **state)
{
    spool_state *s = *state;
    append_many(s);
    for (uint64_t k = 0; k < N_OFFSETS; k++) {
        if (k % 100 == 0) {
            next_expected = 0;
            assert_int_equal(sl_spool_rows(s->spool, expect_row, NULL, &s->why), SLUICE_OK);
            verify_ok(s);
        }
        uint64_t gone = k * 7 % N_OFFSETS;
        append_ok(s, &(sl_spool_write){.forget = &gone, .n_forget = 1});
        alive[gone] = false;
    }
    next_expected = 0;
    assert_int_equal(sl_spool_rows(s->spool, expect_row, NULL, &s->why), SLUICE_OK);
    assert_int_equal(next_expected, 0);
}

/* In one transaction, in any order: each value is written once, and the file is whole. */
static void test_rows_forgotten_at_once_leave_the_others(void **state)
{
    spool_state *s = *state;
    append_many(s);
    uint64_t gone[N_OFFSETS];
    uint32_t n = 0;
    for (uint64_t k = 0; k < N_OFFSETS; k++) {
        uint64_t offset = k * 7 % N_OFFSETS;
        if (mix(offset) % 5 != 0) {
            gone[n++] = offset;
            alive[offset] = false;
        }
    }
    append_ok(s, &(sl_spool_write){.forget = gone, .n_forget = n});
    reopen_state(s);
    next_expected = 0;
    assert_int_equal(sl_spool_rows(s->spool, expect_row, NULL, &s->why), SLUICE_OK);
    assert_true(next_expected > 0);
    verify_ok(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_rows_read_back, setup_value),
        cmocka_unit_test_setup(test_rows_with_any_bit_flipped_are_found, setup_value),
        cmocka_unit_test_setup(test_rows_resealed_with_wrong_fields_are_found, setup_value),
        cmocka_unit_test_setup(test_rows_cut_at_any_byte_are_found, setup_value),
        cmocka_unit_test_setup_teardown(test_rows_forgotten_one_by_one_leave_the_others,
                                        setup_state, teardown_state),
        cmocka_unit_test_setup_teardown(test_rows_forgotten_at_once_leave_the_others, setup_state,
                                        teardown_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
