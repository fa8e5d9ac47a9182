/* orientation.c - how an encoded image asks to be turned before it is looked at.
 *
 *   JPEG  | FF D8 | FF E1, size, "Exif" 0 0, TIFF | ... | FF DA         up to the first scan
 *   PNG   | signature | size, IHDR, ... | size, eXIf, TIFF, check | ...
 *   WebP  | RIFF, size, WEBP | VP8X, ... | EXIF, size, TIFF | ...
 *
 *   TIFF  | II or MM | 42 | place of the directory | ... n | tag, type, count, value | ...
 *
 * Why it matters: a camera held upright writes the picture as its sensor lay and asks for a turn;
 * the copy that a shop saved has been turned, and is the same picture.
 * Why by hand: it is one number of two bytes; a library of metadata is a large surface for hostile
 * bytes. Every read is bounded by the span, and whatever cannot be read means "as it is". */
#include "features/orientation.h"

#include <stdbool.h>
#include <string.h>

#define TAG_ORIENTATION 0x0112u
#define TYPE_SHORT      3u
#define ENTRY_BYTES     12u
#define EXIF_BYTES      6u /* "Exif", 0, 0 */

/* Exif's 1 to 8 as turns; see raster.h. */
static const uint8_t turns[9] = {0, 0, 1, 3, 2, 4, 6, 7, 5};

static uint32_t number_at(sluice_span span, size_t at, uint32_t n_bytes, bool little)
{
    uint32_t number = 0;
    for (uint32_t i = 0; i < n_bytes; i++) {
        uint32_t byte = span.data[at + (little ? n_bytes - 1 - i : i)];
        number = number << 8 | byte;
    }
    return number;
}

static bool holds(sluice_span span, size_t at, const char *text, size_t size)
{
    return at <= span.size && size <= span.size - at && memcmp(span.data + at, text, size) == 0;
}

static sluice_span part_of(sluice_span span, size_t at, size_t size)
{
    size_t left = at < span.size ? span.size - at : 0;
    return (sluice_span){span.data + (left > 0 ? at : 0), size < left ? size : left};
}

/* The first directory's tag; "Exif" before the TIFF is left out. */
static uint32_t turn_of_tiff(sluice_span tiff)
{
    if (holds(tiff, 0, "Exif\0\0", EXIF_BYTES)) {
        tiff = part_of(tiff, EXIF_BYTES, tiff.size);
    }
    bool little = holds(tiff, 0, "II*\0", 4);
    if (tiff.size < 8 || (!little && !holds(tiff, 0, "MM\0*", 4))) {
        return 0;
    }
    size_t at = number_at(tiff, 4, 4, little);
    if (at > tiff.size - 2) {
        return 0;
    }
    uint32_t n_entries = number_at(tiff, at, 2, little);
    at += 2;
    for (uint32_t i = 0; i < n_entries && at + ENTRY_BYTES <= tiff.size; i++, at += ENTRY_BYTES) {
        if (number_at(tiff, at, 2, little) == TAG_ORIENTATION &&
            number_at(tiff, at + 2, 2, little) == TYPE_SHORT) {
            uint32_t value = number_at(tiff, at + 8, 2, little);
            return value <= 8 ? turns[value] : 0;
        }
    }
    return 0;
}

static uint32_t turn_of_jpeg(sluice_span bytes)
{
    size_t at = 2;
    while (at + 4 <= bytes.size && bytes.data[at] == 0xff) {
        uint8_t marker = bytes.data[at + 1];
        if (marker == 0xff) { /* padding */
            at++;
            continue;
        }
        if (marker == 0xda || marker == 0xd9) {
            break;
        }
        size_t size = number_at(bytes, at + 2, 2, false);
        if (marker == 0xe1 && size >= 2 && holds(bytes, at + 4, "Exif\0\0", EXIF_BYTES)) {
            return turn_of_tiff(part_of(bytes, at + 4, size - 2));
        }
        at += 2 + size;
    }
    return 0;
}

static uint32_t turn_of_png(sluice_span bytes)
{
    size_t at = 8;
    while (at + 12 <= bytes.size && !holds(bytes, at + 4, "IEND", 4)) {
        size_t size = number_at(bytes, at, 4, false);
        if (holds(bytes, at + 4, "eXIf", 4)) {
            return turn_of_tiff(part_of(bytes, at + 8, size));
        }
        at += 12 + size;
    }
    return 0;
}

static uint32_t turn_of_webp(sluice_span bytes)
{
    size_t at = 12;
    while (at + 8 <= bytes.size) {
        size_t size = number_at(bytes, at + 4, 4, true);
        if (holds(bytes, at, "EXIF", 4)) {
            return turn_of_tiff(part_of(bytes, at + 8, size));
        }
        at += 8 + size + size % 2;
    }
    return 0;
}

uint32_t sl_orientation_of(sluice_span bytes)
{
    if (holds(bytes, 0, "\xff\xd8", 2)) {
        return turn_of_jpeg(bytes);
    }
    if (holds(bytes, 0, "\x89PNG\r\n\x1a\n", 8)) {
        return turn_of_png(bytes);
    }
    return holds(bytes, 0, "RIFF", 4) && holds(bytes, 8, "WEBP", 4) ? turn_of_webp(bytes) : 0;
}
