/* command_input_test.c - files as a row of samples: order, positions, packing, breaks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "bytes.h"
#include "command/input.h"
#include "command/output.h"
#include "command/stream.h"

static char folder[] = "/tmp/sluice-input-XXXXXX";
static char path_a[64], path_b[64];
static sluice_message why;

static const char *name(char *out, size_t size, const char *file)
{
    snprintf(out, size, "%s/%s", folder, file);
    return out;
}

static void write_file(const char *path, const void *data, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void write_text(const char *path, const char *text)
{
    write_file(path, text, strlen(text));
}

/* Packs by the name, as the program does. */
static void write_packed(const char *path, const char *text, size_t size)
{
    sl_output *output;
    assert_int_equal(sl_output_open(path, &output, &why), SLUICE_OK);
    assert_int_equal(sl_output_write(output, text, size / 2, &why), SLUICE_OK);
    assert_int_equal(sl_output_flush(output, &why), SLUICE_OK);
    assert_int_equal(sl_output_flush(output, &why), SLUICE_OK);
    assert_int_equal(sl_output_write(output, text + size / 2, size - size / 2, &why), SLUICE_OK);
    assert_int_equal(sl_output_finish(&output, &why), SLUICE_OK);
    assert_null(output);
}

static sl_input *open_input(const char *first, const char *second)
{
    static const char *paths[2];
    sl_input *input;
    paths[0] = first;
    paths[1] = second;
    if (sl_input_open(paths, second != NULL ? 2 : 1, SL_INPUT_AUTO, &input, &why) != SLUICE_OK) {
        fail_msg("%s", why.text);
    }
    return input;
}

static void assert_next(sl_input *input, const char *line, const char *place)
{
    sl_input_item item;
    if (sl_input_next(input, &item, &why) != SLUICE_OK) {
        fail_msg("%s", why.text);
    }
    assert_null(item.reason);
    assert_int_equal(item.line.size, strlen(line));
    assert_memory_equal(item.line.data, line, item.line.size);
    size_t size = strlen(item.position);
    assert_true(size > strlen(place));
    assert_string_equal(item.position + size - strlen(place), place);
    assert_true(item.wire.size > 0);
}

static void assert_end(sl_input *input, sluice_status status)
{
    sl_input_item item;
    assert_int_equal(sl_input_next(input, &item, &why), status);
    sl_input_close(&input);
    assert_null(input);
}

static void test_input_next_gives_lines_of_all_files_in_order(void **state)
{
    (void)state;
    write_text(name(path_a, sizeof path_a, "a.jsonl"),
               "{\"text\":\"1\"}\n \r\n\n{\"text\":\"\u2028\"}\r\n");
    write_text(name(path_b, sizeof path_b, "b.jsonl"), "{\"text\":\"3\"}");
    sl_input *input = open_input(path_a, path_b);
    uint64_t total;
    assert_int_equal(sl_input_format_used(input), SL_INPUT_JSONL);
    assert_int_equal(sl_input_progress(input, &total), 0);
    assert_true(sl_input_ready(input));
    assert_next(input, "{\"text\":\"1\"}", "a.jsonl:1");
    assert_next(input, "{\"text\":\"\u2028\"}\r", "a.jsonl:4");
    assert_next(input, "{\"text\":\"3\"}", "b.jsonl:1");
    sl_input_item item;
    assert_int_equal(sl_input_next(input, &item, &why), SLUICE_E_CLOSED);
    assert_true(sl_input_progress(input, &total) == total);
    assert_end(input, SLUICE_E_CLOSED);
}

static void test_input_next_packed_files_give_the_same_lines(void **state)
{
    (void)state;
    static const char *const files[] = {"a.jsonl", "a.jsonl.gz", "a.jsonl.zst"};
    const char *text = "{\"text\":\"1\"}\n{\"text\":\"2\"}\n";
    for (size_t i = 0; i < 3; i++) {
        write_packed(name(path_a, sizeof path_a, files[i]), text, strlen(text));
        sl_input *input = open_input(path_a, NULL);
        assert_next(input, "{\"text\":\"1\"}", ":1");
        assert_next(input, "{\"text\":\"2\"}", ":2");
        assert_end(input, SLUICE_E_CLOSED);
    }
}

