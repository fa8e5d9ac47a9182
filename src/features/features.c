/* features.c - which features a sample gets, by its media type.
 *
 *   payload --> raw hash
 *      |  text: ""  text/...  application/json ...
 *      v
 *   normalize --> profile --> fold Chinese --> normal hash
 *                                |
 *                                v
 *                     units --> shingles --> sketch
 *      |  image/...
 *      v
 *   decode --> raster --> signature, colours, quality
 *
 *   view 0 --> sign bits, vector of 16-bit integers
 *
 * Why the hashes are seeded: two streams with different seeds share nothing that could be joined,
 * and nobody who does not know the seed can prepare collisions.
 * Why empty samples are compared by their id: by their bytes they would all be duplicates of the
 * first, and without a hash one that is sent again would be another sample. Images without
 * structure have no signature, for the first reason: only their bytes are compared. */
#include "features/features.h"

#include "sluice/engine.h"
#include "arena.h"
#include "features/builtin_image.h"
#include "features/builtin_text.h"
#include "features/fold_chinese.h"
#include "features/image_decode.h"
#include "features/image_hash.h"
#include "features/normalize.h"
#include "features/profile.h"
#include "features/set_sketch.h"
#include "features/shingle.h"
#include "features/sign_sketch.h"
#include "features/trace.h"
#include "features/unicode.h"
#include "features/units.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <xxhash.h>

typedef enum media_class { MEDIA_TEXT, MEDIA_IMAGE, MEDIA_OTHER, MEDIA_EMPTY } media_class;

struct sl_features {
    sl_unicode *unicode;
    sl_set_sketch *sketcher;
    sl_word_list *number_words, *legal_words;
    sl_kernel kernel;
    uint64_t seed;
    sluice_profile profile; /* configured; AUTO = by text */
    bool containment;       /* wanted */
    sl_text_settings settings[SLUICE_N_PROFILES];
    sl_normal normal, folded;
    sl_units units;
    sl_image_hash *image_hash;
    sl_raster raster;
    sl_sign_sketch *signs;
    bool embeds; /* embeddings are compared */
    uint32_t image_min_quality;
    bool no_memory;                /* of the last make */
    sl_builtin_text *builtin_text; /* NULL unless views are made */
    sl_units words;                /* for it */
};

/* ---- media types ----------------------------------------------------------------------------- */

static bool starts_with(sluice_span span, const char *prefix)
{
    size_t size = strlen(prefix);
    return span.size >= size && strncasecmp((const char *)span.data, prefix, size) == 0;
}

static bool ends_with(sluice_span span, const char *suffix)
{
    size_t size = strlen(suffix);
    return span.size >= size &&
           strncasecmp((const char *)span.data + span.size - size, suffix, size) == 0;
}

/* "text/html; charset=utf-8" without what follows the type. */
static sluice_span without_parameters(sluice_span media_type)
{
    size_t size = 0;
    while (size < media_type.size && media_type.data[size] != ';') {
        size++;
    }
    while (size > 0 && media_type.data[size - 1] == ' ') {
        size--;
    }
    return (sluice_span){media_type.data, size};
}

/* `type` has no parameters. */
static media_class media_of(sluice_span type)
{
    static const char *const text_types[] = {
        "application/json", "application/jsonl", "application/ndjson",     "application/x-ndjson",
        "application/xml",  "application/yaml",  "application/javascript", "application/ecmascript",
        "application/sql",  "application/x-sh",  "application/toml",       "application/x-tex"};
    if (starts_with(type, "image/")) {
        return MEDIA_IMAGE;
    }
    if (type.size == 0 || starts_with(type, "text/") || ends_with(type, "+json") ||
        ends_with(type, "+xml") || ends_with(type, "+yaml")) {
        return MEDIA_TEXT;
    }
    for (size_t i = 0; i < sizeof text_types / sizeof text_types[0]; i++) {
        if (type.size == strlen(text_types[i]) && starts_with(type, text_types[i])) {
            return MEDIA_TEXT;
        }
    }
    return MEDIA_OTHER;
}

/* ---- scratch --------------------------------------------------------------------------------- */

