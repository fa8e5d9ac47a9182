/* filter.c - sluice filter: files in, kept samples and verdicts out.
 *
 *   fill_pending -> judge_pending -> commit_pending -> write_pending       a batch at a time
 *   input.c         decode,          (a state is       OUT: kept and flagged, as they came
 *                   features,        kept here)        VERDICTS: one record each, in order
 *                   engine
 *
 * Why a batch also ends where the input would wait: behind `tail -f` the verdict of a line is due
 * when the line is there, not 255 lines later. Verdicts do not depend on where batches end. */
#include "command/command.h"
#include "command/filter_options.h"
#include "command/input.h"
#include "command/journal.h"
#include "command/output.h"
#include "command/progress.h"
#include "command/references.h"
#include "command/summary.h"
#include "command/views.h"
#include "bytes.h"
#include "record.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define SL_FILTER_BATCH_SAMPLES 256
#define SL_FILTER_BATCH_BYTES   ((size_t)1 << 20)
#define SL_FILTER_REFUSALS_SAID 20

/* One sample that was read; places in the buffers of its batch. */
typedef struct pending_item {
    size_t line, line_bytes;
    size_t position;    /* in notes */
    const char *reason; /* NULL, or refused by input */
    size_t text;        /* in notes, with a reason   */
} pending_item;

typedef struct pending_batch {
    sluice_bytes wire;  /* an encoded Batch          */
    sluice_bytes lines; /* JSONL lines as they came  */
    sluice_bytes notes; /* strings with their end    */
    pending_item items[SL_FILTER_BATCH_SAMPLES];
    uint32_t n;
} pending_batch;

typedef struct filter_pass {
    sluice_config config;
    sluice_engine *engine;
    sl_journal *journal; /* NULL: nothing is kept */
    sluice_batch *batch;
    sl_input *input;
    sl_views_file views;       /* n_views = 0: none */
    sluice_bytes viewed;       /* one sample with its views */
    sl_output *out, *verdicts; /* NULL: not wanted */
    bool bare;
    pending_batch pending;
    sluice_bytes record, line; /* scratch */
    int64_t arrived_us;        /* of the sample before */
    uint64_t begin_offset;     /* of this pass         */
    sl_summary summary;
    sl_progress progress;
} filter_pass;

/* ---- reading ---- */

static sluice_status put_note(pending_batch *pending, const char *text, size_t *place)
{
    *place = pending->notes.size;
    return sl_bytes_append(&pending->notes, text, strlen(text) + 1);
}

static sluice_status add_item(pending_batch *pending, const sl_input_item *from)
{
    pending_item *item = &pending->items[pending->n];
    *item = (pending_item){
        .line = pending->lines.size, .line_bytes = from->line.size, .reason = from->reason};
    SLUICE_TRY(put_note(pending, from->position, &item->position));
    SLUICE_TRY(put_note(pending, from->text != NULL ? from->text : "", &item->text));
    SLUICE_TRY(sl_bytes_append(&pending->lines, from->line.data, from->line.size));
    SLUICE_TRY(sl_bytes_put_u8(&pending->wire, 0x0a)); /* Batch.samples */
    SLUICE_TRY(sl_bytes_put_varint(&pending->wire, from->wire.size));
    SLUICE_TRY(sl_bytes_append(&pending->wire, from->wire.data, from->wire.size));
    pending->n++;
    return SLUICE_OK;
}

/* The next row of --views behind the sample's own fields; the sample as it is without --views. */
static sluice_status view_sample(filter_pass *filter, sl_input_item *item, sluice_message *why)
{
    if (filter->views.n_views == 0) {
        return SLUICE_OK;
    }
    if (item->reason != NULL) {
        sl_views_skip(&filter->views);
        return SLUICE_OK;
    }
    sl_bytes_clear(&filter->viewed);
    SLUICE_TRY(sl_bytes_append(&filter->viewed, item->wire.data, item->wire.size));
    if (sl_views_append(&filter->views, &filter->viewed) == SLUICE_E_CLOSED) {
        return sluice_fail(why, SLUICE_E_IO, "%s: --views has only %llu rows", item->position,
                           (unsigned long long)filter->views.n);
    }
    item->wire = (sluice_span){filter->viewed.data, filter->viewed.size};
    return SLUICE_OK;
}

/* Reads until the batch is full, the input would wait, or it ends (CLOSED, or an error). What was
 * read is there in every case. */
