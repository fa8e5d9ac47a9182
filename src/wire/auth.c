/* auth.c - admits clients by their CURVE key: the clients folder behind a ZAP handler.
 *
 *   client                libzmq I/O thread                    this file (a thread of its own)
 *   CURVE handshake --->  ROUTER with domain "ingest" ---ZAP--> REP at inproc://zeromq.zap.01
 *                                                                public key -> clients/NAME.key
 *   data            <---  200 + User-Id NAME  <-----------------  rights hold "ingest"? 200 : 400
 *
 * Why ZAP at all: CURVE alone proves the server to the client; any client key is let in.
 * Why ZAP_DOMAIN and ZAP_ENFORCE_DOMAIN, always both: libzmq 4.3.4 admits everyone when the handler
 * is missing and the domain is not enforced, and skips ZAP when the domain is empty. With both set
 * a missing handler fails the handshake: the error is on the safe side.
 * Why the domain is the name of a right: one handler serves every listener and needs no table.
 * Why a folder of files: adding and revoking a client is cp and rm, seen at the next handshake. */
#include "wire/auth.h"

#include "bytes.h"
#include "log.h"

#include <zmq.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* zmq.h of 4.3.4 shows this option to draft builds only; the library has it in every build. */
#if !defined(ZMQ_ZAP_ENFORCE_DOMAIN)
#define ZMQ_ZAP_ENFORCE_DOMAIN 93
#endif
#define ZAP_ENDPOINT    "inproc://zeromq.zap.01"
#define STOP_ENDPOINT   "inproc://sluice.auth.stop"
#define ZAP_FRAMES      7 /* version, id, domain, address, routing id, mechanism, credential */
#define ZAP_FRAME_BYTES 256
#define LOOK_EVERY_MS   100

typedef struct client {
    char name[SLUICE_LIMIT_CLIENT_NAME + 1];
    char public_key[SL_KEY_TEXT_BYTES];
    uint32_t rights;
} client;

struct sl_clients {
    char folder[SLUICE_LIMIT_STRING_BYTES];
    client *client; /* [n], in order of name */
    uint32_t n;
    uint64_t signature; /* of names, sizes and times of the folder's files when last read */
    int64_t looked_ms;
};

struct sl_auth {
    sl_clients *clients;
    void *zap;  /* REP  */
    void *stop; /* PULL */
};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* --- the clients folder --- */

/* Length of NAME if `file` is "NAME.key" with a valid NAME, else 0. */
static size_t client_name_size(const char *file)
{
    size_t size = strlen(file);
    if (size <= 4 || size - 4 > SLUICE_LIMIT_CLIENT_NAME || strcmp(file + size - 4, ".key") != 0) {
        return 0;
    }
    char name[SLUICE_LIMIT_CLIENT_NAME + 1] = {0};
    memcpy(name, file, size - 4);
    return sl_client_name_valid(name) ? size - 4 : 0;
}

static uint64_t mix(uint64_t sum, uint64_t value)
{
    return (sum ^ value) * UINT64_C(0x9E3779B97F4A7C15) + (sum >> 29);
}

/* A number that changes when a key file comes, goes or is written. Summed over files, because
 * readdir has no order. */
static sluice_status sign_folder(const char *folder, uint64_t *signature, sluice_message *why)
{
    *signature = 0;
    DIR *directory = opendir(folder);
    if (directory == NULL) {
        return sluice_fail(why, SLUICE_E_CONFIG, "cannot read the clients folder %s: %s", folder,
                           strerror(errno));
    }
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        struct stat about;
        if (client_name_size(entry->d_name) == 0 ||
            fstatat(dirfd(directory), entry->d_name, &about, 0) != 0) {
            continue;
        }
        uint64_t sum = 1;
        for (const char *at = entry->d_name; *at != '\0'; at++) {
            sum = mix(sum, (uint8_t)*at);
        }
        sum = mix(mix(sum, (uint64_t)about.st_size), (uint64_t)about.st_ino);
        sum = mix(mix(sum, (uint64_t)about.st_mtim.tv_sec), (uint64_t)about.st_mtim.tv_nsec);
        *signature += mix(mix(sum, (uint64_t)about.st_ctim.tv_nsec), (uint64_t)about.st_mode);
    }
    closedir(directory);
    return SLUICE_OK;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const client *)a)->name, ((const client *)b)->name);
}

