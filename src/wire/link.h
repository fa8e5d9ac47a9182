/* link.h - one DEALER connection to a filter: frames out, frames in, and what became of it. */
#ifndef SL_LINK_H
#define SL_LINK_H

#include "wire/client.h"

typedef struct sl_link sl_link;

typedef enum sl_link_event {
    SL_LINK_NOTHING,   /* wait_ms passed                                                       */
    SL_LINK_CONNECTED, /* a connection is new: whatever was sent before may be lost            */
    SL_LINK_MESSAGE    /* `message` and `batch` hold what came                                 */
} sl_link_event;

/* sl_link_open - connects in the background; no answer is awaited. CONFIG: endpoint or keys.
 * max_frame_bytes  a larger frame ends the connection (ZMQ_MAXMSGSIZE). */
SLUICE_MUST_USE sluice_status sl_link_open(const sl_client_options *options,
                                           int64_t max_frame_bytes, sl_link **out,
                                           sluice_message *why);
void sl_link_close(sl_link **link_p);

/* sl_link_send - never blocks. AGAIN: not connected, or ZeroMQ's queue is full; nothing was sent.
 * batch  Borrows; `zmq_msg_t *`, NULL if there is no second frame. Its bytes are shared. */
SLUICE_MUST_USE sluice_status sl_link_send(sl_link *link, const sl_message *message, void *batch);

/* sl_link_wait - the next event; what it lends is valid until the next wait.
 * want_write  also return (NOTHING) as soon as sending may go on.
 * Returns     CONFIG: the filter refused the key (for good). BADSAMPLE: what came is not of this
 *             wire. */
SLUICE_MUST_USE sluice_status sl_link_wait(sl_link *link, int64_t wait_ms, bool want_write,
                                           sl_link_event *event, sluice_message *why);
const sl_message *sl_link_message(const sl_link *link);
sluice_span sl_link_batch(sl_link *link); /* empty if there was no second frame */

const char *sl_link_trouble(const sl_link *link); /* why there is no connection, in words */

/* What an Error without retry is to the caller; see client.h. */
sluice_status sl_link_status_of(sl_code code);

int64_t sl_link_now_ms(void); /* monotonic */

#endif
