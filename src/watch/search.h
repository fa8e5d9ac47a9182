/* search.h - finds what the log says of one id, a slice at a time. */
#ifndef SL_SEARCH_H
#define SL_SEARCH_H

#include "spool/spool.h"

#define SL_SEARCH_FOUND      32  /* the newest records that are given */
#define SL_SEARCH_DEPENDENTS 100 /* the newest of them that are given */

typedef struct sl_search sl_search;

typedef enum sl_search_for {
    SL_SEARCH_RECORDS,     /* all that the log and the dead letters say of the id           */
    SL_SEARCH_REPRESENTED, /* what was dropped in favour of it, and what of that is restored */
    SL_SEARCH_RESTORED     /* where the sample that was dropped at `offset` is kept now      */
} sl_search_for;

/* Borrows spool; copies id. offset is for RESTORED. */
SLUICE_MUST_USE sluice_status sl_search_open(sl_spool *spool, sl_search_for what, const char *id,
                                             uint64_t offset, sl_search **out);
void sl_search_close(sl_search **search_p);

/* Looks on for about `budget_us`; true once there is nothing left to look at. */
bool sl_search_step(sl_search *search, int64_t budget_us);

bool sl_search_is_for_records(const sl_search *search);

/* RESTORED, once there is nothing left: whether it was, and where it is now. IO: the log could not
 * be read to its end, so nobody knows. */
SLUICE_MUST_USE sluice_status sl_search_restored(const sl_search *search, bool *restored,
                                                 uint64_t *at);

/* Appends {"id", "complete", "records": [as `sluice explain --json` has them, oldest first]}; found
 * is how many there are. complete: the search came to its end without an error. REPRESENTED:
 * instead of records "dependents", as `sluice state dependents --json` has them. */
SLUICE_MUST_USE sluice_status sl_search_write(const sl_search *search, sluice_bytes *out,
                                              uint32_t *n_found);

#endif
