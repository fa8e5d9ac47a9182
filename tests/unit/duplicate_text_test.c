/* duplicate_text_test.c - banded candidates, verified on the whole sketch. */
#include "duplicate/text.h"
#include "duplicate_samples.h"

#include "duplicate/agreement.h"

static sl_text *open_text(double threshold)
{
    sluice_config config = make_config(0, 256 << 10);
    config.duplicate.text_threshold = threshold;
    sl_text *text;
    assert_int_equal(sl_text_open(&config, &text, NULL), SLUICE_OK);
    return text;
}

static void insert(sl_text *text, const sluice_sample *sample)
{
    sl_text_insert(text, sample);
    assert_valid(sl_text_validate, text);
}

/* UINT64_MAX: nothing found. */
static uint64_t probe(const sl_text *text, const sluice_sample *sample, float *similarity)
{
    sluice_match match = {0};
    if (!sl_text_probe(text, sample, &match)) {
        return UINT64_MAX;
    }
    assert_int_equal(match.method, SLUICE_METHOD_TEXT);
    assert_false(match.redelivered);
    *similarity = match.similarity;
    return match.of_offset;
}

static void test_text_probe_at_the_threshold_finds_and_below_does_not(void **state)
{
    (void)state;
    sl_text *text = open_text(0.8);
    uint32_t n_least = sl_agreement_least(0.8f);
    sluice_sample kept = make_sample(0, 1, "a", "s");
    insert(text, &kept);
    sluice_sample other = make_sample(1, 2, "b", "s");
    float similarity = 0;
    make_agree(&other, &kept, n_least);
    assert_int_equal(probe(text, &other, &similarity), 0);
    assert_true(similarity == sl_agreement_similarity(n_least));
    make_agree(&other, &kept, n_least - 1);
    assert_int_equal(probe(text, &other, &similarity), UINT64_MAX);
    sl_text_close(&text);
}

static void test_text_probe_takes_highest_similarity_then_smallest_offset(void **state)
{
    (void)state;
    sl_text *text = open_text(0.8);
    sluice_sample center = make_sample(9, 1, "x", "s");
    static const uint32_t agree[] = {110, 120, 120, 112};
    for (uint64_t i = 0; i < 4; i++) {
        sluice_sample kept = make_sample(i, 2, "a", "s");
        make_agree(&kept, &center, agree[i]);
        insert(text, &kept);
    }
    float similarity = 0;
    assert_int_equal(probe(text, &center, &similarity), 1);
    assert_true(similarity == sl_agreement_similarity(120));
    sl_text_close(&text);
}

static void test_text_profiles_never_meet(void **state)
{
    (void)state;
    sl_text *text = open_text(0);
    sluice_sample kept = make_sample(0, 1, "a", "s");
    insert(text, &kept);
    sluice_sample same = make_sample(1, 1, "b", "s");
    float similarity = 0;
    assert_int_equal(probe(text, &same, &similarity), 0);
    for (int i = 0; i < 256; i++) { /* also profiles that are none */
        same.features.profile = (uint8_t)i;
        assert_int_equal(probe(text, &same, &similarity),
                         i == SLUICE_PROFILE_NEWS ? 0 : UINT64_MAX);
    }
    same.features.profile = SLUICE_PROFILE_PROSE; /* the same bands, but for the profile */
    insert(text, &same);
    assert_int_equal(probe(text, &same, &similarity), UINT64_MAX); /* itself */
    same.offset++;
    assert_int_equal(probe(text, &same, &similarity), 1);
    sl_text_close(&text);
}

static void test_text_profile_with_bands_of_4_finds_half_similar(void **state)
{
    (void)state;
    sl_text *text = open_text(0);
    sluice_sample kept = make_sample(0, 1, "a", "s");
    kept.features.profile = SLUICE_PROFILE_RECORDS;
    insert(text, &kept);
    sluice_sample other = make_sample(1, 2, "b", "s");
    other.features.profile = SLUICE_PROFILE_RECORDS;
    make_agree(&other, &kept, 66);
    float similarity = 0;
    assert_int_equal(probe(text, &other, &similarity), 0);
    sl_text_close(&text);
}

