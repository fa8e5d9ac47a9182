/* wire_bytes.h - protobuf bytes by hand, right or wrong, for tests. */
#ifndef TEST_WIRE_BYTES_H
#define TEST_WIRE_BYTES_H

#include "bytes.h"

#include <stdlib.h>

static inline void wire_check(sluice_status status)
{
    if (status != SLUICE_OK) {
        abort();
    }
}

static inline sluice_span wire_span(const sluice_bytes *bytes)
{
    return (sluice_span){bytes->data, bytes->size};
}

static inline void wire_raw(sluice_bytes *out, const void *data, size_t size)
{
    wire_check(sl_bytes_append(out, data, size));
}

static inline void wire_tag(sluice_bytes *out, uint32_t number, uint32_t wire_type)
{
    wire_check(sl_bytes_put_varint(out, (uint64_t)number << 3 | wire_type));
}

static inline void wire_varint(sluice_bytes *out, uint32_t number, uint64_t value)
{
    wire_tag(out, number, 0);
    wire_check(sl_bytes_put_varint(out, value));
}

static inline void wire_double(sluice_bytes *out, uint32_t number, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    wire_tag(out, number, 1);
    wire_check(sl_bytes_put_u64(out, bits));
}

static inline void wire_field(sluice_bytes *out, uint32_t number, const void *data, size_t size)
{
    wire_tag(out, number, 2);
    wire_check(sl_bytes_put_varint(out, size));
    wire_raw(out, data, size);
}

static inline void wire_text(sluice_bytes *out, uint32_t number, const char *text)
{
    wire_field(out, number, text, strlen(text));
}

/* `size` times the same byte. */
static inline void wire_run(sluice_bytes *out, uint32_t number, char byte, size_t size)
{
    wire_tag(out, number, 2);
    wire_check(sl_bytes_put_varint(out, size));
    wire_check(sl_bytes_reserve(out, size));
    memset(out->data + out->size, byte, size);
    out->size += size;
}

/* One entry of `attributes` (field 9 of Sample). */
static inline void wire_attribute(sluice_bytes *out, const char *name, const char *value)
{
    sluice_bytes entry = {0};
    wire_text(&entry, 1, name);
    wire_text(&entry, 2, value);
    wire_field(out, 9, entry.data, entry.size);
    sl_bytes_fini(&entry);
}

/* One sample of a Batch. */
static inline void wire_sample(sluice_bytes *batch, const sluice_bytes *sample)
{
    wire_field(batch, 1, sample->data, sample->size);
}

#endif
