/* jsonl.c - one line of JSONL as an encoded Sample.
 *
 *   {"id": "a", "text": "...", "year": 1987}
 *     member 0    member 1       member 2      found in the line (next_member), typed by jansson,
 *     field 1     field 4        field 9       which keeps the order
 *
 * Why the line is walked beside the parser: a number is an attribute as it is written (2.50 stays
 * 2.50, an id of 20 digits keeps them all), an error is said by the member it is in, and a verdict
 * replaces an older one without the rest of the line being written anew. */
#include "jsonl.h"
#include "bytes.h"

#include <jansson.h>

#include <ctype.h>
#include <math.h>
#include <stdio.h>

#define FIELD_BYTES(number)   (((number) << 3) | 2)
#define FIELD_VARINT(number)  ((number) << 3)
#define FIELD_FIXED64(number) (((number) << 3) | 1)

#define SL_SECONDS_MAX 9.2e12 /* fits in microseconds of int64_t */

/* ---- the line itself ---- */

typedef struct member {
    sluice_span name;  /* between the quotes, as written */
    sluice_span value; /* as written                     */
    size_t start, end; /* of name and value together     */
} member;

static size_t skip_blanks(sluice_span line, size_t at)
{
    while (at < line.size && (line.data[at] == ' ' || line.data[at] == '\t' ||
                              line.data[at] == '\r' || line.data[at] == '\n')) {
        at++;
    }
    return at;
}

/* Behind the string that starts at `at`; the line's end if it does not end. A quote ends it unless
 * an odd number of backslashes stands before it. */
static size_t skip_string(sluice_span line, size_t at)
{
    const uint8_t *start = line.data + at + 1;
    const uint8_t *end = line.data + line.size;
    for (const uint8_t *from = start; from < end;) {
        const uint8_t *quote = memchr(from, '"', (size_t)(end - from));
        if (quote == NULL) {
            break;
        }
        const uint8_t *before = quote;
        while (before > start && before[-1] == '\\') {
            before--;
        }
        from = quote + 1;
        if ((quote - before) % 2 == 0) {
            return (size_t)(from - line.data);
        }
    }
    return line.size;
}

static size_t skip_value(sluice_span line, size_t at)
{
    size_t depth = 0;
    while (at < line.size) {
        uint8_t byte = line.data[at];
        if (byte == '"') {
            at = skip_string(line, at);
            if (depth == 0) {
                return at;
            }
            continue;
        }
        if (depth == 0 && (byte == ',' || byte == '}' || byte == ']' || isspace(byte))) {
            return at;
        }
        depth += byte == '{' || byte == '[';
        depth -= byte == '}' || byte == ']';
        at++;
        if (depth == 0 && (byte == '}' || byte == ']')) {
            return at;
        }
    }
    return at;
}

/* The member at or behind `*at`, which starts at 0. Of a line that is no JSON, what looks like
 * members. */
static bool next_member(sluice_span line, size_t *at, member *out)
{
    size_t i = *at;
    while (i < line.size && line.data[i] != '"') {
        i++;
    }
    if (i >= line.size) {
        return false;
    }
    out->start = i;
    i = skip_string(line, i);
    out->name = (sluice_span){line.data + out->start + 1, i - out->start - 1};
    out->name.size -= out->name.size > 0 && i > out->start + 1 && line.data[i - 1] == '"';
    i = skip_blanks(line, i);
    i = skip_blanks(line, i < line.size && line.data[i] == ':' ? i + 1 : i);
    size_t value = i;
    i = skip_value(line, i);
    out->value = (sluice_span){line.data + value, i - value};
    out->end = i;
    *at = i > *at ? i : line.size;
    return true;
}

/* ---- the wire ---- */

sluice_status sl_jsonl_put_field(sluice_bytes *wire, uint32_t number, sluice_span value)
{
    if (value.size == 0) {
        return SLUICE_OK; /* what is empty is not written */
    }
    SLUICE_TRY(sl_bytes_put_varint(wire, FIELD_BYTES(number)));
    SLUICE_TRY(sl_bytes_put_varint(wire, value.size));
    return sl_bytes_append(wire, value.data, value.size);
}

static size_t varint_size(size_t value)
{
    size_t size = 1;
    for (; value > 0x7f; value >>= 7) {
        size++;
    }
    return size;
}

