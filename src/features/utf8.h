/* utf8.h - decodes and encodes one code point of UTF-8. */
#ifndef SL_UTF8_H
#define SL_UTF8_H

#include <stddef.h>
#include <stdint.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "features/ reads bytes as little-endian words"
#endif

#define SL_UTF8_BAD UINT32_MAX

/* The code point at `at` of well-formed UTF-8; its size in bytes goes to *size. */
static inline uint32_t sl_utf8_next(const uint8_t *at, size_t *size)
{
    uint32_t lead = at[0];
    if (lead < 0x80) {
        *size = 1;
        return lead;
    }
    if (lead < 0xe0) {
        *size = 2;
        return (lead & 0x1f) << 6 | (at[1] & 0x3fu);
    }
    if (lead < 0xf0) {
        *size = 3;
        return (lead & 0xf) << 12 | (at[1] & 0x3fu) << 6 | (at[2] & 0x3fu);
    }
    *size = 4;
    return (lead & 7) << 18 | (at[1] & 0x3fu) << 12 | (at[2] & 0x3fu) << 6 | (at[3] & 0x3fu);
}

/* The same for bytes from outside, `left` > 0 of them; SL_UTF8_BAD unless well-formed. */
static inline uint32_t sl_utf8_decode(const uint8_t *at, size_t left, size_t *size)
{
    static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
    uint32_t lead = at[0];
    size_t wanted = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (wanted > left || (lead >= 0x80 && lead < 0xc2) || lead > 0xf4) {
        return SL_UTF8_BAD;
    }
    uint32_t tails = 0;
    for (size_t i = 1; i < wanted; i++) {
        tails |= (at[i] ^ 0x80u) & 0xc0u;
    }
    uint32_t code_point = sl_utf8_next(at, size);
    if (tails != 0 || code_point < smallest[wanted] || code_point > 0x10ffff ||
        code_point - 0xd800 < 0x800) {
        return SL_UTF8_BAD;
    }
    return code_point;
}

/* Writes 1 to 4 bytes, returns how many. */
static inline size_t sl_utf8_encode(uint32_t code_point, uint8_t *out)
{
    if (code_point < 0x80) {
        out[0] = (uint8_t)code_point;
        return 1;
    }
    if (code_point < 0x800) {
        out[0] = (uint8_t)(0xc0 | code_point >> 6);
        out[1] = (uint8_t)(0x80 | (code_point & 0x3f));
        return 2;
    }
    if (code_point < 0x10000) {
        out[0] = (uint8_t)(0xe0 | code_point >> 12);
        out[1] = (uint8_t)(0x80 | (code_point >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (code_point & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | code_point >> 18);
    out[1] = (uint8_t)(0x80 | (code_point >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (code_point >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (code_point & 0x3f));
    return 4;
}

/* Start of the code point before `at` in well-formed UTF-8. */
static inline const uint8_t *sl_utf8_before(const uint8_t *at)
{
    do {
        at--;
    } while ((*at & 0xc0) == 0x80);
    return at;
}

#endif
