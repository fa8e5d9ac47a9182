/* arena.c - memory of one batch: many small allocations, one reset, a hard cap.
 *
 *   chunk -> chunk -> chunk      the newest chunk is bumped; a large request gets one of its size
 *
 * Why a cap and not only a size: a parser asks for as much as its input tells it to; the cap turns
 * a hostile input into a refused one. */
#include "arena.h"

#include <stdlib.h>
#include <string.h>

#define SL_ARENA_CHUNK_BYTES ((size_t)64 << 10)
#define SL_ARENA_KEEP_BYTES  ((size_t)1 << 20)

typedef struct chunk {
    struct chunk *next;
    size_t size, used;
    _Alignas(16) uint8_t data[];
} chunk;

struct sluice_arena {
    chunk *first;     /* newest */
    size_t used, cap; /* bytes asked for, since the reset */
};

sluice_status sl_arena_open(sl_arena **out)
{
    *out = calloc(1, sizeof **out);
    return *out != NULL ? SLUICE_OK : SLUICE_E_NOMEM;
}

static void free_chunks(chunk *first)
{
    while (first != NULL) {
        chunk *next = first->next;
        free(first);
        first = next;
    }
}

void sl_arena_close(sl_arena **arena_p)
{
    if (*arena_p != NULL) {
        free_chunks((*arena_p)->first);
        free(*arena_p);
        *arena_p = NULL;
    }
}

void sl_arena_reset(sl_arena *arena, size_t cap_bytes)
{
    if (arena->first != NULL && arena->first->size <= SL_ARENA_KEEP_BYTES) {
        free_chunks(arena->first->next);
        arena->first->next = NULL;
        arena->first->used = 0;
    } else {
        free_chunks(arena->first);
        arena->first = NULL;
    }
    arena->used = 0;
    arena->cap = cap_bytes;
}

static chunk *add_chunk(sl_arena *arena, size_t size)
{
    size_t doubled = arena->first != NULL ? arena->first->size * 2 : SL_ARENA_CHUNK_BYTES;
    if (doubled > SL_ARENA_KEEP_BYTES) {
        doubled = SL_ARENA_KEEP_BYTES;
    }
    size_t room = size > doubled ? size : doubled;
    chunk *added = malloc(sizeof *added + room);
    if (added != NULL) {
        *added = (chunk){.next = arena->first, .size = room};
        arena->first = added;
    }
    return added;
}

void *sl_arena_alloc(sl_arena *arena, size_t size)
{
    if (size > SIZE_MAX / 2 || size > arena->cap - arena->used) {
        return NULL;
    }
    size_t rounded = (size + 15) & ~(size_t)15;
    chunk *from = arena->first;
    if (from == NULL || rounded > from->size - from->used) {
        from = add_chunk(arena, rounded);
        if (from == NULL) {
            return NULL;
        }
    }
    void *result = from->data + from->used;
    from->used += rounded;
    arena->used += size;
    return result;
}

void sl_arena_allow(sl_arena *arena, size_t extra_bytes)
{
    arena->cap += extra_bytes;
}

size_t sl_arena_used(const sl_arena *arena)
{
    return arena->used;
}

bool sl_arena_copy(sl_arena *arena, sluice_span span, sluice_span *out)
{
    uint8_t *copy = sl_arena_alloc(arena, span.size);
    *out = (sluice_span){copy, 0};
    if (copy == NULL) {
        return false;
    }
    if (span.size > 0) {
        memcpy(copy, span.data, span.size);
    }
    out->size = span.size;
    return true;
}
