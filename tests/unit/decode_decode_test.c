/* decode_decode_test.c - batches right, wrong and hostile. */
#include "decode/prescan.h"
#include "decode/sample_fields.h"
#include "decode/unpack.h"
#include "wire_bytes.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

typedef struct fixture {
    sluice_batch *batch;
    sluice_bytes bytes, sample;
    sluice_message why;
} fixture;

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    *state = f;
    return f == NULL || sluice_batch_open(&f->batch) != SLUICE_OK;
}

static int teardown(void **state)
{
    fixture *f = *state;
    sluice_batch_close(&f->batch);
    assert_null(f->batch);
    sl_bytes_fini(&f->bytes);
    sl_bytes_fini(&f->sample);
    free(f);
    return 0;
}

static sluice_status decode(fixture *f)
{
    f->why.text[0] = 0;
    return sluice_batch_decode(f->batch, wire_span(&f->bytes), &f->why);
}

/* f->sample becomes the only sample of a batch; returns it decoded. */
static const sluice_sample *decode_one(fixture *f)
{
    sl_bytes_clear(&f->bytes);
    wire_sample(&f->bytes, &f->sample);
    assert_int_equal(decode(f), SLUICE_OK);
    assert_int_equal(f->batch->n_samples, 1);
    const sluice_sample *sample = &f->batch->samples[0];
    assert_true(sl_span_equal(sample->wire, wire_span(&f->sample)));
    return sample;
}

static void start(fixture *f, const char *id)
{
    sl_bytes_clear(&f->sample);
    wire_text(&f->sample, 1, id);
}

static void assert_refused(const sluice_sample *sample, const char *reason, const char *text)
{
    assert_int_equal(sample->verdict.decision, SLUICE_REFUSE);
    assert_int_equal(sample->verdict.n_reasons, 1);
    assert_string_equal(sample->verdict.reasons[0], reason);
    if (text != NULL) {
        assert_string_equal(sample->verdict.text, text);
    }
    assert_true(strlen(sample->verdict.text) > 0);
}

static void assert_span(sluice_span span, const char *text)
{
    assert_true(sl_span_equal(span, sl_span_of(text)));
}

static void test_batch_empty_frame_has_no_samples(void **state)
{
    fixture *f = *state;
    assert_int_equal(sluice_batch_decode(f->batch, (sluice_span){NULL, 0}, &f->why), SLUICE_OK);
    assert_int_equal(f->batch->n_samples, 0);
}

static void test_sample_all_fields_are_found(void **state)
{
    fixture *f = *state;
    start(f, "a1");
    wire_text(&f->sample, 2, "shop");
    wire_varint(&f->sample, 3, (uint64_t)-5);
    wire_text(&f->sample, 4, "hello");
    wire_text(&f->sample, 5, "text/plain");
    wire_text(&f->sample, 6, "model@1");
    wire_attribute(&f->sample, "region", "eu");
    wire_double(&f->sample, 10, 0.25);
    wire_varint(&f->sample, 100, 42);
    const sluice_sample *sample = decode_one(f);
    assert_int_equal(sample->verdict.decision, SLUICE_KEEP);
    assert_int_equal(sample->verdict.n_reasons, 0);
    assert_null(sample->verdict.text);
    assert_span(sample->id, "a1");
    assert_span(sample->source, "shop");
    assert_span(sample->payload, "hello");
    assert_span(sample->media_type, "text/plain");
    assert_span(sample->encoder, "model@1");
    assert_int_equal(sample->event_time_us, -5);
    assert_true(sample->cost == 0.25);
    assert_true(sample->offset == UINT64_MAX);
    assert_int_equal(sample->match.method, SLUICE_METHOD_NONE);
    /* Nothing is copied: the payload lies in the bytes that came. */
    assert_true(sample->payload.data > sample->wire.data &&
                sample->payload.data < sample->wire.data + sample->wire.size);
}

static void test_sample_without_source_and_payload_is_accepted(void **state)
{
    fixture *f = *state;
    start(f, "a1");
    const sluice_sample *sample = decode_one(f);
    assert_int_equal(sample->verdict.decision, SLUICE_KEEP);
    assert_int_equal(sample->source.size, 0);
    assert_int_equal(sample->payload.size, 0);
}

