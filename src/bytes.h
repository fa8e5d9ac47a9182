/* bytes.h - growing byte buffers, little-endian integers and varints. */
#ifndef SL_BYTES_H
#define SL_BYTES_H

#include "status.h"
#include "sluice/sample.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

void sl_bytes_init(sluice_bytes *bytes);
void sl_bytes_fini(sluice_bytes *bytes);  /* frees; the buffer is empty again */
void sl_bytes_clear(sluice_bytes *bytes); /* size 0, keeps the capacity       */

/* Room for `extra` more bytes, and what appends. NOMEM: nothing was appended. Integers go out in
 * little-endian order, varints as protobuf writes them. */
SLUICE_MUST_USE sluice_status sl_bytes_reserve(sluice_bytes *bytes, size_t extra);
SLUICE_MUST_USE sluice_status sl_bytes_append(sluice_bytes *bytes, const void *data, size_t size);
SLUICE_MUST_USE sluice_status sl_bytes_put_u8(sluice_bytes *bytes, uint8_t value);
SLUICE_MUST_USE sluice_status sl_bytes_put_u32(sluice_bytes *bytes, uint32_t value);
SLUICE_MUST_USE sluice_status sl_bytes_put_u64(sluice_bytes *bytes, uint64_t value);
SLUICE_MUST_USE sluice_status sl_bytes_put_double(sluice_bytes *bytes, double value); /* bits */
SLUICE_MUST_USE sluice_status sl_bytes_put_varint(sluice_bytes *bytes, uint64_t value);

/* A cursor over borrowed bytes. Reading past the end sets `bad` and yields zeros from then on, so a
 * parser checks once, at the end. */
typedef struct sl_reader {
    const uint8_t *at, *end;
    bool bad;
} sl_reader;

sl_reader sl_reader_of(sluice_span span);
uint8_t sl_reader_u8(sl_reader *reader);
uint32_t sl_reader_u32(sl_reader *reader);
uint64_t sl_reader_u64(sl_reader *reader);
double sl_reader_double(sl_reader *reader);
uint64_t sl_reader_varint(sl_reader *reader);
sluice_span sl_reader_span(sl_reader *reader, size_t size); /* lends the next `size` bytes */

static inline sluice_span sl_span_of(const char *text)
{
    return (sluice_span){(const uint8_t *)text, strlen(text)};
}

static inline bool sl_span_equal(sluice_span a, sluice_span b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* Whether the bytes are well-formed UTF-8: no surrogates, no overlong forms; NUL may occur. */
bool sl_utf8_valid(sluice_span span);

#endif
