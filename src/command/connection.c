/* connection.c - the options by which a verb reaches a running filter.
 *
 *   --key FILE --server-key FILE --timeout SECONDS   ->   sl_client_options
 *
 * Why here: send and recv take the same ones, and verbs do not include each other. */
#include "command/connection.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool sl_number_option(const char *verb, const char *name, const char *text, uint64_t min,
                      uint64_t max, uint64_t *value)
{
    char *end = NULL;
    errno = 0;
    *value = text[0] >= '0' && text[0] <= '9' ? strtoull(text, &end, 10) : 0;
    if (end == NULL || *end != '\0' || errno != 0 || *value < min || *value > max) {
        fprintf(stderr, "sluice %s: %s %s: expected a whole number from %llu to %llu\n", verb, name,
                text, (unsigned long long)min, (unsigned long long)max);
        return false;
    }
    return true;
}

int sl_connection_option(int argc, char **argv, int *i, sl_client_options *options)
{
    const char *name = argv[*i];
    bool is_key = strcmp(name, "--key") == 0;
    bool is_server_key = strcmp(name, "--server-key") == 0;
    if (!is_key && !is_server_key && strcmp(name, "--timeout") != 0) {
        return 0;
    }
    if (*i + 1 >= argc) {
        fprintf(stderr, "sluice %s: %s needs a value\n", argv[0], name);
        return -1;
    }
    const char *value = argv[++*i];
    if (is_key) {
        options->key_file = value;
        return 1;
    }
    if (is_server_key) {
        options->server_key = value;
        return 1;
    }
    char *end = NULL;
    double seconds = strtod(value, &end);
    if (end == value || *end != '\0' || !(seconds >= 0.001 && seconds <= 1e6)) {
        fprintf(stderr, "sluice %s: --timeout %s: expected seconds, .001 to 1000000\n", argv[0],
                value);
        return -1;
    }
    options->timeout_ms = (uint32_t)(seconds * 1000);
    return 1;
}