static sluice_status put_attribute(sluice_bytes *wire, sluice_span name, sluice_span value)
{
    size_t size = 0;
    size += name.size > 0 ? 1 + varint_size(name.size) + name.size : 0;
    size += value.size > 0 ? 1 + varint_size(value.size) + value.size : 0;
    SLUICE_TRY(sl_bytes_put_varint(wire, FIELD_BYTES(9)));
    SLUICE_TRY(sl_bytes_put_varint(wire, size));
    SLUICE_TRY(sl_jsonl_put_field(wire, 1, name));
    return sl_jsonl_put_field(wire, 2, value);
}

static sluice_status put_time(sluice_bytes *wire, int64_t time_us)
{
    SLUICE_TRY(sl_bytes_put_varint(wire, FIELD_VARINT(3)));
    return sl_bytes_put_varint(wire, (uint64_t)time_us);
}

static sluice_status put_cost(sluice_bytes *wire, double cost)
{
    uint64_t bits;
    memcpy(&bits, &cost, sizeof bits);
    SLUICE_TRY(sl_bytes_put_varint(wire, FIELD_FIXED64(10)));
    return sl_bytes_put_u64(wire, bits);
}

sluice_status sl_jsonl_stub(sluice_span id, sluice_bytes *wire)
{
    return sl_jsonl_put_field(wire, 1, id);
}

/* ---- time ---- */

static bool read_digits(const char **at, int n, int *value)
{
    *value = 0;
    for (int i = 0; i < n; i++) {
        if (!isdigit((unsigned char)**at)) {
            return false;
        }
        *value = *value * 10 + (**at - '0');
        (*at)++;
    }
    return true;
}

static bool read_char(const char **at, const char *allowed)
{
    bool good = **at != '\0' && strchr(allowed, **at) != NULL;
    *at += good;
    return good;
}

/* Days since 1970-01-01 of the Gregorian calendar; March is the first month of its year, so that a
 * leap day comes last. */
static int64_t days_of(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t m = month <= 2 ? month + 9 : month - 3;
    int64_t era_days = 365 * y + y / 4 - y / 100 + y / 400;
    return era_days + (153 * m + 2) / 5 + day - 1 - 719468;
}

static bool is_day(int year, int month, int day)
{
    static const int days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return year >= 1 && month >= 1 && month <= 12 && day >= 1 && day <= days[month - 1] &&
           (leap || month != 2 || day <= 28);
}

/* Z or +hh:mm, in minutes east; then the end. */
static bool read_zone(const char *at, int *minutes)
{
    int hour = 0;
    int minute = 0;
    bool west = *at == '-';
    if (!read_char(&at, "Zz")) {
        if (!read_char(&at, "+-") || !read_digits(&at, 2, &hour) || !read_char(&at, ":") ||
            !read_digits(&at, 2, &minute)) {
            return false;
        }
    }
    *minutes = west ? -(hour * 60 + minute) : hour * 60 + minute;
    return *at == '\0' && hour <= 23 && minute <= 59;
}

bool sl_time_parse(const char *text, int64_t *time_us)
{
    const char *at = text;
    int year, month, day, hour, minute, second, zone;
    if (!read_digits(&at, 4, &year) || !read_char(&at, "-") || !read_digits(&at, 2, &month) ||
        !read_char(&at, "-") || !read_digits(&at, 2, &day) || !read_char(&at, "Tt ") ||
        !read_digits(&at, 2, &hour) || !read_char(&at, ":") || !read_digits(&at, 2, &minute) ||
        !read_char(&at, ":") || !read_digits(&at, 2, &second)) {
        return false;
    }
    int64_t fraction_us = 0;
    if (read_char(&at, ".")) {
        int64_t unit = 100000;
        if (!isdigit((unsigned char)*at)) {
            return false;
        }
        for (; isdigit((unsigned char)*at); at++, unit /= 10) {
            fraction_us += (*at - '0') * unit;
        }
    }
    if (!read_zone(at, &zone) || !is_day(year, month, day) || hour > 23 || minute > 59 ||
        second > 60) {
        return false;
    }
    int64_t seconds = days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
    *time_us = (seconds - (int64_t)zone * 60) * 1000000 + fraction_us;
    return true;
}

/* ---- members ---- */

typedef struct line_state {
    sluice_span id, source; /* for the stub of a refused line */
    bool has_text;
    sl_jsonl_image *image;
    sl_input_fault *fault;
} line_state;

