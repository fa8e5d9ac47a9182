/* http.c - listens on listen.http and answers: metrics, API, live tap.
 *
 *   connection --libmicrohttpd--> exchange --api--> body            queued at once
 *                                              --> watcher, search, order: suspended meanwhile
 *   loop: wait for sockets (100 ms at most) -> tick -> wake who has something -> cut who is slow
 *
 * Why one thread for all: what is answered is small and made from memory or a few reads of the log;
 * the stream has the cores.
 * Why connections are cut by our clock: the library's timeout begins anew with every byte, so one
 * byte a minute would hold a place for ever. A request must be whole in 15 s, an answer be taken in
 * 60 s; then the socket is shut down and the library finds it closed. */
#include "watch/http.h"
#include "bytes.h"
#include "log.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define TICK_US       INT64_C(100000)
#define SWEEP_US      INT64_C(1000000)
#define SEARCH_US     10000       /* of a search between two looks at the sockets */
#define SEARCH_S      30          /* a search as a whole; then it says that it is not complete */
#define REQUEST_BYTES (16u << 10) /* headers and all, of one connection */
#define TAP_BLOCK     (16u << 10)
#define IDLE_S        30

typedef enum phase { READING, ANSWERING, WATCHING } phase;

typedef struct place { /* of one connection */
    int fd;            /* -1: free */
    phase phase;
    int64_t since_us;
} place;

/* One request and its answer. */
typedef struct exchange {
    struct sl_http *http;
    struct MHD_Connection *connection;
    bool seen, answered, suspended, cut; /* cut: its body is longer than any may be */
    sluice_bytes body;
    int64_t began_us;
    sl_answer answer;
    struct exchange *next; /* of those that wait */
    char uri[];
} exchange;

struct sl_http {
    sl_api *api;
    struct MHD_Daemon *daemon;
    int fd; /* listening; the daemon's once there is one */
    place place[SL_HTTP_CONNECTIONS];
    exchange *waiting; /* watchers and searches */
    atomic_bool stopping;
    int64_t tick_due_us, sweep_due_us;
};

/* --- answers --- */

static bool add_headers(struct MHD_Response *response, const sl_answer *answer)
{
    const struct {
        const char *name, *value;
    } headers[] = {{"Content-Type", answer->type},
                   {"X-Content-Type-Options", "nosniff"},
                   {"Content-Security-Policy", "default-src 'self'; base-uri 'none'; "
                                               "form-action 'none'; frame-ancestors 'none'"},
                   {"Referrer-Policy", "no-referrer"},
                   {"Cross-Origin-Resource-Policy", "same-origin"},
                   {"Cache-Control", "no-store"},
                   {answer->header, answer->value}};
    bool added = true;
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        added = added &&
                (headers[i].name == NULL ||
                 MHD_add_response_header(response, headers[i].name, headers[i].value) == MHD_YES);
    }
    return added;
}

/* Called when the socket takes more; 0 with the connection suspended when there is nothing. */
static ssize_t read_watcher(void *context, uint64_t position, char *out, size_t size)
{
    (void)position;
    exchange *exchange_of = context;
    sl_http *http = exchange_of->http;
    if (atomic_load(&http->stopping)) {
        return MHD_CONTENT_READER_END_OF_STREAM;
    }
    size_t n = sl_watcher_take(exchange_of->answer.watcher, out, size);
    if (n == 0) {
        exchange_of->suspended = true;
        MHD_suspend_connection(exchange_of->connection);
    }
    return (ssize_t)n;
}

static enum MHD_Result queue(exchange *done)
{
    sl_answer *answer = &done->answer;
    struct MHD_Response *response =
        answer->kind == SL_ANSWER_TAP
            ? MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, TAP_BLOCK, read_watcher, done,
                                                NULL)
            : MHD_create_response_from_buffer(answer->body.size, answer->body.data,
                                              MHD_RESPMEM_MUST_COPY);
    if (response == NULL) {
        return MHD_NO;
    }
    enum MHD_Result queued = MHD_NO;
    if (add_headers(response, answer)) {
        queued = MHD_queue_response(done->connection, answer->code, response);
    }
    MHD_destroy_response(response);
    done->answered = true;
    return queued;
}

static place *place_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info != NULL ? info->socket_context : NULL;
}

