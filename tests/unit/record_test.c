/* record_test.c - verdicts as annotations, as records and as JSONL lines. */
#include "record.h"
#include "arena.h"
#include "golden_file.h"
#include "sluice/v1/sample.pb-c.h"
#include "wire_bytes.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define FIRST "wire/v1-first/"

static void assert_bytes(const sluice_bytes *bytes, const char *text)
{
    if (!sl_span_equal(wire_span(bytes), sl_span_of(text))) {
        fail_msg("have %.*s\nwant %s", (int)bytes->size, (const char *)bytes->data, text);
    }
}

static void assert_file(const sluice_bytes *bytes, const char *name)
{
    sluice_bytes file = golden_file(name);
    if (!sl_span_equal(wire_span(bytes), wire_span(&file))) {
        fail_msg("%s\nhave %.*s\nwant %.*s", name, (int)bytes->size, (const char *)bytes->data,
                 (int)file.size, (const char *)file.data);
    }
    sl_bytes_fini(&file);
}

/* The values of first_hop() and second_hop() in tests/e2e/wire_golden_test.py. */
static sluice_sample first_hop(void)
{
    sluice_sample sample = {.offset = 17, .id = sl_span_of("a1"), .source = sl_span_of("shop/é")};
    sample.verdict.decision = SLUICE_DROP;
    sample.verdict.weight = 1.0f;
    sample.verdict.n_reasons = 1;
    sample.verdict.reasons[0] = "duplicate";
    sample.match.method = SLUICE_METHOD_TEXT;
    sample.match.similarity = 0.93f;
    sample.match.of_offset = 3;
    sample.match.of_id = sl_span_of("a0");
    sample.match.of_source = sl_span_of("shop/é");
    return sample;
}

static sluice_sample second_hop(void)
{
    sluice_sample sample = {.offset = 0, .id = sl_span_of("a1"), .source = sl_span_of("shop/é")};
    sample.verdict.decision = SLUICE_FLAG;
    sample.verdict.weight = 0.5f;
    sample.verdict.n_reasons = 2;
    sample.verdict.reasons[0] = "rare";
    sample.verdict.reasons[1] = "new";
    return sample;
}

static void assert_json(const sluice_sample *sample, const char *text)
{
    sluice_bytes out = {0};
    assert_int_equal(sl_record_json(sample, &out), SLUICE_OK);
    assert_bytes(&out, text);
    sl_bytes_fini(&out);
}

/* The record of `sample` read back from its bytes with its annotation behind. */
static void assert_survives_the_wire(const sluice_sample *sample)
{
    sluice_bytes wire = {0};
    sluice_bytes written = {0};
    sluice_bytes read = {0};
    wire_field(&wire, 1, sample->id.data, sample->id.size);
    wire_field(&wire, 2, sample->source.data, sample->source.size);
    wire_check(sl_record_annotate(sample, &wire));
    wire_check(sl_record_json(sample, &written));
    assert_int_equal(sl_record_json_of_wire(wire_span(&wire), &read), SLUICE_OK);
    wire_check(sl_bytes_put_u8(&written, 0));
    assert_bytes(&read, (const char *)written.data);
    sl_bytes_fini(&wire);
    sl_bytes_fini(&written);
    sl_bytes_fini(&read);
}

/* --- annotations --- */

static void test_annotate_writes_the_bytes_that_python_writes(void **state)
{
    (void)state;
    sluice_bytes bytes = golden_file(FIRST "sample.pb");
    sluice_sample first = first_hop();
    sluice_sample second = second_hop();
    assert_int_equal(sl_record_annotate(&first, &bytes), SLUICE_OK);
    assert_file(&bytes, FIRST "sample-annotated.pb");
    assert_int_equal(sl_record_annotate(&second, &bytes), SLUICE_OK);
    assert_file(&bytes, FIRST "sample-two-hops.pb");
    sl_bytes_fini(&bytes);
}