static void test_sample_field_given_twice_takes_the_last(void **state)
{
    fixture *f = *state;
    start(f, "first");
    wire_text(&f->sample, 1, "second");
    assert_span(decode_one(f)->id, "second");
    sl_bytes_clear(&f->sample);
    wire_field(&f->sample, 1, "\xff", 1);
    wire_text(&f->sample, 1, "second");
    assert_refused(decode_one(f), "string_not_utf8", NULL);
}

static void test_batch_refused_sample_leaves_neighbours_alone(void **state)
{
    fixture *f = *state;
    static const char *const ids[] = {"a", "", "c"};
    for (int i = 0; i < 3; i++) {
        start(f, ids[i]);
        wire_sample(&f->bytes, &f->sample);
    }
    assert_int_equal(decode(f), SLUICE_OK);
    assert_int_equal(f->batch->n_samples, 3);
    assert_int_equal(f->batch->samples[0].verdict.decision, SLUICE_KEEP);
    assert_refused(&f->batch->samples[1], "id_missing",
                   "id is missing; it takes 1 to 256 bytes of UTF-8");
    assert_int_equal(f->batch->samples[2].verdict.decision, SLUICE_KEEP);
}

static void test_batch_decoded_again_forgets_the_refusals(void **state)
{
    fixture *f = *state;
    start(f, "");
    assert_refused(decode_one(f), "id_missing", NULL);
    start(f, "a");
    const sluice_sample *sample = decode_one(f);
    assert_int_equal(sample->verdict.decision, SLUICE_KEEP);
    assert_int_equal(sample->verdict.n_reasons, 0);
    assert_int_equal(sl_arena_used(f->batch->arena), 0);
}

/* --- names --- */

static const struct {
    uint32_t number;
    const char *name;
} names[] = {{1, "id"}, {2, "source"}, {5, "media_type"}, {6, "encoder"}};

static void test_names_at_limit_pass_and_one_beyond_is_refused(void **state)
{
    fixture *f = *state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        start(f, "a");
        wire_run(&f->sample, names[i].number, 'x', 256);
        assert_int_equal(decode_one(f)->verdict.decision, SLUICE_KEEP);
        start(f, "a");
        wire_run(&f->sample, names[i].number, 'x', 257);
        char reason[64], text[128];
        snprintf(reason, sizeof reason, "%s_too_long", names[i].name);
        snprintf(text, sizeof text, "%s is 257 bytes; the limit is 256", names[i].name);
        const sluice_sample *sample = decode_one(f);
        assert_refused(sample, reason, text);
        assert_true(sample->id.size <= 256 && sample->source.size <= 256);
    }
}

static void test_names_with_nul_or_broken_utf8_are_refused(void **state)
{
    fixture *f = *state;
    static const char *const broken[] = {
        "\xff", "a\xc3", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\x80"};
    char reason[64], text[128];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        start(f, "a");
        wire_field(&f->sample, names[i].number, "ab\0c", 4);
        snprintf(reason, sizeof reason, "%s_has_nul", names[i].name);
        snprintf(text, sizeof text, "%s holds a NUL at byte 2 of 4; names have none",
                 names[i].name);
        assert_refused(decode_one(f), reason, text);
        for (size_t j = 0; j < sizeof broken / sizeof *broken; j++) {
            start(f, "a");
            wire_text(&f->sample, names[i].number, broken[j]);
            snprintf(reason, sizeof reason, "%s_not_utf8", names[i].name);
            assert_refused(decode_one(f), reason, NULL);
        }
    }
}

static void test_attributes_at_limit_pass_and_one_beyond_is_refused(void **state)
{
    fixture *f = *state;
    start(f, "a");
    for (int i = 0; i < SLUICE_LIMIT_ATTRIBUTES; i++) {
        char name[16];
        snprintf(name, sizeof name, "n%d", i);
        wire_attribute(&f->sample, name, "v");
    }
    assert_int_equal(decode_one(f)->verdict.decision, SLUICE_KEEP);
    wire_attribute(&f->sample, "more", "v");
    assert_refused(decode_one(f), "too_many_attributes", "attributes are 65; the limit is 64");
}

static void test_attribute_names_and_values_are_checked(void **state)
{
    fixture *f = *state;
    char name[258] = "";
    memset(name, 'n', 256);
    start(f, "a");
    wire_attribute(&f->sample, name, "v");
    assert_int_equal(decode_one(f)->verdict.decision, SLUICE_KEEP);
    name[256] = 'n';
    wire_attribute(&f->sample, name, "v");
    assert_refused(decode_one(f), "attribute_name_too_long",
                   "an attribute's name is 257 bytes; the limit is 256");
    start(f, "a");
    wire_attribute(&f->sample, "n", "\xff");
    assert_refused(decode_one(f), "attribute_not_utf8", "AttributesEntry.value is not UTF-8");
    start(f, "a");
    wire_field(&f->sample, 9, "\x0a\x01\0", 3);
    assert_refused(decode_one(f), "attribute_has_nul", "AttributesEntry.key holds a NUL byte");
}

