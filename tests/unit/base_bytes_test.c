/* base_bytes_test.c - growing buffers, the reading cursor, UTF-8. */
#include "bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static sluice_span span_of(const sluice_bytes *bytes)
{
    return (sluice_span){bytes->data, bytes->size};
}

static void test_bytes_grow_and_keep_what_was_written(void **state)
{
    (void)state;
    sluice_bytes bytes;
    sl_bytes_init(&bytes);
    for (int i = 0; i < 5000; i++) {
        assert_int_equal(sl_bytes_put_u8(&bytes, (uint8_t)i), SLUICE_OK);
    }
    assert_int_equal(bytes.size, 5000);
    assert_true(bytes.capacity >= bytes.size && bytes.capacity < 3 * bytes.size);
    for (int i = 0; i < 5000; i++) {
        assert_int_equal(bytes.data[i], (uint8_t)i);
    }
    size_t capacity = bytes.capacity;
    sl_bytes_clear(&bytes);
    assert_true(bytes.size == 0 && bytes.capacity == capacity);
    sl_bytes_fini(&bytes);
    assert_true(bytes.data == NULL && bytes.size == 0 && bytes.capacity == 0);
    sl_bytes_fini(&bytes);
}

static void test_bytes_append_of_nothing_is_allowed(void **state)
{
    (void)state;
    sluice_bytes bytes = {0};
    assert_int_equal(sl_bytes_append(&bytes, NULL, 0), SLUICE_OK);
    assert_int_equal(bytes.size, 0);
    sl_bytes_fini(&bytes);
}

static void test_bytes_reserve_beyond_the_machine_changes_nothing(void **state)
{
    (void)state;
    sluice_bytes bytes = {0};
    assert_int_equal(sl_bytes_put_u8(&bytes, 7), SLUICE_OK);
    assert_int_equal(sl_bytes_reserve(&bytes, SIZE_MAX), SLUICE_E_NOMEM);
    assert_int_equal(sl_bytes_reserve(&bytes, SIZE_MAX / 2), SLUICE_E_NOMEM);
    assert_int_equal(bytes.size, 1);
    assert_int_equal(bytes.data[0], 7);
    sl_bytes_fini(&bytes);
}

static void test_integers_are_little_endian_and_come_back(void **state)
{
    (void)state;
    sluice_bytes bytes = {0};
    assert_int_equal(sl_bytes_put_u32(&bytes, 0x01020304u), SLUICE_OK);
    assert_int_equal(sl_bytes_put_u64(&bytes, UINT64_C(0x8102030405060708)), SLUICE_OK);
    assert_memory_equal(bytes.data, "\4\3\2\1\x8\7\6\5\4\3\2\x81", 12);
    sl_reader reader = sl_reader_of(span_of(&bytes));
    assert_int_equal(sl_reader_u32(&reader), 0x01020304u);
    assert_true(sl_reader_u64(&reader) == UINT64_C(0x8102030405060708));
    assert_true(!reader.bad && reader.at == reader.end);
    sl_bytes_fini(&bytes);
}

static void test_varint_at_every_length_comes_back(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 64; bit++) {
        for (uint64_t less = 0; less < 2; less++) {
            uint64_t value = (UINT64_C(1) << bit) - less;
            sluice_bytes bytes = {0};
            assert_int_equal(sl_bytes_put_varint(&bytes, value), SLUICE_OK);
            sl_reader reader = sl_reader_of(span_of(&bytes));
            assert_true(sl_reader_varint(&reader) == value);
            assert_true(!reader.bad && reader.at == reader.end);
            sl_bytes_fini(&bytes);
        }
    }
    sluice_bytes bytes = {0};
    assert_int_equal(sl_bytes_put_varint(&bytes, UINT64_MAX), SLUICE_OK);
    assert_int_equal(bytes.size, 10);
    sl_reader reader = sl_reader_of(span_of(&bytes));
    assert_true(sl_reader_varint(&reader) == UINT64_MAX);
    sl_bytes_fini(&bytes);
}

static void assert_bad_varint(const char *text, size_t size)
{
    sl_reader reader = sl_reader_of((sluice_span){(const uint8_t *)text, size});
    assert_int_equal(sl_reader_varint(&reader), 0);
    assert_true(reader.bad);
}

