/* duplicate_durable_test.c - rows come back as they were, and nothing else comes back. */
#include "duplicate/durable.h"
#include "duplicate_samples.h"

#include <stdlib.h>

static sluice_span span_of(const sluice_bytes *bytes)
{
    return (sluice_span){bytes->data, bytes->size};
}

static const uint64_t from = 300;

static void write(const sluice_sample *sample, sluice_bytes *row)
{
    sl_bytes_clear(row);
    assert_int_equal(
        sl_durable_write(sample, &(sl_durable_from){from, from + 1, from + 2, from + 3}, row),
        SLUICE_OK);
}

static void assert_refused(const sluice_bytes *row, size_t size)
{
    sluice_sample sample;
    sl_durable_from oldest = {1, 1, 1, 1};
    uint8_t *copy = malloc(size + (size == 0)); /* of exactly that size: reading past it is seen */
    assert_non_null(copy);
    if (size > 0) {
        memcpy(copy, row->data, size);
    }
    assert_int_equal(sl_durable_read((sluice_span){copy, size}, &sample, &oldest),
                     SLUICE_E_BADSAMPLE);
    assert_int_equal(oldest.exact + oldest.text + oldest.image + oldest.embedding, 0);
    assert_int_equal(sample.id.size, 0);
    free(copy);
}

static void assert_round_trip(const sluice_sample *sample)
{
    sluice_bytes row = {0};
    write(sample, &row);
    sluice_sample back;
    sl_durable_from oldest;
    assert_int_equal(sl_durable_read(span_of(&row), &back, &oldest), SLUICE_OK);
    assert_int_equal(oldest.exact, from);
    assert_int_equal(oldest.text, from + 1);
    assert_int_equal(oldest.image, from + 2);
    assert_int_equal(oldest.embedding, from + 3);
    assert_int_equal(back.offset, sample->offset);
    assert_int_equal(back.arrived_us, sample->arrived_us);
    assert_int_equal(back.i_producer, sample->i_producer);
    assert_true(sl_span_equal(back.id, sample->id));
    assert_true(sl_span_equal(back.source, sample->source));
    assert_int_equal(back.features.has, sample->features.has);
    assert_int_equal(back.verdict.decision, SLUICE_KEEP);
    if (sample->features.has & SLUICE_HAS_RAW) {
        assert_memory_equal(back.features.raw_hash, sample->features.raw_hash, 16);
    }
    if (sample->features.has & SLUICE_HAS_NORMAL) {
        assert_memory_equal(back.features.normal_hash, sample->features.normal_hash, 16);
    }
    if (sample->features.has & SLUICE_HAS_SKETCH) {
        assert_int_equal(back.features.profile, sample->features.profile);
        assert_memory_equal(back.features.sketch, sample->features.sketch, 128);
        assert_memory_equal(back.features.trace, sample->features.trace, SLUICE_TRACE_BYTES);
    }
    if (sample->features.has & SLUICE_HAS_BOTTOM) {
        assert_int_equal(back.features.n_bottom, sample->features.n_bottom);
        assert_memory_equal(back.features.bottom, sample->features.bottom,
                            4 * back.features.n_bottom);
    }
    if (sample->features.has & SLUICE_HAS_IMAGE) {
        assert_memory_equal(back.features.image_signature, sample->features.image_signature, 64);
        assert_memory_equal(back.features.image_colours, sample->features.image_colours, 32);
    }
    if (sample->features.has & SLUICE_HAS_EMBEDDING) {
        assert_int_equal(back.features.embedding_key, sample->features.embedding_key);
        assert_memory_equal(back.features.sign_bits, sample->features.sign_bits, 64);
        assert_true(sl_span_equal(back.features.embedding, sample->features.embedding));
    }
    for (size_t size = 0; size < row.size; size++) {
        assert_refused(&row, size);
    }
    assert_int_equal(sl_bytes_put_u8(&row, 0), SLUICE_OK);
    assert_refused(&row, row.size);
    sl_bytes_fini(&row);
}

static void test_durable_rows_come_back_and_no_part_of_them(void **state)
{
    (void)state;
    const uint8_t vector[] = "sixteen bytes, +";
    for (uint8_t has = 1; has < 32; has++) {
        sluice_sample sample = make_sample(12345, 7, "an id", "a source");
        sluice_sample image = make_image_sample(12345, 7, "an id", "a source");
        memcpy(sample.features.image_signature, image.features.image_signature, 64);
        memset(sample.features.trace, 0x5a, sizeof sample.features.trace);
        memset(sample.features.image_colours, 0x85, sizeof sample.features.image_colours);
        sample.features.embedding_key = 0xfffffffe;
        memset(sample.features.sign_bits, 0x96, sizeof sample.features.sign_bits);
        sample.features.embedding = (sluice_span){vector, 16};
        sample.features.has = has;
        sample.features.n_bottom = 1U + has % 3U * 60;
        for (uint32_t i = 0; i < sample.features.n_bottom; i++) {
            sample.features.bottom[i] = 7 * i + 1;
        }
        assert_round_trip(&sample);
    }
}

