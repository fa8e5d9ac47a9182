/* link.c - one DEALER connection to a filter: frames out, frames in, and what became of it.
 *
 *   verb --- send ---> DEALER ===== tcp =====> ROUTER of the filter
 *        <-- wait ---    |  frame 1 ToFilter | FromFilter, frame 2 Batch
 *                        +-- monitor (inproc PAIR): handshake succeeded, failed, disconnected
 *
 * Why a monitor: libzmq reconnects silently and drops what was queued (IMMEDIATE), and the filter
 * sees a stranger. The owner must know about every new connection to say HELLO or ask again.
 * Why nothing is sent before the monitor says "connected": the pipe is there microseconds earlier;
 * a request sent into that gap would be sent a second time when the event is read.
 * Why the monitor is read before the data: answers of a new connection come after its event. */
#include "wire/link.h"

#include "bytes.h"
#include "wire/auth.h"

#include <zmq.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define MONITOR_ENDPOINT "inproc://monitor"
#define MONITORED                                                                                  \
    (ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |                        \
     ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |                       \
     ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CLOSED | ZMQ_EVENT_CONNECTED)

struct sl_link {
    void *context, *socket, *monitor;
    char endpoint[256];
    bool connected, refused, has_key;
    const char *trouble;
    sluice_bytes frame; /* scratch of send */
    sl_message message; /* of the last wait */
    zmq_msg_t batch;
};

int64_t sl_link_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static sluice_status set_options(void *socket, int64_t max_frame_bytes, sluice_message *why)
{
    static const struct {
        int option, value;
    } table[] = {
        {ZMQ_LINGER, 0},
        {ZMQ_IMMEDIATE, 1}, /* nothing is queued for a peer that is not there */
        {ZMQ_SNDHWM, 1000}, /* messages; bytes are bounded by the window */
        {ZMQ_RCVHWM, 1000},
        {ZMQ_RECONNECT_IVL, 100},
        {ZMQ_RECONNECT_IVL_MAX, 2000},
        {ZMQ_CONNECT_TIMEOUT, 3000},
        {ZMQ_HANDSHAKE_IVL, 3000},
        {ZMQ_TCP_KEEPALIVE, 1}, /* and no heartbeats: see router.c */
        {ZMQ_TCP_KEEPALIVE_IDLE, 5},
        {ZMQ_TCP_KEEPALIVE_INTVL, 2},
        {ZMQ_TCP_KEEPALIVE_CNT, 3},
        {ZMQ_IPV6, 1},
    };
    bool good =
        zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &max_frame_bytes, sizeof max_frame_bytes) == 0;
    for (size_t i = 0; good && i < sizeof table / sizeof table[0]; i++) {
        good = zmq_setsockopt(socket, table[i].option, &table[i].value, sizeof(int)) == 0;
    }
    return good ? SLUICE_OK
                : sluice_fail(why, SLUICE_E_IO, "cannot set up a socket: %s", zmq_strerror(errno));
}

static sluice_status connect_link(sl_link *link, const sl_client_options *options,
                                  int64_t max_frame_bytes, sluice_message *why)
{
    link->context = zmq_ctx_new();
    link->socket = link->context != NULL ? zmq_socket(link->context, ZMQ_DEALER) : NULL;
    link->monitor = link->context != NULL ? zmq_socket(link->context, ZMQ_PAIR) : NULL;
    if (link->socket == NULL || link->monitor == NULL) {
        return sluice_fail(why, SLUICE_E_IO, "cannot make a socket: %s", zmq_strerror(errno));
    }
    SLUICE_TRY(set_options(link->socket, max_frame_bytes, why));
    link->has_key = options->key_file != NULL;
    if (link->has_key) {
        SLUICE_TRY(sl_auth_join(link->socket, options->key_file, options->server_key, why));
    }
    if (zmq_socket_monitor(link->socket, MONITOR_ENDPOINT, MONITORED) != 0 ||
        zmq_connect(link->monitor, MONITOR_ENDPOINT) != 0) {
        return sluice_fail(why, SLUICE_E_IO, "cannot watch a socket: %s", zmq_strerror(errno));
    }
    if (zmq_connect(link->socket, link->endpoint) != 0) {
        return sluice_fail(why, SLUICE_E_CONFIG,
                           "cannot connect to '%s': %s (an endpoint looks "
                           "like tcp://127.0.0.1:5570)",
                           link->endpoint, zmq_strerror(errno));
    }
    return SLUICE_OK;
}