static void test_annotate_keeps_the_original_bytes_and_unknown_fields(void **state)
{
    (void)state;
    sluice_bytes original = golden_file(FIRST "sample.pb");
    sluice_bytes bytes = golden_file(FIRST "sample.pb");
    sluice_sample first = first_hop();
    wire_check(sl_record_annotate(&first, &bytes));
    assert_memory_equal(bytes.data, original.data, original.size);
    Sluice__V1__Sample *sample = sluice__v1__sample__unpack(NULL, bytes.size, bytes.data);
    assert_non_null(sample);
    assert_int_equal(sample->base.n_unknown_fields, 3);
    assert_int_equal(sample->base.unknown_fields[1].tag, 100);
    assert_memory_equal(sample->base.unknown_fields[1].data, "\4user", 5);
    sluice__v1__sample__free_unpacked(sample, NULL);
    sl_bytes_fini(&original);
    sl_bytes_fini(&bytes);
}

/* --- records --- */

static void test_json_is_the_record_that_python_writes(void **state)
{
    (void)state;
    sluice_bytes out = {0};
    sluice_sample first = first_hop();
    sluice_sample second = second_hop();
    wire_check(sl_record_json(&first, &out));
    assert_file(&out, FIRST "record.json");
    sl_bytes_clear(&out);
    wire_check(sl_record_json(&second, &out));
    assert_file(&out, FIRST "record-second-hop.json");
    sl_bytes_fini(&out);
}

static void test_json_of_wire_reads_the_last_annotation(void **state)
{
    (void)state;
    sluice_bytes once = golden_file(FIRST "sample-annotated.pb");
    sluice_bytes twice = golden_file(FIRST "sample-two-hops.pb");
    sluice_bytes out = {0};
    assert_int_equal(sl_record_json_of_wire(wire_span(&once), &out), SLUICE_OK);
    assert_file(&out, FIRST "record.json");
    sl_bytes_clear(&out);
    assert_int_equal(sl_record_json_of_wire(wire_span(&twice), &out), SLUICE_OK);
    assert_file(&out, FIRST "record-second-hop.json");
    sl_bytes_fini(&once);
    sl_bytes_fini(&twice);
    sl_bytes_fini(&out);
}

static void test_json_of_wire_gives_scores_and_null_where_there_is_none(void **state)
{
    (void)state;
    sluice_bytes bytes = golden_file(FIRST "sample-influence.pb");
    sluice_bytes out = {0};
    assert_int_equal(sl_record_json_of_wire(wire_span(&bytes), &out), SLUICE_OK);
    assert_bytes(&out, "{\"id\": \"a1\", \"source\": \"shop/é\", \"offset\": 5, \"decision\": "
                       "\"keep\", \"reasons\": [], \"weight\": 1.0, \"duplicate\": null, "
                       "\"influence\": {\"state\": \"live\", \"loss\": 0.0, \"self\": 2.0, "
                       "\"ratio\": null, \"toward\": {\"catalogue\": -0.25, \"empty\": null}, "
                       "\"leverage\": null, \"residual\": null, \"source_shift\": null, "
                       "\"percentile\": {\"loss\": null, \"self\": 0.75, \"leverage\": null, "
                       "\"toward\": {\"catalogue\": 0.5, \"empty\": null}}, \"reliability\": "
                       "null}}");
    sl_bytes_fini(&bytes);
    sl_bytes_fini(&out);
}

static void test_scores_survive_the_wire(void **state)
{
    (void)state;
    sluice_sample sample = first_hop();
    sample.scores = (sluice_scores){
        .state = SLUICE_STALE,
        .n_toward = 2,
        .loss = 0.1F,
        .self = 2.5e7F,
        .ratio = NAN,
        .leverage = 1.25F,
        .residual = 0.0F,
        .source_shift = -0.5F,
        .reliability = NAN,
        .toward = {-1e-9F, NAN},
        .percentile = {.loss = 1.0F, .self = NAN, .leverage = 0.25F, .toward = {0.5F, NAN}},
        .toward_name = {"a", "b"}};
    assert_survives_the_wire(&sample);
}

static void test_json_refused_sample_has_no_offset_and_no_objects(void **state)
{
    (void)state;
    sluice_sample sample = first_hop();
    sample.verdict.decision = SLUICE_REFUSE;
    sample.verdict.weight = 0.0f;
    sample.verdict.reasons[0] = "id_too_long";
    assert_json(&sample, "{\"id\": \"a1\", \"source\": \"shop/é\", \"offset\": null, "
                         "\"decision\": \"refuse\", \"reasons\": [\"id_too_long\"], \"weight\": "
                         "0.0, \"duplicate\": null, \"influence\": null}");
    assert_survives_the_wire(&sample);
}

