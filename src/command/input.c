/* input.c - files and pipes as a row of encoded Samples.
 *
 *   file, file, ...  -> stream -> buffer: | taken | line \n line \n part of a li |
 *                                                  ^start                       ^size
 *                                 cut_line (JSONL) or cut_message (PB) -> item
 *
 *   folder, tar, ... -> images.c -> item
 *
 * Why a broken file ends the whole input: going on with the next one would change the order of
 * arrival once the file is mended, and with it who represents whom. */
#include "input.h"
#include "bytes.h"
#include "images.h"
#include "stream.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SL_INPUT_READ_BYTES  ((size_t)256 << 10)
#define SL_INPUT_FRAME_BYTES (UINT64_C(1) << 31) /* a size beyond is not one */

struct sl_input {
    const char *const *paths;
    uint32_t n_paths, i_path; /* i_path: the next to open */
    sl_input_format format;
    sl_stream *stream; /* of paths[i_path - 1] */
    sl_images *images; /* the same, where it is a folder or a tar */
    sl_jsonl_image image;
    sluice_bytes line;   /* made up for an image */
    sluice_bytes buffer; /* read and not yet given */
    size_t start, searched;
    bool ended;                          /* the stream, not its buffer */
    uint64_t n;                          /* lines or messages of this file */
    uint64_t unpacked_bytes, message_at; /* read of this file; where the message began */
    uint64_t done_bytes, total_bytes;
    sluice_bytes wire;
    sl_input_fault fault;
    sluice_message broken; /* said once everything before it has been given */
    sluice_status broken_status;
    char position[SL_INPUT_POSITION_BYTES];
};

static const char *const standard_input[] = {"-"};

bool sl_input_format_of(const char *word, sl_input_format *format)
{
    static const char *const words[] = {"auto", "jsonl", "pb", "images"};
    for (uint32_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(word, words[i]) == 0) {
            *format = (sl_input_format)i;
            return true;
        }
    }
    return false;
}

/* ---- opening ---- */

static bool has_suffix(const char *name, size_t size, const char *suffix)
{
    size_t n = strlen(suffix);
    return size > n && memcmp(name + size - n, suffix, n) == 0;
}

/* By the name without .gz or .zst; AUTO if it says nothing. */
static sl_input_format format_by_name(const char *path)
{
    size_t size = strlen(path);
    size -= has_suffix(path, size, ".gz") ? 3 : has_suffix(path, size, ".zst") ? 4 : 0;
    if (has_suffix(path, size, ".jsonl") || has_suffix(path, size, ".ndjson")) {
        return SL_INPUT_JSONL;
    }
    return has_suffix(path, size, ".pb") ? SL_INPUT_PB : SL_INPUT_AUTO;
}

static sluice_status look_at(const char *path, sl_input_format given, sl_input_format *format,
                             uint64_t *bytes, sluice_message *why)
{
    struct stat about;
    *bytes = 0;
    *format = given != SL_INPUT_AUTO ? given : SL_INPUT_JSONL;
    bool piped = strcmp(path, "-") == 0;
    if (piped ? fstat(STDIN_FILENO, &about) != 0 : stat(path, &about) != 0) {
        return sluice_fail(why, SLUICE_E_IO, "cannot open %s: %s", path, strerror(errno));
    }
    if (S_ISDIR(about.st_mode) || sl_images_is_archive(path)) {
        if (given != SL_INPUT_AUTO && given != SL_INPUT_IMAGES) {
            return sluice_fail(why, SLUICE_E_CONFIG,
                               "%s: a folder or an archive has images; leave --format away", path);
        }
        *format = SL_INPUT_IMAGES;
        *bytes = S_ISREG(about.st_mode) ? (uint64_t)about.st_size : 0;
        return SLUICE_OK;
    }
    if (given == SL_INPUT_IMAGES) {
        return sluice_fail(why, SLUICE_E_CONFIG, "%s: neither a folder nor a .tar", path);
    }
    if (!piped && access(path, R_OK) != 0) {
        return sluice_fail(why, SLUICE_E_IO, "cannot open %s: %s", path, strerror(errno));
    }
    if (S_ISREG(about.st_mode)) {
        *bytes = (uint64_t)about.st_size;
        if (given == SL_INPUT_AUTO && !piped) {
            *format = format_by_name(path);
        }
    }
    if (*format == SL_INPUT_AUTO) {
        return sluice_fail(why, SLUICE_E_CONFIG,
                           "%s: its name ends in neither .jsonl nor .pb; say --format jsonl or "
                           "--format pb",
                           path);
    }
    return SLUICE_OK;
}

