/* merge.c - one state of an encoder from two that learned from different samples.
 *
 *   sums            (moments, gradient, sources, quantiles, reliability) added
 *   basis           eigenvectors of the added moments: the same for a + b and b + a
 *   Lambda          each transported into that basis, then added; warm-up rows are summed in it
 *   adapter, mu     the mean of the two, by their weights
 *   rows kept       (warm-up, references) first those of the one that comes first in a fixed order
 *
 * Why a new basis and not that of the larger side: whichever is larger may be a matter of one
 * sample, and the result must not depend on who is merged into whom. Every sum here is one addition
 * of two numbers, which commutes, so both ways give the same bits. What is approximate: the two
 * adapters were not one, so gradients and curvature of a side belong to its own W. The next refresh
 * steps from their mean; how close that is to one state that saw everything is measured in
 * tests/property/influence_merge_test.c. */
#include "influence/basis.h"
#include "influence/estimator.h"

#include <stdlib.h>
#include <string.h>

static void add_floats(float *into, const float *other, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        into[i] += other[i];
    }
}

static void add_doubles(double *into, const double *other, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        into[i] += other[i];
    }
}

/* --- the common basis --- */

/* Into the refresh buffers of `into`, which are free while no refresh is pending. */
static sluice_status find_basis(sl_estimator *into, const sl_estimator *other)
{
    const size_t m = into->shape.dim_out;
    const size_t d = into->shape.dim_in;
    sl_refresh *refresh = &into->refresh;
    memcpy(refresh->second_in, into->moments.second_in, sizeof(float) * d * d);
    add_floats(refresh->second_in, other->moments.second_in, d * d);
    SLUICE_TRY(sl_gemm_eigen(refresh->second_in, (uint32_t)d, refresh->basis_in, refresh->values,
                             refresh->work));
    if (!into->two_sides) {
        return SLUICE_OK;
    }
    memcpy(refresh->second_out, into->moments.second_out, sizeof(float) * m * m);
    add_floats(refresh->second_out, other->moments.second_out, m * m);
    return sl_gemm_eigen(refresh->second_out, (uint32_t)m, refresh->basis_out, refresh->values,
                         refresh->work);
}

/* The curvature of one side in the basis that was found; its own buffers are the scratch. */
static void move_lambda(const sl_refresh *found, sl_estimator *side)
{
    sl_refresh *own = &side->refresh;
    sl_basis_overlap(found->basis_in, side->basis_in, side->shape.dim_in, own->overlap_in);
    if (side->two_sides) {
        sl_basis_overlap(found->basis_out, side->basis_out, side->shape.dim_out, own->overlap_out);
    }
    sl_basis_transport(&side->shape, own->overlap_out, own->overlap_in, side->work, side->lambda);
}

static void average_adapters(sl_estimator *into, const sl_estimator *other)
{
    const size_t size = (size_t)into->shape.dim_out * into->shape.dim_in;
    const double total = into->moments.weight + other->moments.weight;
    const double share = into->moments.weight / total;
    const double share_other = other->moments.weight / total;
    for (size_t i = 0; i < size; i++) {
        into->moved[i] =
            (float)(share * (double)into->moved[i] + share_other * (double)other->moved[i]);
    }
    into->has_moved = into->has_moved || other->has_moved;
    into->mu = share * into->mu + share_other * other->mu;
}

