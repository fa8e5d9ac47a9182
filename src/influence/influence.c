/* influence.c - what each sample does to the representation: the state of all encoders.
 *
 *   sample --(encoder, K, dimensions)--> one of 4 estimators --> scores
 *
 * Why a state for each: numbers of two encoders, or of two numbers of views, do not compare. A new
 * encoder version starts its own state, beside the old one.
 * Why the same name with another dimension is refused: it is a mistake upstream, and the first
 * sample of it is the time to say so.
 *
 * Rows longer than 1,024 are projected to 512 first (project.c); duplicates use all of them. */
#include "influence/influence.h"
#include "influence/encoders.h"
#include "bytes.h"

#include <math.h>
#include <stdlib.h>

sluice_status sl_influence_open(const sluice_config *config, sl_influence **out,
                                sluice_message *why)
{
    *out = calloc(1, sizeof **out);
    if (*out == NULL) {
        return sluice_fail(why, SLUICE_E_NOMEM, "no memory for influence");
    }
    (*out)->settings = config->influence;
    (*out)->seed = config->seed;
    (*out)->on = config->influence.enabled && config->encoder != SLUICE_ENCODER_NONE;
    sl_gemm_init();
    return SLUICE_OK;
}

void sl_influence_close(sl_influence **influence_p)
{
    sl_influence *influence = *influence_p;
    if (influence != NULL) {
        for (uint32_t i = 0; i < SLUICE_LIMIT_ENCODERS; i++) {
            sl_encoder_close(&influence->encoder[i]);
        }
        for (uint32_t i = 0; i < SLUICE_LIMIT_REFERENCES; i++) {
            sl_bytes_fini(&influence->loose[i].rows);
            sl_bytes_fini(&influence->loose[i].inputs);
        }
        free(influence);
        *influence_p = NULL;
    }
}

/* --- encoders --- */

/* Views that were made here never make room for themselves at the price of a refusal: without room
 * they are as if there were none. */
static bool is_scored(const sl_influence *influence, const sluice_sample *sample)
{
    const sluice_views *views = &sample->views;
    return influence->on && views->n_views >= 2 &&
           (!views->builtin || sl_encoders_room(influence) != NULL ||
            sl_encoders_find(influence, sample->encoder, views->n_views, views->dim,
                             views->dim_in) != NULL);
}

/* The encoder of a sample; opened if it is new. There is room, or it would have been refused. */
static sl_encoder *encoder_of(sl_influence *influence, const sluice_sample *sample)
{
    const sluice_views *views = &sample->views;
    sl_encoder *known =
        sl_encoders_find(influence, sample->encoder, views->n_views, views->dim, views->dim_in);
    if (known != NULL) {
        return known;
    }
    known = sl_encoders_room(influence);
    SLUICE_ASSERT(known != NULL);
    sluice_status status = sl_encoder_open(influence, sample->encoder, views->n_views, views->dim,
                                           views->dim_in, known);
    /* No memory: nothing of this message was acknowledged, so ending here loses nothing. */
    SLUICE_ASSERT(status == SLUICE_OK);
    sl_encoder_share(influence, known);
    return known;
}

const char *sl_influence_admit(sl_influence *influence, const sluice_sample *sample)
{
    const sluice_views *views = &sample->views;
    if (!is_scored(influence, sample) ||
        sl_encoders_find(influence, sample->encoder, views->n_views, views->dim, views->dim_in) !=
            NULL) {
        return NULL;
    }
    for (uint32_t i = 0; i < SLUICE_LIMIT_ENCODERS; i++) {
        const sl_encoder *known = &influence->encoder[i];
        if (!views->builtin && sl_encoder_has_name(known, sample->encoder) &&
            (known->dim != views->dim || known->dim_in != views->dim_in)) {
            return "view_dimension_changed";
        }
    }
    if (sl_encoders_room(influence) == NULL) {
        return "too_many_encoders";
    }
    (void)encoder_of(influence, sample);
    return NULL;
}

static void place(sl_encoder *known, const sluice_sample *sample)
{
    const sluice_views views = sl_encoder_views(known, &sample->views);
    sl_estimator_place(known->estimator, sample->offset, &views);
}

/* --- scores --- */

