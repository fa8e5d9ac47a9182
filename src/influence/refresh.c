/* refresh.c - a new basis and a step of the adapter: triggered, made on a copy, published later.
 *
 *   block b           trigger = copies of the sums; frozen state only, so always the same
 *   b .. b + lag      run     = eigenproblem, step, references; on any thread, while the stream
 *                               goes on in the old basis
 *   block b + lag     publish = transport of what the stream added meanwhile, and the change-over
 *
 * Why the first basis is published where it is triggered: there is nothing to go on with until
 * then, and the rows of the warm-up are kept for one purpose, to sum the curvature in it.
 * Why what is published does not depend on when it was made: run reads copies and what only
 * publish changes. */
#include "influence/adapter.h"
#include "influence/basis.h"
#include "influence/curvature.h"
#include "influence/estimator.h"

#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#define LEAST_WARMUP 512
#define MOST_BETWEEN 25600 /* samples between refreshes, when they are automatic */

static float *floats(size_t n)
{
    return calloc(n, sizeof(float));
}

/* Samples before the first basis. */
static uint32_t warmup_of(const sl_estimator *estimator)
{
    uint32_t set = estimator->settings->expert.warmup;
    if (set > 0) {
        return set;
    }
    uint32_t enough = 4 * estimator->shape.dim_in;
    return enough > LEAST_WARMUP ? enough : LEAST_WARMUP;
}

sluice_status sl_refresh_open(sl_estimator *estimator)
{
    const sl_shape *shape = &estimator->shape;
    const size_t m = shape->dim_out;
    const size_t d = shape->dim_in;
    sl_refresh *refresh = &estimator->refresh;
    float **wanted[] = {&refresh->lambda, &refresh->gradient, &refresh->moved};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        *wanted[i] = floats(m * d);
        if (*wanted[i] == NULL) {
            return SLUICE_E_NOMEM;
        }
    }
    refresh->second_in = floats(d * d);
    refresh->basis_in = floats(d * d);
    refresh->values = floats(m > d ? m : d);
    refresh->second_out = estimator->two_sides ? floats(m * m) : refresh->second_in;
    refresh->basis_out = estimator->two_sides ? floats(m * m) : refresh->basis_in;
    refresh->overlap_in = floats(d * d);
    refresh->overlap_out = estimator->two_sides ? floats(m * m) : refresh->overlap_in;
    refresh->left = floats(shape->n_views * sl_view_floats(shape->dim_out));
    refresh->work = floats(sl_estimator_work_floats(shape));
    SLUICE_TRY(sl_slice_open(shape, estimator->two_sides, &refresh->scratch));
    estimator->warm.n_room = warmup_of(estimator) + SL_BLOCK_SLOTS;
    const size_t rows = (size_t)estimator->warm.n_room * shape->n_views;
    estimator->warm.outputs = floats(rows * m);
    estimator->warm.inputs = shape->own_inputs ? floats(rows * d) : NULL;
    estimator->warm.weight = floats(estimator->warm.n_room);
    estimator->warm.block_end = calloc(estimator->warm.n_room, sizeof(uint32_t));
    bool there =
        refresh->second_in != NULL && refresh->basis_in != NULL && refresh->values != NULL &&
        refresh->second_out != NULL && refresh->basis_out != NULL && refresh->overlap_in != NULL &&
        refresh->overlap_out != NULL && refresh->left != NULL && refresh->work != NULL &&
        estimator->warm.outputs != NULL && (!shape->own_inputs || estimator->warm.inputs != NULL) &&
        estimator->warm.weight != NULL && estimator->warm.block_end != NULL;
    return there ? SLUICE_OK : SLUICE_E_NOMEM;
}

void sl_refresh_end_warmup(sl_estimator *estimator)
{
    free(estimator->warm.outputs);
    free(estimator->warm.inputs);
    free(estimator->warm.weight);
    free(estimator->warm.block_end);
    estimator->warm.outputs = estimator->warm.inputs = estimator->warm.weight = NULL;
    estimator->warm.block_end = NULL;
    estimator->warm.n = estimator->warm.n_blocks = 0;
}

