/* profile.c - the named text profiles, and which one `auto` takes.
 *
 *   news     w3 / .65   wire stories; headlines, and all that is as brief: .80
 *   prose    w1 / .35*  descriptions and web pages: the same content cut or reworded
 *   records  w1 / .52*  rows of catalogues and bibliographies, for the same entity
 *   code     t3 / .50*  operators count: a word filter takes ( a > b ) and ( a <= b ) for equal
 *   cjk      w2 / .35*  short Chinese and Japanese; both Chinese scripts are one
 *   pages    w2 / .65*  whole documents of any script: manuals, posts, long pages
 *   legal    w3 / .995  licences and contracts: all 128 coordinates agree
 *                       * weighted: what the stream is full of counts less (duplicate/weights)
 *
 * No one setting serves all: word 5-grams at .8, the usual choice, find 1 % of the duplicates of
 * short Chinese texts and a quarter of those of code. `auto` is strict unless there is a reason:
 * looser profiles merge long texts that quote, or rows that differ in a number.
 * Why brief news are told apart sooner: one other word in a headline is another story, and where a
 * template is filled in there is little else; a longer text comes back cut and reworded.
 * Why numbers tell news apart and nothing else: two days' tables are two texts, but a work that is
 * cited with other pages is the same work.
 * The numbers were chosen on labelled packs of each kind; tests/quality says how well they do. */
#include "features/profile.h"
#include "features/features.h"

#include <string.h>
#include <strings.h>

typedef struct profile_row {
    char unit;
    uint8_t n;
    float threshold;
    float brief; /* of texts of fewer than SL_TEXT_BRIEF shingles; 0: the same */
    float reach; /* plain Jaccard to which the bands reach: weights lower the similarity */
    bool fold_chinese;
    bool weighted;
    bool numbers; /* that differ tell apart what is the same otherwise */
} profile_row;

static const profile_row profiles[SLUICE_N_PROFILES] = {
    [SLUICE_PROFILE_NEWS] = {'w', 3, 0.65F, 0.80F, 0.70F, false, false, true},
    [SLUICE_PROFILE_PROSE] = {'w', 1, 0.35F, 0, 0.50F, false, true, false},
    [SLUICE_PROFILE_RECORDS] = {'w', 1, 0.52F, 0, 0.55F, false, true, false},
    [SLUICE_PROFILE_CODE] = {'t', 3, 0.50F, 0, 0.55F, false, true, false},
    [SLUICE_PROFILE_CJK] = {'w', 2, 0.35F, 0, 0.40F, true, true, false},
    [SLUICE_PROFILE_PAGES] = {'w', 2, 0.65F, 0, 0.65F, true, true, false},
    [SLUICE_PROFILE_LEGAL] = {'w', 3, 0.995F, 0, 0.995F, false, false, false},
};

void sl_bands_of(double threshold, uint8_t *n_bands, uint8_t *rows)
{
    int r = (int)(8 * threshold + 1e-9);
    r = r < 2 ? 2 : r > 8 ? 8 : r;
    double p = threshold + (1 - threshold) / 256; /* that a coordinate is equal */
    double band = 1;                              /* that all of a band are     */
    for (int i = 0; i < r; i++) {
        band *= p;
    }
    int most = SLUICE_SKETCH_COORDINATES / r < 32 ? SLUICE_SKETCH_COORDINATES / r : 32;
    int b = 0;
    for (double missed = 1; missed > 0.05 && b < most; b++) {
        missed *= 1 - band;
    }
    *n_bands = (uint8_t)(b < 4 ? 4 : b);
    *rows = (uint8_t)r;
}

/* ---- settings -------------------------------------------------------------------------------- */

sl_text_settings sl_text_settings_of(const sluice_config *config, sluice_profile profile)
{
    SLUICE_ASSERT(profile > SLUICE_PROFILE_AUTO && profile < SLUICE_N_PROFILES);
    sl_text_settings settings = {
        .shingle = {profiles[profile].unit, profiles[profile].n},
        .threshold = profiles[profile].threshold,
        .brief = profiles[profile].brief,
        .fold_chinese = profiles[profile].fold_chinese,
        .weighted = profiles[profile].weighted,
        .numbers = profiles[profile].numbers,
    };
    double reach = (double)profiles[profile].reach;
    if (config->duplicate.text_shingle.unit != 0) {
        settings.shingle = config->duplicate.text_shingle;
    }
    if (config->duplicate.text_threshold > 0) {
        reach = config->duplicate.text_threshold;
        settings.threshold = (float)reach;
        settings.brief = 0;
    }
    if (config->duplicate.text_fold_chinese != SLUICE_AUTO) {
        settings.fold_chinese = config->duplicate.text_fold_chinese == SLUICE_YES;
    }
    if (config->duplicate.text_weights != SLUICE_AUTO) {
        settings.weighted = config->duplicate.text_weights == SLUICE_YES;
    }
    if (config->duplicate.text_numbers != SLUICE_AUTO) {
        settings.numbers = config->duplicate.text_numbers == SLUICE_YES;
    }
    sl_bands_of(reach, &settings.n_bands, &settings.band_rows);
    return settings;
}

/* ---- auto ------------------------------------------------------------------------------------ */

static bool starts_with(sluice_span span, const char *prefix)
{
    size_t size = strlen(prefix);
    return span.size >= size && strncasecmp((const char *)span.data, prefix, size) == 0;
}

static bool is_type(sluice_span span, const char *type)
{
    return span.size == strlen(type) && starts_with(span, type);
}

