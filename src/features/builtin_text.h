/* builtin_text.h - views of a text without a model: a weak encoder. */
#ifndef SL_BUILTIN_TEXT_H
#define SL_BUILTIN_TEXT_H

#include "features/builtin.h"
#include "features/normalize.h"
#include "features/units.h"

#define SL_BUILTIN_TEXT_WORDS 8192 /* of a text that are looked at: its beginning              */
#define SL_BUILTIN_TEXT_GRAMS 32   /* characters of a word that are looked at                  */

typedef struct sl_builtin_text sl_builtin_text; /* scratch memory of one thread, 200 KiB */

SLUICE_MUST_USE sluice_status sl_builtin_text_open(sl_builtin_text **out);
void sl_builtin_text_close(sl_builtin_text **encoder_p);

/* sl_builtin_text_make - what words and pieces of words a text has, as three unit rows.
 *
 *     f        a word, two words in a row, three characters in a row within a word and its borders
 *     row_v    = sum over f of w(kind of f) sqrt(count of f in view v) r(f),  then of unit length
 *     r(f)     +- 1 in 4 of 256 places: a fixed sparse projection of the hash of f
 *
 * normal  Borrows. What sl_normalize gives.
 * units   Borrows. Its words ('w', seed 0) with their spans.
 * seed    Of the augmentations; a hash of the payload.
 * rows    Out, float[SL_BUILTIN_VIEWS][SL_BUILTIN_DIM], row-major. View 0: all words; 1: each word
 *         is left out with probability .15; 2: 70 % of the words, those in a row. A word that is
 *         out takes its pairs with it.
 * Returns false if there are no views: no words.
 * Cost    bounded by SL_BUILTIN_TEXT_WORDS words.
 * Threads Pure, one scratch each. The same bits on every machine.
 * Source  hashing trick: Weinberger et al. 2009; sparse projections: Achlioptas 2003. */
bool sl_builtin_text_make(sl_builtin_text *encoder, const sl_normal *normal, const sl_units *units,
                          uint64_t seed, float *rows);

#endif
