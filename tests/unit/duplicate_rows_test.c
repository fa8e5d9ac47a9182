/* duplicate_rows_test.c - the ring of remembered rows against a plain list. */
#include "duplicate/rows.h"
#include "duplicate_samples.h"

#include <stdlib.h>

#define PAYLOAD_BYTES 32
#define N_MODEL       4000

static sl_rows *open_rows(size_t memory_bytes)
{
    sl_rows *rows;
    sl_rows_options options = {memory_bytes, PAYLOAD_BYTES, 0};
    assert_int_equal(sl_rows_open(&options, &rows), SLUICE_OK);
    return rows;
}

static const char *letters(char letter, size_t size)
{
    static char text[SLUICE_LIMIT_ID_BYTES + 1];
    memset(text, letter, size);
    text[size] = 0;
    return text;
}

static uint32_t append(sl_rows *rows, uint64_t offset, size_t id_size)
{
    uint8_t payload[PAYLOAD_BYTES];
    memset(payload, (int)(offset & 0xff), sizeof payload);
    sl_row row = {.offset = offset,
                  .arrived_us = (int64_t)offset * 10,
                  .i_producer = (uint32_t)offset + 1,
                  .kind = (uint8_t)(offset & 0xff),
                  .payload = payload,
                  .id = sl_span_of(letters((char)('a' + offset % 26), id_size)),
                  .source = sl_span_of("src")};
    return sl_rows_append(rows, &row);
}

static void assert_row(const sl_rows *rows, uint32_t place, uint64_t offset, size_t id_size)
{
    sl_row row;
    assert_true(sl_rows_at(rows, place, &row));
    assert_int_equal(row.offset, offset);
    assert_int_equal(row.arrived_us, offset * 10);
    assert_int_equal(row.i_producer, offset + 1);
    assert_int_equal(row.kind, offset & 0xff);
    assert_int_equal(row.payload[PAYLOAD_BYTES - 1], offset & 0xff);
    assert_true(sl_span_equal(row.id, sl_span_of(letters((char)('a' + offset % 26), id_size))));
    assert_true(sl_span_equal(row.source, sl_span_of("src")));
}

static void test_rows_ids_of_1_and_256_bytes_come_back(void **state)
{
    (void)state;
    sl_rows *rows = open_rows(8192);
    uint32_t first = append(rows, 3, 1);
    uint32_t second = append(rows, 4, SLUICE_LIMIT_ID_BYTES);
    assert_row(rows, first, 3, 1);
    assert_row(rows, second, 4, SLUICE_LIMIT_ID_BYTES);
    assert_int_equal(sl_rows_used_bytes(rows),
                     sl_rows_row_bytes(PAYLOAD_BYTES, 4) + sl_rows_row_bytes(PAYLOAD_BYTES, 259));
    assert_valid(sl_rows_validate, rows);
    sl_rows_close(&rows);
}

static void test_rows_open_without_room_for_the_longest_row_is_refused(void **state)
{
    (void)state;
    sl_rows *rows;
    sl_rows_options options = {1000, PAYLOAD_BYTES, 0};
    assert_int_equal(sl_rows_open(&options, &rows), SLUICE_E_CONFIG);
    assert_null(rows);
    options.memory_bytes = 0;
    assert_int_equal(sl_rows_open(&options, &rows), SLUICE_E_CONFIG);
}

