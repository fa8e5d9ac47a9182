/* portfolio_source.c - makes portfolios from a state or from a file of verdicts.
 *
 *   --state      checkpoint, log behind it       --> the stream: now, or its alerts beside a period
 *                log, a period and one before it --> before, now
 *   --verdicts   records                         --> the same
 *
 * A record has no cost, no arrival time, no size and no attributes; a portfolio of records lacks
 * what needs them: so there is none by group. */
#include "command/portfolio_source.h"
#include "command/settings.h"
#include "command/verdict_file.h"

#include "arena.h"
#include "bytes.h"
#include "decide/groups.h"
#include "decode/attributes.h"
#include "decode/sample_fields.h"
#include "record.h"
#include "spool/spool.h"
#include "sluice/engine.h"

#include <inttypes.h>
#include <stdlib.h>

typedef struct reading {
    sl_portfolios *all;
    sl_highlights *highlights;
    uint64_t next_offset;             /* a smaller offset came before: redelivered */
    uint64_t stream_from, shown_from; /* offsets from which on they are filled     */
    sl_names names;                   /* of key                                    */
    sl_name key;                      /* of the group, with now.groups             */
    sl_arena *arena;
    sluice_status status;
} reading;

static bool is_period(const sl_portfolio_source *source)
{
    return source->samples > 0 || source->last_us > 0;
}

/* --- one sample --- */

static void take_into(sl_portfolio_period *period, const sluice_sample *sample, sluice_span group)
{
    if (sample->offset >= period->from && sample->offset < period->to) {
        sluice_portfolio_apply(period->sources, sample);
        if (period->groups != NULL) {
            sl_groups_apply(period->groups, group, sample);
        }
    }
}

/* A sample before a period: one that is in it may repeat it. */
static void note_before(sl_portfolio_period *period, const sluice_sample *sample, sluice_span group)
{
    if (period->groups != NULL && sample->offset < period->from) {
        sl_groups_note(period->groups, group, sample);
    }
}

static void take(reading *work, const sluice_sample *sample, sluice_span group)
{
    if (sample->offset < work->next_offset) {
        return;
    }
    work->next_offset = sample->offset + 1;
    take_into(&work->all->now, sample, group);
    if (work->all->stream != NULL) {
        note_before(&work->all->now, sample, group);
        note_before(&work->all->before, sample, group);
        take_into(&work->all->before, sample, group);
        if (sample->offset >= work->stream_from) {
            sluice_portfolio_apply(work->all->stream, sample);
        }
    }
    if (work->highlights != NULL && sample->offset >= work->shown_from) {
        sl_highlights_offer(work->highlights, sample);
    }
}

/* --- verdicts --- */

