/* http.h - listens on listen.http and answers: metrics, API, live tap. */
#ifndef SL_HTTP_H
#define SL_HTTP_H

#include "watch/api.h"

#define SL_HTTP_CONNECTIONS 256 /* at once */
#define SL_HTTP_FROM_ONE    128 /* of them from one address */
#define SL_HTTP_REQUEST_S   15  /* from a connection, or the end of an answer, to a whole request */
#define SL_HTTP_ANSWER_S    60  /* to take an answer; the tap has no end */

typedef struct sl_http sl_http;

/* Borrows what the options borrow. Listens when it returns; answers in run. CONFIG: the token file;
 * IO: the address cannot be had. */
SLUICE_MUST_USE sluice_status sl_http_open(const sl_api_options *options, sl_http **out,
                                           sluice_message *why);
void sl_http_close(sl_http **http_p); /* Takes; NULL ok; not while it runs */

void sl_http_run(sl_http *http);  /* one thread, until stopped */
void sl_http_stop(sl_http *http); /* any thread */

#endif
