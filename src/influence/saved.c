/* saved.c - the state of one encoder as bytes, and back.
 *
 *   | numbers | sums | basis, adapter | sources | quantiles |
 *     references | refresh | warm-up | open block |
 *
 * Only what cannot be made from the rest is there: after a load, derive makes what is frozen, by
 * the same products from the same numbers, so the bits are those of before. Arrays are
 * little-endian float32 and float64 as in memory. The spool's checksum guards the bytes; sizes are
 * checked here all the same. */
#include "influence/estimator.h"
#include "bytes.h"

#include <math.h>
#include <stdlib.h>

/* 1: without the variances of the last basis, and without which references take part. */
#define SAVED_VERSION 2

/* One walk over all fields, for both directions: `out` is written, or `in` is read. */
typedef struct saved_walk {
    sluice_bytes *out;
    sl_reader in;
    uint32_t version; /* of what is read */
    sluice_status status;
} saved_walk;

static bool is_reading(const saved_walk *walk)
{
    return walk->out == NULL;
}

static void pass(saved_walk *walk, void *data, size_t size)
{
    if (walk->status != SLUICE_OK) {
        return;
    }
    if (!is_reading(walk)) {
        walk->status = sl_bytes_append(walk->out, data, size);
        return;
    }
    sluice_span from = sl_reader_span(&walk->in, size);
    if (walk->in.bad) {
        walk->status = SLUICE_E_CORRUPT;
    } else if (size > 0) {
        memcpy(data, from.data, size);
    }
}

static void pass_floats(saved_walk *walk, float *data, size_t n)
{
    pass(walk, data, n * sizeof *data);
}

static void pass_doubles(saved_walk *walk, double *data, size_t n)
{
    pass(walk, data, n * sizeof *data);
}

static void pass_u32(saved_walk *walk, uint32_t *value)
{
    pass(walk, value, sizeof *value);
}

static void pass_u64(saved_walk *walk, uint64_t *value)
{
    pass(walk, value, sizeof *value);
}

static void pass_bool(saved_walk *walk, bool *value)
{
    uint8_t byte = *value ? 1 : 0;
    pass(walk, &byte, 1);
    *value = byte != 0;
}

/* Corrupt unless it holds. */
static bool expect(saved_walk *walk, bool holds)
{
    if (!holds && walk->status == SLUICE_OK) {
        walk->status = SLUICE_E_CORRUPT;
    }
    return walk->status == SLUICE_OK;
}

static void pass_numbers(saved_walk *walk, sl_estimator *estimator)
{
    uint32_t version = SAVED_VERSION;
    sl_shape shape = estimator->shape;
    uint32_t two_sides = estimator->two_sides ? 1 : 0;
    pass_u32(walk, &version);
    pass_u32(walk, &shape.n_views);
    pass_u32(walk, &shape.dim_out);
    pass_u32(walk, &shape.dim_in);
    pass_u32(walk, &two_sides);
    walk->version = version;
    expect(walk,
           version >= 1 && version <= SAVED_VERSION && shape.n_views == estimator->shape.n_views &&
               shape.dim_out == estimator->shape.dim_out &&
               shape.dim_in == estimator->shape.dim_in && (two_sides != 0) == estimator->two_sides);
    pass_u64(walk, &estimator->n_absorbed);
    pass_u64(walk, &estimator->n_at_refresh);
    pass_u64(walk, &estimator->n_refreshes);
    pass_bool(walk, &estimator->live);
    pass_bool(walk, &estimator->has_moved);
    pass_doubles(walk, &estimator->mu, 1);
    pass_doubles(walk, &estimator->moments.weight, 1);
    pass_doubles(walk, &estimator->gradient_weight, 1);
    pass_doubles(walk, &estimator->reliability.weight, 1);
    pass_doubles(walk, &estimator->reliability.sum, 1);
    pass_doubles(walk, &estimator->leverage.d_eff_off, 1);
    pass_doubles(walk, &estimator->source_total, 1);
    pass_doubles(walk, estimator->source_count, SL_SHIFT_SOURCES);
    expect(walk, isfinite(estimator->moments.weight) && isfinite(estimator->mu) &&
                     (!estimator->live || estimator->moments.weight > 0));
}

static void pass_sums(saved_walk *walk, sl_estimator *estimator)
{
    const size_t m = estimator->shape.dim_out;
    const size_t d = estimator->shape.dim_in;
    pass_doubles(walk, estimator->moments.mean, d);
    pass_floats(walk, estimator->moments.second_in, d * d);
    if (estimator->two_sides) {
        pass_floats(walk, estimator->moments.second_out, m * m);
        pass_floats(walk, estimator->gradient, m * d);
    }
    if (estimator->live) {
        pass_floats(walk, estimator->lambda, m * d);
        pass_doubles(walk, estimator->eig_sum, d);
        pass_floats(walk, estimator->basis_in, d * d);
        if (estimator->two_sides) {
            pass_floats(walk, estimator->basis_out, m * m);
        }
        if (estimator->has_moved) {
            pass_floats(walk, estimator->moved, m * d);
        }
        if (walk->version > 1) {
            pass_doubles(walk, estimator->leverage.eig_then, d);
            pass_doubles(walk, estimator->leverage.mt_then, d);
        }
    }
}