sluice_status sl_link_open(const sl_client_options *options, int64_t max_frame_bytes, sl_link **out,
                           sluice_message *why)
{
    *out = NULL;
    sl_link *link = calloc(1, sizeof *link);
    if (link == NULL) {
        return SLUICE_E_NOMEM;
    }
    zmq_msg_init(&link->batch);
    link->trouble = "nothing answers there";
    snprintf(link->endpoint, sizeof link->endpoint, "%s", options->endpoint);
    sluice_status status = connect_link(link, options, max_frame_bytes, why);
    if (status != SLUICE_OK) {
        sl_link_close(&link);
        return status;
    }
    *out = link;
    return SLUICE_OK;
}

void sl_link_close(sl_link **link_p)
{
    sl_link *link = *link_p;
    if (link == NULL) {
        return;
    }
    if (link->socket != NULL) {
        zmq_socket_monitor(link->socket, NULL, 0);
        zmq_close(link->socket);
    }
    if (link->monitor != NULL) {
        int no_linger = 0;
        zmq_setsockopt(link->monitor, ZMQ_LINGER, &no_linger, sizeof no_linger);
        zmq_close(link->monitor);
    }
    zmq_msg_close(&link->batch);
    if (link->context != NULL) {
        while (zmq_ctx_term(link->context) != 0 && errno == EINTR) {
        }
    }
    sl_bytes_fini(&link->frame);
    free(link);
    *link_p = NULL;
}

sluice_status sl_link_send(sl_link *link, const sl_message *message, void *batch)
{
    if (!link->connected) {
        return SLUICE_E_AGAIN;
    }
    SLUICE_TRY(sl_session_encode(message, &link->frame));
    int more = batch != NULL ? ZMQ_SNDMORE : 0;
    if (zmq_send(link->socket, link->frame.data, link->frame.size, more | ZMQ_DONTWAIT) < 0) {
        return errno == EAGAIN || errno == EINTR ? SLUICE_E_AGAIN : SLUICE_E_IO;
    }
    if (batch == NULL) {
        return SLUICE_OK;
    }
    zmq_msg_t share;
    zmq_msg_init(&share);
    if (zmq_msg_copy(&share, batch) != 0) {
        zmq_msg_close(&share);
        return SLUICE_E_NOMEM;
    }
    /* EAGAIN here means that the connection broke between the frames: libzmq took frame 1 back. */
    if (zmq_msg_send(&share, link->socket, ZMQ_DONTWAIT) < 0) {
        zmq_msg_close(&share);
        return errno == EAGAIN || errno == EINTR ? SLUICE_E_AGAIN : SLUICE_E_IO;
    }
    return SLUICE_OK;
}

/* One event of the monitor: two frames, 16 + 32 bits and the endpoint. false: none is there. */
static bool read_monitor(sl_link *link, sl_link_event *event)
{
    uint8_t frame[6];
    char endpoint[256];
    if (zmq_recv(link->monitor, frame, sizeof frame, ZMQ_DONTWAIT) != (int)sizeof frame) {
        return false;
    }
    zmq_recv(link->monitor, endpoint, sizeof endpoint, ZMQ_DONTWAIT);
    uint16_t kind;
    memcpy(&kind, frame, sizeof kind); /* of this machine's own byte order, as libzmq writes it */
    switch (kind) {
    case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
        link->connected = true;
        link->trouble = "connected, but it does not answer";
        *event = SL_LINK_CONNECTED;
        break;
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
        link->refused = true;
        break;
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
    case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
        link->connected = false;
        link->trouble = link->has_key
                            ? "the handshake fails: is this the server key of that filter, and "
                              "does it use keys?"
                            : "the handshake fails: does that filter ask for a key?";
        break;
    case ZMQ_EVENT_CONNECTED:
        link->trouble = link->has_key ? "it takes connections but no handshake: is this the "
                                        "server key of that filter?"
                                      : "it takes connections but does not speak: is it a filter, "
                                        "and not stopped?";
        break;
    default: /* closed, disconnected */
        link->trouble = link->connected ? "the connection was lost" : link->trouble;
        link->connected = false;
        break;
    }
    return true;
}

