/* units.h - cuts normalized text into units and hashes each. */
#ifndef SL_UNITS_H
#define SL_UNITS_H

#include "sluice/sample.h"
#include "features/kernel.h"
#include "features/normalize.h"
#include "features/unicode.h"

/* What a text is cut into.
 *
 *   'w'  words: maximal runs of letters, marks, numbers and '_'. Of their own: every Han, Bopomofo
 *        and kana character, every Thai, Lao, Khmer and Myanmar base, each with its marks; every
 *        pictograph with what belongs to it (marks, skin tone, what a joiner joins; two regional
 *        indicators are one flag). Everything else separates.
 *   't'  the same, and every punctuation or symbol character is a unit.
 *   'c'  every code point; white space is one space. */

#define SL_UNITS_DIGITS 256 /* units of which `digits` tells                      */
#define SL_UNITS_CHUNK  512 /* spans found before they are hashed */

typedef struct sl_units {
    uint64_t *hash; /* of each unit, in order */
    size_t n, capacity;
    bool keep_spans; /* set by the caller, before the first text: where each unit is, in bytes */
    uint32_t *span_begin, *span_end;
    uint64_t digits[SL_UNITS_DIGITS / 64 + 2]; /* bit a unit: begins with 0-9; then scratch    */
    uint32_t n_begun, n_ended; /* spans of the chunk: begun - ended is 1 inside a unit, else 0 */
    uint32_t begin[SL_UNITS_CHUNK + 160], end[SL_UNITS_CHUNK + 160]; /* bytes of the text      */
} sl_units;

void sl_units_fini(sl_units *units); /* zeros are empty ones */

/* sl_units_make - hashes of the units of a normalized text, seeded.
 *
 * normal   Borrows. What sl_normalize gives: well-formed, with slack behind it.
 * units    Out: hash[0..n).
 * Returns  NOMEM.
 * Cost     One pass. Threads: pure. */
SLUICE_MUST_USE sluice_status sl_units_make(const sl_unicode *unicode, const sl_normal *normal,
                                            char unit, uint64_t seed, sl_kernel kernel,
                                            sl_units *units);

#endif