/* Reads one file into `client` [n]; with strict every fault is the caller's, else it is logged and
 * the file skipped. */
static sluice_status read_client(sl_clients *clients, const char *file, bool strict,
                                 sluice_message *why)
{
    char path[SLUICE_LIMIT_STRING_BYTES + SLUICE_LIMIT_CLIENT_NAME + 8];
    snprintf(path, sizeof path, "%s/%s", clients->folder, file);
    client next = {0};
    memcpy(next.name, file, client_name_size(file));
    sl_key key;
    sluice_message fault;
    sluice_status status = sl_key_read(path, false, &key, &fault);
    for (uint32_t i = 0; status == SLUICE_OK && i < clients->n; i++) {
        if (strcmp(clients->client[i].public_key, key.public_key) == 0) {
            status =
                sluice_fail(&fault, SLUICE_E_CONFIG, "%.200s and %s.key hold one and the same key",
                            path, clients->client[i].name);
        }
    }
    if (status == SLUICE_OK && clients->n == SLUICE_LIMIT_CLIENTS) {
        status = sluice_fail(&fault, SLUICE_E_CONFIG, "%s: more than %d clients", path,
                             SLUICE_LIMIT_CLIENTS);
    }
    if (status != SLUICE_OK) {
        if (!strict) {
            sl_log(0, "AUTH-KEYFILE", "%s (this client is shut out)", fault.text);
            return SLUICE_OK;
        }
        return sluice_fail(why, status, "%s", fault.text);
    }
    memcpy(next.public_key, key.public_key, sizeof next.public_key);
    next.rights = key.rights;
    clients->client[clients->n++] = next;
    return SLUICE_OK;
}

static sluice_status read_clients(sl_clients *clients, bool strict, sluice_message *why)
{
    struct dirent **entry =
        NULL; /* sorted, so that which of two equal keys is refused is settled */
    int n = scandir(clients->folder, &entry, NULL, alphasort);
    if (n < 0) {
        return sluice_fail(why, SLUICE_E_CONFIG, "cannot read the clients folder %s: %s",
                           clients->folder, strerror(errno));
    }
    clients->n = 0;
    sluice_status status = SLUICE_OK;
    for (int i = 0; i < n; i++) {
        if (status == SLUICE_OK && client_name_size(entry[i]->d_name) > 0) {
            status = read_client(clients, entry[i]->d_name, strict, why);
        }
        free(entry[i]);
    }
    free(entry);
    qsort(clients->client, clients->n, sizeof clients->client[0], compare_names);
    return status;
}

sluice_status sl_clients_open(const char *folder, sl_clients **out, sluice_message *why)
{
    *out = NULL;
    sl_clients *clients = calloc(1, sizeof *clients);
    client *table = calloc(SLUICE_LIMIT_CLIENTS, sizeof *table);
    if (clients == NULL || table == NULL) {
        free(clients);
        free(table);
        return SLUICE_E_NOMEM;
    }
    clients->client = table;
    snprintf(clients->folder, sizeof clients->folder, "%s", folder);
    sluice_status status = sign_folder(folder, &clients->signature, why);
    if (status == SLUICE_OK) {
        status = read_clients(clients, true, why);
    }
    if (status != SLUICE_OK) {
        sl_clients_close(&clients);
        return status;
    }
    clients->looked_ms = now_ms();
    *out = clients;
    return SLUICE_OK;
}

void sl_clients_close(sl_clients **clients_p)
{
    if (*clients_p != NULL) {
        free((*clients_p)->client);
        free(*clients_p);
        *clients_p = NULL;
    }
}

