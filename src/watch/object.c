/* object.c - writes JSON objects and arrays, member by member. */
#include "watch/object.h"
#include "bytes.h"
#include "record_json.h"

#include <inttypes.h>
#include <stdio.h>

sl_object sl_object_of(sluice_bytes *out)
{
    return (sl_object){.out = out, .status = SLUICE_OK};
}

static void put(sl_object *object, const char *text)
{
    if (object->status == SLUICE_OK) {
        object->status = sl_json_put_text(object->out, text);
    }
}

static void begin(sl_object *object, const char *name)
{
    if (object->comma) {
        put(object, ", ");
    }
    object->comma = true;
    if (name != NULL) {
        put(object, "\"");
        put(object, name);
        put(object, "\": ");
    }
}

void sl_object_open(sl_object *object, const char *name, char bracket)
{
    begin(object, name);
    put(object, bracket == '{' ? "{" : "[");
    object->comma = false;
}

void sl_object_close(sl_object *object, char bracket)
{
    put(object, bracket == '}' ? "}" : "]");
    object->comma = true;
}

void sl_object_span(sl_object *object, const char *name, sluice_span text)
{
    begin(object, name);
    if (object->status == SLUICE_OK) {
        object->status = sl_json_put_string(object->out, text);
    }
}

void sl_object_text(sl_object *object, const char *name, const char *text)
{
    sl_object_span(object, name, sl_span_of(text));
}

void sl_object_count(sl_object *object, const char *name, uint64_t count)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%" PRIu64, count);
    begin(object, name);
    put(object, digits);
}

void sl_object_number(sl_object *object, const char *name, double number)
{
    begin(object, name);
    if (object->status == SLUICE_OK) {
        object->status = sl_json_put_double(object->out, number);
    }
}

void sl_object_bool(sl_object *object, const char *name, bool value)
{
    begin(object, name);
    put(object, value ? "true" : "false");
}

void sl_object_json(sl_object *object, const char *name, sluice_span json)
{
    begin(object, name);
    if (json.size == 0) {
        put(object, "null");
    } else if (object->status == SLUICE_OK) {
        object->status = sl_bytes_append(object->out, json.data, json.size);
    }
}

static const char *escape_of(uint8_t byte)
{
    return byte == '<' ? "\\u003c" : byte == '>' ? "\\u003e" : byte == '&' ? "\\u0026" : NULL;
}

sluice_status sl_object_defuse(sluice_span json, sluice_bytes *out)
{
    size_t done = 0;
    for (size_t i = 0; i < json.size; i++) {
        const char *escape = escape_of(json.data[i]);
        if (escape != NULL) {
            SLUICE_TRY(sl_bytes_append(out, json.data + done, i - done));
            SLUICE_TRY(sl_json_put_text(out, escape));
            done = i + 1;
        }
    }
    return sl_bytes_append(out, json.data + done, json.size - done);
}
