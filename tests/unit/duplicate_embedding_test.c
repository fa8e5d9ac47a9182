/* duplicate_embedding_test.c - embeddings are found by cosine, within one encoder and the window.
 */
#include "duplicate/embedding.h"
#include "duplicate/cosine.h"
#include "unit/embedding_samples.h"

#define DIM 64

typedef struct test_index {
    sl_sign_sketch *sketch;
    sl_embedding *embedding;
    sluice_config config;
    uint64_t random, n;
    vector_room room;
} test_index;

static test_index open_index(uint64_t memory, double threshold)
{
    test_index index = {.config = make_config(1 << 20, 1 << 20), .random = 17};
    index.config.duplicate.embedding_memory = memory;
    index.config.duplicate.embedding_threshold = threshold;
    assert_int_equal(sl_sign_sketch_open(1, &index.sketch), SLUICE_OK);
    assert_int_equal(sl_embedding_open(&index.config, &index.embedding, NULL), SLUICE_OK);
    return index;
}

static void close_index(test_index *index)
{
    assert_valid(sl_embedding_validate, index->embedding);
    sl_embedding_close(&index->embedding);
    sl_sign_sketch_close(&index->sketch);
}

static void insert(test_index *index, const float *row, uint32_t dim, uint32_t encoder)
{
    memcpy(index->room.row, row, dim * sizeof *row);
    sluice_sample sample =
        make_vector_sample(index->sketch, index->n++, dim, encoder, &index->room);
    sl_embedding_insert(index->embedding, &sample);
}

static sluice_match probe(test_index *index, const float *row, uint32_t dim, uint32_t encoder)
{
    sluice_match match = {.method = SLUICE_METHOD_NONE};
    memcpy(index->room.row, row, dim * sizeof *row);
    sluice_sample sample = make_vector_sample(index->sketch, index->n, dim, encoder, &index->room);
    bool found = sl_embedding_probe(index->embedding, &sample, &match);
    assert_int_equal(found, match.method == SLUICE_METHOD_EMBEDDING);
    return match;
}

static void test_embedding_probe_tells_the_cosine_and_names_the_row(void **state)
{
    (void)state;
    const uint32_t dims[] = {8, 9, 31, 384, 768, 4095, 4096};
    static float kept[SLUICE_EMBEDDING_MAX], near[SLUICE_EMBEDDING_MAX];
    for (size_t i = 0; i < sizeof dims / sizeof dims[0]; i++) {
        test_index index = open_index(1 << 20, 0.9);
        draw_unit(kept, dims[i], &index.random);
        insert(&index, kept, dims[i], 1);
        draw_near(kept, 0.93, near, dims[i], &index.random);
        sluice_match match = probe(&index, near, dims[i], 1);
        assert_int_equal(match.method, SLUICE_METHOD_EMBEDDING);
        assert_float_equal(match.similarity, 0.93, 3e-5);
        assert_int_equal(match.of_offset, 0);
        assert_true(sl_span_equal(match.of_id, sl_span_of("v0")));
        assert_true(sl_span_equal(match.of_source, sl_span_of("source")));
        match = probe(&index, kept, dims[i], 1);
        assert_true(match.similarity == 1.0f);
        draw_near(kept, 0.89, near, dims[i], &index.random);
        assert_int_equal(probe(&index, near, dims[i], 1).method, SLUICE_METHOD_NONE);
        close_index(&index);
    }
}

/* What is below the threshold in double precision is never found, however near; what is above it
 * by more than the stated error always is. */
static void test_embedding_threshold_holds_to_the_last_digit(void **state)
{
    (void)state;
    test_index index = open_index(4 << 20, 0.95);
    static float kept[2000][DIM], near[DIM];
    uint32_t n_near = 0;
    for (int i = 0; i < 2000; i++) {
        draw_unit(kept[i], DIM, &index.random);
        kept[i][0] += 1; /* one large number makes all others coarse */
        make_unit(kept[i], DIM);
        for (uint32_t k = DIM / 2; k < DIM && i % 2 == 0; k++) {
            kept[i][k] = -kept[i][k];
        }
        insert(&index, kept[i], DIM, 1);
    }
    for (int i = 0; i < 2000; i++) {
        double wanted = 0.95 + ((double)random_below(&index.random, 2001) - 1400) * 1e-8;
        draw_near(kept[i], wanted, near, DIM, &index.random);
        double cosine = cosine_of(kept[i], near, DIM);
        bool found = probe(&index, near, DIM, 1).method != SLUICE_METHOD_NONE;
        assert_false(found && cosine < 0.95 - 4e-7);
        assert_false(!found && cosine > 0.95 + 1e-4);
        n_near += fabs(cosine - 0.95) < 1e-4;
    }
    assert_true(n_near > 1500);
    close_index(&index);
}

