/* duplicate_contain_test.c - a short text inside a long one is found, by what both are known of. */
#include "duplicate/contain.h"
#include "duplicate/duplicate.h"
#include "duplicate/text.h"
#include "duplicate_samples.h"

static void test_contain_share_counts_up_to_what_both_are_known_of(void **state)
{
    (void)state;
    uint32_t a[SLUICE_BOTTOM_HASHES], b[SLUICE_BOTTOM_HASHES];
    for (uint32_t i = 0; i < SLUICE_BOTTOM_HASHES; i++) {
        a[i] = 100 * i;
        b[i] = 10 * i; /* up to 1,270: 13 hashes of a */
    }
    assert_true(sl_contain_share(a, 50, b, SLUICE_BOTTOM_HASHES) == 1.0F);
    assert_true(sl_contain_share(a, 5, b, SLUICE_BOTTOM_HASHES) == 1.0F);
    assert_true(sl_contain_share(a, 4, b, SLUICE_BOTTOM_HASHES) == 0.0F); /* too few */
    assert_true(sl_contain_share(a, 50, b, 0) == 0.0F);
    b[10]++;
    assert_float_equal(sl_contain_share(a, 50, b, SLUICE_BOTTOM_HASHES), 12.0F / 13, 1e-6F);
    /* A short b is known as a whole: what a has beyond it is not in it. */
    assert_float_equal(sl_contain_share(a, 50, b, 41), 4.0F / 50, 1e-6F);
    /* Both cut off: up to the smaller end. */
    assert_float_equal(sl_contain_share(b, 128, a, 128), 12.0F / 128, 1e-6F);
}

/* The first `n` of the hashes of a family, from `from` on in steps of `step`. */
static sluice_sample make_part(uint64_t offset, const char *id, uint32_t from, uint32_t n,
                               uint32_t step)
{
    sluice_sample sample = make_sample(offset, 100 + offset, id, "s");
    sample.features.has |= SLUICE_HAS_BOTTOM;
    sample.features.n_bottom = n < SLUICE_BOTTOM_HASHES ? n : SLUICE_BOTTOM_HASHES;
    for (uint32_t i = 0; i < sample.features.n_bottom; i++) {
        sample.features.bottom[i] = (from + i * step) * 1000;
    }
    return sample;
}

static sl_duplicate *open_duplicate(double containment, uint64_t window)
{
    sluice_config config = make_config(1 << 20, 2 << 20);
    config.duplicate.text_containment = containment;
    config.duplicate.window_samples = window;
    sl_duplicate *duplicate;
    assert_int_equal(sl_duplicate_open(&config, &duplicate, NULL), SLUICE_OK);
    return duplicate;
}

static void test_contain_names_the_long_text_and_is_no_match(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        sl_duplicate *duplicate = open_duplicate(i == 0 ? 0.8 : 0, 0);
        sluice_sample whole = make_part(0, "long", 0, 128, 1);
        sluice_sample other = make_part(1, "other", 1000, 128, 1);
        sl_duplicate_apply(duplicate, &whole);
        sl_duplicate_apply(duplicate, &other);
        sluice_sample part = make_part(2, "part", 3, 12, 10);
        sluice_match match;
        sl_duplicate_probe(duplicate, &part, &match);
        assert_int_equal(match.method, SLUICE_METHOD_NONE);
        assert_true(match.contained == (i == 0 ? 1.0F : 0.0F));
        assert_true(sl_span_equal(match.contained_in, sl_span_of(i == 0 ? "long" : "")));
        for (uint32_t j = 0; j < 3; j++) { /* 9 of 12: below */
            part.features.bottom[11 - j]++;
        }
        sl_duplicate_probe(duplicate, &part, &match);
        assert_true(match.contained == 0.0F);
        sl_duplicate_close(&duplicate);
    }
}

static void test_contain_forgets_with_the_row_and_the_window(void **state)
{
    (void)state;
    sl_duplicate *duplicate = open_duplicate(0.8, 10);
    sluice_sample whole = make_part(0, "long", 0, 128, 1);
    sluice_sample again = make_part(1, "again", 0, 128, 1);
    sl_duplicate_apply(duplicate, &whole);
    sl_duplicate_apply(duplicate, &again);
    sluice_match match;
    sluice_sample part = make_part(10, "part", 3, 12, 10);
    sl_duplicate_probe(duplicate, &part, &match);
    assert_true(sl_span_equal(match.contained_in, sl_span_of("long"))); /* the oldest */
    part.offset = 11;
    sl_duplicate_probe(duplicate, &part, &match);
    assert_true(sl_span_equal(match.contained_in, sl_span_of("again")));
    part.offset = 12;
    sl_duplicate_probe(duplicate, &part, &match);
    assert_true(match.contained == 0.0F);
    part.offset = 10;
    assert_true(sl_duplicate_forget(duplicate, 0));
    sl_duplicate_probe(duplicate, &part, &match);
    assert_true(sl_span_equal(match.contained_in, sl_span_of("again")));
    assert_valid(sl_duplicate_validate, duplicate);
    sl_duplicate_close(&duplicate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_contain_share_counts_up_to_what_both_are_known_of),
        cmocka_unit_test(test_contain_names_the_long_text_and_is_no_match),
        cmocka_unit_test(test_contain_forgets_with_the_row_and_the_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
