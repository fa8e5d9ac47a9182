/* word_list.h - which units of a text are words of a fixed list. */
#ifndef SL_WORD_LIST_H
#define SL_WORD_LIST_H

#include "status.h"
#include "features/kernel.h"
#include "features/unicode.h"

#include <stddef.h>

#define SL_WORD_LIST_LOOK 64 /* units looked at at once */

typedef struct sl_word_list sl_word_list; /* of one seed; read only once open */

/* `words` as normalized text has them, between spaces. Gives *out. */
SLUICE_MUST_USE sluice_status sl_word_list_open(const sl_unicode *unicode, const char *words,
                                                uint64_t seed, sl_word_list **out);
void sl_word_list_close(sl_word_list **list_p); /* Takes; NULL ok */

/* sl_word_list_find - bit i: the i-th unit is in the list.
 *
 * hash     Borrows n <= SL_WORD_LIST_LOOK hashes of units of the same seed. */
uint64_t sl_word_list_find(const sl_word_list *list, const uint64_t *hash, size_t n,
                           sl_kernel kernel);

#endif
