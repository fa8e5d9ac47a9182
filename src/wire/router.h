/* router.h - a listening socket: its options, one message in, one message out. */
#ifndef SL_ROUTER_H
#define SL_ROUTER_H

#include "wire/session.h"

#include <string.h>
#include <zmq.h>

/* The connection that a message came from, as ROUTER names it. */
typedef struct sl_peer {
    uint8_t size;
    uint8_t id[255];
} sl_peer;

typedef struct sl_received {
    sl_peer peer;
    char user[SLUICE_LIMIT_ID_BYTES + 1]; /* who the key belongs to; "" without CURVE */
    sl_message message;
    bool has_body;
    zmq_msg_t body; /* frame 2; the caller closes it (always initialized) */
} sl_received;

static inline bool sl_peer_equal(const sl_peer *a, const sl_peer *b)
{
    return a->size == b->size && memcmp(a->id, b->id, a->size) == 0;
}

/* A socket of `type` (ROUTER, PULL, PUSH) with every option that keeps a peer from growing us:
 * high- water marks, the largest frame, heartbeats, no lingering. NULL and a sentence if it fails.
 */
void *sl_socket_open(void *context, int type, int64_t max_frame_bytes, sluice_message *why);

/* Binds; the sentence names the endpoint ("address already in use: tcp://..."). */
SLUICE_MUST_USE sluice_status sl_socket_bind(void *socket, const char *endpoint,
                                             sluice_message *why);

/* OK: received. AGAIN: nothing there. BADSAMPLE: a message that is none of ours came from `peer`;
 * `why` says what is wrong with it, and the body is empty. */
SLUICE_MUST_USE sluice_status sl_router_receive(void *socket, sl_received *out,
                                                sluice_message *why);

/* AGAIN: the peer does not read and its queue is full. CLOSED: the peer is gone. */
SLUICE_MUST_USE sluice_status sl_router_send(void *socket, const sl_peer *peer,
                                             const sl_message *message, sluice_span body,
                                             bool has_body, sluice_bytes *scratch);

#endif
