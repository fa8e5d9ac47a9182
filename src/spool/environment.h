/* environment.h - the directory of a state: who may write it, and its LMDB environment. */
#ifndef SL_ENVIRONMENT_H
#define SL_ENVIRONMENT_H

#include "spool/spool.h"

#include <lmdb.h>

#define SL_STATE_FORMAT 1u /* written into meta; another number is refused          */

typedef enum sl_db {
    SL_DB_LOG,       /* first offset -> group of samples (group.c)               */
    SL_DB_ROWS,      /* first offset -> rows of one commit (rows_store.c)        */
    SL_DB_PRODUCERS, /* i_producer -> producer (offsets.c)                       */
    SL_DB_GROUPS,    /* name -> consumer group (offsets.c)                       */
    SL_DB_DEAD,      /* running number -> dead letter (dead.c)                   */
    SL_DB_META,      /* name -> format, state lines, checkpoint... (meta.c)      */
    SL_N_DBS
} sl_db;

typedef struct sl_environment {
    char *path;
    int lock_fd; /* -1 when read only */
    MDB_env *env;
    MDB_dbi dbi[SL_N_DBS];
    size_t page_bytes;
} sl_environment;

SLUICE_MUST_USE sluice_status sl_environment_open(const sl_spool_options *options,
                                                  sl_environment *out, sluice_message *why);
void sl_environment_close(sl_environment *environment); /* NULL fields ok */

/* Ends in the caller's hands: abort it, or commit it. */
SLUICE_MUST_USE sluice_status sl_environment_begin(const sl_environment *environment, bool write,
                                                   MDB_txn **txn, sluice_message *why);

/* The status and sentence of an LMDB or errno code; `doing` completes "state PATH: cannot ...". */
sluice_status sl_environment_fail(const sl_environment *environment, sluice_message *why, int rc,
                                  const char *doing);

/* "state PATH: WHAT at NUMBER FAULT" as CORRUPT. */
sluice_status sl_environment_corrupt(const sl_environment *environment, sluice_message *why,
                                     const char *what, uint64_t number, const char *fault);

/* Appends to the caller's buffer. */
SLUICE_MUST_USE sluice_status sl_environment_give(const sl_environment *environment,
                                                  sluice_bytes *out, sluice_span span,
                                                  sluice_message *why);

/* Pages that one database takes, in bytes; from its root record, no walk. */
SLUICE_MUST_USE sluice_status sl_environment_db_bytes(const sl_environment *environment,
                                                      MDB_txn *txn, sl_db db, uint64_t *bytes,
                                                      sluice_message *why);

/* Keys are u64, big-endian: in memcmp order, the same in a dump on any machine, and 8 bytes are
 * compared as fast as an integer key. */
static inline MDB_val sl_spool_key_write(uint64_t number, uint8_t bytes[8])
{
    for (unsigned i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)(number >> (56 - 8 * i));
    }
    return (MDB_val){8, bytes};
}

/* UINT64_MAX for what is not such a key. */
uint64_t sl_spool_key_read(const MDB_val *key);

/* Puts the cursor on the greatest key <= number, or on the first key if there is none such;
 * MDB_NOTFOUND when the database is empty. */
int sl_cursor_seek(MDB_cursor *cursor, uint64_t number, MDB_val *key, MDB_val *value);

static inline sluice_span sl_span_of_val(const MDB_val *value)
{
    return (sluice_span){value->mv_data, value->mv_size};
}

#endif
