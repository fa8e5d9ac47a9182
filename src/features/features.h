/* features.h - which features a sample gets, by its media type. */
#ifndef SL_FEATURES_H
#define SL_FEATURES_H

#include "arena.h"
#include "status.h"
#include "sluice/config.h"
#include "sluice/sample.h"

/* From here on a text is no longer brief. */
#define SL_TEXT_BRIEF 32

/* What decides the text features of one profile; all of it is of class `state`. */
typedef struct sl_text_settings {
    sluice_shingle shingle;
    float threshold; /* estimated Jaccard at which two texts are duplicates, (0, 1]          */
    float brief;     /* the same of texts of fewer than SL_TEXT_BRIEF shingles; 0: no other  */
    uint8_t n_bands; /* of band_rows coordinates each; n_bands x band_rows <= 128            */
    uint8_t band_rows;
    bool fold_chinese;
    bool weighted; /* what is common in the stream counts less (duplicate/weights)            */
    bool numbers;  /* texts that differ in numbers alone are no duplicates (trace.h)          */
} sl_text_settings;

/* The settings of a profile (not AUTO) under a configuration's overrides. */
sl_text_settings sl_text_settings_of(const sluice_config *config, sluice_profile profile);

typedef struct sl_features sl_features; /* scratch memory of one thread */
SLUICE_MUST_USE sluice_status sl_features_open(const sluice_config *config, sl_features **out);
void sl_features_close(sl_features **features_p);

/* Fills sample->features from sample->payload, or sets verdict REFUSE with a reason. Pure. */
void sl_features_make(sl_features *features, sluice_sample *sample);

/* sl_features_views - weak views where none came, under `encoder: builtin` (else nothing is done).
 *
 * sample  The one that was made last with this scratch. Gets views and the name of their encoder,
 *         unless it has views, was refused, or has nothing to make them of: text without words,
 *         images that are not usable, other media.
 * arena   Lends the rows.
 * Returns NOMEM. Pure: a function of payload, media type and seed. */
SLUICE_MUST_USE sluice_status sl_features_views(sl_features *features, sluice_sample *sample,
                                                sluice_arena *arena);

#endif
