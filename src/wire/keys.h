/* keys.h - key files: one CURVE key, whole or its public part, with the rights of its owner.
 *
 * A key file is text, one word and its value a line, '#' starts a comment line:
 *     public  40 characters Z85      may be shown to anyone
 *     secret  40 characters Z85      only in the file of its owner, which must be mode 0600
 *     rights  ingest egress admin    what the filter lets this client do; read in clients/NAME.key
 * The same form serves the server key, a client's own key, and clients/NAME.key at the filter
 * (whose `secret` is not needed there). NAME is 1..64 of A-Z a-z 0-9 . _ - and does not start with
 * a dot. */
#ifndef SL_KEYS_H
#define SL_KEYS_H

#include "status.h"

#include <stdbool.h>
#include <stdint.h>

#define SL_KEY_TEXT_BYTES          41 /* Z85 and NUL */
#define SLUICE_LIMIT_CLIENT_NAME   64
#define SLUICE_LIMIT_KEYFILE_BYTES 4096

/* Bits. A listener's ZAP domain is the name of the right that it asks for. */
typedef enum sl_right { SL_RIGHT_INGEST = 1, SL_RIGHT_EGRESS = 2, SL_RIGHT_ADMIN = 4 } sl_right;

typedef struct sl_key {
    char public_key[SL_KEY_TEXT_BYTES];
    char secret_key[SL_KEY_TEXT_BYTES]; /* "" = the file has none  */
    uint32_t rights;                    /* SL_RIGHT_ bits          */
} sl_key;

/* sl_key_make - a new pair with no rights. IO: libzmq was built without CURVE. */
SLUICE_MUST_USE sluice_status sl_key_make(sl_key *out, sluice_message *why);

/* sl_key_read - CONFIG with file, line and what was expected; also when a secret is wanted and
 * is missing or others may read the file. */
SLUICE_MUST_USE sluice_status sl_key_read(const char *path, bool want_secret, sl_key *out,
                                          sluice_message *why);

/* sl_key_write - makes `path`: 0600 with the secret, 0644 without. Never overwrites: CONFIG if
 * it is there. `name` goes into the comment at its head. */
SLUICE_MUST_USE sluice_status sl_key_write(const char *path, const char *name, const sl_key *key,
                                           bool with_secret, sluice_message *why);

/* "ingest,egress" or "ingest egress" to bits; CONFIG names the word it does not know. */
SLUICE_MUST_USE sluice_status sl_rights_parse(const char *text, uint32_t *rights,
                                              sluice_message *why);

/* True for the name of a client: what may stand before ".key". */
bool sl_client_name_valid(const char *name);

/* The name of one right, "" for anything else. */
const char *sl_right_name(sl_right right);

#endif
