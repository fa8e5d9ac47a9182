/* command_jsonl_test.c - one line of JSONL as an encoded Sample, and back with a verdict. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "bytes.h"
#include "command/jsonl.h"
#include "decode/sample_fields.h"

static sluice_bytes wire;
static sl_input_fault fault;
static sl_sample_fields fields;

static sluice_status encode(const char *line)
{
    sl_refusal refusal;
    sl_bytes_clear(&wire);
    fault.reason = NULL;
    static sl_jsonl_image image;
    sluice_status status = sl_jsonl_encode(sl_span_of(line), "f:1", &wire, &image, &fault);
    assert_true(sl_sample_fields_find((sluice_span){wire.data, wire.size}, &fields, &refusal));
    return status;
}

static void assert_span(sluice_span span, const char *text)
{
    assert_int_equal(span.size, strlen(text));
    if (span.size > 0) {
        assert_memory_equal(span.data, text, span.size);
    }
}

static void assert_attribute(uint32_t i, const char *name, const char *value)
{
    sluice_span found_name;
    sluice_span found_value;
    assert_true(i < fields.n_attributes);
    sl_attribute_read(fields.attributes[i], &found_name, &found_value);
    assert_span(found_name, name);
    assert_span(found_value, value);
}

static void test_jsonl_encode_known_members_become_fields(void **state)
{
    (void)state;
    assert_int_equal(encode("{\"id\":\"a\\u00e9\",\"source\":\"s\",\"text\":\"t\\n\","
                            "\"ts\":\"1970-01-01T00:00:01.5Z\",\"encoder\":\"e@1\",\"cost\":0.25,"
                            "\"media_type\":\"text/plain\"}"),
                     SLUICE_OK);
    assert_span(fields.id, "a\xc3\xa9");
    assert_span(fields.source, "s");
    assert_span(fields.payload, "t\n");
    assert_span(fields.encoder, "e@1");
    assert_span(fields.media_type, "text/plain");
    assert_true(fields.event_time_us == 1500000);
    assert_float_equal(fields.cost, 0.25, 0);
    assert_int_equal(fields.n_attributes, 0);
}

static void test_jsonl_encode_other_scalars_become_attributes_as_written(void **state)
{
    (void)state;
    assert_int_equal(encode("{\"text\":\"t\",\"a\":\"x\",\"b\":2.50,\"c\":18446744073709551617,"
                            "\"d\":true,\"e\":false,\"f\":null,\"g\":[1,\"}\"],\"h\":{\"i\":1},"
                            "\"j\":\"\",\"k\\n\":-1e-7}"),
                     SLUICE_OK);
    assert_span(fields.id, "f:1");
    assert_int_equal(fields.n_attributes, 7);
    assert_attribute(0, "a", "x");
    assert_attribute(1, "b", "2.50");
    assert_attribute(2, "c", "18446744073709551617");
    assert_attribute(3, "d", "true");
    assert_attribute(4, "e", "false");
    assert_attribute(5, "j", "");
    assert_attribute(6, "k\n", "-1e-7");
}

static void test_jsonl_encode_ts_that_is_no_time_is_an_attribute(void **state)
{
    (void)state;
    assert_int_equal(encode("{\"text\":\"t\",\"ts\":\"26-FEB-1987 15:01:01.79\"}"), SLUICE_OK);
    assert_true(fields.event_time_us == 0);
    assert_attribute(0, "ts", "26-FEB-1987 15:01:01.79");
    assert_int_equal(encode("{\"text\":\"t\",\"ts\":1700000000.25}"), SLUICE_OK);
    assert_true(fields.event_time_us == INT64_C(1700000000250000));
    assert_int_equal(encode("{\"text\":\"t\",\"ts\":-1}"), SLUICE_OK);
    assert_true(fields.event_time_us == -1000000);
    assert_int_equal(encode("{\"text\":\"t\",\"ts\":1e300}"), SLUICE_E_BADSAMPLE);
    assert_string_equal(fault.reason, "wrong_type");
}

static void test_jsonl_encode_names_may_be_numbers(void **state)
{
    (void)state;
    assert_int_equal(encode("{\"id\": 12345678901234567890123, \"source\": 7, \"text\":\"t\"}"),
                     SLUICE_OK);
    assert_span(fields.id, "12345678901234567890123");
    assert_span(fields.source, "7");
}

static void assert_refused(const char *line, const char *reason, const char *says)
{
    assert_int_equal(encode(line), SLUICE_E_BADSAMPLE);
    assert_string_equal(fault.reason, reason);
    if (strstr(fault.text.text, says) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", fault.text.text, says);
    }
    assert_int_equal(fields.payload.size, 0);
    assert_true(fields.id.size > 0);
}

static void test_jsonl_encode_bad_lines_are_refused_by_member(void **state)
{
    (void)state;
    assert_refused("{\"text\":5}", "wrong_type", "\"text\" is a number; expected a text");
    assert_refused("{\"text\":\"t\",\"id\":[1]}", "wrong_type", "\"id\" is a list");
    assert_refused("{\"text\":\"t\",\"cost\":true}", "wrong_type", "\"cost\" is a boolean");
    assert_refused("{\"id\":\"a\"}", "text_missing", "\"text\"");
    assert_refused("{\"id\":\"a\",\"text\":null}", "text_missing", "\"text\"");
    assert_refused("{\"a\":1,\"a\":2,\"text\":\"t\"}", "duplicate_member", "\"a\"");
    assert_refused("{\"text\":\"\xff\"}", "not_utf8", "member \"text\"");
    assert_refused("{\"text\":\"t\",\"b\":\"\xc3\"}", "not_utf8", "member \"b\"");
    assert_refused("{\"text\":\"t\"", "not_json", "");
    assert_refused("{\"text\":\"t\"}}", "not_json", "");
    assert_refused("", "not_json", "");
    assert_refused("\"", "not_json", "");
    assert_refused("{\"", "not_json", "");
    assert_refused("{\"a\\", "not_json", "");
    assert_refused("null", "not_an_object", "null");
    assert_refused("{\"image\":\"\"}", "image_missing", "not a path");
    assert_refused("{\"image\":7}", "wrong_type", "a path");
    assert_refused("{\"image\":\"a.jpg\",\"text\":\"a\"}", "two_payloads", "both");
}

static void test_jsonl_encode_refused_sample_keeps_its_names(void **state)
{
    (void)state;
    assert_refused("{\"text\":5,\"id\":\"late\",\"source\":\"src\"}", "wrong_type", "text");
    assert_span(fields.id, "late");
    assert_span(fields.source, "src");
    assert_refused("{\"text\":5,\"id\":\"a\\u0000\"}", "wrong_type", "text");
    assert_span(fields.id, "f:1");
}

static void test_jsonl_encode_what_limits_names_is_left_to_decode(void **state)
{
    (void)state;
    sl_refusal refusal;
    assert_int_equal(encode("{\"text\":\"t\",\"id\":\"a\\u0000b\"}"), SLUICE_OK);
    assert_false(sl_sample_fields_check(&fields, wire.size, &refusal));
    assert_string_equal(refusal.reason, "id_has_nul");
}

static void test_time_parse_knows_rfc3339(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t time_us;
    } good[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1985-04-12T23:20:50.52Z", INT64_C(482196050520000)},
        {"1996-12-19T16:39:57-08:00", INT64_C(851042397000000)},
        {"1990-12-31T23:59:60Z", INT64_C(662688000000000)},
        {"1937-01-01T12:00:27.87+00:20", INT64_C(-1041337172130000)},
        {"2024-02-29 12:00:00.1234567891z", INT64_C(1709208000123456)},
        {"0001-01-01T00:00:00Z", INT64_C(-62135596800000000)},
        {"9999-12-31T23:59:59Z", INT64_C(253402300799000000)},
    };
    static const char *const bad[] = {"",
                                      "2024-01-01",
                                      "2024-01-01T00:00:00",
                                      "2023-02-29T00:00:00Z",
                                      "1900-02-29T00:00:00Z",
                                      "2024-13-01T00:00:00Z",
                                      "2024-00-01T00:00:00Z",
                                      "2024-01-32T00:00:00Z",
                                      "2024-01-01T24:00:00Z",
                                      "2024-01-01T00:60:00Z",
                                      "2024-01-01T00:00:61Z",
                                      "2024-01-01T00:00:00.Z",
                                      "2024-01-01T00:00:00+1:00",
                                      "2024-01-01T00:00:00+24:00",
                                      "2024-01-01T00:00:00Zx",
                                      "26-FEB-1987 15:01:01.79",
                                      NULL};
    int64_t time_us;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(sl_time_parse(good[i].text, &time_us));
        assert_true(time_us == good[i].time_us);
    }
    for (size_t i = 0; bad[i] != NULL; i++) {
        assert_false(sl_time_parse(bad[i], &time_us));
    }
}

static void assert_annotated(const char *line, const char *expected)
{
    sluice_bytes out = {0};
    assert_int_equal(sl_jsonl_annotate(sl_span_of(line), sl_span_of("{\"v\":1}"), &out), SLUICE_OK);
    assert_span((sluice_span){out.data, out.size}, expected);
    sl_bytes_fini(&out);
}

static void test_jsonl_annotate_adds_or_replaces_one_member(void **state)
{
    (void)state;
    assert_annotated("{\"a\":1}", "{\"a\":1, \"sluice\": {\"v\":1}}");
    assert_annotated(" {\"a\": \"}\" } \r", " {\"a\": \"}\" , \"sluice\": {\"v\":1}} \r");
    assert_annotated("{}", "{\"sluice\": {\"v\":1}}");
    assert_annotated("{ }", "{ \"sluice\": {\"v\":1}}");
    assert_annotated("{\"a\":1, \"sluice\": {\"x\":[\"}\"]}}", "{\"a\":1, \"sluice\": {\"v\":1}}");
    assert_annotated("{\"sluice\":null,\"a\":1}", "{\"a\":1, \"sluice\": {\"v\":1}}");
    assert_annotated("{\"a\":1 , \"sluice\":2 , \"b\":\"\\\"\"}",
                     "{\"a\":1 , \"b\":\"\\\"\", \"sluice\": {\"v\":1}}");
    assert_annotated("{\"sluice\":1}", "{\"sluice\": {\"v\":1}}");
    assert_annotated("{\"a\":{\"sluice\":1}}", "{\"a\":{\"sluice\":1}, \"sluice\": {\"v\":1}}");
}

static int free_wire(void **state)
{
    (void)state;
    sl_bytes_fini(&wire);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jsonl_encode_known_members_become_fields),
        cmocka_unit_test(test_jsonl_encode_other_scalars_become_attributes_as_written),
        cmocka_unit_test(test_jsonl_encode_ts_that_is_no_time_is_an_attribute),
        cmocka_unit_test(test_jsonl_encode_names_may_be_numbers),
        cmocka_unit_test(test_jsonl_encode_bad_lines_are_refused_by_member),
        cmocka_unit_test(test_jsonl_encode_refused_sample_keeps_its_names),
        cmocka_unit_test(test_jsonl_encode_what_limits_names_is_left_to_decode),
        cmocka_unit_test(test_time_parse_knows_rfc3339),
        cmocka_unit_test(test_jsonl_annotate_adds_or_replaces_one_member),
    };
    return cmocka_run_group_tests(tests, NULL, free_wire);
}
