/* influence.c - what each sample does to the representation: the state of all encoders.
 *
 *   sample --(encoder, K, dimensions)--> one of 4 estimators --> scores
 *
 * Why a state for each: numbers of two encoders, or of two numbers of views, do not compare. A new
 * encoder version starts its own state, beside the old one. Why the same name with another
 * dimension is refused: it is a mistake upstream, and the first sample of it is the time to say so.
 *
 * Rows longer than 1,024 are projected to 512 first (project.c); duplicates use all of them. */
#include "influence/influence.h"
#include "influence/estimator.h"
#include "influence/project.h"
#include "bytes.h"

#include <math.h>
#include <stdlib.h>

typedef struct encoder {
    uint8_t name[SLUICE_LIMIT_SOURCE_BYTES];
    uint32_t name_size;
    uint32_t n_views, dim, dim_in; /* as they come */
    sl_estimator *estimator;       /* NULL: free */
    sl_project out, in;            /* dim 0: not projected */
    float *projected, *projected_in;
} encoder;

/* A reference set that came from a file, before it is given to an encoder. */
typedef struct loose_reference {
    uint8_t encoder[SLUICE_LIMIT_SOURCE_BYTES];
    uint32_t encoder_size;
    uint32_t n, n_views, dim, dim_in;
    sluice_bytes rows, inputs;
} loose_reference;

struct sl_influence {
    sluice_influence_config settings;
    uint64_t seed;
    bool on;
    encoder encoder[SLUICE_LIMIT_ENCODERS];
    /* The same estimators, for the thread that makes refreshes. */
    _Atomic(sl_estimator *) shared[SLUICE_LIMIT_ENCODERS];
    loose_reference loose[SLUICE_LIMIT_REFERENCES];
};

sluice_status sl_influence_open(const sluice_config *config, sl_influence **out,
                                sluice_message *why)
{
    *out = calloc(1, sizeof **out);
    if (*out == NULL) {
        return sluice_fail(why, SLUICE_E_NOMEM, "no memory for influence");
    }
    (*out)->settings = config->influence;
    (*out)->seed = config->seed;
    (*out)->on = config->influence.enabled && config->encoder == 0;
    sl_gemm_init();
    return SLUICE_OK;
}

static void close_encoder(encoder *known)
{
    sl_estimator_close(&known->estimator);
    sl_project_close(&known->out);
    sl_project_close(&known->in);
    free(known->projected);
    free(known->projected_in);
    *known = (encoder){.name_size = 0};
}