/* Both frames of a message, if one is there. */
static sluice_status receive_message(sl_link *link, sl_link_event *event, sluice_message *why)
{
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    if (zmq_msg_recv(&frame, link->socket, ZMQ_DONTWAIT) < 0) {
        zmq_msg_close(&frame);
        return SLUICE_OK;
    }
    zmq_msg_close(&link->batch);
    zmq_msg_init(&link->batch);
    bool more = zmq_msg_more(&frame) != 0;
    if (more) {
        more = zmq_msg_recv(&link->batch, link->socket, 0) >= 0 && zmq_msg_more(&link->batch) != 0;
    }
    while (more) { /* frames that this version does not know */
        zmq_msg_t extra;
        zmq_msg_init(&extra);
        more = zmq_msg_recv(&extra, link->socket, 0) >= 0 && zmq_msg_more(&extra) != 0;
        zmq_msg_close(&extra);
    }
    sluice_span bytes = {zmq_msg_data(&frame), zmq_msg_size(&frame)};
    sluice_message fault = {.text = ""};
    sluice_status status = sl_session_decode_from(bytes, &link->message, &fault);
    zmq_msg_close(&frame);
    if (status != SLUICE_OK) {
        return sluice_fail(why, status, "%s does not speak this wire: %.200s", link->endpoint,
                           fault.text);
    }
    *event = SL_LINK_MESSAGE;
    return SLUICE_OK;
}

sluice_status sl_link_wait(sl_link *link, int64_t wait_ms, bool want_write, sl_link_event *event,
                           sluice_message *why)
{
    *event = SL_LINK_NOTHING;
    short wanted = ZMQ_POLLIN;
    if (want_write && link->connected) {
        wanted |= ZMQ_POLLOUT;
    }
    zmq_pollitem_t item[2] = {{link->monitor, 0, ZMQ_POLLIN, 0}, {link->socket, 0, wanted, 0}};
    if (zmq_poll(item, 2, wait_ms) < 0 && errno != EINTR) {
        return sluice_fail(why, SLUICE_E_IO, "cannot wait for %s: %s", link->endpoint,
                           zmq_strerror(errno));
    }
    while (*event == SL_LINK_NOTHING && read_monitor(link, event)) {
        if (link->refused) {
            return sluice_fail(why, SLUICE_E_CONFIG,
                               "%s refused the key: it is not in the filter's clients folder, or "
                               "its rights do not include this",
                               link->endpoint);
        }
    }
    return *event == SL_LINK_NOTHING ? receive_message(link, event, why) : SLUICE_OK;
}

const sl_message *sl_link_message(const sl_link *link)
{
    return &link->message;
}

sluice_span sl_link_batch(sl_link *link)
{
    return (sluice_span){zmq_msg_data(&link->batch), zmq_msg_size(&link->batch)};
}

const char *sl_link_trouble(const sl_link *link)
{
    return link->trouble;
}

sluice_status sl_link_status_of(sl_code code)
{
    switch (code) {
    case SL_CODE_FENCED:
    case SL_CODE_OFFSET_GONE:
    case SL_CODE_LEASE_LOST:
    case SL_CODE_SHUTTING_DOWN:
        return SLUICE_E_CLOSED;
    case SL_CODE_TOO_LARGE:
        return SLUICE_E_TOOBIG;
    case SL_CODE_FORBIDDEN:
    case SL_CODE_WIRE_VERSION:
        return SLUICE_E_CONFIG;
    default:
        return SLUICE_E_BADSAMPLE;
    }
}
