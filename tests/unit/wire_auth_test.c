/* wire_auth_test.c - key files, the clients folder, and who gets through a secured listener. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "wire/auth.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#define ADMITTED_MS 3000 /* at most; usually a few */
#define REFUSED_MS  400

static char folder[64], clients[80], path[128];

static const char *in_folder(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/sluice-auth-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    snprintf(clients, sizeof clients, "%s/clients", folder);
    return mkdir(clients, 0700);
}

static int tear_down(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

/* A key pair NAME.key with its secret in the folder, and its public part in clients/. */
static void make_client(const char *name, uint32_t rights, bool listed)
{
    sl_key key;
    sluice_message why;
    char file[200];
    assert_int_equal(sl_key_make(&key, &why), SLUICE_OK);
    key.rights = rights;
    snprintf(file, sizeof file, "%s/%s.key", folder, name);
    assert_int_equal(sl_key_write(file, name, &key, true, &why), SLUICE_OK);
    if (listed) {
        snprintf(file, sizeof file, "%s/%s.key", clients, name);
        assert_int_equal(sl_key_write(file, name, &key, false, &why), SLUICE_OK);
    }
}

static void write_file(const char *file, const char *text, mode_t mode)
{
    FILE *stream = fopen(file, "w");
    assert_non_null(stream);
    fputs(text, stream);
    fclose(stream);
    assert_int_equal(chmod(file, mode), 0);
}

/* --- key files --- */

static void test_key_written_and_read_is_the_same_and_private(void **state)
{
    (void)state;
    sl_key key, again;
    sluice_message why = {""};
    assert_int_equal(sl_key_make(&key, &why), SLUICE_OK);
    key.rights = SL_RIGHT_INGEST | SL_RIGHT_ADMIN;
    assert_int_equal(sl_key_write(in_folder("a.key"), "a", &key, true, &why), SLUICE_OK);
    struct stat about;
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0600);
    assert_int_equal(sl_key_read(path, true, &again, &why), SLUICE_OK);
    assert_memory_equal(&key, &again, sizeof key);
    assert_int_equal(sl_key_write(in_folder("a.pub"), "a", &key, false, &why), SLUICE_OK);
    assert_int_equal(sl_key_read(path, false, &again, &why), SLUICE_OK);
    assert_string_equal(again.secret_key, "");
    assert_int_equal(sl_key_read(path, true, &again, &why), SLUICE_E_CONFIG);
    assert_non_null(strstr(why.text, "secret"));
}

static void test_key_write_never_overwrites(void **state)
{
    (void)state;
    sl_key key;
    sluice_message why = {""};
    assert_int_equal(sl_key_make(&key, &why), SLUICE_OK);
    write_file(in_folder("b.key"), "mine\n", 0600);
    assert_int_equal(sl_key_write(path, "b", &key, true, &why), SLUICE_E_CONFIG);
    assert_non_null(strstr(why.text, "b.key"));
    char text[16] = "";
    FILE *stream = fopen(path, "r");
    assert_non_null(fgets(text, sizeof text, stream));
    fclose(stream);
    assert_string_equal(text, "mine\n");
}

static void test_key_read_faults_name_file_and_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } table[] = {
        {"public abc\n", "bad.key:1"},
        {"# a\n\nsecrets x\n", "bad.key:3"},
        {"public rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7\nrights ingest fly\n", "'fly'"},
        {"public rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]y~7\n", "Z85"},
        {"rights ingest\n", "no 'public'"},
        {"", "no 'public'"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        sl_key key;
        sluice_message why = {""};
        write_file(in_folder("bad.key"), table[i].text, 0600);
        assert_int_equal(sl_key_read(path, false, &key, &why), SLUICE_E_CONFIG);
        if (strstr(why.text, table[i].words) == NULL) {
            fail_msg("'%s' does not say %s", why.text, table[i].words);
        }
    }
    sl_key key;
    sluice_message why = {""};
    assert_int_equal(sl_key_read(in_folder("none.key"), false, &key, &why), SLUICE_E_CONFIG);
    assert_int_equal(sl_key_read(folder, false, &key, &why), SLUICE_E_CONFIG);
}

static void test_key_read_at_and_beyond_the_size_limit(void **state)
{
    (void)state;
    sl_key key;
    sluice_message why = {""};
    static char text[SLUICE_LIMIT_KEYFILE_BYTES + 2];
    int size = snprintf(text, sizeof text, "public rq:rM>}U?@Lns47E1%%kR.o@n%%FcmmsL/@{H8]yf7\n#");
    memset(text + size, 'x', sizeof text - 1 - (size_t)size);
    text[SLUICE_LIMIT_KEYFILE_BYTES] = '\0';
    write_file(in_folder("big.key"), text, 0600);
    assert_int_equal(sl_key_read(path, false, &key, &why), SLUICE_OK);
    text[SLUICE_LIMIT_KEYFILE_BYTES] = 'x';
    write_file(in_folder("big.key"), text, 0600);
    assert_int_equal(sl_key_read(path, false, &key, &why), SLUICE_E_CONFIG);
}