/* Sources that have anything, each with its number. */
static void pass_sources(saved_walk *walk, sl_shift *shift)
{
    const size_t d = shift->dim;
    pass_doubles(walk, &shift->spread, 1);
    pass_doubles(walk, &shift->spread_weight, 1);
    for (uint32_t i = 0; i <= SL_SHIFT_SOURCES && walk->status == SLUICE_OK; i++) {
        if (!is_reading(walk) && i < SL_SHIFT_SOURCES && shift->n[i] <= 0 &&
            shift->n[SL_SHIFT_SOURCES + i] <= 0) {
            continue;
        }
        uint32_t i_source = i; /* SL_SHIFT_SOURCES ends the list */
        pass_u32(walk, &i_source);
        if (!expect(walk, i_source <= SL_SHIFT_SOURCES) || i_source == SL_SHIFT_SOURCES) {
            return;
        }
        pass_floats(walk, &shift->z[i_source], 1);
        for (size_t k = 0; k < 3; k++) {
            pass_floats(walk, &shift->n[k * SL_SHIFT_SOURCES + i_source], 1);
            pass_floats(walk, shift->sums + (k * SL_SHIFT_SOURCES + i_source) * d, d);
        }
    }
}

static void pass_quantile(saved_walk *walk, sl_quantile *quantile)
{
    for (uint32_t i = 0; i <= SL_QUANTILE_BUCKETS && walk->status == SLUICE_OK; i++) {
        if (!is_reading(walk) && i < SL_QUANTILE_BUCKETS && quantile->count[i] <= 0) {
            continue;
        }
        uint32_t i_bucket = i;
        pass_u32(walk, &i_bucket);
        if (!expect(walk, i_bucket <= SL_QUANTILE_BUCKETS) || i_bucket == SL_QUANTILE_BUCKETS) {
            break;
        }
        pass_floats(walk, &quantile->count[i_bucket], 1);
    }
    pass_doubles(walk, &quantile->total, 1);
}

static void pass_reference(saved_walk *walk, const sl_shape *shape, sl_reference *reference)
{
    uint32_t n_wanted = reference->n_wanted;
    uint32_t n = reference->n;
    pass_u32(walk, &n_wanted);
    pass_u32(walk, &n);
    if (!expect(walk, n <= n_wanted && n_wanted <= SLUICE_LIMIT_REFERENCE)) {
        return;
    }
    if (is_reading(walk) && n_wanted != reference->n_wanted) {
        sl_reference_close(reference);
        if (n_wanted > 0) {
            walk->status = sl_reference_open(shape, n_wanted, reference);
        }
    }
    reference->n = n;
    reference->active = is_reading(walk) ? n > 0 && n == n_wanted : reference->active;
    if (walk->version > 1) {
        pass_bool(walk, &reference->active);
        expect(walk, !reference->active || (n > 0 && n == n_wanted));
    }
    const size_t rows = (size_t)n * shape->n_views;
    pass_floats(walk, reference->outputs, rows * shape->dim_out);
    if (shape->own_inputs) {
        pass_floats(walk, reference->inputs, rows * shape->dim_in);
    }
}

static void pass_refresh(saved_walk *walk, sl_estimator *estimator)
{
    const size_t m = estimator->shape.dim_out;
    const size_t d = estimator->shape.dim_in;
    sl_refresh *refresh = &estimator->refresh;
    pass_bool(walk, &refresh->pending);
    if (!refresh->pending || walk->status != SLUICE_OK) {
        return;
    }
    pass_u64(walk, &refresh->publish_block);
    pass_doubles(walk, &refresh->weight, 1);
    pass_doubles(walk, &refresh->gradient_weight, 1);
    pass_doubles(walk, &refresh->mu, 1);
    pass_floats(walk, refresh->second_in, d * d);
    if (estimator->two_sides) {
        pass_floats(walk, refresh->second_out, m * m);
    }
    pass_floats(walk, refresh->lambda, m * d);
    pass_floats(walk, refresh->gradient, m * d);
    expect(walk, refresh->weight > 0 && estimator->live);
    if (is_reading(walk)) {
        refresh->first = false;
        sl_refresh_offer(estimator);
    }
}