static void test_text_threshold_1_needs_equal_normal_hash(void **state)
{
    (void)state;
    sl_text *text = open_text(1);
    sluice_sample kept = make_sample(0, 1, "a", "s");
    insert(text, &kept);
    sluice_sample same = make_sample(1, 1, "b", "s");
    float similarity = 0;
    assert_int_equal(probe(text, &same, &similarity), 0);
    assert_true(similarity == 1.0f);
    same.features.sketch[127]++;
    assert_int_equal(probe(text, &same, &similarity), UINT64_MAX);
    same = make_sample(1, 1, "b", "s");
    same.features.normal_hash[0] ^= 1;
    assert_int_equal(probe(text, &same, &similarity), UINT64_MAX);
    same = make_sample(1, 1, "b", "s");
    same.features.has = SLUICE_HAS_SKETCH;
    assert_int_equal(probe(text, &same, &similarity), UINT64_MAX);
    sl_text_close(&text);
}

static void test_text_without_sketch_is_not_remembered_and_finds_nothing(void **state)
{
    (void)state;
    sl_text *text = open_text(0);
    sluice_sample kept = make_sample(0, 1, "a", "s");
    kept.features.has = SLUICE_HAS_RAW | SLUICE_HAS_NORMAL;
    insert(text, &kept);
    assert_int_equal(sl_index_usage(sl_text_index(text)).rows, 0);
    sluice_sample same = make_sample(1, 1, "b", "s");
    float similarity = 0;
    assert_int_equal(probe(text, &same, &similarity), UINT64_MAX);
    insert(text, &same);
    kept.offset = 2;
    assert_int_equal(probe(text, &kept, &similarity), UINT64_MAX);
    sl_text_close(&text);
}

/* A policy that keeps every copy: a bucket that all of them fall into costs ten looks and names
 * the oldest of the ten. */
static void test_text_giant_bucket_answers_from_its_newest_ten(void **state)
{
    (void)state;
    sl_text *text = open_text(0.8);
    for (uint64_t i = 0; i < 300; i++) {
        sluice_sample copy = make_sample(i, 1, "a", "s");
        insert(text, &copy);
    }
    sluice_sample copy = make_sample(300, 1, "b", "s");
    float similarity = 0;
    assert_int_equal(probe(text, &copy, &similarity), 290);
    assert_true(sl_text_forget(text, 290));
    assert_int_equal(probe(text, &copy, &similarity), 289); /* as if 290 had never come */
    sl_text_close(&text);
}

/* `old` shares its first band with `center` and nothing else; `heir`, which gets the place of
 * `old`, agrees with `center` in 112 coordinates but in no whole band. The slot that `old` left
 * must not lead to `heir`: after a restart it would not be there. */
static void test_text_stale_slot_does_not_show_the_row_that_came_after(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        sl_text *text = open_text(0.8);
        sluice_sample center = make_sample(UINT64_MAX - 1, seed, "x", "s");
        sluice_sample old = make_sample(0, seed, "a", "s");
        make_agree(&old, &center, 8);
        insert(text, &old);
        uint64_t offset = 1;
        while (sl_index_usage(sl_text_index(text)).evicted < 8) { /* the ring has begun again */
            sluice_sample heir = make_sample(offset++, seed, "a", "s");
            for (uint32_t i = 0; i < SLUICE_SKETCH_COORDINATES; i += 8) {
                heir.features.sketch[i] = (uint8_t)(heir.features.sketch[i] + 1 + offset % 255);
            }
            sl_text_insert(text, &heir);
        }
        assert_valid(sl_text_validate, text);
        float similarity = 0;
        assert_int_equal(probe(text, &center, &similarity), UINT64_MAX);
        sl_text_close(&text);
    }
}

