/* engine.c - the order of the stages, and the one apply.
 *
 *   batch -> slices of offsets 0..63, 64..127, ... -> score a slice
 *                                                  -> [ probe -> judge -> apply ] a sample at a
 * time
 *
 * Why a sample at a time: the second of two copies in one message must find the first. What may run
 * ahead without changing an answer (features, prefetch, scores) does; what decides does not.
 * Why slices: scores read only what was frozen at the end of the last block, and are made by
 * products of 64 rows, a row for each offset modulo 64 (design 2). */
#include "sluice/engine.h"
#include "arena.h"
#include "bytes.h"
#include "decide/decide.h"
#include "decide/portfolio.h"
#include "duplicate/duplicate.h"
#include "influence/influence.h"

#include <stdlib.h>

#define CHECKPOINT_MAGIC   UINT32_C(0x50434c53) /* "SLCP" */
#define CHECKPOINT_VERSION 2                    /* 1: no influence */
#define SLICE_SAMPLES      64                   /* offsets that are scored at once */
#define PREFETCH_SAMPLES   8 /* ahead of the probe: their lines are on their way at once */

struct sluice_engine {
    sluice_config config;
    sl_duplicate *duplicate;
    sl_portfolio *portfolio;
    sl_influence *influence;
    uint64_t next_offset;
    uint64_t rows_end; /* samples below are remembered by their rows, or forgotten */
};

sluice_status sluice_engine_open(const sluice_config *config, sluice_engine **out,
                                 sluice_message *why)
{
    *out = NULL;
    sluice_engine *engine = calloc(1, sizeof *engine);
    if (engine == NULL) {
        return sluice_fail(why, SLUICE_E_NOMEM, "no memory for the engine");
    }
    engine->config = *config;
    sluice_status status = sl_duplicate_open(config, &engine->duplicate, why);
    if (status == SLUICE_OK) {
        status = sl_portfolio_open(&engine->portfolio);
    }
    if (status == SLUICE_OK) {
        status = sl_influence_open(config, &engine->influence, why);
    }
    if (status != SLUICE_OK) {
        sluice_engine_close(&engine);
        return status;
    }
    *out = engine;
    return SLUICE_OK;
}

void sluice_engine_close(sluice_engine **engine_p)
{
    if (*engine_p != NULL) {
        sl_duplicate_close(&(*engine_p)->duplicate);
        sl_portfolio_close(&(*engine_p)->portfolio);
        sl_influence_close(&(*engine_p)->influence);
        free(*engine_p);
        *engine_p = NULL;
    }
}

void sluice_engine_touch(sluice_engine *engine)
{
    sl_duplicate_touch(engine->duplicate);
}

/* Names found in the index are lent until the next apply; the batch needs them longer. */
static void copy_names(sl_arena *arena, sluice_match *match)
{
    sl_arena_allow(arena, match->of_id.size + match->of_source.size);
    bool copied = sl_arena_copy(arena, match->of_id, &match->of_id) &&
                  sl_arena_copy(arena, match->of_source, &match->of_source);
    SLUICE_ASSERT(
        copied); /* no memory: nothing was acknowledged yet, so ending here loses nothing */
}

/* False if it came before: it keeps its first offset and verdict. */
static bool run_sample(sluice_engine *engine, sl_arena *arena, sluice_sample *sample)
{
    sl_duplicate_probe(engine->duplicate, sample, &sample->match);
    if (sample->match.redelivered) {
        /* Rows are of kept samples without a finding (the default policy), so this is the verdict
         * of the first time. */
        sample->offset = sample->match.of_offset;
        sample->match = (sluice_match){.redelivered = true, .of_offset = sample->offset};
        sl_decide_judge(&sample->match, &sample->verdict);
        return false;
    }
    if (sample->match.method != SLUICE_METHOD_NONE) {
        copy_names(arena, &sample->match);
    }
    sl_decide_judge(&sample->match, &sample->verdict);
    sluice_engine_apply(engine, sample);
    return true;
}

static bool is_refused(const sluice_sample *sample)
{
    return sample->verdict.decision == SLUICE_REFUSE;
}

