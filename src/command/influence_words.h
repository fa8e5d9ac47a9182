/* influence_words.h - what the influence scores of one record mean, in words. */
#ifndef SL_INFLUENCE_WORDS_H
#define SL_INFLUENCE_WORDS_H

#include "sluice/config.h"

#include <jansson.h>

/* Prints lines to standard output.
 * influence  Borrows the member of the record; null prints one line.
 * config     Borrows; NULL: not known. Says what the reference sets are. */
void sl_influence_words_print(const json_t *influence, const sluice_config *config);

#endif
