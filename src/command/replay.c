/* replay.c - what another policy would have done with samples that have verdicts.
 *
 *   VERDICTS: a record --> sample: match, scores -+-> sl_decide (rules, budget, groups) --> after
 *   INPUT: the sample of that id: bytes, attributes-/                         the record --> before
 *
 * What was found stays as it was found: a sample that would have been kept now could have become
 * the representative of others. That a replay cannot know; it says what the rules would have done.
 * Why the inputs come in the order of the records: then nothing has to be held in memory. Samples
 * without a record are passed over. */
#include "command/replay.h"
#include "command/command.h"
#include "command/progress.h"
#include "command/verdict_file.h"
#include "command/verdict_line.h"
#include "bytes.h"
#include "decide/decide.h"
#include "sluice/portfolio.h"
#include "decode/attributes.h"
#include "sluice/engine.h"

#include <jansson.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define SOURCES_SHOWN 20

typedef struct replay {
    const sluice_config *config;
    const sl_replay_options *options;
    FILE *file;
    sl_input *input;     /* NULL: records alone */
    sluice_batch *batch; /* of one sample of it */
    sluice_bytes wire;
    sl_decide *decide;
    sluice_portfolio *before, *after;
    sluice_portfolio *groups_before;                        /* NULL: no groups */
    uint64_t changed[SLUICE_LIMIT_SOURCES + 1];             /* by source */
    uint64_t moved[SLUICE_N_DECISIONS][SLUICE_N_DECISIONS]; /* before, after */
    uint64_t n, refused, redelivered, next_offset;
} replay;

/* --- one record --- */

static sluice_status decode_item(replay *self, const sl_input_item *item)
{
    sl_bytes_clear(&self->wire);
    SLUICE_TRY(sl_bytes_put_u8(&self->wire, 0x0a)); /* Batch.samples */
    SLUICE_TRY(sl_bytes_put_varint(&self->wire, item->wire.size));
    SLUICE_TRY(sl_bytes_append(&self->wire, item->wire.data, item->wire.size));
    return sluice_batch_decode(self->batch, (sluice_span){self->wire.data, self->wire.size}, NULL);
}

/* The sample of a record, with what the record says of it. */
static sluice_status find_sample(replay *self, const sluice_sample *record, sluice_sample *sample,
                                 sluice_message *why)
{
    if (self->input == NULL) {
        *sample = *record;
        return SLUICE_OK;
    }
    for (;;) {
        sl_input_item item;
        sluice_status status = sl_input_next(self->input, &item, why);
        if (status == SLUICE_E_CLOSED) {
            return sluice_fail(
                why, SLUICE_E_CORRUPT,
                "no sample with the id \"%.*s\" is left in the inputs; they must come "
                "in the order of the verdicts",
                (int)record->id.size, (const char *)record->id.data);
        }
        SLUICE_TRY(status);
        if (decode_item(self, &item) != SLUICE_OK || self->batch->n_samples != 1) {
            continue; /* it has no verdict to be looked at either */
        }
        *sample = self->batch->samples[0];
        if (sl_span_equal(sample->id, record->id)) {
            sample->source = record->source;
            sample->offset = record->offset;
            sample->match = record->match;
            sample->scores = record->scores;
            return SLUICE_OK;
        }
    }
}

static void count(replay *self, const sluice_sample *record, const sluice_sample *sample)
{
    sluice_portfolio_apply(self->before, record);
    sluice_portfolio_apply(self->after, sample);
    uint32_t i_source = sluice_portfolio_find(self->after, record->source);
    bool changed = record->verdict.decision != sample->verdict.decision;
    self->changed[i_source <= SLUICE_LIMIT_SOURCES ? i_source : 0] += changed;
    self->moved[record->verdict.decision][sample->verdict.decision]++;
    self->n++;
}

