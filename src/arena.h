/* arena.h - memory of one batch: many small allocations, one reset, a hard cap. */
#ifndef SL_ARENA_H
#define SL_ARENA_H

#include "status.h"
#include "sluice/sample.h"

typedef struct sluice_arena sl_arena;

SLUICE_MUST_USE sluice_status sl_arena_open(sl_arena **out); /* Gives *out */
void sl_arena_close(sl_arena **arena_p);                     /* Takes; NULL ok */

/* Forgets all allocations and allows at most `cap_bytes` until the next reset. Chunks are kept for
 * reuse up to 1 MiB and given back beyond. */
void sl_arena_reset(sl_arena *arena, size_t cap_bytes);

/* Lends `size` bytes aligned to 16 until the next reset; NULL once the cap is reached or the
 * machine has no memory left: the caller says which sample was too large. */
void *sl_arena_alloc(sl_arena *arena, size_t size);

/* Raises the cap: what a later stage adds is bounded by that stage, not by the input's size. */
void sl_arena_allow(sl_arena *arena, size_t extra_bytes);
size_t sl_arena_used(const sl_arena *arena);

/* Lends a copy of the span; false as for alloc. */
SLUICE_MUST_USE bool sl_arena_copy(sl_arena *arena, sluice_span span, sluice_span *out);

#endif
