/* fuzz_config.c - any bytes as a configuration and as an assignment: errors or a value that prints
 * and reads back. */
#include "bytes.h"
#include "sluice/config.h"

#include <stdlib.h>

static void check_round_trip(const sluice_config *config)
{
    static sluice_config_errors errors;
    sluice_bytes printed = {0};
    sluice_config again;
    sluice_config_default(&again);
    if (sluice_config_print(config, &printed) != SLUICE_OK ||
        sluice_config_parse(&again, (sluice_span){printed.data, printed.size}, &errors) !=
            SLUICE_OK ||
        memcmp(config, &again, sizeof again) != 0) {
        abort();
    }
    sl_bytes_fini(&printed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static sluice_config_errors errors;
    sluice_config config;
    sluice_config_default(&config);
    if (sluice_config_parse(&config, (sluice_span){data, size}, &errors) == SLUICE_OK) {
        check_round_trip(&config);
    } else if (errors.n == 0) {
        abort();
    }
    char *assignment = malloc(size + 1);
    if (assignment != NULL) {
        memcpy(assignment, data, size);
        assignment[size] = '\0';
        if (sluice_config_set(&config, assignment, &errors) == SLUICE_OK) {
            check_round_trip(&config);
        }
        free(assignment);
    }
    return 0;
}