static sluice_status judge_record(replay *self, const sluice_sample *record, sluice_message *why)
{
    sluice_sample sample;
    sluice_span attribute[SL_NAMES_ATTRIBUTES] = {{NULL, 0}};
    const sl_names *names = sl_decide_names(self->decide);
    if (record->verdict.decision == SLUICE_REFUSE) {
        self->refused++;
        return SLUICE_OK;
    }
    if (record->offset < self->next_offset) { /* a later arrival has the record of the first one */
        self->redelivered++;
        return SLUICE_OK;
    }
    SLUICE_TRY(find_sample(self, record, &sample, why));
    if (self->input != NULL && names->n_attributes > 0) {
        const char *name[SL_NAMES_ATTRIBUTES];
        for (uint32_t i = 0; i < names->n_attributes; i++) {
            name[i] = names->attribute[i];
        }
        sl_attributes_find(sample.wire, name, names->n_attributes, attribute);
    }
    if (record->offset / SLUICE_BLOCK_SAMPLES > self->next_offset / SLUICE_BLOCK_SAMPLES) {
        sl_decide_freeze(self->decide); /* offsets are missing */
    }
    /* When it arrived is not in a record: its age is unknown. */
    sample.arrived_us = sample.event_time_us = 0;
    sl_facts facts = {&sample, attribute, self->input == NULL};
    sl_decide_judge(self->decide, &facts, &sample.verdict);
    count(self, record, &sample);
    sl_decide_apply(self->decide, &facts);
    if (self->groups_before != NULL) {
        sluice_span group = sl_policy_group(sl_decide_policy(self->decide), &facts);
        sample.verdict = record->verdict;
        sl_groups_apply(self->groups_before, group, &sample);
    }
    self->next_offset = record->offset + 1;
    if (self->next_offset % SLUICE_BLOCK_SAMPLES == 0) {
        sl_decide_freeze(self->decide);
    }
    return SLUICE_OK;
}

static sluice_status read_verdicts(replay *self, sluice_message *why)
{
    char *line = NULL;
    size_t capacity = 0;
    uint64_t n_line = 0;
    sluice_status status = SLUICE_OK;
    for (ssize_t size; status == SLUICE_OK && (size = getline(&line, &capacity, self->file)) > 0;) {
        sl_verdict_line read;
        sluice_message wrong = {""};
        n_line++;
        status =
            sl_verdict_line_read((sluice_span){(const uint8_t *)line, (size_t)size}, &read, &wrong);
        if (status == SLUICE_OK) {
            status = judge_record(self, &read.sample, &wrong);
            sl_verdict_line_fini(&read);
        }
        if (status != SLUICE_OK) {
            status = sluice_fail(why, SLUICE_E_CORRUPT, "%s:%llu: %.400s", self->options->verdicts,
                                 (unsigned long long)n_line, wrong.text);
        }
    }
    if (status == SLUICE_OK && ferror(self->file)) {
        status =
            sluice_fail(why, SLUICE_E_IO, "cannot read %s to its end", self->options->verdicts);
    }
    free(line);
    return status;
}

/* --- what came out --- */

typedef struct decisions {
    uint64_t kept, flagged, dropped;
} decisions;

static decisions decisions_of(const replay *self, bool after)
{
    decisions sum = {0, 0, 0};
    for (int i = 0; i < SLUICE_N_DECISIONS; i++) {
        sum.kept += after ? self->moved[i][SLUICE_KEEP] : self->moved[SLUICE_KEEP][i];
        sum.flagged += after ? self->moved[i][SLUICE_FLAG] : self->moved[SLUICE_FLAG][i];
        sum.dropped += after ? self->moved[i][SLUICE_DROP] : self->moved[SLUICE_DROP][i];
    }
    return sum;
}

static uint64_t n_changed(const replay *self)
{
    uint64_t n = 0;
    for (int i = 0; i < SLUICE_N_DECISIONS; i++) {
        for (int j = 0; j < SLUICE_N_DECISIONS; j++) {
            n += i != j ? self->moved[i][j] : 0;
        }
    }
    return n;
}

static double share_of(uint64_t part, uint64_t whole)
{
    return whole > 0 ? 100 * (double)part / (double)whole : 0;
}

static void print_line(const char *name, decisions before, decisions after)
{
    uint64_t n = before.kept + before.flagged + before.dropped;
    printf("  %-24s %10llu  %6.1f %% -> %5.1f %%  %6.1f %% -> %5.1f %%\n", name,
           (unsigned long long)n, share_of(before.dropped, n), share_of(after.dropped, n),
           share_of(before.flagged, n), share_of(after.flagged, n));
}

static decisions of_source(const sluice_portfolio *portfolio, uint32_t i)
{
    sluice_source_row counts = sluice_portfolio_row(portfolio, i);
    return (decisions){counts.kept, counts.flagged, counts.dropped};
}