static void test_embedding_of_identical_vectors_is_found_at_threshold_one(void **state)
{
    (void)state;
    test_index index = open_index(1 << 20, 1);
    float row[DIM];
    for (int i = 0; i < 200; i++) {
        draw_unit(row, DIM, &index.random);
        insert(&index, row, DIM, 1);
        assert_int_equal(probe(&index, row, DIM, 1).of_offset, i);
    }
    close_index(&index);
}

static void test_embedding_of_two_encoders_or_dimensions_never_meet(void **state)
{
    (void)state;
    test_index index = open_index(1 << 20, 0.5);
    float row[2 * DIM] = {0};
    for (int i = 0; i < 100; i++) {
        draw_unit(row, DIM, &index.random);
        insert(&index, row, DIM, 1);
        assert_int_equal(probe(&index, row, DIM, 2).method, SLUICE_METHOD_NONE);
        memset(row + DIM, 0, DIM * sizeof *row);
        assert_int_equal(probe(&index, row, 2 * DIM, 1).method, SLUICE_METHOD_NONE);
        assert_int_equal(probe(&index, row, DIM, 1).of_offset, i);
        sluice_sample sample = make_vector_sample(index.sketch, index.n, DIM, 1, &index.room);
        sample.features.embedding_key = 2; /* as if the bits of the two met by chance */
        sluice_match match;
        assert_false(sl_embedding_probe(index.embedding, &sample, &match));
    }
    close_index(&index);
}

static void test_embedding_of_the_highest_cosine_is_named_then_the_oldest(void **state)
{
    (void)state;
    test_index index = open_index(1 << 20, 0.9);
    float row[DIM], near[DIM];
    draw_unit(row, DIM, &index.random);
    draw_near(row, 0.95, near, DIM, &index.random);
    insert(&index, near, DIM, 1);
    draw_near(row, 0.99, near, DIM, &index.random);
    insert(&index, near, DIM, 1);
    insert(&index, near, DIM, 1); /* a policy keeps it: the same vector, younger */
    draw_near(row, 0.97, near, DIM, &index.random);
    insert(&index, near, DIM, 1);
    assert_int_equal(probe(&index, row, DIM, 1).of_offset, 1);
    close_index(&index);
}

static void test_embedding_window_of_count_and_age_ends(void **state)
{
    (void)state;
    float rows[100][DIM];
    for (int by_age = 0; by_age < 2; by_age++) {
        test_index index = open_index(1 << 20, 0.9);
        sl_embedding_close(&index.embedding);
        index.config.duplicate.window_samples = by_age ? 0 : 40;
        index.config.duplicate.window_age_us = by_age ? 40000 : 0;
        assert_int_equal(sl_embedding_open(&index.config, &index.embedding, NULL), SLUICE_OK);
        for (int i = 0; i < 100; i++) {
            draw_unit(rows[i], DIM, &index.random);
            insert(&index, rows[i], DIM, 1);
        }
        for (int i = 0; i < 100; i++) {
            assert_int_equal(probe(&index, rows[i], DIM, 1).method == SLUICE_METHOD_EMBEDDING,
                             i >= 60);
        }
        index.n += 20; /* dropped samples push the window on, too */
        for (int i = 0; i < 100; i++) {
            assert_int_equal(probe(&index, rows[i], DIM, 1).method == SLUICE_METHOD_EMBEDDING,
                             i >= 80);
        }
        close_index(&index);
    }
}

