/* router.c - a listening socket: its options, one message in, one message out.
 *
 *   ROUTER frames:  | peer | ToFilter or FromFilter | [ Batch ] |
 *
 * Why ROUTER_MANDATORY: a ROUTER drops silently what it cannot deliver; we want to know.
 * Why small high-water marks: windows and FETCH are the flow control; what ZeroMQ holds beyond them
 * is memory that a peer drives.
 * Why TCP's keep-alive and not ZeroMQ's heartbeats: libzmq 4.3.4 aborts the process when a
 * heartbeat is due on a connection that broke while its input waited for us (assertion "!_io_error"
 * in stream_engine_base.cpp), which a producer that dies at full load does to us. */
#include "wire/router.h"
#include "bytes.h"

#include <errno.h>
#include <stdio.h>

#define RECEIVE_MESSAGES 16
#define SEND_MESSAGES    256
#define SEND_RECORDS     8 /* of up to 4 MiB or an image, to a consumer that asks and does not read */
#define KEEPALIVE_S      5 /* quiet for so long, then asked every 2 s, given up after 3 */
#define HANDSHAKE_MS     3000

static bool set_int(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof value) == 0;
}

static void *open_socket(void *context, int type, int64_t max_frame_bytes, sluice_message *why)
{
    void *socket = zmq_socket(context, type);
    if (socket == NULL) {
        (void)sluice_fail(why, SLUICE_E_IO, "cannot make a socket: %s", zmq_strerror(errno));
        return NULL;
    }
    bool good =
        set_int(socket, ZMQ_LINGER, 1000) && set_int(socket, ZMQ_RCVHWM, RECEIVE_MESSAGES) &&
        set_int(socket, ZMQ_SNDHWM, SEND_MESSAGES) && set_int(socket, ZMQ_TCP_KEEPALIVE, 1) &&
        set_int(socket, ZMQ_TCP_KEEPALIVE_IDLE, KEEPALIVE_S) &&
        set_int(socket, ZMQ_TCP_KEEPALIVE_INTVL, 2) && set_int(socket, ZMQ_TCP_KEEPALIVE_CNT, 3) &&
        set_int(socket, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS) &&
        zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &max_frame_bytes, sizeof max_frame_bytes) == 0;
    if (good && type == ZMQ_ROUTER) {
        good = set_int(socket, ZMQ_ROUTER_MANDATORY, 1) && set_int(socket, ZMQ_ROUTER_HANDOVER, 1);
    }
    if (!good) {
        (void)sluice_fail(why, SLUICE_E_IO, "cannot set up a socket: %s", zmq_strerror(errno));
        zmq_close(socket);
        return NULL;
    }
    return socket;
}

static sluice_status bind_socket(void *socket, const char *endpoint, sluice_message *why)
{
    if (zmq_bind(socket, endpoint) == 0) {
        return SLUICE_OK;
    }
    if (errno == EADDRINUSE) {
        return sluice_fail(why, SLUICE_E_IO,
                           "%s is in use: is another sluice running there? (listen.* or --set "
                           "chooses another port)",
                           endpoint);
    }
    if (errno == EINVAL || errno == EPROTONOSUPPORT) {
        return sluice_fail(why, SLUICE_E_CONFIG,
                           "%s is not an endpoint: expected something like tcp://127.0.0.1:5570",
                           endpoint);
    }
    return sluice_fail(why, SLUICE_E_IO, "cannot listen on %s: %s", endpoint, zmq_strerror(errno));
}

sluice_status sl_socket_listen(void *context, int type, int64_t max_frame_bytes, sl_right right,
                               const sl_key *server_key, const char *endpoint, void **out,
                               sluice_message *why)
{
    *out = open_socket(context, type, max_frame_bytes, why);
    if (*out == NULL) {
        return SLUICE_E_IO;
    }
    if (type == ZMQ_ROUTER && right == SL_RIGHT_EGRESS) {
        (void)set_int(*out, ZMQ_SNDHWM, SEND_RECORDS);
    }
    sluice_status status =
        server_key != NULL ? sl_auth_secure(*out, right, server_key, why) : SLUICE_OK;
    if (status == SLUICE_OK) {
        status = bind_socket(*out, endpoint, why);
    }
    if (status != SLUICE_OK) {
        zmq_close(*out);
        *out = NULL;
    }
    return status;
}

