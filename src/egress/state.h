/* state.h - what egress knows, for the files that it is made of. */
#ifndef SL_EGRESS_STATE_H
#define SL_EGRESS_STATE_H

#include "egress/egress.h"
#include "egress/leases.h"
#include "egress/operations.h"
#include "egress/push.h"
#include "log.h"
#include "wire/router.h"

#include <stdatomic.h>

#define N_WAITING 1024

typedef struct waiting {
    sl_peer peer;
    sl_fetch fetch;
    int64_t until_us;
} waiting;

struct sl_egress {
    sl_egress_options options;
    sl_clients *clients; /* NULL: no CURVE */
    void *router;
    sl_push *push;
    bool push_in_flight;
    sl_leases *leases;
    sl_operations operations;
    waiting waiting[N_WAITING];
    uint32_t n_waiting;
    uint64_t seen_head; /* the log's end when the waiting were last looked at */
    atomic_bool stopping;
    sluice_bytes body, scratch;
    sluice_bytes set; /* pieces of the reference set `set_name` so far; one at a time */
    char set_name[64];
    sl_received received;
    sl_message answer;
    sl_log_limit limit;
};

/* egress->answer to a peer; false if it is gone or does not read. */
bool sl_egress_answer(sl_egress *egress, const sl_peer *peer, bool has_body);
void sl_egress_answer_error(sl_egress *egress, const sl_peer *peer, sl_code code, bool retry,
                            const char *text);
bool sl_egress_is_admin(const sl_egress *egress, const sl_received *received);
void sl_egress_start(sl_egress *egress, sl_operation *started); /* to the estimator */

/* --- references.c --- */

void sl_egress_take_reference(sl_egress *egress, sl_received *received);
void sl_egress_finish_reference(sl_egress *egress, sl_operation *done);

/* --- forget.c --- */

void sl_egress_take_forget(sl_egress *egress, const sl_received *received);
void sl_egress_finish_forget(sl_egress *egress, sl_operation *done);

#endif
