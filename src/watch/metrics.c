/* metrics.c - the numbers of a running filter in the text format of Prometheus.
 *
 *   table of names, types and words  +  view  ->  # HELP, # TYPE, name{label="..."} value
 *
 * Why label sets are bounded: what a sender can name must not grow the page without end, nor the
 * memory of who scrapes it. Names beyond the first are summed, so totals stay right.
 * Names after research on Vector's and Fluent Bit's. */
#include "watch/metrics.h"
#include "bytes.h"
#include "counters.h"
#include "record.h"
#include "sluice/version.h"
#include "watch/exposition.h"

#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>

/* --- the stream --- */

static void received_events(sl_exposition *to)
{
    sl_exposition_one(to, "component", "ingest", (double)to->view->here.received);
}

static void received_bytes(sl_exposition *to)
{
    sl_exposition_one(to, "component", "ingest", (double)to->view->snapshot->tallies.bytes);
}

static void errors(sl_exposition *to)
{
    sl_label labels[2] = {{"component", sl_span_of("ingest")},
                          {"reason", sl_span_of("undecodable")}};
    sl_exposition_value(to, "", labels, 2,
                        (double)atomic_load(&to->view->options.meters->undecodable));
}

static void discarded(sl_exposition *to)
{
    const sl_tallies *tallies = &to->view->snapshot->tallies;
    for (uint32_t i = 0; i < tallies->n_outcomes; i++) {
        const sl_outcome *outcome = &tallies->outcome[i];
        bool dropped = outcome->decision == SLUICE_DROP;
        if (dropped || outcome->decision == SLUICE_REFUSE) {
            sl_label labels[3] = {{"component", sl_span_of(dropped ? "decide" : "ingest")},
                                  {"reason", sl_span_of(outcome->reason)},
                                  {"intentional", sl_span_of(dropped ? "true" : "false")}};
            sl_exposition_value(to, "", labels, 3, (double)outcome->n);
        }
    }
}

static void verdicts(sl_exposition *to)
{
    const sl_tallies *tallies = &to->view->snapshot->tallies;
    for (uint32_t i = 0; i < tallies->n_outcomes; i++) {
        const sl_outcome *outcome = &tallies->outcome[i];
        const char *decision = sl_record_decision_name(outcome->decision);
        sl_exposition_two(to, (sl_label){"decision", sl_span_of(decision)},
                          (sl_label){"reason", sl_span_of(outcome->reason)}, (double)outcome->n);
    }
}

static void duplicates(sl_exposition *to)
{
    for (int method = SLUICE_METHOD_NONE + 1; method < SLUICE_N_METHODS; method++) {
        sl_exposition_one(to, "method", sl_record_method_name((sluice_method)method),
                          (double)to->view->snapshot->tallies.by_method[method]);
    }
}

static void redeliveries(sl_exposition *to)
{
    sl_exposition_plain(to, (double)to->view->here.redelivered);
}

static void in_flight_events(sl_exposition *to)
{
    sl_exposition_plain(to, (double)to->view->here.in_flight);
}

static void in_flight_bytes(sl_exposition *to)
{
    sl_exposition_plain(to, (double)atomic_load(&to->view->options.meters->in_flight_bytes));
}

static void queues(sl_exposition *to)
{
    for (uint32_t i = 0; i < to->view->options.n_queues; i++) {
        const sl_view_queue *queue = &to->view->options.queue[i];
        sl_exposition_one(to, "queue", queue->name, (double)sl_ring_depth(queue->ring));
    }
}

/* --- by producer, by source --- */

#define N_OUTCOMES 7

static const char *const outcome_names[N_OUTCOMES] = {
    "received", "kept", "flagged", "dropped", "refused", "redelivered", "in_flight"};

static void outcomes_of(const sl_view_counts *counts, double out[N_OUTCOMES])
{
    const uint64_t all[N_OUTCOMES] = {counts->received, counts->kept,    counts->flagged,
                                      counts->dropped,  counts->refused, counts->redelivered,
                                      counts->in_flight};
    for (int i = 0; i < N_OUTCOMES; i++) {
        out[i] += (double)all[i];
    }
}

static void put_outcomes(sl_exposition *to, sluice_span producer, const double outcome[N_OUTCOMES])
{
    for (int i = 0; i < N_OUTCOMES - 1; i++) {
        sl_exposition_two(to, (sl_label){"producer", producer},
                          (sl_label){"outcome", sl_span_of(outcome_names[i])}, outcome[i]);
    }
}