static void print_sources(const replay *self)
{
    uint32_t shown = 0;
    for (uint32_t i = 0; i < sluice_portfolio_n_sources(self->after); i++) {
        sluice_source_row counts = sluice_portfolio_row(self->after, i);
        decisions before = of_source(self->before, i);
        char name[25];
        snprintf(name, sizeof name, "%.*s", (int)counts.source.size,
                 counts.source.size > 0 ? (const char *)counts.source.data : "");
        if (before.kept + before.flagged + before.dropped == 0) {
            continue;
        }
        if (shown++ == SOURCES_SHOWN) {
            printf("  ... %u more sources; --json has them all\n",
                   sluice_portfolio_n_sources(self->after) - i);
            return;
        }
        print_line(name[0] != '\0' ? name : "(unnamed)", before, of_source(self->after, i));
    }
}

static void print_groups(const replay *self)
{
    const sluice_portfolio *after = sl_decide_groups(self->decide);
    sluice_fairness fairness = sl_decide_fairness(self->decide);
    printf("\nby %-23s %10s  %18s\n", self->config->fairness.group_by, "samples", "dropped");
    for (uint32_t i = 0; i < sl_groups_n(after); i++) {
        sluice_group_counts now = sl_groups_at(after, i);
        sluice_group_counts then = sl_groups_at(self->groups_before, i);
        printf("  %-24.*s %10llu  %6.1f %% -> %5.1f %%%s\n", (int)now.group.size,
               (const char *)now.group.data, (unsigned long long)now.received,
               share_of(then.dropped, then.received), share_of(now.dropped, now.received),
               now.received < self->config->fairness.min_samples ? "  (too few to compare)" : "");
    }
    if (isnan(fairness.ratio)) {
        printf("Fewer than two groups have %llu samples: nothing to compare.\n",
               (unsigned long long)self->config->fairness.min_samples);
        return;
    }
    printf("%s: the drop rates of \"%.*s\" and \"%.*s\" differ by %.3g x; allowed is %.3g x.\n",
           fairness.unfair ? "UNFAIR" : "Fair",
           (int)sl_groups_at(after, fairness.i_high).group.size,
           (const char *)sl_groups_at(after, fairness.i_high).group.data,
           (int)sl_groups_at(after, fairness.i_low).group.size,
           (const char *)sl_groups_at(after, fairness.i_low).group.data, fairness.ratio,
           self->config->fairness.max_ratio);
}

static void print_faults(const replay *self, FILE *file)
{
    const sl_policy *policy = sl_decide_policy(self->decide);
    for (uint32_t i = 0; i < sl_policy_n_rules(policy); i++) {
        const sl_policy_rule_faults *faults = sl_policy_faults_of(policy, i);
        if (faults->n > 0) {
            fprintf(file, "warning: rule %u failed for %llu samples and did not match them: %s\n",
                    i + 1, (unsigned long long)faults->n, faults->text.text);
        }
    }
}

static void print_words(const replay *self)
{
    char n[32], changed[32];
    printf("%s samples with a verdict; this policy would have decided %s of them otherwise.\n\n",
           sl_progress_count(self->n, n, sizeof n),
           sl_progress_count(n_changed(self), changed, sizeof changed));
    printf("by source                     samples             dropped             flagged\n");
    print_sources(self);
    print_line("all", decisions_of(self, false), decisions_of(self, true));
    if (self->config->fairness.group_by[0] != '\0') {
        print_groups(self);
    }
    print_faults(self, stdout);
}

static json_t *decisions_json(decisions from)
{
    return json_pack("{s:I,s:I,s:I}", "kept", (json_int_t)from.kept, "flagged",
                     (json_int_t)from.flagged, "dropped", (json_int_t)from.dropped);
}

static json_t *sources_json(const replay *self)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < sluice_portfolio_n_sources(self->after); i++) {
        sluice_source_row counts = sluice_portfolio_row(self->after, i);
        decisions before = of_source(self->before, i);
        if (before.kept + before.flagged + before.dropped > 0) {
            json_array_append_new(
                list, json_pack("{s:s%,s:I,s:o,s:o}", "source",
                                counts.source.size > 0 ? (const char *)counts.source.data : "",
                                counts.source.size, "changed", (json_int_t)self->changed[i],
                                "before", decisions_json(before), "after",
                                decisions_json(of_source(self->after, i))));
        }
    }
    return list;
}