static void refuse(sluice_sample *sample, const char *reason)
{
    sample->verdict.decision = SLUICE_REFUSE;
    sample->verdict.reasons[0] = reason;
    sample->verdict.n_reasons = 1;
    sample->verdict.text = strcmp(reason, "too_many_encoders") == 0
                               ? "4 encoders are known already; influence takes no more"
                               : "this encoder's views had another dimension before";
}

/* Gives offsets to the samples from `first` on, as if all were new, up to the end of the slice of
 * 64; returns the end. It also ends before a sample that came before, which would take a place that
 * it does not get. */
static uint32_t open_slice(sluice_engine *engine, sluice_batch *batch, uint32_t first,
                           uint16_t i_source[])
{
    uint64_t next = engine->next_offset;
    uint32_t i = first;
    while (i < batch->n_samples && i - first < SLICE_SAMPLES) {
        sluice_sample *sample = &batch->samples[i];
        const char *reason =
            is_refused(sample) ? NULL : sl_influence_admit(engine->influence, sample);
        if (reason != NULL) {
            refuse(sample, reason);
        }
        sample->offset = is_refused(sample) ? UINT64_MAX : next;
        if (sample->views.n_views > 0 && !is_refused(sample) &&
            sl_duplicate_redelivers(engine->duplicate, sample)) {
            if (i == first) {
                sample->views.n_views = 0; /* not scored again */
                return i + 1;
            }
            return i;
        }
        uint32_t source = sl_portfolio_find(engine->portfolio, sample->source);
        i_source[i - first] = source <= SLUICE_LIMIT_SOURCES ? (uint16_t)source : UINT16_MAX;
        next += is_refused(sample) ? 0 : 1;
        i++;
        if (next % SLICE_SAMPLES == 0 && next > engine->next_offset) {
            break;
        }
    }
    return i;
}

/* Judges the samples of an open slice; returns where the next one starts. A sample that came before
 * ends it: those behind it take other places than they were given. */
static uint32_t run_slice(sluice_engine *engine, sluice_batch *batch, uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end; i++) {
        if (i + PREFETCH_SAMPLES < batch->n_samples) {
            sl_duplicate_prefetch(engine->duplicate, &batch->samples[i + PREFETCH_SAMPLES]);
        }
        if (!is_refused(&batch->samples[i]) &&
            !run_sample(engine, batch->arena, &batch->samples[i])) {
            return i + 1;
        }
    }
    return end;
}

void sluice_engine_run(sluice_engine *engine, sluice_batch *batch)
{
    uint16_t i_source[SLICE_SAMPLES];
    uint32_t i = 0;
    while (i < batch->n_samples) {
        uint32_t end = open_slice(engine, batch, i, i_source);
        sl_influence_score(engine->influence, batch->samples + i, end - i, i_source, batch->arena);
        i = run_slice(engine, batch, i, end);
    }
}

void sluice_engine_apply(sluice_engine *engine, const sluice_sample *sample)
{
    SLUICE_ASSERT(sample->offset == engine->next_offset);
    if (sample->offset >= engine->rows_end) {
        sl_duplicate_apply(engine->duplicate, sample);
    }
    sl_portfolio_apply(engine->portfolio, sample);
    sl_influence_apply(engine->influence, sample,
                       (uint16_t)sl_portfolio_find(engine->portfolio, sample->source));
    engine->next_offset++;
    if (engine->next_offset % SLUICE_BLOCK_SAMPLES == 0) {
        sl_influence_freeze(engine->influence, engine->next_offset);
    }
}

uint64_t sluice_engine_next_offset(const sluice_engine *engine)
{
    return engine->next_offset;
}

sluice_row_mark sluice_engine_row_mark(const sluice_engine *engine)
{
    sl_durable_from from = sl_duplicate_row_from(engine->duplicate);
    return (sluice_row_mark){
        .exact = from.exact, .text = from.text, .image = from.image, .embedding = from.embedding};
}

sluice_status sluice_engine_row_write(const sluice_engine *engine, const sluice_row_mark *mark,
                                      const sluice_sample *sample, sluice_bytes *out)
{
    sl_durable_from from = {.exact = mark->exact,
                            .text = mark->text,
                            .image = mark->image,
                            .embedding = mark->embedding};
    return sl_duplicate_row_write(engine->duplicate, &from, sample, out);
}

