/* nearest.c - which known word a misspelt one is closest to.
 *
 *         m e m o r y          one row of the distance table at a time; the two rows before are
 * kept, 0 1 2 3 4 5 6          because a swap of neighbours looks back two m 1 0 1 2 ...
 *
 * Source: optimal string alignment, Damerau 1964, Levenshtein 1966. */
#include "nearest.h"

#include <stddef.h>
#include <string.h>

#define SL_NEAREST_WORD_BYTES 63

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

uint32_t sl_nearest_edits(const char *a, const char *b)
{
    size_t n_a = strlen(a);
    size_t n_b = strlen(b);
    if (n_a > SL_NEAREST_WORD_BYTES || n_b > SL_NEAREST_WORD_BYTES) {
        return UINT32_MAX;
    }
    uint32_t rows[3][SL_NEAREST_WORD_BYTES + 1];
    for (size_t j = 0; j <= n_b; j++) {
        rows[0][j] = (uint32_t)j;
    }
    for (size_t i = 1; i <= n_a; i++) {
        const uint32_t *two_before = rows[(i + 1) % 3];
        const uint32_t *before = rows[(i - 1) % 3];
        uint32_t *row = rows[i % 3];
        row[0] = (uint32_t)i;
        for (size_t j = 1; j <= n_b; j++) {
            uint32_t replaced = before[j - 1] + (lower(a[i - 1]) != lower(b[j - 1]));
            row[j] = smaller(replaced, smaller(before[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
                lower(a[i - 2]) == lower(b[j - 1])) {
                row[j] = smaller(row[j], two_before[j - 2] + 1);
            }
        }
    }
    return rows[n_a % 3][n_b];
}

bool sl_nearest_plausible(const char *word, uint32_t edits)
{
    size_t length = strlen(word);
    return edits <= (length < 6 ? 1 + length / 4 : length / 3);
}

const char *sl_nearest_word(const char *word, const char *const *known)
{
    const char *nearest = NULL;
    uint32_t fewest = UINT32_MAX;
    for (; *known != NULL; known++) {
        uint32_t edits = sl_nearest_edits(word, *known);
        if (edits < fewest) {
            fewest = edits;
            nearest = *known;
        }
    }
    return nearest != NULL && sl_nearest_plausible(word, fewest) ? nearest : NULL;
}
