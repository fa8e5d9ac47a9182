/* recent.h - follows the log: the newest verdicts with their numbers, and the live tap. */
#ifndef SL_RECENT_H
#define SL_RECENT_H

#include "spool/spool.h"
#include "watch/observer.h"
#include "watch/tap.h"

#define SL_RECENT_MAX     2048 /* verdicts that are remembered */
#define SL_RECENT_COLUMNS 5    /* numbers of one beside toward */

typedef struct sl_recent_row {
    uint64_t offset;
    sluice_decision decision;
    sluice_method method;
    float similarity; /* NAN: no duplicate */
    float self, leverage, source_shift, loss;
    float toward[SLUICE_LIMIT_REFERENCES]; /* by sl_recent_set; NAN: none */
} sl_recent_row;

typedef struct sl_recent sl_recent;

/* Borrows spool and tap. Begins at the end of the log. */
SLUICE_MUST_USE sluice_status sl_recent_open(sl_spool *spool, sl_tap *tap, sl_recent **out);
void sl_recent_close(sl_recent **recent_p);

/* Reads on from where it was: a bounded number of records for a bounded time; what is left is
 * skipped, which the tap counts, so that a look at the stream costs the same whatever its speed. */
void sl_recent_advance(sl_recent *recent, const sl_tallies *tallies, int64_t now_us);

uint32_t sl_recent_n(const sl_recent *recent);
const sl_recent_row *sl_recent_row_at(const sl_recent *recent, uint32_t i); /* 0: the newest */

/* Name of the reference set whose scores are toward[i] of every row; "": of none. */
const char *sl_recent_set(const sl_recent *recent, uint32_t i);

#endif
