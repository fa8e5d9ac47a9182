/* decode_prescan_test.c - the walk against the schema, level by level. */
#include "decode/prescan.h"
#include "sluice/v1/sample.pb-c.h"
#include "sluice/v1/session.pb-c.h"
#include "wire_bytes.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static sl_scan_fault fault;

static sl_scan_result scan(const ProtobufCMessageDescriptor *type, const char *data, size_t size)
{
    uint32_t n_left = SL_SCAN_TOTAL_FIELDS;
    return sl_prescan(type, (sluice_span){(const uint8_t *)data, size}, &n_left, &fault);
}

#define SCAN(type, bytes) scan(&sluice__v1__##type##__descriptor, bytes, sizeof bytes - 1)

static void test_prescan_empty_message_passes(void **state)
{
    (void)state;
    uint32_t n_left = 5;
    assert_int_equal(
        sl_prescan(&sluice__v1__tensor__descriptor, (sluice_span){NULL, 0}, &n_left, &fault),
        SL_SCAN_OK);
    assert_int_equal(n_left, 5);
}

static void test_prescan_counts_fields_of_all_levels(void **state)
{
    (void)state;
    uint32_t n_left = 10;
    /* View { embedding { type, shape packed 2 }, augmentation } */
    static const char bytes[] = "\x0a\x06\x08\x01\x12\x02\x02\x03\x1a\x01x";
    assert_int_equal(sl_prescan(&sluice__v1__view__descriptor,
                                (sluice_span){(const uint8_t *)bytes, sizeof bytes - 1}, &n_left,
                                &fault),
                     SL_SCAN_OK);
    assert_int_equal(n_left, 10 - 1 - 1 - 2 - 1);
}

static void test_prescan_spent_budget_is_too_complex(void **state)
{
    (void)state;
    uint32_t n_left = 1;
    static const uint8_t bytes[] = {0x08, 1, 0x08, 2};
    assert_int_equal(
        sl_prescan(&sluice__v1__tensor__descriptor, (sluice_span){bytes, 4}, &n_left, &fault),
        SL_SCAN_TOO_COMPLEX);
    assert_string_equal(fault.message, "Tensor");
}

static void test_prescan_packed_and_plain_numbers_both_pass(void **state)
{
    (void)state;
    assert_int_equal(SCAN(tensor, "\x12\x03\x01\x80\x01"), SL_SCAN_OK);
    assert_int_equal(SCAN(tensor, "\x10\x01\x10\x02"), SL_SCAN_OK);
    assert_int_equal(SCAN(tensor, "\x12\x00"), SL_SCAN_OK);
}

static void test_prescan_packed_number_cut_off_is_malformed(void **state)
{
    (void)state;
    assert_int_equal(SCAN(tensor, "\x12\x02\x01\x80"), SL_SCAN_MALFORMED);
    assert_string_equal(fault.message, "Tensor");
    assert_string_equal(fault.field, "shape");
    assert_string_equal(fault.what, "ends inside a number");
}

static void test_prescan_known_field_of_other_wire_type_is_malformed(void **state)
{
    (void)state;
    assert_int_equal(SCAN(tensor, "\x0d\0\0\0\0"), SL_SCAN_MALFORMED); /* type as 32 bits  */
    assert_int_equal(SCAN(tensor, "\x18\x01"), SL_SCAN_MALFORMED);     /* data as a number */
    assert_int_equal(SCAN(tensor, "\x20\x01"), SL_SCAN_MALFORMED);     /* scale likewise   */
    assert_int_equal(SCAN(tensor, "\x0a\x01\x01"), SL_SCAN_MALFORMED); /* type packed      */
    assert_int_equal(SCAN(put, "\x1d\0\0\0\0"), SL_SCAN_MALFORMED);    /* xxh3 as 32 bits  */
    assert_string_equal(fault.field, "xxh3");
}

static void test_prescan_unknown_field_is_skipped_whatever_it_holds(void **state)
{
    (void)state;
    assert_int_equal(SCAN(tensor, "\xa2\x06\x03\xff\x0b\x00"), SL_SCAN_OK);
}