void sl_refresh_close(sl_estimator *estimator)
{
    sl_refresh *refresh = &estimator->refresh;
    sl_refresh_end_warmup(estimator);
    if (refresh->second_out != refresh->second_in) {
        free(refresh->second_out);
    }
    if (refresh->basis_out != refresh->basis_in) {
        free(refresh->basis_out);
    }
    if (refresh->overlap_out != refresh->overlap_in) {
        free(refresh->overlap_out);
    }
    sl_slice_close(&refresh->scratch);
    void *owned[] = {refresh->lambda,     refresh->gradient, refresh->moved,
                     refresh->second_in,  refresh->basis_in, refresh->values,
                     refresh->overlap_in, refresh->left,     refresh->work};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) {
        free(owned[i]);
    }
    for (uint32_t r = 0; r < SLUICE_LIMIT_REFERENCES; r++) {
        free(refresh->rotated[r]);
    }
}

/* --- warm-up --- */

void sl_refresh_keep_warm(sl_estimator *estimator, uint32_t i_slice, const float weight[SL_SLOTS])
{
    const sl_shape *shape = &estimator->shape;
    const sl_slice *slice = &estimator->slice[i_slice];
    for (uint32_t i = 0; i < SL_SLOTS && estimator->warm.n < estimator->warm.n_room; i++) {
        if (weight[i] <= 0) {
            continue;
        }
        const size_t at = (size_t)estimator->warm.n * shape->n_views;
        for (uint32_t k = 0; k < shape->n_views; k++) {
            const uint32_t m = shape->dim_out;
            const uint32_t d = shape->dim_in;
            memcpy(estimator->warm.outputs + (at + k) * m,
                   slice->outputs + k * sl_view_floats(m) + (size_t)i * m, sizeof(float) * m);
            if (shape->own_inputs) {
                memcpy(estimator->warm.inputs + (at + k) * d,
                       slice->inputs + k * sl_view_floats(d) + (size_t)i * d, sizeof(float) * d);
            }
        }
        estimator->warm.weight[estimator->warm.n++] = weight[i];
    }
}

void sl_refresh_end_warm_block(sl_estimator *estimator)
{
    if (estimator->warm.n_blocks < estimator->warm.n_room) {
        estimator->warm.block_end[estimator->warm.n_blocks++] = estimator->warm.n;
    }
}

static void add_warm_rows(sl_estimator *estimator, const sl_estimator *from, uint32_t first,
                          uint32_t end, float *lambda)
{
    const sl_shape *shape = &estimator->shape;
    sl_slice *slice = &estimator->scratch;
    for (; first < end; first += SL_SLOTS) {
        float weight[SL_SLOTS] = {0};
        sl_slice_clear(shape, slice);
        for (uint32_t i = 0; i < SL_SLOTS && first + i < end; i++) {
            const size_t at = (size_t)(first + i) * shape->n_views;
            sl_slice_put(shape, slice, i, from->warm.outputs + at * shape->dim_out,
                         shape->own_inputs ? from->warm.inputs + at * shape->dim_in : NULL);
            weight[i] = from->warm.weight[first + i];
        }
        sl_estimator_make_ready(estimator, slice);
        sl_curvature_add(shape, slice, weight, estimator->work, lambda);
    }
}

void sl_refresh_sum_warm(sl_estimator *estimator, const sl_estimator *from, float *lambda)
{
    const size_t size = (size_t)estimator->shape.dim_out * estimator->shape.dim_in;
    uint32_t first = 0;
    memset(lambda, 0, sizeof(float) * size);
    for (uint32_t i = 0; i < from->warm.n_blocks; i++) {
        const uint32_t end = from->warm.block_end[i];
        const float fade = (float)sl_moments_fade(estimator->settings->half_life, end - first);
        for (size_t j = 0; j < size; j++) {
            lambda[j] *= fade;
        }
        add_warm_rows(estimator, from, first, end, lambda);
        first = end;
    }
}

/* --- trigger, run, publish --- */

bool sl_refresh_due(const sl_estimator *estimator, uint64_t i_block)
{
    const sluice_influence_config *settings = estimator->settings;
    if (estimator->refresh.pending) {
        return false;
    }
    if (!estimator->live) {
        return estimator->n_absorbed >= warmup_of(estimator);
    }
    for (uint32_t i = 0; i < settings->expert.n_refresh; i++) {
        if (settings->expert.refresh[i] == i_block * SL_BLOCK_SLOTS) {
            return true;
        }
    }
    double between = estimator->source_total / 4; /* a quarter of what is remembered, decayed */
    between = between > MOST_BETWEEN ? MOST_BETWEEN : between;
    const double least = 8.0 * estimator->shape.dim_in; /* or refreshes cost more than scores */
    between = between < least ? least : between;
    between = between < LEAST_WARMUP ? LEAST_WARMUP : between;
    return settings->expert.n_refresh == 0 &&
           (double)(estimator->n_absorbed - estimator->n_at_refresh) >= between;
}