/* --- sizes and numbers --- */

static void test_text_at_limit_passes_and_one_beyond_is_refused(void **state)
{
    fixture *f = *state;
    static const char *const types[] = {"", "text/html", "application/json", "imag/png"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        start(f, "a");
        wire_text(&f->sample, 5, types[i]);
        wire_run(&f->sample, 4, 'x', SLUICE_LIMIT_TEXT_BYTES);
        assert_int_equal(decode_one(f)->verdict.decision, SLUICE_KEEP);
        start(f, "a");
        wire_text(&f->sample, 5, types[i]);
        wire_run(&f->sample, 4, 'x', SLUICE_LIMIT_TEXT_BYTES + 1);
        assert_refused(decode_one(f), "text_too_large",
                       "the text is 1048577 bytes; the limit is 1048576");
    }
}

static void test_image_at_limit_passes_and_one_beyond_is_refused(void **state)
{
    fixture *f = *state;
    start(f, "a");
    wire_text(&f->sample, 5, "Image/PNG");
    wire_run(&f->sample, 4, 'x', SLUICE_LIMIT_IMAGE_BYTES);
    assert_int_equal(decode_one(f)->verdict.decision, SLUICE_KEEP);
    start(f, "a");
    wire_text(&f->sample, 5, "image/png");
    wire_run(&f->sample, 4, 'x', SLUICE_LIMIT_IMAGE_BYTES + 1);
    assert_refused(decode_one(f), "image_too_large",
                   "the image is 33554433 bytes; the limit is 33554432");
}

static void test_text_of_256_mib_is_refused_and_costs_no_memory(void **state)
{
    fixture *f = *state;
    const size_t size = (size_t)256 << 20;
    start(f, "a");
    wire_tag(&f->sample, 4, 2);
    wire_check(sl_bytes_put_varint(&f->sample, size));
    wire_tag(&f->bytes, 1, 2);
    wire_check(sl_bytes_put_varint(&f->bytes, f->sample.size + size));
    wire_raw(&f->bytes, f->sample.data, f->sample.size);
    uint8_t *whole = calloc(1, f->bytes.size + size);
    assert_non_null(whole);
    memcpy(whole, f->bytes.data, f->bytes.size);
    assert_int_equal(
        sluice_batch_decode(f->batch, (sluice_span){whole, f->bytes.size + size}, &f->why),
        SLUICE_OK);
    assert_refused(&f->batch->samples[0], "text_too_large",
                   "the text is 268435456 bytes; the limit is 1048576");
    assert_true(sl_arena_used(f->batch->arena) < 256);
    free(whole);
}

static void test_rest_at_limit_passes_and_one_beyond_is_refused(void **state)
{
    fixture *f = *state;
    start(f, "a"); /* 3 bytes; the tag and length below are 5 */
    wire_text(&f->sample, 4, "");
    size_t head = f->sample.size + 5;
    size_t before = f->sample.size;
    wire_run(&f->sample, 100, 'x', SL_SAMPLE_REST_BYTES - head);
    assert_int_equal(f->sample.size, SL_SAMPLE_REST_BYTES);
    assert_int_equal(decode_one(f)->verdict.decision, SLUICE_KEEP);
    f->sample.size = before;
    wire_run(&f->sample, 100, 'x', SL_SAMPLE_REST_BYTES - head + 1);
    assert_refused(decode_one(f), "sample_too_large",
                   "the sample without its payload is 1048577 bytes; the limit is 1048576");
}

static void test_cost_not_finite_is_refused(void **state)
{
    fixture *f = *state;
    start(f, "a");
    wire_double(&f->sample, 10, (double)NAN);
    assert_refused(decode_one(f), "cost_not_finite", "cost is NaN; it must be finite");
    start(f, "a");
    wire_double(&f->sample, 10, -(double)INFINITY);
    assert_refused(decode_one(f), "cost_not_finite", "cost is infinite; it must be finite");
}

/* --- how many --- */