static void test_key_read_secret_that_others_may_read_is_refused(void **state)
{
    (void)state;
    make_client("open", SL_RIGHT_INGEST, false);
    sl_key key;
    sluice_message why = {""};
    assert_int_equal(chmod(in_folder("open.key"), 0640), 0);
    assert_int_equal(sl_key_read(path, true, &key, &why), SLUICE_E_CONFIG);
    assert_non_null(strstr(why.text, "chmod 600"));
}

/* --- the clients folder --- */

static void test_clients_folder_is_read_again_when_it_changes(void **state)
{
    (void)state;
    make_client("alice", SL_RIGHT_INGEST, true);
    sl_clients *view = NULL;
    sluice_message why = {""};
    assert_int_equal(sl_clients_open(clients, &view, &why), SLUICE_OK);
    assert_true(sl_clients_may(view, "alice", SL_RIGHT_INGEST));
    assert_false(sl_clients_may(view, "alice", SL_RIGHT_EGRESS));
    assert_false(sl_clients_may(view, "bob", SL_RIGHT_INGEST));
    make_client("bob", SL_RIGHT_EGRESS, true);
    usleep(150000);
    assert_true(sl_clients_may(view, "bob", SL_RIGHT_EGRESS));
    sl_key key;
    assert_int_equal(sl_key_read(in_folder("bob.key"), true, &key, &why), SLUICE_OK);
    assert_string_equal(sl_clients_name_of(view, key.public_key), "bob");
    unlink(in_folder("clients/bob.key"));
    write_file(in_folder("clients/alice.key"), "public broken\n", 0600);
    usleep(150000);
    assert_false(sl_clients_may(view, "bob", SL_RIGHT_EGRESS));
    assert_null(sl_clients_name_of(view, key.public_key));
    assert_false(sl_clients_may(view, "alice", SL_RIGHT_INGEST));
    sl_clients_close(&view);
    assert_int_equal(sl_clients_open(clients, &view, &why), SLUICE_E_CONFIG);
    assert_non_null(strstr(why.text, "alice.key:1"));
}

static void test_clients_one_key_under_two_names_is_refused(void **state)
{
    (void)state;
    make_client("alice", SL_RIGHT_INGEST, true);
    char command[300];
    snprintf(command, sizeof command, "cp %s/alice.key %s/eve.key", clients, clients);
    assert_int_equal(system(command), 0);
    sl_clients *view = NULL;
    sluice_message why = {""};
    assert_int_equal(sl_clients_open(clients, &view, &why), SLUICE_E_CONFIG);
    assert_non_null(strstr(why.text, "eve.key"));
    assert_non_null(strstr(why.text, "alice.key"));
}

/* --- a secured listener --- */

typedef struct listening {
    void *context, *listener;
    sl_auth *auth;
    pthread_t thread;
    char endpoint[64];
} listening;

static void *run_auth(void *auth)
{
    sl_auth_run(auth);
    return NULL;
}

static void start_server(listening *server, sl_right right)
{
    sluice_message why = {""};
    make_client("server", 0, false);
    sl_key key;
    assert_int_equal(sl_key_read(in_folder("server.key"), true, &key, &why), SLUICE_OK);
    server->context = zmq_ctx_new();
    if (sl_auth_open(server->context, clients, &server->auth, &why) != SLUICE_OK) {
        fail_msg("%s", why.text);
    }
    assert_int_equal(pthread_create(&server->thread, NULL, run_auth, server->auth), 0);
    server->listener = zmq_socket(server->context, ZMQ_ROUTER);
    int no_linger = 0;
    zmq_setsockopt(server->listener, ZMQ_LINGER, &no_linger, sizeof no_linger);
    assert_int_equal(sl_auth_secure(server->listener, right, &key, &why), SLUICE_OK);
    assert_int_equal(zmq_bind(server->listener, "tcp://127.0.0.1:*"), 0);
    size_t size = sizeof server->endpoint;
    assert_int_equal(zmq_getsockopt(server->listener, ZMQ_LAST_ENDPOINT, server->endpoint, &size),
                     0);
}

static void stop_auth(listening *server)
{
    sl_auth_stop(server->context);
    pthread_join(server->thread, NULL);
    sl_auth_close(&server->auth);
}

static void stop_server(listening *server)
{
    if (server->auth != NULL) {
        stop_auth(server);
    }
    zmq_close(server->listener);
    zmq_ctx_term(server->context);
}

