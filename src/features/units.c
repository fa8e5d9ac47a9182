/* units.c - cuts normalized text into units and hashes each.
 *
 *   text      w o r d ,   w o r 字 字                    64 bytes at a time
 *   run       1 1 1 1 0 0 1 1 1 0 0                     bytes of words
 *   single    . . . . t . . . . 1 1                     bytes of characters that are units alone
 *   begin     ^         . ^     ^ ^                     positions, one list each: the k-th begin
 *   end               ^         ^ ^ ^                   belongs to the k-th end
 *
 * Why masks: a word's borders are then shifts and ands of 64 bytes, and the inner loop knows no
 * branch that depends on a word's length. A byte above 127 costs one look-up for its character.
 * Why a careful path beside it: marks, joiners and flags attach to what is before them. It takes
 * over from the first such block and gives back at the next ASCII byte, which attaches to nothing.
 * Why hashing is a loop of its own over a chunk of spans: it overlaps the latency of its
 * multiplications across units.
 * Source: Unicode Standard Annex 29 for what belongs together. */
#include "features/units.h"
#include "features/ascii_avx2.h"
#include "features/utf8.h"

#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* What the open unit is, for the next character to join or not. */
typedef enum open_kind {
    OPEN_NONE,
    OPEN_WORD,
    OPEN_SINGLE, /* takes marks only */
    OPEN_PICTO,  /* takes marks, tones, tags, joiners */
    OPEN_JOINED, /* a pictograph and a joiner: takes another pictograph */
    OPEN_FLAG,   /* one regional indicator: takes another */
    OPEN_PUNCT   /* takes nothing */
} open_kind;

typedef struct unit_cutter {
    const sl_unicode *unicode;
    const uint8_t *text;
    uint32_t at, size; /* bytes */
    bool punct;        /* unit 't' */
    uint64_t key[2];
    sl_units *units;
} unit_cutter;

void sl_units_fini(sl_units *units)
{
    free(units->hash);
    free(units->span_begin);
    free(units->span_end);
    units->hash = NULL;
    units->span_begin = units->span_end = NULL;
    units->n = 0;
    units->capacity = 0;
}

static sluice_status reserve(sl_units *units, size_t extra)
{
    if (units->n + extra <= units->capacity) {
        return SLUICE_OK;
    }
    size_t capacity = units->n + extra + units->capacity / 2 + 1024;
    uint64_t *hash = realloc(units->hash, capacity * sizeof *hash);
    if (hash == NULL) {
        return SLUICE_E_NOMEM;
    }
    units->hash = hash;
    if (units->keep_spans) {
        uint32_t *begin = realloc(units->span_begin, capacity * sizeof *begin);
        units->span_begin = begin != NULL ? begin : units->span_begin;
        uint32_t *end = realloc(units->span_end, capacity * sizeof *end);
        units->span_end = end != NULL ? end : units->span_end;
        if (begin == NULL || end == NULL) {
            return SLUICE_E_NOMEM;
        }
    }
    units->capacity = capacity;
    return SLUICE_OK;
}

/* The units from number `at` on begin with a digit where the bits say so: at most 64 of them. */
static inline void note_digits(sl_units *units, size_t at, uint64_t bits)
{
    if (at < SL_UNITS_DIGITS) {
        units->digits[at / 64] |= bits << at % 64;
        units->digits[at / 64 + 1] |= bits >> 1 >> (63 - at % 64);
    }
}

/* ---- hashing ------------------------------------------------------------------------------- */

