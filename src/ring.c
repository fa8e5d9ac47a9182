/* ring.c - hand-over of pointers between threads, in order, through a fixed number of places.
 *
 *   push -> [ | | | ] -> pop      one mutex, one condition; an eventfd where the popper polls
 *
 * Why a mutex: an item is a message of 64 KiB or so, a few thousand a second; a lock-free queue
 * would save nothing that can be measured and cost every reader of this file an hour. */
#include "ring.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct sl_ring {
    pthread_mutex_t mutex;
    pthread_cond_t pushed;
    uint32_t capacity, first, n;
    bool ended;
    int fd; /* -1: not pollable */
    void *item[];
};

sluice_status sl_ring_open(uint32_t capacity, bool pollable, sl_ring **out)
{
    *out = NULL;
    sl_ring *ring = calloc(1, sizeof *ring + capacity * sizeof ring->item[0]);
    if (ring == NULL) {
        return SLUICE_E_NOMEM;
    }
    ring->capacity = capacity;
    ring->fd = pollable ? eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) : -1;
    if (pollable && ring->fd < 0) {
        free(ring);
        return SLUICE_E_IO;
    }
    pthread_mutex_init(&ring->mutex, NULL);
    pthread_cond_init(&ring->pushed, NULL);
    *out = ring;
    return SLUICE_OK;
}

void sl_ring_close(sl_ring **ring_p)
{
    sl_ring *ring = *ring_p;
    if (ring != NULL) {
        if (ring->fd >= 0) {
            close(ring->fd);
        }
        pthread_cond_destroy(&ring->pushed);
        pthread_mutex_destroy(&ring->mutex);
        free(ring);
        *ring_p = NULL;
    }
}

void sl_ring_wake(sl_ring *ring)
{
    const uint64_t one = 1;
    /* Full (2^64 - 2 wake-ups unread) is readable as well, so a failed write loses nothing. */
    ssize_t written = write(ring->fd, &one, sizeof one);
    (void)written;
}

void sl_ring_drain_fd(sl_ring *ring)
{
    uint64_t count;
    ssize_t got = read(ring->fd, &count, sizeof count);
    (void)got;
}

/* The descriptor is written only when the ring was empty: whoever was woken pops until it is.
 * Signalled without the mutex: whoever wakes may take the processor of a pusher of lower priority
 * at once, and would then wait for it. */
void sl_ring_push(sl_ring *ring, void *item)
{
    pthread_mutex_lock(&ring->mutex);
    SLUICE_ASSERT(ring->n < ring->capacity);
    bool was_empty = ring->n == 0;
    ring->item[(ring->first + ring->n) % ring->capacity] = item;
    ring->n++;
    pthread_mutex_unlock(&ring->mutex);
    pthread_cond_signal(&ring->pushed);
    if (ring->fd >= 0 && was_empty) {
        sl_ring_wake(ring);
    }
}

static void *take_first(sl_ring *ring)
{
    if (ring->n == 0) {
        return NULL;
    }
    void *item = ring->item[ring->first];
    ring->first = (ring->first + 1) % ring->capacity;
    ring->n--;
    return item;
}

void *sl_ring_pop(sl_ring *ring)
{
    pthread_mutex_lock(&ring->mutex);
    while (ring->n == 0 && !ring->ended) {
        pthread_cond_wait(&ring->pushed, &ring->mutex);
    }
    void *item = take_first(ring);
    pthread_mutex_unlock(&ring->mutex);
    return item;
}

void *sl_ring_try_pop(sl_ring *ring)
{
    pthread_mutex_lock(&ring->mutex);
    void *item = take_first(ring);
    pthread_mutex_unlock(&ring->mutex);
    return item;
}

void sl_ring_end(sl_ring *ring)
{
    pthread_mutex_lock(&ring->mutex);
    ring->ended = true;
    pthread_cond_broadcast(&ring->pushed);
    pthread_mutex_unlock(&ring->mutex);
    if (ring->fd >= 0) {
        sl_ring_wake(ring);
    }
}

uint32_t sl_ring_depth(sl_ring *ring)
{
    pthread_mutex_lock(&ring->mutex);
    uint32_t depth = ring->n;
    pthread_mutex_unlock(&ring->mutex);
    return depth;
}

int sl_ring_fd(const sl_ring *ring)
{
    return ring->fd;
}