static sluice_status fill_pending(filter_pass *filter, sluice_message *why)
{
    pending_batch *pending = &filter->pending;
    pending->n = 0;
    sl_bytes_clear(&pending->wire);
    sl_bytes_clear(&pending->lines);
    sl_bytes_clear(&pending->notes);
    while (pending->n < SL_FILTER_BATCH_SAMPLES &&
           pending->wire.size + pending->lines.size < SL_FILTER_BATCH_BYTES &&
           (pending->n == 0 || sl_input_ready(filter->input))) {
        sl_input_item item;
        SLUICE_TRY(sl_input_next(filter->input, &item, why));
        SLUICE_TRY(view_sample(filter, &item, why));
        if (add_item(pending, &item) != SLUICE_OK) {
            return sluice_fail(why, SLUICE_E_NOMEM, "%s: no memory to read it", item.position);
        }
        bool lines = sl_input_format_used(filter->input) == SL_INPUT_JSONL;
        filter->summary.bytes += lines ? item.line.size : item.wire.size;
    }
    return SLUICE_OK;
}

/* ---- judging ---- */

/* Ageing goes by recorded time, so that files age as their stream did; never backwards, and never
 * ahead of the clock. */
static int64_t arrival_us(int64_t previous_us, int64_t now_us, int64_t event_time_us)
{
    int64_t arrived_us = event_time_us != 0 && event_time_us < now_us ? event_time_us : now_us;
    return arrived_us > previous_us ? arrived_us : previous_us;
}

static int64_t clock_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* What input found wrong is the sample's verdict; its names alone went through decode. */
static void refuse_as_read(filter_pass *filter, uint32_t i, sluice_sample *sample)
{
    const pending_item *item = &filter->pending.items[i];
    if (item->reason != NULL) {
        sample->verdict = (sluice_verdict){
            .decision = SLUICE_REFUSE,
            .n_reasons = 1,
            .reasons = {item->reason},
            .text = (const char *)filter->pending.notes.data + item->text,
        };
    }
}

static sluice_status judge_pending(filter_pass *filter, sluice_message *why)
{
    sluice_batch *batch = filter->batch;
    sluice_span bytes = {filter->pending.wire.data, filter->pending.wire.size};
    SLUICE_TRY(sluice_batch_decode(batch, bytes, why));
    SLUICE_ASSERT(batch->n_samples == filter->pending.n); /* the framing is our own */
    for (uint32_t i = 0; i < batch->n_samples; i++) {
        refuse_as_read(filter, i, &batch->samples[i]);
    }
    if (sluice_batch_features(batch, &filter->config) != SLUICE_OK) {
        return sluice_fail(why, SLUICE_E_NOMEM, "no memory for features");
    }
    int64_t now_us = clock_us();
    uint32_t i_producer = filter->journal != NULL ? sl_journal_i_producer(filter->journal) : 0;
    for (uint32_t i = 0; i < batch->n_samples; i++) {
        sluice_sample *sample = &batch->samples[i];
        if (sample->verdict.decision != SLUICE_REFUSE) {
            filter->arrived_us = arrival_us(filter->arrived_us, now_us, sample->event_time_us);
        }
        sample->arrived_us = filter->arrived_us;
        sample->i_producer = i_producer;
    }
    sluice_engine_run(filter->engine, batch);
    return SLUICE_OK;
}

/* A judged batch becomes durable before anything of it is written. */
static sluice_status commit_pending(filter_pass *filter, sluice_message *why)
{
    return filter->journal == NULL ? SLUICE_OK
                                   : sl_journal_commit(filter->journal, filter->batch, why);
}

/* ---- writing ---- */

static sluice_status make_jsonl(filter_pass *filter, const pending_item *item)
{
    sluice_span line = {filter->pending.lines.data + item->line, item->line_bytes};
    if (filter->bare) {
        SLUICE_TRY(sl_bytes_append(&filter->line, line.data, line.size));
    } else {
        sluice_span verdict = {filter->record.data, filter->record.size};
        SLUICE_TRY(sl_jsonl_annotate(line, verdict, &filter->line));
    }
    return sl_bytes_put_u8(&filter->line, '\n');
}

static sluice_status make_pb(filter_pass *filter, const sluice_sample *sample)
{
    sluice_bytes annotation = {0};
    sluice_status status = filter->bare ? SLUICE_OK : sl_record_annotate(sample, &annotation);
    if (status == SLUICE_OK) {
        status = sl_bytes_put_varint(&filter->line, sample->wire.size + annotation.size);
    }
    if (status == SLUICE_OK) {
        status = sl_bytes_append(&filter->line, sample->wire.data, sample->wire.size);
    }
    if (status == SLUICE_OK) {
        status = sl_bytes_append(&filter->line, annotation.data, annotation.size);
    }
    sl_bytes_fini(&annotation);
    return status;
}

