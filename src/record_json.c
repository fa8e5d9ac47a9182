/* record_json.c - JSON values in the one way in which records write them.
 *
 * Why by hand: they are written for every sample; the order of members and the shortest number that
 * reads back are part of the contract, so that equal verdicts are equal lines. */
#include "record_json.h"
#include "bytes.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

sluice_status sl_json_put_text(sluice_bytes *out, const char *text)
{
    return sl_bytes_append(out, text, strlen(text));
}

/* Bytes of the character at the start; 0 if they are not UTF-8. */
static size_t character_size(sluice_span span)
{
    for (size_t size = 1; size <= 4 && size <= span.size; size++) {
        if (sl_utf8_valid((sluice_span){span.data, size})) {
            return size;
        }
    }
    return 0;
}

/* Bytes at the start that stand for themselves in a JSON string. */
static size_t plain_size(sluice_span span, bool valid)
{
    size_t i = 0;
    while (i < span.size && span.data[i] >= 0x20 && span.data[i] != '"' && span.data[i] != '\\' &&
           (valid || span.data[i] < 0x80)) {
        i++;
    }
    return i;
}

static sluice_status put_escape(sluice_bytes *out, uint8_t byte)
{
    static const char letters[32] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    char text[8];
    if (byte == '"' || byte == '\\') {
        snprintf(text, sizeof text, "\\%c", byte);
    } else if (letters[byte] != 0) {
        snprintf(text, sizeof text, "\\%c", letters[byte]);
    } else {
        snprintf(text, sizeof text, "\\u%04x", byte);
    }
    return sl_json_put_text(out, text);
}

/* A quoted string. What is not UTF-8 becomes U+FFFD: the ids of refused samples are shown too. */
sluice_status sl_json_put_string(sluice_bytes *out, sluice_span span)
{
    bool valid = sl_utf8_valid(span);
    SLUICE_TRY(sl_json_put_text(out, "\""));
    while (span.size > 0) {
        size_t size = plain_size(span, valid);
        SLUICE_TRY(sl_bytes_append(out, span.data, size));
        span = (sluice_span){span.data + size, span.size - size};
        if (span.size == 0) {
            break;
        }
        size = 1;
        if (span.data[0] < 0x80) {
            SLUICE_TRY(put_escape(out, span.data[0]));
        } else if (character_size(span) > 0) {
            size = character_size(span);
            SLUICE_TRY(sl_bytes_append(out, span.data, size));
        } else {
            SLUICE_TRY(sl_json_put_text(out, "\xef\xbf\xbd"));
        }
        span = (sluice_span){span.data + size, span.size - size};
    }
    return sl_json_put_text(out, "\"");
}

/* Marks a number as one that may have a fraction, so that typed readers see the same type always.
 */
static sluice_status put_number_text(sluice_bytes *out, const char *text)
{
    SLUICE_TRY(sl_json_put_text(out, text));
    return strpbrk(text, ".e") != NULL ? SLUICE_OK : sl_json_put_text(out, ".0");
}

/* The shortest decimal that reads back as the same float: 6 digits are always kept by a normal
 * float, 9 are always enough. */
sluice_status sl_json_put_float(sluice_bytes *out, float value)
{
    char text[32];
    if (!isfinite(value)) {
        return sl_json_put_text(out, "null");
    }
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value) {
            break;
        }
    }
    return put_number_text(out, text);
}

/* As above for a double: 15 and 17. */
sluice_status sl_json_put_double(sluice_bytes *out, double value)
{
    char text[32];
    if (!isfinite(value)) {
        return sl_json_put_text(out, "null");
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    return put_number_text(out, text);
}

sluice_status sl_json_put_base64(sluice_bytes *out, sluice_span span)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    SLUICE_TRY(sl_bytes_reserve(out, span.size / 3 * 4 + 6));
    SLUICE_TRY(sl_json_put_text(out, "\""));
    for (size_t i = 0; i < span.size; i += 3) {
        size_t left = span.size - i;
        uint32_t bits = (uint32_t)span.data[i] << 16;
        bits |= left > 1 ? (uint32_t)span.data[i + 1] << 8 : 0;
        bits |= left > 2 ? (uint32_t)span.data[i + 2] : 0;
        char four[4] = {digits[bits >> 18], digits[bits >> 12 & 63],
                        left > 1 ? digits[bits >> 6 & 63] : '=',
                        left > 2 ? digits[bits & 63] : '='};
        SLUICE_TRY(sl_bytes_append(out, four, sizeof four));
    }
    return sl_json_put_text(out, "\"");
}

/* RFC 3339 in UTC, or seconds where that has no year for it. */
sluice_status sl_json_put_time(sluice_bytes *out, int64_t time_us)
{
    const int64_t second = 1000000;
    int64_t fraction = (time_us % second + second) % second;
    time_t seconds = (time_t)(time_us / second - (time_us % second < 0)); /* rounds down */
    struct tm utc;
    char text[64];
    char digits[16] = "";
    if (gmtime_r(&seconds, &utc) == NULL || utc.tm_year < -1900 || utc.tm_year > 9999 - 1900) {
        return sl_json_put_double(out, (double)time_us / (double)second);
    }
    if (fraction != 0) {
        int width = 6;
        for (; fraction % 10 == 0; width--) {
            fraction /= 10;
        }
        snprintf(digits, sizeof digits, ".%0*d", width, (int)fraction);
    }
    snprintf(text, sizeof text, "\"%04d-%02d-%02dT%02d:%02d:%02d%sZ\"", utc.tm_year + 1900,
             utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, digits);
    return sl_json_put_text(out, text);
}