static void test_json_redelivered_sample_is_no_duplicate_of_itself(void **state)
{
    (void)state;
    sluice_sample sample = second_hop();
    sample.offset = UINT64_MAX;
    sample.match.method = SLUICE_METHOD_EXACT;
    sample.match.redelivered = true;
    sample.match.of_offset = 12;
    sample.match.of_id = sample.id;
    sample.verdict.decision = SLUICE_KEEP;
    sample.verdict.n_reasons = 0;
    assert_json(&sample, "{\"id\": \"a1\", \"source\": \"shop/é\", \"offset\": 12, \"decision\": "
                         "\"keep\", \"reasons\": [], \"weight\": 0.5, \"duplicate\": null, "
                         "\"influence\": null}");
    assert_survives_the_wire(&sample);
}

static void test_json_every_decision_and_method_survives_the_wire(void **state)
{
    (void)state;
    for (int decision = 0; decision < SLUICE_N_DECISIONS; decision++) {
        for (int method = 0; method < SLUICE_N_METHODS; method++) {
            sluice_sample sample = first_hop();
            sample.offset = decision == 0 ? UINT64_MAX - 1 : (uint64_t)decision;
            sample.verdict.decision = (sluice_decision)decision;
            sample.match.method = (sluice_method)method;
            assert_survives_the_wire(&sample);
        }
    }
}

static void test_json_all_findings_survive_the_wire_and_none_leave_no_trace(void **state)
{
    (void)state;
    sluice_sample sample = first_hop();
    const sluice_finding also[SLUICE_LIMIT_ALSO] = {
        {SLUICE_METHOD_TEXT, 0.5f, sl_span_of("t\"1"), sl_span_of("")},
        {SLUICE_METHOD_IMAGE, 0.75f, sl_span_of("i1"), sl_span_of("shop")},
        {SLUICE_METHOD_EMBEDDING, 1, sl_span_of("e1"), sl_span_of("shop")}};
    sample.match.method = SLUICE_METHOD_EXACT;
    sample.match.similarity = 1;
    sample.match.also = also;
    for (sample.match.n_also = 1; sample.match.n_also <= SLUICE_LIMIT_ALSO; sample.match.n_also++) {
        assert_survives_the_wire(&sample);
    }
    sample.match.n_also = 2;
    assert_json(&sample,
                "{\"id\": \"a1\", \"source\": \"shop/é\", \"offset\": 17, \"decision\": \"drop\", "
                "\"reasons\": [\"duplicate\"], \"weight\": 1.0, \"duplicate\": {\"of\": \"a0\", "
                "\"of_source\": \"shop/é\", \"similarity\": 1.0, \"method\": \"exact\", \"also\": "
                "[{\"of\": \"t\\\"1\", \"of_source\": \"\", \"similarity\": 0.5, \"method\": "
                "\"text\"}, {\"of\": \"i1\", \"of_source\": \"shop\", \"similarity\": 0.75, "
                "\"method\": \"image\"}]}, \"influence\": null}");
    sample.match.redelivered = true; /* no duplicate of itself, by no method */
    assert_survives_the_wire(&sample);
    sample.match.redelivered = false;
    sluice_bytes with = {0}, without = {0};
    sample.match.n_also = 0;
    wire_check(sl_record_annotate(&sample, &with));
    sample.match.also = NULL;
    wire_check(sl_record_annotate(&sample, &without));
    assert_true(sl_span_equal(wire_span(&with), wire_span(&without)));
    sl_bytes_fini(&with);
    sl_bytes_fini(&without);
}

static void test_json_eight_reasons_survive_the_wire(void **state)
{
    (void)state;
    sluice_sample sample = first_hop();
    sample.verdict.n_reasons = SLUICE_LIMIT_REASONS;
    for (uint32_t i = 0; i < SLUICE_LIMIT_REASONS; i++) {
        sample.verdict.reasons[i] = i % 2 == 0 ? "a \"quoted\" reason" : "";
    }
    assert_survives_the_wire(&sample);
}

