/* prescan.c - walks protobuf bytes against their schema before a parser allocates for them.
 *
 *   message   | tag | value | tag | length | bytes ........ | tag | ...
 *                                            known message?   -> one level down, else skipped
 *   stack     [ Sample ][ View ][ Tensor ]                    at most SL_SCAN_DEPTH
 *
 * Why before the parser: protobuf-c has no limit of its own. 1 MiB of two-byte fields makes it ask
 * for up to 63 MiB, and it cuts strings at NUL without a word; after this walk neither can happen.
 * Why the generated descriptors are the schema: the .proto files stay the only place that says it.
 * Why unknown bytes are not looked into: nobody can say what they are; a reader that does know them
 * has limits of its own. */
#include "decode/prescan.h"

#define MAX_TAG_BYTES 5 /* also of a length; what protobuf-c reads at most */

typedef struct level {
    sl_reader reader;
    const ProtobufCMessageDescriptor *type;
    uint32_t n_fields;
    uint64_t seen; /* bit i: singular message fields[i] occurred */
} level;

/* A varint of tags and lengths: at most 5 bytes and 31 or 32 bits. */
static bool read_short_varint(sl_reader *reader, uint64_t max, uint64_t *out)
{
    if (reader->at < reader->end && *reader->at < 0x80) {
        *out = *reader->at++;
        return true;
    }
    const uint8_t *start = reader->at;
    *out = sl_reader_varint(reader);
    if (reader->at - start > MAX_TAG_BYTES || *out > max) {
        reader->bad = true;
    }
    return !reader->bad;
}

bool sl_wire_field_next(sl_reader *reader, sl_wire_field *field)
{
    if (reader->at == reader->end || reader->bad) {
        return false;
    }
    uint64_t tag = 0;
    uint64_t size = 0;
    if (!read_short_varint(reader, UINT32_MAX, &tag)) {
        return false;
    }
    field->number = (uint32_t)(tag >> 3);
    field->wire_type = (uint32_t)(tag & 7);
    if (field->number == 0) {
        reader->bad = true;
        return false;
    }
    switch (field->wire_type) {
    case SL_WIRE_VARINT:
        field->value = sl_reader_varint(reader);
        break;
    case SL_WIRE_64BIT:
        field->value = sl_reader_u64(reader);
        break;
    case SL_WIRE_BYTES:
        if (read_short_varint(reader, INT32_MAX, &size)) {
            field->span = sl_reader_span(reader, (size_t)size);
        }
        break;
    case SL_WIRE_32BIT:
        field->value = sl_reader_u32(reader);
        break;
    default:
        reader->bad = true;
        break;
    }
    return !reader->bad;
}

static uint32_t wire_type_of(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return SL_WIRE_64BIT;
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return SL_WIRE_32BIT;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return SL_WIRE_BYTES;
    default:
        return SL_WIRE_VARINT;
    }
}

/* Numbers of a packed array; false if the last one is cut off. */
static bool count_packed(uint32_t wire_type, sluice_span span, uint32_t *n)
{
    *n = 0;
    if (wire_type != SL_WIRE_VARINT) {
        size_t size = wire_type == SL_WIRE_64BIT ? 8 : 4;
        *n = (uint32_t)(span.size / size);
        return span.size % size == 0;
    }
    sl_reader reader = sl_reader_of(span);
    while (reader.at < reader.end && *n <= SL_SCAN_LEVEL_FIELDS) {
        (void)sl_reader_varint(&reader);
        (*n)++;
    }
    return !reader.bad;
}

static sl_scan_result say(sl_scan_fault *fault, const level *at,
                          const ProtobufCFieldDescriptor *field, sl_scan_result result,
                          const char *what)
{
    *fault = (sl_scan_fault){at->type->short_name, field != NULL ? field->name : NULL, what};
    return result;
}