static sluice_status refuse(sl_input_fault *fault, const char *reason, const char *format, ...)
    SLUICE_PRINTF(3, 4);

static sluice_status refuse(sl_input_fault *fault, const char *reason, const char *format, ...)
{
    va_list args;
    fault->reason = reason;
    va_start(args, format);
    vsnprintf(fault->text.text, sizeof fault->text.text, format, args);
    va_end(args);
    for (char *c = fault->text.text; *c != '\0'; c++) { /* it quotes the input */
        *c = (unsigned char)*c < 0x20 || *c == 0x7f ? '?' : *c;
    }
    return SLUICE_E_BADSAMPLE;
}

static const char *type_name(const json_t *value)
{
    static const char *const names[] = {
        [JSON_OBJECT] = "an object", [JSON_ARRAY] = "a list",  [JSON_STRING] = "a text",
        [JSON_INTEGER] = "a number", [JSON_REAL] = "a number", [JSON_TRUE] = "a boolean",
        [JSON_FALSE] = "a boolean",  [JSON_NULL] = "null",
    };
    return names[json_typeof(value)];
}

static sluice_status refuse_type(sl_input_fault *fault, const char *name, const json_t *value,
                                 const char *expected)
{
    return refuse(fault, "wrong_type", "member \"%s\" is %s; expected %s", name, type_name(value),
                  expected);
}

static sluice_span text_of(const json_t *value)
{
    return (sluice_span){(const uint8_t *)json_string_value(value), json_string_length(value)};
}

/* A text, or a number as it is written. */
static sluice_status put_name(sluice_bytes *wire, uint32_t field, const char *name,
                              const json_t *value, sluice_span written, line_state *state)
{
    if (!json_is_string(value) && !json_is_number(value)) {
        return refuse_type(state->fault, name, value, "a text");
    }
    sluice_span text = json_is_string(value) ? text_of(value) : written;
    if (field == 1) {
        state->id = text;
    } else {
        state->source = text;
    }
    return sl_jsonl_put_field(wire, field, text);
}

static sluice_status put_payload(sluice_bytes *wire, const json_t *value, line_state *state)
{
    if (!json_is_string(value)) {
        return refuse_type(state->fault, "text", value, "a text");
    }
    state->has_text = true;
    sluice_span text = text_of(value);
    if (text.size > SLUICE_LIMIT_TEXT_BYTES) { /* as decode says it */
        return refuse(state->fault, "text_too_large", "the text is %zu bytes; the limit is %u",
                      text.size, SLUICE_LIMIT_TEXT_BYTES);
    }
    return sl_jsonl_put_field(wire, 4, text);
}

static sluice_status note_image(const json_t *value, line_state *state)
{
    if (!json_is_string(value)) {
        return refuse_type(state->fault, "image", value, "a path");
    }
    sluice_span path = text_of(value);
    if (path.size == 0 || path.size >= sizeof state->image->path ||
        memchr(path.data, 0, path.size) != NULL) {
        return refuse(state->fault, "image_missing", "member \"image\" is not a path");
    }
    memcpy(state->image->path, path.data, path.size);
    state->image->path[path.size] = '\0';
    return SLUICE_OK;
}

static sluice_status put_ts(sluice_bytes *wire, const json_t *value, line_state *state)
{
    int64_t time_us;
    double seconds = json_number_value(value);
    if (json_is_number(value) && fabs(seconds) < SL_SECONDS_MAX) {
        return put_time(wire, llround(seconds * 1e6));
    }
    if (json_is_string(value) && json_string_length(value) == strlen(json_string_value(value)) &&
        sl_time_parse(json_string_value(value), &time_us)) {
        return put_time(wire, time_us);
    }
    if (json_is_string(value)) {
        return put_attribute(wire, sl_span_of("ts"), text_of(value));
    }
    return refuse_type(state->fault, "ts", value, "an RFC 3339 time or seconds since 1970");
}

static sluice_status put_other(sluice_bytes *wire, const char *name, const json_t *value,
                               sluice_span written)
{
    if (json_is_object(value) || json_is_array(value)) {
        return SLUICE_OK;
    }
    return put_attribute(wire, sl_span_of(name), json_is_string(value) ? text_of(value) : written);
}

