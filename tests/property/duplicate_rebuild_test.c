/* duplicate_rebuild_test.c - an index rebuilt from the rows of its live samples answers alike. */
#include "duplicate/duplicate.h"
#include "features/image_hash.h"
#include "unit/duplicate_samples.h"

#include <stdlib.h>

#define N_STREAM 3000
#define N_PROBES 400

/* What happened to one offset, kept beside the index as the durable state keeps it. */
typedef struct stored_row {
    sluice_bytes row;
    bool forgotten;
} stored_row;

typedef struct test_stream {
    sluice_config config;
    uint64_t state; /* of the random numbers */
    sl_duplicate *duplicate;
    sl_duplicate *twin; /* the one rebuilt last, which lives on with the same samples; or NULL */
    stored_row stored[N_STREAM];
    uint64_t n;
} test_stream;

/* Very few distinct images too, so that buckets overflow and old slots show new rows; half of them
 * a few bits apart, some turned, grey or in one of two colours. */
static void make_look(uint64_t *state, uint64_t family, sluice_sample *sample)
{
    sluice_sample look = make_image_sample(0, family % 6, "", "");
    for (uint32_t n = random_below(state, 2) * random_below(state, 40); n > 0; n--) {
        uint32_t bit = random_below(state, SLUICE_IMAGE_BITS);
        look.features.image_signature[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    memset(look.features.image_colours, (int)random_below(state, 3) * 40, SLUICE_IMAGE_COLOURS);
    uint32_t turn = random_below(state, 4) == 0 ? random_below(state, SL_RASTER_TURNS) : 0;
    sl_image_turn(look.features.image_signature, look.features.image_colours, turn,
                  sample->features.image_signature, sample->features.image_colours);
}

/* Few distinct texts, with noise, so that everything collides; long and short ids. */
static sluice_sample draw_sample(uint64_t *state, uint64_t offset, char *id)
{
    static const char pad[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    uint64_t family = 1 + random_below(state, 150);
    snprintf(id, SLUICE_LIMIT_ID_BYTES, "%u%.*s", random_below(state, 40),
             (int)random_below(state, 64), pad);
    sluice_sample sample =
        make_sample(offset, family, id, random_below(state, 2) ? "" : "a source");
    sample.i_producer = random_below(state, 2);
    sample.features.has = (uint8_t)random_below(state, 16);
    sample.features.profile = random_below(state, 4) ? SLUICE_PROFILE_NEWS : SLUICE_PROFILE_RECORDS;
    for (uint32_t i = 0; i < SLUICE_BOTTOM_HASHES; i++) { /* parts of wholes */
        if (i % (1 + offset % 9) == 0) {
            sample.features.bottom[sample.features.n_bottom++] = 1000 * i + (uint32_t)family / 10;
        }
    }
    sample.features.has |= offset % 3 != 0 ? SLUICE_HAS_BOTTOM : 0;
    uint32_t noise = random_below(state, 3) * random_below(state, 20);
    for (uint32_t i = 0; i < noise; i++) {
        uint32_t i_changed = random_below(state, SLUICE_SKETCH_COORDINATES);
        sample.features.sketch[i_changed] = (uint8_t)next_random(state);
    }
    make_look(state, family, &sample);
    if (noise > 0) {
        sample.features.raw_hash[0] += 1 + random_below(state, 3);
        sample.features.normal_hash[0] += random_below(state, 2);
    }
    return sample;
}

static uint32_t n_contained; /* answers that told what contains the sample */

static void assert_same_answer(const sl_duplicate *a, const sl_duplicate *b,
                               const sluice_sample *sample)
{
    sluice_match from_a, from_b;
    sl_duplicate_probe(a, sample, &from_a);
    sl_duplicate_probe(b, sample, &from_b);
    assert_int_equal(from_a.method, from_b.method);
    assert_int_equal(from_a.redelivered, from_b.redelivered);
    assert_int_equal(from_a.of_offset, from_b.of_offset);
    assert_true(from_a.similarity == from_b.similarity);
    assert_int_equal(from_a.differs, from_b.differs);
    assert_true(from_a.contained == from_b.contained);
    assert_true(sl_span_equal(from_a.contained_in, from_b.contained_in));
    n_contained += from_a.contained > 0;
    assert_true(sl_span_equal(from_a.of_id, from_b.of_id));
    assert_true(sl_span_equal(from_a.of_source, from_b.of_source));
}

static sl_duplicate *rebuild(const test_stream *stream, uint64_t from_offset)
{
    sl_duplicate *duplicate;
    assert_int_equal(sl_duplicate_open(&stream->config, &duplicate, NULL), SLUICE_OK);
    for (uint64_t i = from_offset; i < stream->n; i++) {
        const sluice_bytes *row = &stream->stored[i].row;
        uint64_t offset;
        if (row->size > 0 && !stream->stored[i].forgotten) {
            assert_int_equal(
                sl_duplicate_row_read(duplicate, (sluice_span){row->data, row->size}, &offset),
                SLUICE_OK);
            assert_int_equal(offset, i);
        }
    }
    assert_valid(sl_duplicate_validate, duplicate);
    return duplicate;
}

/* The rebuilt one becomes the twin. */
static void compare_with_rebuilt(test_stream *stream, uint64_t from_offset)
{
    sl_duplicate_close(&stream->twin);
    stream->twin = rebuild(stream, from_offset);
    char id[SLUICE_LIMIT_ID_BYTES];
    uint64_t state = stream->state; /* probing must not change the stream */
    for (int i = 0; i < N_PROBES; i++) {
        sluice_sample sample = draw_sample(&state, stream->n + random_below(&state, 50), id);
        sample.features.has |= SLUICE_HAS_RAW | SLUICE_HAS_NORMAL | SLUICE_HAS_SKETCH;
        if (i % 8 == 2) {
            sample.features.has = SLUICE_HAS_IMAGE;
        }
        sample.features.raw_hash[0] += i % 4 == 0 ? 0 : 1000; /* most must ask the text method */
        sample.features.normal_hash[0] += i % 4 == 1 ? 0 : 1000;
        assert_same_answer(stream->duplicate, stream->twin, &sample);
    }
}

/* Not the newest row: what it evicted is written in it alone until the next one comes. */
static bool is_newest_row(const test_stream *stream, uint64_t offset)
{
    for (uint64_t i = offset + 1; i < stream->n; i++) {
        if (stream->stored[i].row.size > 0) {
            return false;
        }
    }
    return true;
}

static void forget_some(test_stream *stream, bool recent_only)
{
    uint32_t n = 1 + random_below(&stream->state, 5);
    for (uint32_t i = 0; i < n && stream->n > 100; i++) {
        uint64_t back = 1 + random_below(&stream->state, recent_only ? 60 : 100);
        uint64_t offset = stream->n - back;
        if (is_newest_row(stream, offset)) {
            continue;
        }
        if (sl_duplicate_forget(stream->duplicate, offset)) {
            assert_false(stream->stored[offset].forgotten);
            assert_true(stream->stored[offset].row.size > 0);
            stream->stored[offset].forgotten = true;
        }
        assert_false(sl_duplicate_forget(stream->duplicate, offset));
        if (stream->twin != NULL) {
            (void)sl_duplicate_forget(stream->twin, offset);
        }
    }
}

static void run_stream(uint64_t seed, bool forgets, uint64_t window, uint64_t age_us)
{
    test_stream *stream = calloc(1, sizeof *stream);
    assert_non_null(stream);
    stream->config = make_config(16 << 10, 40 << 10);
    stream->config.duplicate.image_threshold = seed % 2 == 0 ? 0.94 : 0.8; /* keys, or a scan */
    stream->config.duplicate.image_turns = seed % 11 == 0;
    stream->config.duplicate.window_samples = window;
    stream->config.duplicate.text_containment = 0.8;
    stream->config.duplicate.window_age_us = age_us;
    stream->state = seed;
    assert_int_equal(sl_duplicate_open(&stream->config, &stream->duplicate, NULL), SLUICE_OK);
    char id[SLUICE_LIMIT_ID_BYTES];
    uint32_t n_found = 0, n_images = 0;
    while (stream->n < N_STREAM) {
        sluice_sample sample = draw_sample(&stream->state, stream->n, id);
        sl_duplicate_probe(stream->duplicate, &sample, &sample.match);
        if (stream->twin != NULL) {
            assert_same_answer(stream->duplicate, stream->twin, &sample);
        }
        n_found += sample.match.method != SLUICE_METHOD_NONE;
        n_images += sample.match.method == SLUICE_METHOD_IMAGE;
        sample.match.redelivered = false; /* this stream only asks what is found */
        sample.verdict.decision = (sluice_decision)random_below(&stream->state, 3);
        sl_duplicate_apply(stream->duplicate, &sample);
        sluice_bytes *row = &stream->stored[stream->n].row;
        sl_durable_from from = sl_duplicate_row_from(stream->duplicate);
        assert_int_equal(sl_duplicate_row_write(stream->duplicate, &from, &sample, row), SLUICE_OK);
        if (stream->twin != NULL) {
            sl_duplicate_apply(stream->twin, &sample);
        }
        stream->n++;
        if (forgets && random_below(&stream->state, 40) == 0) {
            forget_some(stream, random_below(&stream->state, 2) == 0);
        }
        if (random_below(&stream->state, 100) == 0) {
            assert_valid(sl_duplicate_validate, stream->duplicate);
            uint64_t oldest = sl_duplicate_oldest(stream->duplicate);
            compare_with_rebuilt(stream, oldest == UINT64_MAX ? stream->n : oldest);
            compare_with_rebuilt(stream, 0); /* rows that could have been deleted do no harm */
        }
    }
    assert_true(n_found > 0 && n_found < N_STREAM);
    assert_true(n_images > (window == 0 && age_us == 0 ? 100 : 1));
    assert_true(sl_duplicate_usage_of(stream->duplicate, SLUICE_METHOD_IMAGE).evicted > 0);
    assert_true(n_contained > 100);
    for (uint64_t i = 0; i < stream->n; i++) {
        sl_bytes_fini(&stream->stored[i].row);
    }
    sl_duplicate_close(&stream->twin);
    sl_duplicate_close(&stream->duplicate);
    free(stream);
}

static uint64_t n_seeds(void)
{
    return getenv("SLUICE_QUICK") != NULL ? 2 : 4; /* one by keys, one by a scan */
}

static void test_rebuild_after_long_stream_answers_alike(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= n_seeds(); seed++) {
        run_stream(seed, false, 0, 0);
    }
}

static void test_rebuild_with_window_of_samples_answers_alike(void **state)
{
    (void)state;
    run_stream(11, false, 70, 0);
    run_stream(12, false, 7, 0);
}

static void test_rebuild_with_window_of_age_answers_alike(void **state)
{
    (void)state;
    run_stream(21, false, 0, 50000);
}

static void test_rebuild_after_forgetting_answers_alike(void **state)
{
    (void)state;
    for (uint64_t seed = 31; seed < 31 + n_seeds(); seed++) {
        run_stream(seed, true, 0, 0);
        run_stream(seed + 100, true, 60, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rebuild_after_long_stream_answers_alike),
        cmocka_unit_test(test_rebuild_with_window_of_samples_answers_alike),
        cmocka_unit_test(test_rebuild_with_window_of_age_answers_alike),
        cmocka_unit_test(test_rebuild_after_forgetting_answers_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