void sl_influence_close(sl_influence **influence_p)
{
    sl_influence *influence = *influence_p;
    if (influence != NULL) {
        for (uint32_t i = 0; i < SLUICE_LIMIT_ENCODERS; i++) {
            close_encoder(&influence->encoder[i]);
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

static bool has_name(const encoder *known, sluice_span name)
{
    return known->estimator != NULL &&
           sl_span_equal((sluice_span){known->name, known->name_size}, name);
}

static encoder *find_encoder(const sl_influence *influence, sluice_span name, uint32_t n_views,
                             uint32_t dim, uint32_t dim_in)
{
    for (uint32_t i = 0; i < SLUICE_LIMIT_ENCODERS; i++) {
        const encoder *known = &influence->encoder[i];
        if (has_name(known, name) && known->n_views == n_views && known->dim == dim &&
            known->dim_in == dim_in) {
            return (encoder *)known;
        }
    }
    return NULL;
}

static encoder *find_room(const sl_influence *influence)
{
    for (uint32_t i = 0; i < SLUICE_LIMIT_ENCODERS; i++) {
        if (influence->encoder[i].estimator == NULL) {
            return (encoder *)&influence->encoder[i];
        }
    }
    return NULL;
}

static bool is_scored(const sl_influence *influence, const sluice_sample *sample)
{
    return influence->on && sample->views.n_views >= 2;
}

static sluice_status open_projection(uint32_t dim, uint32_t n_views, uint64_t seed,
                                     sl_project *project, float **rows, uint32_t *dim_used)
{
    *dim_used = dim;
    if (dim <= SL_PROJECT_ABOVE) {
        return SLUICE_OK;
    }
    *dim_used = SL_PROJECT_DIM;
    *rows = calloc((size_t)n_views * SL_PROJECT_DIM, sizeof(float));
    return *rows != NULL ? sl_project_open(dim, seed, project) : SLUICE_E_NOMEM;
}

static void give_references(const sl_influence *influence, encoder *to);

static sluice_status open_encoder(const sl_influence *influence, sluice_span name, uint32_t n_views,
                                  uint32_t dim, uint32_t dim_in, encoder *out)
{
    close_encoder(out);
    *out = (encoder){
        .name_size = (uint32_t)name.size, .n_views = n_views, .dim = dim, .dim_in = dim_in};
    if (name.size > 0) {
        memcpy(out->name, name.data, name.size);
    }
    sl_shape shape = {.n_views = n_views, .own_inputs = dim_in != 0};
    SLUICE_TRY(
        open_projection(dim, n_views, influence->seed, &out->out, &out->projected, &shape.dim_out));
    SLUICE_TRY(open_projection(dim_in, n_views, influence->seed + 1, &out->in, &out->projected_in,
                               &shape.dim_in));
    shape.dim_in = dim_in != 0 ? shape.dim_in : shape.dim_out;
    SLUICE_TRY(sl_estimator_open(&shape, &influence->settings, &out->estimator));
    for (uint32_t r = 0; r < influence->settings.n_references; r++) {
        const sluice_reference *wanted = &influence->settings.reference[r];
        if (wanted->path[0] == '\0') {
            SLUICE_TRY(sl_reference_open(&shape, wanted->samples, &out->estimator->reference[r]));
        }
    }
    give_references(influence, out);
    return SLUICE_OK;
}

static void share(sl_influence *influence, const encoder *known)
{
    atomic_store(&influence->shared[known - influence->encoder], known->estimator);
}

/* The encoder of a sample; opened if it is new. There is room, or it would have been refused. */
static encoder *encoder_of(sl_influence *influence, const sluice_sample *sample)
{
    const sluice_views *views = &sample->views;
    encoder *known =
        find_encoder(influence, sample->encoder, views->n_views, views->dim, views->dim_in);
    if (known != NULL) {
        return known;
    }
    known = find_room(influence);
    SLUICE_ASSERT(known != NULL);
    sluice_status status =
        open_encoder(influence, sample->encoder, views->n_views, views->dim, views->dim_in, known);
    /* No memory: nothing of this message was acknowledged, so ending here loses nothing. */
    SLUICE_ASSERT(status == SLUICE_OK);
    share(influence, known);
    return known;
}

const char *sl_influence_admit(sl_influence *influence, const sluice_sample *sample)
{
    const sluice_views *views = &sample->views;
    if (!is_scored(influence, sample) || find_encoder(influence, sample->encoder, views->n_views,
                                                      views->dim, views->dim_in) != NULL) {
        return NULL;
    }
    for (uint32_t i = 0; i < SLUICE_LIMIT_ENCODERS; i++) {
        const encoder *known = &influence->encoder[i];
        if (has_name(known, sample->encoder) &&
            (known->dim != views->dim || known->dim_in != views->dim_in)) {
            return "view_dimension_changed";
        }
    }
    if (find_room(influence) == NULL) {
        return "too_many_encoders";
    }
    (void)encoder_of(influence, sample);
    return NULL;
}

static void project_rows(const sl_project *project, const float *rows, uint32_t n_views, float *out)
{
    for (uint32_t k = 0; k < n_views; k++) {
        sl_project_row(project, rows + (size_t)k * project->dim, out + (size_t)k * SL_PROJECT_DIM);
    }
}

/* Rows as the estimator takes them: projected where they are long, over the norm of the output. */
static sluice_views short_views(encoder *known, const sluice_views *views)
{
    sluice_views out = *views;
    if (known->in.dim > 0) {
        project_rows(&known->in, views->inputs, views->n_views, known->projected_in);
        out.inputs = known->projected_in;
    }
    if (known->out.dim > 0) {
        project_rows(&known->out, views->rows, views->n_views, known->projected);
        for (uint32_t k = 0; k < views->n_views; k++) {
            float *row = known->projected + (size_t)k * SL_PROJECT_DIM;
            double square = 0;
            for (uint32_t j = 0; j < SL_PROJECT_DIM; j++) {
                square += (double)row[j] * (double)row[j];
            }
            const float scale = square > 0 ? (float)(1 / sqrt(square)) : 0.0F;
            for (uint32_t j = 0; j < SL_PROJECT_DIM; j++) {
                row[j] *= scale;
            }
        }
        out.rows = known->projected;
    }
    return out;
}

static void place(encoder *known, const sluice_sample *sample)
{
    const sluice_views views = short_views(known, &sample->views);
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

static void fill_live(const sl_estimator *estimator, const sl_slice_scores *from, uint32_t i_slot,
                      uint16_t i_source, sluice_scores *scores)
{
    scores->self = (float)from->self[i_slot];
    scores->ratio =
        from->norm2[i_slot] < 1e-12 ? NAN : (float)(from->self[i_slot] / from->norm2[i_slot]);
    scores->leverage = (float)from->leverage[i_slot];
    scores->residual = (float)from->residual[i_slot];
    scores->source_shift = i_source < SL_SHIFT_SOURCES ? estimator->shift.z[i_source] : NAN;
    scores->reliability = sl_reliability_of(&estimator->reliability, estimator->shape.n_views);
    for (uint32_t r = 0; r < scores->n_toward; r++) {
        if (estimator->reference[r].known) {
            scores->toward[r] = (float)from->toward[r][i_slot];
        }
    }
}

static void fill_percentiles(const sl_estimator *estimator, sluice_scores *scores)
{
    sl_quantile *const *quantile = estimator->quantile;
    scores->percentile.loss = sl_quantile_share(quantile[SL_STAT_LOSS], (double)scores->loss);
    scores->percentile.self = sl_quantile_share(quantile[SL_STAT_SELF], (double)scores->self);
    scores->percentile.leverage =
        sl_quantile_share(quantile[SL_STAT_LEVERAGE], (double)scores->leverage);
    for (uint32_t r = 0; r < scores->n_toward; r++) {
        scores->percentile.toward[r] =
            sl_quantile_share(quantile[SL_STAT_TOWARD + r], (double)scores->toward[r]);
    }
}

/* One copy of the names for all samples of a call. */
static const char *copy_names(const sl_influence *influence, sl_arena *arena)
{
    const size_t size = sizeof influence->settings.reference[0].name;
    const uint32_t n = influence->settings.n_references;
    sl_arena_allow(arena, size * n + 16);
    char *names = n > 0 ? sl_arena_alloc(arena, size * n) : NULL;
    SLUICE_ASSERT(n == 0 || names != NULL); /* no memory: as above */
    for (uint32_t r = 0; r < n; r++) {
        memcpy(names + r * size, influence->settings.reference[r].name, size);
    }
    return names;
}

static void score_encoder(sl_influence *influence, encoder *known, sluice_sample *sample,
                          uint32_t n, const uint16_t *i_source, const char *names)
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
        out->n_toward = influence->settings.n_references;
        for (uint32_t r = 0; r < out->n_toward; r++) {
            out->toward_name[r] = names + r * sizeof influence->settings.reference[0].name;
        }
        if (estimator->live) {
            fill_live(estimator, &scores, i_slot, i_source[i], out);
        }
        fill_percentiles(estimator, out);
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
    const char *names = any ? copy_names(influence, arena) : NULL;
    for (uint32_t i = 0; i < SLUICE_LIMIT_ENCODERS && any; i++) {
        if (influence->encoder[i].estimator != NULL) {
            score_encoder(influence, &influence->encoder[i], sample, n, i_source, names);
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

static void add_to_references(const sl_influence *influence, encoder *known,
                              const sluice_sample *sample)
{
    const sluice_views views = short_views(known, &sample->views);
    for (uint32_t r = 0; r < influence->settings.n_references; r++) {
        const sluice_reference *wanted = &influence->settings.reference[r];
        if (wanted->path[0] == '\0' && sl_span_equal(sample->source, sl_span_of(wanted->source))) {
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
    encoder *known = encoder_of(influence, sample);
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

/* --- references from files --- */

/* What has come for each set so far, as far as it fits this encoder. */
static void give_references(const sl_influence *influence, encoder *to)
{
    for (uint32_t r = 0; r < influence->settings.n_references; r++) {
        const loose_reference *from = &influence->loose[r];
        sl_reference *reference = &to->estimator->reference[r];
        sluice_span name = {from->encoder, from->encoder_size};
        bool fits = from->n > 0 && from->n_views == to->n_views && from->dim == to->dim &&
                    from->dim_in == to->dim_in && (name.size == 0 || has_name(to, name));
        if (!fits || reference->n_wanted > 0) {
            continue;
        }
        sluice_status status = sl_reference_open(&to->estimator->shape, from->n, reference);
        SLUICE_ASSERT(status == SLUICE_OK); /* no memory: as above */
        for (uint32_t i = 0; i < from->n; i++) {
            const size_t at = (size_t)i * from->n_views;
            const sluice_views views = {
                .n_views = from->n_views,
                .dim = from->dim,
                .dim_in = from->dim_in,
                .rows = (const float *)(const void *)from->rows.data + at * from->dim,
                .inputs = from->dim_in > 0
                              ? (const float *)(const void *)from->inputs.data + at * from->dim_in
                              : NULL};
            const sluice_views shorter = short_views(to, &views);
            sl_reference_add(&to->estimator->shape, reference, &shorter);
        }
    }
}

sluice_status sl_influence_reference_add(sl_influence *influence, const char *name,
                                         const sluice_sample *sample)
{
    const sluice_views *views = &sample->views;
    for (uint32_t r = 0; r < influence->settings.n_references; r++) {
        loose_reference *to = &influence->loose[r];
        if (strcmp(influence->settings.reference[r].name, name) != 0) {
            continue;
        }
        if (to->n == SLUICE_LIMIT_REFERENCE) {
            return SLUICE_E_CONFIG;
        }
        if (views->n_views < 2 ||
            (to->n > 0 && (views->n_views != to->n_views || views->dim != to->dim ||
                           views->dim_in != to->dim_in))) {
            return SLUICE_E_BADSAMPLE;
        }
        if (to->n == 0) {
            to->n_views = views->n_views;
            to->dim = views->dim;
            to->dim_in = views->dim_in;
            to->encoder_size = (uint32_t)sample->encoder.size;
            memcpy(to->encoder, sample->encoder.size > 0 ? sample->encoder.data : to->encoder,
                   sample->encoder.size);
        }
        SLUICE_TRY(
            sl_bytes_append(&to->rows, views->rows, sizeof(float) * views->n_views * views->dim));
        if (views->dim_in > 0) {
            SLUICE_TRY(sl_bytes_append(&to->inputs, views->inputs,
                                       sizeof(float) * views->n_views * views->dim_in));
        }
        to->n++;
        return SLUICE_OK;
    }
    return SLUICE_E_CONFIG;
}

uint32_t sl_influence_encoders(const sl_influence *influence,
                               sluice_encoder_state out[SLUICE_LIMIT_ENCODERS])
{
    uint32_t n = 0;
    for (; n < SLUICE_LIMIT_ENCODERS && influence->encoder[n].estimator != NULL; n++) {
        const encoder *known = &influence->encoder[n];
        out[n] = sl_estimator_describe(known->estimator, known->n_views, known->dim);
        memcpy(out[n].name, known->name, known->name_size);
    }
    return n;
}

/* --- checkpoint --- */

static sluice_status save_encoder(const encoder *known, sluice_bytes *out)
{
    SLUICE_TRY(sl_bytes_put_u32(out, known->name_size));
    SLUICE_TRY(sl_bytes_append(out, known->name, known->name_size));
    SLUICE_TRY(sl_bytes_put_u32(out, known->n_views));
    SLUICE_TRY(sl_bytes_put_u32(out, known->dim));
    SLUICE_TRY(sl_bytes_put_u32(out, known->dim_in));
    sluice_bytes state = {0};
    sluice_status status = sl_estimator_save(known->estimator, &state);
    status = status == SLUICE_OK ? sl_bytes_put_u64(out, state.size) : status;
    status = status == SLUICE_OK ? sl_bytes_append(out, state.data, state.size) : status;
    sl_bytes_fini(&state);
    return status;
}

sluice_status sl_influence_save(const sl_influence *influence, sluice_bytes *out)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < SLUICE_LIMIT_ENCODERS; i++) {
        n += influence->encoder[i].estimator != NULL;
    }
    SLUICE_TRY(sl_bytes_put_u32(out, n));
    for (uint32_t i = 0; i < n; i++) { /* they are opened in order and never closed */
        SLUICE_TRY(save_encoder(&influence->encoder[i], out));
    }
    return SLUICE_OK;
}

static sluice_status load_encoder(const sl_influence *influence, sl_reader *reader, encoder *out)
{
    uint32_t name_size = sl_reader_u32(reader);
    sluice_span name = sl_reader_span(reader, name_size);
    uint32_t n_views = sl_reader_u32(reader);
    uint32_t dim = sl_reader_u32(reader);
    uint32_t dim_in = sl_reader_u32(reader);
    uint64_t size = sl_reader_u64(reader);
    sluice_span state = sl_reader_span(reader, (size_t)size);
    bool good = !reader->bad && name_size <= SLUICE_LIMIT_SOURCE_BYTES && n_views >= 2 &&
                n_views <= SLUICE_LIMIT_VIEWS && dim >= 2 && dim <= SLUICE_LIMIT_DIMENSION &&
                dim_in <= SLUICE_LIMIT_DIMENSION;
    if (!good) {
        return SLUICE_E_CORRUPT;
    }
    SLUICE_TRY(open_encoder(influence, name, n_views, dim, dim_in, out));
    return sl_estimator_load(out->estimator, state);
}

sluice_status sl_influence_load(sl_influence *influence, sluice_span saved)
{
    sl_reader reader = sl_reader_of(saved);
    uint32_t n = sl_reader_u32(&reader);
    sluice_status status = !reader.bad && n <= SLUICE_LIMIT_ENCODERS ? SLUICE_OK : SLUICE_E_CORRUPT;
    for (uint32_t i = 0; i < SLUICE_LIMIT_ENCODERS; i++) {
        atomic_store(&influence->shared[i], NULL);
        close_encoder(&influence->encoder[i]);
    }
    for (uint32_t i = 0; i < n && status == SLUICE_OK; i++) {
        status = load_encoder(influence, &reader, &influence->encoder[i]);
    }
    if (status == SLUICE_OK && reader.at != reader.end) {
        status = SLUICE_E_CORRUPT;
    }
    for (uint32_t i = 0; i < SLUICE_LIMIT_ENCODERS; i++) {
        if (status != SLUICE_OK) {
            close_encoder(&influence->encoder[i]);
        }
        share(influence, &influence->encoder[i]);
    }
    return status;
}