/* What came again in this pass is out already. What the state had before is not: a pass that was
 * killed between its commit and its output is made whole by the same command. */
static bool passes_on(const filter_pass *filter, const sluice_sample *sample)
{
    return (!sample->match.redelivered || sample->offset < filter->begin_offset) &&
           (sample->verdict.decision == SLUICE_KEEP || sample->verdict.decision == SLUICE_FLAG);
}

static sluice_status make_output(filter_pass *filter, uint32_t i)
{
    const sluice_sample *sample = &filter->batch->samples[i];
    sl_bytes_clear(&filter->record);
    sl_bytes_clear(&filter->line);
    SLUICE_TRY(sl_record_json(sample, &filter->record));
    if (filter->out == NULL || !passes_on(filter, sample)) {
        return SLUICE_OK;
    }
    return sl_input_format_used(filter->input) == SL_INPUT_PB
               ? make_pb(filter, sample)
               : make_jsonl(filter, &filter->pending.items[i]);
}

static void say_refusal(filter_pass *filter, uint32_t i)
{
    const sluice_verdict *verdict = &filter->batch->samples[i].verdict;
    const char *notes = (const char *)filter->pending.notes.data;
    if (verdict->decision != SLUICE_REFUSE || filter->summary.refused > SL_FILTER_REFUSALS_SAID) {
        return;
    }
    sl_progress_clear(&filter->progress);
    fprintf(stderr, "%s: refused, %s: %s\n", notes + filter->pending.items[i].position,
            verdict->reasons[0], verdict->text != NULL ? verdict->text : "");
    if (filter->summary.refused == SL_FILTER_REFUSALS_SAID) {
        fprintf(stderr, "further refused samples are counted only; --verdicts has them all\n");
    }
}

static sluice_status write_pending(filter_pass *filter, sluice_message *why)
{
    for (uint32_t i = 0; i < filter->batch->n_samples; i++) {
        if (make_output(filter, i) != SLUICE_OK) {
            return sluice_fail(why, SLUICE_E_NOMEM, "no memory to write a verdict");
        }
        if (filter->line.size > 0) {
            SLUICE_TRY(sl_output_write(filter->out, filter->line.data, filter->line.size, why));
        }
        if (filter->verdicts != NULL) {
            SLUICE_TRY(sl_bytes_put_u8(&filter->record, '\n'));
            SLUICE_TRY(
                sl_output_write(filter->verdicts, filter->record.data, filter->record.size, why));
        }
        sl_summary_add(&filter->summary, &filter->batch->samples[i]);
        say_refusal(filter, i);
    }
    return SLUICE_OK;
}

/* Compressed or not, bytes are handed on when the next sample is not there yet. */
static sluice_status flush_if_waiting(filter_pass *filter, sluice_message *why)
{
    if (sl_input_ready(filter->input)) {
        return SLUICE_OK;
    }
    if (filter->out != NULL) {
        SLUICE_TRY(sl_output_flush(filter->out, why));
    }
    return filter->verdicts != NULL ? sl_output_flush(filter->verdicts, why) : SLUICE_OK;
}

/* ---- the loop ---- */

static sluice_status pass(filter_pass *filter, sluice_message *why)
{
    sluice_status read = SLUICE_OK;
    while (read == SLUICE_OK) {
        sluice_message read_why = {""};
        read = fill_pending(filter, &read_why);
        if (filter->pending.n > 0) {
            SLUICE_TRY(judge_pending(filter, why));
            SLUICE_TRY(commit_pending(filter, why));
            SLUICE_TRY(write_pending(filter, why));
        }
        if (read != SLUICE_OK) {
            *why = read_why;
            break;
        }
        SLUICE_TRY(flush_if_waiting(filter, why));
        uint64_t total;
        uint64_t done = sl_input_progress(filter->input, &total);
        sl_progress_tick(&filter->progress, done, total, filter->summary.received,
                         filter->summary.dropped);
    }
    if (read == SLUICE_E_CLOSED && filter->views.next < filter->views.n) {
        return sluice_fail(why, SLUICE_E_IO, "--views has %llu rows for %llu samples",
                           (unsigned long long)filter->views.n,
                           (unsigned long long)filter->views.next);
    }
    return read == SLUICE_E_CLOSED ? SLUICE_OK : read;
}

