/* wire_session_test.c - frame 1 of every kind, as values and as the bytes that Python writes. */
#include "wire/session.h"
#include "golden_file.h"
#include "wire_bytes.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define BIG ((UINT64_C(1) << 63) + 5)

static sl_message message, decoded; /* 21 KiB each */
static sluice_message why;

static sluice_status decode(sluice_span frame, sl_kind kind)
{
    why.text[0] = 0;
    return kind <= SL_PING ? sl_session_decode_to(frame, &decoded, &why)
                           : sl_session_decode_from(frame, &decoded, &why);
}

/* By their bytes: the structs have padding. */
static void assert_decoded_is_message(void)
{
    sluice_bytes have = {0};
    sluice_bytes want = {0};
    assert_int_equal(decoded.kind, message.kind);
    assert_int_equal(sl_session_encode(&decoded, &have), SLUICE_OK);
    assert_int_equal(sl_session_encode(&message, &want), SLUICE_OK);
    assert_true(sl_span_equal(wire_span(&have), wire_span(&want)));
    sl_bytes_fini(&have);
    sl_bytes_fini(&want);
}

/* The values of session_messages() in tests/e2e/wire_golden_test.py. */
static void fill_to(const char *name)
{
    memset(&message, 0, sizeof message);
    if (strcmp(name, "hello") == 0) {
        message.kind = SL_HELLO;
        message.as.hello = (sl_hello){1, "crawler-é"};
    } else if (strcmp(name, "put") == 0) {
        message.kind = SL_PUT;
        message.as.put = (sl_put){BIG, 512, 0xFEDCBA9876543210u};
    } else if (strcmp(name, "fetch-offset") == 0) {
        message.kind = SL_FETCH;
        message.as.fetch = (sl_fetch){.group = "train",
                                      .max_bytes = 1 << 20,
                                      .wait_ms = 250,
                                      .shard = 3,
                                      .shards = 8,
                                      .all = true};
    } else if (strcmp(name, "fetch-commits") == 0) {
        message.kind = SL_FETCH;
        message.as.fetch = (sl_fetch){
            .group = "train", .consumer = "rank0", .lease_ms = 30000, .after_commits = true};
    } else if (strcmp(name, "commit") == 0) {
        message.kind = SL_COMMIT;
        message.as.commit = (sl_commit){"train", 10, BIG};
    } else if (strcmp(name, "reject") == 0) {
        message.kind = SL_REJECT;
        message.as.reject = (sl_reject){"train", "cannot decode", 11};
    } else {
        message.kind = SL_PING;
    }
}

static void fill_ack(void)
{
    message.kind = SL_ACK;
    message.as.ack = (sl_ack){.next_sequence = 519,
                              .max_in_flight_bytes = 1 << 24,
                              .kept = 400,
                              .flagged = 1,
                              .dropped = 100,
                              .refused = 2,
                              .redelivered = 9,
                              .n_faults = 2};
    message.as.ack.fault[0] =
        (sl_fault){8, "id_missing", "id is missing; it takes 1 to 256 bytes of UTF-8"};
    message.as.ack.fault[1] =
        (sl_fault){BIG, "text_too_large", "the text is 1048577 bytes; the limit is 1048576"};
}

static void fill_from(const char *name)
{
    memset(&message, 0, sizeof message);
    if (strcmp(name, "welcome") == 0) {
        message.kind = SL_WELCOME;
        message.as.welcome = (sl_welcome){7, 64 << 20, 4 << 20};
    } else if (strcmp(name, "ack") == 0) {
        fill_ack();
    } else if (strcmp(name, "records") == 0) {
        message.kind = SL_RECORDS;
        message.as.records = (sl_records){100, 228, BIG, 120, 2};
    } else if (strcmp(name, "committed") == 0) {
        message.kind = SL_COMMITTED;
        message.as.committed.floor_offset = 99;
    } else if (strcmp(name, "error") == 0) {
        message.kind = SL_ERROR;
        message.as.error = (sl_error){SL_CODE_GAP, "sequence 9 where 7 was expected", true, 7, 100};
    } else {
        message.kind = SL_PONG;
    }
}