static void clear_scores(sluice_scores *scores)
{
    *scores = (sluice_scores){.state = SLUICE_INFLUENCE_NONE};
    scores->loss = scores->self = scores->ratio = scores->leverage = NAN;
    scores->residual = scores->source_shift = scores->reliability = NAN;
    scores->percentile.loss = scores->percentile.self = scores->percentile.leverage = NAN;
    for (uint32_t r = 0; r < SLUICE_LIMIT_REFERENCES; r++) {
        scores->toward[r] = scores->percentile.toward[r] = NAN;
    }
}

/* Reference sets by the place in the record: those that are gone leave none. */
typedef struct named_sets {
    uint32_t n;
    uint32_t slot[SLUICE_LIMIT_REFERENCES];
    const char *name[SLUICE_LIMIT_REFERENCES]; /* in the arena */
} named_sets;

/* One copy of the names for all samples of a call. */
static named_sets copy_names(const sl_influence *influence, sl_arena *arena)
{
    const size_t size = sizeof influence->settings.reference[0].name;
    const uint32_t n = influence->settings.n_references;
    named_sets sets = {.n = 0};
    sl_arena_allow(arena, size * n + 16);
    char *names = n > 0 ? sl_arena_alloc(arena, size * n) : NULL;
    SLUICE_ASSERT(n == 0 || names != NULL); /* no memory: as above */
    for (uint32_t r = 0; r < n; r++) {
        if (influence->settings.reference[r].name[0] != '\0') {
            memcpy(names + r * size, influence->settings.reference[r].name, size);
            sets.name[sets.n] = names + r * size;
            sets.slot[sets.n++] = r;
        }
    }
    return sets;
}

static void fill_live(const sl_estimator *estimator, const sl_slice_scores *from, uint32_t i_slot,
                      uint16_t i_source, const named_sets *sets, sluice_scores *scores)
{
    scores->self = (float)from->self[i_slot];
    scores->ratio =
        from->norm2[i_slot] < 1e-12 ? NAN : (float)(from->self[i_slot] / from->norm2[i_slot]);
    scores->leverage = (float)from->leverage[i_slot];
    scores->residual = (float)from->residual[i_slot];
    scores->source_shift = i_source < SL_SHIFT_SOURCES ? estimator->shift.z[i_source] : NAN;
    scores->reliability = sl_reliability_of(&estimator->reliability, estimator->shape.n_views);
    for (uint32_t i = 0; i < sets->n; i++) {
        if (estimator->reference[sets->slot[i]].known) {
            scores->toward[i] = (float)from->toward[sets->slot[i]][i_slot];
        }
    }
}

static void fill_percentiles(const sl_estimator *estimator, const named_sets *sets,
                             sluice_scores *scores)
{
    sl_quantile *const *quantile = estimator->quantile;
    scores->percentile.loss = sl_quantile_share(quantile[SL_STAT_LOSS], (double)scores->loss);
    scores->percentile.self = sl_quantile_share(quantile[SL_STAT_SELF], (double)scores->self);
    scores->percentile.leverage =
        sl_quantile_share(quantile[SL_STAT_LEVERAGE], (double)scores->leverage);
    for (uint32_t i = 0; i < sets->n; i++) {
        scores->percentile.toward[i] =
            sl_quantile_share(quantile[SL_STAT_TOWARD + sets->slot[i]], (double)scores->toward[i]);
    }
}

static void score_encoder(sl_influence *influence, sl_encoder *known, sluice_sample *sample,
                          uint32_t n, const uint16_t *i_source, const named_sets *sets)
{
    sl_slice_scores scores;
    const sl_estimator *estimator = known->estimator;
    bool scored = false;
    for (uint32_t i = 0; i < n; i++) {
        if (sample[i].offset == UINT64_MAX || !is_scored(influence, &sample[i]) ||
            encoder_of(influence, &sample[i]) != known) {
            continue;
        }
        if (!scored) {
            sl_estimator_score(known->estimator, sample[i].offset, &scores);
            scored = true;
        }
        const uint32_t i_block_slot = (uint32_t)(sample[i].offset % SL_BLOCK_SLOTS);
        const uint32_t i_slot = i_block_slot % SL_SLOTS;
        sluice_scores *out = &sample[i].scores;
        out->state = sl_estimator_state(estimator);
        out->loss = estimator->slice[i_block_slot / SL_SLOTS].delta[0][i_slot];
        out->n_toward = sets->n;
        memcpy(out->toward_name, sets->name, sizeof out->toward_name);
        if (estimator->live) {
            fill_live(estimator, &scores, i_slot, i_source[i], sets, out);
        }
        fill_percentiles(estimator, sets, out);
    }
}

