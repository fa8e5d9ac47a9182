/* search.h - finds what the log says of one id, a slice at a time. */
#ifndef SL_SEARCH_H
#define SL_SEARCH_H

#include "spool/spool.h"

#define SL_SEARCH_FOUND      32  /* records that are given: the newest    */
#define SL_SEARCH_DEPENDENTS 100 /* dependents that are given: the newest */

typedef struct sl_search sl_search; /* one thread; the log may grow meanwhile, which is not seen */

typedef enum sl_search_for {
    SL_SEARCH_RECORDS,     /* all that the log and the dead letters say of the id           */
    SL_SEARCH_REPRESENTED, /* what was dropped in favour of it, and what of that is restored */
    SL_SEARCH_RESTORED     /* where the sample that was dropped at `offset` is kept now      */
} sl_search_for;

/* sl_search_open - begins a search; its steps read the log.
 *
 * spool    Borrows, until close; read only.
 * id       Copied; of at most SLUICE_LIMIT_ID_BYTES.
 * offset   RESTORED: that of the drop; else not looked at.
 * out      Gives.
 * Returns  NOMEM. */
SLUICE_MUST_USE sluice_status sl_search_open(sl_spool *spool, sl_search_for what, const char *id,
                                             uint64_t offset, sl_search **out);
void sl_search_close(sl_search **search_p); /* Takes; NULL ok */

/* Looks on for about `budget_us`; true once there is nothing left to look at. */
bool sl_search_step(sl_search *search, int64_t budget_us);

bool sl_search_is_for_records(const sl_search *search);

/* RESTORED, once there is nothing left: whether it was, and where it is now. IO: the log could not
 * be read to its end, so nobody knows. */
SLUICE_MUST_USE sluice_status sl_search_restored(const sl_search *search, bool *restored,
                                                 uint64_t *at);

/* sl_search_write - appends what was found, oldest first:
 *
 *     {"id", "complete", "found", "records": [as `sluice explain --json` has them]}
 *     {"id", "complete", "found", "dependents": [as `sluice state dependents --json`]} REPRESENTED
 *
 * complete: the search came to its end without an error.
 * n_found  Out: how many there are, of which the newest are given.
 * Returns  NOMEM. */
SLUICE_MUST_USE sluice_status sl_search_write(const sl_search *search, sluice_bytes *out,
                                              uint32_t *n_found);

#endif