void sl_refresh_trigger(sl_estimator *estimator, uint64_t publish_block)
{
    const size_t m = estimator->shape.dim_out;
    const size_t d = estimator->shape.dim_in;
    sl_refresh *refresh = &estimator->refresh;
    refresh->pending = true;
    refresh->failed = false;
    refresh->first = !estimator->live;
    refresh->publish_block = publish_block;
    refresh->weight = estimator->moments.weight;
    refresh->gradient_weight = estimator->gradient_weight;
    refresh->mu = estimator->mu;
    memcpy(refresh->second_in, estimator->moments.second_in, sizeof(float) * d * d);
    if (estimator->two_sides) {
        memcpy(refresh->second_out, estimator->moments.second_out, sizeof(float) * m * m);
    }
    memcpy(refresh->lambda, estimator->lambda, sizeof(float) * m * d);
    memcpy(refresh->gradient, estimator->gradient, sizeof(float) * m * d);
    estimator->n_at_refresh = estimator->n_absorbed;
    sl_refresh_offer(estimator);
}

void sl_refresh_offer(sl_estimator *estimator)
{
    sl_refresh *refresh = &estimator->refresh;
    for (uint32_t r = 0; r < SLUICE_LIMIT_REFERENCES; r++) {
        refresh->with_reference[r] = sl_reference_complete(&estimator->reference[r]);
        if (refresh->with_reference[r] && refresh->rotated[r] == NULL) {
            refresh->rotated[r] =
                floats((size_t)estimator->shape.dim_out * estimator->shape.dim_in);
            refresh->with_reference[r] = refresh->rotated[r] != NULL;
        }
    }
    atomic_store(&refresh->stage, SL_REFRESH_WAITING);
}

static bool find_basis(sl_estimator *estimator)
{
    sl_refresh *refresh = &estimator->refresh;
    sluice_status status = sl_gemm_eigen(refresh->second_in, estimator->shape.dim_in,
                                         refresh->basis_in, refresh->values, refresh->work);
    if (status == SLUICE_OK && estimator->two_sides) {
        status = sl_gemm_eigen(refresh->second_out, estimator->shape.dim_out, refresh->basis_out,
                               refresh->values, refresh->work);
    }
    return status == SLUICE_OK;
}

static void step_adapter(sl_estimator *estimator, const float *lambda, double mu)
{
    const sl_shape *shape = &estimator->shape;
    sl_refresh *refresh = &estimator->refresh;
    memcpy(refresh->moved, estimator->moved, sizeof(float) * shape->dim_out * shape->dim_in);
    if (estimator->settings->expert.adapter != 0) {
        return;
    }
    sl_adapter_move(shape,
                    &(sl_adapter_step){.basis_out = refresh->basis_out,
                                       .basis_in = refresh->basis_in,
                                       .lambda = lambda,
                                       .lambda_weight = refresh->weight,
                                       .gradient = refresh->gradient,
                                       .gradient_weight = refresh->gradient_weight,
                                       .mu = mu},
                    refresh->work, refresh->moved);
}

/* mu = margin |min Lambda_H| at W_0, once; not below what float32 knows of the largest. */
static double first_mu(const sl_estimator *estimator)
{
    const size_t size = (size_t)estimator->shape.dim_out * estimator->shape.dim_in;
    const double margin = estimator->settings->damping.margin;
    double least = 0;
    double sum = 0;
    double top = 0;
    for (size_t i = 0; i < size; i++) {
        const double value = (double)estimator->lambda[i] / estimator->moments.weight;
        least = value < least ? value : least;
        top = value > top ? value : top;
        sum += value > 0 ? value : 0;
    }
    const double mu =
        margin > 0 ? -margin * least : estimator->settings->damping.relative * sum / (double)size;
    return mu > 1e-6 * top ? mu : top > 0 ? 1e-6 * top : 1e-12;
}

static void take_basis(sl_estimator *estimator)
{
    const size_t m = estimator->shape.dim_out;
    const size_t d = estimator->shape.dim_in;
    memcpy(estimator->basis_in, estimator->refresh.basis_in, sizeof(float) * d * d);
    if (estimator->two_sides) {
        memcpy(estimator->basis_out, estimator->refresh.basis_out, sizeof(float) * m * m);
    }
}

