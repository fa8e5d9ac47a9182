/* changes.h - what a person changes over HTTP: a sample forgotten, a dropped one restored. */
#ifndef SL_CHANGES_H
#define SL_CHANGES_H

#include "ring.h"
#include "watch/view.h"

#define SL_CHANGES_AT_ONCE 4
#define SL_CHANGES_S       10 /* until it is said that it is not durable yet */

typedef struct sl_changes_options {
    sl_spool *spool;        /* Borrows, all; read only here                                     */
    sl_view_meters *meters; /* counts what is refused here                                      */
    sl_ring *estimator;     /* out: FORGET; NULL: nobody judges, all is refused                 */
    sl_ring *ingest;        /* out: RESTORE, that ingest makes a PUT of                         */
} sl_changes_options;

typedef struct sl_changes sl_changes; /* one thread; must outlive the threads of the two rings */
typedef struct sl_order sl_order;     /* one change that is wanted */

/* Gives *out. Returns NOMEM. */
SLUICE_MUST_USE sluice_status sl_changes_open(const sl_changes_options *options, sl_changes **out);
void sl_changes_close(sl_changes **changes_p); /* Takes; NULL ok */

/* sl_changes_begin - takes an order.
 *
 * id        Copied.
 * body      Borrows, for the call: {"offset": N}; {} to forget all of that id.
 * out       Gives, to step and leave; NULL where it is refused at once.
 * Returns   0, or the HTTP code of the refusal, which `why` explains: 400 the id or the body, 404
 * no such sample, 409 it was kept, 500 no memory or an unreadable log, 503 nobody judges or
 *           SL_CHANGES_AT_ONCE are under way. */
uint32_t sl_changes_begin(sl_changes *changes, sl_change what, const char *id, sluice_span body,
                          sl_order **out, sluice_message *why);

/* Goes on for about `budget_us`; true once it is durable, was refused, or takes too long. */
bool sl_order_step(sl_order *order, int64_t now_us, int64_t budget_us);

/* Ends an order that has been stepped to its end: appends a JSON object; returns the HTTP code. */
uint32_t sl_order_write(const sl_order *order, sluice_bytes *out);

/* Takes. What is on its way to the disk goes on, whether somebody waits for it or not. */
void sl_order_leave(sl_order **order_p);

#endif