static void wait_for_more(sl_http *http, exchange *waiter)
{
    waiter->next = http->waiting;
    http->waiting = waiter;
}

static sl_request_head head_of(const exchange *now, const char *method)
{
    struct MHD_Connection *from = now->connection;
    return (sl_request_head){
        .method = method,
        .uri = now->uri,
        .host = MHD_lookup_connection_value(from, MHD_HEADER_KIND, "Host"),
        .authorization = MHD_lookup_connection_value(from, MHD_HEADER_KIND, "Authorization"),
        .origin = MHD_lookup_connection_value(from, MHD_HEADER_KIND, "Origin"),
        .content_type = MHD_lookup_connection_value(from, MHD_HEADER_KIND, "Content-Type"),
        .fetch_site = MHD_lookup_connection_value(from, MHD_HEADER_KIND, "Sec-Fetch-Site"),
        .x_sluice = MHD_lookup_connection_value(from, MHD_HEADER_KIND, "X-Sluice"),
        .body = {now->body.data, now->body.size},
        .cut = now->cut};
}

static enum MHD_Result begin_answer(sl_http *http, exchange *now, struct MHD_Connection *connection,
                                    const char *method)
{
    now->connection = connection;
    now->began_us = sl_view_clock_us();
    place *held = place_of(connection);
    sl_request_head head = head_of(now, method);
    sl_api_answer(http->api, &head, &now->answer);
    if (held != NULL) {
        held->since_us = now->began_us;
        held->phase = now->answer.kind == SL_ANSWER_TAP ? WATCHING : ANSWERING;
    }
    if (now->answer.kind == SL_ANSWER_SEARCH || now->answer.kind == SL_ANSWER_ORDER) {
        wait_for_more(http, now);
        now->suspended = true;
        MHD_suspend_connection(connection);
        return MHD_YES;
    }
    if (now->answer.kind == SL_ANSWER_TAP) {
        if (strcmp(method, "HEAD") == 0) { /* there is no body to wait for */
            now->answer.kind = SL_ANSWER_BODY;
            return queue(now);
        }
        wait_for_more(http, now);
    }
    return queue(now);
}

static void take_body(exchange *now, const char *piece, size_t size)
{
    if (size == 0 || now->cut) {
        return;
    }
    now->cut = now->body.size + size > SL_REQUEST_BODY_BYTES ||
               sl_bytes_append(&now->body, piece, size) != SLUICE_OK;
}

static enum MHD_Result answer_request(void *context, struct MHD_Connection *connection,
                                      const char *url, const char *method, const char *version,
                                      const char *upload, size_t *upload_size, void **request)
{
    (void)url;
    (void)version;
    sl_http *http = context;
    exchange *now = *request;
    if (now == NULL) {
        return MHD_NO; /* no memory */
    }
    if (now->began_us != 0) { /* a search or an order has ended */
        return now->answered ? MHD_YES : queue(now);
    }
    bool waits =
        strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0 || strcmp(method, "POST") == 0;
    if (waits && (!now->seen || *upload_size > 0)) {
        now->seen = true; /* an answer before the request is whole would end the connection */
        take_body(now, upload, *upload_size);
        *upload_size = 0;
        return MHD_YES;
    }
    return begin_answer(http, now, connection, method);
}

/* --- requests and connections come and go --- */

static void *begin_request(void *context, const char *uri, struct MHD_Connection *connection)
{
    (void)connection;
    size_t size = strlen(uri) + 1;
    exchange *begun = calloc(1, sizeof *begun + size);
    if (begun != NULL) {
        begun->http = context;
        memcpy(begun->uri, uri, size);
    }
    return begun;
}

static void end_request(void *context, struct MHD_Connection *connection, void **request,
                        enum MHD_RequestTerminationCode how)
{
    (void)how;
    sl_http *http = context;
    exchange *ended = *request;
    place *held = place_of(connection);
    if (held != NULL) {
        held->phase = READING;
        held->since_us = sl_view_clock_us();
    }
    if (ended == NULL) {
        return;
    }
    for (exchange **at = &http->waiting; *at != NULL; at = &(*at)->next) {
        if (*at == ended) {
            *at = ended->next;
            break;
        }
    }
    sl_api_leave(http->api, &ended->answer);
    sl_bytes_fini(&ended->body);
    free(ended);
    *request = NULL;
}

