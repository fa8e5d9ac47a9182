/* fuzz_checkpoint.c - any bytes as a checkpoint of the engine: refused, or a state that can be
 * saved again. */
#include "sluice/engine.h"
#include "bytes.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sluice_config config;
    sluice_engine *engine;
    const char *reason = "";
    sluice_config_default(&config);
    config.duplicate.exact_memory = config.duplicate.text_memory = 1 << 20;
    config.influence.expert.warmup = 256;
    strcpy(config.fairness.group_by, "attributes.region");
    if (sluice_engine_open(&config, &engine, NULL) != SLUICE_OK) {
        abort();
    }
    if (sluice_engine_load(engine, (sluice_span){data, size}) == SLUICE_OK) {
        sluice_bytes again = {0};
        if (!sluice_engine_validate(engine, &reason) ||
            sluice_engine_save(engine, &again) != SLUICE_OK) {
            abort();
        }
        sl_bytes_fini(&again);
    }
    sluice_engine_close(&engine);
    return 0;
}
