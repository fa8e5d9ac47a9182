/* sessions.h - which connection speaks for which producer. */
#ifndef SL_SESSIONS_H
#define SL_SESSIONS_H

#include "job.h"
#include "wire/router.h"

#define SL_WINDOW_BYTES_MAX ((uint64_t)8 << 20) /* unacknowledged, of one producer */

typedef struct sl_sessions sl_sessions;

/* One producer's connection. Numbers are the owner's to change. */
typedef struct sl_session {
    bool live;     /* said HELLO and was not found gone since                   */
    bool owes_ack; /* an ACK could not be sent yet                              */
    sl_peer peer;
    uint32_t i_producer;
    uint64_t in_flight_bytes; /* of the producer, over all its connections                 */
    uint64_t window_bytes;    /* as last told                                              */
    int64_t seen_us;
    sl_tally untold; /* of its samples, since the last ACK                      */
} sl_session;

SLUICE_MUST_USE sluice_status sl_sessions_open(sl_sessions **out); /* Gives *out     */
void sl_sessions_close(sl_sessions **sessions_p);                  /* Takes; NULL ok */

int64_t sl_sessions_now_us(void); /* CLOCK_MONOTONIC */

/* The session of a connection; NULL if it has none. */
sl_session *sl_sessions_of_peer(sl_sessions *sessions, const sl_peer *peer);

/* The session of a producer, live or not. */
sl_session *sl_sessions_of_producer(sl_sessions *sessions, uint32_t i_producer);

/* Makes the connection speak for the producer; whoever did before is fenced. True if there was one
 * and it was another connection: `fenced` is its name. */
bool sl_sessions_bind(sl_sessions *sessions, uint32_t i_producer, const sl_peer *peer,
                      sl_peer *fenced);

/* True if this connection was fenced lately (the last 1,024 are known). */
bool sl_sessions_fenced(const sl_sessions *sessions, const sl_peer *peer);

/* The window of each producer: those that are talking (heard of in the last minute) share 64 MiB
 * alike, within 64 KiB and SL_WINDOW_BYTES_MAX. */
uint64_t sl_sessions_window(sl_sessions *sessions, int64_t now_us);

#endif