static void test_varint_too_long_too_large_or_cut_off_is_bad(void **state)
{
    (void)state;
    assert_bad_varint("", 0);
    assert_bad_varint("\x80", 1);
    assert_bad_varint("\xff\xff\xff\xff\xff\xff\xff\xff\xff", 9);
    assert_bad_varint("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10);
    assert_bad_varint("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 11);
}

static void test_reader_past_the_end_is_bad_and_yields_zeros(void **state)
{
    (void)state;
    static const uint8_t three[] = {1, 2, 3};
    sl_reader reader = sl_reader_of((sluice_span){three, 3});
    assert_int_equal(sl_reader_u8(&reader), 1);
    assert_int_equal(sl_reader_u32(&reader), 0);
    assert_true(reader.bad);
    assert_int_equal(sl_reader_u8(&reader), 0);
    assert_int_equal(sl_reader_span(&reader, 1).size, 0);
    assert_true(reader.bad && reader.at == reader.end);
    reader = sl_reader_of((sluice_span){NULL, 0});
    assert_int_equal(sl_reader_u64(&reader), 0);
    assert_true(reader.bad);
}

static void test_reader_span_lends_the_next_bytes(void **state)
{
    (void)state;
    static const uint8_t three[] = {1, 2, 3};
    sl_reader reader = sl_reader_of((sluice_span){three, 3});
    sluice_span span = sl_reader_span(&reader, 2);
    assert_true(span.data == three && span.size == 2);
    span = sl_reader_span(&reader, 0);
    assert_true(span.size == 0 && !reader.bad);
    span = sl_reader_span(&reader, SIZE_MAX);
    assert_true(span.size == 0 && reader.bad);
}

static void test_span_equal_looks_at_size_and_bytes(void **state)
{
    (void)state;
    assert_true(sl_span_equal((sluice_span){NULL, 0}, sl_span_of("")));
    assert_true(sl_span_equal(sl_span_of("ab"), sl_span_of("ab")));
    assert_false(sl_span_equal(sl_span_of("ab"), sl_span_of("abc")));
    assert_false(sl_span_equal(sl_span_of("ab"), sl_span_of("aB")));
}

static bool valid(const char *text)
{
    return sl_utf8_valid(sl_span_of(text));
}

/* RFC 3629, with a prefix of every length, so that both the word and the byte path see it. */
static void test_utf8_edges_of_every_length(void **state)
{
    (void)state;
    static const char *const good[] = {"",
                                       "\x7f",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xef\xbf\xbf",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80",
                                      "\xbf",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xc2",
                                      "\xc2\x41",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xed\xbf\xbf",
                                      "\xe2\x82",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf0\x90\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xff",
                                      "\xf8\x88\x80\x80\x80"};
    char text[64];
    for (size_t before = 0; before < 20; before++) {
        for (size_t after = 0; after < 20; after += 9) {
            for (size_t i = 0; i < sizeof good / sizeof *good + sizeof bad / sizeof *bad; i++) {
                bool want = i < sizeof good / sizeof *good;
                const char *middle = want ? good[i] : bad[i - sizeof good / sizeof *good];
                memset(text, 'x', sizeof text);
                memcpy(text + before, middle, strlen(middle));
                text[before + strlen(middle) + after] = 0;
                assert_int_equal(valid(text), want);
            }
        }
    }
}

static void test_utf8_nul_is_well_formed(void **state)
{
    (void)state;
    assert_true(sl_utf8_valid((sluice_span){(const uint8_t *)"a\0b", 3}));
    assert_true(sl_utf8_valid((sluice_span){NULL, 0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_grow_and_keep_what_was_written),
        cmocka_unit_test(test_bytes_append_of_nothing_is_allowed),
        cmocka_unit_test(test_bytes_reserve_beyond_the_machine_changes_nothing),
        cmocka_unit_test(test_integers_are_little_endian_and_come_back),
        cmocka_unit_test(test_varint_at_every_length_comes_back),
        cmocka_unit_test(test_varint_too_long_too_large_or_cut_off_is_bad),
        cmocka_unit_test(test_reader_past_the_end_is_bad_and_yields_zeros),
        cmocka_unit_test(test_reader_span_lends_the_next_bytes),
        cmocka_unit_test(test_span_equal_looks_at_size_and_bytes),
        cmocka_unit_test(test_utf8_edges_of_every_length),
        cmocka_unit_test(test_utf8_nul_is_well_formed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