static bool more_follows(void *socket)
{
    int more = 0;
    size_t size = sizeof more;
    return zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &size) == 0 && more != 0;
}

/* Reads and forgets the rest of a multipart message; true if there was any. */
static bool skip_rest(void *socket)
{
    bool any = false;
    while (more_follows(socket)) {
        zmq_msg_t frame;
        zmq_msg_init(&frame);
        bool got = zmq_msg_recv(&frame, socket, 0) >= 0;
        zmq_msg_close(&frame);
        if (!got) {
            break;
        }
        any = true;
    }
    return any;
}

static sluice_status receive_peer(void *socket, sl_peer *peer)
{
    int size = zmq_recv(socket, peer->id, sizeof peer->id, ZMQ_DONTWAIT);
    if (size < 0) {
        return errno == ETERM ? SLUICE_E_CLOSED : SLUICE_E_AGAIN;
    }
    peer->size = (uint8_t)size;
    return SLUICE_OK;
}

static void read_user(zmq_msg_t *frame, sl_received *out)
{
    const char *user = zmq_msg_gets(frame, "User-Id");
    snprintf(out->user, sizeof out->user, "%s", user != NULL ? user : "");
}

static sluice_status receive_head(void *socket, sl_received *out, sluice_message *why)
{
    zmq_msg_t head;
    zmq_msg_init(&head);
    if (zmq_msg_recv(&head, socket, 0) < 0) {
        zmq_msg_close(&head);
        return sluice_fail(why, SLUICE_E_BADSAMPLE, "a message without content");
    }
    read_user(&head, out);
    sluice_status status = SLUICE_E_BADSAMPLE;
    if (zmq_msg_size(&head) > SLUICE_LIMIT_FRAME_BYTES) {
        (void)sluice_fail(why, status, "frame 1 has %zu bytes, at most %u are allowed",
                          zmq_msg_size(&head), SLUICE_LIMIT_FRAME_BYTES);
    } else {
        sluice_span span = {zmq_msg_data(&head), zmq_msg_size(&head)};
        status = sl_session_decode_to(span, &out->message, why);
    }
    zmq_msg_close(&head);
    return status;
}

sluice_status sl_router_receive(void *socket, sl_received *out, sluice_message *why)
{
    out->has_body = false;
    zmq_msg_init(&out->body);
    SLUICE_TRY(receive_peer(socket, &out->peer));
    out->user[0] = '\0';
    if (!more_follows(socket)) {
        return sluice_fail(why, SLUICE_E_BADSAMPLE, "a message without content");
    }
    sluice_status status = receive_head(socket, out, why);
    if (status == SLUICE_OK && more_follows(socket)) {
        out->has_body = zmq_msg_recv(&out->body, socket, 0) >= 0;
    }
    if (skip_rest(socket) && status == SLUICE_OK) {
        status = sluice_fail(why, SLUICE_E_BADSAMPLE, "a message of more than two frames");
        zmq_msg_close(&out->body);
        zmq_msg_init(&out->body);
        out->has_body = false;
    }
    return status;
}

static sluice_status send_failed(void)
{
    return errno == EAGAIN ? SLUICE_E_AGAIN : SLUICE_E_CLOSED;
}

sluice_status sl_router_send(void *socket, const sl_peer *peer, const sl_message *message,
                             sluice_span body, bool has_body, sluice_bytes *scratch)
{
    SLUICE_TRY(sl_session_encode(message, scratch));
    /* Whether the peer takes it is decided at the first frame; the rest follows it. A queue may
     * look full because ZeroMQ looks only once a millisecond at what its other thread has sent;
     * asking for the events makes it look now. */
    int sent = zmq_send(socket, peer->id, peer->size, ZMQ_SNDMORE | ZMQ_DONTWAIT);
    if (sent < 0 && errno == EAGAIN) {
        int events;
        size_t size = sizeof events;
        (void)zmq_getsockopt(socket, ZMQ_EVENTS, &events, &size);
        sent = zmq_send(socket, peer->id, peer->size, ZMQ_SNDMORE | ZMQ_DONTWAIT);
    }
    if (sent < 0) {
        return send_failed();
    }
    if (zmq_send(socket, scratch->data, scratch->size, has_body ? ZMQ_SNDMORE : 0) < 0) {
        return send_failed();
    }
    if (has_body && zmq_send(socket, body.data, body.size, 0) < 0) {
        return send_failed();
    }
    return SLUICE_OK;
}