static sluice_status look_at_all(sl_input *input, sl_input_format given, sluice_message *why)
{
    bool known = true;
    for (uint32_t i = 0; i < input->n_paths; i++) {
        sl_input_format format;
        uint64_t bytes;
        SLUICE_TRY(look_at(input->paths[i], given, &format, &bytes, why));
        if (i > 0 && format != input->format) {
            return sluice_fail(why, SLUICE_E_CONFIG,
                               "%s and %s are of two formats; give files of one at a time",
                               input->paths[0], input->paths[i]);
        }
        input->format = format;
        input->total_bytes += bytes;
        known = known && bytes > 0;
    }
    input->total_bytes = known ? input->total_bytes : 0;
    return SLUICE_OK;
}

sluice_status sl_input_open(const char *const *paths, uint32_t n, sl_input_format format,
                            sl_input **out, sluice_message *why)
{
    *out = NULL;
    sl_input *input = calloc(1, sizeof *input);
    if (input == NULL) {
        return sluice_fail(why, SLUICE_E_NOMEM, "no memory to read input");
    }
    input->paths = n > 0 ? paths : standard_input;
    input->n_paths = n > 0 ? n : 1;
    sluice_status status = look_at_all(input, format, why);
    if (status != SLUICE_OK) {
        sl_input_close(&input);
        return status;
    }
    *out = input;
    return SLUICE_OK;
}

void sl_input_close(sl_input **input_p)
{
    sl_input *input = *input_p;
    if (input != NULL) {
        sl_stream_close(&input->stream);
        sl_images_close(&input->images);
        sl_bytes_fini(&input->line);
        sl_bytes_fini(&input->buffer);
        sl_bytes_fini(&input->wire);
        free(input);
        *input_p = NULL;
    }
}

static sluice_status open_next(sl_input *input, sluice_message *why)
{
    if (input->stream != NULL) {
        input->done_bytes += sl_stream_position(input->stream);
        sl_stream_close(&input->stream);
    }
    if (input->images != NULL) {
        input->done_bytes += sl_images_progress(input->images);
        sl_images_close(&input->images);
    }
    if (input->i_path == input->n_paths) {
        return SLUICE_E_CLOSED;
    }
    const char *path = input->paths[input->i_path];
    SLUICE_TRY(input->format == SL_INPUT_IMAGES ? sl_images_open(path, &input->images, why)
                                                : sl_stream_open(path, &input->stream, why));
    input->i_path++;
    sl_bytes_clear(&input->buffer);
    input->start = input->searched = 0;
    input->ended = false;
    input->n = 0;
    input->unpacked_bytes = 0;
    return SLUICE_OK;
}

/* ---- bytes ---- */

static size_t buffered(const sl_input *input)
{
    return input->buffer.size - input->start;
}

/* Adds bytes behind the buffered ones, or notes the end. A break is kept for later. */
static sluice_status read_more(sl_input *input, sluice_message *why)
{
    sluice_bytes *buffer = &input->buffer;
    if (input->start > 0) {
        memmove(buffer->data, buffer->data + input->start, buffered(input));
        buffer->size -= input->start;
        input->searched -= input->start;
        input->start = 0;
    }
    if (sl_bytes_reserve(buffer, SL_INPUT_READ_BYTES) != SLUICE_OK) {
        return sluice_fail(why, SLUICE_E_NOMEM, "no memory to read %s", input->position);
    }
    size_t n_read;
    sluice_status status = sl_stream_read(input->stream, buffer->data + buffer->size,
                                          SL_INPUT_READ_BYTES, &n_read, &input->broken);
    buffer->size += n_read;
    input->unpacked_bytes += n_read;
    if (status != SLUICE_OK) {
        input->ended = true;
        input->broken_status = status == SLUICE_E_CLOSED ? SLUICE_OK : status;
    }
    return SLUICE_OK;
}

static const char *path_now(const sl_input *input)
{
    return input->paths[input->i_path - 1];
}

/* FILE:LINE, as an id may be: UTF-8, the end of a long path. */
static void name_position(sl_input *input)
{
    const char *path = path_now(input);
    size_t size = strlen(path);
    size_t room = SLUICE_LIMIT_ID_BYTES - 22; /* a colon and the longest number */
    const char *from = size > room ? path + size - room : path;
    while (((unsigned char)*from & 0xc0) == 0x80) {
        from++;
    }
    snprintf(input->position, sizeof input->position, "%s:%llu", from,
             (unsigned long long)input->n);
    bool valid = sl_utf8_valid(sl_span_of(input->position));
    for (char *c = input->position; *c != '\0'; c++) {
        *c = (!valid && (*c & 0x80)) || (unsigned char)*c < 0x20 ? '?' : *c;
    }
}