static void assert_golden(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "wire/v1-first/%s.pb", name);
    sluice_bytes file = golden_file(path);
    sluice_bytes frame = {0};
    wire_raw(&frame, "what was there before", 21);
    assert_int_equal(sl_session_encode(&message, &frame), SLUICE_OK);
    if (!sl_span_equal(wire_span(&frame), wire_span(&file))) {
        fail_msg("%s: other bytes than Python's", name);
    }
    assert_int_equal(decode(wire_span(&file), message.kind), SLUICE_OK);
    assert_decoded_is_message();
    sl_bytes_fini(&file);
    sl_bytes_fini(&frame);
}

static void test_session_every_kind_is_the_bytes_and_values_of_python(void **state)
{
    (void)state;
    static const char *const to[] = {"hello",  "put",    "fetch-offset", "fetch-commits",
                                     "commit", "reject", "ping"};
    static const char *const from[] = {"welcome", "ack", "records", "committed", "pong", "error"};
    for (size_t i = 0; i < sizeof to / sizeof *to; i++) {
        fill_to(to[i]);
        assert_golden(to[i]);
    }
    for (size_t i = 0; i < sizeof from / sizeof *from; i++) {
        fill_from(from[i]);
        assert_golden(from[i]);
    }
}

static void test_session_empty_values_come_back(void **state)
{
    (void)state;
    sluice_bytes frame = {0};
    for (int kind = 0; kind <= SL_ERROR; kind++) {
        memset(&message, 0, sizeof message);
        message.kind = (sl_kind)kind;
        if (kind == SL_HELLO) {
            strcpy(message.as.hello.producer, "p");
        }
        assert_int_equal(sl_session_encode(&message, &frame), SLUICE_OK);
        assert_int_equal(decode(wire_span(&frame), message.kind), SLUICE_OK);
        assert_decoded_is_message();
    }
    sl_bytes_fini(&frame);
}

/* A frame of kind `number` with a string of `size` bytes in `field` beside `rest`. */
static sluice_status decode_string(sl_kind kind, uint32_t number, uint32_t field, size_t size,
                                   const char *rest, size_t rest_size)
{
    sluice_bytes body = {0};
    sluice_bytes frame = {0};
    wire_run(&body, field, 'x', size);
    wire_raw(&body, rest, rest_size);
    wire_field(&frame, number, body.data, body.size);
    sluice_status status = decode(wire_span(&frame), kind);
    sl_bytes_fini(&body);
    sl_bytes_fini(&frame);
    return status;
}

