/* replay.h - what another policy would have done with samples that have verdicts. */
#ifndef SL_REPLAY_H
#define SL_REPLAY_H

#include "command/input.h"
#include "sluice/config.h"

typedef struct sl_replay_options {
    const char *verdicts;      /* file of verdict records; "-" = standard input        */
    const char *const *inputs; /* the samples themselves, in the order of the records  */
    uint32_t n_inputs;         /* 0: what a record does not say is not there           */
    bool json;
} sl_replay_options;

/* Prints what `config` would have done, by source and by group. Returns an exit code: 1 if groups
 * would be dropped more unequally than fairness allows, or if a file cannot be read. */
int sl_replay_run(const sluice_config *config, const sl_replay_options *options);

#endif
