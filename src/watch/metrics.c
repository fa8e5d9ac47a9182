/* metrics.c - the numbers of a running filter in the text format of Prometheus.
 *
 *   table of names, types and words  +  view  ->  # HELP, # TYPE, name{label="..."} value
 *
 * Why label sets are bounded: what a sender can name must not grow the page without end, nor the
 * memory of who scrapes it. Names beyond the first are summed, so totals stay right.
 * Source: Prometheus exposition format 0.0.4; names after research on Vector's and Fluent Bit's. */
#include "watch/metrics.h"
#include "bytes.h"
#include "record.h"
#include "sluice/version.h"

#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>

typedef struct exposition {
    const sl_view *view;
    sluice_bytes *out;
    sluice_status status;
    const char *name; /* of the metric that is being written */
} exposition;

typedef struct label {
    const char *name;
    sluice_span value;
} label;

static void put(exposition *to, const char *text, size_t size)
{
    if (to->status == SLUICE_OK) {
        to->status = sl_bytes_append(to->out, text, size);
    }
}

static void put_text(exposition *to, const char *text)
{
    put(to, text, strlen(text));
}

/* A value of a label: \ " and newline are escaped, what is no UTF-8 becomes "?". */
static void put_escaped(exposition *to, sluice_span value)
{
    bool valid = sl_utf8_valid(value);
    for (size_t i = 0; i < value.size; i++) {
        char byte = (char)value.data[i];
        if (byte == '\\' || byte == '"') {
            char pair[2] = {'\\', byte};
            put(to, pair, 2);
        } else if (byte == '\n') {
            put(to, "\\n", 2);
        } else {
            bool shown = valid || (unsigned char)byte < 128;
            put(to, shown ? &byte : "?", 1);
        }
    }
}

static void put_value(exposition *to, const char *suffix, const label *labels, uint32_t n_labels,
                      double value)
{
    char number[40];
    put_text(to, to->name);
    put_text(to, suffix);
    for (uint32_t i = 0; i < n_labels; i++) {
        put_text(to, i == 0 ? "{" : ",");
        put_text(to, labels[i].name);
        put_text(to, "=\"");
        put_escaped(to, labels[i].value);
        put_text(to, i + 1 == n_labels ? "\"}" : "\"");
    }
    if (isnan(value)) {
        snprintf(number, sizeof number, " NaN\n");
    } else {
        bool whole = value == floor(value) && fabs(value) < 9e15;
        snprintf(number, sizeof number, whole ? " %.0f\n" : " %.15g\n", value);
    }
    put_text(to, number);
}

static void put_plain(exposition *to, double value)
{
    put_value(to, "", NULL, 0, value);
}

static void put_one(exposition *to, const char *label_name, const char *label_value, double value)
{
    put_value(to, "", &(label){label_name, sl_span_of(label_value)}, 1, value);
}

static void put_two(exposition *to, label first, label second, double value)
{
    label both[2] = {first, second};
    put_value(to, "", both, 2, value);
}

/* --- the stream --- */

static void received_events(exposition *to)
{
    put_one(to, "component", "ingest", (double)to->view->here.received);
}

static void received_bytes(exposition *to)
{
    put_one(to, "component", "ingest", (double)to->view->snapshot->tallies.bytes);
}

static void errors(exposition *to)
{
    label labels[2] = {{"component", sl_span_of("ingest")}, {"reason", sl_span_of("undecodable")}};
    put_value(to, "", labels, 2, (double)atomic_load(&to->view->options.meters->undecodable));
}

static void discarded(exposition *to)
{
    const sl_tallies *tallies = &to->view->snapshot->tallies;
    for (uint32_t i = 0; i < tallies->n_outcomes; i++) {
        const sl_outcome *outcome = &tallies->outcome[i];
        bool dropped = outcome->decision == SLUICE_DROP;
        if (dropped || outcome->decision == SLUICE_REFUSE) {
            label labels[3] = {{"component", sl_span_of(dropped ? "decide" : "ingest")},
                               {"reason", sl_span_of(outcome->reason)},
                               {"intentional", sl_span_of(dropped ? "true" : "false")}};
            put_value(to, "", labels, 3, (double)outcome->n);
        }
    }
}