void sl_influence_score(sl_influence *influence, sluice_sample *sample, uint32_t n,
                        const uint16_t *i_source, sl_arena *arena)
{
    bool any = false;
    for (uint32_t i = 0; i < n; i++) {
        clear_scores(&sample[i].scores);
        if (sample[i].offset != UINT64_MAX && is_scored(influence, &sample[i])) {
            place(encoder_of(influence, &sample[i]), &sample[i]);
            any = true;
        }
    }
    const named_sets sets = any ? copy_names(influence, arena) : (named_sets){.n = 0};
    for (uint32_t i = 0; i < SLUICE_LIMIT_ENCODERS && any; i++) {
        if (influence->encoder[i].estimator != NULL) {
            score_encoder(influence, &influence->encoder[i], sample, n, i_source, &sets);
        }
    }
}

/* --- learning --- */

static float toward_by_name(const sluice_scores *scores, const char *name)
{
    for (uint32_t r = 0; r < scores->n_toward; r++) {
        if (strcmp(scores->toward_name[r], name) == 0) {
            return scores->toward[r];
        }
    }
    return NAN;
}

static void add_to_references(const sl_influence *influence, sl_encoder *known,
                              const sluice_sample *sample)
{
    const sluice_views views = sl_encoder_views(known, &sample->views);
    for (uint32_t r = 0; r < influence->settings.n_references; r++) {
        const sluice_reference *wanted = &influence->settings.reference[r];
        if (wanted->name[0] != '\0' && wanted->path[0] == '\0' &&
            sl_span_equal(sample->source, sl_span_of(wanted->source))) {
            sl_reference_add(&known->estimator->shape, &known->estimator->reference[r], &views);
        }
    }
}

void sl_influence_apply(sl_influence *influence, const sluice_sample *sample, uint16_t i_source)
{
    if (!is_scored(influence, sample)) {
        return;
    }
    const sluice_scores *scores = &sample->scores;
    sl_encoder *known = encoder_of(influence, sample);
    sl_slot slot = {.counted = sample->match.method == SLUICE_METHOD_NONE, .i_source = i_source};
    for (uint32_t i = 0; i < SL_N_STATS; i++) {
        slot.stat[i] = NAN;
    }
    if (scores->state != SLUICE_INFLUENCE_NONE) {
        slot.stat[SL_STAT_LOSS] = scores->loss;
        slot.stat[SL_STAT_SELF] = scores->self;
        slot.stat[SL_STAT_LEVERAGE] = scores->leverage;
        for (uint32_t r = 0; r < influence->settings.n_references; r++) {
            slot.stat[SL_STAT_TOWARD + r] =
                toward_by_name(scores, influence->settings.reference[r].name);
        }
    }
    place(known, sample);
    sl_estimator_apply(known->estimator, sample->offset, &slot);
    if (slot.counted) {
        add_to_references(influence, known, sample);
    }
}

void sl_influence_freeze(sl_influence *influence, uint64_t next_offset)
{
    for (uint32_t i = 0; i < SLUICE_LIMIT_ENCODERS; i++) {
        if (influence->encoder[i].estimator != NULL) {
            sl_estimator_freeze(influence->encoder[i].estimator, next_offset / SL_BLOCK_SLOTS);
        }
    }
}

bool sl_influence_refresh(sl_influence *influence)
{
    bool any = false;
    for (uint32_t i = 0; i < SLUICE_LIMIT_ENCODERS; i++) {
        sl_estimator *estimator = atomic_load(&influence->shared[i]);
        any = (estimator != NULL && sl_refresh_run(estimator)) || any;
    }
    return any;
}

bool sl_influence_refresh_waits(const sl_influence *influence)
{
    bool any = false;
    for (uint32_t i = 0; i < SLUICE_LIMIT_ENCODERS; i++) {
        const sl_estimator *estimator = influence->encoder[i].estimator;
        any = any ||
              (estimator != NULL && atomic_load(&estimator->refresh.stage) == SL_REFRESH_WAITING);
    }
    return any;
}

uint32_t sl_influence_encoders(const sl_influence *influence,
                               sluice_encoder_state out[SLUICE_LIMIT_ENCODERS])
{
    uint32_t n = 0;
    for (; n < SLUICE_LIMIT_ENCODERS && influence->encoder[n].estimator != NULL; n++) {
        const sl_encoder *known = &influence->encoder[n];
        out[n] = sl_estimator_describe(known->estimator, known->n_views, known->dim);
        memcpy(out[n].name, known->name, known->name_size);
    }
    return n;
}
