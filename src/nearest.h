/* nearest.h - which known word a misspelt one is closest to. */
#ifndef SL_NEAREST_H
#define SL_NEAREST_H

#include <stdbool.h>
#include <stdint.h>

/* Edits (insert, delete, replace, swap of neighbours) from `a` to `b`, capital letters equal to
 * small ones. Words beyond 63 bytes are further than anything: UINT32_MAX. */
uint32_t sl_nearest_edits(const char *a, const char *b);

/* True if so few edits look like a slip rather than another word. */
bool sl_nearest_plausible(const char *word, uint32_t edits);

/* Lends the nearest of a NULL-terminated list, NULL if none is plausible. */
const char *sl_nearest_word(const char *word, const char *const *known);

#endif