/* The User-Id under which a message of this client arrives; "" if none arrives. */
static void user_of(listening *server, const char *client_name, const char *server_key, char *user,
                    int wait_ms)
{
    user[0] = '\0';
    void *context = zmq_ctx_new();
    void *socket = zmq_socket(context, ZMQ_DEALER);
    int no_linger = 0;
    zmq_setsockopt(socket, ZMQ_LINGER, &no_linger, sizeof no_linger);
    if (client_name != NULL) {
        char own[200], servers[200];
        sluice_message why = {""};
        snprintf(own, sizeof own, "%s/%s.key", folder, client_name);
        snprintf(servers, sizeof servers, "%s/%s.key", folder, server_key);
        assert_int_equal(sl_auth_join(socket, own, servers, &why), SLUICE_OK);
    }
    assert_int_equal(zmq_connect(socket, server->endpoint), 0);
    zmq_send(socket, "hello", 5, ZMQ_DONTWAIT);
    zmq_setsockopt(server->listener, ZMQ_RCVTIMEO, &wait_ms, sizeof wait_ms);
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    while (zmq_msg_recv(&frame, server->listener, 0) >= 0) {
        bool last = zmq_msg_more(&frame) == 0;
        if (last) {
            assert_int_equal(zmq_msg_size(&frame), 5);
            snprintf(user, SLUICE_LIMIT_CLIENT_NAME + 1, "%s",
                     sl_auth_user(&frame) != NULL ? sl_auth_user(&frame) : "(nobody)");
            break;
        }
    }
    zmq_msg_close(&frame);
    zmq_close(socket);
    zmq_ctx_term(context);
}

static void test_listener_admits_a_listed_client_under_its_name(void **state)
{
    (void)state;
    make_client("alice", SL_RIGHT_INGEST, true);
    listening server;
    start_server(&server, SL_RIGHT_INGEST);
    char user[SLUICE_LIMIT_CLIENT_NAME + 1];
    user_of(&server, "alice", "server", user, ADMITTED_MS);
    assert_string_equal(user, "alice");
    stop_server(&server);
}

static void test_listener_refuses_everybody_else(void **state)
{
    (void)state;
    make_client("alice", SL_RIGHT_INGEST, true);
    make_client("reader", SL_RIGHT_EGRESS | SL_RIGHT_ADMIN, true);
    make_client("stranger", SL_RIGHT_INGEST, false);
    listening server;
    start_server(&server, SL_RIGHT_INGEST);
    static const struct {
        const char *client, *server_key;
    } table[] = {
        {NULL, NULL},           /* no key             */
        {"alice", "stranger"},  /* wrong server key   */
        {"stranger", "server"}, /* unlisted           */
        {"reader", "server"},   /* right missing      */
    };
    char user[SLUICE_LIMIT_CLIENT_NAME + 1];
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        user_of(&server, table[i].client, table[i].server_key, user, REFUSED_MS);
        assert_string_equal(user, "");
    }
    user_of(&server, "alice", "server", user, ADMITTED_MS); /* it was not the listener's fault */
    assert_string_equal(user, "alice");
    stop_server(&server);
}

static void test_listener_refuses_a_revoked_key(void **state)
{
    (void)state;
    make_client("alice", SL_RIGHT_INGEST, true);
    listening server;
    start_server(&server, SL_RIGHT_INGEST);
    char user[SLUICE_LIMIT_CLIENT_NAME + 1];
    user_of(&server, "alice", "server", user, ADMITTED_MS);
    assert_string_equal(user, "alice");
    usleep(150000);
    unlink(in_folder("clients/alice.key"));
    user_of(&server, "alice", "server", user, REFUSED_MS);
    assert_string_equal(user, "");
    stop_server(&server);
}

static void test_listener_without_its_handler_admits_nobody(void **state)
{
    (void)state;
    make_client("alice", SL_RIGHT_INGEST, true);
    listening server;
    start_server(&server, SL_RIGHT_INGEST);
    stop_auth(&server);
    char user[SLUICE_LIMIT_CLIENT_NAME + 1];
    user_of(&server, "alice", "server", user, REFUSED_MS);
    assert_string_equal(user, "");
    stop_server(&server);
}

static void test_secure_refuses_an_empty_domain(void **state)
{
    (void)state;
    sl_key key;
    sluice_message why = {""};
    assert_int_equal(sl_key_make(&key, &why), SLUICE_OK);
    void *context = zmq_ctx_new();
    void *socket = zmq_socket(context, ZMQ_ROUTER);
    sl_right wrong[] = {0, SL_RIGHT_INGEST | SL_RIGHT_EGRESS};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(sl_auth_secure(socket, wrong[i], &key, &why), SLUICE_E_CONFIG);
        assert_non_null(strstr(why.text, "domain"));
    }
    zmq_close(socket);
    zmq_ctx_term(context);
}

