/* profile.c - the named text profiles, and which one `auto` takes. */
#include "features/profile.h"
#include "features/features.h"

typedef struct profile_row {
    char unit;
    uint8_t n;
    float threshold;
    bool fold_chinese;
} profile_row;

static const profile_row profiles[SLUICE_N_PROFILES] = {
    [SLUICE_PROFILE_NEWS] = {'w', 3, 0.75F, false},
    [SLUICE_PROFILE_PROSE] = {'w', 2, 0.50F, false},
    [SLUICE_PROFILE_RECORDS] = {'w', 1, 0.50F, false},
    [SLUICE_PROFILE_CODE] = {'t', 3, 0.60F, false},
    [SLUICE_PROFILE_CJK] = {'w', 2, 0.50F, true},
};

void sl_bands_of(double threshold, uint8_t *n_bands, uint8_t *rows)
{
    int r = (int)(8 * threshold + 1e-9);
    r = r < 2 ? 2 : r > 8 ? 8 : r;
    double p = threshold + (1 - threshold) / 256; /* P(a coordinate is equal) */
    double together = 1;
    for (int i = 0; i < r; i++) {
        together *= p;
    }
    int b = 0;
    for (double missed = 1; missed > 0.05 && b < 32; b++) {
        missed *= 1 - together;
    }
    *n_bands = (uint8_t)(b < 4 ? 4 : b);
    *rows = (uint8_t)r;
}

sl_text_settings sl_text_settings_of(const sluice_config *config, sluice_profile profile)
{
    SLUICE_ASSERT(profile > SLUICE_PROFILE_AUTO && profile < SLUICE_N_PROFILES);
    sl_text_settings settings = {
        .shingle = {profiles[profile].unit, profiles[profile].n},
        .threshold = profiles[profile].threshold,
        .fold_chinese = profiles[profile].fold_chinese,
    };
    if (config->duplicate.text_shingle.unit != 0) {
        settings.shingle = config->duplicate.text_shingle;
    }
    if (config->duplicate.text_threshold > 0) {
        settings.threshold = (float)config->duplicate.text_threshold;
    }
    if (config->duplicate.text_fold_chinese != SLUICE_AUTO) {
        settings.fold_chinese = config->duplicate.text_fold_chinese == SLUICE_YES;
    }
    sl_bands_of((double)settings.threshold, &settings.n_bands, &settings.band_rows);
    return settings;
}

sluice_profile sl_profile_choose(const sl_normal *normal)
{
    const uint32_t *n = normal->n_class;
    uint32_t ideographs = n[SL_CLASS_HAN] + n[SL_CLASS_KANA];
    uint32_t others = n[SL_CLASS_LETTER] + n[SL_CLASS_DIGIT];
    return ideographs * 4 >= others && ideographs > 0 ? SLUICE_PROFILE_CJK : SLUICE_PROFILE_NEWS;
}