/* A sender may choose the name under which we sum the rest: one series all the same. */
static bool is_other(sluice_span name)
{
    return sl_span_equal(name, sl_span_of("(other)"));
}

static bool shown_apart(uint32_t i, sluice_span name)
{
    return i < SL_METRICS_LABELS && !is_other(name);
}

static void producer_events(sl_exposition *to)
{
    double other[N_OUTCOMES] = {0};
    bool any = false;
    for (uint32_t i = 0; i < to->view->n_producers; i++) {
        double outcome[N_OUTCOMES] = {0};
        const sl_view_producer *producer = &to->view->producer[i];
        bool apart = shown_apart(i, sl_span_of(producer->name));
        outcomes_of(&producer->here, apart ? outcome : other);
        any = any || !apart;
        if (apart) {
            put_outcomes(to, sl_span_of(producer->name), outcome);
        }
    }
    if (any) {
        put_outcomes(to, sl_span_of("(other)"), other);
    }
}

static void producer_in_flight(sl_exposition *to)
{
    double other = 0;
    bool any = false;
    for (uint32_t i = 0; i < to->view->n_producers; i++) {
        const sl_view_producer *producer = &to->view->producer[i];
        if (shown_apart(i, sl_span_of(producer->name))) {
            sl_exposition_one(to, "producer", producer->name, (double)producer->here.in_flight);
        } else {
            other += (double)producer->here.in_flight;
            any = true;
        }
    }
    if (any) {
        sl_exposition_one(to, "producer", "(other)", other);
    }
}

/* What became of a source's samples since the process began: kept, flagged, dropped, duplicates. */
static void add_source(const sl_view *view, uint32_t i_source, double out[4])
{
    static const sl_source_count none;
    const sl_source_count *now = &view->snapshot->source[i_source];
    const sl_source_count *base =
        i_source < view->n_source_base ? &view->source_base[i_source] : &none;
    out[0] += (double)(now->kept - base->kept);
    out[1] += (double)(now->flagged - base->flagged);
    out[2] += (double)(now->dropped - base->dropped);
    out[3] += (double)(now->duplicates - base->duplicates);
}

static void put_source(sl_exposition *to, sluice_span name, const double count[4],
                       bool of_duplicates)
{
    static const char *const names[3] = {"keep", "flag", "drop"};
    sl_label source = {"source", name};
    if (of_duplicates) {
        sl_exposition_value(to, "", &source, 1, count[3]);
        return;
    }
    for (int i = 0; i < 3; i++) {
        sl_exposition_two(to, source, (sl_label){"decision", sl_span_of(names[i])}, count[i]);
    }
}

static void put_sources(sl_exposition *to, bool of_duplicates)
{
    const sl_snapshot *snapshot = to->view->snapshot;
    double other[4] = {0};
    for (uint32_t i = 0; i < snapshot->n_sources; i++) {
        double count[4] = {0};
        sluice_span name = {snapshot->source[i].name, snapshot->source[i].name_size};
        bool apart = shown_apart(i, name);
        add_source(to->view, i, apart ? count : other);
        if (apart) {
            put_source(to, name, count, of_duplicates);
        }
    }
    put_source(to, sl_span_of("(other)"), other, of_duplicates);
}

static void source_events(sl_exposition *to)
{
    put_sources(to, false);
}

static void source_duplicates(sl_exposition *to)
{
    put_sources(to, true);
}

/* --- the state on the disk --- */

static void log_offset(sl_exposition *to)
{
    sl_exposition_plain(to, (double)to->view->extent.next_offset);
}

static void spool_bytes(sl_exposition *to)
{
    sl_exposition_plain(to, (double)to->view->extent.log_bytes);
}

static void spool_max_bytes(sl_exposition *to)
{
    sl_exposition_plain(to, (double)to->view->extent.max_bytes);
}

static void spool_deleted(sl_exposition *to)
{
    sl_exposition_plain(to, (double)to->view->extent.deleted_samples);
}

static void spool_fsync(sl_exposition *to)
{
    const sl_view_meters *meters = to->view->options.meters;
    sl_exposition_value(to, "_sum", NULL, 0, (double)atomic_load(&meters->commit_us) / 1e6);
    sl_exposition_value(to, "_count", NULL, 0, (double)atomic_load(&meters->commits));
}

static void dead_letters(sl_exposition *to)
{
    sl_exposition_plain(to, (double)to->view->extent.n_dead);
}

static void dead_lost(sl_exposition *to)
{
    sl_exposition_plain(to, (double)to->view->extent.n_dead_lost);
}

