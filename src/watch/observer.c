/* observer.c - counts what the estimator does, and shows it as of one moment to who looks on.
 *
 *   estimator: note, note, note, publish --+      back      (being written)
 *                                          +--x-- middle    (newest complete one)
 *   who looks on: ask ... latest ----------+      front     (being read)
 *
 * Why three copies: either side exchanges its own with the middle one, so neither ever waits for
 * the other and nothing is read while it is written.
 * Why the reader asks by a job in the estimator's queue: a snapshot then lies between two messages,
 * costs nothing while nobody looks, and is as fresh on an idle stream as on a busy one. */
#include "watch/observer.h"
#include "bytes.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define PORTFOLIO_US INT64_C(1000000) /* between two copies of the whole portfolio */
#define FRESH        4u               /* beside the number of the middle copy: not looked at yet */

struct sl_observer {
    sl_tallies tallies; /* the estimator's own */
    sl_snapshot *copy[3];
    uint32_t back, front;
    _Atomic uint32_t middle;
    uint64_t saved_offset; /* of the last portfolio */
    int64_t saved_us;
    sl_job job;
    atomic_bool asked;
};

sluice_status sl_observer_open(sl_observer **out)
{
    *out = calloc(1, sizeof **out);
    bool complete = *out != NULL;
    for (int i = 0; i < 3 && complete; i++) {
        (*out)->copy[i] = calloc(1, sizeof *(*out)->copy[i]);
        complete = (*out)->copy[i] != NULL;
    }
    if (!complete) {
        sl_observer_close(out);
        return SLUICE_E_NOMEM;
    }
    (*out)->front = 1;
    atomic_init(&(*out)->middle, 2);
    (*out)->job.kind = SL_JOB_WATCH;
    (*out)->saved_offset = UINT64_MAX;
    return SLUICE_OK;
}

void sl_observer_close(sl_observer **observer_p)
{
    if (*observer_p != NULL) {
        for (int i = 0; i < 3; i++) {
            if ((*observer_p)->copy[i] != NULL) {
                sl_bytes_fini(&(*observer_p)->copy[i]->portfolio);
                sl_bytes_fini(&(*observer_p)->copy[i]->groups);
            }
            free((*observer_p)->copy[i]);
        }
        free(*observer_p);
        *observer_p = NULL;
    }
}

/* --- the estimator --- */

static void copy_name(char *out, size_t size, sluice_span name)
{
    size_t n = name.size < size ? name.size : size - 1;
    if (n > 0) {
        memcpy(out, name.data, n);
    }
    out[n] = '\0';
}

static sl_outcome *outcome_of(sl_tallies *tallies, sluice_decision decision, const char *reason)
{
    for (uint32_t i = 0; i < tallies->n_outcomes; i++) {
        sl_outcome *known = &tallies->outcome[i];
        if (known->decision == decision &&
            strncmp(known->reason, reason, SL_OUTCOME_BYTES - 1) == 0) {
            return known;
        }
    }
    /* The last places are for what has no place: one a decision. */
    if (tallies->n_outcomes >= SL_OUTCOMES_MAX - SLUICE_N_DECISIONS &&
        strcmp(reason, "(other)") != 0) {
        return NULL;
    }
    sl_outcome *added = &tallies->outcome[tallies->n_outcomes++];
    added->decision = decision;
    snprintf(added->reason, sizeof added->reason, "%s", reason);
    return added;
}

static void note_outcome(sl_tallies *tallies, const sluice_verdict *verdict)
{
    const char *reason = verdict->n_reasons > 0 ? verdict->reasons[verdict->n_reasons - 1] : "";
    sl_outcome *outcome = outcome_of(tallies, verdict->decision, reason);
    if (outcome == NULL) {
        outcome = outcome_of(tallies, verdict->decision, "(other)");
    }
    outcome->n++;
}

static void note_match(sl_tallies *tallies, const sluice_sample *sample)
{
    const sluice_match *match = &sample->match;
    int bin = (int)(match->similarity * SL_SIMILARITY_BINS);
    bin = bin < 0 ? 0 : bin >= SL_SIMILARITY_BINS ? SL_SIMILARITY_BINS - 1 : bin;
    tallies->by_method[match->method]++;
    tallies->similarity[match->method][bin]++;
    tallies->pair[tallies->n_pairs++ % SL_PAIRS_MAX] =
        (sl_pair){sample->offset, match->of_offset, match->method, match->similarity};
}

static void note_refused(sl_tallies *tallies, const sluice_sample *sample)
{
    sl_refused *refused = &tallies->refused[tallies->n_refused++ % SL_REFUSED_MAX];
    copy_name(refused->id, sizeof refused->id, sample->id);
    copy_name(refused->source, sizeof refused->source, sample->source);
    const char *reason = sample->verdict.n_reasons > 0 ? sample->verdict.reasons[0] : "";
    snprintf(refused->reason, sizeof refused->reason, "%s", reason);
}