static void test_json_strings_are_escaped_and_repaired(void **state)
{
    (void)state;
    sluice_sample sample = second_hop();
    sample.id = (sluice_span){(const uint8_t *)"q\"\\\b\f\n\r\t\x01\x1f\x7f\0/", 13};
    sample.source = sl_span_of("ok\xff\xc3\xe2\x82€\xed\xa0\x80");
    sample.verdict.decision = SLUICE_REFUSE;
    sample.verdict.n_reasons = 0;
    const char *want = "{\"id\": \"q\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\\u0000/\", "
                       "\"source\": \"ok\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd€"
                       "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\", \"offset\": null, \"decision\": "
                       "\"refuse\", \"reasons\": [], \"weight\": 0.5, \"duplicate\": null, "
                       "\"influence\": null}";
    assert_json(&sample, want);
    assert_survives_the_wire(&sample);
    json_t *json = json_loads(want, JSON_ALLOW_NUL, NULL);
    assert_non_null(json);
    json_t *id = json_object_get(json, "id");
    assert_int_equal(json_string_length(id), sample.id.size);
    assert_memory_equal(json_string_value(id), sample.id.data, sample.id.size);
    json_decref(json);
}

static void test_json_id_of_a_refused_sample_is_cut_to_its_limit(void **state)
{
    (void)state;
    char id[301] = "";
    memset(id, 'x', 300);
    sluice_sample sample = second_hop();
    sample.id = sl_span_of(id);
    sample.verdict.decision = SLUICE_REFUSE;
    assert_survives_the_wire(&sample);
    sluice_bytes out = {0};
    wire_check(sl_record_json(&sample, &out));
    json_t *json = json_loadb((const char *)out.data, out.size, 0, NULL);
    assert_int_equal(json_string_length(json_object_get(json, "id")), 256);
    json_decref(json);
    sl_bytes_fini(&out);
}

static void assert_similarity(float value, const char *text)
{
    sluice_sample sample = first_hop();
    sluice_bytes out = {0};
    sample.match.similarity = value;
    wire_check(sl_record_json(&sample, &out));
    wire_check(sl_bytes_put_u8(&out, 0));
    char *at = strstr((char *)out.data, "\"similarity\": ");
    assert_non_null(at);
    at += strlen("\"similarity\": ");
    *strchr(at, ',') = 0;
    assert_string_equal(at, text);
    sl_bytes_fini(&out);
    assert_survives_the_wire(&sample);
}

static void test_json_numbers_are_the_shortest_that_read_back(void **state)
{
    (void)state;
    assert_similarity(0.93f, "0.93");
    assert_similarity(1.0f, "1.0");
    assert_similarity(0.0f, "0.0");
    assert_similarity(-0.0f, "0.0");
    assert_similarity(0.1f, "0.1");
    assert_similarity(1.0f / 3.0f, "0.33333334");
    assert_similarity(0.99999994f, "0.99999994");
    assert_similarity(16777216.0f, "16777216.0");
    assert_similarity(1e10f, "1e+10");
    assert_similarity(1e-45f, "1.4013e-45");
    assert_similarity(3.4028235e38f, "3.4028235e+38");
    assert_similarity(NAN, "null");
    assert_similarity(INFINITY, "null");
}

static void test_json_says_in_what_the_match_differs_only_if_it_does(void **state)
{
    (void)state;
    static const char *const members[] = {NULL, "\"text\", \"differs\": \"numbers\"}",
                                          "\"text\", \"differs\": \"slot\"}"};
    for (int i = 0; i < SLUICE_N_DIFFERS; i++) {
        sluice_sample sample = first_hop();
        sluice_bytes out = {0};
        sample.match.method = SLUICE_METHOD_TEXT;
        sample.match.differs = (sluice_differs)i;
        wire_check(sl_record_json(&sample, &out));
        wire_check(sl_bytes_put_u8(&out, 0));
        const char *wanted = i == 0 ? "\"text\"}" : members[i];
        assert_non_null(strstr((char *)out.data, wanted));
        sl_bytes_fini(&out);
        assert_survives_the_wire(&sample);
    }
}