sluice_status sl_features_open(const sluice_config *config, sl_features **out)
{
    *out = NULL;
    sl_features *features = calloc(1, sizeof *features);
    if (features == NULL) {
        return SLUICE_E_NOMEM;
    }
    sluice_status status = sl_unicode_open(&features->unicode);
    if (status == SLUICE_OK) {
        status = sl_set_sketch_open(config->seed, &features->sketcher);
    }
    if (status == SLUICE_OK) {
        status = sl_trace_open(features->unicode, config->seed, &features->number_words);
    }
    if (status == SLUICE_OK) {
        status = sl_profile_open(features->unicode, config->seed, &features->legal_words);
    }
    if (status == SLUICE_OK) {
        status = sl_image_hash_open(&features->image_hash);
    }
    if (status == SLUICE_OK && config->encoder == SLUICE_ENCODER_BUILTIN) {
        features->words.keep_spans = true;
        status = sl_builtin_text_open(&features->builtin_text);
    }
    if (status == SLUICE_OK) {
        status = sl_sign_sketch_open(config->seed, &features->signs);
    }
    if (status != SLUICE_OK) {
        sl_features_close(&features);
        return status;
    }
    features->embeds = config->duplicate.enabled && config->encoder == 0;
    features->kernel = sl_kernel_best();
    features->seed = config->seed;
    features->profile = config->duplicate.text_profile;
    features->containment = config->duplicate.text_containment > 0;
    features->image_min_quality = config->duplicate.image_min_quality;
    for (int profile = SLUICE_PROFILE_AUTO + 1; profile < SLUICE_N_PROFILES; profile++) {
        features->settings[profile] = sl_text_settings_of(config, (sluice_profile)profile);
    }
    *out = features;
    return SLUICE_OK;
}

void sl_features_close(sl_features **features_p)
{
    sl_features *features = *features_p;
    if (features != NULL) {
        sl_unicode_close(&features->unicode);
        sl_set_sketch_close(&features->sketcher);
        sl_word_list_close(&features->number_words);
        sl_word_list_close(&features->legal_words);
        sl_normal_fini(&features->normal);
        sl_normal_fini(&features->folded);
        sl_units_fini(&features->units);
        sl_units_fini(&features->words);
        sl_builtin_text_close(&features->builtin_text);
        sl_image_hash_close(&features->image_hash);
        sl_sign_sketch_close(&features->signs);
        free(features);
        *features_p = NULL;
    }
}

/* ---- one sample ------------------------------------------------------------------------------ */

static void refuse(sluice_sample *sample, const char *reason, const char *text)
{
    memset(&sample->features, 0, offsetof(sluice_features, bottom));
    sample->verdict.decision = SLUICE_REFUSE;
    sample->verdict.n_reasons = 1;
    sample->verdict.reasons[0] = reason;
    sample->verdict.text = text;
}

static void hash_bytes(const void *data, size_t size, uint64_t seed, uint64_t out[2])
{
    XXH128_hash_t hash = XXH3_128bits_withSeed(data, size, seed);
    out[0] = hash.low64;
    out[1] = hash.high64;
}

static sluice_status cut(sl_features *scratch, const sl_normal *normal, char unit)
{
    return sl_units_make(scratch->unicode, normal, unit, scratch->seed, scratch->kernel,
                         &scratch->units);
}

/* The profile of the normalized text. `cut_as` is what its units were cut as on the way, or 0. */
static sluice_status choose_profile(sl_features *scratch, sluice_span media_type,
                                    sluice_profile *profile, char *cut_as)
{
    *cut_as = 0;
    *profile = scratch->profile;
    if (*profile == SLUICE_PROFILE_AUTO) {
        *profile = sl_profile_of_media(media_type);
    }
    if (*profile == SLUICE_PROFILE_AUTO) {
        *profile = sl_profile_foresee(&scratch->normal.counts);
    }
    if (*profile == SLUICE_PROFILE_AUTO) {
        SLUICE_TRY(cut(scratch, &scratch->normal, 'w'));
        *cut_as = 'w';
        size_t n_legal = sl_profile_legal(scratch->legal_words, scratch->units.hash,
                                          scratch->units.n, scratch->kernel);
        *profile = sl_profile_choose(&scratch->normal.counts, scratch->units.n, n_legal);
    }
    return SLUICE_OK;
}