sluice_status sluice_engine_row_read(sluice_engine *engine, sluice_span row)
{
    uint64_t offset;
    return sl_duplicate_row_read(engine->duplicate, row, &offset);
}

void sluice_engine_rows_complete(sluice_engine *engine, uint64_t next_offset)
{
    engine->rows_end = next_offset;
}

uint64_t sluice_engine_oldest_row(const sluice_engine *engine)
{
    uint64_t oldest = sl_duplicate_oldest(engine->duplicate);
    return oldest < engine->next_offset ? oldest : engine->next_offset;
}

bool sluice_engine_forget(sluice_engine *engine, uint64_t offset)
{
    return sl_duplicate_forget(engine->duplicate, offset);
}

bool sluice_engine_refresh(sluice_engine *engine)
{
    return sl_influence_refresh(engine->influence);
}

bool sluice_engine_refresh_waits(const sluice_engine *engine)
{
    return sl_influence_refresh_waits(engine->influence);
}

sluice_status sluice_engine_reference_batch(sluice_engine *engine, const char *name,
                                            sluice_span bytes, sluice_message *why)
{
    sluice_batch *batch;
    SLUICE_TRY(sluice_batch_open(&batch));
    sluice_status status = sluice_batch_decode(batch, bytes, why);
    for (uint32_t i = 0; i < batch->n_samples && status == SLUICE_OK; i++) {
        status = is_refused(&batch->samples[i])
                     ? SLUICE_E_BADSAMPLE
                     : sl_influence_reference_add(engine->influence, name, &batch->samples[i]);
        if (status != SLUICE_OK) {
            (void)sluice_fail(why, status, "reference %s: sample %u cannot be used", name, i + 1);
        }
    }
    sluice_batch_close(&batch);
    return status;
}

sluice_status sluice_engine_save(const sluice_engine *engine, sluice_bytes *out)
{
    sluice_bytes portfolio = {0};
    SLUICE_TRY(sl_bytes_put_u32(out, CHECKPOINT_MAGIC));
    SLUICE_TRY(sl_bytes_put_u32(out, CHECKPOINT_VERSION));
    SLUICE_TRY(sl_bytes_put_u64(out, engine->next_offset));
    sluice_status status = sl_portfolio_save(engine->portfolio, &portfolio);
    status = status == SLUICE_OK ? sl_bytes_put_u64(out, portfolio.size) : status;
    status = status == SLUICE_OK ? sl_bytes_append(out, portfolio.data, portfolio.size) : status;
    sl_bytes_fini(&portfolio);
    SLUICE_TRY(status);
    return sl_influence_save(engine->influence, out);
}

static sluice_span rest_of(const sl_reader *reader)
{
    return (sluice_span){reader->at, (size_t)(reader->end - reader->at)};
}

sluice_status sluice_engine_load(sluice_engine *engine, sluice_span checkpoint)
{
    sl_reader reader = sl_reader_of(checkpoint);
    uint32_t magic = sl_reader_u32(&reader);
    uint32_t version = sl_reader_u32(&reader);
    uint64_t next_offset = sl_reader_u64(&reader);
    if (reader.bad || magic != CHECKPOINT_MAGIC || version < 1 || version > CHECKPOINT_VERSION) {
        return SLUICE_E_CORRUPT;
    }
    sluice_span portfolio = rest_of(&reader);
    if (version > 1) {
        uint64_t size = sl_reader_u64(&reader);
        portfolio = sl_reader_span(&reader, (size_t)size);
        if (reader.bad) {
            return SLUICE_E_CORRUPT;
        }
        SLUICE_TRY(sl_influence_load(engine->influence, rest_of(&reader)));
    }
    SLUICE_TRY(sl_portfolio_load(engine->portfolio, portfolio));
    engine->next_offset = next_offset;
    return SLUICE_OK;
}

uint32_t sluice_engine_n_sources(const sluice_engine *engine)
{
    return sl_portfolio_n_sources(engine->portfolio);
}

sluice_source_counts sluice_engine_source(const sluice_engine *engine, uint32_t i_source)
{
    return sl_portfolio_source(engine->portfolio, i_source);
}

bool sluice_engine_validate(const sluice_engine *engine, const char **reason)
{
    return sl_duplicate_validate(engine->duplicate, reason) &&
           sl_portfolio_validate(engine->portfolio, reason);
}
