/* decode_annotate_test.c - an appended annotation is one more element of the sample. */
#include "decode/annotate.h"
#include "sluice/v1/sample.pb-c.h"
#include "wire_bytes.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void append(sluice_bytes *bytes, float weight, uint64_t offset)
{
    Sluice__V1__Annotation annotation = SLUICE__V1__ANNOTATION__INIT;
    annotation.weight = weight;
    annotation.offset_or_null_case = SLUICE__V1__ANNOTATION__OFFSET_OR_NULL_OFFSET;
    annotation.offset = offset;
    wire_check(sl_annotate(&annotation, bytes));
}

static void test_annotate_appends_and_touches_nothing_before(void **state)
{
    (void)state;
    sluice_bytes bytes = {0};
    wire_text(&bytes, 1, "a");
    wire_varint(&bytes, 100, 9); /* a user's field */
    uint8_t before[64];
    size_t size = bytes.size;
    memcpy(before, bytes.data, size);
    append(&bytes, 0.5f, 0);
    append(&bytes, 2.0f, UINT64_C(1) << 63);
    assert_memory_equal(bytes.data, before, size);

    Sluice__V1__Sample *sample = sluice__v1__sample__unpack(NULL, bytes.size, bytes.data);
    assert_non_null(sample);
    assert_string_equal(sample->id, "a");
    assert_int_equal(sample->n_annotations, 2);
    assert_true(sample->annotations[0]->weight == 0.5f);
    assert_int_equal(sample->annotations[0]->offset_or_null_case,
                     SLUICE__V1__ANNOTATION__OFFSET_OR_NULL_OFFSET);
    assert_true(sample->annotations[1]->offset == UINT64_C(1) << 63);
    assert_int_equal(sample->base.n_unknown_fields, 1);
    sluice__v1__sample__free_unpacked(sample, NULL);
    sl_bytes_fini(&bytes);
}

static void test_annotate_empty_annotation_is_an_element(void **state)
{
    (void)state;
    sluice_bytes bytes = {0};
    Sluice__V1__Annotation annotation = SLUICE__V1__ANNOTATION__INIT;
    wire_check(sl_annotate(&annotation, &bytes));
    assert_int_equal(bytes.size, 2);
    assert_memory_equal(bytes.data, "\x7a\x00", 2);
    sl_bytes_fini(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_annotate_appends_and_touches_nothing_before),
        cmocka_unit_test(test_annotate_empty_annotation_is_an_element),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