static sluice_status put_member(sluice_bytes *wire, const char *name, const json_t *value,
                                sluice_span written, line_state *state)
{
    bool is_encoder = strcmp(name, "encoder") == 0;
    if (json_is_null(value)) {
        return SLUICE_OK;
    }
    if (strcmp(name, "text") == 0) {
        return put_payload(wire, value, state);
    }
    if (strcmp(name, "id") == 0) {
        return put_name(wire, 1, name, value, written, state);
    }
    if (strcmp(name, "source") == 0) {
        return put_name(wire, 2, name, value, written, state);
    }
    if (strcmp(name, "ts") == 0) {
        return put_ts(wire, value, state);
    }
    if (is_encoder || strcmp(name, "media_type") == 0) {
        state->image->has_media_type |= !is_encoder;
        return json_is_string(value) ? sl_jsonl_put_field(wire, is_encoder ? 6 : 5, text_of(value))
                                     : refuse_type(state->fault, name, value, "a text");
    }
    if (strcmp(name, "cost") == 0) {
        return json_is_number(value) ? put_cost(wire, json_number_value(value))
                                     : refuse_type(state->fault, name, value, "a number");
    }
    if (strcmp(name, "image") == 0) {
        return note_image(value, state);
    }
    return put_other(wire, name, value, written);
}

/* The first fault ends the sample, but id and source are looked for to the end. */
static sluice_status put_members(sluice_bytes *wire, sluice_span line, json_t *object,
                                 line_state *state)
{
    size_t at = 0;
    member found = {{NULL, 0}, {NULL, 0}, 0, 0};
    sluice_status status = SLUICE_OK;
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        SLUICE_ASSERT(next_member(line, &at, &found));
        if (status == SLUICE_OK) {
            status = put_member(wire, name, value, found.value, state);
        } else if (strcmp(name, "id") == 0 && (json_is_string(value) || json_is_number(value))) {
            state->id = json_is_string(value) ? text_of(value) : found.value;
        } else if (strcmp(name, "source") == 0 && json_is_string(value)) {
            state->source = text_of(value);
        }
    }
    bool has_image = state->image->path[0] != '\0';
    if (status == SLUICE_OK && state->has_text && has_image) {
        status = refuse(state->fault, "two_payloads", "there are both \"text\" and \"image\"");
    }
    if (status == SLUICE_OK && !state->has_text && !has_image) {
        status = refuse(state->fault, "text_missing", "there is no member \"text\"");
    }
    return status;
}

/* ---- lines that are no JSON ---- */

static sluice_status refuse_json(sluice_span line, const json_error_t *error, sl_input_fault *fault)
{
    size_t position = error->position > 0 ? (size_t)error->position : 0;
    size_t at = 0;
    member in = {{NULL, 0}, {NULL, 0}, 0, 0};
    member last = in;
    while (next_member(line, &at, &in) && in.start < position) {
        last = in;
    }
    int cut = (int)(last.name.size < 60 ? last.name.size : 60);
    const char *near = strstr(error->text, " near ");
    int said = (int)(near != NULL ? near - error->text : (long)strlen(error->text));
    const char *reason = "not_json";
    switch (json_error_code(error)) {
    case json_error_invalid_utf8:
        reason = "not_utf8";
        break;
    case json_error_duplicate_key:
        reason = "duplicate_member";
        break;
    default:
        break;
    }
    if (cut > 0 && sl_utf8_valid((sluice_span){last.name.data, (size_t)cut})) {
        return refuse(fault, reason, "%.*s at byte %zu, in member \"%.*s\"", said, error->text,
                      position, cut, (const char *)last.name.data);
    }
    return refuse(fault, reason, "%.*s at byte %zu", said, error->text, position);
}

/* Restarts the sample as nothing but its names, as far as they can be names. */
static sluice_status put_stub(sluice_bytes *wire, size_t start, const line_state *state,
                              const char *default_id)
{
    wire->size = start;
    bool usable = state->id.size > 0 && state->id.size <= SLUICE_LIMIT_ID_BYTES &&
                  memchr(state->id.data, 0, state->id.size) == NULL;
    SLUICE_TRY(sl_jsonl_put_field(wire, 1, usable ? state->id : sl_span_of(default_id)));
    if (state->source.size > 0 && state->source.size <= SLUICE_LIMIT_SOURCE_BYTES &&
        memchr(state->source.data, 0, state->source.size) == NULL) {
        SLUICE_TRY(sl_jsonl_put_field(wire, 2, state->source));
    }
    return SLUICE_OK;
}

