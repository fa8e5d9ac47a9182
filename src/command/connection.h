/* connection.h - the options by which a verb reaches a running filter. */
#ifndef SL_CONNECTION_H
#define SL_CONNECTION_H

#include "wire/client.h"

/* sl_connection_option - takes argv[*i] (and its value, moving *i) if it is --key, --server-key or
 * --timeout. Returns 0: it was none of them; 1: taken; -1: it lacks a value or has a wrong one,
 * and the sentence is on standard error. */
int sl_connection_option(int argc, char **argv, int *i, sl_client_options *options);

/* "12", between `min` and `max`; false and a sentence on standard error for anything else. */
bool sl_number_option(const char *verb, const char *name, const char *text, uint64_t min,
                      uint64_t max, uint64_t *value);

#define SL_CONNECTION_USAGE                                                                        \
    "  --key FILE         own key (sluice keygen), if the filter asks for keys\n"                  \
    "  --server-key FILE  the filter's public key\n"                                               \
    "  --timeout SECONDS  how long to try when nobody answers (30), then exit code 75\n"

#endif
