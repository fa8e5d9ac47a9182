/* search.h - finds all that the log and the dead letters say of one id, a slice at a time. */
#ifndef SL_SEARCH_H
#define SL_SEARCH_H

#include "spool/spool.h"

#define SL_SEARCH_FOUND 32 /* the newest records that are given */

typedef struct sl_search sl_search;

/* Borrows spool; copies id. */
SLUICE_MUST_USE sluice_status sl_search_open(sl_spool *spool, const char *id, sl_search **out);
void sl_search_close(sl_search **search_p);

/* Looks on for about `budget_us`; true once there is nothing left to look at. */
bool sl_search_step(sl_search *search, int64_t budget_us);

/* Appends {"id", "complete", "records": [as `sluice explain --json` has them, oldest first]}; found
 * is how many there are. complete: the search came to its end without an error. */
SLUICE_MUST_USE sluice_status sl_search_write(const sl_search *search, sluice_bytes *out,
                                              uint32_t *n_found);

#endif