/* The sketch of the units in the scratch; none if there are no units. */
static void make_sketch(sl_features *scratch, sluice_profile profile, sluice_features *features)
{
    sl_units *units = &scratch->units;
    sl_trace_make(scratch->number_words, units, scratch->kernel, features->trace);
    size_t n = sl_shingle_make(units->hash, units->n, scratch->settings[profile].shingle.n,
                               scratch->kernel);
    if (n > 0) {
        sl_set_sketch_make(scratch->sketcher, units->hash, n, scratch->kernel, features->sketch);
        features->n_shingles = (uint32_t)n;
        features->profile = (uint8_t)profile;
        features->has |= SLUICE_HAS_SKETCH;
    }
}

/* Keeps the smallest, distinct and ascending. */
static void keep_smallest(sluice_features *features, uint32_t hash)
{
    uint32_t n = features->n_bottom, at = n;
    while (at > 0 && features->bottom[at - 1] > hash) {
        at--;
    }
    if (at == SLUICE_BOTTOM_HASHES || (at > 0 && features->bottom[at - 1] == hash)) {
        return;
    }
    uint32_t n_kept = n < SLUICE_BOTTOM_HASHES ? n : SLUICE_BOTTOM_HASHES - 1;
    memmove(&features->bottom[at + 1], &features->bottom[at], (n_kept - at) * sizeof hash);
    features->bottom[at] = hash;
    features->n_bottom = n_kept + 1;
}

/* Word 3-grams whatever the profile: the long text may have another than the short one. */
static sluice_status make_bottom(sl_features *scratch, const sl_normal *normal,
                                 sluice_features *features)
{
    sl_units *units = &scratch->units;
    SLUICE_TRY(cut(scratch, normal, 'w'));
    size_t n = sl_shingle_make(units->hash, units->n, 3, scratch->kernel);
    for (size_t i = 0; i < n; i++) {
        keep_smallest(features, (uint32_t)(units->hash[i] >> 32));
    }
    features->has |= n > 0 ? SLUICE_HAS_BOTTOM : 0;
    return SLUICE_OK;
}

static sluice_status make_text(sl_features *scratch, sluice_span media_type, sluice_span payload,
                               sluice_features *features)
{
    const sl_normal *normal = &scratch->normal;
    bool counting = scratch->profile == SLUICE_PROFILE_AUTO;
    SLUICE_TRY(
        sl_normalize(scratch->unicode, payload, counting, scratch->kernel, &scratch->normal));
    if (normal->size == 0) {
        return SLUICE_OK;
    }
    sluice_profile profile;
    char cut_as;
    SLUICE_TRY(choose_profile(scratch, media_type, &profile, &cut_as));
    const sl_text_settings *settings = &scratch->settings[profile];
    if (settings->fold_chinese && (normal->seen & SL_ENTRY_FOLDS) != 0) {
        SLUICE_TRY(sl_fold_chinese(scratch->unicode, normal, &scratch->folded));
        normal = &scratch->folded;
        cut_as = 0;
    }
    hash_bytes(normal->data, normal->size, scratch->seed, features->normal_hash);
    features->has |= SLUICE_HAS_NORMAL;
    if (cut_as != settings->shingle.unit) {
        SLUICE_TRY(cut(scratch, normal, settings->shingle.unit));
    }
    make_sketch(scratch, profile, features);
    return scratch->containment ? make_bottom(scratch, normal, features) : SLUICE_OK;
}

static void refuse_no_memory(sl_features *scratch, sluice_sample *sample)
{
    refuse(sample, "no_memory", "There was no memory for the features of the sample.");
    scratch->no_memory = true;
}

/* The signature of a decoded image, unless it says nothing. */
static void make_signature(sl_features *scratch, sluice_features *features)
{
    sl_image_hash_make(scratch->image_hash, &scratch->raster, features->image_signature,
                       features->image_colours, &features->image_quality);
    if (features->image_quality == 0 || features->image_quality < scratch->image_min_quality) {
        features->image_state = SLUICE_IMAGE_FLAT;
        memset(features->image_signature, 0, sizeof features->image_signature);
        memset(features->image_colours, 0, sizeof features->image_colours);
        return;
    }
    features->image_state = SLUICE_IMAGE_USABLE;
    features->has |= SLUICE_HAS_IMAGE;
}

