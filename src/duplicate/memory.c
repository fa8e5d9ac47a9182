/* memory.c - zeroed memory that is reserved once, on large pages where the system has them.
 *
 * Why large pages: a probe touches a random line a key in gigabytes; with pages of 4 KiB each of
 * them is a page walk as well as a cache miss. */
#include "duplicate/memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#define LARGE_PAGE_BYTES ((uintptr_t)2 << 20)

void *sl_memory_reserve(size_t size)
{
    void *memory = calloc(1, size);
    if (memory == NULL) {
        return NULL;
    }
    uintptr_t first = ((uintptr_t)memory + LARGE_PAGE_BYTES - 1) & ~(LARGE_PAGE_BYTES - 1);
    uintptr_t last = ((uintptr_t)memory + size) & ~(LARGE_PAGE_BYTES - 1);
    if (first < last) {
        (void)madvise((void *)first, last - first, MADV_HUGEPAGE); /* a wish; refusal is fine */
    }
    return memory;
}

void sl_memory_touch(void *memory, size_t size)
{
#if defined(MADV_POPULATE_WRITE)
    const uintptr_t page = 4096;
    uintptr_t first = (uintptr_t)memory & ~(page - 1);
    (void)madvise((void *)first, (uintptr_t)memory + size - first, MADV_POPULATE_WRITE);
#else
    (void)memory;
    (void)size;
#endif
}
