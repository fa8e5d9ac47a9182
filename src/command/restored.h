/* restored.h - which dropped samples of a state were offered again, and where. */
#ifndef SL_RESTORED_H
#define SL_RESTORED_H

#include "spool/spool.h"

typedef struct sl_restored_pair {
    uint64_t from; /* offset of the drop        */
    uint64_t at;   /* offset of the kept sample */
} sl_restored_pair;

typedef struct sl_restored { /* zero at first; freed by fini */
    sl_restored_pair *pair;  /* in order of `at`             */
    size_t n, capacity;
} sl_restored;

/* Reads the log for samples of the producer SL_RESTORE_PRODUCER; the log of a state that never
 * restored anything is not read. */
SLUICE_MUST_USE sluice_status sl_restored_load(sl_restored *restored, sl_spool *spool,
                                               sluice_message *why);
void sl_restored_fini(sl_restored *restored);

/* True if the sample dropped at `from` was restored; where it is kept now. */
bool sl_restored_find(const sl_restored *restored, uint64_t from, uint64_t *at);

#endif