static inline uint64_t multiply_fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t load_u64(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

/* Masks of the first 0..8 bytes. */
static const uint64_t first_bytes[9] = {0,
                                        0xff,
                                        0xffff,
                                        0xffffff,
                                        0xffffffff,
                                        0xffffffffff,
                                        0xffffffffffff,
                                        0xffffffffffffff,
                                        0xffffffffffffffff};

/* Reads up to 15 bytes past the end, which the slack allows. */
static inline uint64_t hash_bytes(const uint8_t *at, size_t size, const uint64_t key[2])
{
    uint64_t hash = key[0];
    while (size > 16) {
        hash = multiply_fold(load_u64(at) ^ hash, load_u64(at + 8) ^ key[1]);
        at += 16;
        size -= 16;
    }
    uint64_t low = load_u64(at) & first_bytes[size < 8 ? size : 8];
    uint64_t high = load_u64(at + 8) & first_bytes[size > 8 ? size - 8 : 0];
    return multiply_fold(low ^ hash, high ^ key[1]);
}

/* Hashes the ended spans of the chunk; an open one moves to its front. */
static sluice_status flush(unit_cutter *cutter)
{
    sl_units *units = cutter->units;
    if (units->n_ended == 0) {
        return SLUICE_OK;
    }
    SLUICE_TRY(reserve(units, units->n_ended));
    uint64_t *hash = units->hash + units->n;
    const uint64_t key[2] = {cutter->key[0], cutter->key[1]};
    for (uint32_t i = 0; i < units->n_ended; i++) {
        uint32_t begin = units->begin[i];
        hash[i] = hash_bytes(cutter->text + begin, units->end[i] - begin, key);
    }
    if (units->keep_spans) {
        memcpy(units->span_begin + units->n, units->begin, sizeof *units->begin * units->n_ended);
        memcpy(units->span_end + units->n, units->end, sizeof *units->end * units->n_ended);
    }
    units->n += units->n_ended;
    units->begin[0] = units->begin[units->n_ended];
    units->n_begun -= units->n_ended;
    units->n_ended = 0;
    return SLUICE_OK;
}

/* ---- the careful path: one character at a time ---------------------------------------------- */

static void close_unit(unit_cutter *cutter)
{
    sl_units *units = cutter->units;
    if (units->n_begun > units->n_ended) {
        units->end[units->n_ended++] = cutter->at;
    }
}

static open_kind begin_unit(unit_cutter *cutter, open_kind kind)
{
    close_unit(cutter);
    sl_units *units = cutter->units;
    note_digits(units, units->n + units->n_begun, (uint8_t)(cutter->text[cutter->at] - '0') < 10);
    cutter->units->begin[cutter->units->n_begun++] = cutter->at;
    return kind;
}

/* What is open after the character at the cursor, `open` being what was. */
static open_kind step(unit_cutter *cutter, open_kind open, sl_class class)
{
    switch (class) {
    case SL_CLASS_LETTER:
    case SL_CLASS_DIGIT:
    case SL_CLASS_HANGUL:
        return open == OPEN_WORD ? OPEN_WORD : begin_unit(cutter, OPEN_WORD);
    case SL_CLASS_MARK:
        if (open == OPEN_NONE || open == OPEN_PUNCT) {
            return begin_unit(cutter, OPEN_WORD);
        }
        return open == OPEN_JOINED || open == OPEN_FLAG ? OPEN_PICTO : open;
    case SL_CLASS_HAN:
    case SL_CLASS_KANA:
    case SL_CLASS_SEA:
        return begin_unit(cutter, OPEN_SINGLE);
    case SL_CLASS_PICTO:
        return open == OPEN_JOINED ? OPEN_PICTO : begin_unit(cutter, OPEN_PICTO);
    case SL_CLASS_MODIFIER:
        return open == OPEN_PICTO ? OPEN_PICTO : begin_unit(cutter, OPEN_PICTO);
    case SL_CLASS_REGIONAL:
        return open == OPEN_FLAG ? OPEN_PICTO : begin_unit(cutter, OPEN_FLAG);
    case SL_CLASS_ZWJ:
        if (open == OPEN_PICTO) {
            return OPEN_JOINED;
        }
        break;
    case SL_CLASS_TAG:
        if (open == OPEN_PICTO) {
            return OPEN_PICTO;
        }
        break;
    case SL_CLASS_PUNCT:
        if (cutter->punct) {
            return begin_unit(cutter, OPEN_PUNCT);
        }
        break;
    case SL_CLASS_OTHER:
    case SL_CLASS_SPACE:
    case SL_N_CLASSES:
        break;
    }
    close_unit(cutter);
    return OPEN_NONE;
}

#if defined(__x86_64__)
/* What kind of unit is open behind a block of the fast path: it only leaves the simple ones. */
static open_kind kind_before(const unit_cutter *cutter)
{
    if (cutter->units->n_begun == cutter->units->n_ended) {
        return OPEN_NONE;
    }
    size_t size = 0;
    uint32_t code_point = sl_utf8_next(sl_utf8_before(cutter->text + cutter->at), &size);
    switch (sl_unicode_class(cutter->unicode, code_point)) {
    case SL_CLASS_HAN:
    case SL_CLASS_KANA:
    case SL_CLASS_SEA:
        return OPEN_SINGLE;
    case SL_CLASS_PICTO:
        return OPEN_PICTO;
    case SL_CLASS_PUNCT:
        return OPEN_PUNCT;
    default:
        return OPEN_WORD;
    }
}
#endif

/* Goes on to the first ASCII byte from `until` on, or to the end of the text. `open_p` is what is
 * open there. */
static sluice_status cut_carefully(unit_cutter *cutter, uint32_t until, open_kind *open_p)
{
    open_kind open = *open_p;
    while (cutter->at < cutter->size) {
        size_t size = 0;
        uint32_t code_point = sl_utf8_next(cutter->text + cutter->at, &size);
        if (cutter->at >= until && code_point < 0x80) {
            break;
        }
        open = step(cutter, open, sl_unicode_class(cutter->unicode, code_point));
        cutter->at += (uint32_t)size;
        if (cutter->units->n_ended >= SL_UNITS_CHUNK) {
            SLUICE_TRY(flush(cutter));
        }
    }
    *open_p = open;
    return SLUICE_OK;
}

/* ---- the fast path -------------------------------------------------------------------------- */

#if defined(__x86_64__)
typedef struct byte_block {
    uint64_t run, single, first; /* bytes of words, of singles, first bytes of singles */
    uint32_t n;                  /* bytes that count */
} byte_block;

/* Puts the characters above ASCII of the block into its masks. Cuts the block before a character
 * that is not all inside. False if one may attach to what is before it. */
static bool add_wide(const unit_cutter *cutter, uint64_t lead, byte_block *block)
{
    for (; lead != 0; lead &= lead - 1) {
        uint32_t i = (uint32_t)__builtin_ctzll(lead);
        size_t size = 0;
        uint32_t code_point = sl_utf8_next(cutter->text + cutter->at + i, &size);
        if (i + size > block->n) {
            block->n = i;
            return true;
        }
        uint64_t bytes = ((UINT64_C(1) << size) - 1) << i;
        switch (sl_unicode_class(cutter->unicode, code_point)) {
        case SL_CLASS_LETTER:
        case SL_CLASS_DIGIT:
        case SL_CLASS_HANGUL:
            block->run |= bytes;
            break;
        case SL_CLASS_PUNCT:
            if (!cutter->punct) {
                break;
            }
            /* fall through */
        case SL_CLASS_HAN:
        case SL_CLASS_KANA:
        case SL_CLASS_SEA:
        case SL_CLASS_PICTO:
            block->single |= bytes;
            block->first |= UINT64_C(1) << i;
            break;
        case SL_CLASS_OTHER:
        case SL_CLASS_SPACE:
        case SL_N_CLASSES:
            break;
        case SL_CLASS_MARK:
        case SL_CLASS_MODIFIER:
        case SL_CLASS_REGIONAL:
        case SL_CLASS_ZWJ:
        case SL_CLASS_TAG:
            return false;
        }
    }
    return true;
}

/* What is known of 64 bytes by looking at each alone: which are above ASCII, which of these begin a
 * character, which of the others are what. */
typedef struct byte_masks {
    uint64_t wide, lead, word, punct, digit;
} byte_masks;

typedef struct fast_path {
    uint64_t was_run, was_single; /* of the byte before the block, in bit 0 */
    open_kind careful_left;       /* open where the careful path stopped ... */
    uint32_t careful_until;       /* ... and where that was                   */
} fast_path;

typedef struct unit_borders {
    uint64_t begin, end;
    uint32_t n; /* bytes; 0: the careful path took over, and the cursor is behind it */
} unit_borders;

__attribute__((always_inline)) static inline sluice_status
find_borders(unit_cutter *cutter, fast_path *path, const byte_masks *masks, unit_borders *out)
{
    uint32_t left = cutter->size - cutter->at;
    byte_block block = {.n = left < 64 ? left : 64};
    block.run = masks->word & ~masks->wide;
    block.single = cutter->punct ? masks->punct & ~masks->wide : 0;
    block.first = block.single;
    out->n = 0;
    if (masks->wide != 0 && !add_wide(cutter, masks->lead, &block)) {
        open_kind open =
            cutter->at == path->careful_until ? path->careful_left : kind_before(cutter);
        SLUICE_TRY(cut_carefully(cutter, cutter->at + 64, &open));
        *path = (fast_path){.was_run = open == OPEN_WORD,
                            .was_single = open != OPEN_WORD && open != OPEN_NONE,
                            .careful_left = open,
                            .careful_until = cutter->at};
        return SLUICE_OK;
    }
    uint64_t inside = block.n == 64 ? ~UINT64_C(0) : (UINT64_C(1) << block.n) - 1;
    uint64_t before_run = block.run << 1 | path->was_run;
    uint64_t before_single = block.single << 1 | path->was_single;
    out->begin = ((block.run & ~before_run) | block.first) & inside;
    out->end =
        ((before_run & ~block.run) | (before_single & (block.first | ~block.single))) & inside;
    path->was_run = block.run >> (block.n - 1) & 1;
    path->was_single = block.single >> (block.n - 1) & 1;
    out->n = block.n;
    return SLUICE_OK;
}

/* Appends base + position of every bit. */
SL_TARGET_AVX512 static inline uint32_t put_positions(uint32_t *out, uint32_t n, uint64_t bits,
                                                      uint32_t base, __m512i iota)
{
    __m512i position = _mm512_maskz_compress_epi8(bits, iota);
    uint32_t count = (uint32_t)__builtin_popcountll(bits);
    for (uint32_t done = 0; done < count; done += 16) {
        __m512i wide = _mm512_cvtepu8_epi32(_mm512_castsi512_si128(position));
        _mm512_storeu_si512(out + n + done, _mm512_add_epi32(wide, _mm512_set1_epi32((int)base)));
        position = _mm512_shuffle_i64x2(position, position, 0x39); /* next 16 bytes to the front */
    }
    return n + count;
}

SL_TARGET_AVX512 static sluice_status cut_avx512(unit_cutter *cutter)
{
    sl_units *units = cutter->units;
    static const uint8_t numbers[64] = {
        0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
        22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43,
        44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};
    const __m512i iota = _mm512_loadu_si512(numbers);
    const __m512i ascii0 = _mm512_loadu_si512(cutter->unicode->ascii);
    const __m512i ascii1 = _mm512_loadu_si512(cutter->unicode->ascii + 64);
    fast_path path = {.careful_left = OPEN_NONE};
    while (cutter->at < cutter->size) {
        __m512i v = _mm512_loadu_si512(cutter->text + cutter->at);
        __m512i kinds = _mm512_permutex2var_epi8(ascii0, v, ascii1);
        byte_masks masks = {.wide = _mm512_movepi8_mask(v),
                            .lead = _mm512_cmpge_epu8_mask(v, _mm512_set1_epi8((char)0xc0)),
                            .word = _mm512_test_epi8_mask(kinds, _mm512_set1_epi8(SL_ASCII_WORD)),
                            .punct = _mm512_test_epi8_mask(kinds, _mm512_set1_epi8(SL_ASCII_PUNCT)),
                            .digit =
                                _mm512_test_epi8_mask(kinds, _mm512_set1_epi8(SL_ASCII_DIGIT))};
        unit_borders found;
        SLUICE_TRY(find_borders(cutter, &path, &masks, &found));
        if (found.n == 0) {
            continue;
        }
        note_digits(units, units->n + units->n_begun,
                    _pext_u64(masks.digit & ~masks.wide, found.begin));
        units->n_begun = put_positions(units->begin, units->n_begun, found.begin, cutter->at, iota);
        units->n_ended = put_positions(units->end, units->n_ended, found.end, cutter->at, iota);
        cutter->at += found.n;
        if (units->n_ended >= SL_UNITS_CHUNK) {
            SLUICE_TRY(flush(cutter));
        }
    }
    return SLUICE_OK;
}

/* The same, eight at a time whether there are so many or not: few blocks have more than sixteen. */
SL_TARGET_AVX2 static inline uint32_t list_positions(uint32_t *out, uint32_t n, uint64_t bits,
                                                     uint32_t base)
{
    uint32_t count = (uint32_t)__builtin_popcountll(bits);
    for (uint32_t done = 0; done < count; done += 8) {
        for (uint32_t i = 0; i < 8; i++) {
            out[n + done + i] = base + (uint32_t)_tzcnt_u64(bits);
            bits = _blsr_u64(bits);
        }
    }
    return n + count;
}

SL_TARGET_AVX2 static sluice_status cut_avx2(unit_cutter *cutter)
{
    sl_units *units = cutter->units;
    fast_path path = {.careful_left = OPEN_NONE};
    while (cutter->at < cutter->size) {
        sl_bytes64 v = sl_bytes64_load(cutter->text + cutter->at);
        sl_bytes64 kinds = sl_bytes64_look_up(v, cutter->unicode->ascii_steps);
        byte_masks masks = {.wide = sl_bytes64_high(v),
                            .lead = sl_bytes64_high(v) & sl_bytes64_test(v, 0x40),
                            .word = sl_bytes64_test(kinds, SL_ASCII_WORD),
                            .punct = sl_bytes64_test(kinds, SL_ASCII_PUNCT),
                            .digit = sl_bytes64_test(kinds, SL_ASCII_DIGIT)};
        unit_borders found;
        SLUICE_TRY(find_borders(cutter, &path, &masks, &found));
        if (found.n == 0) {
            continue;
        }
        size_t n_units = units->n + units->n_begun;
        if (n_units < SL_UNITS_DIGITS) { /* pext is slow before Zen 3 */
            note_digits(units, n_units, _pext_u64(masks.digit & ~masks.wide, found.begin));
        }
        units->n_begun = list_positions(units->begin, units->n_begun, found.begin, cutter->at);
        units->n_ended = list_positions(units->end, units->n_ended, found.end, cutter->at);
        cutter->at += found.n;
        if (units->n_ended >= SL_UNITS_CHUNK) {
            SLUICE_TRY(flush(cutter));
        }
    }
    return SLUICE_OK;
}
#endif

/* ---- the whole ------------------------------------------------------------------------------ */

static sluice_status hash_characters(unit_cutter *cutter)
{
    sl_units *units = cutter->units;
    SLUICE_TRY(reserve(units, cutter->size));
    while (cutter->at < cutter->size) {
        size_t size = 0;
        uint64_t code_point = sl_utf8_next(cutter->text + cutter->at, &size);
        note_digits(units, units->n, code_point - '0' < 10);
        units->hash[units->n++] = multiply_fold(code_point ^ cutter->key[0], cutter->key[1]);
        cutter->at += (uint32_t)size;
    }
    return SLUICE_OK;
}

sluice_status sl_units_make(const sl_unicode *unicode, const sl_normal *normal, char unit,
                            uint64_t seed, sl_kernel kernel, sl_units *units)
{
    SLUICE_DCHECK(unit == 'w' || unit == 't' || unit == 'c');
    units->n = 0;
    units->n_begun = 0;
    units->n_ended = 0;
    memset(units->digits, 0, sizeof units->digits);
    unit_cutter cutter = {.unicode = unicode,
                          .text = normal->data,
                          .size = (uint32_t)normal->size,
                          .punct = unit == 't',
                          .units = units};
    cutter.key[0] =
        multiply_fold(seed ^ UINT64_C(0x3c6ef372fe94f82b), UINT64_C(0xa54ff53a5f1d36f1));
    cutter.key[1] =
        multiply_fold(seed ^ UINT64_C(0x510e527fade682d1), UINT64_C(0x9b05688c2b3e6c1f));
    if (unit == 'c') {
        return hash_characters(&cutter);
    }
#if defined(__x86_64__)
    if (kernel == SL_KERNEL_AVX512) {
        SLUICE_TRY(cut_avx512(&cutter));
    } else if (kernel == SL_KERNEL_AVX2) {
        SLUICE_TRY(cut_avx2(&cutter));
    }
#endif
    (void)kernel;
    open_kind open = OPEN_NONE; /* the fast path leaves nothing to cut */
    SLUICE_TRY(cut_carefully(&cutter, cutter.size, &open));
    close_unit(&cutter);
    return flush(&cutter);
}
