/* trace.h - sixteen bytes of a text that tell in what it differs from one much alike. */
#ifndef SL_TRACE_H
#define SL_TRACE_H

#include "status.h"
#include "sluice/sample.h"
#include "features/units.h"
#include "features/word_list.h"

#define SL_TRACE_UNITS_MAX SL_UNITS_DIGITS /* longer texts have no trace: all zeros */

/* The words of number and of order that a trace goes by. Gives *out. */
SLUICE_MUST_USE sluice_status sl_trace_open(const sl_unicode *unicode, uint64_t seed,
                                            sl_word_list **out);

/* sl_trace_make - the trace of a text cut into units.
 *
 * units    Borrows: hash[0..n) of the units themselves, not of shingles.
 * out      A pure function of the units and the seed. Cost: one pass. Threads: pure. */
void sl_trace_make(const sl_word_list *list, const sl_units *units, sl_kernel kernel,
                   uint8_t out[SLUICE_TRACE_BYTES]);

/* sl_trace_compare - in what two texts differ, by their traces.
 *
 * Returns  NUMBERS: the same words but for units that begin with a digit, and words of number and
 *          order of several languages. SLOT: the same but for one run of units no longer than a
 *          sixth of the text. NONE: neither, nothing, or it cannot be told: a text without a trace,
 *          or texts of lengths that are cut up differently. SLOT may be wrong (two differences
 *          that lie close together, or one in 15), NUMBERS hardly (1 of 2^20). */
sluice_differs sl_trace_compare(const uint8_t *a, const uint8_t *b);

#endif