static void lag_events(sl_exposition *to)
{
    for (uint32_t i = 0; i < to->view->n_groups; i++) {
        sl_exposition_one(to, "group", to->view->group[i].name, (double)to->view->group[i].lag);
    }
}

static void lag_seconds(sl_exposition *to)
{
    for (uint32_t i = 0; i < to->view->n_groups; i++) {
        sl_exposition_one(to, "group", to->view->group[i].name, to->view->group[i].lag_s);
    }
}

static void checkpoint_age(sl_exposition *to)
{
    sl_exposition_plain(to, (double)(to->view->now_us - to->view->checkpoint_us) / 1e6);
}

static void checkpoint_lag(sl_exposition *to)
{
    const sl_spool_extent *extent = &to->view->extent;
    sl_exposition_plain(to, (double)(extent->next_offset - extent->checkpoint_offset));
}

static void restore_seconds(sl_exposition *to)
{
    sl_exposition_plain(to, to->view->options.restore_s);
}

/* --- influence, the process --- */

static void influence_state(sl_exposition *to)
{
    static const char *const names[] = {"warming", "live", "stale"};
    for (uint32_t i = 0; i < to->view->snapshot->n_encoders; i++) {
        const sluice_encoder_state *encoder = &to->view->snapshot->encoder[i];
        for (int j = 0; j < 3; j++) {
            sl_exposition_two(to, (sl_label){"encoder", sl_span_of(encoder->name)},
                              (sl_label){"state", sl_span_of(names[j])},
                              (int)encoder->state == SLUICE_WARMING + j ? 1 : 0);
        }
    }
}

static void influence_events(sl_exposition *to)
{
    for (uint32_t i = 0; i < to->view->snapshot->n_encoders; i++) {
        const sluice_encoder_state *encoder = &to->view->snapshot->encoder[i];
        sl_exposition_one(to, "encoder", encoder->name, (double)encoder->n_samples);
    }
}

static void influence_refreshes(sl_exposition *to)
{
    for (uint32_t i = 0; i < to->view->snapshot->n_encoders; i++) {
        const sluice_encoder_state *encoder = &to->view->snapshot->encoder[i];
        sl_exposition_one(to, "encoder", encoder->name, (double)encoder->n_refreshes);
    }
}

static void influence_reliability(sl_exposition *to)
{
    for (uint32_t i = 0; i < to->view->snapshot->n_encoders; i++) {
        const sluice_encoder_state *encoder = &to->view->snapshot->encoder[i];
        sl_exposition_one(to, "encoder", encoder->name, (double)encoder->reliability);
    }
}

static bool holds_already(const sl_snapshot *snapshot, uint32_t i_alert)
{
    const sluice_alert *alert = &snapshot->alert[i_alert];
    for (uint32_t i = 0; i < i_alert; i++) {
        const sluice_alert *newer = &snapshot->alert[i];
        if (newer->cleared == 0 && newer->kind == alert->kind &&
            newer->i_source == alert->i_source) {
            return true;
        }
    }
    return false;
}

static void alerts(sl_exposition *to)
{
    const sl_snapshot *snapshot = to->view->snapshot;
    for (uint32_t i = 0; i < snapshot->n_alerts; i++) {
        const sluice_alert *alert = &snapshot->alert[i];
        if (alert->cleared != 0 || holds_already(snapshot, i)) {
            continue;
        }
        sl_label source = {"source", {NULL, 0}}; /* the stream as a whole */
        if (alert->i_source < snapshot->n_sources) {
            const sl_source_count *row = &snapshot->source[alert->i_source];
            source.value = (sluice_span){row->name, row->name_size};
        }
        sl_exposition_two(to, (sl_label){"kind", sl_span_of(sluice_alert_word(alert->kind))},
                          source, 1);
    }
}

static void alerts_raised(sl_exposition *to)
{
    sl_exposition_plain(to, (double)to->view->snapshot->n_raised);
}

/* --- fairness, reload --- */

static void put_group(sl_exposition *to, sluice_span name, const double count[2])
{
    sl_exposition_two(to, (sl_label){"value", name}, (sl_label){"outcome", sl_span_of("received")},
                      count[0]);
    sl_exposition_two(to, (sl_label){"value", name}, (sl_label){"outcome", sl_span_of("dropped")},
                      count[1]);
}

