/* decode_unpack_test.c - protobuf-c asks for bounded memory, whatever the bytes. */
#include "decode/unpack.h"
#include "sluice/v1/sample.pb-c.h"
#include "sluice/v1/session.pb-c.h"
#include "wire_bytes.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static sl_arena *arena;
static sluice_message why;

static int open_arena(void **state)
{
    (void)state;
    return sl_arena_open(&arena) != SLUICE_OK;
}

static int close_arena(void **state)
{
    (void)state;
    sl_arena_close(&arena);
    return 0;
}

static sluice_status unpack(const ProtobufCMessageDescriptor *type, sluice_span bytes,
                            const ProtobufCMessage **out)
{
    sl_arena_reset(arena, sl_unpack_cap(bytes.size));
    why.text[0] = 0;
    sluice_status status = sl_unpack(type, bytes, arena, out, &why);
    assert_true(sl_arena_used(arena) <= sl_unpack_cap(bytes.size));
    return status;
}

static void test_unpack_cap_is_four_times_the_size_and_64_kib_at_least(void **state)
{
    (void)state;
    assert_int_equal(sl_unpack_cap(0), 64 << 10);
    assert_int_equal(sl_unpack_cap(16 << 10), 64 << 10);
    assert_int_equal(sl_unpack_cap((16 << 10) + 1), (64 << 10) + 4);
    assert_true(sl_unpack_cap(SIZE_MAX) == SIZE_MAX);
}

static void test_unpack_good_message_lends_its_values(void **state)
{
    (void)state;
    const ProtobufCMessage *out;
    static const uint8_t bytes[] = {0x08, 7, 0x10, 3};
    assert_int_equal(unpack(&sluice__v1__put__descriptor, (sluice_span){bytes, 4}, &out),
                     SLUICE_OK);
    assert_int_equal(((const Sluice__V1__Put *)out)->sequence, 7);
    assert_int_equal(((const Sluice__V1__Put *)out)->count, 3);
    assert_int_equal(unpack(&sluice__v1__put__descriptor, (sluice_span){NULL, 0}, &out), SLUICE_OK);
}

static void test_unpack_refused_message_says_where(void **state)
{
    (void)state;
    const ProtobufCMessage *out;
    static const uint8_t bytes[] = {0x0a, 1, 0};
    assert_int_equal(unpack(&sluice__v1__fetch__descriptor, (sluice_span){bytes, 3}, &out),
                     SLUICE_E_BADSAMPLE);
    assert_null(out);
    assert_string_equal(why.text, "Fetch.group holds a NUL byte");
    static const uint8_t cut[] = {0x08};
    assert_int_equal(unpack(&sluice__v1__put__descriptor, (sluice_span){cut, 1}, &out),
                     SLUICE_E_BADSAMPLE);
    assert_string_equal(why.text, "Put cannot be read to its end");
}

static void test_unpack_amplifiers_stay_inside_the_cap(void **state)
{
    (void)state;
    static const char *const units[] = {"\x3a\x00", "\x4a\x00", "\x7a\x00", "\x68\x01"};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        for (size_t n = 64; n <= 1u << 19; n *= 2) {
            sluice_bytes bytes = {0};
            const ProtobufCMessage *out;
            for (size_t j = 0; j < n; j++) {
                wire_raw(&bytes, units[i], 2);
            }
            sluice_status status = unpack(&sluice__v1__sample__descriptor, wire_span(&bytes), &out);
            assert_true(n <= SL_SCAN_LEVEL_FIELDS || status == SLUICE_E_BADSAMPLE);
            sl_bytes_fini(&bytes);
        }
    }
}

static void test_unpack_more_than_the_cap_is_too_big(void **state)
{
    (void)state;
    sluice_bytes bytes = {0};
    const ProtobufCMessage *out;
    for (int i = 0; i < 1000; i++) { /* 2 KB that would be 200 KB of samples */
        wire_raw(&bytes, "\x0a\x00", 2);
    }
    assert_int_equal(unpack(&sluice__v1__batch__descriptor, wire_span(&bytes), &out),
                     SLUICE_E_TOOBIG);
    assert_null(out);
    assert_string_equal(why.text, "Batch of 2000 bytes needs more memory than allowed");
    sl_bytes_fini(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unpack_cap_is_four_times_the_size_and_64_kib_at_least),
        cmocka_unit_test(test_unpack_good_message_lends_its_values),
        cmocka_unit_test(test_unpack_refused_message_says_where),
        cmocka_unit_test(test_unpack_amplifiers_stay_inside_the_cap),
        cmocka_unit_test(test_unpack_more_than_the_cap_is_too_big),
    };
    return cmocka_run_group_tests(tests, open_arena, close_arena);
}
