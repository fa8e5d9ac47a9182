/* router.h - a listening socket: its options, one message in, one message out. */
#ifndef SL_ROUTER_H
#define SL_ROUTER_H

#include "wire/auth.h"
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

/* sl_socket_listen - a bound socket with every option that keeps a peer from growing us: high-water
 * marks, the largest frame, keep-alive, no lingering.
 *
 * type     ZMQ_ROUTER, ZMQ_PULL or ZMQ_PUSH.
 * right    What a client must have; with server_key (Borrows) only. NULL: no CURVE.
 * out      Gives; zmq_close() it. NULL on error.
 * Returns  IO or CONFIG with a sentence that names the endpoint. */
SLUICE_MUST_USE sluice_status sl_socket_listen(void *context, int type, int64_t max_frame_bytes,
                                               sl_right right, const sl_key *server_key,
                                               const char *endpoint, void **out,
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
