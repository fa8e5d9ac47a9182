/* request.h - one HTTP request as data: its path, its query, and whether it may be answered. */
#ifndef SL_REQUEST_H
#define SL_REQUEST_H

#include "status.h"
#include "sluice/sample.h"

#define SL_REQUEST_URI_BYTES   2048 /* path and query as they came; longer is 414 */
#define SL_REQUEST_TOKEN_BYTES 256
#define SL_REQUEST_TOKEN_LEAST 16
#define SL_REQUEST_BODY_BYTES  1024 /* of a POST; longer is 413 */

/* What came. Borrows all; a header that was not there is NULL. */
typedef struct sl_request_head {
    const char *method, *uri; /* path and query, encoded */
    const char *host, *authorization, *origin, *content_type;
    const char *fetch_site; /* Sec-Fetch-Site: a browser says whose page asks */
    const char *x_sluice;   /* X-Sluice: no page of another site can send it unasked */
    sluice_span body;       /* at most SL_REQUEST_BODY_BYTES; beyond, `cut` */
    bool cut;
} sl_request_head;

typedef struct sl_request {
    bool reads, posts;                /* GET or HEAD; POST */
    char path[SL_REQUEST_URI_BYTES];  /* decoded, without NUL inside */
    char query[SL_REQUEST_URI_BYTES]; /* as it came, without "?" */
    sl_request_head head;
} sl_request;

/* What came, apart. 0, or the HTTP code that says what is wrong: 400, 414. */
uint32_t sl_request_read(const sl_request_head *head, sl_request *out);

/* Copies the decoded value of `name` in the query; false if it is not there, does not fit or cannot
 * be decoded. */
bool sl_request_query(const sl_request *request, const char *name, char *out, size_t size);

/* A decimal number in the query, at most `max`; `otherwise` where there is none. */
uint64_t sl_request_count(const sl_request *request, const char *name, uint64_t otherwise,
                          uint64_t max);

/* Whether `host` names this filter by an address, as localhost, or as `listen` (host:port) does.
 * A page of another site that points its own name at us does not (DNS rebinding). */
bool sl_request_host_is_ours(const char *host, const char *listen);

/* Whether only programs of this machine reach `listen` (host:port). */
bool sl_request_is_loopback(const char *listen);

/* sl_request_may_change - whether a request that may be answered may change something too.
 *
 * A page of another site can make a browser send a request here, with the password that it knows.
 * So one that changes something carries a header and a type that such a page cannot set without
 * being allowed to (which we never do), and where the browser says whose page it is, ours.
 * Returns  0, or the HTTP code, and `why`: 403, 413, 415. */
uint32_t sl_request_may_change(const sl_request *request, const char **why);

/* Whether the header carries the token: "Bearer TOKEN", or "Basic" with any name and the token as
 * password, which a browser asks for. Takes the same time wherever they differ. */
bool sl_request_has_token(const char *authorization, const char *token);

#endif
