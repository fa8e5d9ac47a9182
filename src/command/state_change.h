/* state_change.h - what a person may change in a state: forget, restore, retire, drop letters. */
#ifndef SL_STATE_CHANGE_H
#define SL_STATE_CHANGE_H

#include "wire/client.h"
#include "sluice/config.h"

typedef struct sl_state_change {
    const char *verb, *path;
    const char *name; /* the sample's id, or the consumer group                                */
    bool json;
    bool has_offset; /* restore, forget: which of several samples of that id                  */
    uint64_t offset;
    bool configured; /* `config` is a file's; else it is as the state has it                  */
    sluice_config config;
    sl_client_options to; /* endpoint set: through the filter that runs on this state: its
                             listen.ingest to restore, its listen.egress to forget */
} sl_state_change;

/* Each opens the state, changes it in one transaction and says what it did. IO: a filter runs on
 * it (and no endpoint was given), or there is nothing of that name. */
SLUICE_MUST_USE sluice_status sl_state_forget(sl_state_change *change, sluice_message *why);
SLUICE_MUST_USE sluice_status sl_state_restore(sl_state_change *change, sluice_message *why);
SLUICE_MUST_USE sluice_status sl_state_retire(sl_state_change *change, sluice_message *why);
SLUICE_MUST_USE sluice_status sl_state_drop_dead(sl_state_change *change, sluice_message *why);

#endif
