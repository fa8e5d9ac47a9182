/* audit.h - proves a whole state sound, or says what is not. */
#ifndef SL_AUDIT_H
#define SL_AUDIT_H

#include "spool/environment.h"
#include "spool/meta.h"

/* The work of sl_spool_verify inside a transaction. */
SLUICE_MUST_USE sluice_status sl_audit_run(const sl_environment *environment, MDB_txn *txn,
                                           sluice_message *why);

#endif
