/* dead_letters.h - the samples of a state that found no way on: list, one of them, all their bytes.
 */
#ifndef SL_DEAD_LETTERS_H
#define SL_DEAD_LETTERS_H

#include "spool/spool.h"

typedef struct sl_dead_options {
    const char *show;        /* key of the one to print, NULL = list               */
    const char *export_file; /* writes length-delimited Samples there, "-" = stdout */
    bool json;
} sl_dead_options;

/* IO: there is no letter of that key, or the file cannot be written. */
SLUICE_MUST_USE sluice_status sl_dead_letters_show(const sl_dead_options *options, sl_spool *spool,
                                                   sluice_message *why);

#endif