static void refuse(sl_input *input, const char *reason, const char *what, uint64_t bytes,
                   uint64_t limit)
{
    input->fault.reason = reason;
    snprintf(input->fault.text.text, sizeof input->fault.text.text,
             "%s is %llu bytes; the limit is %llu", what, (unsigned long long)bytes,
             (unsigned long long)limit);
}

/* ---- JSONL ---- */

/* Drops everything up to the next newline; counts what is dropped. */
static sluice_status skip_line(sl_input *input, uint64_t *bytes, sluice_message *why)
{
    *bytes = 0;
    for (;;) {
        const uint8_t *from = input->buffer.data + input->start;
        const uint8_t *newline = memchr(from, '\n', buffered(input));
        size_t n = newline != NULL ? (size_t)(newline - from) : buffered(input);
        *bytes += n;
        input->start += n + (newline != NULL);
        input->searched = input->start;
        if (newline != NULL || input->ended) {
            return SLUICE_OK;
        }
        SLUICE_TRY(read_more(input, why));
    }
}

/* The next line. CLOSED: the file has no more whole ones. TOOBIG: it was skipped. */
static sluice_status cut_line(sl_input *input, sluice_span *line, uint64_t *skipped,
                              sluice_message *why)
{
    for (;;) {
        const uint8_t *data = input->buffer.data;
        size_t left = input->buffer.size - input->searched;
        const uint8_t *newline = left > 0 ? memchr(data + input->searched, '\n', left) : NULL;
        size_t end = newline != NULL ? (size_t)(newline - data) : input->buffer.size;
        if (end - input->start > SL_INPUT_LINE_BYTES) {
            input->n++;
            SLUICE_TRY(skip_line(input, skipped, why));
            return SLUICE_E_TOOBIG;
        }
        bool last = newline == NULL && input->ended && input->broken_status == SLUICE_OK;
        if (newline != NULL || (last && end > input->start)) {
            *line = (sluice_span){data + input->start, end - input->start};
            input->start = input->searched = end + (newline != NULL);
            input->n++;
            return SLUICE_OK;
        }
        if (input->ended) {
            return SLUICE_E_CLOSED;
        }
        input->searched = input->buffer.size;
        SLUICE_TRY(read_more(input, why));
    }
}

static bool is_blank(sluice_span line)
{
    for (size_t i = 0; i < line.size; i++) {
        if (!isspace(line.data[i])) {
            return false;
        }
    }
    return true;
}

/* The path of an image, relative to the file that names it. */
static void path_of_image(const sl_input *input, char *path, size_t size)
{
    const char *file = path_now(input);
    const char *slash = strrchr(file, '/');
    bool relative = input->image.path[0] != '/' && slash != NULL;
    snprintf(path, size, "%.*s%s", relative ? (int)(slash + 1 - file) : 0, file, input->image.path);
}

/* Appends the payload that a line names, and its media type if the line has none. Fields may come
 * in any order. */
static sluice_status add_named_image(sl_input *input, sluice_message *why)
{
    char path[2 * SL_IMAGES_PATH_BYTES];
    path_of_image(input, path, sizeof path);
    uint64_t bytes = 0;
    sluice_message said = {""};
    sl_bytes_clear(&input->line);
    sluice_status status = sl_images_read(path, &input->line, &bytes, &said);
    if (status == SLUICE_E_NOMEM) {
        return sluice_fail(why, status, "%s", said.text);
    }
    if (status == SLUICE_E_TOOBIG) {
        refuse(input, "image_too_large", "the image", bytes, SLUICE_LIMIT_IMAGE_BYTES);
        return SLUICE_OK;
    }
    if (status != SLUICE_OK) {
        input->fault.reason = "image_missing";
        input->fault.text = said;
        return SLUICE_OK;
    }
    sluice_span payload = {input->line.data, input->line.size};
    if (!input->image.has_media_type) {
        SLUICE_TRY(
            sl_jsonl_put_field(&input->wire, 5, sl_span_of(sl_images_media_type(payload, path))));
    }
    return sl_jsonl_put_field(&input->wire, 4, payload);
}