static json_t *groups_json(const replay *self)
{
    const sluice_portfolio *after = sl_decide_groups(self->decide);
    json_t *list = json_array();
    for (uint32_t i = 0; i < sl_groups_n(after); i++) {
        sluice_group_counts now = sl_groups_at(after, i);
        json_array_append_new(
            list, json_pack("{s:s%,s:I,s:I,s:I}", "group", (const char *)now.group.data,
                            now.group.size, "samples", (json_int_t)now.received, "dropped_before",
                            (json_int_t)sl_groups_at(self->groups_before, i).dropped,
                            "dropped_after", (json_int_t)now.dropped));
    }
    return list;
}

static void print_json(const replay *self)
{
    sluice_fairness fairness = sl_decide_fairness(self->decide);
    json_t *ratio = isnan(fairness.ratio) ? json_null() : json_real(fairness.ratio);
    json_t *object = json_pack(
        "{s:I,s:I,s:I,s:I,s:o,s:o,s:o,s:o,s:o,s:b}", "samples", (json_int_t)self->n, "refused",
        (json_int_t)self->refused, "redelivered", (json_int_t)self->redelivered, "changed",
        (json_int_t)n_changed(self), "before", decisions_json(decisions_of(self, false)), "after",
        decisions_json(decisions_of(self, true)), "sources", sources_json(self), "groups",
        groups_json(self), "ratio", ratio, "unfair", fairness.unfair);
    json_dumpf(object, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(object);
    print_faults(self, stderr);
}

/* --- all of it --- */

/* A record has no attributes: a rule about them would say nothing true. */
static sluice_status check_names(const replay *self, sluice_message *why)
{
    const sl_names *names = sl_decide_names(self->decide);
    if (self->input == NULL && names->n_attributes > 0) {
        return sluice_fail(
            why, SLUICE_E_CONFIG,
            "attributes.%.200s is not in a verdict file; name the samples too: sluice "
            "check --replay %.100s ... INPUT",
            names->attribute[0], self->options->verdicts);
    }
    return SLUICE_OK;
}

static sluice_status open_all(replay *self, sluice_message *why)
{
    const sl_replay_options *options = self->options;
    SLUICE_TRY(sl_decide_open(self->config, &self->decide, why));
    SLUICE_TRY(sluice_portfolio_open(&self->before));
    SLUICE_TRY(sluice_portfolio_open(&self->after));
    if (self->config->fairness.group_by[0] != '\0') {
        SLUICE_TRY(
            sluice_portfolio_open_groups(self->config->fairness.group_by, &self->groups_before));
    }
    if (options->n_inputs > 0) {
        SLUICE_TRY(
            sl_input_open(options->inputs, options->n_inputs, SL_INPUT_AUTO, &self->input, why));
        SLUICE_TRY(sluice_batch_open(&self->batch));
    }
    SLUICE_TRY(check_names(self, why));
    self->file = sl_verdict_file_open(options->verdicts, why);
    return self->file != NULL ? SLUICE_OK : SLUICE_E_IO;
}

static void close_all(replay *self)
{
    if (self->file != NULL) {
        fclose(self->file);
    }
    sl_input_close(&self->input);
    sluice_batch_close(&self->batch);
    sl_bytes_fini(&self->wire);
    sl_decide_close(&self->decide);
    sluice_portfolio_close(&self->before);
    sluice_portfolio_close(&self->after);
    sluice_portfolio_close(&self->groups_before);
}

int sl_replay_run(const sluice_config *config, const sl_replay_options *options)
{
    sluice_message why = {"no memory"};
    replay *self = calloc(1, sizeof *self);
    if (self == NULL) {
        fprintf(stderr, "sluice check: no memory\n");
        return SL_EXIT_FAILED;
    }
    self->config = config;
    self->options = options;
    sluice_status status = open_all(self, &why);
    status = status == SLUICE_OK ? read_verdicts(self, &why) : status;
    int exit_code = status == SLUICE_E_CONFIG ? SL_EXIT_USAGE : sl_exit_of(status);
    if (status != SLUICE_OK) {
        fprintf(stderr, "sluice check: %s\n", why.text);
    } else {
        if (options->json) {
            print_json(self);
        } else {
            print_words(self);
        }
        exit_code = sl_decide_fairness(self->decide).unfair ? SL_EXIT_FAILED : SL_EXIT_OK;
    }
    close_all(self);
    free(self);
    return exit_code;
}
