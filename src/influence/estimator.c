/* estimator.c - the whole state of influence for one encoder.
 *
 *   offset --> slot (offset mod 256) --> [ slice 0 | 1 | 2 | 3 ]   rows of the block, as they came
 *                                             |  score: frozen state only, 64 rows at once
 *   end of the block:  weights -> sums -> (refresh) -> derive = what the next block is scored with
 *
 * Why the rows wait for the end of the block: sums are then made by the same products over the same
 * 64 rows, however the samples arrived, and no score depends on where a message ended.
 * Why a slice is made ready again in full when a row comes in: rows do not know of each other (slot
 * rule), so the others get the bits that they had.
 *
 * Bounded weights: a sample counts min(1, bound / leverage); a source with more than its share of
 * the stream counts as if it had that share. Both are there so that nobody can own the basis. */
#include "influence/estimator.h"
#include "influence/basis.h"
#include "influence/curvature.h"
#include "influence/rows.h"
#include "influence/score.h"
#include "influence/stability.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define RANKS_HALF_LIFE_LEAST 512 /* samples */

static float *floats(size_t n)
{
    return calloc(n, sizeof(float));
}

static size_t largest(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Statistics that have values at all. */
static uint32_t n_stats(const sl_estimator *estimator)
{
    return SL_STAT_TOWARD + estimator->settings->n_references;
}

/* Of the products below, the one that needs most. */
size_t sl_estimator_work_floats(const sl_shape *shape)
{
    const size_t matrix = (size_t)shape->dim_out * shape->dim_in;
    const size_t rows = sl_view_floats(shape->dim_out) + sl_view_floats(shape->dim_in);
    size_t most = sl_curvature_floats(shape);
    most = largest(most, 2 * matrix);
    most = largest(most, 2 * (size_t)shape->dim_in * shape->dim_in);
    most = largest(most, (size_t)shape->dim_out * shape->dim_out); /* eigenproblem */
    most = largest(most, matrix + shape->n_views * rows);          /* references */
    return largest(most, 4 * rows);                                /* reliability */
}

static sluice_status open_rows(sl_estimator *estimator)
{
    const sl_shape *shape = &estimator->shape;
    for (uint32_t i = 0; i < SL_BLOCK_SLICES; i++) {
        SLUICE_TRY(sl_slice_open(shape, estimator->two_sides, &estimator->slice[i]));
    }
    for (uint32_t i = 0; i < SL_BLOCK_SLOTS; i++) {
        estimator->placed[i] = UINT64_MAX;
    }
    estimator->left = floats(shape->n_views * sl_view_floats(shape->dim_out));
    estimator->work = floats(sl_estimator_work_floats(shape));
    return estimator->left != NULL && estimator->work != NULL
               ? sl_slice_open(shape, estimator->two_sides, &estimator->scratch)
               : SLUICE_E_NOMEM;
}

static sluice_status open_sums(sl_estimator *estimator)
{
    const size_t m = estimator->shape.dim_out;
    const size_t d = estimator->shape.dim_in;
    estimator->moments.mean = calloc(d, sizeof(double));
    estimator->moments.second_in = floats(d * d);
    estimator->moments.second_out = estimator->two_sides ? floats(m * m) : NULL;
    estimator->lambda = floats(m * d);
    estimator->eig_sum = calloc(d, sizeof(double));
    estimator->gradient = floats(m * d);
    for (uint32_t i = 0; i < SL_N_STATS; i++) {
        estimator->quantile[i] = calloc(1, sizeof *estimator->quantile[i]);
        if (estimator->quantile[i] == NULL) {
            return SLUICE_E_NOMEM;
        }
    }
    bool there = estimator->moments.mean != NULL && estimator->moments.second_in != NULL &&
                 (!estimator->two_sides || estimator->moments.second_out != NULL) &&
                 estimator->lambda != NULL && estimator->eig_sum != NULL &&
                 estimator->gradient != NULL;
    return there ? sl_shift_open((uint32_t)d, &estimator->shift) : SLUICE_E_NOMEM;
}

static sluice_status open_frozen(sl_estimator *estimator)
{
    const size_t m = estimator->shape.dim_out;
    const size_t d = estimator->shape.dim_in;
    uint32_t rank = estimator->settings->expert.rank;
    rank = rank == 0 ? (uint32_t)d / 8 : rank;
    rank = rank < 1 ? 1 : rank > d ? (uint32_t)d : rank;
    SLUICE_TRY(sl_leverage_open((uint32_t)d, rank, &estimator->leverage));
    estimator->leverage.follow = estimator->settings->expert.n_refresh == 0;
    estimator->basis_in = floats(d * d);
    estimator->basis_out = estimator->two_sides ? floats(m * m) : estimator->basis_in;
    estimator->moved = floats(m * d);
    estimator->inverse = floats(m * d);
    estimator->mean = floats(d);
    bool there = estimator->basis_in != NULL && estimator->basis_out != NULL &&
                 estimator->moved != NULL && estimator->inverse != NULL && estimator->mean != NULL;
    return there ? sl_refresh_open(estimator) : SLUICE_E_NOMEM;
}

sluice_status sl_estimator_open(const sl_shape *shape, const sluice_influence_config *settings,
                                sl_estimator **out)
{
    sl_estimator *estimator = calloc(1, sizeof *estimator);
    *out = NULL;
    if (estimator == NULL) {
        return SLUICE_E_NOMEM;
    }
    estimator->shape = *shape;
    estimator->settings = settings;
    estimator->two_sides = shape->own_inputs || settings->expert.adapter == 0;
    sluice_status status = open_rows(estimator);
    status = status == SLUICE_OK ? open_sums(estimator) : status;
    status = status == SLUICE_OK ? open_frozen(estimator) : status;
    if (status != SLUICE_OK) {
        sl_estimator_close(&estimator);
        return status;
    }
    *out = estimator;
    return SLUICE_OK;
}

void sl_estimator_close(sl_estimator **estimator_p)
{
    sl_estimator *estimator = *estimator_p;
    if (estimator == NULL) {
        return;
    }
    sl_refresh_close(estimator);
    for (uint32_t i = 0; i < SL_BLOCK_SLICES; i++) {
        sl_slice_close(&estimator->slice[i]);
    }
    sl_slice_close(&estimator->scratch);
    for (uint32_t i = 0; i < SL_N_STATS; i++) {
        free(estimator->quantile[i]);
    }
    for (uint32_t i = 0; i < SLUICE_LIMIT_REFERENCES; i++) {
        sl_reference_close(&estimator->reference[i]);
    }
    sl_shift_close(&estimator->shift);
    free(estimator->moments.mean);
    free(estimator->moments.second_in);
    free(estimator->moments.second_out);
    if (estimator->basis_out != estimator->basis_in) {
        free(estimator->basis_out);
    }
    sl_leverage_close(&estimator->leverage);
    void *owned[] = {estimator->lambda,   estimator->eig_sum, estimator->gradient,
                     estimator->basis_in, estimator->moved,   estimator->inverse,
                     estimator->mean,     estimator->left,    estimator->work};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) {
        free(owned[i]);
    }
    free(estimator);
    *estimator_p = NULL;
}