static void note_connection(void *context, struct MHD_Connection *connection, void **held_p,
                            enum MHD_ConnectionNotificationCode what)
{
    sl_http *http = context;
    if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (*held_p != NULL) {
            ((place *)*held_p)->fd = -1;
        }
        return;
    }
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    for (int i = 0; i < SL_HTTP_CONNECTIONS && info != NULL; i++) {
        if (http->place[i].fd < 0) {
            http->place[i] = (place){info->connect_fd, READING, sl_view_clock_us()};
            *held_p = &http->place[i];
            return;
        }
    }
}

/* --- the loop --- */

static void cut_slow(sl_http *http, int64_t now_us)
{
    for (int i = 0; i < SL_HTTP_CONNECTIONS; i++) {
        const place *held = &http->place[i];
        int64_t allowed_s = held->phase == READING ? SL_HTTP_REQUEST_S : SL_HTTP_ANSWER_S;
        if (held->fd >= 0 && held->phase != WATCHING &&
            now_us - held->since_us > allowed_s * INT64_C(1000000)) {
            (void)shutdown(held->fd, SHUT_RDWR);
        }
    }
}

/* Steps a search; true when it has become an answer. */
static bool step_search(sl_http *http, exchange *searching, int64_t now_us)
{
    bool late = now_us - searching->began_us > SEARCH_S * INT64_C(1000000);
    if (!late && !sl_search_step(searching->answer.search, SEARCH_US)) {
        return false;
    }
    sl_api_found(http->api, &searching->answer);
    return true;
}

/* Ends the wait of a search or an order, or steps it; true when it has become an answer. What is on
 * its way to the disk at the end still gets there. */
static bool step(sl_http *http, exchange *waiter, bool stopping, int64_t now_us)
{
    if (waiter->answer.kind == SL_ANSWER_ORDER) {
        bool done = sl_order_step(waiter->answer.order, now_us, SEARCH_US);
        if (done || stopping) {
            sl_api_done(http->api, &waiter->answer);
        }
        return done || stopping;
    }
    if (stopping) {
        sl_api_leave(http->api, &waiter->answer);
        sl_api_refuse(&waiter->answer, 503, "this filter is shutting down");
        return true;
    }
    return step_search(http, waiter, now_us);
}

/* Wakes who has something to send; true if a search or an order wants to go on soon. */
static bool serve_waiting(sl_http *http, int64_t now_us)
{
    bool searching = false;
    exchange **at = &http->waiting;
    while (*at != NULL) {
        exchange *waiter = *at;
        bool stopping = atomic_load(&http->stopping);
        bool done = false;
        if (waiter->answer.kind == SL_ANSWER_SEARCH || waiter->answer.kind == SL_ANSWER_ORDER) {
            done = step(http, waiter, stopping, now_us);
            searching = searching || !done;
        }
        if (done) {
            *at = waiter->next;
        } else {
            at = &waiter->next;
        }
        bool has_more = done || (waiter->answer.kind == SL_ANSWER_TAP &&
                                 (stopping || sl_watcher_has(waiter->answer.watcher)));
        if (waiter->suspended && has_more) {
            waiter->suspended = false;
            MHD_resume_connection(waiter->connection);
        }
    }
    return searching;
}

void sl_http_run(sl_http *http)
{
    bool searching = false;
    while (!atomic_load(&http->stopping)) {
        int64_t wait_ms = (http->tick_due_us - sl_view_clock_us()) / 1000;
        wait_ms = wait_ms < 1 ? 1 : wait_ms > TICK_US / 1000 ? TICK_US / 1000 : wait_ms;
        if (MHD_run_wait(http->daemon, searching ? 1 : (int32_t)wait_ms) != MHD_YES) {
            sl_log(0, "HTTP-STOPPED", "the HTTP service has failed and answers no more");
            return;
        }
        int64_t now_us = sl_view_clock_us();
        if (now_us >= http->tick_due_us) {
            http->tick_due_us = now_us + TICK_US;
            sl_api_tick(http->api, now_us);
        }
        if (now_us >= http->sweep_due_us) {
            http->sweep_due_us = now_us + SWEEP_US;
            cut_slow(http, now_us);
        }
        searching = serve_waiting(http, now_us);
    }
    (void)serve_waiting(http, sl_view_clock_us()); /* nobody may be suspended at the end */
    (void)MHD_run_wait(http->daemon, 1);
}