/* At the limit: exactly as many rows as the capacity says; one more evicts exactly one. */
static void test_rows_append_beyond_capacity_evicts_the_oldest(void **state)
{
    (void)state;
    sl_rows_options options = {8192, PAYLOAD_BYTES, 0};
    sl_rows *rows = open_rows(options.memory_bytes);
    uint64_t n_fit = sl_rows_capacity_of(&options) / sl_rows_row_bytes(PAYLOAD_BYTES, 8);
    uint32_t first = append(rows, 0, 5);
    for (uint64_t i = 1; i < n_fit; i++) {
        append(rows, i, 5);
        assert_valid(sl_rows_validate, rows);
    }
    assert_int_equal(sl_rows_count(rows), n_fit);
    assert_int_equal(sl_rows_evicted(rows), 0);
    assert_row(rows, first, 0, 5);
    append(rows, n_fit, 5);
    assert_int_equal(sl_rows_count(rows), n_fit);
    assert_int_equal(sl_rows_evicted(rows), 1);
    assert_int_equal(sl_rows_find(rows, 0), SL_ROWS_NONE);
    assert_row(rows, sl_rows_find(rows, 1), 1, 5);
    assert_row(rows, sl_rows_first(rows), 1, 5);
    assert_valid(sl_rows_validate, rows);
    sl_rows_close(&rows);
}

static void test_rows_at_a_place_that_is_no_begin_finds_nothing(void **state)
{
    (void)state;
    sl_rows *rows = open_rows(8192);
    uint32_t place = append(rows, 0, 5);
    sl_row row;
    for (uint32_t i = 0; i < 2000; i++) {
        assert_int_equal(sl_rows_at(rows, i, &row), i == place);
    }
    assert_false(sl_rows_at(rows, SL_ROWS_NONE, &row));
    sl_rows_close(&rows);
}

/* The model: sizes of rows by offset, the first that lives, and which were erased. */
typedef struct test_model {
    size_t id_size[N_MODEL];
    bool erased[N_MODEL];
    uint64_t first, n;
    uint64_t used, capacity;
} test_model;

static uint64_t bytes_of(const test_model *model, uint64_t offset)
{
    return sl_rows_row_bytes(PAYLOAD_BYTES, (uint32_t)model->id_size[offset] + 3);
}

static void model_append(test_model *model, size_t id_size)
{
    model->id_size[model->n] = id_size;
    uint64_t need = bytes_of(model, model->n);
    while (model->used + need > model->capacity) {
        model->used -= model->erased[model->first] ? 0 : bytes_of(model, model->first);
        model->first++;
    }
    model->used += need;
    model->n++;
}

static void assert_as_model(const sl_rows *rows, const test_model *model)
{
    uint32_t place = sl_rows_first(rows);
    uint64_t n = 0;
    for (uint64_t i = model->first; i < model->n; i++) {
        if (!model->erased[i]) {
            assert_row(rows, place, i, model->id_size[i]);
            assert_int_equal(sl_rows_find(rows, i), place);
            place = sl_rows_next(rows, place);
            n++;
        } else {
            assert_int_equal(sl_rows_find(rows, i), SL_ROWS_NONE);
        }
    }
    assert_int_equal(place, SL_ROWS_NONE);
    assert_int_equal(sl_rows_count(rows), n);
    assert_int_equal(sl_rows_used_bytes(rows), model->used);
}

/* Often all of them: an empty ring must work again too. */
static void erase_some(sl_rows *rows, test_model *model, uint64_t *random)
{
    uint32_t one_in = random_below(random, 4) == 0 ? 1 : 1 + random_below(random, 20);
    for (uint64_t i = model->first; i < model->n; i++) {
        if (!model->erased[i] && random_below(random, one_in) == 0) {
            sl_rows_erase(rows, sl_rows_find(rows, i));
            model->erased[i] = true;
            model->used -= bytes_of(model, i);
            assert_valid(sl_rows_validate, rows);
        }
    }
    if (sl_rows_has_gaps(rows)) {
        sl_rows_compact(rows);
    }
}

static void run_against_model(uint64_t seed, bool erases)
{
    sl_rows_options options = {6000 + seed % 7 * 8, PAYLOAD_BYTES, 0};
    sl_rows *rows = open_rows(options.memory_bytes);
    test_model *model = calloc(1, sizeof *model);
    assert_non_null(model);
    model->capacity = sl_rows_capacity_of(&options);
    uint64_t random = seed;
    while (model->n < N_MODEL) {
        uint32_t longest = random_below(&random, 3) == 0 ? SLUICE_LIMIT_ID_BYTES : 20;
        size_t id_size = 1 + random_below(&random, longest);
        append(rows, model->n, id_size);
        model_append(model, id_size);
        if (erases && random_below(&random, 50) == 0) {
            erase_some(rows, model, &random);
        }
        assert_valid(sl_rows_validate, rows);
        assert_as_model(rows, model);
    }
    free(model);
    sl_rows_close(&rows);
}