/* --- one block --- */

void sl_estimator_place(sl_estimator *estimator, uint64_t offset, const sluice_views *views)
{
    const uint32_t i_slot = (uint32_t)(offset % SL_BLOCK_SLOTS);
    const uint32_t i_slice = i_slot / SL_SLOTS;
    if (estimator->placed[i_slot] == offset) {
        return;
    }
    sl_slice_put(&estimator->shape, &estimator->slice[i_slice], i_slot % SL_SLOTS, views->rows,
                 views->inputs);
    estimator->placed[i_slot] = offset;
    estimator->ready[i_slice] = false;
}

void sl_estimator_make_ready(sl_estimator *estimator, sl_slice *slice)
{
    sl_stability_prepare(&estimator->shape, estimator->has_moved ? estimator->moved : NULL, slice);
    if (estimator->live) {
        sl_score_rotate(&estimator->shape, estimator->basis_out, estimator->basis_in, slice);
    }
}

void sl_estimator_score(sl_estimator *estimator, uint64_t offset, sl_slice_scores *scores)
{
    const uint32_t i_slice = (uint32_t)(offset % SL_BLOCK_SLOTS) / SL_SLOTS;
    const sl_shape *shape = &estimator->shape;
    sl_slice *slice = &estimator->slice[i_slice];
    if (!estimator->ready[i_slice]) {
        sl_estimator_make_ready(estimator, slice);
        estimator->ready[i_slice] = true;
    }
    if (!estimator->live) {
        return;
    }
    sl_stability_left(shape, slice, slice->s, shape->dim_out, estimator->left);
    sl_stability_norm2(shape, estimator->left, slice->a, scores->norm2);
    sl_score_self(shape, slice, estimator->left, estimator->inverse, estimator->work, scores->self);
    for (uint32_t r = 0; r < SLUICE_LIMIT_REFERENCES; r++) {
        if (estimator->reference[r].known) {
            sl_score_toward(shape, slice, estimator->left, estimator->reference[r].solved,
                            estimator->work, scores->toward[r]);
        }
    }
    sl_leverage_rows(&estimator->leverage, slice->a, scores->leverage, scores->residual);
}