static void test_input_next_cut_packing_gives_what_came_before_then_the_place(void **state)
{
    (void)state;
    static const char *const files[] = {"cut.jsonl.gz", "cut.jsonl.zst"};
    char *text = malloc(400000);
    char *packed = malloc(400000);
    assert_non_null(text);
    assert_non_null(packed);
    unsigned noise = 1;
    size_t size = 0;
    while (size < 390000) { /* lines that do not pack well */
        noise = noise * 1664525u + 1013904223u;
        size += (size_t)sprintf(text + size, "{\"text\":\"%08x%08x\"}\n", noise, noise * 7919u);
    }
    for (size_t i = 0; i < 2; i++) {
        write_packed(name(path_a, sizeof path_a, files[i]), text, size);
        FILE *file = fopen(path_a, "rb");
        assert_non_null(file);
        size_t packed_size = fread(packed, 1, 400000, file);
        fclose(file);
        write_file(path_a, packed, packed_size * 3 / 4);
        sl_input *input = open_input(path_a, NULL);
        sl_input_item item;
        uint32_t n = 0;
        while (sl_input_next(input, &item, &why) == SLUICE_OK) {
            assert_null(item.reason); /* no half line */
            n++;
        }
        assert_true(n > 5000);
        assert_non_null(strstr(why.text, "broken at byte "));
        assert_non_null(strstr(why.text, files[i]));
        assert_end(input, SLUICE_E_CORRUPT);
    }
    free(text);
    free(packed);
}

static void test_input_next_bad_line_is_an_item_with_a_reason(void **state)
{
    (void)state;
    write_text(name(path_a, sizeof path_a, "a.jsonl"), "no\n{\"text\":\"2\"}\n");
    sl_input *input = open_input(path_a, NULL);
    sl_input_item item;
    assert_int_equal(sl_input_next(input, &item, &why), SLUICE_OK);
    assert_string_equal(item.reason, "not_json");
    assert_non_null(item.text);
    assert_true(item.wire.size > 0);
    assert_next(input, "{\"text\":\"2\"}", "a.jsonl:2");
    assert_end(input, SLUICE_E_CLOSED);
}

static void test_input_next_line_at_the_limit_passes_and_beyond_is_skipped(void **state)
{
    (void)state;
    size_t size = SL_INPUT_LINE_BYTES + 1;
    char *line = malloc(size + 1);
    assert_non_null(line);
    for (size_t beyond = 0; beyond < 2; beyond++) {
        memset(line, ' ', size);
        memcpy(line, "{\"text\":\"1\"", 11);
        line[size - 2 + beyond] = '}';
        line[size - 1 + beyond] = '\n';
        name(path_a, sizeof path_a, "long.jsonl");
        write_file(path_a, line, size + beyond);
        sl_input *input = open_input(path_a, NULL);
        sl_input_item item;
        assert_int_equal(sl_input_next(input, &item, &why), SLUICE_OK);
        if (beyond == 0) {
            assert_null(item.reason);
        } else {
            assert_string_equal(item.reason, "line_too_long");
            assert_int_equal(item.line.size, 0);
        }
        assert_end(input, SLUICE_E_CLOSED);
    }
    free(line);
}

static void test_input_next_messages_are_given_as_they_came(void **state)
{
    (void)state;
    write_file(name(path_a, sizeof path_a, "a.pb"), "\x03\x0a\x01x\x00\x02\xff\xff", 8);
    sl_input *input = open_input(path_a, NULL);
    sl_input_item item;
    assert_int_equal(sl_input_format_used(input), SL_INPUT_PB);
    assert_int_equal(sl_input_next(input, &item, &why), SLUICE_OK);
    assert_int_equal(item.wire.size, 3);
    assert_memory_equal(item.wire.data, "\x0a\x01x", 3);
    assert_int_equal(sl_input_next(input, &item, &why), SLUICE_OK);
    assert_int_equal(item.wire.size, 0);
    assert_int_equal(sl_input_next(input, &item, &why), SLUICE_OK);
    assert_int_equal(item.wire.size, 2);
    assert_null(item.reason); /* garbage inside is for decode to say */
    assert_end(input, SLUICE_E_CLOSED);
}