/* A value may be cut inside a character: what is shown then is no name of its own. */
static void fairness_events(sl_exposition *to)
{
    const sl_snapshot *snapshot = to->view->snapshot;
    double other[2] = {0};
    for (uint32_t i = 0; i < snapshot->n_groups; i++) {
        const sl_group_count *group = &snapshot->group[i];
        sluice_span name = {group->name, group->name_size};
        bool apart = !is_other(name) && sl_utf8_valid(name);
        double own[2] = {0}, *count = apart ? own : other;
        count[0] += (double)group->received;
        count[1] += (double)group->dropped;
        if (apart) {
            put_group(to, name, own);
        }
    }
    if (other[0] > 0) {
        put_group(to, sl_span_of("(other)"), other);
    }
}

static void fairness_ratio(sl_exposition *to)
{
    if (to->view->snapshot->n_groups > 0) {
        sl_exposition_plain(to, to->view->snapshot->fairness.ratio);
    }
}

static void fairness_unfair(sl_exposition *to)
{
    if (to->view->snapshot->n_groups > 0) {
        sl_exposition_plain(to, to->view->snapshot->fairness.unfair);
    }
}

static void reloads(sl_exposition *to)
{
    sl_exposition_plain(to, (double)atomic_load(&to->view->options.meters->reloads));
}

static void changes(sl_exposition *to)
{
    static const char *const names[SL_N_CHANGES] = {"forget", "restore"};
    const sl_view_meters *meters = to->view->options.meters;
    for (int i = 0; i < SL_N_CHANGES; i++) {
        sl_label change = {"change", sl_span_of(names[i])};
        sl_exposition_two(to, change, (sl_label){"result", sl_span_of("done")},
                          (double)atomic_load(&meters->changes[i]));
        sl_exposition_two(to, change, (sl_label){"result", sl_span_of("refused")},
                          (double)atomic_load(&meters->changes_refused[i]));
    }
}

static void reload_success(sl_exposition *to)
{
    sl_exposition_plain(to, atomic_load(&to->view->options.meters->reload_refused) ? 0 : 1);
}

static void build_info(sl_exposition *to)
{
    char hash[24];
    snprintf(hash, sizeof hash, "%016" PRIx64, to->view->config_hash);
    sl_exposition_two(to, (sl_label){"version", sl_span_of(sluice_version())},
                      (sl_label){"config_hash", sl_span_of(hash)}, 1);
}

static void start_time(sl_exposition *to)
{
    sl_exposition_plain(to, (double)to->view->started_at_us / 1e6);
}

static void cpu_seconds(sl_exposition *to)
{
    sl_exposition_plain(to, to->view->cpu_s);
}

static void resident_bytes(sl_exposition *to)
{
    sl_exposition_plain(to, to->view->resident_bytes);
}

/* --- the table --- */