static void test_batch_samples_at_limit_pass_and_one_beyond_fails(void **state)
{
    fixture *f = *state;
    start(f, "a");
    for (int i = 0; i < SLUICE_LIMIT_BATCH_SAMPLES; i++) {
        wire_sample(&f->bytes, &f->sample);
    }
    assert_int_equal(decode(f), SLUICE_OK);
    assert_int_equal(f->batch->n_samples, SLUICE_LIMIT_BATCH_SAMPLES);
    assert_int_equal(f->batch->samples[SLUICE_LIMIT_BATCH_SAMPLES - 1].verdict.decision,
                     SLUICE_KEEP);
    wire_sample(&f->bytes, &f->sample);
    assert_int_equal(decode(f), SLUICE_E_TOOBIG);
    assert_int_equal(f->batch->n_samples, 0);
    assert_string_equal(f->why.text, "batch has more than 4096 samples");
}

static void test_sample_fields_at_limit_pass_and_one_beyond_is_refused(void **state)
{
    fixture *f = *state;
    start(f, "a");
    for (int i = 1; i < SL_SCAN_LEVEL_FIELDS; i++) {
        wire_varint(&f->sample, 100, 1);
    }
    assert_int_equal(decode_one(f)->verdict.decision, SLUICE_KEEP);
    wire_varint(&f->sample, 100, 1);
    assert_refused(decode_one(f), "too_complex", NULL);
}

static void test_sample_fields_inside_count_for_the_total(void **state)
{
    fixture *f = *state;
    sluice_bytes annotation = {0};
    start(f, "a"); /* 1 + 5 annotations + 4 * 1000 + 90 = 4096 */
    for (int i = 0; i < 1000; i++) {
        wire_varint(&annotation, 40, 1);
    }
    for (int i = 0; i < 4; i++) {
        wire_field(&f->sample, 15, annotation.data, annotation.size);
    }
    annotation.size = 90 * 3; /* a field is a two-byte tag and a byte */
    size_t before = f->sample.size;
    wire_field(&f->sample, 15, annotation.data, annotation.size);
    assert_int_equal(decode_one(f)->verdict.decision, SLUICE_KEEP);
    f->sample.size = before;
    wire_varint(&annotation, 40, 1);
    wire_field(&f->sample, 15, annotation.data, annotation.size);
    assert_refused(decode_one(f), "too_complex", NULL);
    sl_bytes_fini(&annotation);
}

static void test_batch_unknown_fields_at_limit_pass_and_one_beyond_fails(void **state)
{
    fixture *f = *state;
    for (int i = 0; i < SL_SCAN_LEVEL_FIELDS; i++) {
        wire_varint(&f->bytes, 9, 1);
    }
    assert_int_equal(decode(f), SLUICE_OK);
    wire_varint(&f->bytes, 9, 1);
    assert_int_equal(decode(f), SLUICE_E_TOOBIG);
}

/* --- not protobuf --- */

