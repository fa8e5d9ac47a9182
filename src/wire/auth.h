/* auth.h - who may talk to the filter: the clients folder, the ZAP handler, CURVE on sockets. */
#ifndef SL_AUTH_H
#define SL_AUTH_H

#include "wire/keys.h"
#include "sluice/config.h"

#define SLUICE_LIMIT_CLIENTS 4096

/* --- the clients folder (files NAME.key): one view for each thread that asks --- */

typedef struct sl_clients sl_clients;

/* CONFIG: the folder cannot be read, a file in it is no key file, or two files hold one key. */
SLUICE_MUST_USE sluice_status sl_clients_open(const char *folder, sl_clients **out,
                                              sluice_message *why);
void sl_clients_close(sl_clients **clients_p);

/* The name that owns `public_key`, or NULL; lent until the next call. Looks first whether the
 * folder changed, at most ten times a second; a file that became unreadable shuts its client out
 * (AUTH-KEYFILE is logged). */
const char *sl_clients_name_of(sl_clients *clients, const char *public_key);

/* Whether NAME has the right now: lets a listener cut off a client whose file went while its
 * connection stays open (ZAP is asked at handshakes only). */
bool sl_clients_may(sl_clients *clients, const char *name, sl_right right);

/* --- the ZAP handler: one thread of the program --- */

typedef struct sl_auth sl_auth;

/* sl_auth_open - binds inproc://zeromq.zap.01; must come before the first sl_auth_secure listener
 * binds, or early handshakes fail (never: succeed).
 * zmq_context  Borrows, until after close. */
SLUICE_MUST_USE sluice_status sl_auth_open(void *zmq_context, const char *clients_folder,
                                           sl_auth **out, sluice_message *why);
void sl_auth_close(sl_auth **auth_p); /* by the thread that runs it, or after its end */

/* sl_auth_run - answers handshakes until sl_auth_stop or the end of the context. When it has
 * returned nobody new is admitted: the listeners enforce their domain. */
void sl_auth_run(sl_auth *auth);

/* sl_auth_stop - from any thread: makes sl_auth_run return. */
void sl_auth_stop(void *zmq_context);

/* sl_auth_secure - makes `socket` a CURVE server that admits clients with `right` only; before
 * bind. CONFIG when the right has no domain of its own: an empty domain would skip ZAP and admit
 * everyone. */
SLUICE_MUST_USE sluice_status sl_auth_secure(void *socket, sl_right right, const sl_key *server,
                                             sluice_message *why);

/* The authenticated name of a received frame (`zmq_msg_t *`), NULL on a plain socket. Lends. */
const char *sl_auth_user(void *frame);

/* sl_auth_join - makes `socket` a CURVE client, before connect. */
SLUICE_MUST_USE sluice_status sl_auth_join(void *socket, const char *key_file,
                                           const char *server_key_file, sluice_message *why);

/* sl_auth_check_listen - CONFIG if a listener of `config` can be reached from other machines
 * without keys and `security.insecure` is not set, or if the keys are half configured. */
SLUICE_MUST_USE sluice_status sl_auth_check_listen(const sluice_config *config,
                                                   sluice_message *why);

/* True if a ZeroMQ endpoint or host:port can only be reached from this machine. */
bool sl_endpoint_is_local(const char *endpoint);

#endif