static void test_durable_extremes_come_back(void **state)
{
    (void)state;
    char id[SLUICE_LIMIT_ID_BYTES + 1] = {0}, source[SLUICE_LIMIT_SOURCE_BYTES + 1] = {0};
    memset(id, 'i', sizeof id - 1);
    memset(source, 's', sizeof source - 1);
    sluice_sample sample = make_sample(UINT64_MAX - 1, 7, id, source);
    sample.i_producer = UINT32_MAX;
    sample.arrived_us = INT64_MIN;
    assert_round_trip(&sample);
    sample = make_sample(0, 7, "1", "");
    sample.arrived_us = INT64_MAX;
    assert_round_trip(&sample);
}

static void test_durable_verdicts_come_back_and_no_part_of_them(void **state)
{
    (void)state;
    sluice_bytes row = {0}, plain = {0};
    sluice_sample sample = make_sample(1000, 7, "id", "web"), back;
    sl_durable_from oldest;
    write(&sample, &plain);
    sample.verdict = (sluice_verdict){
        .decision = SLUICE_FLAG, .weight = 0.25F, .n_reasons = 2, .reasons = {"rare", "x"}};
    write(&sample, &row);
    assert_int_equal(row.size, plain.size + 1 + 4 + 1 + 6 + 3);
    assert_int_equal(sl_durable_read(span_of(&row), &back, &oldest), SLUICE_OK);
    assert_int_equal(back.features.has, sample.features.has);
    assert_int_equal(back.verdict.decision, SLUICE_FLAG);
    assert_float_equal(back.verdict.weight, 0.25, 0);
    assert_int_equal(back.verdict.n_reasons, 2);
    assert_string_equal(back.verdict.reasons[0], "rare");
    assert_string_equal(back.verdict.reasons[1], "x");
    for (size_t size = 0; size < row.size; size++) {
        assert_refused(&row, size);
    }
    /* What write does not make: another decision, no end of a reason, too many of them. */
    const size_t verdict = plain.size;
    static const struct {
        size_t at;
        uint8_t byte;
    } bad[] = {{0, SLUICE_DROP}, {0, SLUICE_REFUSE}, {4, 0xff}, {4, 0xbf}, {5, 9}, {5, 1},
               {10, 0},          {11, 'y'},          {6, 0},    {7, 0xff}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint8_t before = row.data[verdict + bad[i].at];
        row.data[verdict + bad[i].at] = bad[i].byte;
        assert_refused(&row, row.size);
        row.data[verdict + bad[i].at] = before;
    }
    sl_bytes_fini(&row);
    sl_bytes_fini(&plain);
}

static void test_durable_row_is_compact(void **state)
{
    (void)state;
    sluice_bytes row = {0};
    sluice_sample sample = make_sample(1000, 7, "0123456789abcdef", "web");
    sample.features.trace[3] = 1;
    write(&sample, &row);
    assert_in_range(row.size, 1, 161 + 16 + 3 + 23 + SLUICE_TRACE_BYTES);
    sl_bytes_fini(&row);
}

/* One rule broken at a time. */
static void test_durable_hostile_fields_are_refused(void **state)
{
    (void)state;
    char too_long[SLUICE_LIMIT_ID_BYTES + 2] = {0};
    memset(too_long, 'i', sizeof too_long - 1);
    sluice_bytes row = {0};
    sluice_sample good = make_sample(1, 7, "id", "source");
    for (int i = 0; i < 8; i++) {
        sluice_sample sample = good;
        sample.offset = i == 0 ? UINT64_MAX : sample.offset;
        sample.id = i == 1 ? sl_span_of("") : sample.id;
        sample.id = i == 2 ? sl_span_of(too_long) : sample.id;
        sample.id = i == 3 ? sl_span_of("\xff") : sample.id;
        sample.id = i == 4 ? (sluice_span){(const uint8_t *)"a\0b", 3} : sample.id;
        sample.source = i == 5 ? sl_span_of(too_long) : sample.source;
        sample.source = i == 6 ? sl_span_of("\xc3") : sample.source;
        sample.features.has = i == 7 ? 0 : sample.features.has;
        write(&sample, &row);
        assert_refused(&row, row.size);
    }
    for (int profile = 0; profile < 256; profile++) {
        good.features.profile = (uint8_t)profile;
        write(&good, &row);
        sluice_sample back;
        sl_durable_from oldest;
        bool known = profile > SLUICE_PROFILE_AUTO && profile < SLUICE_N_PROFILES;
        assert_int_equal(sl_durable_read(span_of(&row), &back, &oldest),
                         known ? SLUICE_OK : SLUICE_E_BADSAMPLE);
    }
    good.features.profile = SLUICE_PROFILE_NEWS;
    write(&good, &row);
    row.data[0]++; /* version 3, but the trace is not there */
    assert_refused(&row, row.size);
    row.data[0]--;
    row.data[1] |= 32; /* an unknown feature */
    assert_refused(&row, row.size);
    good.features.has |= SLUICE_HAS_BOTTOM;
    for (uint32_t i = 0; i < 2; i++) { /* none, not ascending */
        good.features.n_bottom = i == 0 ? 0 : 2;
        good.features.bottom[0] = good.features.bottom[1] = 5;
        write(&good, &row);
        assert_refused(&row, row.size);
    }
    good.features.n_bottom = SLUICE_BOTTOM_HASHES;
    for (uint32_t i = 0; i < SLUICE_BOTTOM_HASHES; i++) {
        good.features.bottom[i] = i;
    }
    write(&good, &row);
    row.data[row.size - 6 - 4 * SLUICE_BOTTOM_HASHES - 1]++; /* one more than there may be */
    assert_refused(&row, row.size);
    sluice_sample image = make_image_sample(1, 7, "id", "source");
    image.features.image_signature[SLUICE_IMAGE_BYTES - 3] = 0x80; /* a bit beyond the last */
    write(&image, &row);
    assert_refused(&row, row.size);
    static const uint8_t numbers[2 * SLUICE_EMBEDDING_MAX + 2];
    for (uint32_t dim = SLUICE_EMBEDDING_MIN - 1; dim <= SLUICE_EMBEDDING_MAX + 1; dim += 4090) {
        sluice_sample vector = make_sample(1, 7, "id", "source");
        vector.features.has = SLUICE_HAS_EMBEDDING;
        vector.features.embedding = (sluice_span){numbers, 2 * (size_t)dim};
        write(&vector, &row);
        assert_refused(&row, row.size);
    }
    sl_bytes_fini(&row);
}