/* Before the sums are added, while each side still is what it was. */
static void merge_curvature(sl_estimator *into, sl_estimator *other)
{
    const size_t m = into->shape.dim_out;
    const size_t d = into->shape.dim_in;
    const sl_refresh *found = &into->refresh;
    sl_estimator *const side[] = {into, other};
    bool was_live[2];
    for (int i = 0; i < 2; i++) {
        was_live[i] = side[i]->live;
        if (was_live[i]) {
            move_lambda(found, side[i]);
        }
    }
    if (was_live[0] && was_live[1]) {
        average_adapters(into, other);
    } else if (was_live[1]) {
        memcpy(into->moved, other->moved, sizeof(float) * m * d);
        into->has_moved = other->has_moved;
        into->mu = other->mu;
    }
    memcpy(into->basis_in, found->basis_in, sizeof(float) * d * d);
    if (into->two_sides) {
        memcpy(into->basis_out, found->basis_out, sizeof(float) * m * m);
    }
    into->live = true;
    for (int i = 0; i < 2; i++) {
        if (!was_live[i]) {
            sl_refresh_sum_warm(into, side[i], side[i]->lambda);
        }
    }
    add_floats(into->lambda, other->lambda, m * d);
    sl_refresh_end_warmup(into);
}

/* --- rows that are kept --- */

/* Which of two sets of rows comes first: the longer one, then by their bytes. */
static bool comes_first(uint32_t n, const float *rows, uint32_t n_other, const float *rows_other,
                        size_t row_floats)
{
    return n != n_other ? n > n_other
                        : n == 0 || memcmp(rows, rows_other, sizeof(float) * n * row_floats) >= 0;
}

static bool grow(float **rows, size_t n_used, size_t n)
{
    float *longer = realloc(*rows, sizeof *longer * n);
    if (longer != NULL) {
        memset(longer + n_used, 0, sizeof *longer * (n - n_used));
        *rows = longer;
    }
    return longer != NULL;
}

/* Room for the rows of the other side as well. Nothing else changes. */
static sluice_status open_warm_room(sl_estimator *into, uint32_t n_more)
{
    const sl_shape *shape = &into->shape;
    const size_t m = (size_t)shape->n_views * shape->dim_out;
    const size_t d = (size_t)shape->n_views * shape->dim_in;
    const uint32_t n = into->warm.n_room;
    const uint32_t room = n + n_more;
    uint32_t *block_end = realloc(into->warm.block_end, sizeof *block_end * room);
    into->warm.block_end = block_end != NULL ? block_end : into->warm.block_end;
    bool there = block_end != NULL && grow(&into->warm.outputs, n * m, room * m) &&
                 (!shape->own_inputs || grow(&into->warm.inputs, n * d, room * d)) &&
                 grow(&into->warm.weight, n, room);
    into->warm.n_room = there ? room : into->warm.n_room;
    return there ? SLUICE_OK : SLUICE_E_NOMEM;
}

/* Both are warming: one longer list. There is room for it in either. */
static void merge_warm(sl_estimator *into, sl_estimator *other)
{
    const sl_shape *shape = &into->shape;
    const size_t m = (size_t)shape->n_views * shape->dim_out;
    const size_t d = (size_t)shape->n_views * shape->dim_in;
    if (!comes_first(into->warm.n, into->warm.outputs, other->warm.n, other->warm.outputs, m)) {
        const sl_warm kept = into->warm;
        into->warm = other->warm;
        other->warm = kept;
    }
    const uint32_t n = into->warm.n;
    const uint32_t n_more = other->warm.n;
    memcpy(into->warm.outputs + n * m, other->warm.outputs, sizeof(float) * n_more * m);
    if (shape->own_inputs) {
        memcpy(into->warm.inputs + n * d, other->warm.inputs, sizeof(float) * n_more * d);
    }
    memcpy(into->warm.weight + n, other->warm.weight, sizeof(float) * n_more);
    for (uint32_t i = 0; i < other->warm.n_blocks; i++) {
        into->warm.block_end[into->warm.n_blocks + i] = n + other->warm.block_end[i];
    }
    into->warm.n += n_more;
    into->warm.n_blocks += other->warm.n_blocks;
}