static const struct metric {
    const char *name, *type, *help;
    void (*write)(sl_exposition *to);
} metrics[] = {
    {"sluice_component_received_events_total", "counter",
     "Samples taken; always the sum of kept, flagged, dropped, refused, redelivered, in flight.",
     received_events},
    {"sluice_component_received_bytes_total", "counter", "Bytes of messages that were judged.",
     received_bytes},
    {"sluice_component_errors_total", "counter",
     "Messages that could not be decoded at all: no sample in them to count.", errors},
    {"sluice_component_discarded_events_total", "counter",
     "Samples not passed on; intentional: by a rule, else refused as bad input.", discarded},
    {"sluice_verdicts_total", "counter",
     "Judged samples by decision and the reason that ended the judging.", verdicts},
    {"sluice_duplicates_total", "counter",
     "Samples found to repeat a kept one, by method, whatever was decided.", duplicates},
    {"sluice_redeliveries_total", "counter", "Samples that a producer sent again.", redeliveries},
    {"sluice_inflight_events", "gauge", "Samples judged and not yet durable.", in_flight_events},
    {"sluice_inflight_bytes", "gauge", "Bytes of messages taken and not yet acknowledged.",
     in_flight_bytes},
    {"sluice_queue_messages", "gauge", "Messages that wait for a thread.", queues},
    {"sluice_producer_events_total", "counter", "Samples of a producer by what became of them.",
     producer_events},
    {"sluice_producer_inflight_events", "gauge", "Samples of a producer judged, not yet durable.",
     producer_in_flight},
    {"sluice_source_events_total", "counter", "Samples of a source by decision.", source_events},
    {"sluice_source_duplicates_total", "counter", "Samples of a source that repeat a kept one.",
     source_duplicates},
    {"sluice_log_offset", "gauge", "Offset that the next durable sample gets.", log_offset},
    {"sluice_spool_bytes", "gauge", "Bytes of the log on the disk.", spool_bytes},
    {"sluice_spool_max_bytes", "gauge", "Bytes beyond which producers are held back.",
     spool_max_bytes},
    {"sluice_spool_deleted_events_total", "counter",
     "Samples deleted from the log by retention, since the state began.", spool_deleted},
    {"sluice_spool_fsync_seconds", "summary", "Time of durable commits.", spool_fsync},
    {"sluice_dlq_events_total", "counter", "Dead letters, since the state began.", dead_letters},
    {"sluice_dlq_lost_events_total", "counter",
     "Dead letters for which there was no room, since the state began.", dead_lost},
    {"sluice_lag_events", "gauge", "Samples that a consumer group has not committed.", lag_events},
    {"sluice_lag_seconds", "gauge", "Age of the oldest sample that a group has not committed.",
     lag_seconds},
    {"sluice_snapshot_age_seconds", "gauge", "Time since the last checkpoint.", checkpoint_age},
    {"sluice_snapshot_lag_events", "gauge", "Samples behind the last checkpoint.", checkpoint_lag},
    {"sluice_restore_seconds", "gauge", "Time that the start took to rebuild the state.",
     restore_seconds},
    {"sluice_influence_state", "gauge", "1 for the state that an encoder's scores are in.",
     influence_state},
    {"sluice_influence_events", "gauge", "Samples that an encoder's sums hold.", influence_events},
    {"sluice_influence_refreshes", "gauge", "Eigenbases published for an encoder.",
     influence_refreshes},
    {"sluice_influence_reliability", "gauge",
     "Rank correlation that another draw of augmentations would have; NaN at two views.",
     influence_reliability},
    {"sluice_alert", "gauge", "1 for each thing that is strange now.", alerts},
    {"sluice_alerts_raised_total", "counter", "Alerts that were raised, since the state began.",
     alerts_raised},
    {"sluice_fairness_events_total", "counter",
     "Samples of a group (fairness.group_by) since it is counted.", fairness_events},
    {"sluice_fairness_ratio", "gauge",
     "Highest drop rate of a group by the lowest; NaN: fewer than two groups are large enough.",
     fairness_ratio},
    {"sluice_fairness_unfair", "gauge", "1 while the ratio is above fairness.max_ratio.",
     fairness_unfair},
    {"sluice_config_reload_total", "counter", "Times that the configuration was read again.",
     reloads},
    {"sluice_config_reload_success", "gauge", "0 if the last of them was refused.", reload_success},
    {"sluice_changes_total", "counter",
     "Samples that a person had forgotten or restored, or wanted to.", changes},
    {"sluice_build_info", "gauge", "1; version and hash of the configuration.", build_info},
    {"sluice_start_time_seconds", "gauge", "When the process began, in seconds since 1970.",
     start_time},
    {"sluice_cpu_seconds_total", "counter", "Processor time of the process.", cpu_seconds},
    {"sluice_resident_bytes", "gauge", "Resident memory of the process, file pages among it.",
     resident_bytes},
};

/* One family for each number of the duplicate stage; times in seconds, as everywhere here. */
static void put_counter(sl_exposition *to, const sl_counter *counter)
{
    char name[96], help[160];
    bool time = strcmp(counter->unit, "microseconds") == 0;
    size_t size = strlen(counter->name) - (time ? 3 : 0); /* without _us */
    snprintf(name, sizeof name, "sluice_duplicate_%.*s%s%s", (int)size, counter->name,
             time ? "_seconds" : "", counter->grows ? "_total" : "");
    snprintf(help, sizeof help, "Duplicate stage, %s: %s.", time ? "seconds" : counter->unit,
             counter->doc);
    sl_exposition_head(to, name, counter->grows ? "counter" : "gauge", help);
    for (int m = SLUICE_METHOD_EXACT; m < SLUICE_N_METHODS; m++) {
        const sluice_method_counters *method = &to->view->snapshot->counters.method[m];
        double value = (double)sl_counters_value(method, counter);
        if (method->memory_bytes > 0) {
            sl_exposition_one(to, "method", sl_counters_method_name((sluice_method)m),
                              time ? value / 1e6 : value);
        }
    }
}

sluice_status sl_metrics_write(const sl_view *view, sluice_bytes *out)
{
    sl_exposition to = {.view = view, .out = out, .status = SLUICE_OK};
    for (size_t i = 0; i < sizeof metrics / sizeof metrics[0]; i++) {
        sl_exposition_head(&to, metrics[i].name, metrics[i].type, metrics[i].help);
        metrics[i].write(&to);
    }
    for (uint32_t i = 0; i < sl_n_counters_of_method; i++) {
        put_counter(&to, &sl_counters_of_method[i]);
    }
    return to.status;
}