static void test_text_table_is_planned_for_the_profile(void **state)
{
    (void)state;
    sluice_config config = make_config(0, 1 << 20);
    assert_int_equal(sl_text_index_options(&config).n_keys, 24); /* auto: 16 to 32 */
    config.duplicate.text_profile = SLUICE_PROFILE_NEWS;
    assert_int_equal(sl_text_index_options(&config).n_keys, 16);
    config.duplicate.text_profile = SLUICE_PROFILE_RECORDS;
    assert_int_equal(sl_text_index_options(&config).n_keys, 32);
}

/* Ten kept texts fill a bucket with one band. It names nobody alone; a second band does. */
static void test_text_hot_band_names_nobody_alone(void **state)
{
    (void)state;
    for (uint32_t n_kept = 9; n_kept <= 10; n_kept++) {
        sl_text *text = open_text(0.05);
        sluice_sample center = make_sample(99, 1, "x", "s");
        for (uint64_t i = 0; i < n_kept; i++) {
            sluice_sample kept = make_sample(i, 2 + i, "a", "s");
            memcpy(kept.features.sketch, center.features.sketch, 8);
            insert(text, &kept);
        }
        float similarity = 0;
        uint64_t found = probe(text, &center, &similarity);
        assert_int_equal(found == UINT64_MAX, n_kept == 10);
        assert_int_equal(sl_text_hot_bands(text), n_kept == 10);
        sluice_sample second = make_sample(50, 70, "b", "s");
        memcpy(second.features.sketch, center.features.sketch, 16);
        insert(text, &second);
        assert_int_equal(probe(text, &center, &similarity), 50);
        sl_text_close(&text);
    }
}

static sluice_sample half_common(uint64_t offset, uint64_t common, uint64_t own)
{
    sluice_sample sample = make_sample(offset, common, "a", "s");
    sluice_sample other = make_sample(offset, own, "a", "s");
    memcpy(sample.features.sketch + 72, other.features.sketch + 72, 56);
    sample.features.profile = SLUICE_PROFILE_RECORDS;
    return sample;
}

/* 72 of 128 coordinates are boilerplate that 400 texts share: more than the threshold, but it
 * weighs little. What is their own weighs. */
static void test_text_boilerplate_weighs_little(void **state)
{
    (void)state;
    sl_text *text = open_text(0);
    float similarity = 0;
    for (uint64_t i = 0; i < 400; i++) {
        sluice_sample kept = half_common(i, 1, 1000 + i);
        if (i == 2) {
            assert_true(probe(text, &kept, &similarity) < 2); /* it is not known to be common */
        }
        insert(text, &kept);
    }
    sluice_sample other = half_common(400, 1, 5000);
    assert_int_equal(probe(text, &other, &similarity), UINT64_MAX);
    other = half_common(400, 6000, 1250); /* less than half of the coordinates, but the rare ones */
    assert_int_equal(probe(text, &other, &similarity), UINT64_MAX);
    memcpy(other.features.sketch, half_common(0, 1, 1).features.sketch, 72);
    assert_int_equal(probe(text, &other, &similarity), 250);
    assert_true(similarity == 1.0f);
    sl_text_close(&text);
}

static void test_text_says_in_what_the_match_differs(void **state)
{
    (void)state;
    sl_text *text = open_text(0.8);
    sluice_sample kept = make_sample(0, 1, "a", "s");
    kept.features.trace[0] = 7;    /* words */
    kept.features.trace[3] = 0x10; /* numbers */
    kept.features.trace[4] = kept.features.trace[10] = 1;
    insert(text, &kept);
    sluice_sample other = kept;
    other.offset = 1;
    sluice_match match;
    assert_true(sl_text_probe(text, &other, &match));
    assert_int_equal(match.differs, SLUICE_DIFFERS_NONE);
    other.features.trace[3] = 0x20;
    assert_true(sl_text_probe(text, &other, &match));
    assert_int_equal(match.differs, SLUICE_DIFFERS_NUMBERS);
    sl_text_close(&text);
}

