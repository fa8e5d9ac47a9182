/* memory.h - zeroed memory that is reserved once, on large pages where the system has them. */
#ifndef SL_MEMORY_H
#define SL_MEMORY_H

#include <stddef.h>

/* Gives `size` bytes of zeros for free(); NULL if there are none. Pages become real when touched.
 */
void *sl_memory_reserve(size_t size);

#endif