static void test_embedding_budget_evicts_the_oldest_first(void **state)
{
    (void)state;
    test_index index = open_index(100 << 10, 0.9);
    static float rows[400][384];
    uint64_t n_max = sl_embedding_rows_of(&index.config, 384, 16);
    assert_in_range(n_max, 50, 110);
    for (int i = 0; i < 400; i++) {
        draw_unit(rows[i], 384, &index.random);
        insert(&index, rows[i], 384, 1);
        assert_valid(sl_embedding_validate, index.embedding);
    }
    sl_duplicate_usage usage = sl_embedding_usage(index.embedding);
    assert_true(usage.rows >= n_max && usage.rows <= usage.rows_max);
    assert_int_equal(usage.evicted, 400 - usage.rows);
    assert_true(usage.bytes <= usage.bytes_max && usage.bytes_max < 100 << 10);
    for (uint32_t i = 0; i < 400; i++) {
        assert_int_equal(probe(&index, rows[i], 384, 1).method == SLUICE_METHOD_EMBEDDING,
                         i >= 400 - usage.rows);
    }
    close_index(&index);
}

/* Short vectors fill the count, long ones the bytes; both at once stay in order. */
static void test_embedding_budget_holds_for_any_mixture_of_dimensions(void **state)
{
    (void)state;
    test_index index = open_index(64 << 10, 0.9);
    static float row[SLUICE_EMBEDDING_MAX];
    for (int i = 0; i < 3000; i++) {
        uint32_t dim = i % 700 < 350 ? 8 : 8 + random_below(&index.random, 4089);
        draw_unit(row, dim, &index.random);
        insert(&index, row, dim, 1);
        sluice_match match = probe(&index, row, dim, 1);
        assert_int_equal(match.of_offset, i);
        if (i % 100 == 0) {
            assert_valid(sl_embedding_validate, index.embedding);
        }
    }
    close_index(&index);
}

static void test_embedding_forgotten_is_not_found_and_the_others_are(void **state)
{
    (void)state;
    test_index index = open_index(1 << 20, 0.9);
    static float rows[300][DIM];
    for (int i = 0; i < 300; i++) {
        draw_unit(rows[i], DIM, &index.random);
        insert(&index, rows[i], DIM, 1);
    }
    for (uint64_t offset = 0; offset < 300; offset += 3) {
        assert_true(sl_embedding_forget(index.embedding, offset));
        assert_false(sl_embedding_forget(index.embedding, offset));
        assert_valid(sl_embedding_validate, index.embedding);
    }
    for (uint32_t i = 0; i < 300; i++) {
        sluice_match match = probe(&index, rows[i], DIM, 1);
        assert_int_equal(match.method == SLUICE_METHOD_EMBEDDING, i % 3 != 0);
        assert_true(i % 3 == 0 || match.of_offset == i);
    }
    close_index(&index);
}

/* A policy that keeps what is the same: more rows within the bounds than are ever compared. */
static void test_embedding_flood_of_kept_copies_names_the_oldest(void **state)
{
    (void)state;
    test_index index = open_index(4 << 20, 0.95);
    float row[DIM], near[DIM];
    draw_unit(row, DIM, &index.random);
    for (int i = 0; i < 3000; i++) {
        insert(&index, row, DIM, 1);
    }
    sluice_match match = probe(&index, row, DIM, 1);
    assert_int_equal(match.of_offset, 0);
    assert_true(match.similarity == 1.0f);
    draw_near(row, 0.96, near, DIM, &index.random);
    assert_int_equal(probe(&index, near, DIM, 1).of_offset, 0);
    draw_near(row, 0.94, near, DIM, &index.random);
    assert_int_equal(probe(&index, near, DIM, 1).method, SLUICE_METHOD_NONE);
    close_index(&index);
}

/* Thousands that are all just below the threshold of each other; the one duplicate is nearer. */
static void test_embedding_in_a_thick_shell_is_found(void **state)
{
    (void)state;
    test_index index = open_index(8 << 20, 0.95);
    static float rows[5000][384];
    float centre[384], near[384];
    uint32_t n_found = 0;
    draw_unit(centre, 384, &index.random);
    for (int i = 0; i < 5000; i++) {
        draw_near(centre, 0.96, rows[i], 384, &index.random); /* .92 of each other */
        insert(&index, rows[i], 384, 1);
    }
    for (int i = 0; i < 100; i++) {
        draw_near(rows[i * 50], 0.975, near, 384, &index.random);
        sluice_match match = probe(&index, near, 384, 1);
        n_found += match.method == SLUICE_METHOD_EMBEDDING;
        assert_true(match.method == SLUICE_METHOD_NONE || match.of_offset == (uint64_t)i * 50);
    }
    print_message("%u of 100 found among 5,000 that resemble each other\n", n_found);
    assert_true(n_found >= 95);
    close_index(&index);
}