/* What was judged before an error is finished properly; the first error is the one told. */
static sluice_status finish(filter_pass *filter, sluice_status status, sluice_message *why)
{
    sl_output **outputs[2] = {&filter->out, &filter->verdicts};
    for (uint32_t i = 0; i < 2; i++) {
        sluice_message ignored;
        sluice_status finished = sl_output_finish(outputs[i], status == SLUICE_OK ? why : &ignored);
        status = status == SLUICE_OK ? finished : status;
    }
    filter->summary.seconds = sl_progress_seconds(&filter->progress);
    sl_progress_clear(&filter->progress);
    return status;
}

/* ---- opening ---- */

/* One file by two names. Devices and pipes take what two write. */
static sluice_status open_all(filter_pass *filter, const sl_filter_options *options,
                              sluice_message *why)
{
    SLUICE_TRY(
        sl_input_open(options->inputs, options->n_inputs, options->format, &filter->input, why));
    if (options->views != NULL) {
        SLUICE_TRY(sl_views_open(options->views, &filter->views, why));
    }
    SLUICE_TRY(sluice_engine_open(&filter->config, &filter->engine, why));
    SLUICE_TRY(sl_references_load(&filter->config, filter->engine, why));
    if (sluice_batch_open(&filter->batch) != SLUICE_OK) {
        return sluice_fail(why, SLUICE_E_NOMEM, "no memory for a batch");
    }
    if (options->state != NULL) {
        snprintf(filter->config.state, sizeof filter->config.state, "%s", options->state);
        SLUICE_TRY(sl_journal_open(&filter->config, filter->engine, "filter", &filter->journal,
                                   &filter->arrived_us, why));
    }
    filter->begin_offset = sluice_engine_next_offset(filter->engine);
    if (options->out != NULL) {
        SLUICE_TRY(sl_output_open(options->out, &filter->out, why));
    }
    return options->verdicts != NULL ? sl_output_open(options->verdicts, &filter->verdicts, why)
                                     : SLUICE_OK;
}

static void close_all(filter_pass *filter, bool clean)
{
    sl_output_abandon(&filter->out);
    sl_output_abandon(&filter->verdicts);
    sl_input_close(&filter->input);
    sl_views_close(&filter->views);
    sl_bytes_fini(&filter->viewed);
    sl_journal_close(&filter->journal, clean);
    sluice_batch_close(&filter->batch);
    sluice_engine_close(&filter->engine);
    sl_bytes_fini(&filter->pending.wire);
    sl_bytes_fini(&filter->pending.lines);
    sl_bytes_fini(&filter->pending.notes);
    sl_bytes_fini(&filter->record);
    sl_bytes_fini(&filter->line);
}

/* ---- the command line ---- */

static bool uses_standard_output(const sl_filter_options *options)
{
    return (options->out != NULL && strcmp(options->out, "-") == 0) ||
           (options->verdicts != NULL && strcmp(options->verdicts, "-") == 0);
}

static void tell(const filter_pass *filter, const sl_filter_options *options)
{
    if (!options->json) {
        sl_summary_print(&filter->summary, filter->engine, stderr);
    } else {
        sl_summary_print_json(&filter->summary, filter->engine,
                              uses_standard_output(options) ? stderr : stdout);
    }
}

int sl_command_filter(int argc, char **argv)
{
    sl_filter_options options = {0};
    int exit_code;
    if (!sl_filter_options_parse(argc, argv, &options, &exit_code)) {
        return exit_code;
    }
    filter_pass *filter = calloc(1, sizeof *filter);
    if (filter == NULL) {
        fprintf(stderr, "sluice filter: no memory\n");
        return SL_EXIT_FAILED;
    }
    if (!sl_settings_read(&options.settings, &filter->config)) {
        free(filter);
        return SL_EXIT_CONFIG;
    }
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is an error of its write */
    filter->bare = options.bare;
    filter->arrived_us = INT64_MIN;
    sluice_message why = {""};
    sluice_status status = open_all(filter, &options, &why);
    if (status == SLUICE_OK) {
        sl_progress_begin(&filter->progress, !options.json);
        status = finish(filter, pass(filter, &why), &why);
        tell(filter, &options);
        exit_code = status == SLUICE_OK ? SL_EXIT_OK : SL_EXIT_FAILED;
    } else {
        /* Unusable files are the command line's fault, an unusable state the configuration's. */
        bool bad_input = status == SLUICE_E_CONFIG && filter->input == NULL;
        exit_code = bad_input ? SL_EXIT_USAGE : sl_exit_of(status);
    }
    if (status != SLUICE_OK) {
        fprintf(stderr, "sluice filter: %s\n", why.text);
    }
    close_all(filter, status == SLUICE_OK);
    free(filter);
    return exit_code;
}
