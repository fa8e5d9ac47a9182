/* view.c - the numbers of a running filter as of one moment, put together from its parts.
 *
 *   estimator --snapshot--> judged: received --+
 *   spool     --rows------> durable: outcomes -+--> in flight = received - what has an outcome
 *   rings, meters, extent, /proc --------------+
 *
 * Why outcomes are those of the disk: they are what was acknowledged, and they never go back, not
 * by a kill either; a counter that goes back reads as a restart and a flood. Why `here` besides: so
 * that every counter begins with the process, as who scrapes them expects.
 * Why received is the larger of the two: the snapshot may be older than the disk. */
#include "watch/view.h"
#include "bytes.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

static int64_t clock_us(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t sl_view_clock_us(void)
{
    return clock_us(CLOCK_MONOTONIC);
}

/* --- producers --- */

static void add_counts(sl_view_counts *sum, const sl_view_counts *counts)
{
    sum->received += counts->received;
    sum->kept += counts->kept;
    sum->flagged += counts->flagged;
    sum->dropped += counts->dropped;
    sum->refused += counts->refused;
    sum->redelivered += counts->redelivered;
    sum->in_flight += counts->in_flight;
}

static sl_view_counts since(const sl_view_counts *now, const sl_view_counts *base)
{
    return (sl_view_counts){.received = now->received - base->received,
                            .kept = now->kept - base->kept,
                            .flagged = now->flagged - base->flagged,
                            .dropped = now->dropped - base->dropped,
                            .refused = now->refused - base->refused,
                            .redelivered = now->redelivered - base->redelivered,
                            .in_flight = now->in_flight};
}

static bool visit_producer(void *context, const sl_spool_producer *row)
{
    sl_view *view = context;
    if (row->i_producer >= SLUICE_LIMIT_PRODUCERS) {
        return true;
    }
    const sl_tallies *tallies = &view->snapshot->tallies;
    uint64_t judged =
        row->i_producer < tallies->n_producers ? tallies->received[row->i_producer] : 0;
    sl_view_producer *producer = &view->producer[view->n_producers++];
    memcpy(producer->name, row->name, sizeof producer->name);
    producer->next_sequence = row->next_sequence;
    uint64_t in_flight = judged > row->received ? judged - row->received : 0;
    producer->total = (sl_view_counts){.received = row->received + in_flight,
                                       .kept = row->kept,
                                       .flagged = row->flagged,
                                       .dropped = row->dropped,
                                       .refused = row->refused,
                                       .redelivered = row->redelivered,
                                       .in_flight = in_flight};
    producer->here = since(&producer->total, &view->base[row->i_producer]);
    add_counts(&view->total, &producer->total);
    add_counts(&view->here, &producer->here);
    return view->n_producers < SLUICE_LIMIT_PRODUCERS;
}

static bool visit_base(void *context, const sl_spool_producer *row)
{
    sl_view *view = context;
    if (row->i_producer < SLUICE_LIMIT_PRODUCERS) {
        view->base[row->i_producer] = (sl_view_counts){.received = row->received,
                                                       .kept = row->kept,
                                                       .flagged = row->flagged,
                                                       .dropped = row->dropped,
                                                       .refused = row->refused,
                                                       .redelivered = row->redelivered};
    }
    return true;
}

/* --- consumer groups --- */

static bool visit_group(void *context, const sl_spool_group *row)
{
    sl_view *view = context;
    sl_view_group *group = &view->group[view->n_groups++];
    *group = (sl_view_group){.floor = row->floor};
    memcpy(group->name, row->name, sizeof group->name);
    group->lag = view->extent.next_offset > row->floor ? view->extent.next_offset - row->floor : 0;
    return view->n_groups < SLUICE_LIMIT_CONSUMER_GROUPS;
}

static bool visit_oldest(void *context, const sl_spool_sample *sample)
{
    *(int64_t *)context = sample->arrived_us;
    return false;
}

static sluice_status age_groups(sl_view *view, sluice_message *why)
{
    for (uint32_t i = 0; i < view->n_groups; i++) {
        sl_view_group *group = &view->group[i];
        int64_t arrived_us = 0;
        if (group->lag > 0) {
            SLUICE_TRY(sl_spool_samples(view->options.spool, group->floor, visit_oldest,
                                        &arrived_us, why));
        }
        double age = (double)(clock_us(CLOCK_REALTIME) - arrived_us) / 1e6;
        group->lag_s = arrived_us != 0 && age > 0 ? age : 0;
    }
    return SLUICE_OK;
}

/* --- the rest --- */

static void gather_process(sl_view *view)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        view->cpu_s = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                      (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    }
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long long pages = 0;
    if (file != NULL) {
        if (fscanf(file, "%*u %llu", &pages) == 1) {
            view->resident_bytes = (double)pages * (double)sysconf(_SC_PAGESIZE);
        }
        fclose(file);
    }
}

static sluice_status hash_config(sl_view *view)
{
    sluice_bytes text = {0};
    sluice_status status = sluice_config_print(&view->config, &text);
    view->config_hash = XXH3_64bits(text.data, text.size);
    sl_bytes_fini(&text);
    return status == SLUICE_OK ? sluice_config_live_hash(&view->config, &view->policy_hash)
                               : status;
}

