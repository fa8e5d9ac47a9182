/* state_writer.c - opens a stopped filter's state to change it. */
#include "command/state_writer.h"
#include "command/settings.h"

#include "bytes.h"
#include "store.h"

#include <stdio.h>

#define ROOM_BYTES (UINT64_C(1) << 30)

sluice_status sl_state_configure(sl_state_change *change, sluice_message *why)
{
    sl_spool_options options = {.path = change->path, .read_only = true};
    sl_spool *spool = NULL;
    SLUICE_TRY(sl_spool_open(&options, &spool, why));
    sluice_status status =
        change->configured ? SLUICE_OK : sl_settings_as_stored(spool, &change->config, why);
    sluice_config *config = &change->config;
    uint64_t least = sl_spool_extent_of(spool).log_bytes + ROOM_BYTES;
    config->spool.max_bytes = config->spool.max_bytes < least ? least : config->spool.max_bytes;
    snprintf(config->state, sizeof config->state, "%s", change->path);
    sl_spool_close(&spool);
    return status;
}

sluice_status sl_state_write(sl_state_change *change, sl_spool **out, sluice_message *why)
{
    *out = NULL;
    SLUICE_TRY(sl_state_configure(change, why));
    sluice_bytes lines = {0};
    SLUICE_TRY(sluice_config_state_lines(&change->config, &lines));
    sl_spool_options options = sl_store_spool_options(&change->config);
    options.state_lines = (sluice_span){lines.data, lines.size};
    sluice_status status = sl_spool_open(&options, out, why);
    sl_bytes_fini(&lines);
    return status;
}
