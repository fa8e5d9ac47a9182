/* producers.h - who sends, and how far each has come. */
#ifndef SL_PRODUCERS_H
#define SL_PRODUCERS_H

#include "spool/spool.h"

/* One table has one owner thread. The rows are those of the spool. */
typedef struct sl_producers sl_producers;

SLUICE_MUST_USE sluice_status sl_producers_open(sl_producers **out); /* Gives *out     */
void sl_producers_close(sl_producers **producers_p);                 /* Takes; NULL ok */

/* Loads every row of the spool over what is there. */
SLUICE_MUST_USE sluice_status sl_producers_load(sl_producers *producers, sl_spool *spool,
                                                sluice_message *why);

/* The row of a name; a new one with the next free number if there was none. NULL: there are
 * SLUICE_LIMIT_PRODUCERS already. Lent for the life of the table: rows never move. */
sl_spool_producer *sl_producers_find(sl_producers *producers, const char *name);

/* The row with this number, taking `name` if the number was free. */
sl_spool_producer *sl_producers_at(sl_producers *producers, uint32_t i_producer, const char *name);

#endif