/* A later sample that agrees with an earlier one in n coordinates, both pages of some length. */
static sluice_sample like(sluice_sample kept, uint32_t n, uint32_t n_shingles)
{
    sluice_sample other = make_sample(kept.offset + 1, 77, "b", "s");
    memcpy(other.features.sketch, kept.features.sketch, n);
    other.features.profile = kept.features.profile;
    other.features.n_shingles = n_shingles;
    return other;
}

static void test_text_brief_must_be_more_alike(void **state)
{
    (void)state;
    sl_text *text = open_text(0);
    float similarity;
    sluice_sample kept = make_sample(0, 1, "a", "s");
    kept.features.profile = SLUICE_PROFILE_PAGES;
    kept.features.n_shingles = SL_TEXT_BRIEF - 1; /* of the row, which does not matter */
    insert(text, &kept);
    sluice_sample other = like(kept, 108, SL_TEXT_BRIEF);
    assert_int_equal(probe(text, &other, &similarity), 0);
    other = like(kept, 108, SL_TEXT_BRIEF - 1);
    assert_int_equal(probe(text, &other, &similarity), UINT64_MAX);
    other = like(kept, 116, SL_TEXT_BRIEF - 1);
    assert_int_equal(probe(text, &other, &similarity), 0);
    sl_text_close(&text);
}

static void test_text_of_other_numbers_is_another(void **state)
{
    (void)state;
    sl_text *text = open_text(0);
    float similarity;
    sl_row row;
    sluice_sample kept = make_sample(0, 1, "a", "s");
    kept.features.trace[3] = 0x10; /* numbers */
    kept.features.trace[4] = kept.features.trace[10] = 1;
    for (int i = 0; i < 2; i++) {
        kept.features.profile = i == 0 ? SLUICE_PROFILE_PAGES : SLUICE_PROFILE_NEWS;
        kept.offset = (uint64_t)i;
        insert(text, &kept);
        sluice_sample other = kept;
        other.offset = 2;
        assert_int_equal(probe(text, &other, &similarity), i);
        other.features.trace[3] = 0x20;
        assert_int_equal(probe(text, &other, &similarity), i == 0 ? UINT64_MAX : 1);
        assert_true(sl_rows_at(sl_text_index(text)->rows,
                               sl_rows_lower(sl_text_index(text)->rows, kept.offset, INT64_MIN),
                               &row));
        assert_int_equal(sl_text_compare(text, &other, &row, &similarity), i == 1);
        other.features.trace[0] = 5; /* words too: it is like any other change */
        assert_int_equal(probe(text, &other, &similarity), i);
    }
    sl_text_close(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_probe_at_the_threshold_finds_and_below_does_not),
        cmocka_unit_test(test_text_probe_takes_highest_similarity_then_smallest_offset),
        cmocka_unit_test(test_text_profiles_never_meet),
        cmocka_unit_test(test_text_profile_with_bands_of_4_finds_half_similar),
        cmocka_unit_test(test_text_threshold_1_needs_equal_normal_hash),
        cmocka_unit_test(test_text_without_sketch_is_not_remembered_and_finds_nothing),
        cmocka_unit_test(test_text_giant_bucket_answers_from_its_newest_ten),
        cmocka_unit_test(test_text_hot_band_names_nobody_alone),
        cmocka_unit_test(test_text_boilerplate_weighs_little),
        cmocka_unit_test(test_text_says_in_what_the_match_differs),
        cmocka_unit_test(test_text_brief_must_be_more_alike),
        cmocka_unit_test(test_text_of_other_numbers_is_another),
        cmocka_unit_test(test_text_table_is_planned_for_the_profile),
        cmocka_unit_test(test_text_stale_slot_does_not_show_the_row_that_came_after),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
