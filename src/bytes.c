/* bytes.c - growing byte buffers, little-endian integers and varints. */
#include "bytes.h"

#include <stdlib.h>

void sl_bytes_init(sluice_bytes *bytes)
{
    *bytes = (sluice_bytes){0};
}

void sl_bytes_fini(sluice_bytes *bytes)
{
    free(bytes->data);
    *bytes = (sluice_bytes){0};
}

void sl_bytes_clear(sluice_bytes *bytes)
{
    bytes->size = 0;
}

sluice_status sl_bytes_reserve(sluice_bytes *bytes, size_t extra)
{
    if (extra <= bytes->capacity - bytes->size) {
        return SLUICE_OK;
    }
    if (extra > SIZE_MAX / 2 - bytes->size) {
        return SLUICE_E_NOMEM;
    }
    size_t wanted = bytes->size + extra;
    size_t capacity = bytes->capacity < 256 ? 256 : bytes->capacity + bytes->capacity / 2;
    capacity = capacity < wanted ? wanted : capacity;
    uint8_t *data = realloc(bytes->data, capacity);
    if (data == NULL) {
        return SLUICE_E_NOMEM;
    }
    bytes->data = data;
    bytes->capacity = capacity;
    return SLUICE_OK;
}

sluice_status sl_bytes_append(sluice_bytes *bytes, const void *data, size_t size)
{
    SLUICE_TRY(sl_bytes_reserve(bytes, size));
    if (size > 0) {
        memcpy(bytes->data + bytes->size, data, size);
        bytes->size += size;
    }
    return SLUICE_OK;
}

sluice_status sl_bytes_put_u8(sluice_bytes *bytes, uint8_t value)
{
    return sl_bytes_append(bytes, &value, 1);
}

static sluice_status put_little_endian(sluice_bytes *bytes, uint64_t value, size_t size)
{
    uint8_t encoded[8];
    for (size_t i = 0; i < size; i++) {
        encoded[i] = (uint8_t)(value >> (8 * i));
    }
    return sl_bytes_append(bytes, encoded, size);
}

sluice_status sl_bytes_put_u32(sluice_bytes *bytes, uint32_t value)
{
    return put_little_endian(bytes, value, 4);
}

sluice_status sl_bytes_put_u64(sluice_bytes *bytes, uint64_t value)
{
    return put_little_endian(bytes, value, 8);
}

sluice_status sl_bytes_put_double(sluice_bytes *bytes, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return sl_bytes_put_u64(bytes, bits);
}

sluice_status sl_bytes_put_varint(sluice_bytes *bytes, uint64_t value)
{
    uint8_t encoded[10];
    size_t size = 0;
    do {
        encoded[size] = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        value >>= 7;
        size++;
    } while (value > 0);
    return sl_bytes_append(bytes, encoded, size);
}

sl_reader sl_reader_of(sluice_span span)
{
    static const uint8_t nothing;
    const uint8_t *data = span.data != NULL ? span.data : &nothing;
    return (sl_reader){data, data + span.size, false};
}

sluice_span sl_reader_span(sl_reader *reader, size_t size)
{
    if (size > (size_t)(reader->end - reader->at)) {
        reader->bad = true;
        reader->at = reader->end;
        return (sluice_span){NULL, 0};
    }
    sluice_span span = {reader->at, size};
    reader->at += size;
    return span;
}

static uint64_t read_little_endian(sl_reader *reader, size_t size)
{
    sluice_span span = sl_reader_span(reader, size);
    uint64_t value = 0;
    for (size_t i = 0; i < span.size; i++) {
        value |= (uint64_t)span.data[i] << (8 * i);
    }
    return value;
}

uint8_t sl_reader_u8(sl_reader *reader)
{
    return (uint8_t)read_little_endian(reader, 1);
}

uint32_t sl_reader_u32(sl_reader *reader)
{
    return (uint32_t)read_little_endian(reader, 4);
}

uint64_t sl_reader_u64(sl_reader *reader)
{
    return read_little_endian(reader, 8);
}

double sl_reader_double(sl_reader *reader)
{
    uint64_t bits = sl_reader_u64(reader);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

uint64_t sl_reader_varint(sl_reader *reader)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (reader->at == reader->end) {
            break;
        }
        uint8_t byte = *reader->at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            if (shift == 63 && byte > 1) {
                break;
            }
            return value;
        }
    }
    reader->bad = true;
    return 0;
}

/* Höhrmann's rules without his table: the lead byte gives length and range of the second byte. */
static size_t utf8_length(const uint8_t *at, size_t left)
{
    uint8_t lead = at[0];
    if (lead < 0x80) {
        return 1;
    }
    size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || size > left) {
        return 0;
    }
    uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (at[1] < low || at[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < size; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return size;
}

bool sl_utf8_valid(sluice_span span)
{
    size_t i = 0;
    while (i < span.size) {
        uint64_t word;
        if (i + sizeof word <= span.size) {
            memcpy(&word, span.data + i, sizeof word);
            if ((word & UINT64_C(0x8080808080808080)) == 0) {
                i += sizeof word;
                continue;
            }
        }
        size_t size = utf8_length(span.data + i, span.size - i);
        if (size == 0) {
            return false;
        }
        i += size;
    }
    return true;
}
