/* unicode.h - what normalizing and cutting into units need to know of one code point. */
#ifndef SL_UNICODE_H
#define SL_UNICODE_H

#include "status.h"

#include <stdbool.h>
#include <stdint.h>

/* How a code point takes part in units; units.c says what each does. */
typedef enum sl_class {
    SL_CLASS_OTHER,  /* controls, formats, unassigned, private use: separate, never a unit  */
    SL_CLASS_SPACE,  /* White_Space  */
    SL_CLASS_PUNCT,  /* P* but '_', S* but pictographs  */
    SL_CLASS_LETTER, /* L* but those below, '_' */
    SL_CLASS_DIGIT, /* N* but those below                                                         */
    SL_CLASS_HANGUL, /* L* of Korean */
    SL_CLASS_MARK,  /* M*                                                                         */
    SL_CLASS_HAN,   /* L* and N* of Han and Bopomofo                                              */
    SL_CLASS_KANA,  /* L* of Hiragana and Katakana                                                */
    SL_CLASS_SEA,   /* L* and N* of Thai, Lao, Khmer, Myanmar                                     */
    SL_CLASS_PICTO, /* Extended_Pictographic                                                      */
    SL_CLASS_MODIFIER, /* skin tones */
    SL_CLASS_REGIONAL, /* regional indicators: two make a flag */
    SL_CLASS_ZWJ,
    SL_CLASS_TAG, /* tag characters of subdivision flags */
    SL_N_CLASSES
} sl_class;

/* An entry: the class, how to normalize, and the code point it becomes. */
#define SL_ENTRY_MAPPED      0x1fffffu /* SIMPLE only */
#define SL_ENTRY_CJK         0x200000u /* for sl_counts: ideographs and kana, by range */
#define SL_ENTRY_SEA         0x400000u
#define SL_ENTRY_CLASS_SHIFT 24
#define SL_ENTRY_FOLDS       0x10000000u /* Traditional Chinese: sl_fold_character changes it */
#define SL_ENTRY_SPECIAL     0x20000000u /* becomes several, or its order matters: slow path */
#define SL_ENTRY_CONTINUE    0x40000000u /* may reorder or compose with what is before: slow path */

/* An entry in one byte. */
#define SL_BRIEF_CLASS 0x0f
#define SL_BRIEF_FOLDS 0x10
#define SL_BRIEF_CJK   0x20
#define SL_BRIEF_SEA   0x40
#define SL_BRIEF_SAME  0x80 /* stands for itself, and is not white space */

/* What is counted of ASCII, as bits. */
#define SL_ASCII_SPACE   1
#define SL_ASCII_PUNCT   2
#define SL_ASCII_WORD    4 /* letters, digits, '_' */
#define SL_ASCII_DIGIT   8
#define SL_ASCII_BRACKET 16  /* ( ) [ ] { } */
#define SL_ASCII_BINDER  32  /* { } ; =     */
#define SL_ASCII_ANGLE   64  /* < >         */
#define SL_ASCII_FIELD   128 /* | TAB       */

#define SL_UNICODE_PLANE    0x10000u
#define SL_UNICODE_PICTO    0x1f000u /* entries 0x10000.. are these 4,096 */
#define SL_UNICODE_ENTRIES  0x11000u
#define SL_UNICODE_SECONDS  0x20000u
#define SL_UNICODE_EXPANDED 32 /* code points that one may become; the longest makes 18 */

typedef struct sl_unicode {
    uint32_t entry[SL_UNICODE_ENTRIES];
    uint64_t second[SL_UNICODE_SECONDS / 64]; /* bit: composes with a starter before it */
    uint8_t brief[SL_UNICODE_PLANE];          /* the same, SL_BRIEF_ bits: fewer cache lines   */
    uint8_t ascii[128];       /* SL_ASCII_ bits, for kernels that look 64 bytes up at once    */
    uint8_t ascii_steps[128]; /* the same, each less what is 16 before: ascii_avx2.h             */
} sl_unicode;

SLUICE_MUST_USE sluice_status sl_unicode_open(sl_unicode **out); /* Gives *out; some ms, 360 KB */
void sl_unicode_close(sl_unicode **unicode_p);                   /* Takes; NULL ok              */

/* The entry of any scalar value, by computation; the table holds the same. */
uint32_t sl_unicode_compute(const sl_unicode *unicode, uint32_t code_point);

static inline uint32_t sl_unicode_entry(const sl_unicode *unicode, uint32_t code_point)
{
    if (code_point < SL_UNICODE_PLANE) {
        return unicode->entry[code_point];
    }
    if (code_point - SL_UNICODE_PICTO < SL_UNICODE_ENTRIES - SL_UNICODE_PLANE) {
        return unicode->entry[SL_UNICODE_PLANE + code_point - SL_UNICODE_PICTO];
    }
    return sl_unicode_compute(unicode, code_point);
}

uint8_t sl_entry_brief(uint32_t entry, uint32_t code_point);

static inline sl_class sl_unicode_class(const sl_unicode *unicode, uint32_t code_point)
{
    if (code_point < SL_UNICODE_PLANE) {
        return (sl_class)(unicode->brief[code_point] & SL_BRIEF_CLASS);
    }
    return (sl_class)(sl_unicode_entry(unicode, code_point) >> SL_ENTRY_CLASS_SHIFT & 15);
}

static inline sl_class sl_entry_class(uint32_t entry)
{
    return (sl_class)(entry >> SL_ENTRY_CLASS_SHIFT & 15);
}

static inline bool sl_entry_simple(uint32_t entry)
{
    return (entry & (SL_ENTRY_SPECIAL | SL_ENTRY_CONTINUE)) == 0;
}

/* Compatibility decomposition with full case folding, one code point: at most
 * SL_UNICODE_EXPANDED. */
uint32_t sl_unicode_decompose(uint32_t code_point, int32_t *out);

/* Canonical order, then composition, in place; returns the new count. `order` has room for n. */
uint32_t sl_unicode_compose(int32_t *code_point, int32_t *order, uint32_t n);

#endif
