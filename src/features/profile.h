/* profile.h - the named text profiles, and which one `auto` takes. */
#ifndef SL_PROFILE_H
#define SL_PROFILE_H

#include "features/normalize.h"
#include "sluice/config.h"

/* sl_profile_choose - the profile of one text under `auto`: a function of its counts alone. */
sluice_profile sl_profile_choose(const sl_normal *normal);

/* sl_bands_of - bands for a threshold: each of `rows` coordinates, so that two texts at the
 * threshold share at least one with probability .95 or more where 128 coordinates allow it. */
void sl_bands_of(double threshold, uint8_t *n_bands, uint8_t *rows);

#endif