static void make_image(sl_features *scratch, sluice_sample *sample)
{
    switch (sl_image_decode(sample->payload, &scratch->raster)) {
    case SL_IMAGE_DECODED:
        make_signature(scratch, &sample->features);
        break;
    case SL_IMAGE_FOREIGN:
        sample->features.image_state = SLUICE_IMAGE_FOREIGN;
        break;
    case SL_IMAGE_UNSUPPORTED:
        sample->features.image_state = SLUICE_IMAGE_UNSUPPORTED;
        break;
    case SL_IMAGE_BROKEN:
        refuse(sample, "image_broken", "The image is truncated or damaged.");
        break;
    case SL_IMAGE_TOO_LARGE:
        refuse(sample, "image_too_large",
               "The image has more than 40 megapixels, a side beyond 65,535, is interlaced with "
               "more than 16 megapixels, or has too many scans.");
        break;
    case SL_IMAGE_NO_MEMORY:
        refuse_no_memory(scratch, sample);
        break;
    }
}

void sl_features_make(sl_features *features, sluice_sample *sample)
{
    memset(&sample->features, 0, offsetof(sluice_features, bottom));
    features->no_memory = false;
    if (sample->payload.size == 0) {
        if (sample->views.n_views == 0) { /* else hash_views */
            hash_bytes(sample->id.data, sample->id.size, features->seed + (uint64_t)MEDIA_EMPTY,
                       sample->features.raw_hash);
            sample->features.has = SLUICE_HAS_RAW;
        }
        return;
    }
    sluice_span type = without_parameters(sample->media_type);
    media_class media = media_of(type);
    if (media == MEDIA_TEXT && sample->payload.size > SLUICE_LIMIT_TEXT_BYTES) {
        refuse(sample, "text_too_large", "The text is longer than 1 MiB.");
        return;
    }
    hash_bytes(sample->payload.data, sample->payload.size, features->seed + (uint64_t)media,
               sample->features.raw_hash);
    sample->features.has = SLUICE_HAS_RAW;
    if (media == MEDIA_IMAGE) {
        make_image(features, sample);
    }
    if (media != MEDIA_TEXT) {
        return;
    }
    sluice_status status = make_text(features, type, sample->payload, &sample->features);
    if (status == SLUICE_E_BADSAMPLE) {
        refuse(sample, "not_utf8", "The payload is text by its media type but not UTF-8.");
    } else if (status == SLUICE_E_TOOBIG) {
        refuse(sample, "text_too_large",
               "The text is longer than 2 MiB once its compatibility characters are expanded.");
    } else if (status != SLUICE_OK) {
        refuse_no_memory(features, sample);
    }
}

/* ---- built-in views -------------------------------------------------------------------------- */

static sluice_status make_views(sl_features *scratch, const sluice_features *features, float *rows,
                                const char **name)
{
    bool made;
    if ((features->has & SLUICE_HAS_IMAGE) != 0) {
        made = sl_builtin_image_make(&scratch->raster, features->raw_hash[0], rows);
        *name = made ? SL_BUILTIN_IMAGE_NAME : NULL;
        return SLUICE_OK;
    }
    SLUICE_TRY(sl_units_make(scratch->unicode, &scratch->normal, 'w', 0, scratch->kernel,
                             &scratch->words));
    made = sl_builtin_text_make(scratch->builtin_text, &scratch->normal, &scratch->words,
                                features->raw_hash[0], rows);
    *name = made ? SL_BUILTIN_TEXT_NAME : NULL;
    return SLUICE_OK;
}