void sl_estimator_apply(sl_estimator *estimator, uint64_t offset, const sl_slot *slot)
{
    const uint32_t i_slot = (uint32_t)(offset % SL_BLOCK_SLOTS);
    SLUICE_ASSERT(estimator->placed[i_slot] == offset);
    estimator->slot[i_slot] = *slot;
    estimator->slot[i_slot].present = true;
}

/* --- the end of a block --- */

static uint32_t count_absorbed(const sl_estimator *estimator)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < SL_BLOCK_SLOTS; i++) {
        n += estimator->slot[i].present && estimator->slot[i].counted;
    }
    return n;
}

static void count_sources(sl_estimator *estimator, double fade)
{
    for (uint32_t i = 0; i < SL_SHIFT_SOURCES && fade < 1; i++) {
        estimator->source_count[i] *= fade;
    }
    estimator->source_total *= fade;
    for (uint32_t i = 0; i < SL_BLOCK_SLOTS; i++) {
        const sl_slot *slot = &estimator->slot[i];
        if (slot->present && slot->counted) {
            estimator->source_count[slot->i_source] += 1;
            estimator->source_total += 1;
        }
    }
}

static float weight_of(const sl_estimator *estimator, const sl_slot *slot)
{
    if (!slot->present || !slot->counted) {
        return 0;
    }
    const double bound_sample = estimator->settings->expert.bound_sample;
    const double bound_source = estimator->settings->expert.bound_source;
    const double leverage = (double)slot->stat[SL_STAT_LEVERAGE];
    double weight = 1;
    if (bound_sample > 0 && leverage > bound_sample) { /* false for NaN */
        weight = bound_sample / leverage;
    }
    const double share = estimator->source_count[slot->i_source] / estimator->source_total;
    if (bound_source > 0 && share > bound_source) {
        weight *= bound_source / share;
    }
    return (float)weight;
}

SL_WIDE static void add_eig(sl_estimator *estimator, const sl_slice *slice,
                            const float weight[SL_SLOTS])
{
    const uint32_t d = estimator->shape.dim_in;
    for (uint32_t i = 0; i < SL_SLOTS; i++) {
        const double share = (double)weight[i] / estimator->shape.n_views;
        const float *anchor = slice->a + (size_t)i * d;
        for (uint32_t k = 0; k < estimator->shape.n_views && share > 0; k++) {
            const float *row = anchor + k * sl_view_floats(d);
            for (uint32_t j = 0; j < d; j++) {
                const double x = (double)anchor[j] + (k == 0 ? 0 : (double)row[j]);
                estimator->eig_sum[j] += share * x * x;
            }
        }
    }
}

SL_WIDE static void mean_view(const sl_estimator *estimator, const float *rows, uint32_t i,
                              float *out)
{
    const uint32_t d = estimator->shape.dim_in;
    const float share = 1 / (float)estimator->shape.n_views;
    memcpy(out, rows + (size_t)i * d, sizeof *out * d);
    for (uint32_t k = 1; k < estimator->shape.n_views; k++) {
        const float *row = rows + k * sl_view_floats(d) + (size_t)i * d;
        for (uint32_t j = 0; j < d; j++) {
            out[j] += row[j] * share;
        }
    }
}