/* Reads the folder again if it changed. A folder that cannot be read admits nobody. */
static void refresh(sl_clients *clients)
{
    int64_t now = now_ms();
    if (now - clients->looked_ms < LOOK_EVERY_MS) {
        return;
    }
    clients->looked_ms = now;
    uint64_t signature = 0;
    sluice_message fault;
    sluice_status status = sign_folder(clients->folder, &signature, &fault);
    if (status == SLUICE_OK && signature == clients->signature) {
        return;
    }
    if (status == SLUICE_OK) {
        status = read_clients(clients, false, &fault);
    }
    clients->signature = signature;
    if (status != SLUICE_OK) {
        clients->n = 0;
        sl_log(0, "AUTH-CLIENTS", "%s (nobody is admitted until it can be read)", fault.text);
        return;
    }
    sl_log(1, "AUTH-CLIENTS", "folder=%s clients=%u read again", clients->folder, clients->n);
}

const char *sl_clients_name_of(sl_clients *clients, const char *public_key)
{
    refresh(clients);
    for (uint32_t i = 0; i < clients->n; i++) {
        if (strcmp(clients->client[i].public_key, public_key) == 0) {
            return clients->client[i].name;
        }
    }
    return NULL;
}

bool sl_clients_may(sl_clients *clients, const char *name, sl_right right)
{
    refresh(clients);
    client wanted = {0};
    snprintf(wanted.name, sizeof wanted.name, "%s", name);
    const client *found = clients->n == 0 ? NULL
                                          : bsearch(&wanted, clients->client, clients->n,
                                                    sizeof wanted, compare_names);
    return found != NULL && strcmp(found->name, name) == 0 && (found->rights & right) != 0;
}

/* --- the ZAP handler --- */

sluice_status sl_auth_open(void *zmq_context, const char *clients_folder, sl_auth **out,
                           sluice_message *why)
{
    *out = NULL;
    sl_auth *auth = calloc(1, sizeof *auth);
    if (auth == NULL) {
        return SLUICE_E_NOMEM;
    }
    sluice_status status = sl_clients_open(clients_folder, &auth->clients, why);
    if (status != SLUICE_OK) {
        sl_auth_close(&auth);
        return status;
    }
    auth->zap = zmq_socket(zmq_context, ZMQ_REP);
    auth->stop = zmq_socket(zmq_context, ZMQ_PULL);
    if (auth->zap == NULL || auth->stop == NULL || zmq_bind(auth->zap, ZAP_ENDPOINT) != 0 ||
        zmq_bind(auth->stop, STOP_ENDPOINT) != 0) {
        sluice_fail(why, SLUICE_E_IO, "cannot start the key check: %s", zmq_strerror(errno));
        sl_auth_close(&auth);
        return SLUICE_E_IO;
    }
    int no_linger = 0;
    zmq_setsockopt(auth->zap, ZMQ_LINGER, &no_linger, sizeof no_linger);
    *out = auth;
    return SLUICE_OK;
}

void sl_auth_close(sl_auth **auth_p)
{
    sl_auth *auth = *auth_p;
    if (auth == NULL) {
        return;
    }
    if (auth->zap != NULL) {
        zmq_close(auth->zap);
    }
    if (auth->stop != NULL) {
        zmq_close(auth->stop);
    }
    sl_clients_close(&auth->clients);
    free(auth);
    *auth_p = NULL;
}

typedef struct zap_request {
    uint8_t frame[ZAP_FRAMES][ZAP_FRAME_BYTES];
    size_t size[ZAP_FRAMES];
    int n_frames; /* all that came, also beyond ZAP_FRAMES */
} zap_request;

/* false: the context ends. */
static bool receive_request(void *zap, zap_request *request)
{
    *request = (zap_request){0};
    int more = 1;
    for (; more != 0; request->n_frames++) {
        uint8_t frame[ZAP_FRAME_BYTES];
        int size = zmq_recv(zap, frame, sizeof frame, 0);
        if (size < 0) {
            return false;
        }
        if (request->n_frames < ZAP_FRAMES && (size_t)size <= sizeof frame) {
            memcpy(request->frame[request->n_frames], frame, (size_t)size);
            request->size[request->n_frames] = (size_t)size;
        }
        size_t more_size = sizeof more;
        zmq_getsockopt(zap, ZMQ_RCVMORE, &more, &more_size);
    }
    return true;
}

static bool frame_is(const zap_request *request, int i_frame, const char *text)
{
    return request->size[i_frame] == strlen(text) &&
           memcmp(request->frame[i_frame], text, request->size[i_frame]) == 0;
}