sluice_status sl_features_views(sl_features *features, sluice_sample *sample, sluice_arena *arena)
{
    const size_t size = sizeof(float) * SL_BUILTIN_VIEWS * SL_BUILTIN_DIM;
    if (features->builtin_text == NULL || sample->views.n_views > 0 ||
        (sample->features.has & (SLUICE_HAS_NORMAL | SLUICE_HAS_IMAGE)) == 0) {
        return SLUICE_OK;
    }
    sl_arena_allow(arena, size);
    float *rows = sl_arena_alloc(arena, size);
    if (rows == NULL) {
        return SLUICE_E_NOMEM;
    }
    const char *name = NULL;
    SLUICE_TRY(make_views(features, &sample->features, rows, &name));
    if (name != NULL) {
        sample->encoder = (sluice_span){(const uint8_t *)name, strlen(name)};
        sample->views = (sluice_views){
            .n_views = SL_BUILTIN_VIEWS, .dim = SL_BUILTIN_DIM, .rows = rows, .builtin = true};
    }
    return SLUICE_OK;
}

/* ---- views ----------------------------------------------------------------------------------- */

/* Of the encoder's name and the dimension. */
static uint64_t key_of_encoder(const sl_features *features, const sluice_sample *sample)
{
    return XXH3_64bits_withSeed(sample->encoder.data, sample->encoder.size,
                                features->seed ^ sample->views.dim);
}

/* What a sample without a payload is known by when it comes again: all of its views. */
static void hash_views(const sl_features *features, uint64_t key, sluice_sample *sample)
{
    const sluice_views *views = &sample->views;
    size_t n = (size_t)views->n_views * views->dim;
    hash_bytes(views->rows, n * sizeof *views->rows, key ^ features->seed,
               sample->features.raw_hash);
    if (views->inputs != NULL) {
        uint64_t inputs[2];
        n = (size_t)views->n_views * views->dim_in;
        hash_bytes(views->inputs, n * sizeof *views->inputs, features->seed, inputs);
        sample->features.raw_hash[0] ^= inputs[0];
        sample->features.raw_hash[1] ^= inputs[1];
    }
    sample->features.has |= SLUICE_HAS_RAW;
}

/* Adds what follows from the views: the embedding, of 8 to 4,096 numbers, and a hash where there is
 * no payload. `arena` lends it; its cap is raised. NOMEM: nothing was added. */
static sluice_status embed(sl_features *features, sl_arena *arena, sluice_sample *sample)
{
    const sluice_views *views = &sample->views;
    if (views->n_views == 0 || views->builtin || !features->embeds) {
        return SLUICE_OK;
    }
    uint64_t key = key_of_encoder(features, sample);
    if (views->dim >= SLUICE_EMBEDDING_MIN && views->dim <= SLUICE_EMBEDDING_MAX) {
        size_t vector_bytes = 2 * (size_t)views->dim;
        sl_arena_allow(arena, SLUICE_SIGN_BITS + vector_bytes + 16);
        uint8_t *margins = sl_arena_alloc(arena, SLUICE_SIGN_BITS + vector_bytes);
        if (margins == NULL) {
            return SLUICE_E_NOMEM;
        }
        uint8_t *vector = margins + SLUICE_SIGN_BITS;
        sl_sign_sketch_make(features->signs, views->rows, views->dim, key, features->kernel,
                            sample->features.sign_bits, margins);
        sl_sign_quantize(views->rows, views->dim, features->kernel, vector);
        sample->features.embedding_key = (uint32_t)key;
        sample->features.sign_margins = margins;
        sample->features.embedding = (sluice_span){vector, vector_bytes};
        sample->features.has |= SLUICE_HAS_EMBEDDING;
    }
    if (sample->payload.size == 0) {
        hash_views(features, key, sample);
    }
    return SLUICE_OK;
}

sluice_status sluice_batch_features(sluice_batch *batch, const sluice_config *config)
{
    if (batch->features == NULL) {
        SLUICE_TRY(sl_features_open(config, &batch->features));
    }
    for (uint32_t i = 0; i < batch->n_samples; i++) {
        sluice_sample *sample = &batch->samples[i];
        if (sample->verdict.decision != SLUICE_REFUSE) {
            sl_features_make(batch->features, sample);
            if (batch->features->no_memory) {
                return SLUICE_E_NOMEM;
            }
            SLUICE_TRY(sl_features_views(batch->features, sample, batch->arena));
        }
        if (sample->verdict.decision != SLUICE_REFUSE) {
            SLUICE_TRY(embed(batch->features, batch->arena, sample));
        }
    }
    return SLUICE_OK;
}
