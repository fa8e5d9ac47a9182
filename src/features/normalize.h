/* normalize.h - turns UTF-8 into the text that is compared. */
#ifndef SL_NORMALIZE_H
#define SL_NORMALIZE_H

#include "sluice/sample.h"
#include "features/kernel.h"
#include "features/unicode.h"

#define SL_NORMAL_SLACK_BYTES 128 /* zeros after the text: kernels may read whole vectors */
#define SL_LIMIT_NORMAL_BYTES (2 * (size_t)SLUICE_LIMIT_TEXT_BYTES)

/* Counts over the normalized text before white space is folded: what `auto` goes by. */
typedef struct sl_counts {
    uint32_t n_class[SL_N_CLASSES]; /* code points by class                                     */
    uint32_t cjk, sea; /* SL_ENTRY_CJK, SL_ENTRY_SEA                                            */
    uint32_t blanks;   /* space, TAB, LF, CR                                                    */
    uint32_t lines;    /* between LFs, with anything but white space                            */
    uint32_t digits, brackets, binders, angles, fields; /* SL_ASCII_ bits                       */
    uint32_t commas; /* tight: before something, which is not white space; but 1,000           */
} sl_counts;

/* A normalized text: kept from call to call, so that its memory is reused. */
typedef struct sl_normal {
    uint8_t *data; /* size bytes of UTF-8, then SL_NORMAL_SLACK_BYTES zeros             */
    size_t size, capacity;
    sl_counts counts;
    uint32_t seen;    /* SL_ENTRY_ bits of any code point: FOLDS counts                       */
    int32_t *segment; /* scratch of the slow path: two halves of segment_capacity             */
    size_t segment_capacity;
} sl_normal;

void sl_normal_fini(sl_normal *normal); /* zeros are an empty one */

/* sl_normalize - NFKC with full case folding, runs of white space as one space, trimmed.
 *
 * text     Borrows.
 * counting Whether normal->counts is wanted; else it is undefined.
 * normal   Out. Undefined but reusable on error.
 * Returns  BADSAMPLE: not UTF-8. TOOBIG: the result would pass SL_LIMIT_NORMAL_BYTES (compatibility
 *          characters may become 11 times their size). NOMEM.
 * Cost     One pass. ASCII 64 bytes at a time under AVX512 and AVX2, others one look-up a code
 *          point.
 * Threads  Pure. */
SLUICE_MUST_USE sluice_status sl_normalize(const sl_unicode *unicode, sluice_span text,
                                           bool counting, sl_kernel kernel, sl_normal *normal);

/* Makes room for `size` bytes and the slack; keeps the first normal->size bytes. */
SLUICE_MUST_USE sluice_status sl_normal_reserve(sl_normal *normal, size_t size);

#endif
