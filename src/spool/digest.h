/* digest.h - one number for what a state says. */
#ifndef SL_DIGEST_H
#define SL_DIGEST_H

#include "spool/environment.h"
#include "spool/meta.h"

/* The work of sl_spool_digest inside a transaction. */
SLUICE_MUST_USE sluice_status sl_digest_run(const sl_environment *environment, MDB_txn *txn,
                                            sl_spool_row_canonical *canonical, uint64_t digest[2],
                                            sluice_message *why);

#endif
