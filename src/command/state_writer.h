/* state_writer.h - opens a stopped filter's state to change it. */
#ifndef SL_STATE_WRITER_H
#define SL_STATE_WRITER_H

#include "command/state_change.h"
#include "spool/spool.h"

/* Fills change->config as the state has it (unless it is configured), with so much room that the
 * change makes retention delete nothing. CONFIG: there is no state. */
SLUICE_MUST_USE sluice_status sl_state_configure(sl_state_change *change, sluice_message *why);

/* Configures, then opens as the one writer. IO: a filter runs on it. */
SLUICE_MUST_USE sluice_status sl_state_write(sl_state_change *change, sl_spool **out,
                                             sluice_message *why);

#endif