static void verdicts(exposition *to)
{
    const sl_tallies *tallies = &to->view->snapshot->tallies;
    for (uint32_t i = 0; i < tallies->n_outcomes; i++) {
        const sl_outcome *outcome = &tallies->outcome[i];
        const char *decision = sl_record_decision_name(outcome->decision);
        put_two(to, (label){"decision", sl_span_of(decision)},
                (label){"reason", sl_span_of(outcome->reason)}, (double)outcome->n);
    }
}

static void duplicates(exposition *to)
{
    for (int method = SLUICE_METHOD_NONE + 1; method < SLUICE_N_METHODS; method++) {
        put_one(to, "method", sl_record_method_name((sluice_method)method),
                (double)to->view->snapshot->tallies.by_method[method]);
    }
}

static void redeliveries(exposition *to)
{
    put_plain(to, (double)to->view->here.redelivered);
}

static void in_flight_events(exposition *to)
{
    put_plain(to, (double)to->view->here.in_flight);
}

static void in_flight_bytes(exposition *to)
{
    put_plain(to, (double)atomic_load(&to->view->options.meters->in_flight_bytes));
}

static void queues(exposition *to)
{
    for (uint32_t i = 0; i < to->view->options.n_queues; i++) {
        const sl_view_queue *queue = &to->view->options.queue[i];
        put_one(to, "queue", queue->name, (double)sl_ring_depth(queue->ring));
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

static void put_outcomes(exposition *to, sluice_span producer, const double outcome[N_OUTCOMES])
{
    for (int i = 0; i < N_OUTCOMES - 1; i++) {
        put_two(to, (label){"producer", producer}, (label){"outcome", sl_span_of(outcome_names[i])},
                outcome[i]);
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

static void producer_events(exposition *to)
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

static void producer_in_flight(exposition *to)
{
    double other = 0;
    bool any = false;
    for (uint32_t i = 0; i < to->view->n_producers; i++) {
        const sl_view_producer *producer = &to->view->producer[i];
        if (shown_apart(i, sl_span_of(producer->name))) {
            put_one(to, "producer", producer->name, (double)producer->here.in_flight);
        } else {
            other += (double)producer->here.in_flight;
            any = true;
        }
    }
    if (any) {
        put_one(to, "producer", "(other)", other);
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

static void put_source(exposition *to, sluice_span name, const double count[4], bool of_duplicates)
{
    static const char *const names[3] = {"keep", "flag", "drop"};
    label source = {"source", name};
    if (of_duplicates) {
        put_value(to, "", &source, 1, count[3]);
        return;
    }
    for (int i = 0; i < 3; i++) {
        put_two(to, source, (label){"decision", sl_span_of(names[i])}, count[i]);
    }
}

static void put_sources(exposition *to, bool of_duplicates)
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

static void source_events(exposition *to)
{
    put_sources(to, false);
}

static void source_duplicates(exposition *to)
{
    put_sources(to, true);
}

/* --- the state on the disk --- */

static void log_offset(exposition *to)
{
    put_plain(to, (double)to->view->extent.next_offset);
}

static void spool_bytes(exposition *to)
{
    put_plain(to, (double)to->view->extent.log_bytes);
}

static void spool_max_bytes(exposition *to)
{
    put_plain(to, (double)to->view->extent.max_bytes);
}

static void spool_deleted(exposition *to)
{
    put_plain(to, (double)to->view->extent.deleted_samples);
}

static void spool_fsync(exposition *to)
{
    const sl_view_meters *meters = to->view->options.meters;
    put_value(to, "_sum", NULL, 0, (double)atomic_load(&meters->commit_us) / 1e6);
    put_value(to, "_count", NULL, 0, (double)atomic_load(&meters->commits));
}

static void dead_letters(exposition *to)
{
    put_plain(to, (double)to->view->extent.n_dead);
}

static void dead_lost(exposition *to)
{
    put_plain(to, (double)to->view->extent.n_dead_lost);
}

static void lag_events(exposition *to)
{
    for (uint32_t i = 0; i < to->view->n_groups; i++) {
        put_one(to, "group", to->view->group[i].name, (double)to->view->group[i].lag);
    }
}

static void lag_seconds(exposition *to)
{
    for (uint32_t i = 0; i < to->view->n_groups; i++) {
        put_one(to, "group", to->view->group[i].name, to->view->group[i].lag_s);
    }
}

static void checkpoint_age(exposition *to)
{
    put_plain(to, (double)(to->view->now_us - to->view->checkpoint_us) / 1e6);
}

static void checkpoint_lag(exposition *to)
{
    const sl_spool_extent *extent = &to->view->extent;
    put_plain(to, (double)(extent->next_offset - extent->checkpoint_offset));
}

static void restore_seconds(exposition *to)
{
    put_plain(to, to->view->options.restore_s);
}

/* --- influence, the process --- */

static void influence_state(exposition *to)
{
    static const char *const names[] = {"warming", "live", "stale"};
    for (uint32_t i = 0; i < to->view->snapshot->n_encoders; i++) {
        const sluice_encoder_state *encoder = &to->view->snapshot->encoder[i];
        for (int j = 0; j < 3; j++) {
            put_two(to, (label){"encoder", sl_span_of(encoder->name)},
                    (label){"state", sl_span_of(names[j])},
                    (int)encoder->state == SLUICE_WARMING + j ? 1 : 0);
        }
    }
}

static void influence_events(exposition *to)
{
    for (uint32_t i = 0; i < to->view->snapshot->n_encoders; i++) {
        const sluice_encoder_state *encoder = &to->view->snapshot->encoder[i];
        put_one(to, "encoder", encoder->name, (double)encoder->n_samples);
    }
}

static void influence_refreshes(exposition *to)
{
    for (uint32_t i = 0; i < to->view->snapshot->n_encoders; i++) {
        const sluice_encoder_state *encoder = &to->view->snapshot->encoder[i];
        put_one(to, "encoder", encoder->name, (double)encoder->n_refreshes);
    }
}

static void influence_reliability(exposition *to)
{
    for (uint32_t i = 0; i < to->view->snapshot->n_encoders; i++) {
        const sluice_encoder_state *encoder = &to->view->snapshot->encoder[i];
        put_one(to, "encoder", encoder->name, (double)encoder->reliability);
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

static void alerts(exposition *to)
{
    const sl_snapshot *snapshot = to->view->snapshot;
    for (uint32_t i = 0; i < snapshot->n_alerts; i++) {
        const sluice_alert *alert = &snapshot->alert[i];
        if (alert->cleared != 0 || holds_already(snapshot, i)) {
            continue;
        }
        label source = {"source", {NULL, 0}}; /* the stream as a whole */
        if (alert->i_source < snapshot->n_sources) {
            const sl_source_count *row = &snapshot->source[alert->i_source];
            source.value = (sluice_span){row->name, row->name_size};
        }
        put_two(to, (label){"kind", sl_span_of(sluice_alert_word(alert->kind))}, source, 1);
    }
}

static void build_info(exposition *to)
{
    char hash[24];
    snprintf(hash, sizeof hash, "%016" PRIx64, to->view->config_hash);
    put_two(to, (label){"version", sl_span_of(sluice_version())},
            (label){"config_hash", sl_span_of(hash)}, 1);
}

static void start_time(exposition *to)
{
    put_plain(to, (double)to->view->started_at_us / 1e6);
}

static void cpu_seconds(exposition *to)
{
    put_plain(to, to->view->cpu_s);
}

static void resident_bytes(exposition *to)
{
    put_plain(to, to->view->resident_bytes);
}

/* --- the table --- */

static const struct metric {
    const char *name, *type, *help;
    void (*write)(exposition *to);
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
    {"sluice_build_info", "gauge", "1; version and hash of the configuration.", build_info},
    {"sluice_start_time_seconds", "gauge", "When the process began, in seconds since 1970.",
     start_time},
    {"sluice_cpu_seconds_total", "counter", "Processor time of the process.", cpu_seconds},
    {"sluice_resident_bytes", "gauge", "Resident memory of the process, file pages among it.",
     resident_bytes},
};

sluice_status sl_metrics_write(const sl_view *view, sluice_bytes *out)
{
    exposition to = {.view = view, .out = out, .status = SLUICE_OK};
    for (size_t i = 0; i < sizeof metrics / sizeof metrics[0]; i++) {
        put_text(&to, "# HELP ");
        put_text(&to, metrics[i].name);
        put_text(&to, " ");
        put_text(&to, metrics[i].help);
        put_text(&to, "\n# TYPE ");
        put_text(&to, metrics[i].name);
        put_text(&to, " ");
        put_text(&to, metrics[i].type);
        put_text(&to, "\n");
        to.name = metrics[i].name;
        metrics[i].write(&to);
    }
    return to.status;
}