/* Mean views and scores of the counted rows, each counting 1: bounds are for what scores rest on.
 */
static void add_statistics(sl_estimator *estimator, uint32_t i_slice)
{
    const sl_slice *slice = &estimator->slice[i_slice];
    float *mean = estimator->work;
    for (uint32_t i = 0; i < SL_SLOTS; i++) {
        const sl_slot *slot = &estimator->slot[i_slice * SL_SLOTS + i];
        if (!slot->present || !slot->counted) {
            continue;
        }
        mean_view(estimator, slice->right, i, mean);
        sl_shift_add(&estimator->shift, slot->i_source, mean, estimator->settings->half_life);
        for (uint32_t j = 0; j < n_stats(estimator); j++) {
            sl_quantile_add(estimator->quantile[j], (double)slot->stat[j]);
        }
    }
}

static void absorb_slice(sl_estimator *estimator, uint32_t i_slice, double fade)
{
    const sl_shape *shape = &estimator->shape;
    sl_slice *slice = &estimator->slice[i_slice];
    float weight[SL_SLOTS];
    bool any = false;
    for (uint32_t i = 0; i < SL_SLOTS; i++) {
        weight[i] = weight_of(estimator, &estimator->slot[i_slice * SL_SLOTS + i]);
        any = any || weight[i] > 0;
    }
    if (!any) {
        return;
    }
    if (!estimator->ready[i_slice]) {
        sl_estimator_make_ready(estimator, slice);
    }
    sl_moments_add(shape, slice, weight, estimator->work, &estimator->moments);
    if (estimator->settings->expert.adapter == 0) {
        sl_stability_left(shape, slice, slice->u, shape->dim_out, estimator->left);
        sl_moments_add_gradient(shape, estimator->left, slice->right, weight, estimator->work,
                                estimator->gradient);
        for (uint32_t i = 0; i < SL_SLOTS; i++) {
            estimator->gradient_weight += (double)weight[i];
        }
    }
    if (estimator->live) {
        sl_curvature_add(shape, slice, weight, estimator->work, estimator->lambda);
        add_eig(estimator, slice, weight);
        if (i_slice == 0) { /* a quarter of the stream is enough to know how much it scatters */
            sl_reliability_add(shape, slice, estimator->inverse, weight, fade, estimator->work,
                               &estimator->reliability);
        }
    } else {
        sl_refresh_keep_warm(estimator, i_slice, weight);
    }
    add_statistics(estimator, i_slice);
}

/* Leverage falls as more of the stream is known (over n samples it is too high by d / n of itself):
 * beside that of a short past hardly anything would be rare. So its ranks forget by an eighth of
 * the stream at the latest. */
static double fade_of_leverage(const sl_estimator *estimator, uint32_t n, double fade)
{
    const uint64_t eighth = estimator->n_absorbed / 8;
    const uint64_t half_life = eighth > RANKS_HALF_LIFE_LEAST ? eighth : RANKS_HALF_LIFE_LEAST;
    const double young = sl_moments_fade(half_life, n);
    return fade < young ? fade : young;
}

static void fade_sums(sl_estimator *estimator, uint32_t n, double fade)
{
    sl_moments_decay(&estimator->shape, &estimator->moments, fade);
    if (fade >= 1) {
        return;
    }
    const size_t size = (size_t)estimator->shape.dim_out * estimator->shape.dim_in;
    for (size_t i = 0; i < size; i++) {
        estimator->lambda[i] *= (float)fade;
    }
    estimator->shift.spread *= fade;
    estimator->shift.spread_weight *= fade;
    for (uint32_t j = 0; j < estimator->shape.dim_in; j++) {
        estimator->eig_sum[j] *= fade;
    }
    for (uint32_t i = 0; i < n_stats(estimator); i++) {
        sl_quantile_decay(estimator->quantile[i],
                          i == SL_STAT_LEVERAGE ? fade_of_leverage(estimator, n, fade) : fade);
    }
}