static void test_session_strings_at_limit_pass_and_one_beyond_is_refused(void **state)
{
    (void)state;
    static const struct {
        sl_kind kind;
        uint32_t number, field;
        size_t limit;
        const char *name, *rest;
        size_t rest_size;
    } cases[] = {
        {SL_HELLO, 1, 2, 256, "hello.producer", "", 0},
        {SL_FETCH, 3, 1, 256, "fetch.group", "\x10\x00", 2},
        {SL_FETCH, 3, 8, 256, "fetch.consumer", "\x10\x00", 2},
        {SL_COMMIT, 4, 1, 256, "commit.group", "", 0},
        {SL_REJECT, 5, 1, 256, "reject.group", "", 0},
        {SL_REJECT, 5, 3, 255, "reject.reason", "", 0},
        {SL_REFERENCE, 7, 2, 63, "reference.name", "", 0},
        {SL_FORGET, 8, 1, 256, "forget.id", "", 0},
        {SL_ERROR, 6, 2, 255, "error.text", "", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[128];
        assert_int_equal(decode_string(cases[i].kind, cases[i].number, cases[i].field,
                                       cases[i].limit, cases[i].rest, cases[i].rest_size),
                         SLUICE_OK);
        assert_int_equal(decode_string(cases[i].kind, cases[i].number, cases[i].field,
                                       cases[i].limit + 1, cases[i].rest, cases[i].rest_size),
                         SLUICE_E_BADSAMPLE);
        snprintf(text, sizeof text, "%s is %zu bytes; the limit is %zu", cases[i].name,
                 cases[i].limit + 1, cases[i].limit);
        assert_string_equal(why.text, text);
    }
}

/* An ACK with `n` faults, the first with strings of these sizes. */
static sluice_status decode_faults(uint32_t n, size_t reason, size_t text)
{
    sluice_bytes ack = {0};
    sluice_bytes frame = {0};
    for (uint32_t i = 0; i < n; i++) {
        sluice_bytes fault = {0};
        wire_run(&fault, 2, 'r', i == 0 ? reason : 1);
        wire_run(&fault, 3, 't', i == 0 ? text : 1);
        wire_field(&ack, 8, fault.data, fault.size);
        sl_bytes_fini(&fault);
    }
    wire_field(&frame, 2, ack.data, ack.size);
    sluice_status status = decode(wire_span(&frame), SL_ACK);
    sl_bytes_fini(&ack);
    sl_bytes_fini(&frame);
    return status;
}

/* REFERENCES with `n` sets. */
static sluice_status decode_sets(uint32_t n)
{
    sluice_bytes references = {0};
    sluice_bytes frame = {0};
    for (uint32_t i = 0; i < n; i++) {
        sluice_bytes set = {0};
        wire_run(&set, 1, 'n', 63);
        wire_run(&set, 2, 'o', 15);
        wire_field(&references, 1, set.data, set.size);
        sl_bytes_fini(&set);
    }
    wire_field(&frame, 7, references.data, references.size);
    sluice_status status = decode(wire_span(&frame), SL_REFERENCES);
    sl_bytes_fini(&references);
    sl_bytes_fini(&frame);
    return status;
}

static void test_session_references_come_back_up_to_the_limit(void **state)
{
    (void)state;
    sluice_bytes frame = {0};
    assert_int_equal(decode_sets(SLUICE_LIMIT_REFERENCES), SLUICE_OK);
    assert_int_equal(decoded.as.references.n, SLUICE_LIMIT_REFERENCES);
    assert_int_equal(decode_sets(SLUICE_LIMIT_REFERENCES + 1), SLUICE_E_BADSAMPLE);
    assert_string_equal(why.text, "references.sets are 9; the limit is 8");
    memset(&message, 0, sizeof message);
    message.kind = SL_REFERENCE;
    message.as.reference = (sl_reference_request){SL_REFERENCE_ADD, "catalogue", BIG, true};
    assert_int_equal(sl_session_encode(&message, &frame), SLUICE_OK);
    assert_int_equal(decode(wire_span(&frame), SL_REFERENCE), SLUICE_OK);
    assert_decoded_is_message();
    memset(&message, 0, sizeof message);
    message.kind = SL_REFERENCES;
    message.as.references =
        (sl_references){2, {{"catalogue", "source", 12, 500}, {"late", "added", 300, 300}}};
    assert_int_equal(sl_session_encode(&message, &frame), SLUICE_OK);
    assert_int_equal(decode(wire_span(&frame), SL_REFERENCES), SLUICE_OK);
    assert_decoded_is_message();
    sl_bytes_fini(&frame);
}

static void test_session_forget_of_one_offset_and_of_all_come_back(void **state)
{
    (void)state;
    sluice_bytes frame = {0};
    for (int has_offset = 0; has_offset < 2; has_offset++) {
        memset(&message, 0, sizeof message);
        message.kind = SL_FORGET;
        message.as.forget = (sl_forget){"a-é", has_offset == 1, 0};
        assert_int_equal(sl_session_encode(&message, &frame), SLUICE_OK);
        assert_int_equal(decode(wire_span(&frame), SL_FORGET), SLUICE_OK);
        assert_int_equal(decoded.as.forget.has_offset, has_offset);
        assert_string_equal(decoded.as.forget.id, "a-é");
    }
    memset(&message, 0, sizeof message);
    message.kind = SL_FORGOTTEN;
    message.as.forgotten = (sl_forgotten){3, 17, BIG};
    assert_int_equal(sl_session_encode(&message, &frame), SLUICE_OK);
    assert_int_equal(decode(wire_span(&frame), SL_FORGOTTEN), SLUICE_OK);
    assert_decoded_is_message();
    sl_bytes_fini(&frame);
}

static void test_session_faults_at_limit_pass_and_one_beyond_is_refused(void **state)
{
    (void)state;
    assert_int_equal(decode_faults(SLUICE_LIMIT_FAULTS, 63, 255), SLUICE_OK);
    assert_int_equal(decoded.as.ack.n_faults, SLUICE_LIMIT_FAULTS);
    assert_int_equal(decode_faults(SLUICE_LIMIT_FAULTS + 1, 1, 1), SLUICE_E_BADSAMPLE);
    assert_string_equal(why.text, "ack.faults are 65; the limit is 64");
    assert_int_equal(decoded.as.ack.n_faults, 0);
    assert_int_equal(decode_faults(1, 64, 1), SLUICE_E_BADSAMPLE);
    assert_string_equal(why.text, "fault.reason is 64 bytes; the limit is 63");
    assert_int_equal(decode_faults(1, 1, 256), SLUICE_E_BADSAMPLE);
}

static void test_session_largest_ack_fits_a_frame(void **state)
{
    (void)state;
    sluice_bytes frame = {0};
    memset(&message, 0, sizeof message);
    message.kind = SL_ACK;
    message.as.ack.n_faults = SLUICE_LIMIT_FAULTS;
    for (int i = 0; i < SLUICE_LIMIT_FAULTS; i++) {
        sl_fault *fault = &message.as.ack.fault[i];
        fault->sequence = UINT64_MAX;
        memset(fault->reason, 'r', sizeof fault->reason - 1);
        memset(fault->text, 't', sizeof fault->text - 1);
    }
    assert_int_equal(sl_session_encode(&message, &frame), SLUICE_OK);
    assert_true(frame.size < SLUICE_LIMIT_FRAME_BYTES);
    assert_int_equal(decode(wire_span(&frame), SL_ACK), SLUICE_OK);
    assert_decoded_is_message();
    sl_bytes_fini(&frame);
}

static void test_session_frame_at_limit_passes_and_one_beyond_is_refused(void **state)
{
    (void)state;
    sluice_bytes frame = {0};
    wire_raw(&frame, "\x32\x00", 2); /* ping and 64 KiB that this version does not know */
    wire_run(&frame, 100, 'x', SLUICE_LIMIT_FRAME_BYTES - 2 - 5);
    assert_int_equal(frame.size, SLUICE_LIMIT_FRAME_BYTES);
    assert_int_equal(decode(wire_span(&frame), SL_PING), SLUICE_OK);
    frame.size = 2;
    wire_run(&frame, 100, 'x', SLUICE_LIMIT_FRAME_BYTES - 2 - 4);
    assert_int_equal(decode(wire_span(&frame), SL_PING), SLUICE_E_BADSAMPLE);
    assert_string_equal(why.text, "frame 1 is 65537 bytes; the limit is 65536");
    sl_bytes_fini(&frame);
}

static void assert_bad(sl_kind kind, const char *bytes, size_t size, const char *text)
{
    assert_int_equal(decode((sluice_span){(const uint8_t *)bytes, size}, kind), SLUICE_E_BADSAMPLE);
    assert_string_equal(why.text, text);
}

static void test_session_wrong_frames_are_refused_with_a_sentence(void **state)
{
    (void)state;
    assert_bad(SL_PING, "", 0, "ToFilter has no kind of message that this version knows");
    assert_bad(SL_PING, "\x4a\x00", 2, "ToFilter has no kind of message that this version knows");
    assert_bad(SL_PONG, "", 0, "FromFilter has no kind of message that this version knows");
    assert_bad(SL_PING, "\x32\x00\x12\x00", 4, "ToFilter has more than one kind of message");
    assert_bad(SL_PING, "\x32\x00\x32\x00", 4, "ToFilter.ping occurs twice");
    assert_bad(SL_HELLO, "\x0a\x00", 2, "hello.producer is empty; it takes 1 to 256 bytes");
    assert_bad(SL_HELLO, "\x0a\x05\x12\x03\x61\x00\x62", 7, "Hello.producer holds a NUL byte");
    assert_bad(SL_HELLO, "\x0a\x03\x12\x01\xff", 5, "Hello.producer is not UTF-8");
    assert_bad(SL_FETCH, "\x1a\x00", 2, "fetch says neither offset nor after_commits: true");
    assert_bad(SL_FETCH, "\x1a\x02\x50\x00", 4,
               "fetch says neither offset nor after_commits: true");
    assert_bad(SL_PUT, "\x12\x02\x0a\x00", 4, "Put.sequence has another wire type");
    assert_bad(SL_PUT, "\x12\x01\x08", 3, "Put cannot be read to its end");
    assert_bad(SL_PUT, "\x13", 1, "ToFilter cannot be read to its end");
    assert_int_equal(sl_session_decode_to((sluice_span){NULL, 0}, &decoded, NULL),
                     SLUICE_E_BADSAMPLE);
}

static void test_session_every_truncation_is_refused_or_a_shorter_message(void **state)
{
    (void)state;
    sluice_bytes frame = {0};
    memset(&message, 0, sizeof message);
    fill_ack();
    assert_int_equal(sl_session_encode(&message, &frame), SLUICE_OK);
    for (size_t size = 0; size < frame.size; size++) {
        uint8_t *copy = malloc(size + 1);
        memcpy(copy, frame.data, size);
        assert_int_equal(decode((sluice_span){copy, size}, SL_ACK), SLUICE_E_BADSAMPLE);
        free(copy);
    }
    sl_bytes_fini(&frame);
}

static void test_session_amplifiers_are_refused(void **state)
{
    (void)state;
    sluice_bytes faults = {0};
    sluice_bytes frame = {0};
    for (int i = 0; i < 30000; i++) {
        wire_raw(&faults, "\x42\x00", 2);
    }
    wire_field(&frame, 2, faults.data, faults.size);
    assert_int_equal(decode(wire_span(&frame), SL_ACK), SLUICE_E_BADSAMPLE);
    assert_string_equal(why.text, "Ack has too many fields");
    sl_bytes_clear(&frame);
    for (int i = 0; i < 30000; i++) {
        wire_raw(&frame, "\x78\x01", 2);
    }
    assert_int_equal(decode(wire_span(&frame), SL_PING), SLUICE_E_BADSAMPLE);
    assert_string_equal(why.text, "ToFilter has too many fields");
    sl_bytes_fini(&faults);
    sl_bytes_fini(&frame);
}

static void test_session_unknown_fields_and_codes_of_a_newer_peer_are_read(void **state)
{
    (void)state;
    /* error { code: 99, text: "ok", retry: true, 12: 1 } and field 16 */
    static const uint8_t frame[] = {0x32, 10, 8,    99, 18,   2, 'o', 'k',
                                    24,   1,  0x60, 1,  0x82, 1, 1,   'z'};
    assert_int_equal(decode((sluice_span){frame, sizeof frame}, SL_ERROR), SLUICE_OK);
    assert_int_equal(decoded.as.error.code, SL_CODE_UNSPECIFIED);
    assert_string_equal(decoded.as.error.text, "ok");
    assert_true(decoded.as.error.retry);
}

static void test_session_text_cut_inside_a_character_is_repaired(void **state)
{
    (void)state;
    sluice_bytes frame = {0};
    memset(&message, 0, sizeof message);
    message.kind = SL_ERROR;
    strcpy(message.as.error.text, "caf\xc3\xa9 \xff \xe2\x82");
    assert_int_equal(sl_session_encode(&message, &frame), SLUICE_OK);
    assert_int_equal(decode(wire_span(&frame), SL_ERROR), SLUICE_OK);
    assert_string_equal(decoded.as.error.text, "caf\xc3\xa9 ? ??");
    assert_string_equal(message.as.error.text, "caf\xc3\xa9 \xff \xe2\x82"); /* borrowed */
    sl_bytes_fini(&frame);
}

static void test_code_name_is_the_word_of_the_schema(void **state)
{
    (void)state;
    assert_string_equal(sl_code_name(SL_CODE_GAP), "GAP");
    assert_string_equal(sl_code_name(SL_CODE_SHUTTING_DOWN), "SHUTTING_DOWN");
    assert_string_equal(sl_code_name((sl_code)99), "UNSPECIFIED");
    assert_string_equal(sl_code_name((sl_code)-1), "UNSPECIFIED");
}

static void test_batch_of_one_sample_may_be_as_large_as_an_image(void **state)
{
    (void)state;
    uint8_t *bytes = calloc(1, SLUICE_LIMIT_MESSAGE_BYTES + 1);
    assert_non_null(bytes);
    assert_true(sl_session_batch_fits((sluice_span){bytes, SLUICE_LIMIT_BATCH_BYTES}));
    assert_false(sl_session_batch_fits((sluice_span){bytes, SLUICE_LIMIT_BATCH_BYTES + 1}));
    for (uint32_t beyond = 0; beyond < 2; beyond++) {
        sluice_bytes head = {0};
        assert_int_equal(sl_bytes_put_u8(&head, 0x0a), SLUICE_OK);
        size_t size = SLUICE_LIMIT_MESSAGE_BYTES + beyond;
        assert_int_equal(sl_bytes_put_varint(&head, size - 5), SLUICE_OK);
        memcpy(bytes, head.data, head.size);
        size = head.size + size - 5;
        assert_int_equal(size <= SLUICE_LIMIT_MESSAGE_BYTES,
                         sl_session_batch_fits((sluice_span){bytes, size}));
        assert_false(sl_session_batch_fits((sluice_span){bytes, size - 1})); /* a byte short */
        bytes[0] = 0x12;
        assert_false(sl_session_batch_fits((sluice_span){bytes, size}));
        sl_bytes_fini(&head);
    }
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batch_of_one_sample_may_be_as_large_as_an_image),
        cmocka_unit_test(test_session_every_kind_is_the_bytes_and_values_of_python),
        cmocka_unit_test(test_session_empty_values_come_back),
        cmocka_unit_test(test_session_strings_at_limit_pass_and_one_beyond_is_refused),
        cmocka_unit_test(test_session_references_come_back_up_to_the_limit),
        cmocka_unit_test(test_session_forget_of_one_offset_and_of_all_come_back),
        cmocka_unit_test(test_session_faults_at_limit_pass_and_one_beyond_is_refused),
        cmocka_unit_test(test_session_largest_ack_fits_a_frame),
        cmocka_unit_test(test_session_frame_at_limit_passes_and_one_beyond_is_refused),
        cmocka_unit_test(test_session_wrong_frames_are_refused_with_a_sentence),
        cmocka_unit_test(test_session_every_truncation_is_refused_or_a_shorter_message),
        cmocka_unit_test(test_session_amplifiers_are_refused),
        cmocka_unit_test(test_session_unknown_fields_and_codes_of_a_newer_peer_are_read),
        cmocka_unit_test(test_session_text_cut_inside_a_character_is_repaired),
        cmocka_unit_test(test_code_name_is_the_word_of_the_schema),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