static sl_scan_result check_string(sl_scan_fault *fault, const level *at,
                                   const ProtobufCFieldDescriptor *field, sluice_span span)
{
    if (span.size > 0 && memchr(span.data, 0, span.size) != NULL) {
        return say(fault, at, field, SL_SCAN_HAS_NUL, "holds a NUL byte");
    }
    if (!sl_utf8_valid(span)) {
        return say(fault, at, field, SL_SCAN_NOT_UTF8, "is not UTF-8");
    }
    return SL_SCAN_OK;
}

/* One known field; `n` is what it counts for. */
static sl_scan_result check_known(sl_scan_fault *fault, level *at,
                                  const ProtobufCFieldDescriptor *known, const sl_wire_field *field,
                                  uint32_t *n)
{
    uint32_t wire_type = wire_type_of(known->type);
    bool repeated = known->label == PROTOBUF_C_LABEL_REPEATED;
    if (field->wire_type != wire_type) {
        if (!repeated || field->wire_type != SL_WIRE_BYTES) {
            return say(fault, at, known, SL_SCAN_MALFORMED, "has another wire type");
        }
        return count_packed(wire_type, field->span, n)
                   ? SL_SCAN_OK
                   : say(fault, at, known, SL_SCAN_MALFORMED, "ends inside a number");
    }
    if (known->type == PROTOBUF_C_TYPE_STRING) {
        return check_string(fault, at, known, field->span);
    }
    if (known->type == PROTOBUF_C_TYPE_MESSAGE && !repeated) {
        uint64_t bit = UINT64_C(1) << ((known - at->type->fields) & 63);
        if ((at->seen & bit) != 0) {
            return say(fault, at, known, SL_SCAN_MALFORMED, "occurs twice");
        }
        at->seen |= bit;
    }
    return SL_SCAN_OK;
}

static sl_scan_result count_fields(sl_scan_fault *fault, level *at, uint32_t n, uint32_t *n_left)
{
    if (n > SL_SCAN_LEVEL_FIELDS - at->n_fields || n > *n_left) {
        return say(fault, at, NULL, SL_SCAN_TOO_COMPLEX, "has too many fields");
    }
    at->n_fields += n;
    *n_left -= n;
    return SL_SCAN_OK;
}

/* Checks one field; `down` is its type if it is a message to be walked next. */
static sl_scan_result scan_field(sl_scan_fault *fault, level *at, const sl_wire_field *field,
                                 uint32_t *n_left, const ProtobufCMessageDescriptor **down)
{
    uint32_t n = 1;
    *down = NULL;
    const ProtobufCFieldDescriptor *known =
        protobuf_c_message_descriptor_get_field(at->type, field->number);
    if (known != NULL) {
        sl_scan_result result = check_known(fault, at, known, field, &n);
        if (result != SL_SCAN_OK) {
            return result;
        }
        if (known->type == PROTOBUF_C_TYPE_MESSAGE) {
            *down = known->descriptor;
        }
    }
    return count_fields(fault, at, n, n_left);
}

sl_scan_result sl_prescan(const ProtobufCMessageDescriptor *type, sluice_span message,
                          uint32_t *n_left, sl_scan_fault *fault)
{
    level stack[SL_SCAN_DEPTH];
    int depth = 0;
    stack[0] = (level){.reader = sl_reader_of(message), .type = type};
    while (depth >= 0) {
        level *at = &stack[depth];
        sl_wire_field field;
        if (!sl_wire_field_next(&at->reader, &field)) {
            if (at->reader.bad) {
                return say(fault, at, NULL, SL_SCAN_MALFORMED, "cannot be read to its end");
            }
            depth--;
            continue;
        }
        const ProtobufCMessageDescriptor *down;
        sl_scan_result result = scan_field(fault, at, &field, n_left, &down);
        if (result != SL_SCAN_OK) {
            return result;
        }
        if (down != NULL) {
            SLUICE_ASSERT(depth + 1 < SL_SCAN_DEPTH); /* our schema is not recursive */
            depth++;
            stack[depth] = (level){.reader = sl_reader_of(field.span), .type = down};
        }
    }
    return SL_SCAN_OK;
}
