/* fold_chinese.h - turns Traditional Chinese characters into Simplified ones. */
#ifndef SL_FOLD_CHINESE_H
#define SL_FOLD_CHINESE_H

#include "features/normalize.h"

/* The Simplified character of a Traditional one, else the character itself. */
uint32_t sl_fold_character(uint32_t code_point);

/* sl_fold_chinese - the text of `from` with every character folded; counts are copied.
 * Returns  NOMEM, TOOBIG as sl_normalize. */
SLUICE_MUST_USE sluice_status sl_fold_chinese(const sl_unicode *unicode, const sl_normal *from,
                                              sl_normal *to);

#endif
