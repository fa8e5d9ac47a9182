/* memory.h - zeroed memory that is reserved once, on large pages where the system has them. */
#ifndef SL_MEMORY_H
#define SL_MEMORY_H

#include <stddef.h>

/* Gives `size` bytes of zeros, for free(); NULL if there are none. Pages become real at a touch. */
void *sl_memory_reserve(size_t size);

/* Makes the pages real now, so that no later touch waits for the system to zero one. Contents stay;
 * on a system that cannot, nothing happens. */
void sl_memory_touch(void *memory, size_t size);

#endif
