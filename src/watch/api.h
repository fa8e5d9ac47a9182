/* api.h - what is answered to one HTTP request; no socket here. */
#ifndef SL_API_H
#define SL_API_H

#include "watch/changes.h"
#include "watch/request.h"
#include "watch/search.h"
#include "watch/tap.h"
#include "watch/view.h"

typedef struct sl_api_options {
    sl_view_options view;
    sl_ring *estimator; /* Borrows: where a wish for a snapshot is pushed; NULL: nobody publishes */
    sl_ring *ingest;    /* Borrows: where a sample to restore is pushed; NULL: no changes */
} sl_api_options;

typedef enum sl_answer_kind {
    SL_ANSWER_BODY,
    SL_ANSWER_TAP,    /* 200, then what `watcher` has, until one side ends */
    SL_ANSWER_SEARCH, /* not known yet: step `search`, then sl_api_found */
    SL_ANSWER_ORDER   /* not done yet: step `order`, then sl_api_done */
} sl_answer_kind;

typedef struct sl_answer {
    sl_answer_kind kind;
    uint32_t code;
    const char *type;           /* of the body; static */
    const char *header, *value; /* one more header; static, NULL = none */
    sluice_bytes body;          /* owned by whoever holds the answer */
    sl_watcher *watcher;        /* to leave by sl_api_leave */
    sl_search *search;          /* to end by sl_api_found or sl_api_leave */
    sl_order *order;            /* to end by sl_api_done or sl_api_leave */
} sl_answer;

typedef struct sl_api sl_api;

/* Reads security.http_token. CONFIG: the file cannot be used. */
SLUICE_MUST_USE sluice_status sl_api_open(const sl_api_options *options, sl_api **out,
                                          sluice_message *why);
void sl_api_close(sl_api **api_p);

/* Ten times a second: wishes for a snapshot, reads on in the log. */
void sl_api_tick(sl_api *api, int64_t now_us);

/* head  Borrows until the return. */
void sl_api_answer(sl_api *api, const sl_request_head *head, sl_answer *answer);
/* The search of `answer` has ended: it becomes a body. */
void sl_api_found(sl_api *api, sl_answer *answer);
/* So has its order, or nobody waits for it any longer. */
void sl_api_done(sl_api *api, sl_answer *answer);
void sl_api_leave(sl_api *api, sl_answer *answer); /* frees what it holds; it is empty again */

/* {"error": text} */
void sl_api_refuse(sl_answer *answer, uint32_t code, const char *text);

#endif