static void pass_warm(saved_walk *walk, sl_estimator *estimator)
{
    const sl_shape *shape = &estimator->shape;
    if (estimator->live) {
        return;
    }
    pass_u32(walk, &estimator->warm.n);
    pass_u32(walk, &estimator->warm.n_blocks);
    if (!expect(walk, estimator->warm.n <= estimator->warm.n_room &&
                          estimator->warm.n_blocks <= estimator->warm.n_room)) {
        estimator->warm.n = estimator->warm.n_blocks = 0;
        return;
    }
    const size_t rows = (size_t)estimator->warm.n * shape->n_views;
    pass_floats(walk, estimator->warm.outputs, rows * shape->dim_out);
    if (shape->own_inputs) {
        pass_floats(walk, estimator->warm.inputs, rows * shape->dim_in);
    }
    pass_floats(walk, estimator->warm.weight, estimator->warm.n);
    for (uint32_t i = 0; i < estimator->warm.n_blocks; i++) {
        pass_u32(walk, &estimator->warm.block_end[i]);
        const uint32_t before = i > 0 ? estimator->warm.block_end[i - 1] : 0;
        expect(walk, estimator->warm.block_end[i] >= before &&
                         estimator->warm.block_end[i] <= estimator->warm.n);
    }
}

static void pass_view_rows(saved_walk *walk, const sl_shape *shape, sl_slice *slice,
                           uint32_t i_slot)
{
    for (uint32_t k = 0; k < shape->n_views; k++) {
        pass_floats(walk,
                    slice->outputs + k * sl_view_floats(shape->dim_out) +
                        (size_t)i_slot * shape->dim_out,
                    shape->dim_out);
        if (shape->own_inputs) {
            pass_floats(walk,
                        slice->inputs + k * sl_view_floats(shape->dim_in) +
                            (size_t)i_slot * shape->dim_in,
                        shape->dim_in);
        }
    }
}

/* Samples of the block that is not complete yet. */
static void pass_slots(saved_walk *walk, sl_estimator *estimator)
{
    for (uint32_t i = 0; i <= SL_BLOCK_SLOTS && walk->status == SLUICE_OK; i++) {
        if (!is_reading(walk) && i < SL_BLOCK_SLOTS && !estimator->slot[i].present) {
            continue;
        }
        uint32_t i_slot = i;
        pass_u32(walk, &i_slot);
        if (!expect(walk, i_slot <= SL_BLOCK_SLOTS) || i_slot == SL_BLOCK_SLOTS) {
            return;
        }
        sl_slot *slot = &estimator->slot[i_slot];
        uint32_t i_source = slot->i_source;
        pass_u64(walk, &estimator->placed[i_slot]);
        pass_bool(walk, &slot->counted);
        pass_u32(walk, &i_source);
        pass_floats(walk, slot->stat, SL_N_STATS);
        expect(walk, i_source < SL_SHIFT_SOURCES);
        slot->i_source = (uint16_t)(i_source < SL_SHIFT_SOURCES ? i_source : 0);
        slot->present = true;
        pass_view_rows(walk, &estimator->shape, &estimator->slice[i_slot / SL_SLOTS],
                       i_slot % SL_SLOTS);
    }
}

static void pass_all(saved_walk *walk, sl_estimator *estimator)
{
    pass_numbers(walk, estimator);
    if (walk->status != SLUICE_OK) {
        return;
    }
    pass_sums(walk, estimator);
    pass_sources(walk, &estimator->shift);
    for (uint32_t i = 0; i < SL_N_STATS; i++) {
        pass_quantile(walk, estimator->quantile[i]);
    }
    for (uint32_t r = 0; r < SLUICE_LIMIT_REFERENCES; r++) {
        pass_reference(walk, &estimator->shape, &estimator->reference[r]);
    }
    pass_refresh(walk, estimator);
    pass_warm(walk, estimator);
    pass_slots(walk, estimator);
}

sluice_status sl_estimator_save(const sl_estimator *estimator, sluice_bytes *out)
{
    saved_walk walk = {.out = out, .status = SLUICE_OK};
    pass_all(&walk, (sl_estimator *)(uintptr_t)estimator); /* only read from, as out is set */
    return walk.status;
}

sluice_status sl_estimator_load(sl_estimator *estimator, sluice_span saved)
{
    saved_walk walk = {.in = sl_reader_of(saved), .status = SLUICE_OK};
    pass_all(&walk, estimator);
    expect(&walk, walk.in.at == walk.in.end);
    if (walk.status == SLUICE_OK) {
        if (estimator->live) {
            sl_refresh_end_warmup(estimator);
        }
        /* A state of version 1 does not tell what its basis was made from: it is taken as new. */
        estimator->new_basis = estimator->live && walk.version == 1;
        sl_estimator_derive(estimator);
    }
    return walk.status;
}