static bool take_record(void *context, const sluice_sample *sample)
{
    if (sample->verdict.decision != SLUICE_REFUSE) {
        take(context, sample, (sluice_span){NULL, 0});
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

static void cut(reading *work, uint64_t samples, uint64_t end)
{
    sl_portfolios *all = work->all;
    all->now.from = end > samples ? end - samples : 0;
    all->before.to = all->now.from;
    all->before.from = all->now.from > samples ? all->now.from - samples : 0;
    work->shown_from = all->now.from;
}

static sluice_status read_verdicts(const sl_portfolio_source *source, reading *work,
                                   sluice_message *why)
{
    uint64_t end = 0;
    if (source->samples > 0) {
        SLUICE_TRY(sl_verdict_file_read(source->verdicts, count_record, &end, why));
        cut(work, source->samples, end);
    }
    return sl_verdict_file_read(source->verdicts, take_record, work, why);
}

/* --- a state --- */

static sluice_span group_of(const reading *work, sluice_span wire, sluice_sample *sample)
{
    sluice_span attribute[SL_NAMES_ATTRIBUTES] = {{NULL, 0}};
    sl_sample_fields fields;
    sl_refusal refusal;
    if (work->all->now.groups == NULL || !sl_sample_fields_find(wire, &fields, &refusal)) {
        return (sluice_span){NULL, 0};
    }
    if (work->names.n_attributes > 0) {
        const char *name = work->names.attribute[0];
        sl_attributes_find(wire, &name, 1, attribute);
    }
    sample->source = fields.source;
    sample->media_type = fields.media_type;
    return sl_groups_of(&work->names, &work->key, &(sl_facts){sample, attribute, false});
}

static bool take_stored(void *context, const sl_spool_sample *stored)
{
    reading *work = context;
    sluice_sample sample;
    sl_arena_reset(work->arena, 8 * stored->wire.size + 65536);
    work->status = sl_record_verdict_of_wire(stored->wire, work->arena, &sample);
    sample.offset = stored->offset;
    sample.arrived_us = stored->arrived_us;
    if (work->status == SLUICE_OK) {
        take(work, &sample, group_of(work, stored->wire, &sample));
    }
    return work->status == SLUICE_OK;
}

/* What the checkpoint says of sources goes to `into`; of groups, to now.groups where that is the
 * stream as a whole, else only by what they are told apart. */
static sluice_status load_checkpoint(sluice_span checkpoint, sluice_portfolio *into, reading *work)
{
    sluice_portfolio *groups = NULL;
    sluice_message wrong;
    SLUICE_TRY(sluice_portfolio_open_groups("", &groups));
    sluice_status status =
        sluice_portfolio_of_checkpoint(checkpoint, into, groups, &work->stream_from);
    const char *by = sluice_portfolio_group_by(groups);
    sl_portfolios *all = work->all;
    if (status == SLUICE_OK && by[0] != '\0' &&
        sl_groups_key(&work->names, by, &work->key, &wrong)) {
        if (all->stream == NULL) {
            all->now.groups = groups;
            return SLUICE_OK;
        }
        status = sluice_portfolio_open_groups(by, &all->now.groups);
        status =
            status == SLUICE_OK ? sluice_portfolio_open_groups(by, &all->before.groups) : status;
    }
    sluice_portfolio_close(&groups);
    return status;
}

static sluice_status read_checkpoint(sl_spool *spool, reading *work, sluice_message *why)
{
    sluice_bytes checkpoint = {0};
    uint64_t offset = 0;
    sluice_portfolio *into = work->all->stream != NULL ? work->all->stream : work->all->now.sources;
    sluice_status status = sl_spool_checkpoint(spool, &checkpoint, &offset, why);
    if (status == SLUICE_OK && checkpoint.size > 0) {
        status = load_checkpoint((sluice_span){checkpoint.data, checkpoint.size}, into, work);
        if (status != SLUICE_OK) {
            (void)sluice_fail(why, status, "the checkpoint of the state cannot be read");
        }
    }
    sl_bytes_fini(&checkpoint);
    return status;
}

static bool note_arrival(void *context, const sl_spool_sample *stored)
{
    *(int64_t *)context = stored->arrived_us;
    return false;
}

/* The first offset of the log that did not arrive before `at_us`: arrivals rise. */
static sluice_status find_arrival(sl_spool *spool, int64_t at_us, uint64_t *offset,
                                  sluice_message *why)
{
    sl_spool_extent extent = sl_spool_extent_of(spool);
    uint64_t low = extent.first_offset, high = extent.next_offset;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        int64_t arrived_us = INT64_MAX;
        SLUICE_TRY(sl_spool_samples(spool, middle, note_arrival, &arrived_us, why));
        if (arrived_us < at_us) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *offset = low;
    return SLUICE_OK;
}

static sluice_status cut_by_time(sl_spool *spool, int64_t last_us, reading *work,
                                 sluice_message *why)
{
    sl_portfolios *all = work->all;
    sl_spool_extent extent = sl_spool_extent_of(spool);
    int64_t end_us = 0;
    if (extent.next_offset > extent.first_offset) {
        SLUICE_TRY(sl_spool_samples(spool, extent.next_offset - 1, note_arrival, &end_us, why));
    }
    SLUICE_TRY(find_arrival(spool, end_us - last_us + 1, &all->now.from, why));
    SLUICE_TRY(find_arrival(spool, end_us - 2 * last_us + 1, &all->before.from, why));
    all->before.to = work->shown_from = all->now.from;
    return SLUICE_OK;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t less(uint64_t offset, uint64_t by)
{
    return offset > by ? offset - by : 0;
}

/* Where reading begins: as far back as anything that is wanted. */
static uint64_t first_wanted(const reading *work)
{
    const sl_portfolios *all = work->all;
    uint64_t first = all->stream != NULL ? work->stream_from : all->now.from;
    if (all->stream != NULL) {
        uint64_t noted = all->now.groups != NULL ? SLUICE_GROUPS_REMEMBERED : 0;
        first = least(first, less(all->before.from, noted));
    }
    return work->highlights != NULL ? least(first, work->shown_from) : first;
}

static sluice_status read_log(sl_spool *spool, const sl_portfolio_source *source, reading *work,
                              sluice_message *why)
{
    uint64_t end = sl_spool_extent_of(spool).next_offset;
    SLUICE_TRY(read_checkpoint(spool, work, why));
    if (source->samples > 0) {
        cut(work, source->samples, end);
    } else if (source->last_us > 0) {
        SLUICE_TRY(cut_by_time(spool, source->last_us, work, why));
    } else {
        work->all->now.from = work->stream_from; /* the checkpoint holds what is before */
    }
    uint64_t looked = less(end, SL_HIGHLIGHTS_LOOKED);
    work->shown_from = work->shown_from > looked ? work->shown_from : looked;
    SLUICE_TRY(sl_arena_open(&work->arena));
    sluice_status status = sl_spool_samples(spool, first_wanted(work), take_stored, work, why);
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
    if (status == SLUICE_OK && source->config != NULL) {
        status = sl_settings_as_stored(spool, source->config, why);
    }
    if (status == SLUICE_OK && work->highlights != NULL && !source->bare) {
        status = sl_highlights_fetch(work->highlights, spool, why);
    }
    sl_spool_close(&spool);
    return status;
}

/* --- all of it --- */

static sluice_status open_all(const sl_portfolio_source *source, sl_portfolios *all)
{
    *all = (sl_portfolios){.now.to = UINT64_MAX};
    SLUICE_TRY(sluice_portfolio_open(&all->now.sources));
    if (is_period(source)) {
        SLUICE_TRY(sluice_portfolio_open(&all->before.sources));
        SLUICE_TRY(sluice_portfolio_open(&all->stream));
    }
    return SLUICE_OK;
}

sluice_status sl_portfolios_read(const sl_portfolio_source *source, sl_portfolios *out,
                                 sluice_message *why)
{
    reading *work = calloc(1, sizeof *work);
    sluice_status status = work != NULL ? open_all(source, out) : SLUICE_E_NOMEM;
    if (status == SLUICE_OK) {
        work->all = out;
        work->highlights = source->highlights;
        status = source->verdicts != NULL ? read_verdicts(source, work, why)
                                          : read_state(source, work, why);
    }
    free(work);
    if (status != SLUICE_OK) {
        sl_portfolios_close(out);
    }
    return status;
}

static void close_period(sl_portfolio_period *period)
{
    sluice_portfolio_close(&period->sources);
    sluice_portfolio_close(&period->groups);
}

void sl_portfolios_close(sl_portfolios *portfolios)
{
    close_period(&portfolios->now);
    close_period(&portfolios->before);
    sluice_portfolio_close(&portfolios->stream);
}