static void clear_block(sl_estimator *estimator)
{
    for (uint32_t i = 0; i < SL_BLOCK_SLICES; i++) {
        sl_slice_clear(&estimator->shape, &estimator->slice[i]);
        estimator->ready[i] = false;
    }
    memset(estimator->slot, 0, sizeof estimator->slot);
    for (uint32_t i = 0; i < SL_BLOCK_SLOTS; i++) {
        estimator->placed[i] = UINT64_MAX;
    }
}

static void find_mu(sl_estimator *estimator)
{
    const size_t size = (size_t)estimator->shape.dim_out * estimator->shape.dim_in;
    const double weight = estimator->moments.weight;
    double sum = 0;
    double negative = 0;
    double top = 0;
    for (size_t i = 0; i < size; i++) {
        const double value = (double)estimator->lambda[i];
        sum += value > 0 ? value : 0;
        negative -= value < 0 ? value : 0;
        top = value > top ? value : top;
    }
    estimator->negative_share = sum + negative > 0 ? negative / (sum + negative) : 0;
    if (estimator->settings->damping.margin <= 0) {
        estimator->mu = estimator->settings->damping.relative * sum / weight / (double)size;
    }
    const double least = 1e-6 * top / weight; /* float32 knows nothing below */
    estimator->mu = estimator->mu > least ? estimator->mu : least > 0 ? least : 1e-12;
}

static void freeze_leverage(sl_estimator *estimator)
{
    const uint32_t d = estimator->shape.dim_in;
    const double weight = estimator->moments.weight;
    sl_leverage *leverage = &estimator->leverage;
    memset(leverage->mt, 0, sizeof *leverage->mt * d);
    for (uint32_t i = 0; i < d; i++) {
        const double mean = estimator->moments.mean[i] / weight;
        const float *row = estimator->basis_in + (size_t)i * d;
        estimator->mean[i] = (float)mean;
        for (uint32_t j = 0; j < d; j++) {
            leverage->mt[j] += mean * (double)row[j];
        }
    }
    for (uint32_t j = 0; j < d; j++) {
        leverage->eig[j] = estimator->eig_sum[j] / weight;
    }
    sl_leverage_freeze(leverage, estimator->settings->expert.ridge, estimator->new_basis);
    estimator->new_basis = false;
}

static void solve_references(sl_estimator *estimator)
{
    const sl_shape *shape = &estimator->shape;
    const size_t size = (size_t)shape->dim_out * shape->dim_in;
    for (uint32_t r = 0; r < SLUICE_LIMIT_REFERENCES; r++) {
        sl_reference *reference = &estimator->reference[r];
        if (!reference->active) {
            continue;
        }
        if (!reference->known) {
            sl_reference_rotate(shape, reference, estimator->has_moved ? estimator->moved : NULL,
                                estimator->basis_out, estimator->basis_in, &estimator->scratch,
                                estimator->left, estimator->work, reference->rotated);
            reference->known = true;
        }
        for (size_t i = 0; i < size; i++) {
            reference->solved[i] = estimator->inverse[i] * reference->rotated[i];
        }
    }
}

SL_WIDE static void invert(const float *lambda, size_t n, float share, float mu, float *inverse)
{
    for (size_t i = 0; i < n; i++) {
        const float value = lambda[i] * share;
        inverse[i] = 1 / ((value > 0 ? value : 0) + mu);
    }
}

void sl_estimator_derive(sl_estimator *estimator)
{
    for (uint32_t i = 0; i < n_stats(estimator); i++) {
        sl_quantile_freeze(estimator->quantile[i]);
    }
    if (!estimator->live) {
        return;
    }
    const size_t size = (size_t)estimator->shape.dim_out * estimator->shape.dim_in;
    const double weight = estimator->moments.weight;
    find_mu(estimator);
    invert(estimator->lambda, size, (float)(1 / weight), (float)estimator->mu, estimator->inverse);
    freeze_leverage(estimator);
    solve_references(estimator);
}

