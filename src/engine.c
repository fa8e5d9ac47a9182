/* engine.c - the order of the stages, and the one apply.
 *
 *   batch -> [ probe -> judge -> apply ] a sample at a time -> verdicts
 *
 * Why a sample at a time: the second of two copies in one message must find the first. What may run
 * ahead without changing an answer (features, prefetch) does; what decides does not. */
#include "sluice/engine.h"
#include "arena.h"
#include "bytes.h"
#include "decide/decide.h"
#include "decide/portfolio.h"
#include "duplicate/duplicate.h"

#include <stdlib.h>

#define CHECKPOINT_MAGIC   UINT32_C(0x50434c53) /* "SLCP" */
#define CHECKPOINT_VERSION 1
#define PREFETCH_SAMPLES   8 /* ahead of the probe: their lines are on their way at once */

struct sluice_engine {
    sluice_config config;
    sl_duplicate *duplicate;
    sl_portfolio *portfolio;
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

static void run_sample(sluice_engine *engine, sl_arena *arena, sluice_sample *sample)
{
    sample->offset = engine->next_offset;
    sl_duplicate_probe(engine->duplicate, sample, &sample->match);
    if (sample->match.redelivered) {
        /* Rows are of kept samples without a finding (the default policy), so this is the verdict
         * of the first time. */
        sample->offset = sample->match.of_offset;
        sample->match = (sluice_match){.redelivered = true, .of_offset = sample->offset};
        sl_decide_judge(&sample->match, &sample->verdict);
        return;
    }
    if (sample->match.method != SLUICE_METHOD_NONE) {
        copy_names(arena, &sample->match);
    }
    sl_decide_judge(&sample->match, &sample->verdict);
    sluice_engine_apply(engine, sample);
}

void sluice_engine_run(sluice_engine *engine, sluice_batch *batch)
{
    for (uint32_t i = 0; i < batch->n_samples; i++) {
        if (i + PREFETCH_SAMPLES < batch->n_samples) {
            sl_duplicate_prefetch(engine->duplicate, &batch->samples[i + PREFETCH_SAMPLES]);
        }
        if (batch->samples[i].verdict.decision == SLUICE_REFUSE) {
            batch->samples[i].offset = UINT64_MAX;
        } else {
            run_sample(engine, batch->arena, &batch->samples[i]);
        }
    }
}

void sluice_engine_apply(sluice_engine *engine, const sluice_sample *sample)
{
    SLUICE_ASSERT(sample->offset == engine->next_offset);
    if (sample->offset >= engine->rows_end) {
        sl_duplicate_apply(engine->duplicate, sample);
    }
    sl_portfolio_apply(engine->portfolio, sample);
    engine->next_offset++;
}

uint64_t sluice_engine_next_offset(const sluice_engine *engine)
{
    return engine->next_offset;
}

sluice_row_mark sluice_engine_row_mark(const sluice_engine *engine)
{
    sl_durable_from from = sl_duplicate_row_from(engine->duplicate);
    return (sluice_row_mark){.exact = from.exact, .text = from.text, .image = from.image};
}

sluice_status sluice_engine_row_write(const sluice_engine *engine, const sluice_row_mark *mark,
                                      const sluice_sample *sample, sluice_bytes *out)
{
    sl_durable_from from = {.exact = mark->exact, .text = mark->text, .image = mark->image};
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

sluice_status sluice_engine_save(const sluice_engine *engine, sluice_bytes *out)
{
    SLUICE_TRY(sl_bytes_put_u32(out, CHECKPOINT_MAGIC));
    SLUICE_TRY(sl_bytes_put_u32(out, CHECKPOINT_VERSION));
    SLUICE_TRY(sl_bytes_put_u64(out, engine->next_offset));
    return sl_portfolio_save(engine->portfolio, out);
}

sluice_status sluice_engine_load(sluice_engine *engine, sluice_span checkpoint)
{
    sl_reader reader = sl_reader_of(checkpoint);
    uint32_t magic = sl_reader_u32(&reader);
    uint32_t version = sl_reader_u32(&reader);
    uint64_t next_offset = sl_reader_u64(&reader);
    if (reader.bad || magic != CHECKPOINT_MAGIC || version != CHECKPOINT_VERSION) {
        return SLUICE_E_CORRUPT;
    }
    sluice_span rest = {reader.at, (size_t)(reader.end - reader.at)};
    SLUICE_TRY(sl_portfolio_load(engine->portfolio, rest));
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
