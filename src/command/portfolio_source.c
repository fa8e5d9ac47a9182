/* portfolio_source.c - makes a portfolio from a state or from a file of verdicts.
 *
 *   --state      checkpoint (whole stream) --> portfolio <-- log behind it
 *                log, last 2 N samples     --> before, now
 *   --verdicts   records                   --> the same
 *
 * A record has no cost, no arrival time and no size; a portfolio of records lacks what needs them.
 */
#include "command/portfolio_source.h"
#include "command/verdict_file.h"

#include "arena.h"
#include "bytes.h"
#include "record.h"
#include "spool/spool.h"
#include "sluice/engine.h"

typedef struct reading {
    sluice_portfolio *now, *before;
    uint64_t from, before_from; /* offsets of the first sample of each */
    uint64_t next_offset;       /* a smaller offset came before: redelivered */
    sl_arena *arena;
    sluice_status status;
} reading;

static void take(reading *work, const sluice_sample *sample)
{
    if (sample->offset < work->next_offset || sample->offset < work->before_from) {
        return;
    }
    work->next_offset = sample->offset + 1;
    sluice_portfolio_apply(sample->offset >= work->from ? work->now : work->before, sample);
}

static bool take_record(void *context, const sluice_sample *sample)
{
    if (sample->verdict.decision != SLUICE_REFUSE) {
        take(context, sample);
    }
    return true;
}

static bool count_record(void *context, const sluice_sample *sample)
{
    uint64_t *next_offset = context;
    if (sample->verdict.decision != SLUICE_REFUSE && sample->offset >= *next_offset) {
        *next_offset = sample->offset + 1;
    }
    return true;
}

static bool take_stored(void *context, const sl_spool_sample *stored)
{
    reading *work = context;
    sluice_sample sample;
    sl_arena_reset(work->arena, 8 * stored->wire.size + 65536);
    work->status = sl_record_sample_of_wire(stored->wire, work->arena, &sample);
    sample.offset = stored->offset;
    sample.arrived_us = stored->arrived_us;
    if (work->status == SLUICE_OK) {
        take(work, &sample);
    }
    return work->status == SLUICE_OK;
}

static void cut(reading *work, uint64_t samples, uint64_t end)
{
    if (samples > 0) {
        work->from = end > samples ? end - samples : 0;
        work->before_from = work->from > samples ? work->from - samples : 0;
    }
}

static sluice_status read_verdicts(const sl_portfolio_source *source, reading *work,
                                   sluice_message *why)
{
    uint64_t end = 0;
    if (source->samples > 0) {
        SLUICE_TRY(sl_verdict_file_read(source->verdicts, count_record, &end, why));
    }
    cut(work, source->samples, end);
    return sl_verdict_file_read(source->verdicts, take_record, work, why);
}

static sluice_status read_checkpoint(sl_spool *spool, reading *work, sluice_message *why)
{
    sluice_bytes checkpoint = {0};
    uint64_t offset = 0;
    sluice_status status = sl_spool_checkpoint(spool, &checkpoint, &offset, why);
    if (status == SLUICE_OK && checkpoint.size > 0) {
        status = sluice_portfolio_of_checkpoint((sluice_span){checkpoint.data, checkpoint.size},
                                                work->now, &work->next_offset);
        if (status != SLUICE_OK) {
            (void)sluice_fail(why, status, "the checkpoint of the state cannot be read");
        }
    }
    sl_bytes_fini(&checkpoint);
    return status;
}

static sluice_status read_log(sl_spool *spool, const sl_portfolio_source *source, reading *work,
                              sluice_message *why)
{
    if (source->samples == 0) {
        SLUICE_TRY(read_checkpoint(spool, work, why));
    }
    cut(work, source->samples, sl_spool_extent_of(spool).next_offset);
    uint64_t from = work->next_offset > work->before_from ? work->next_offset : work->before_from;
    SLUICE_TRY(sl_arena_open(&work->arena));
    sluice_status status = sl_spool_samples(spool, from, take_stored, work, why);
    sl_arena_close(&work->arena);
    if (status == SLUICE_OK && work->status != SLUICE_OK) {
        status = sluice_fail(why, work->status, "a sample of the log cannot be read");
    }
    return status;
}

static sluice_status read_state(const sl_portfolio_source *source, reading *work,
                                sluice_message *why)
{
    sl_spool_options options = {.path = source->state, .read_only = true};
    sl_spool *spool = NULL;
    SLUICE_TRY(sl_spool_open(&options, &spool, why));
    sluice_status status = read_log(spool, source, work, why);
    sl_spool_close(&spool);
    return status;
}

sluice_status sl_portfolio_read(const sl_portfolio_source *source, sluice_portfolio **now,
                                sluice_portfolio **before, sluice_message *why)
{
    reading work = {.from = 0};
    *now = NULL;
    *before = NULL;
    sluice_status status = sluice_portfolio_open(&work.now);
    if (status == SLUICE_OK && source->samples > 0) {
        status = sluice_portfolio_open(&work.before);
    }
    if (status == SLUICE_OK) {
        status = source->verdicts != NULL ? read_verdicts(source, &work, why)
                                          : read_state(source, &work, why);
    }
    if (status != SLUICE_OK) {
        sluice_portfolio_close(&work.now);
        sluice_portfolio_close(&work.before);
        return status;
    }
    *now = work.now;
    *before = work.before;
    return SLUICE_OK;
}