static void test_join_needs_the_servers_key(void **state)
{
    (void)state;
    make_client("alice", SL_RIGHT_INGEST, false);
    sluice_message why = {""};
    assert_int_equal(sl_auth_join(NULL, in_folder("alice.key"), NULL, &why), SLUICE_E_CONFIG);
    assert_non_null(strstr(why.text, "--server-key"));
}

/* --- what may listen where --- */

static void test_endpoint_local_or_not(void **state)
{
    (void)state;
    static const char *const local[] = {
        "tcp://127.0.0.1:5570", "tcp://127.8.9.1:1", "tcp://[::1]:5570", "tcp://localhost:5570",
        "ipc:///run/sluice",    "inproc://x",        "127.0.0.1:9570",   "localhost:9570"};
    static const char *const open[] = {"tcp://*:5570",
                                       "tcp://0.0.0.0:5570",
                                       "tcp://192.168.1.4:5570",
                                       "tcp://eth0:5570",
                                       "tcp://[::]:5570",
                                       "tcp://127.evil.example:1",
                                       "0.0.0.0:9570",
                                       ":9570",
                                       "tcp://localhost.example:1"};
    for (size_t i = 0; i < sizeof local / sizeof local[0]; i++) {
        assert_true(sl_endpoint_is_local(local[i]));
    }
    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++) {
        assert_false(sl_endpoint_is_local(open[i]));
    }
}

static void test_check_listen_open_port_needs_keys_or_insecure(void **state)
{
    (void)state;
    sluice_config config = {0};
    sluice_message why = {""};
    strcpy(config.listen.ingest, "tcp://127.0.0.1:5570");
    assert_int_equal(sl_auth_check_listen(&config, &why), SLUICE_OK);
    char *listeners[] = {config.listen.ingest, config.listen.egress, config.listen.pull,
                         config.listen.push};
    for (size_t i = 0; i < 4; i++) {
        sluice_config open = {0};
        char *listener = (char *)&open + (listeners[i] - (char *)&config);
        strcpy(listener, "tcp://*:5570");
        assert_int_equal(sl_auth_check_listen(&open, &why), SLUICE_E_CONFIG);
        assert_non_null(strstr(why.text, "tcp://*:5570"));
        open.security.insecure = true;
        assert_int_equal(sl_auth_check_listen(&open, &why), SLUICE_OK);
        open.security.insecure = false;
        strcpy(open.security.server_key, "server.key");
        assert_int_equal(sl_auth_check_listen(&open, &why), SLUICE_E_CONFIG);
        assert_non_null(strstr(why.text, "security.clients"));
        strcpy(open.security.clients, "clients");
        assert_int_equal(sl_auth_check_listen(&open, &why), SLUICE_OK);
    }
}

static void test_check_listen_open_http_needs_token_or_insecure(void **state)
{
    (void)state;
    sluice_config config = {0};
    sluice_message why = {""};
    strcpy(config.listen.http, "0.0.0.0:9570");
    strcpy(config.security.server_key, "server.key"); /* not its business */
    strcpy(config.security.clients, "clients");
    assert_int_equal(sl_auth_check_listen(&config, &why), SLUICE_E_CONFIG);
    assert_non_null(strstr(why.text, "security.http_token"));
    config.security.insecure = true;
    assert_int_equal(sl_auth_check_listen(&config, &why), SLUICE_OK);
    config.security.insecure = false;
    strcpy(config.security.http_token, "token");
    assert_int_equal(sl_auth_check_listen(&config, &why), SLUICE_OK);
}

int main(void)
{
#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        IN_A_FOLDER(test_key_written_and_read_is_the_same_and_private),
        IN_A_FOLDER(test_key_write_never_overwrites),
        IN_A_FOLDER(test_key_read_faults_name_file_and_line),
        IN_A_FOLDER(test_key_read_at_and_beyond_the_size_limit),
        IN_A_FOLDER(test_key_read_secret_that_others_may_read_is_refused),
        IN_A_FOLDER(test_clients_folder_is_read_again_when_it_changes),
        IN_A_FOLDER(test_clients_one_key_under_two_names_is_refused),
        IN_A_FOLDER(test_listener_admits_a_listed_client_under_its_name),
        IN_A_FOLDER(test_listener_refuses_everybody_else),
        IN_A_FOLDER(test_listener_refuses_a_revoked_key),
        IN_A_FOLDER(test_listener_without_its_handler_admits_nobody),
        cmocka_unit_test(test_secure_refuses_an_empty_domain),
        IN_A_FOLDER(test_join_needs_the_servers_key),
        cmocka_unit_test(test_endpoint_local_or_not),
        cmocka_unit_test(test_check_listen_open_port_needs_keys_or_insecure),
        cmocka_unit_test(test_check_listen_open_http_needs_token_or_insecure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