/* How much single samples scatter: by the moments that they are part of themselves, as the samples
 * of a source are; by older moments they would seem to scatter more. */
static void add_spread(sl_estimator *estimator)
{
    for (uint32_t i_slice = 0; i_slice < SL_BLOCK_SLICES; i_slice++) {
        uint32_t n = 0;
        for (uint32_t i = 0; i < SL_SLOTS; i++) {
            const sl_slot *slot = &estimator->slot[i_slice * SL_SLOTS + i];
            if (slot->present && slot->counted) {
                mean_view(estimator, estimator->slice[i_slice].a, i,
                          estimator->work + (size_t)n++ * estimator->shape.dim_in);
            }
        }
        sl_shift_add_spread(&estimator->shift, estimator->work, n, &estimator->leverage);
    }
}

/* True if there was anything to learn. */
static bool learn(sl_estimator *estimator)
{
    const uint32_t n = count_absorbed(estimator);
    if (n == 0) {
        return false;
    }
    const double fade = sl_moments_fade(estimator->settings->half_life, n);
    fade_sums(estimator, n, fade);
    count_sources(estimator, fade);
    for (uint32_t i = 0; i < SL_BLOCK_SLICES; i++) {
        absorb_slice(estimator, i, fade);
    }
    estimator->n_absorbed += n;
    if (!estimator->live) {
        sl_refresh_end_warm_block(estimator);
    }
    return true;
}

void sl_estimator_admit_references(sl_estimator *estimator)
{
    for (uint32_t r = 0; r < SLUICE_LIMIT_REFERENCES; r++) {
        estimator->reference[r].active = sl_reference_complete(&estimator->reference[r]);
    }
}

void sl_estimator_drop_reference(sl_estimator *estimator, uint32_t r)
{
    sl_refresh_finish(estimator);
    estimator->refresh.with_reference[r] = false;
    sl_reference_close(&estimator->reference[r]);
    memset(estimator->quantile[SL_STAT_TOWARD + r], 0, sizeof *estimator->quantile[0]);
    for (uint32_t i = 0; i < SL_BLOCK_SLOTS; i++) {
        estimator->slot[i].stat[SL_STAT_TOWARD + r] = NAN;
    }
}

void sl_estimator_settle(sl_estimator *estimator)
{
    (void)learn(estimator);
    clear_block(estimator);
    if (estimator->refresh.pending) {
        sl_refresh_publish(estimator);
    }
}

void sl_estimator_freeze(sl_estimator *estimator, uint64_t i_block)
{
    bool changed = learn(estimator);
    bool rotated = estimator->live; /* the rows of the block are in the basis in force */
    if (sl_refresh_due(estimator, i_block)) {
        uint64_t lag = estimator->live ? estimator->settings->expert.refresh_lag : 0;
        sl_refresh_trigger(estimator, i_block + lag);
    }
    if (estimator->refresh.pending && i_block >= estimator->refresh.publish_block) {
        sl_refresh_publish(estimator);
        changed = true;
        rotated = false;
    }
    if (changed) {
        sl_estimator_admit_references(estimator);
        sl_estimator_derive(estimator);
        if (rotated) {
            add_spread(estimator);
        }
        if (estimator->live) {
            sl_shift_freeze(&estimator->shift, estimator->mean, estimator->basis_in,
                            &estimator->leverage, estimator->work);
        }
    }
    clear_block(estimator);
}

sluice_influence_state sl_estimator_state(const sl_estimator *estimator)
{
    return !estimator->live                            ? SLUICE_WARMING
           : estimator->leverage.left_over_used <= 0.0 ? SLUICE_STALE
                                                       : SLUICE_LIVE;
}

sluice_encoder_state sl_estimator_describe(const sl_estimator *estimator, uint32_t n_views,
                                           uint32_t dim)
{
    return (sluice_encoder_state){
        .n_views = n_views,
        .dim = dim,
        .state = sl_estimator_state(estimator),
        .n_samples = estimator->n_absorbed,
        .n_refreshes = estimator->n_refreshes,
        .reliability = sl_reliability_of(&estimator->reliability, estimator->shape.n_views)};
}
