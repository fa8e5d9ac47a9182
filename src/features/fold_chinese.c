/* fold_chinese.c - turns Traditional Chinese characters into Simplified ones.
 *
 *   code point | page: the upper bits | 6 bits |   page -> 64 targets, 0 = stands for itself
 *
 * Why by character: both editions of a text are folded alike, so that it matters little where
 * Simplified merged several Traditional characters, and nothing depends on where a phrase begins.
 * The table is made at build time from OpenCC's TSCharacters (Apache-2.0) by make_fold_table.py;
 * the first candidate counts where there are several.
 * Source: OpenCC, github.com/BYVoid/OpenCC. */
#include "features/fold_chinese.h"
#include "features/utf8.h"

#include <string.h>

#include "fold_table.inc" /* fold_page[], fold_target[][64], FOLD_FIRST, FOLD_LAST */

uint32_t sl_fold_character(uint32_t code_point)
{
    if (code_point - FOLD_FIRST > FOLD_LAST - FOLD_FIRST) {
        return code_point;
    }
    uint32_t target = fold_target[fold_page[(code_point - FOLD_FIRST) / 64]][code_point % 64];
    return target != 0 ? target : code_point;
}

sluice_status sl_fold_chinese(const sl_unicode *unicode, const sl_normal *from, sl_normal *to)
{
    /* Three bytes may become four. */
    SLUICE_TRY(sl_normal_reserve(to, from->size + from->size / 3));
    to->counts = from->counts;
    to->seen = from->seen;
    const uint8_t *at = from->data;
    const uint8_t *end = from->data + from->size;
    uint8_t *out = to->data;
    while (at < end) {
        if (*at < 0xe0) {
            *out++ = *at++;
            continue;
        }
        size_t size = 0;
        uint32_t code_point = sl_utf8_next(at, &size);
        memcpy(out, at, 4);
        out += size;
        at += size;
        if (code_point >= SL_UNICODE_PLANE || (unicode->brief[code_point] & SL_BRIEF_FOLDS) != 0) {
            out += sl_utf8_encode(sl_fold_character(code_point), out - size) - size;
        }
    }
    to->size = (size_t)(out - to->data);
    memset(out, 0, SL_NORMAL_SLACK_BYTES);
    return SLUICE_OK;
}
