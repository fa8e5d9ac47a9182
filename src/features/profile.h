/* profile.h - the named text profiles, and which one `auto` takes. */
#ifndef SL_PROFILE_H
#define SL_PROFILE_H

#include "features/normalize.h"
#include "features/word_list.h"
#include "sluice/config.h"

/* What a media type says of the profile: that of rows or of code; AUTO if it says nothing. */
sluice_profile sl_profile_of_media(sluice_span media_type);

/* The words that are common in licences and contracts, and hardly elsewhere. Gives *out. */
SLUICE_MUST_USE sluice_status sl_profile_open(const sl_unicode *unicode, uint64_t seed,
                                              sl_word_list **out);

/* How many of the first SL_PROFILE_LEGAL_LOOK units 'w' are such words. */
#define SL_PROFILE_LEGAL_LOOK 256
size_t sl_profile_legal(const sl_word_list *legal_words, const uint64_t *hash, size_t n_units,
                        sl_kernel kernel);

/* The profile of one text under `auto`: a function of its counts, of its number of units 'w', and
 * of what sl_profile_legal counts. */
sluice_profile sl_profile_choose(const sl_counts *counts, size_t n_units, size_t n_legal);

/* The same before units are cut, where their number cannot matter: CODE, CJK, or AUTO. */
sluice_profile sl_profile_foresee(const sl_counts *counts);

/* sl_bands_of - how to band sketches for a threshold t, (0, 1].
 *
 * Two texts at the threshold share a band with probability .95 or more, where the bands suffice:
 *     p = t + (1 - t) / 256,  rows = floor(8 t) in 2..8,
 *     bands = ln .05 / ln(1 - p^rows), rounded up, in 4..min(32, 128 / rows) */
void sl_bands_of(double threshold, uint8_t *n_bands, uint8_t *rows);

#endif
