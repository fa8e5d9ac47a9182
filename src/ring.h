/* ring.h - hand-over of pointers between threads, in order, through a fixed number of places. */
#ifndef SL_RING_H
#define SL_RING_H

#include "status.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct sl_ring sl_ring;

/* pollable: a file descriptor becomes readable when there is something to pop, for a thread that
 * waits in poll() for other things too; woken, it must pop until there is nothing. */
SLUICE_MUST_USE sluice_status sl_ring_open(uint32_t capacity, bool pollable, sl_ring **out);
void sl_ring_close(sl_ring **ring_p);

/* Never waits: whoever sizes the ring makes sure there is a place (asserted). Any thread. */
void sl_ring_push(sl_ring *ring, void *item);

void *sl_ring_pop(sl_ring *ring);     /* waits; NULL once the ring has ended and is empty */
void *sl_ring_try_pop(sl_ring *ring); /* NULL if there is nothing now                     */

/* No more pushes will come; who waits is woken. */
void sl_ring_end(sl_ring *ring);

uint32_t sl_ring_depth(sl_ring *ring); /* items in it now; any thread */

int sl_ring_fd(const sl_ring *ring);  /* of a pollable ring                                  */
void sl_ring_wake(sl_ring *ring);     /* makes the descriptor readable without an item       */
void sl_ring_drain_fd(sl_ring *ring); /* call on wake-up, before popping: not readable again */

#endif