static void test_prescan_singular_message_twice_is_malformed(void **state)
{
    (void)state;
    assert_int_equal(SCAN(view, "\x0a\x00\x12\x00"), SL_SCAN_OK);
    assert_int_equal(SCAN(view, "\x0a\x00\x0a\x00"), SL_SCAN_MALFORMED);
    assert_string_equal(fault.what, "occurs twice");
    assert_int_equal(SCAN(annotation, "\x3a\x00\x3a\x00"), SL_SCAN_MALFORMED);
    assert_int_equal(SCAN(sample, "\x3a\x00\x3a\x00"), SL_SCAN_OK); /* views are repeated */
}

static void test_prescan_strings_are_looked_at_inside(void **state)
{
    (void)state;
    assert_int_equal(SCAN(annotation, "\x2a\x01\xff"), SL_SCAN_NOT_UTF8);
    assert_string_equal(fault.field, "reasons");
    assert_int_equal(SCAN(annotation, "\x3a\x03\x0a\x01\x00"), SL_SCAN_HAS_NUL);
    assert_string_equal(fault.message, "Duplicate");
    assert_string_equal(fault.field, "of");
}

static void test_prescan_deepest_message_of_the_schema_passes(void **state)
{
    (void)state;
    /* Sample.annotations.influence.percentile.toward[r].value */
    assert_int_equal(SCAN(sample, "\x7a\x13\x42\x11\x4a\x0f\x22\x0d\x0a\x04"
                                  "cats"
                                  "\x12\x05\x0d\x00\x00\x80\x3f"),
                     SL_SCAN_OK);
    assert_int_equal(SCAN(sample, "\x7a\x13\x42\x11\x4a\x0f\x22\x0d\x0a\x04"
                                  "cats"
                                  "\x12\x05\x0d\x00\x00\x80"),
                     SL_SCAN_MALFORMED);
}

static void test_field_next_reads_all_wire_types(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0x08, 0x96, 0x01, 0x11, 1,   0,    0, 0, 0, 0,   0,
                                    0x80, 0x1a, 2,    'o',  'k', 0x25, 1, 0, 0, 0x40};
    sl_reader reader = sl_reader_of((sluice_span){bytes, sizeof bytes});
    sl_wire_field field;
    assert_true(sl_wire_field_next(&reader, &field));
    assert_true(field.number == 1 && field.wire_type == SL_WIRE_VARINT && field.value == 150);
    assert_true(sl_wire_field_next(&reader, &field));
    assert_true(field.number == 2 && field.value == UINT64_C(0x8000000000000001));
    assert_true(sl_wire_field_next(&reader, &field));
    assert_true(field.number == 3 && field.span.size == 2 && field.span.data == bytes + 14);
    assert_true(sl_wire_field_next(&reader, &field));
    assert_true(field.number == 4 && field.value == 0x40000001);
    assert_false(sl_wire_field_next(&reader, &field));
    assert_false(reader.bad);
}

static void test_field_next_largest_number_passes_and_more_is_bad(void **state)
{
    (void)state;
    static const uint8_t largest[] = {0xf8, 0xff, 0xff, 0xff, 0x0f, 1};
    static const uint8_t beyond[] = {0xf8, 0xff, 0xff, 0xff, 0x1f, 1};
    sl_wire_field field;
    sl_reader reader = sl_reader_of((sluice_span){largest, sizeof largest});
    assert_true(sl_wire_field_next(&reader, &field));
    assert_int_equal(field.number, (1u << 29) - 1);
    reader = sl_reader_of((sluice_span){beyond, sizeof beyond});
    assert_false(sl_wire_field_next(&reader, &field));
    assert_true(reader.bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prescan_empty_message_passes),
        cmocka_unit_test(test_prescan_counts_fields_of_all_levels),
        cmocka_unit_test(test_prescan_spent_budget_is_too_complex),
        cmocka_unit_test(test_prescan_packed_and_plain_numbers_both_pass),
        cmocka_unit_test(test_prescan_packed_number_cut_off_is_malformed),
        cmocka_unit_test(test_prescan_known_field_of_other_wire_type_is_malformed),
        cmocka_unit_test(test_prescan_unknown_field_is_skipped_whatever_it_holds),
        cmocka_unit_test(test_prescan_singular_message_twice_is_malformed),
        cmocka_unit_test(test_prescan_strings_are_looked_at_inside),
        cmocka_unit_test(test_prescan_deepest_message_of_the_schema_passes),
        cmocka_unit_test(test_field_next_reads_all_wire_types),
        cmocka_unit_test(test_field_next_largest_number_passes_and_more_is_bad),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
