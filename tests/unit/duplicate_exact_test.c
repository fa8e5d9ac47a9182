/* duplicate_exact_test.c - equal bytes, equal normalized text, and redeliveries. */
#include "duplicate/exact.h"
#include "duplicate_samples.h"

static sl_exact *open_exact(const sluice_config *config)
{
    sl_exact *exact;
    assert_int_equal(sl_exact_open(config, &exact, NULL), SLUICE_OK);
    return exact;
}

static sl_exact *open_default(void)
{
    sluice_config config = make_config(64 << 10, 0);
    return open_exact(&config);
}

static void insert(sl_exact *exact, const sluice_sample *sample)
{
    sl_exact_insert(exact, sample);
    assert_valid(sl_exact_validate, exact);
}

/* UINT64_MAX: nothing found. */
static uint64_t probe(const sl_exact *exact, const sluice_sample *sample, bool *redelivered)
{
    sluice_match match = {0};
    if (!sl_exact_probe(exact, sample, &match)) {
        return UINT64_MAX;
    }
    assert_int_equal(match.method, SLUICE_METHOD_EXACT);
    assert_true(match.similarity == 1.0f);
    *redelivered = match.redelivered;
    return match.of_offset;
}

static void test_exact_probe_same_bytes_finds_it(void **state)
{
    (void)state;
    sl_exact *exact = open_default();
    sluice_sample first = make_sample(0, 1, "a", "s");
    sluice_sample second = make_sample(1, 1, "b", "s");
    bool redelivered = true;
    assert_int_equal(probe(exact, &second, &redelivered), UINT64_MAX);
    insert(exact, &first);
    assert_int_equal(probe(exact, &second, &redelivered), 0);
    assert_false(redelivered);
    sl_exact_close(&exact);
}

static void test_exact_probe_same_normal_text_other_bytes_finds_it(void **state)
{
    (void)state;
    sl_exact *exact = open_default();
    sluice_sample first = make_sample(0, 1, "a", "s");
    insert(exact, &first);
    sluice_sample second = make_sample(1, 1, "a", "s");
    second.features.raw_hash[1]++; /* one bit of 128 is enough */
    bool redelivered = true;
    assert_int_equal(probe(exact, &second, &redelivered), 0);
    assert_false(redelivered); /* the same id, but not the same message */
    second.features.normal_hash[1]++;
    assert_int_equal(probe(exact, &second, &redelivered), UINT64_MAX);
    sl_exact_close(&exact);
}

static void test_exact_probe_same_bytes_producer_and_id_is_redelivered(void **state)
{
    (void)state;
    sl_exact *exact = open_default();
    sluice_sample first = make_sample(0, 1, "a", "s");
    insert(exact, &first);
    sluice_sample again = make_sample(1, 1, "a", "other");
    bool redelivered = false;
    assert_int_equal(probe(exact, &again, &redelivered), 0);
    assert_true(redelivered);
    again.i_producer = 1;
    assert_int_equal(probe(exact, &again, &redelivered), 0);
    assert_false(redelivered);
    sl_exact_close(&exact);
}

static void test_exact_probe_redelivered_wins_over_older_copy(void **state)
{
    (void)state;
    sl_exact *exact = open_default();
    const char *ids[] = {"a", "b", "c"};
    for (uint64_t i = 0; i < 3; i++) { /* the policy kept the copies */
        sluice_sample sample = make_sample(i, 1, ids[i], "s");
        insert(exact, &sample);
    }
    bool redelivered = false;
    sluice_sample again = make_sample(3, 1, "b", "s");
    assert_int_equal(probe(exact, &again, &redelivered), 1);
    assert_true(redelivered);
    sluice_sample copy = make_sample(3, 1, "d", "s");
    assert_int_equal(probe(exact, &copy, &redelivered), 0); /* ties to the smallest offset */
    assert_false(redelivered);
    sl_exact_close(&exact);
}

static void test_exact_absent_hashes_never_match(void **state)
{
    (void)state;
    sl_exact *exact = open_default();
    sluice_sample image = make_sample(0, 1, "a", "s");
    image.features.has = SLUICE_HAS_RAW;
    insert(exact, &image);
    sluice_sample text = make_sample(1, 1, "b", "s");
    bool redelivered;
    text.features.has = SLUICE_HAS_NORMAL;
    assert_int_equal(probe(exact, &text, &redelivered), UINT64_MAX);
    text.features.has = SLUICE_HAS_RAW;
    assert_int_equal(probe(exact, &text, &redelivered), 0);
    text.features.has = SLUICE_HAS_SKETCH;
    insert(exact, &text); /* nothing to remember */
    assert_int_equal(sl_index_usage(sl_exact_index(exact)).rows, 1);
    sl_exact_close(&exact);
}

static void test_exact_forget_uncovers_the_next_copy(void **state)
{
    (void)state;
    sl_exact *exact = open_default();
    for (uint64_t i = 0; i < 15; i++) { /* more than a bucket holds */
        sluice_sample sample = make_sample(i, 1, "a", "s");
        sample.i_producer = (uint32_t)i;
        insert(exact, &sample);
    }
    sluice_sample copy = make_sample(15, 1, "b", "s");
    bool redelivered;
    assert_int_equal(probe(exact, &copy, &redelivered), 5);
    assert_true(sl_exact_forget(exact, 5));
    assert_int_equal(probe(exact, &copy, &redelivered), 4); /* as if 5 had never come */
    assert_true(sl_exact_forget(exact, 4));
    assert_true(sl_exact_forget(exact, 14));
    assert_false(sl_exact_forget(exact, 14));
    assert_int_equal(probe(exact, &copy, &redelivered), 2);
    assert_valid(sl_exact_validate, exact);
    sl_exact_close(&exact);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact_probe_same_bytes_finds_it),
        cmocka_unit_test(test_exact_probe_same_normal_text_other_bytes_finds_it),
        cmocka_unit_test(test_exact_probe_same_bytes_producer_and_id_is_redelivered),
        cmocka_unit_test(test_exact_probe_redelivered_wins_over_older_copy),
        cmocka_unit_test(test_exact_absent_hashes_never_match),
        cmocka_unit_test(test_exact_forget_uncovers_the_next_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