static void test_json_says_what_contains_the_sample_only_if_something_does(void **state)
{
    (void)state;
    sluice_sample sample = second_hop();
    sluice_bytes out = {0};
    wire_check(sl_record_json(&sample, &out));
    wire_check(sl_bytes_put_u8(&out, 0));
    assert_null(strstr((char *)out.data, "contained"));
    out.size = 0;
    sample.match.contained = 0.875f;
    sample.match.contained_in = sl_span_of("long");
    wire_check(sl_record_json(&sample, &out));
    wire_check(sl_bytes_put_u8(&out, 0));
    assert_non_null(strstr((char *)out.data, ", \"contained\": 0.875, \"contained_in\": \"long\", "
                                             "\"influence\": "));
    assert_survives_the_wire(&sample);
    sl_bytes_fini(&out);
}

static void test_json_every_shortest_number_reads_back(void **state)
{
    (void)state;
    uint32_t bits = 12345;
    for (int i = 0; i < 20000; i++) {
        bits = bits * 1664525u + 1013904223u;
        float value;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value)) {
            continue;
        }
        sluice_sample sample = second_hop();
        sluice_bytes out = {0};
        sample.verdict.weight = value;
        wire_check(sl_record_json(&sample, &out));
        wire_check(sl_bytes_put_u8(&out, 0));
        char *at = strstr((char *)out.data, "\"weight\": ") + strlen("\"weight\": ");
        assert_true(strtof(at, NULL) == value);
        sl_bytes_fini(&out);
    }
}

static void test_json_of_wire_without_annotation_or_damaged_changes_nothing(void **state)
{
    (void)state;
    sluice_bytes plain = golden_file(FIRST "sample.pb");
    sluice_bytes full = golden_file(FIRST "sample-annotated.pb");
    sluice_bytes out = {0};
    wire_raw(&out, "x", 1);
    assert_int_equal(sl_record_json_of_wire(wire_span(&plain), &out), SLUICE_E_BADSAMPLE);
    for (size_t size = plain.size; size < full.size; size++) {
        assert_int_equal(sl_record_json_of_wire((sluice_span){full.data, size}, &out),
                         SLUICE_E_BADSAMPLE);
        sluice_status status = sl_record_jsonl_of_wire((sluice_span){full.data, size}, false, &out);
        assert_int_equal(status, size == plain.size ? SLUICE_OK : SLUICE_E_BADSAMPLE);
        out.size = size == plain.size ? 1 : out.size;
    }
    /* A decision that has no word here. */
    wire_raw(&plain, "\x7a\x02\x20\x09", 4);
    assert_int_equal(sl_record_json_of_wire(wire_span(&plain), &out), SLUICE_E_BADSAMPLE);
    assert_int_equal(out.size, 1);
    sl_bytes_fini(&plain);
    sl_bytes_fini(&full);
    sl_bytes_fini(&out);
}

/* --- back to a sample --- */

static void test_sample_of_wire_is_the_sample_that_was_judged(void **state)
{
    (void)state;
    sluice_bytes bytes = golden_file(FIRST "sample-annotated.pb");
    sl_arena *arena;
    sluice_sample sample;
    wire_check(sl_arena_open(&arena));
    sl_arena_reset(arena, 65536);
    assert_int_equal(sl_record_sample_of_wire(wire_span(&bytes), arena, &sample), SLUICE_OK);
    assert_true(sample.offset == 17 && sample.cost == 0.125);
    assert_true(sample.event_time_us == 1700000000123456);
    assert_true(sl_span_equal(sample.id, sl_span_of("a1")));
    assert_true(sl_span_equal(sample.source, sl_span_of("shop/é")));
    assert_true(sl_span_equal(sample.media_type, sl_span_of("text/plain")));
    assert_true(sl_span_equal(sample.encoder, sl_span_of("minilm@2")));
    assert_true(sl_span_equal(sample.payload, sl_span_of("Grüße, \"world\"\n")));
    assert_true(sl_span_equal(sample.match.of_id, sl_span_of("a0")));
    assert_true(sample.match.of_offset == UINT64_MAX && sample.match.similarity == 0.93f);
    sluice_bytes again = golden_file(FIRST "sample.pb");
    wire_check(sl_record_annotate(&sample, &again));
    assert_true(sl_span_equal(wire_span(&again), wire_span(&bytes)));
    sl_bytes_fini(&again);
    sl_bytes_fini(&bytes);
    sl_arena_close(&arena);
}

