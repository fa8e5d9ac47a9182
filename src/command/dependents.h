/* dependents.h - lists the samples of a state that were dropped in favour of another. */
#ifndef SL_DEPENDENTS_H
#define SL_DEPENDENTS_H

#include "spool/spool.h"

/* Prints the samples dropped as duplicates of the sample with this id, in order of arrival, and
 * which of them were restored since; with `json` one object a line. */
SLUICE_MUST_USE sluice_status sl_dependents_print(const char *id, bool json, sl_spool *spool,
                                                  sluice_message *why);

#endif
