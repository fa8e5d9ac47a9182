/* request.h - one HTTP request as data: its path, its query, and whether it may be answered. */
#ifndef SL_REQUEST_H
#define SL_REQUEST_H

#include "status.h"
#include "sluice/sample.h"

#define SL_REQUEST_URI_BYTES   2048 /* path and query as they came; longer is 414 */
#define SL_REQUEST_TOKEN_BYTES 256
#define SL_REQUEST_TOKEN_LEAST 16

typedef struct sl_request {
    bool reads;                       /* GET or HEAD */
    char path[SL_REQUEST_URI_BYTES];  /* decoded, without NUL inside */
    char query[SL_REQUEST_URI_BYTES]; /* as it came, without "?" */
    const char *host;                 /* Borrows; NULL: there was none */
    const char *authorization;        /* Borrows; NULL: there was none */
} sl_request;

/* What came, apart. 0, or the HTTP code that says what is wrong: 400, 414. */
uint32_t sl_request_read(const char *method, const char *uri, const char *host,
                         const char *authorization, sl_request *out);

/* Copies the decoded value of `name` in the query; false if it is not there, does not fit or cannot
 * be decoded. */
bool sl_request_query(const sl_request *request, const char *name, char *out, size_t size);

/* A decimal number in the query, at most `max`; `otherwise` where there is none. */
uint64_t sl_request_count(const sl_request *request, const char *name, uint64_t otherwise,
                          uint64_t max);

/* Whether `host` names this filter by an address, as localhost, or as `listen` (host:port) does.
 * A page of another site that points its own name at us does not (DNS rebinding). */
bool sl_request_host_is_ours(const char *host, const char *listen);

/* Whether the header carries the token: "Bearer TOKEN", or "Basic" with any name and the token as
 * password, which a browser asks for. Takes the same time wherever they differ. */
bool sl_request_has_token(const char *authorization, const char *token);

#endif