void sl_observer_note(sl_observer *observer, const sl_job *job, uint64_t received)
{
    sl_tallies *tallies = &observer->tallies;
    tallies->bytes += job->bytes.size;
    if (job->i_producer < SLUICE_LIMIT_PRODUCERS) {
        tallies->received[job->i_producer] = received;
        tallies->n_producers =
            job->i_producer < tallies->n_producers ? tallies->n_producers : job->i_producer + 1;
    }
    for (uint32_t i = job->n_known; i < job->batch->n_samples; i++) {
        const sluice_sample *sample = &job->batch->samples[i];
        if (sample->match.redelivered) {
            continue;
        }
        note_outcome(tallies, &sample->verdict);
        if (sample->verdict.decision == SLUICE_REFUSE) {
            note_refused(tallies, sample);
        } else if (sample->match.method != SLUICE_METHOD_NONE) {
            note_match(tallies, sample);
        }
    }
}

static void copy_sources(sl_snapshot *snapshot, const sluice_portfolio *portfolio)
{
    snapshot->n_sources = sluice_portfolio_n_sources(portfolio);
    for (uint32_t i = 0; i < snapshot->n_sources; i++) {
        sluice_source_row row = sluice_portfolio_row(portfolio, i);
        sl_source_count *count = &snapshot->source[i];
        count->kept = row.kept;
        count->flagged = row.flagged;
        count->dropped = row.dropped;
        count->duplicates = row.duplicates;
        count->name_size = (uint32_t)row.source.size;
        if (row.source.size > 0) {
            memcpy(count->name, row.source.data, row.source.size);
        }
    }
    snapshot->n_alerts = sluice_portfolio_alerts(portfolio, snapshot->alert);
    snapshot->n_raised = sluice_portfolio_alert_counts(portfolio).raised;
}

static void copy_groups(sl_snapshot *snapshot, const sluice_engine *engine)
{
    uint32_t n = sluice_engine_n_groups(engine);
    snapshot->n_groups = n < 1 + SLUICE_LIMIT_GROUPS ? n : 1 + SLUICE_LIMIT_GROUPS;
    snapshot->fairness = sluice_engine_fairness(engine);
    for (uint32_t i = 0; i < snapshot->n_groups; i++) {
        sluice_group_counts counts = sluice_engine_group(engine, i);
        sl_group_count *group = &snapshot->group[i];
        bool fits = counts.group.size <= sizeof group->name;
        *group =
            (sl_group_count){.name_size = (uint32_t)(fits ? counts.group.size : sizeof group->name),
                             .received = counts.received,
                             .dropped = counts.dropped};
        if (group->name_size > 0) {
            memcpy(group->name, counts.group.data, group->name_size);
        }
    }
}

static sluice_status save_portfolios(sl_snapshot *snapshot, const sluice_engine *engine)
{
    const sluice_portfolio *groups = sluice_engine_groups(engine);
    SLUICE_TRY(groups != NULL ? sluice_portfolio_save(groups, &snapshot->groups) : SLUICE_OK);
    return sluice_portfolio_save(sluice_engine_portfolio(engine), &snapshot->portfolio);
}

static void copy_engine(sl_observer *observer, sl_snapshot *snapshot, const sluice_engine *engine)
{
    snapshot->next_offset = sluice_engine_next_offset(engine);
    snapshot->oldest_row = sluice_engine_oldest_row(engine);
    snapshot->n_encoders = sluice_engine_encoders(engine, snapshot->encoder);
    sluice_engine_counters(engine, &snapshot->counters);
    copy_sources(snapshot, sluice_engine_portfolio(engine));
    copy_groups(snapshot, engine);
    sl_bytes_clear(&snapshot->portfolio);
    sl_bytes_clear(&snapshot->groups);
    if (observer->saved_offset != snapshot->next_offset &&
        snapshot->at_us - observer->saved_us >= PORTFOLIO_US &&
        save_portfolios(snapshot, engine) == SLUICE_OK) {
        observer->saved_offset = snapshot->next_offset;
        observer->saved_us = snapshot->at_us;
    }
}

void sl_observer_publish(sl_observer *observer, const sluice_engine *engine)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    sl_snapshot *snapshot = observer->copy[observer->back];
    snapshot->at_us = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
    snapshot->tallies = observer->tallies;
    copy_engine(observer, snapshot, engine);
    observer->back = atomic_exchange(&observer->middle, observer->back | FRESH) & ~FRESH;
    atomic_store(&observer->asked, false);
}

/* --- who looks on --- */

sl_job *sl_observer_ask(sl_observer *observer)
{
    return atomic_exchange(&observer->asked, true) ? NULL : &observer->job;
}

const sl_snapshot *sl_observer_latest(sl_observer *observer)
{
    if ((atomic_load(&observer->middle) & FRESH) != 0) {
        observer->front = atomic_exchange(&observer->middle, observer->front) & ~FRESH;
    }
    return observer->copy[observer->front];
}
