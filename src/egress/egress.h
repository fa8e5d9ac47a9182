/* egress.h - gives kept samples to consumers and remembers what they have done with them. */
#ifndef SL_EGRESS_H
#define SL_EGRESS_H

#include "egress/operations.h"
#include "ring.h"
#include "sluice/config.h"
#include "wire/auth.h"

typedef struct sl_egress sl_egress;

typedef struct sl_egress_options {
    void *zmq_context;           /* Borrows */
    const sluice_config *config; /* Borrows */
    sl_spool *spool;             /* Borrows; read only here */
    sl_ring *estimator;          /* out: commits and rejections, in order with the samples   */
    sl_ring *done;               /* in: the same once durable; woken when the log has grown  */
    const sl_key *server_key;    /* Borrows; NULL: no CURVE, everybody may               */
} sl_egress_options;

/* Binds listen.egress and listen.push. */
SLUICE_MUST_USE sluice_status sl_egress_open(const sl_egress_options *options, sl_egress **out,
                                             sluice_message *why);
void sl_egress_close(sl_egress **egress_p);

void sl_egress_run(sl_egress *egress);  /* until stopped and everything taken is answered */
void sl_egress_stop(sl_egress *egress); /* any thread */

#endif