/* What a reload has changed, from the block on where it holds. */
static sluice_status take_live(sl_view *view)
{
    sluice_config *live = atomic_exchange(view->options.live, NULL);
    if (live == NULL) {
        return SLUICE_OK;
    }
    view->config.policy = live->policy;
    view->config.budget = live->budget;
    view->config.fairness = live->fairness;
    free(live);
    return hash_config(view);
}

const sl_snapshot *sl_view_look(sl_view *view)
{
    view->snapshot = sl_observer_latest(view->options.observer);
    const sluice_bytes *portfolio = &view->snapshot->portfolio;
    if (portfolio->size > 0 && view->saved_offset != view->snapshot->next_offset) {
        sl_bytes_clear(&view->saved);
        view->saved_offset = view->snapshot->next_offset;
        sl_bytes_clear(&view->saved_groups);
        const sluice_bytes *groups = &view->snapshot->groups;
        if (sl_bytes_append(&view->saved, portfolio->data, portfolio->size) != SLUICE_OK ||
            sl_bytes_append(&view->saved_groups, groups->data, groups->size) != SLUICE_OK) {
            sl_bytes_clear(&view->saved); /* the next one then */
        }
    }
    return view->snapshot;
}

const sluice_portfolio *sl_view_portfolio(sl_view *view)
{
    sluice_span saved = {view->saved.data, view->saved.size};
    if (view->portfolio_offset != view->saved_offset && saved.size > 0) {
        sluice_span groups = {view->saved_groups.data, view->saved_groups.size};
        if (sluice_portfolio_load(view->portfolio, saved) != SLUICE_OK ||
            (groups.size > 0 && sluice_portfolio_load(view->groups, groups) != SLUICE_OK)) {
            return NULL;
        }
        view->portfolio_offset = view->saved_offset;
    }
    return view->portfolio;
}

const sluice_portfolio *sl_view_groups(const sl_view *view)
{
    return view->saved_groups.size > 0 ? view->groups : NULL;
}

sluice_status sl_view_gather(sl_view *view, sluice_message *why)
{
    (void)sl_view_look(view);
    view->extent = sl_spool_extent_of(view->options.spool);
    view->now_us = sl_view_clock_us();
    if (view->extent.checkpoint_offset != view->checkpoint_offset) {
        view->checkpoint_offset = view->extent.checkpoint_offset;
        view->checkpoint_us = view->now_us;
    }
    view->n_producers = view->n_groups = 0;
    view->total = view->here = (sl_view_counts){0};
    gather_process(view);
    SLUICE_TRY(take_live(view));
    SLUICE_TRY(sl_spool_producers(view->options.spool, visit_producer, view, why));
    SLUICE_TRY(sl_spool_groups(view->options.spool, visit_group, view, why));
    return age_groups(view, why);
}

static sluice_status open_parts(sl_view *view, sluice_message *why)
{
    view->producer = calloc(SLUICE_LIMIT_PRODUCERS, sizeof *view->producer);
    view->base = calloc(SLUICE_LIMIT_PRODUCERS, sizeof *view->base);
    view->source_base = calloc(1 + SLUICE_LIMIT_SOURCES, sizeof *view->source_base);
    if (view->producer == NULL || view->base == NULL || view->source_base == NULL) {
        return sluice_fail(why, SLUICE_E_NOMEM, "no memory for the numbers of listen.http");
    }
    view->saved_offset = view->portfolio_offset = UINT64_MAX;
    view->started_us = view->checkpoint_us = sl_view_clock_us();
    view->started_at_us = clock_us(CLOCK_REALTIME);
    view->checkpoint_offset = sl_spool_extent_of(view->options.spool).checkpoint_offset;
    SLUICE_TRY(sluice_portfolio_open(&view->portfolio));
    SLUICE_TRY(sluice_portfolio_open_groups("", &view->groups));
    (void)sl_view_look(view);
    view->n_source_base = view->snapshot->n_sources;
    memcpy(view->source_base, view->snapshot->source,
           view->n_source_base * sizeof *view->source_base);
    view->config = *view->options.config;
    SLUICE_TRY(hash_config(view));
    return sl_spool_producers(view->options.spool, visit_base, view, why);
}

sluice_status sl_view_open(const sl_view_options *options, sl_view **out, sluice_message *why)
{
    *out = calloc(1, sizeof **out);
    if (*out == NULL) {
        return sluice_fail(why, SLUICE_E_NOMEM, "no memory for the numbers of listen.http");
    }
    (*out)->options = *options;
    sluice_status status = open_parts(*out, why);
    if (status != SLUICE_OK) {
        sl_view_close(out);
    }
    return status;
}

void sl_view_close(sl_view **view_p)
{
    if (*view_p != NULL) {
        sluice_portfolio_close(&(*view_p)->portfolio);
        sluice_portfolio_close(&(*view_p)->groups);
        sl_bytes_fini(&(*view_p)->saved);
        sl_bytes_fini(&(*view_p)->saved_groups);
        free((*view_p)->producer);
        free((*view_p)->base);
        free((*view_p)->source_base);
        free(*view_p);
        *view_p = NULL;
    }
}