/* What the first set lacks comes from the second. */
static void merge_reference(const sl_shape *shape, sl_reference *into, sl_reference *other)
{
    const size_t m = (size_t)shape->n_views * shape->dim_out;
    const size_t d = (size_t)shape->n_views * shape->dim_in;
    if (!comes_first(into->n, into->outputs, other->n, other->outputs, m)) {
        const sl_reference kept = *into;
        *into = *other;
        *other = kept;
    }
    for (uint32_t i = 0; i < other->n && into->n < into->n_wanted; i++, into->n++) {
        memcpy(into->outputs + into->n * m, other->outputs + i * m, sizeof(float) * m);
        if (into->inputs != NULL) {
            memcpy(into->inputs + into->n * d, other->inputs + i * d, sizeof(float) * d);
        }
    }
    into->known = false;
}

/* --- sums --- */

static void merge_sums(sl_estimator *into, const sl_estimator *other, const uint16_t *source_of)
{
    const size_t m = into->shape.dim_out;
    const size_t d = into->shape.dim_in;
    into->moments.weight += other->moments.weight;
    add_doubles(into->moments.mean, other->moments.mean, d);
    add_floats(into->moments.second_in, other->moments.second_in, d * d);
    if (into->two_sides) {
        add_floats(into->moments.second_out, other->moments.second_out, m * m);
    }
    add_floats(into->gradient, other->gradient, m * d);
    into->gradient_weight += other->gradient_weight;
    into->n_absorbed += other->n_absorbed;
    into->n_at_refresh = into->live ? into->n_absorbed : 0;
    into->n_refreshes += other->n_refreshes;
    for (uint32_t i = 0; i < SL_N_STATS; i++) {
        sl_quantile_merge(into->quantile[i], other->quantile[i]);
    }
    sl_shift_merge(&into->shift, &other->shift, source_of);
    for (uint32_t i = 0; i < SL_SHIFT_SOURCES; i++) {
        into->source_count[source_of[i]] += other->source_count[i];
    }
    into->source_total += other->source_total;
    into->reliability.weight += other->reliability.weight;
    into->reliability.sum += other->reliability.sum;
}

static void derive(sl_estimator *estimator)
{
    sl_estimator_admit_references(estimator);
    sl_estimator_derive(estimator);
    if (estimator->live) {
        sl_shift_freeze(&estimator->shift, estimator->mean, estimator->basis_in,
                        &estimator->leverage, estimator->work);
    }
}

sluice_status sl_estimator_merge(sl_estimator *into, sl_estimator *other, const uint16_t *source_of)
{
    const bool any_live = into->live || other->live;
    sl_estimator_settle(into);
    sl_estimator_settle(other);
    if (any_live) {
        SLUICE_TRY(find_basis(into, other));
        merge_curvature(into, other);
    } else {
        SLUICE_TRY(open_warm_room(into, other->warm.n));
        SLUICE_TRY(open_warm_room(other, into->warm.n));
        merge_warm(into, other);
    }
    merge_sums(into, other, source_of);
    for (uint32_t r = 0; r < SLUICE_LIMIT_REFERENCES; r++) {
        merge_reference(&into->shape, &into->reference[r], &other->reference[r]);
    }
    if (any_live) {
        sl_basis_diagonal(into->moments.second_in, into->basis_in, into->shape.dim_in, into->work,
                          into->eig_sum);
        into->new_basis = true;
    } else if (sl_refresh_due(into, 0)) { /* enough for a basis, now that they are together */
        sl_refresh_trigger(into, 0);
        sl_refresh_publish(into);
    }
    derive(into);
    return SLUICE_OK;
}

sluice_status sl_estimator_renumber(sl_estimator *estimator, const uint16_t *source_of)
{
    sl_shift renumbered;
    double count[SL_SHIFT_SOURCES] = {0};
    SLUICE_TRY(sl_shift_open(estimator->shape.dim_in, &renumbered));
    sl_estimator_settle(estimator);
    sl_shift_merge(&renumbered, &estimator->shift, source_of);
    sl_shift_close(&estimator->shift);
    estimator->shift = renumbered;
    for (uint32_t i = 0; i < SL_SHIFT_SOURCES; i++) {
        count[source_of[i]] += estimator->source_count[i];
    }
    memcpy(estimator->source_count, count, sizeof count);
    derive(estimator);
    return SLUICE_OK;
}
