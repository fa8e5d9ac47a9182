/* sessions.c - which connection speaks for which producer.
 *
 *   peer --hash--> head[4096] --> i_producer --> next_in_bucket...      chains through the sessions
 *
 * Why fenced connections are remembered: one that lost its name to a newer connection must hear
 * FENCED and stop; UNKNOWN_PRODUCER would make it say HELLO and the two would fence each other. */
#include "ingest/sessions.h"

#include <stdlib.h>
#include <time.h>
#include <xxhash.h>

#define N_BUCKETS 4096
#define N_FENCED  1024
#define NONE      UINT16_MAX

#define WINDOWS_BYTES    ((uint64_t)64 << 20)
#define WINDOW_BYTES_MIN ((uint64_t)64 << 10)
#define QUIET_US         (60 * INT64_C(1000000))

struct sl_sessions {
    sl_session session[SLUICE_LIMIT_PRODUCERS];
    uint16_t next_in_bucket[SLUICE_LIMIT_PRODUCERS];
    uint16_t head[N_BUCKETS];
    sl_peer fenced[N_FENCED];
    uint32_t n_fenced; /* ever; the ring holds the last N_FENCED */
};

_Static_assert(SLUICE_LIMIT_PRODUCERS < NONE, "a producer's number fits a chain link");

sluice_status sl_sessions_open(sl_sessions **out)
{
    *out = calloc(1, sizeof **out);
    if (*out == NULL) {
        return SLUICE_E_NOMEM;
    }
    for (uint32_t i = 0; i < N_BUCKETS; i++) {
        (*out)->head[i] = NONE;
    }
    for (uint32_t i = 0; i < SLUICE_LIMIT_PRODUCERS; i++) {
        (*out)->session[i].i_producer = i;
    }
    return SLUICE_OK;
}

void sl_sessions_close(sl_sessions **sessions_p)
{
    free(*sessions_p);
    *sessions_p = NULL;
}

static uint32_t bucket_of(const sl_peer *peer)
{
    return (uint32_t)(XXH3_64bits(peer->id, peer->size) % N_BUCKETS);
}

sl_session *sl_sessions_of_peer(sl_sessions *sessions, const sl_peer *peer)
{
    for (uint16_t i = sessions->head[bucket_of(peer)]; i != NONE; i = sessions->next_in_bucket[i]) {
        if (sl_peer_equal(&sessions->session[i].peer, peer)) {
            return &sessions->session[i];
        }
    }
    return NULL;
}

sl_session *sl_sessions_of_producer(sl_sessions *sessions, uint32_t i_producer)
{
    SLUICE_ASSERT(i_producer < SLUICE_LIMIT_PRODUCERS);
    return &sessions->session[i_producer];
}

static void unlink_session(sl_sessions *sessions, const sl_session *session)
{
    uint16_t *link = &sessions->head[bucket_of(&session->peer)];
    while (*link != NONE) {
        if (*link == session->i_producer) {
            *link = sessions->next_in_bucket[*link];
            return;
        }
        link = &sessions->next_in_bucket[*link];
    }
}

bool sl_sessions_bind(sl_sessions *sessions, uint32_t i_producer, const sl_peer *peer,
                      sl_peer *fenced)
{
    sl_session *session = sl_sessions_of_producer(sessions, i_producer);
    sl_session *other = sl_sessions_of_peer(sessions, peer);
    if (other != NULL && other != session) { /* the connection spoke for another name until now */
        unlink_session(sessions, other);
        other->live = false;
        other->peer.size = 0;
    }
    bool had_other = session->peer.size > 0 && !sl_peer_equal(&session->peer, peer);
    if (had_other) {
        *fenced = session->peer;
        sessions->fenced[sessions->n_fenced++ % N_FENCED] = session->peer;
    }
    if (session->peer.size > 0) {
        unlink_session(sessions, session);
    }
    session->peer = *peer;
    session->live = true;
    uint32_t bucket = bucket_of(peer);
    sessions->next_in_bucket[i_producer] = sessions->head[bucket];
    sessions->head[bucket] = (uint16_t)i_producer;
    return had_other;
}

bool sl_sessions_fenced(const sl_sessions *sessions, const sl_peer *peer)
{
    uint32_t n = sessions->n_fenced < N_FENCED ? sessions->n_fenced : N_FENCED;
    for (uint32_t i = 0; i < n; i++) {
        if (sl_peer_equal(&sessions->fenced[i], peer)) {
            return true;
        }
    }
    return false;
}

uint64_t sl_sessions_window(sl_sessions *sessions, int64_t now_us)
{
    uint64_t n_talking = 1;
    for (uint32_t i = 0; i < SLUICE_LIMIT_PRODUCERS; i++) {
        const sl_session *session = &sessions->session[i];
        n_talking += session->live && now_us - session->seen_us < QUIET_US;
    }
    uint64_t share = WINDOWS_BYTES / n_talking;
    share = share > SL_WINDOW_BYTES_MAX ? SL_WINDOW_BYTES_MAX : share;
    return share < WINDOW_BYTES_MIN ? WINDOW_BYTES_MIN : share;
}

int64_t sl_sessions_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}
