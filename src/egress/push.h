/* push.h - kept samples to plain PULL sockets: no request, no commit. */
#ifndef SL_PUSH_H
#define SL_PUSH_H

#include "spool/spool.h"

#define SL_PUSH_GROUP "push" /* the consumer group that remembers how far it has come */

typedef struct sl_push sl_push;

/* socket  Takes: a bound PUSH socket, closed with the rest. */
SLUICE_MUST_USE sluice_status sl_push_open(void *socket, sl_spool *spool, sl_push **out);
void sl_push_close(sl_push **push_p);

/* Hands samples from `from` on to the socket until it would wait or the log ends, and says up to
 * which offset everything was handed over (>= from). */
SLUICE_MUST_USE sluice_status sl_push_some(sl_push *push, uint64_t from, uint64_t *handed_over,
                                           sluice_message *why);

/* True if there is something that the socket did not take: wait for POLLOUT. */
bool sl_push_waits(const sl_push *push);
void *sl_push_socket(const sl_push *push);

#endif