sluice_status sl_jsonl_encode(sluice_span line, const char *default_id, sluice_bytes *wire,
                              sl_jsonl_image *image, sl_input_fault *fault)
{
    image->path[0] = '\0';
    image->has_media_type = false;
    size_t start = wire->size;
    json_error_t error;
    line_state state = {.image = image, .fault = fault};
    sluice_status status;
    if (line.size >= 3 && memcmp(line.data, "\xef\xbb\xbf", 3) == 0) { /* a byte order mark */
        line = (sluice_span){line.data + 3, line.size - 3};
    }
    json_t *value = json_loadb((const char *)line.data, line.size,
                               JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL |
                                   JSON_DECODE_INT_AS_REAL,
                               &error);
    if (value == NULL) {
        status = refuse_json(line, &error, fault);
    } else if (!json_is_object(value)) {
        status =
            refuse(fault, "not_an_object", "the line is %s; expected an object", type_name(value));
    } else {
        status = put_members(wire, line, value, &state);
        if (status == SLUICE_OK && state.id.size == 0) {
            status = sl_jsonl_put_field(wire, 1, sl_span_of(default_id));
        }
    }
    if (status == SLUICE_E_BADSAMPLE && put_stub(wire, start, &state, default_id) != SLUICE_OK) {
        status = SLUICE_E_NOMEM;
    }
    json_decref(value);
    return status;
}

/* ---- out ---- */

/* Without the member "sluice" of an earlier pass, and the comma beside it. */
static sluice_status put_without_verdict(sluice_span line, sluice_bytes *out)
{
    size_t at = 0;
    member found;
    bool possible = memmem(line.data, line.size, "\"sluice\"", 8) != NULL;
    while (possible && next_member(line, &at, &found)) {
        if (!sl_span_equal(found.name, sl_span_of("sluice"))) {
            continue;
        }
        size_t before = found.start;
        while (before > 0 && (isspace(line.data[before - 1]) || line.data[before - 1] == ',')) {
            before--;
        }
        size_t behind = found.end;
        if (line.data[before - 1] == '{') { /* the first: its comma stands behind it */
            behind = skip_blanks(line, behind);
            behind += behind < line.size && line.data[behind] == ',';
        }
        SLUICE_TRY(sl_bytes_append(out, line.data, before));
        return sl_bytes_append(out, line.data + behind, line.size - behind);
    }
    return sl_bytes_append(out, line.data, line.size);
}

sluice_status sl_jsonl_annotate(sluice_span line, sluice_span verdict, sluice_bytes *out)
{
    size_t start = out->size;
    SLUICE_TRY(put_without_verdict(line, out));
    size_t brace = out->size;
    while (brace > start && out->data[brace - 1] != '}') {
        brace--;
    }
    SLUICE_ASSERT(brace > start); /* it was parsed as an object */
    size_t tail_bytes = out->size - brace;
    SLUICE_DCHECK(tail_bytes < line.size);
    size_t last = brace - 1;
    while (last > start && isspace(out->data[last - 1])) {
        last--;
    }
    bool empty = out->data[last - 1] == '{';
    out->size = brace - 1;
    SLUICE_TRY(sl_bytes_append(out, empty ? "\"sluice\": " : ", \"sluice\": ", empty ? 10 : 12));
    SLUICE_TRY(sl_bytes_append(out, verdict.data, verdict.size));
    SLUICE_TRY(sl_bytes_put_u8(out, '}'));
    sluice_span tail = {line.data + line.size - tail_bytes, tail_bytes}; /* blanks, a return */
    return sl_bytes_append(out, tail.data, tail.size);
}

sluice_status sl_jsonl_put_image(const char *id, const char *where, const char *path,
                                 sluice_bytes *line)
{
    json_t *object = json_object();
    json_object_set_new(object, "id", json_string(id));
    json_object_set_new(object, where, json_string(path)); /* a path that is no UTF-8 is left out */
    char *text = json_dumps(object, JSON_PRESERVE_ORDER);
    sluice_status status =
        text != NULL ? sl_bytes_append(line, text, strlen(text)) : SLUICE_E_NOMEM;
    free(text);
    json_decref(object);
    return status;
}