static void take_step(sl_estimator *estimator)
{
    const size_t size = (size_t)estimator->shape.dim_out * estimator->shape.dim_in;
    sl_refresh *refresh = &estimator->refresh;
    if (estimator->settings->expert.adapter == 0) {
        memcpy(estimator->moved, refresh->moved, sizeof(float) * size);
        estimator->has_moved = true;
    }
    memset(estimator->gradient, 0, sizeof(float) * size);
    estimator->gradient_weight = 0;
    for (uint32_t r = 0; r < SLUICE_LIMIT_REFERENCES; r++) {
        sl_reference *reference = &estimator->reference[r];
        reference->known = refresh->with_reference[r] && !refresh->first;
        if (reference->known) {
            memcpy(reference->rotated, refresh->rotated[r], sizeof(float) * size);
        }
    }
    estimator->new_basis = true;
    sl_basis_diagonal(estimator->moments.second_in, estimator->basis_in, estimator->shape.dim_in,
                      estimator->work, estimator->eig_sum);
}

/* The first basis is made where it is triggered. */
static void publish_first(sl_estimator *estimator)
{
    take_basis(estimator);
    estimator->live = true;
    sl_refresh_sum_warm(estimator, estimator, estimator->lambda);
    estimator->mu = first_mu(estimator);
    step_adapter(estimator, estimator->lambda, estimator->mu);
    take_step(estimator);
    sl_refresh_end_warmup(estimator);
}

static void rotate_references(sl_estimator *estimator)
{
    sl_refresh *refresh = &estimator->refresh;
    const bool moves = estimator->settings->expert.adapter == 0;
    for (uint32_t r = 0; r < SLUICE_LIMIT_REFERENCES; r++) {
        if (refresh->with_reference[r]) {
            sl_reference_rotate(&estimator->shape, &estimator->reference[r],
                                moves ? refresh->moved : NULL, refresh->basis_out,
                                refresh->basis_in, &refresh->scratch, refresh->left, refresh->work,
                                refresh->rotated[r]);
        }
    }
}

static void run(sl_estimator *estimator)
{
    const sl_shape *shape = &estimator->shape;
    sl_refresh *refresh = &estimator->refresh;
    refresh->failed = !find_basis(estimator);
    if (refresh->failed || refresh->first) {
        return;
    }
    sl_basis_overlap(refresh->basis_in, estimator->basis_in, shape->dim_in, refresh->overlap_in);
    if (estimator->two_sides) {
        sl_basis_overlap(refresh->basis_out, estimator->basis_out, shape->dim_out,
                         refresh->overlap_out);
    }
    sl_basis_transport(shape, refresh->overlap_out, refresh->overlap_in, refresh->work,
                       refresh->lambda);
    step_adapter(estimator, refresh->lambda, refresh->mu);
    rotate_references(estimator);
}

bool sl_refresh_run(sl_estimator *estimator)
{
    sl_refresh *refresh = &estimator->refresh;
    int waiting = SL_REFRESH_WAITING;
    if (!atomic_compare_exchange_strong(&refresh->stage, &waiting, SL_REFRESH_RUNNING)) {
        return false;
    }
    run(estimator);
    atomic_store(&refresh->stage, SL_REFRESH_DONE);
    return true;
}

void sl_refresh_finish(sl_estimator *estimator)
{
    (void)sl_refresh_run(estimator);
    while (atomic_load(&estimator->refresh.stage) == SL_REFRESH_RUNNING) {
        sched_yield(); /* another thread is at it, and is late */
    }
}

void sl_refresh_publish(sl_estimator *estimator)
{
    sl_refresh *refresh = &estimator->refresh;
    sl_refresh_finish(estimator);
    atomic_store(&refresh->stage, SL_REFRESH_IDLE);
    refresh->pending = false;
    if (refresh->failed) { /* the old basis serves on; the next trigger tries again */
        return;
    }
    estimator->n_refreshes++;
    if (refresh->first) {
        publish_first(estimator);
        return;
    }
    sl_basis_transport(&estimator->shape, refresh->overlap_out, refresh->overlap_in,
                       estimator->work, estimator->lambda);
    take_basis(estimator);
    take_step(estimator);
}