static void test_rows_of_random_lengths_live_as_a_list_says(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        run_against_model(seed, false);
    }
}

static void test_rows_compact_after_erasing_leaves_the_others(void **state)
{
    (void)state;
    for (uint64_t seed = 11; seed <= 20; seed++) {
        run_against_model(seed, true);
    }
}

static void test_rows_lower_finds_the_oldest_at_or_above(void **state)
{
    (void)state;
    sl_rows *rows = open_rows(8192);
    for (uint64_t i = 0; i < 300; i++) {
        append(rows, 2 * i, 5);
    }
    sl_row row;
    assert_true(sl_rows_at(rows, sl_rows_lower(rows, 541, INT64_MIN), &row));
    assert_int_equal(row.offset, 542);
    assert_true(sl_rows_at(rows, sl_rows_lower(rows, 542, INT64_MIN), &row));
    assert_int_equal(row.offset, 542);
    assert_true(sl_rows_at(rows, sl_rows_lower(rows, 0, 5801), &row));
    assert_int_equal(row.offset, 582);
    assert_int_equal(sl_rows_lower(rows, 599, INT64_MIN), SL_ROWS_NONE);
    assert_int_equal(sl_rows_lower(rows, 0, INT64_MIN), sl_rows_first(rows));
    sl_rows_close(&rows);
}

static bool shows(uint64_t samples, uint64_t age_us, sl_row row, uint64_t offset,
                  int64_t arrived_us)
{
    sl_window window = {samples, age_us};
    sl_horizon horizon = sl_window_horizon(&window, offset, arrived_us);
    return sl_horizon_shows(&horizon, &row);
}

static void test_window_of_samples_ends_at_its_limit(void **state)
{
    (void)state;
    sl_row row = {.offset = 100};
    assert_true(shows(10, 0, row, 110, 0));
    assert_false(shows(10, 0, row, 111, 0));
    assert_true(shows(200, 0, row, 110, 0)); /* larger than the log */
    assert_true(shows(0, 0, row, UINT64_MAX - 1, 0));
    assert_false(shows(0, 0, row, 100, 0)); /* itself */
}

static void test_window_of_age_ends_at_its_limit(void **state)
{
    (void)state;
    sl_row row = {.offset = 1, .arrived_us = 1000};
    assert_true(shows(0, 50, row, 9, 1050));
    assert_false(shows(0, 50, row, 9, 1051));
    assert_true(shows(0, UINT64_MAX, row, 9, INT64_MAX));
    row.arrived_us = INT64_MIN;
    assert_true(shows(0, UINT64_MAX, row, 9, INT64_MAX));
    assert_false(shows(0, UINT64_MAX - 1, row, 9, INT64_MAX));
    assert_true(shows(0, 50, row, 9, INT64_MIN + 50));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_ids_of_1_and_256_bytes_come_back),
        cmocka_unit_test(test_rows_open_without_room_for_the_longest_row_is_refused),
        cmocka_unit_test(test_rows_append_beyond_capacity_evicts_the_oldest),
        cmocka_unit_test(test_rows_at_a_place_that_is_no_begin_finds_nothing),
        cmocka_unit_test(test_rows_of_random_lengths_live_as_a_list_says),
        cmocka_unit_test(test_rows_compact_after_erasing_leaves_the_others),
        cmocka_unit_test(test_rows_lower_finds_the_oldest_at_or_above),
        cmocka_unit_test(test_window_of_samples_ends_at_its_limit),
        cmocka_unit_test(test_window_of_age_ends_at_its_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