/* Whether the client may in; `name` is who it is, "" if nobody; `reason` is for the log. */
static bool judge_request(sl_clients *clients, const zap_request *request, const char **name,
                          const char **reason)
{
    char public_key[SL_KEY_TEXT_BYTES];
    *name = "";
    *reason = "not a CURVE request";
    if (request->n_frames != ZAP_FRAMES || !frame_is(request, 0, "1.0") ||
        !frame_is(request, 5, "CURVE") || request->size[6] != 32 ||
        zmq_z85_encode(public_key, request->frame[6], 32) == NULL) {
        return false;
    }
    *reason = "no file in the clients folder holds this key";
    const char *found = sl_clients_name_of(clients, public_key);
    if (found == NULL) {
        return false;
    }
    *name = found;
    *reason = "the client's rights do not include this listener";
    for (unsigned bit = SL_RIGHT_INGEST; bit <= SL_RIGHT_ADMIN; bit <<= 1) {
        if (frame_is(request, 2, sl_right_name((sl_right)bit))) {
            return sl_clients_may(clients, found, (sl_right)bit);
        }
    }
    return false;
}

static bool answer_request(void *zap, const zap_request *request, bool admitted, const char *name)
{
    const char *code = admitted ? "200" : "400";
    const char *text = admitted ? "OK" : "refused";
    const char *user = admitted ? name : "";
    return zmq_send(zap, "1.0", 3, ZMQ_SNDMORE) >= 0 &&
           zmq_send(zap, request->frame[1], request->size[1], ZMQ_SNDMORE) >= 0 &&
           zmq_send(zap, code, 3, ZMQ_SNDMORE) >= 0 &&
           zmq_send(zap, text, strlen(text), ZMQ_SNDMORE) >= 0 &&
           zmq_send(zap, user, strlen(user), ZMQ_SNDMORE) >= 0 && zmq_send(zap, "", 0, 0) >= 0;
}

void sl_auth_run(sl_auth *auth)
{
    sl_log_limit limit = {0};
    zmq_pollitem_t item[2] = {{auth->zap, 0, ZMQ_POLLIN, 0}, {auth->stop, 0, ZMQ_POLLIN, 0}};
    for (;;) {
        if (zmq_poll(item, 2, -1) < 0) {
            if (errno == EINTR) {
                continue;
            }
            return;
        }
        if ((item[1].revents & ZMQ_POLLIN) != 0) {
            return;
        }
        zap_request request;
        const char *name = "", *reason = "";
        if (!receive_request(auth->zap, &request)) {
            return;
        }
        bool admitted = judge_request(auth->clients, &request, &name, &reason);
        if (!admitted && sl_log_allowed(&limit, 5)) {
            sl_log(1, "AUTH-REFUSED", "client=%s from=%.*s listener=%.*s: %s", name,
                   (int)request.size[3], (const char *)request.frame[3], (int)request.size[2],
                   (const char *)request.frame[2], reason);
        }
        if (!answer_request(auth->zap, &request, admitted, name)) {
            return;
        }
    }
}

void sl_auth_stop(void *zmq_context)
{
    void *socket = zmq_socket(zmq_context, ZMQ_PUSH);
    if (socket == NULL) {
        return;
    }
    int linger_ms = 1000;
    zmq_setsockopt(socket, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
    if (zmq_connect(socket, STOP_ENDPOINT) == 0) {
        zmq_send(socket, "", 0, ZMQ_DONTWAIT);
    }
    zmq_close(socket);
}

/* --- sockets --- */

static bool set_int(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof value) == 0;
}

sluice_status sl_auth_secure(void *socket, sl_right right, const sl_key *server,
                             sluice_message *why)
{
    const char *domain = sl_right_name(right);
    if (domain[0] == '\0') {
        return sluice_fail(why, SLUICE_E_CONFIG,
                           "a listener needs exactly one right to ask for; with an empty domain "
                           "everybody would be admitted");
    }
    if (!set_int(socket, ZMQ_CURVE_SERVER, 1) ||
        zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, server->secret_key, SL_KEY_TEXT_BYTES) != 0 ||
        zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, domain, strlen(domain)) != 0 ||
        !set_int(socket, ZMQ_ZAP_ENFORCE_DOMAIN, 1) || !set_int(socket, ZMQ_HANDSHAKE_IVL, 3000)) {
        return sluice_fail(why, SLUICE_E_CONFIG, "cannot secure the %s listener: %s", domain,
                           zmq_strerror(errno));
    }
    return SLUICE_OK;
}