void sl_http_stop(sl_http *http)
{
    atomic_store(&http->stopping, true);
}

/* --- open, close --- */

/* "127.0.0.1:9570" or "[::1]:9570" as host and port. */
static void split_address(const char *address, char host[SLUICE_LIMIT_STRING_BYTES],
                          const char **port)
{
    const char *colon = strrchr(address, ':');
    size_t size = colon != NULL ? (size_t)(colon - address) : strlen(address);
    bool bracketed = size >= 2 && address[0] == '[' && address[size - 1] == ']';
    snprintf(host, SLUICE_LIMIT_STRING_BYTES, "%.*s", (int)(bracketed ? size - 2 : size),
             bracketed ? address + 1 : address);
    *port = colon != NULL ? colon + 1 : "";
}

static bool listen_at(const struct addrinfo *at, int *fd)
{
    const int on = 1;
    *fd = socket(at->ai_family, at->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, at->ai_protocol);
    if (*fd >= 0 && setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        bind(*fd, at->ai_addr, at->ai_addrlen) == 0 && listen(*fd, SL_HTTP_CONNECTIONS) == 0) {
        return true;
    }
    int reason = errno;
    if (*fd >= 0) {
        close(*fd);
    }
    *fd = -1;
    errno = reason;
    return false;
}

static sluice_status listen_on(const char *address, int *fd, sluice_message *why)
{
    char host[SLUICE_LIMIT_STRING_BYTES];
    const char *port;
    split_address(address, host, &port);
    struct addrinfo wanted = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    bool any = host[0] == '\0' || strcmp(host, "*") == 0;
    int rc = getaddrinfo(any ? NULL : host, port, &wanted, &found);
    if (rc != 0) {
        return sluice_fail(why, SLUICE_E_IO, "listen.http: %s: %s", address, gai_strerror(rc));
    }
    bool listens = false;
    for (const struct addrinfo *at = found; at != NULL && !listens; at = at->ai_next) {
        listens = listen_at(at, fd);
    }
    int reason = errno;
    freeaddrinfo(found);
    if (!listens) {
        return sluice_fail(why, SLUICE_E_IO,
                           "listen.http: cannot listen on %s: %s; choose another port, or \"\" for "
                           "no HTTP",
                           address, strerror(reason));
    }
    return SLUICE_OK;
}

sluice_status sl_http_open(const sl_api_options *options, sl_http **out, sluice_message *why)
{
    *out = calloc(1, sizeof **out);
    if (*out == NULL) {
        return sluice_fail(why, SLUICE_E_NOMEM, "no memory for listen.http");
    }
    sl_http *http = *out;
    http->fd = -1;
    for (int i = 0; i < SL_HTTP_CONNECTIONS; i++) {
        http->place[i].fd = -1;
    }
    sluice_status status = sl_api_open(options, &http->api, why);
    status =
        status == SLUICE_OK ? listen_on(options->view.config->listen.http, &http->fd, why) : status;
    if (status == SLUICE_OK) {
        http->daemon = MHD_start_daemon(
            MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, answer_request, http,
            MHD_OPTION_LISTEN_SOCKET, http->fd, MHD_OPTION_CONNECTION_LIMIT,
            (unsigned)SL_HTTP_CONNECTIONS, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
            (unsigned)SL_HTTP_FROM_ONE, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S,
            MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)REQUEST_BYTES, MHD_OPTION_URI_LOG_CALLBACK,
            begin_request, http, MHD_OPTION_NOTIFY_COMPLETED, end_request, http,
            MHD_OPTION_NOTIFY_CONNECTION, note_connection, http, MHD_OPTION_END);
        if (http->daemon == NULL) {
            status = sluice_fail(why, SLUICE_E_IO, "listen.http: cannot start the HTTP service");
        }
    }
    if (status != SLUICE_OK) {
        sl_http_close(out);
    }
    return status;
}

void sl_http_close(sl_http **http_p)
{
    sl_http *http = *http_p;
    if (http != NULL) {
        if (http->daemon != NULL) {
            MHD_stop_daemon(http->daemon); /* closes the socket, ends every request */
        } else if (http->fd >= 0) {
            close(http->fd);
        }
        sl_api_close(&http->api);
        free(http);
        *http_p = NULL;
    }
}