static void test_sample_of_wire_without_a_whole_verdict_is_bad(void **state)
{
    (void)state;
    static const struct {
        const char *annotation;
        size_t size;
        sluice_status status;
    } cases[] = {
        {"", 0, SLUICE_E_BADSAMPLE},                                 /* none                 */
        {"\x7a\x02\x20\x01", 4, SLUICE_OK},                          /* keep                 */
        {"\x7a\x02\x20\x00", 4, SLUICE_E_BADSAMPLE},                 /* decision unspecified */
        {"\x7a\x06\x20\x01\x3a\x02\x20\x63", 8, SLUICE_E_BADSAMPLE}, /* method 99            */
        {"\x7a\x14\x20\x01\x2a\0\x2a\0\x2a\0\x2a\0\x2a\0\x2a\0\x2a\0\x2a\0\x2a\0", 22,
         SLUICE_E_BADSAMPLE}, /* nine reasons */
    };
    sl_arena *arena;
    wire_check(sl_arena_open(&arena));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sluice_bytes bytes = {0};
        sluice_sample sample;
        wire_text(&bytes, 1, "a");
        wire_raw(&bytes, cases[i].annotation, cases[i].size);
        sl_arena_reset(arena, 65536);
        assert_int_equal(sl_record_sample_of_wire(wire_span(&bytes), arena, &sample),
                         cases[i].status);
        sl_bytes_fini(&bytes);
    }
    sl_arena_close(&arena);
}

/* --- lines --- */

static void test_jsonl_is_the_line_that_python_writes(void **state)
{
    (void)state;
    sluice_bytes bytes = golden_file(FIRST "sample-annotated.pb");
    sluice_bytes out = {0};
    assert_int_equal(sl_record_jsonl_of_wire(wire_span(&bytes), false, &out), SLUICE_OK);
    assert_file(&out, FIRST "line.jsonl");
    sl_bytes_clear(&out);
    assert_int_equal(sl_record_jsonl_of_wire(wire_span(&bytes), true, &out), SLUICE_OK);
    assert_file(&out, FIRST "line-bare.jsonl");
    sl_bytes_fini(&bytes);
    sl_bytes_fini(&out);
}