static sluice_status next_line(sl_input *input, sl_input_item *item, sluice_message *why)
{
    uint64_t skipped = 0;
    sluice_status status;
    do {
        status = cut_line(input, &item->line, &skipped, why);
    } while (status == SLUICE_OK && is_blank(item->line));
    if (status != SLUICE_OK && status != SLUICE_E_TOOBIG) {
        return status;
    }
    name_position(input);
    if (status == SLUICE_E_TOOBIG) {
        item->line = (sluice_span){NULL, 0};
        refuse(input, "line_too_long", "the line", skipped, SL_INPUT_LINE_BYTES);
        return sl_jsonl_stub(sl_span_of(input->position), &input->wire);
    }
    status =
        sl_jsonl_encode(item->line, input->position, &input->wire, &input->image, &input->fault);
    if (status == SLUICE_OK && input->image.path[0] != '\0') {
        status = add_named_image(input, why);
    }
    return status == SLUICE_E_BADSAMPLE ? SLUICE_OK : status;
}

/* ---- length-delimited protobuf ---- */

static sluice_status fail_frame(const sl_input *input, const char *what, sluice_message *why)
{
    return sluice_fail(why, SLUICE_E_CORRUPT, "%s: message %llu, at byte %llu: %s", path_now(input),
                       (unsigned long long)input->n + 1, (unsigned long long)input->message_at,
                       what);
}

/* At least n bytes buffered, or everything there is. */
static sluice_status want(sl_input *input, size_t n, sluice_message *why)
{
    while (buffered(input) < n && !input->ended) {
        SLUICE_TRY(read_more(input, why));
    }
    return SLUICE_OK;
}

static sluice_status skip_message(sl_input *input, uint64_t size, sluice_message *why)
{
    while (size > 0) {
        SLUICE_TRY(want(input, 1, why));
        size_t n = buffered(input) < size ? buffered(input) : (size_t)size;
        if (n == 0) {
            return input->broken_status != SLUICE_OK
                       ? SLUICE_E_CLOSED
                       : fail_frame(input, "the file ends in the middle of it", why);
        }
        input->start += n;
        input->searched = input->start;
        size -= n;
    }
    return SLUICE_OK;
}

/* The size before a message. CLOSED: there is none. */
static sluice_status cut_size(sl_input *input, uint64_t *size, sluice_message *why)
{
    SLUICE_TRY(want(input, 10, why));
    sluice_span span = {input->buffer.data + input->start, buffered(input)};
    sl_reader reader = sl_reader_of(span);
    if (span.size == 0) {
        return SLUICE_E_CLOSED;
    }
    *size = sl_reader_varint(&reader);
    if (reader.bad && span.size < 10) {
        return input->broken_status != SLUICE_OK
                   ? SLUICE_E_CLOSED
                   : fail_frame(input, "the file ends in the middle of its size", why);
    }
    if (reader.bad || *size > SL_INPUT_FRAME_BYTES) {
        return fail_frame(input, "what should be its size is none", why);
    }
    input->start += (size_t)(reader.at - span.data);
    input->searched = input->start;
    return SLUICE_OK;
}

static sluice_status next_message(sl_input *input, sluice_message *why)
{
    uint64_t size = 0;
    input->message_at = input->unpacked_bytes - buffered(input);
    SLUICE_TRY(cut_size(input, &size, why));
    if (size > SL_INPUT_IMAGE_BYTES) {
        SLUICE_TRY(skip_message(input, size, why));
        input->n++;
        name_position(input);
        refuse(input, "sample_too_large", "the sample", size, SL_INPUT_IMAGE_BYTES);
        return sl_jsonl_stub(sl_span_of(input->position), &input->wire);
    }
    SLUICE_TRY(want(input, (size_t)size, why));
    if (buffered(input) < size) {
        return input->broken_status != SLUICE_OK
                   ? SLUICE_E_CLOSED
                   : fail_frame(input, "the file ends in the middle of it", why);
    }
    input->n++;
    name_position(input);
    SLUICE_TRY(sl_bytes_append(&input->wire, input->buffer.data + input->start, (size_t)size));
    input->start += (size_t)size;
    input->searched = input->start;
    return SLUICE_OK;
}

/* ---- images ---- */

/* The longest end of a path that an id may be: UTF-8 without control characters. */
static void name_image(sl_input *input, const char *path)
{
    size_t size = strlen(path);
    const char *from = size > SLUICE_LIMIT_ID_BYTES ? path + size - SLUICE_LIMIT_ID_BYTES : path;
    while (((unsigned char)*from & 0xc0) == 0x80) {
        from++;
    }
    snprintf(input->position, sizeof input->position, "%s", from);
    bool valid = sl_utf8_valid(sl_span_of(input->position));
    for (char *c = input->position; *c != '\0'; c++) {
        *c = (!valid && (*c & 0x80)) || (unsigned char)*c < 0x20 ? '?' : *c;
    }
}