/* A row as an older program wrote it: without the varint of 302 if it knew no images. */
static void write_older(uint8_t version, sluice_bytes *row)
{
    sluice_sample sample = make_sample(12345, 7, "an id", "a source");
    sl_bytes_clear(row); /* nothing of embeddings and no trace: version 2 */
    assert_int_equal(
        sl_durable_write(&sample, &(sl_durable_from){from, from + 1, from + 2, 0}, row), SLUICE_OK);
    row->size -= version == 1 ? 2 : 0;
    row->data[0] = version;
}

static void test_durable_rows_of_older_versions_come_back(void **state)
{
    (void)state;
    static const uint8_t no_trace[SLUICE_TRACE_BYTES];
    sluice_bytes row = {0};
    sluice_sample sample = make_sample(12345, 7, "an id", "a source"), back;
    sl_durable_from oldest;
    for (uint8_t version = 1; version <= 2; version++) {
        write_older(version, &row);
        assert_int_equal(sl_durable_read(span_of(&row), &back, &oldest), SLUICE_OK);
        assert_int_equal(oldest.text, from + 1);
        assert_int_equal(oldest.image, version == 1 ? 0 : from + 2);
        assert_memory_equal(back.features.sketch, sample.features.sketch, 128);
        assert_memory_equal(back.features.trace, no_trace, sizeof no_trace);
    }
    write_older(1, &row);
    row.data[1] |= SLUICE_HAS_IMAGE; /* which it could not have */
    assert_refused(&row, row.size);
    sl_bytes_fini(&row);
}

/* Whatever is read back is within the limits, so that it can be inserted. */
static void test_durable_damaged_rows_never_break_a_limit(void **state)
{
    (void)state;
    sluice_bytes row = {0};
    uint64_t random = 1;
    uint32_t n_read = 0;
    for (int i = 0; i < 100000; i++) {
        sluice_sample sample =
            make_sample(next_random(&random) >> random_below(&random, 64), 7, "an id", "a source");
        write(&sample, &row);
        for (uint32_t j = 1 + random_below(&random, 3); j > 0; j--) {
            row.data[random_below(&random, 40)] = (uint8_t)next_random(&random);
        }
        sluice_sample back;
        sl_durable_from oldest;
        if (sl_durable_read(span_of(&row), &back, &oldest) == SLUICE_OK) {
            assert_in_range(back.id.size, 1, SLUICE_LIMIT_ID_BYTES);
            assert_in_range(back.source.size, 0, SLUICE_LIMIT_SOURCE_BYTES);
            assert_in_range(back.features.profile, 1, SLUICE_N_PROFILES - 1);
            assert_true(back.offset < UINT64_MAX);
            n_read++;
        }
    }
    assert_true(n_read > 0);
    sl_bytes_fini(&row);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durable_rows_come_back_and_no_part_of_them),
        cmocka_unit_test(test_durable_extremes_come_back),
        cmocka_unit_test(test_durable_verdicts_come_back_and_no_part_of_them),
        cmocka_unit_test(test_durable_row_is_compact),
        cmocka_unit_test(test_durable_hostile_fields_are_refused),
        cmocka_unit_test(test_durable_rows_of_older_versions_come_back),
        cmocka_unit_test(test_durable_damaged_rows_never_break_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