static void test_sample_not_protobuf_is_malformed(void **state)
{
    fixture *f = *state;
    static const struct {
        const char *bytes;
        size_t size;
    } cases[] = {
        {"\x00", 1},             /* field number 0             */
        {"\x02\x00", 2},         /* the same, length-delimited */
        {"\x03", 1},             /* group                      */
        {"\x0b\x0c", 2},         /* field 1 as a group         */
        {"\xa3\x06\xa4\x06", 4}, /* field 100 as a group       */
        {"\x0e", 1},             /* wire type 6                */
        {"\x0f", 1},             /* wire type 7                */
        {"\x0a", 1},             /* no length                  */
        {"\x0a\x05"
         "ab",
         4},                                                      /* longer than the sample     */
        {"\x0a\xff\xff\xff\xff\x0f", 6},                          /* length 2^32 - 1            */
        {"\x0a\x80\x80\x80\x80\x80\x00", 7},                      /* length of six bytes        */
        {"\x8a\x80\x80\x80\x80\x00", 6},                          /* tag of six bytes           */
        {"\xf8\xff\xff\xff\x7f\x01", 6},                          /* field number of 32 bits    */
        {"\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11},     /* varint of 65 bits          */
        {"\x18\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 12}, /* varint of 11 bytes       */
        {"\x18\x80", 2},                                          /* varint cut off             */
        {"\x51\x00\x00", 3},                                      /* double cut off             */
        {"\xa5\x06\x00", 3},                                      /* 32 bits cut off            */
        {"\x08\x01", 2},                                          /* id as a number             */
        {"\x1a\x00", 2},                                          /* event_time_us as bytes     */
        {"\x3a\x02\x0a\x05", 4},                                  /* view: tensor cut off       */
        {"\x3a\x05\x0a\x03\x12\x01\x80", 7},                      /* shape: number cut off      */
        {"\x3a\x04\x0a\x00\x0a\x00", 6},                          /* embedding twice            */
        {"\x7a\x02\x18\x80", 4},                                  /* annotation cut off         */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        start(f, "a");
        wire_raw(&f->sample, cases[i].bytes, cases[i].size);
        const sluice_sample *sample = decode_one(f);
        assert_refused(sample, "malformed", NULL);
        assert_span(sample->id, "a");
    }
}

static void test_sample_varint_of_ten_bytes_is_a_number(void **state)
{
    fixture *f = *state;
    start(f, "a");
    wire_raw(&f->sample, "\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11);
    assert_int_equal(decode_one(f)->event_time_us, -1);
}

static void test_sample_deep_nesting_of_unknown_bytes_is_skipped(void **state)
{
    fixture *f = *state;
    sluice_bytes inner = {0};
    start(f, "a");
    for (int i = 0; i < 200; i++) { /* field 100 in field 100 in ... */
        sluice_bytes outer = {0};
        wire_field(&outer, 100, inner.data, inner.size);
        sl_bytes_fini(&inner);
        inner = outer;
    }
    wire_raw(&f->sample, inner.data, inner.size);
    sl_bytes_fini(&inner);
    assert_int_equal(decode_one(f)->verdict.decision, SLUICE_KEEP);
}

static void test_batch_not_protobuf_fails_as_a_whole(void **state)
{
    fixture *f = *state;
    start(f, "a");
    wire_sample(&f->bytes, &f->sample);
    size_t before = f->bytes.size;
    wire_raw(&f->bytes, "\x0a\x7f", 2);
    assert_int_equal(decode(f), SLUICE_E_BADSAMPLE);
    assert_int_equal(f->batch->n_samples, 0);
    assert_string_equal(f->why.text, "batch of 7 bytes cannot be read as protobuf from byte 5 on");
    f->bytes.size = before;
    wire_varint(&f->bytes, 1, 3);
    assert_int_equal(decode(f), SLUICE_E_BADSAMPLE);
    assert_string_equal(f->why.text, "batch.samples has wire type 0; samples have 2");
    assert_int_equal(sluice_batch_decode(f->batch, wire_span(&f->bytes), NULL), SLUICE_E_BADSAMPLE);
}

static void test_batch_every_truncation_fails_or_holds_whole_samples(void **state)
{
    fixture *f = *state;
    size_t ends[4] = {0};
    for (int i = 0; i < 3; i++) {
        start(f, "abc");
        wire_text(&f->sample, 4, "some payload");
        wire_attribute(&f->sample, "region", "eu");
        wire_raw(&f->sample, "\x3a\x08\x0a\x06\x08\x01\x12\x02\x02\x03", 10); /* a view */
        wire_sample(&f->bytes, &f->sample);
        ends[i + 1] = f->bytes.size;
    }
    for (size_t size = 0; size <= f->bytes.size; size++) {
        uint8_t *copy = malloc(size + 1); /* of that size, so that reading past the end is seen */
        memcpy(copy, f->bytes.data, size);
        sluice_status status = sluice_batch_decode(f->batch, (sluice_span){copy, size}, &f->why);
        bool whole = false;
        for (uint32_t i = 0; i < 4; i++) {
            if (size == ends[i]) {
                assert_int_equal(f->batch->n_samples, i);
                whole = true;
            }
        }
        assert_int_equal(status, whole ? SLUICE_OK : SLUICE_E_BADSAMPLE);
        free(copy);
    }
    /* The same inside a sample: its length is right, its content is cut. */
    sluice_bytes full = f->sample;
    for (size_t size = 0; size < full.size; size++) {
        f->sample.size = size;
        const sluice_sample *sample = decode_one(f);
        assert_true(size < 5 || sl_span_equal(sample->id, sl_span_of("abc")));
    }
}

/* --- hostile --- */

static void assert_memory_bounded(fixture *f)
{
    (void)!decode(f);
    assert_true(sl_arena_used(f->batch->arena) <= sl_unpack_cap(f->bytes.size));
}

/* A mebibyte of `unit` inside one sample, beside an id. */
static void fill_sample(fixture *f, const char *unit, size_t size)
{
    start(f, "a");
    while (f->sample.size + size <= (1u << 20)) {
        wire_raw(&f->sample, unit, size);
    }
    sl_bytes_clear(&f->bytes);
    wire_sample(&f->bytes, &f->sample);
}

static void test_sample_of_a_million_tiny_fields_is_too_complex(void **state)
{
    fixture *f = *state;
    static const char *const units[] = {"\x3a\x00",     "\x4a\x00", "\x7a\x00",
                                        "\xa0\x06\x01", "\x68\x01", "\x20\x01"};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        size_t size = i == 3 ? 3 : 2;
        fill_sample(f, units[i], size);
        assert_memory_bounded(f);
        /* 0x20 is payload as a number: malformed at its first; the others run into the count. */
        assert_refused(&f->batch->samples[0], i == 5 ? "malformed" : "too_complex", NULL);
        assert_true(sl_arena_used(f->batch->arena) < 256);
    }
}

static void test_sample_of_a_million_packed_numbers_is_too_complex(void **state)
{
    fixture *f = *state;
    sluice_bytes tensor = {0};
    sluice_bytes view = {0};
    wire_run(&tensor, 2, 1, 1u << 19); /* shape */
    wire_field(&view, 1, tensor.data, tensor.size);
    start(f, "a");
    wire_field(&f->sample, 7, view.data, view.size);
    assert_refused(decode_one(f), "too_complex", NULL);
    sl_bytes_fini(&tensor);
    sl_bytes_fini(&view);
}

static void test_batch_of_empty_samples_stays_inside_its_memory(void **state)
{
    fixture *f = *state;
    for (int i = 0; i < SLUICE_LIMIT_BATCH_SAMPLES; i++) {
        wire_raw(&f->bytes, "\x0a\x00", 2);
    }
    assert_memory_bounded(f);
    assert_int_equal(f->batch->n_samples, SLUICE_LIMIT_BATCH_SAMPLES);
    for (uint32_t i = 0; i < f->batch->n_samples; i++) { /* the text may have to be shorter */
        assert_refused(&f->batch->samples[i], "id_missing", NULL);
    }
    assert_string_equal(f->batch->samples[f->batch->n_samples - 1].verdict.text, "id_missing");
}

static void test_batch_garbage_never_breaks_anything(void **state)
{
    fixture *f = *state;
    uint64_t x = 0x9e3779b97f4a7c15u;
    for (int i = 0; i < 20000; i++) {
        sl_bytes_clear(&f->bytes);
        size_t size = (size_t)(i % 97);
        for (size_t j = 0; j < size; j++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            wire_check(sl_bytes_put_u8(&f->bytes, (uint8_t)(x >> 24)));
        }
        assert_memory_bounded(f);
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_batch_empty_frame_has_no_samples),
        T(test_sample_all_fields_are_found),
        T(test_sample_without_source_and_payload_is_accepted),
        T(test_sample_field_given_twice_takes_the_last),
        T(test_batch_refused_sample_leaves_neighbours_alone),
        T(test_batch_decoded_again_forgets_the_refusals),
        T(test_names_at_limit_pass_and_one_beyond_is_refused),
        T(test_names_with_nul_or_broken_utf8_are_refused),
        T(test_attributes_at_limit_pass_and_one_beyond_is_refused),
        T(test_attribute_names_and_values_are_checked),
        T(test_text_at_limit_passes_and_one_beyond_is_refused),
        T(test_image_at_limit_passes_and_one_beyond_is_refused),
        T(test_text_of_256_mib_is_refused_and_costs_no_memory),
        T(test_rest_at_limit_passes_and_one_beyond_is_refused),
        T(test_cost_not_finite_is_refused),
        T(test_batch_samples_at_limit_pass_and_one_beyond_fails),
        T(test_sample_fields_at_limit_pass_and_one_beyond_is_refused),
        T(test_sample_fields_inside_count_for_the_total),
        T(test_batch_unknown_fields_at_limit_pass_and_one_beyond_fails),
        T(test_sample_not_protobuf_is_malformed),
        T(test_sample_varint_of_ten_bytes_is_a_number),
        T(test_sample_deep_nesting_of_unknown_bytes_is_skipped),
        T(test_batch_not_protobuf_fails_as_a_whole),
        T(test_batch_every_truncation_fails_or_holds_whole_samples),
        T(test_sample_of_a_million_tiny_fields_is_too_complex),
        T(test_sample_of_a_million_packed_numbers_is_too_complex),
        T(test_batch_of_empty_samples_stays_inside_its_memory),
        T(test_batch_garbage_never_breaks_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