const char *sl_auth_user(void *frame)
{
    const char *user = zmq_msg_gets(frame, "User-Id");
    return user != NULL && user[0] != '\0' ? user : NULL;
}

sluice_status sl_auth_join(void *socket, const char *key_file, const char *server_key_file,
                           sluice_message *why)
{
    if (server_key_file == NULL) {
        return sluice_fail(why, SLUICE_E_CONFIG,
                           "a key needs the filter's public key too (--server-key FILE)");
    }
    sl_key own, server;
    SLUICE_TRY(sl_key_read(key_file, true, &own, why));
    SLUICE_TRY(sl_key_read(server_key_file, false, &server, why));
    if (zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, server.public_key, SL_KEY_TEXT_BYTES) != 0 ||
        zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, own.public_key, SL_KEY_TEXT_BYTES) != 0 ||
        zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, own.secret_key, SL_KEY_TEXT_BYTES) != 0) {
        return sluice_fail(why, SLUICE_E_CONFIG, "cannot use the key %s: %s", key_file,
                           zmq_strerror(errno));
    }
    return SLUICE_OK;
}

/* --- what may listen where --- */

bool sl_endpoint_is_local(const char *endpoint)
{
    if (strncmp(endpoint, "ipc://", 6) == 0 || strncmp(endpoint, "inproc://", 9) == 0) {
        return true;
    }
    const char *host = strncmp(endpoint, "tcp://", 6) == 0 ? endpoint + 6 : endpoint;
    const char *colon = strrchr(host, ':');
    size_t size = colon != NULL ? (size_t)(colon - host) : strlen(host);
    if ((size == 9 && strncmp(host, "localhost", 9) == 0) ||
        (size == 5 && strncmp(host, "[::1]", 5) == 0) ||
        (size == 2 && strncmp(host, "lo", 2) == 0)) {
        return true;
    }
    /* 127.0.0.0/8 written as four numbers; a host name that starts with "127." is not one. */
    return size > 4 && strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == size;
}

sluice_status sl_auth_check_listen(const sluice_config *config, sluice_message *why)
{
    bool has_server = config->security.server_key[0] != '\0';
    bool has_clients = config->security.clients[0] != '\0';
    if (has_server != has_clients) {
        return sluice_fail(
            why, SLUICE_E_CONFIG, "security.%s is set but security.%s is not: keys need both",
            has_server ? "server_key" : "clients", has_server ? "clients" : "server_key");
    }
    const struct {
        const char *key, *endpoint;
    } listener[] = {{"ingest", config->listen.ingest},
                    {"egress", config->listen.egress},
                    {"pull", config->listen.pull},
                    {"push", config->listen.push}};
    for (size_t i = 0; i < sizeof listener / sizeof listener[0]; i++) {
        if (listener[i].endpoint[0] != '\0' && !sl_endpoint_is_local(listener[i].endpoint) &&
            !has_server && !config->security.insecure) {
            return sluice_fail(why, SLUICE_E_CONFIG,
                               "listen.%s: %s can be reached from other machines and anybody could "
                               "use it; set security.server_key and security.clients (sluice "
                               "keygen makes the keys), or security.insecure: true",
                               listener[i].key, listener[i].endpoint);
        }
    }
    bool http_open = config->listen.http[0] != '\0' && !sl_endpoint_is_local(config->listen.http);
    if (http_open && config->security.http_token[0] == '\0' && !config->security.insecure) {
        return sluice_fail(why, SLUICE_E_CONFIG,
                           "listen.http: %s can be reached from other machines and anybody could "
                           "read what the samples say; set security.http_token (a file with a "
                           "token), or security.insecure: true",
                           config->listen.http);
    }
    return SLUICE_OK;
}