/* The outermost folder inside: shop-a/shirts/1.jpg is of shop-a. */
static sluice_span source_of(const char *name)
{
    const char *slash = strchr(name, '/');
    return (sluice_span){(const uint8_t *)name, slash != NULL ? (size_t)(slash - name) : 0};
}

static sluice_status next_image(sl_input *input, sl_input_item *item, sluice_message *why)
{
    sl_images_item image;
    SLUICE_TRY(sl_images_next(input->images, &image, why));
    input->n++;
    name_image(input, image.path);
    sl_bytes_clear(&input->line);
    bool archived = sl_images_is_archive(path_now(input));
    char whole[2 * SL_IMAGES_PATH_BYTES];
    snprintf(whole, sizeof whole, "%s/%s", path_now(input), image.path);
    SLUICE_TRY(sl_jsonl_put_image(input->position, archived ? "archive" : "image",
                                  archived ? path_now(input) : whole, &input->line));
    item->line = (sluice_span){input->line.data, input->line.size};
    SLUICE_TRY(sl_jsonl_stub(sl_span_of(input->position), &input->wire));
    sluice_span source = source_of(input->position);
    if (source.size > 0 && source.size <= SLUICE_LIMIT_SOURCE_BYTES) {
        SLUICE_TRY(sl_jsonl_put_field(&input->wire, 2, source));
    }
    if (image.too_large) {
        refuse(input, "image_too_large", "the image", image.bytes, SLUICE_LIMIT_IMAGE_BYTES);
        return SLUICE_OK;
    }
    SLUICE_TRY(sl_jsonl_put_field(&input->wire, 5,
                                  sl_span_of(sl_images_media_type(image.payload, image.path))));
    return sl_jsonl_put_field(&input->wire, 4, image.payload);
}

/* ---- public ---- */

static sluice_status next_of_file(sl_input *input, sl_input_item *item, sluice_message *why)
{
    if (input->format == SL_INPUT_IMAGES) {
        return next_image(input, item, why);
    }
    sluice_status status =
        input->format == SL_INPUT_PB ? next_message(input, why) : next_line(input, item, why);
    if (status == SLUICE_E_CLOSED && input->broken_status != SLUICE_OK) {
        return sluice_fail(why, input->broken_status, "%s", input->broken.text);
    }
    return status;
}

sluice_status sl_input_next(sl_input *input, sl_input_item *item, sluice_message *why)
{
    *item = (sl_input_item){.position = input->position};
    sl_bytes_clear(&input->wire);
    input->fault.reason = NULL;
    input->image.path[0] = '\0';
    sluice_status status = SLUICE_E_CLOSED;
    while (status == SLUICE_E_CLOSED) {
        if (input->stream != NULL || input->images != NULL) {
            status = next_of_file(input, item, why);
        }
        if (status == SLUICE_E_CLOSED) {
            SLUICE_TRY(open_next(input, why)); /* CLOSED behind the last one */
        }
    }
    SLUICE_TRY(status);
    bool may_be_image =
        input->format == SL_INPUT_PB || input->images != NULL || input->image.path[0] != '\0';
    size_t limit = may_be_image ? SL_INPUT_IMAGE_BYTES : SL_INPUT_SAMPLE_BYTES;
    if (input->wire.size > limit) {
        refuse(input, "sample_too_large", "the sample", input->wire.size, limit);
        sl_bytes_clear(&input->wire);
        SLUICE_TRY(sl_jsonl_stub(sl_span_of(input->position), &input->wire));
    }
    item->wire = (sluice_span){input->wire.data, input->wire.size};
    item->reason = input->fault.reason;
    item->text = input->fault.reason != NULL ? input->fault.text.text : NULL;
    return SLUICE_OK;
}

bool sl_input_ready(const sl_input *input)
{
    size_t left = input->buffer.size - input->start;
    bool whole = left > 0 && (input->format == SL_INPUT_PB ||
                              memchr(input->buffer.data + input->start, '\n', left) != NULL);
    return whole || input->ended || input->stream == NULL || input->images != NULL ||
           sl_stream_ready(input->stream);
}

sl_input_format sl_input_format_used(const sl_input *input)
{
    return input->format;
}

uint64_t sl_input_progress(const sl_input *input, uint64_t *total)
{
    *total = input->total_bytes;
    return input->done_bytes + (input->stream != NULL ? sl_stream_position(input->stream) : 0) +
           (input->images != NULL ? sl_images_progress(input->images) : 0);
}