static void test_input_next_broken_messages_say_where(void **state)
{
    (void)state;
    static const struct {
        const char *data;
        size_t size;
        const char *says;
    } broken[] = {
        {"\x01x\x05"
         "abc",
         6, "message 2, at byte 2: the file ends in the middle of it"},
        {"\x01x\x80", 3, "message 2, at byte 2: the file ends in the middle of its size"},
        {"\x01x\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12, "what should be its size is none"},
        {"\x01x\xff\xff\xff\xff\x7f", 7, "what should be its size is none"},
    };
    name(path_a, sizeof path_a, "a.pb");
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        write_file(path_a, broken[i].data, broken[i].size);
        sl_input *input = open_input(path_a, NULL);
        sl_input_item item;
        assert_int_equal(sl_input_next(input, &item, &why), SLUICE_OK);
        assert_int_equal(sl_input_next(input, &item, &why), SLUICE_E_CORRUPT);
        if (strstr(why.text, broken[i].says) == NULL) {
            fail_msg("%s", why.text);
        }
        sl_input_close(&input);
    }
}

static void test_input_open_refuses_what_it_cannot_read(void **state)
{
    (void)state;
    char text_path[64];
    sl_input *input;
    write_text(name(path_a, sizeof path_a, "a.jsonl"), "");
    write_text(name(path_b, sizeof path_b, "a.pb.gz"), "");
    write_text(name(text_path, sizeof text_path, "a.txt"), "");
    const char *two[] = {path_a, path_b};
    const char *gone[] = {path_a, "/nonexistent.jsonl"};
    const char *mixed[] = {path_a, folder};
    const char *unnamed[] = {text_path};
    assert_int_equal(sl_input_open(two, 2, SL_INPUT_AUTO, &input, &why), SLUICE_E_CONFIG);
    assert_int_equal(sl_input_open(gone, 2, SL_INPUT_AUTO, &input, &why), SLUICE_E_IO);
    assert_non_null(strstr(why.text, "/nonexistent.jsonl"));
    assert_int_equal(sl_input_open(mixed, 2, SL_INPUT_AUTO, &input, &why), SLUICE_E_CONFIG);
    assert_int_equal(sl_input_open(unnamed, 1, SL_INPUT_AUTO, &input, &why), SLUICE_E_CONFIG);
    assert_null(input);
    assert_int_equal(sl_input_open(unnamed, 1, SL_INPUT_JSONL, &input, &why), SLUICE_OK);
    assert_end(input, SLUICE_E_CLOSED);
}

static void test_stream_open_name_that_promises_other_bytes_is_refused(void **state)
{
    (void)state;
    sl_stream *stream;
    write_text(name(path_a, sizeof path_a, "a.jsonl.zst"), "plain");
    assert_int_equal(sl_stream_open(path_a, &stream, &why), SLUICE_E_CORRUPT);
    assert_non_null(strstr(why.text, "is not Zstandard"));
    assert_null(stream);
}

static void test_output_write_to_a_full_disk_fails_with_its_name(void **state)
{
    (void)state;
    if (access("/dev/full", W_OK) != 0) {
        skip();
    }
    sl_output *output;
    assert_int_equal(sl_output_open("/dev/full", &output, &why), SLUICE_OK);
    assert_int_equal(sl_output_write(output, "x", 1, &why), SLUICE_OK);
    assert_int_equal(sl_output_finish(&output, &why), SLUICE_E_IO);
    assert_non_null(strstr(why.text, "/dev/full: No space left"));
    assert_null(output);
    assert_int_equal(sl_output_open("/nonexistent/x", &output, &why), SLUICE_E_IO);
    assert_null(output);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const files[] = {
        "a.jsonl",       "b.jsonl",    "a.jsonl.gz", "a.jsonl.zst", "cut.jsonl.gz",
        "cut.jsonl.zst", "long.jsonl", "a.pb",       "a.pb.gz",     "a.txt"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        unlink(name(path_a, sizeof path_a, files[i]));
    }
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_input_next_gives_lines_of_all_files_in_order),
        cmocka_unit_test(test_input_next_packed_files_give_the_same_lines),
        cmocka_unit_test(test_input_next_cut_packing_gives_what_came_before_then_the_place),
        cmocka_unit_test(test_input_next_bad_line_is_an_item_with_a_reason),
        cmocka_unit_test(test_input_next_line_at_the_limit_passes_and_beyond_is_skipped),
        cmocka_unit_test(test_input_next_messages_are_given_as_they_came),
        cmocka_unit_test(test_input_next_broken_messages_say_where),
        cmocka_unit_test(test_input_open_refuses_what_it_cannot_read),
        cmocka_unit_test(test_stream_open_name_that_promises_other_bytes_is_refused),
        cmocka_unit_test(test_output_write_to_a_full_disk_fails_with_its_name),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
