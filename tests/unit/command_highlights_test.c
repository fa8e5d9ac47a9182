/* command_highlights_test.c - which samples a report shows where many are equal, and how many. */
#include "bytes.h"
#include "command/highlights.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>
#include <jansson.h>
#include <math.h>

static int open_highlights(void **state)
{
    return sl_highlights_open(true, (sl_highlights **)state) == SLUICE_OK ? 0 : -1;
}

static int close_highlights(void **state)
{
    sl_highlights_close((sl_highlights **)state);
    return 0;
}

static void offer(sl_highlights *highlights, uint64_t offset, float self, sluice_method method,
                  float similarity, uint64_t of)
{
    char of_id[32];
    snprintf(of_id, sizeof of_id, "of %llu", (unsigned long long)of);
    sluice_sample sample = {
        .offset = offset,
        .id = sl_span_of("an id"),
        .source = sl_span_of("a"),
        .verdict = {.decision = SLUICE_KEEP},
        .scores = {
            .state = SLUICE_LIVE, .loss = NAN, .self = self, .leverage = NAN, .source_shift = NAN}};
    if (method != SLUICE_METHOD_NONE) {
        sample.match = (sluice_match){.method = method,
                                      .similarity = similarity,
                                      .of_id = sl_span_of(of_id),
                                      .of_source = sl_span_of("a")};
    }
    sl_highlights_offer(highlights, &sample);
}

static json_t *write_json(sl_highlights *highlights)
{
    sluice_bytes out = {0};
    assert_int_equal(sl_bytes_append(&out, "{\"x\": 0", 7), SLUICE_OK);
    assert_int_equal(sl_highlights_write(highlights, &out), SLUICE_OK);
    assert_int_equal(sl_bytes_append(&out, "}", 1), SLUICE_OK);
    json_t *json = json_loadb((const char *)out.data, out.size, 0, NULL);
    assert_non_null(json);
    sl_bytes_fini(&out);
    return json;
}

static json_int_t offset_at(const json_t *json, size_t list, size_t i)
{
    const json_t *top = json_array_get(json_object_get(json, "tops"), list);
    const json_t *pair = json_array_get(json_object_get(top, "samples"), i);
    return json_integer_value(json_array_get(pair, 1));
}

static void test_highlights_of_equal_values_the_older_stay(void **state)
{
    sl_highlights *highlights = *state;
    for (uint64_t i = 0; i < 40; i++) {
        offer(highlights, i, i == 30 ? 2 : i == 31 ? NAN : 1, SLUICE_METHOD_NONE, 0, 0);
    }
    json_t *json = write_json(highlights);
    assert_int_equal(offset_at(json, 0, 0), 30);
    for (size_t i = 1; i < SL_HIGHLIGHTS_TOP; i++) {
        assert_int_equal(offset_at(json, 0, i), i - 1);
        assert_int_equal(offset_at(json, 1, i), i); /* the lowest: the same, without the 2 */
    }
    assert_int_equal(json_object_size(json_object_get(json, "samples")), 11);
    json_decref(json);
}

static void test_highlights_show_one_pair_for_each_that_is_repeated(void **state)
{
    sl_highlights *highlights = *state;
    for (uint64_t i = 0; i < 100; i++) {
        offer(highlights, i, NAN, SLUICE_METHOD_TEXT, i % 2 == 0 ? 0.9F : 0.8F, i / 10);
    }
    for (uint64_t i = 100; i < 200; i++) {
        offer(highlights, i, NAN, SLUICE_METHOD_EXACT, 1, i);
    }
    offer(highlights, 200, NAN, SLUICE_METHOD_IMAGE, 0.5F, 0);
    json_t *json = write_json(highlights);
    const json_t *pairs = json_object_get(json, "pairs");
    assert_int_equal(json_array_size(pairs), SL_HIGHLIGHTS_PAIRS);
    for (size_t i = 0; i < SL_HIGHLIGHTS_PAIRS; i++) {
        const json_t *pair = json_array_get(pairs, i);
        json_int_t offset = json_integer_value(json_object_get(pair, "sample"));
        json_int_t expected = i == 0    ? 200                           /* the least alike first */
                              : i <= 10 ? 99 - 10 * (json_int_t)(i - 1) /* the newest of its ten */
                                        : 199 - (json_int_t)(i - 11);
        assert_int_equal(offset, expected);
        assert_true(json_is_null(json_object_get(pair, "of"))); /* there is no log to find it in */
    }
    const json_t *methods = json_object_get(json, "similarity");
    const json_t *text = json_array_get(methods, SLUICE_METHOD_TEXT - 1);
    assert_int_equal(json_integer_value(json_object_get(text, "n")), 100);
    json_decref(json);
}

/* Eight references, everything new: no more than is promised. */
static void test_highlights_are_bounded(void **state)
{
    sl_highlights *highlights = *state;
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    for (uint64_t i = 0; i < 5000; i++) {
        sluice_sample sample = {.offset = i,
                                .id = sl_span_of("an id"),
                                .scores = {.state = SLUICE_LIVE, .n_toward = 8}};
        uint32_t mixed = (uint32_t)i * 2654435761u;
        sample.scores.loss = (float)(mixed % 10007);
        sample.scores.self = (float)(mixed % 10009);
        sample.scores.leverage = (float)(mixed % 10037);
        sample.scores.source_shift = (float)(mixed % 10039);
        for (uint32_t r = 0; r < 8; r++) {
            sample.scores.toward[r] = (float)(mixed % (10061 + 6 * r));
            sample.scores.toward_name[r] = names[r];
        }
        sl_highlights_offer(highlights, &sample);
        offer(highlights, 5000 + i, NAN, SLUICE_METHOD_TEXT, 0.9F, i);
    }
    json_t *json = write_json(highlights);
    assert_in_range(json_object_size(json_object_get(json, "samples")), 200, 280);
    assert_int_equal(json_array_size(json_object_get(json, "tops")), 24);
    json_decref(json);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_highlights, close_highlights)
    const struct CMUnitTest tests[] = {
        TEST(test_highlights_of_equal_values_the_older_stay),
        TEST(test_highlights_show_one_pair_for_each_that_is_repeated),
        TEST(test_highlights_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
