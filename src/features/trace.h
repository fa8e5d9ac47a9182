/* trace.h - sixteen bytes of a text that tell in what it differs from another that is much alike.
 */
#ifndef SL_TRACE_H
#define SL_TRACE_H

#include "status.h"
#include "sluice/sample.h"
#include "features/units.h"

#define SL_TRACE_UNITS_MAX SL_UNITS_DIGITS /* longer texts have no trace: all zeros */

typedef struct sl_trace sl_trace; /* the number words of one seed; read only once open */

SLUICE_MUST_USE sluice_status sl_trace_open(const sl_unicode *unicode, uint64_t seed,
                                            sl_trace **out); /* Gives *out */
void sl_trace_close(sl_trace **trace_p);                     /* Takes; NULL ok */

/* sl_trace_make - the trace of a text cut into units.
 *
 * units    Borrows: hash[0..n) of the units themselves, not of shingles.
 * out      A pure function of the units and the seed. Cost: one pass. Threads: pure. */
void sl_trace_make(const sl_trace *trace, const sl_units *units, uint8_t out[SLUICE_TRACE_BYTES]);

/* sl_trace_compare - in what two texts differ, by their traces.
 *
 * Returns  NUMBERS: the same words but for units that begin with a digit, and words of number and
 *          order of several languages. SLOT: the same but for one run of units no longer than a
 *          sixth of the text. NONE: neither, nothing, or it cannot be told: a text without a trace,
 *          or texts of lengths that are cut up differently. A wrong SLOT is possible (1 of 15 a
 *          difference), a wrong NUMBERS is not worth mentioning (1 of 2^24). */
sluice_differs sl_trace_compare(const uint8_t *a, const uint8_t *b);

#endif