static bool ends_with(sluice_span span, const char *suffix)
{
    size_t size = strlen(suffix);
    return span.size >= size &&
           strncasecmp((const char *)span.data + span.size - size, suffix, size) == 0;
}

sluice_profile sl_profile_of_media(sluice_span media_type)
{
    static const char *const code[] = {"text/css",         "text/javascript",
                                       "text/html",        "application/javascript",
                                       "application/json", "application/xml"};
    if (is_type(media_type, "text/csv") || is_type(media_type, "text/tab-separated-values")) {
        return SLUICE_PROFILE_RECORDS;
    }
    for (size_t i = 0; i < sizeof code / sizeof code[0]; i++) {
        if (is_type(media_type, code[i])) {
            return SLUICE_PROFILE_CODE;
        }
    }
    bool derived = starts_with(media_type, "text/x-") || ends_with(media_type, "+json") ||
                   ends_with(media_type, "+xml");
    return derived ? SLUICE_PROFILE_CODE : SLUICE_PROFILE_AUTO;
}

static uint64_t visible_of(const sl_counts *counts)
{
    uint64_t n = 0;
    for (int class = 0; class < SL_N_CLASSES; class ++) {
        n += counts->n_class[class];
    }
    return n > counts->blanks ? n - counts->blanks : 1;
}

static bool looks_like_code(const sl_counts *counts, uint64_t visible)
{
    uint64_t marks = (uint64_t)counts->brackets + counts->binders;
    return counts->brackets > 0 && 28 * marks >= visible &&
           100 * (uint64_t)counts->binders >= visible;
}

/* As normalized text has them. */
static const char legal_words[] =
    "shall license licence licensed licenses licensor licensee sublicense copyright warranties "
    "warranty liability liable hereby herein hereof hereunder hereto thereof therein "
    "notwithstanding damages pursuant permission permitted redistribution redistributions "
    "redistribute reproduce agreement obligations indemnify indemnity jurisdiction infringement "
    "consequential incidental merchantability disclaimer disclaimed terminate termination governed "
    "arising contributor contributors noninfringement waive";

sluice_status sl_profile_open(const sl_unicode *unicode, uint64_t seed, sl_word_list **out)
{
    return sl_word_list_open(unicode, legal_words, seed, out);
}

size_t sl_profile_legal(const sl_word_list *legal, const uint64_t *hash, size_t n_units,
                        sl_kernel kernel)
{
    size_t n_looked = n_units < SL_PROFILE_LEGAL_LOOK ? n_units : SL_PROFILE_LEGAL_LOOK, n = 0;
    for (size_t from = 0; from < n_looked; from += SL_WORD_LIST_LOOK) {
        size_t left = n_looked - from;
        uint64_t found = sl_word_list_find(
            legal, hash + from, left < SL_WORD_LIST_LOOK ? left : SL_WORD_LIST_LOOK, kernel);
        n += (size_t)__builtin_popcountll(found);
    }
    return n;
}

static bool looks_legal(size_t n_units, size_t n_legal)
{
    size_t n_looked = n_units < SL_PROFILE_LEGAL_LOOK ? n_units : SL_PROFILE_LEGAL_LOOK;
    return n_units >= 64 && 40 * n_legal >= n_looked;
}

sluice_profile sl_profile_choose(const sl_counts *counts, size_t n_units, size_t n_legal)
{
    uint64_t visible = visible_of(counts);
    uint64_t fields = (uint64_t)counts->fields + counts->commas;
    if (counts->cjk > 0 && 8 * (uint64_t)counts->cjk >= n_units) {
        /* Short titles that differ in a name or a number are not the same. */
        return n_units < 20    ? SLUICE_PROFILE_NEWS
               : n_units < 384 ? SLUICE_PROFILE_CJK
                               : SLUICE_PROFILE_PAGES;
    }
    if (looks_legal(n_units, n_legal)) {
        return SLUICE_PROFILE_LEGAL;
    }
    if (looks_like_code(counts, visible)) {
        return SLUICE_PROFILE_CODE;
    }
    if (fields >= 3 && 24 * fields >= n_units && n_units < 128 &&
        fields >= 2 * (uint64_t)counts->lines) {
        return SLUICE_PROFILE_RECORDS;
    }
    if (counts->lines >= 3 && n_units < 128 && 16 * (uint64_t)counts->digits < visible &&
        128 * (uint64_t)counts->angles < visible && 8 * (uint64_t)counts->sea < n_units) {
        return SLUICE_PROFILE_PROSE;
    }
    return n_units < 192 ? SLUICE_PROFILE_NEWS : SLUICE_PROFILE_PAGES;
}

/* Units are at least the characters that always begin one, and at most those that may. */
sluice_profile sl_profile_foresee(const sl_counts *counts)
{
    const uint32_t *n = counts->n_class;
    size_t least = (size_t)n[SL_CLASS_HAN] + n[SL_CLASS_KANA] + n[SL_CLASS_SEA];
    size_t most = least + n[SL_CLASS_LETTER] + n[SL_CLASS_DIGIT] + n[SL_CLASS_HANGUL] +
                  n[SL_CLASS_MARK] + n[SL_CLASS_PICTO] + n[SL_CLASS_MODIFIER] +
                  n[SL_CLASS_REGIONAL];
    sluice_profile with_least = sl_profile_choose(counts, least, 0);
    bool stable = with_least == SLUICE_PROFILE_CODE || with_least == SLUICE_PROFILE_CJK;
    return stable && sl_profile_choose(counts, most, 0) == with_least ? with_least
                                                                      : SLUICE_PROFILE_AUTO;
}
