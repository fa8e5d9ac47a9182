/* verdicts.h - the verdicts of remembered rows, each different one once. */
#ifndef SL_VERDICTS_H
#define SL_VERDICTS_H

#include "status.h"
#include "sluice/sample.h"

#define SL_VERDICTS_MAX 4096 /* 12 bits of a row */

typedef struct sl_verdicts sl_verdicts; /* opaque; one writer */

/* Never takes more than memory_bytes, but for a few dozen; they become real as verdicts come. */
SLUICE_MUST_USE sluice_status sl_verdicts_open(size_t memory_bytes, sl_verdicts **out);
void sl_verdicts_close(sl_verdicts **verdicts_p); /* NULL is fine */

/* sl_verdicts_enter - the number of a verdict; 0 is "kept, weight 1, no reason".
 * Cannot fail: beyond SL_VERDICTS_MAX different ones, and beyond the memory, only the decision is
 * remembered. */
uint16_t sl_verdicts_enter(sl_verdicts *verdicts, const sluice_verdict *verdict);

/* Lends the verdict of a number until close. */
const sluice_verdict *sl_verdicts_at(const sl_verdicts *verdicts, uint16_t number);

#endif