static void test_embedding_memory_too_small_is_refused(void **state)
{
    (void)state;
    sluice_config config = make_config(1 << 20, 1 << 20);
    config.duplicate.embedding_memory = 10000;
    sl_embedding *embedding;
    sluice_message why;
    assert_int_equal(sl_embedding_open(&config, &embedding, &why), SLUICE_E_CONFIG);
    assert_null(embedding);
    assert_non_null(strstr(why.text, "duplicate.embedding.memory"));
}

static void test_embedding_bytes_a_row_are_bounded(void **state)
{
    (void)state;
    sluice_config config = make_config(1 << 20, 1 << 20);
    const struct {
        uint64_t memory;
        double threshold, most;
        bool has_keys;
    } cases[] = {{UINT64_C(32) << 20, 0.95, 110, false},
                 {UINT64_C(255) << 20, 0.95, 110, false},
                 {UINT64_C(320) << 20, 0.95, 220, true},
                 {UINT64_C(320) << 20, 0.80, 110, false},
                 {UINT64_C(1) << 30, 0.90, 220, true}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        config.duplicate.embedding_memory = cases[i].memory;
        config.duplicate.embedding_threshold = cases[i].threshold;
        assert_int_equal(sl_embedding_has_keys(&config), cases[i].has_keys);
        double rows = (double)sl_embedding_rows_of(&config, 384, 16);
        double bytes = (double)cases[i].memory / rows - 2 * 384 - 16 - 8;
        print_message("%llu MiB, %.2f: %.0f rows, %.1f bytes each without vector and names\n",
                      (unsigned long long)cases[i].memory >> 20, cases[i].threshold, rows, bytes);
        assert_true(bytes <= cases[i].most);
    }
}

/* The least it may be is below the true cosine, and not far below. */
static void test_cosine_at_least_holds(void **state)
{
    (void)state;
    uint64_t random = 23;
    static float a[SLUICE_EMBEDDING_MAX], b[SLUICE_EMBEDDING_MAX];
    static uint8_t vector[2 * SLUICE_EMBEDDING_MAX];
    static sl_cosine_query query;
    for (int i = 0; i < 3000; i++) {
        uint32_t dim = 8 + random_below(&random, i % 20 == 0 ? 4089 : 600);
        draw_unit(a, dim, &random);
        a[0] += (float)random_below(&random, 3) * 0.3f; /* one large number spoils the others */
        make_unit(a, dim);
        draw_near(a, 0.5 + (double)random_below(&random, 500) * 1e-3, b, dim, &random);
        double truth = cosine_of(a, b, dim);
        sl_sign_quantize(a, dim, sl_kernel_best(), vector);
        sl_cosine_ask(b, dim, &query);
        sl_cosine cosine = sl_cosine_of(&query, vector);
        assert_true(cosine.at_least <= truth + 2e-7);
        assert_true(cosine.at_least >= truth - 1e-3);
        assert_true(fabs(cosine.value - truth) <= cosine.value - cosine.at_least + 2e-7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_embedding_probe_tells_the_cosine_and_names_the_row),
        cmocka_unit_test(test_embedding_threshold_holds_to_the_last_digit),
        cmocka_unit_test(test_embedding_of_identical_vectors_is_found_at_threshold_one),
        cmocka_unit_test(test_embedding_of_two_encoders_or_dimensions_never_meet),
        cmocka_unit_test(test_embedding_of_the_highest_cosine_is_named_then_the_oldest),
        cmocka_unit_test(test_embedding_window_of_count_and_age_ends),
        cmocka_unit_test(test_embedding_budget_evicts_the_oldest_first),
        cmocka_unit_test(test_embedding_budget_holds_for_any_mixture_of_dimensions),
        cmocka_unit_test(test_embedding_forgotten_is_not_found_and_the_others_are),
        cmocka_unit_test(test_embedding_flood_of_kept_copies_names_the_oldest),
        cmocka_unit_test(test_embedding_in_a_thick_shell_is_found),
        cmocka_unit_test(test_embedding_memory_too_small_is_refused),
        cmocka_unit_test(test_embedding_bytes_a_row_are_bounded),
        cmocka_unit_test(test_cosine_at_least_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