static void assert_line(const sluice_bytes *sample, const char *text)
{
    sluice_bytes out = {0};
    assert_int_equal(sl_record_jsonl_of_wire(wire_span(sample), true, &out), SLUICE_OK);
    assert_bytes(&out, text);
    json_t *json = json_loadb((const char *)out.data, out.size, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(json);
    json_decref(json);
    sl_bytes_fini(&out);
}

static void test_jsonl_payload_that_is_not_text_is_base64(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *media_type, *text;
    } cases[] = {
        {"", "", "\"text\": \"\""},
        {"\xff", "", "\"payload_base64\": \"/w==\""},
        {"\xff\xfe", "", "\"payload_base64\": \"//4=\""},
        {"\xff\xfe\xfd", "", "\"payload_base64\": \"//79\""},
        {"\xff\xfe\xfd@", "", "\"payload_base64\": \"//79QA==\""},
        {"abc", "image/png", "\"payload_base64\": \"YWJj\", \"media_type\": \"image/png\""},
        {"", "image/png", "\"payload_base64\": \"\", \"media_type\": \"image/png\""},
        {"{}", "application/json", "\"text\": \"{}\", \"media_type\": \"application/json\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sluice_bytes sample = {0};
        char want[256];
        wire_text(&sample, 1, "a");
        wire_text(&sample, 4, cases[i].bytes);
        wire_text(&sample, 5, cases[i].media_type);
        snprintf(want, sizeof want, "{\"id\": \"a\", \"source\": \"\", %s}", cases[i].text);
        assert_line(&sample, want);
        sl_bytes_fini(&sample);
    }
}

static void test_jsonl_time_is_rfc_3339_or_seconds(void **state)
{
    (void)state;
    static const struct {
        int64_t time_us;
        const char *text;
    } cases[] = {
        {1, "\"1970-01-01T00:00:00.000001Z\""},
        {1500000, "\"1970-01-01T00:00:01.5Z\""},
        {-1, "\"1969-12-31T23:59:59.999999Z\""},
        {-1000000, "\"1969-12-31T23:59:59Z\""},
        {1709164800000000, "\"2024-02-29T00:00:00Z\""},
        {253402300799000000, "\"9999-12-31T23:59:59Z\""},
        {253402300800000000, "253402300800.0"},
        {INT64_MAX, "9223372036854.775"},
        {INT64_MIN, "-9223372036854.775"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sluice_bytes sample = {0};
        char want[256];
        wire_text(&sample, 1, "a");
        wire_varint(&sample, 3, (uint64_t)cases[i].time_us);
        snprintf(want, sizeof want, "{\"id\": \"a\", \"source\": \"\", \"ts\": %s, \"text\": \"\"}",
                 cases[i].text);
        assert_line(&sample, want);
        sl_bytes_fini(&sample);
    }
}

static void test_jsonl_attributes_are_members_and_replace_none(void **state)
{
    (void)state;
    sluice_bytes sample = {0};
    wire_text(&sample, 1, "a");
    wire_attribute(&sample, "region", "eu");
    wire_attribute(&sample, "text", "not the payload");
    wire_attribute(&sample, "sluice", "x");
    wire_attribute(&sample, "region", "us\n");
    wire_attribute(&sample, "", "empty");
    wire_double(&sample, 10, 1.0 / 3.0);
    assert_line(&sample, "{\"id\": \"a\", \"source\": \"\", \"text\": \"\", \"cost\": "
                         "0.3333333333333333, \"attributes.text\": \"not the payload\", "
                         "\"attributes.sluice\": \"x\", \"region\": \"us\\n\", \"\": \"empty\"}");
    sl_bytes_fini(&sample);
}

static void test_jsonl_sample_without_annotation_has_null(void **state)
{
    (void)state;
    sluice_bytes sample = {0};
    sluice_bytes out = {0};
    wire_text(&sample, 1, "a");
    assert_int_equal(sl_record_jsonl_of_wire(wire_span(&sample), false, &out), SLUICE_OK);
    assert_bytes(&out, "{\"id\": \"a\", \"source\": \"\", \"text\": \"\", \"sluice\": null}");
    sl_bytes_fini(&sample);
    sl_bytes_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_annotate_writes_the_bytes_that_python_writes),
        cmocka_unit_test(test_annotate_keeps_the_original_bytes_and_unknown_fields),
        cmocka_unit_test(test_json_is_the_record_that_python_writes),
        cmocka_unit_test(test_json_of_wire_reads_the_last_annotation),
        cmocka_unit_test(test_json_of_wire_gives_scores_and_null_where_there_is_none),
        cmocka_unit_test(test_scores_survive_the_wire),
        cmocka_unit_test(test_json_refused_sample_has_no_offset_and_no_objects),
        cmocka_unit_test(test_json_redelivered_sample_is_no_duplicate_of_itself),
        cmocka_unit_test(test_json_every_decision_and_method_survives_the_wire),
        cmocka_unit_test(test_json_all_findings_survive_the_wire_and_none_leave_no_trace),
        cmocka_unit_test(test_json_eight_reasons_survive_the_wire),
        cmocka_unit_test(test_json_strings_are_escaped_and_repaired),
        cmocka_unit_test(test_json_id_of_a_refused_sample_is_cut_to_its_limit),
        cmocka_unit_test(test_json_numbers_are_the_shortest_that_read_back),
        cmocka_unit_test(test_json_says_in_what_the_match_differs_only_if_it_does),
        cmocka_unit_test(test_json_says_what_contains_the_sample_only_if_something_does),
        cmocka_unit_test(test_json_every_shortest_number_reads_back),
        cmocka_unit_test(test_json_of_wire_without_annotation_or_damaged_changes_nothing),
        cmocka_unit_test(test_sample_of_wire_is_the_sample_that_was_judged),
        cmocka_unit_test(test_sample_of_wire_without_a_whole_verdict_is_bad),
        cmocka_unit_test(test_jsonl_is_the_line_that_python_writes),
        cmocka_unit_test(test_jsonl_payload_that_is_not_text_is_base64),
        cmocka_unit_test(test_jsonl_time_is_rfc_3339_or_seconds),
        cmocka_unit_test(test_jsonl_attributes_are_members_and_replace_none),
        cmocka_unit_test(test_jsonl_sample_without_annotation_has_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
