/* numbers.c - the JSON documents of the API that are made of numbers: status, portfolio, alerts,
 * configuration.
 *
 * Why names are strings and never members: what a sender names could be "__proto__". */
#include "watch/pages.h"
#include "bytes.h"
#include "counters.h"
#include "duplicate/image.h"
#include "features/features.h"
#include "record_json.h"
#include "record_portfolio.h"
#include "sluice/version.h"

#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>

#define HIDDEN "(set, not shown)"

static void put_time(sl_object *object, const char *name, int64_t time_us)
{
    sluice_bytes text = {0};
    sluice_status status = sl_json_put_time(&text, time_us);
    if (status == SLUICE_OK) {
        sl_object_json(object, name, (sluice_span){text.data, text.size});
    } else if (object->status == SLUICE_OK) {
        object->status = status;
    }
    sl_bytes_fini(&text);
}

static void put_hash(sl_object *object, const char *name, uint64_t hash)
{
    char hex[24];
    snprintf(hex, sizeof hex, "%016" PRIx64, hash);
    sl_object_text(object, name, hex);
}

static void put_counts(sl_object *object, const sl_view_counts *counts)
{
    sl_object_count(object, "received", counts->received);
    sl_object_count(object, "kept", counts->kept);
    sl_object_count(object, "flagged", counts->flagged);
    sl_object_count(object, "dropped", counts->dropped);
    sl_object_count(object, "refused", counts->refused);
    sl_object_count(object, "redelivered", counts->redelivered);
    sl_object_count(object, "in_flight", counts->in_flight);
}

static void put_log(sl_object *object, const sl_view *view)
{
    const sl_spool_extent *extent = &view->extent;
    sl_object_open(object, "log", '{');
    sl_object_count(object, "first_offset", extent->first_offset);
    sl_object_count(object, "next_offset", extent->next_offset);
    sl_object_count(object, "bytes", extent->log_bytes);
    sl_object_count(object, "max_bytes", extent->max_bytes);
    sl_object_count(object, "deleted", extent->deleted_samples);
    sl_object_count(object, "oldest_remembered", view->snapshot->oldest_row);
    sl_object_count(object, "dead_letters", extent->n_dead);
    sl_object_count(object, "checkpoint_offset", extent->checkpoint_offset);
    sl_object_number(object, "checkpoint_age_s",
                     (double)(view->now_us - view->checkpoint_us) / 1e6);
    sl_object_close(object, '}');
}

static void put_verdicts(sl_object *object, const sl_tallies *tallies)
{
    sl_object_open(object, "verdicts", '[');
    for (uint32_t i = 0; i < tallies->n_outcomes; i++) {
        const sl_outcome *outcome = &tallies->outcome[i];
        sl_object_open(object, NULL, '{');
        sl_object_text(object, "decision", sl_record_decision_name(outcome->decision));
        sl_object_text(object, "reason", outcome->reason);
        sl_object_count(object, "n", outcome->n);
        sl_object_close(object, '}');
    }
    sl_object_close(object, ']');
}

static void put_counters(sl_object *object, const sluice_method_counters *counters)
{
    sl_object_open(object, "counters", '{');
    for (uint32_t i = 0; i < sl_n_counters_of_method; i++) {
        const sl_counter *counter = &sl_counters_of_method[i];
        sl_object_count(object, counter->name, sl_counters_value(counters, counter));
    }
    double recall = sl_counters_recall(counters);
    sl_object_number(object, "recall", recall < 0 ? (double)NAN : recall);
    sl_object_close(object, '}');
}

static void put_methods(sl_object *object, const sl_snapshot *snapshot)
{
    const sl_tallies *tallies = &snapshot->tallies;
    sl_object_open(object, "duplicates", '[');
    for (int method = SLUICE_METHOD_NONE + 1; method < SLUICE_N_METHODS; method++) {
        sl_object_open(object, NULL, '{');
        sl_object_text(object, "method", sl_record_method_name((sluice_method)method));
        sl_object_count(object, "n", tallies->by_method[method]);
        sl_object_open(object, "similarity", '['); /* of 0, .02 ... 1 */
        for (int i = 0; i < SL_SIMILARITY_BINS; i++) {
            sl_object_count(object, NULL, tallies->similarity[method][i]);
        }
        sl_object_close(object, ']');
        put_counters(object, &snapshot->counters.method[method]);
        sl_object_close(object, '}');
    }
    sl_object_close(object, ']');
}

static void put_reloads(sl_object *object, const sl_view *view)
{
    put_hash(object, "policy_hash", view->policy_hash);
    sl_object_count(object, "reloads", atomic_load(&view->options.meters->reloads));
    sl_object_bool(object, "reload_refused", atomic_load(&view->options.meters->reload_refused));
}

static void put_producers(sl_object *object, const sl_view *view)
{
    sl_object_count(object, "n_producers", view->n_producers);
    sl_object_open(object, "producers", '[');
    for (uint32_t i = 0; i < view->n_producers && i < SL_PAGES_PRODUCERS; i++) {
        sl_object_open(object, NULL, '{');
        sl_object_text(object, "producer", view->producer[i].name);
        sl_object_count(object, "next_sequence", view->producer[i].next_sequence);
        put_counts(object, &view->producer[i].total);
        sl_object_close(object, '}');
    }
    sl_object_close(object, ']');
}

static void put_groups(sl_object *object, const sl_view *view)
{
    sl_object_open(object, "groups", '[');
    for (uint32_t i = 0; i < view->n_groups; i++) {
        sl_object_open(object, NULL, '{');
        sl_object_text(object, "group", view->group[i].name);
        sl_object_count(object, "floor_offset", view->group[i].floor);
        sl_object_count(object, "lag", view->group[i].lag);
        sl_object_number(object, "lag_s", view->group[i].lag_s);
        sl_object_close(object, '}');
    }
    sl_object_close(object, ']');
    sl_object_open(object, "queues", '[');
    for (uint32_t i = 0; i < view->options.n_queues; i++) {
        sl_object_open(object, NULL, '{');
        sl_object_text(object, "queue", view->options.queue[i].name);
        sl_object_count(object, "messages", sl_ring_depth(view->options.queue[i].ring));
        sl_object_close(object, '}');
    }
    sl_object_close(object, ']');
}

static void put_encoders(sl_object *object, const sl_snapshot *snapshot)
{
    static const char *const states[SLUICE_N_INFLUENCE_STATES] = {"none", "warming", "live",
                                                                  "stale"};
    sl_object_open(object, "influence", '[');
    for (uint32_t i = 0; i < snapshot->n_encoders; i++) {
        const sluice_encoder_state *encoder = &snapshot->encoder[i];
        sl_object_open(object, NULL, '{');
        sl_object_text(object, "encoder", encoder->name);
        sl_object_count(object, "views", encoder->n_views);
        sl_object_count(object, "dimension", encoder->dim);
        sl_object_text(object, "state", states[encoder->state]);
        sl_object_count(object, "samples", encoder->n_samples);
        sl_object_count(object, "refreshes", encoder->n_refreshes);
        sl_object_number(object, "reliability", (double)encoder->reliability);
        sl_object_close(object, '}');
    }
    sl_object_close(object, ']');
}

static void put_process(sl_object *object, const sl_pages *pages)
{
    const sl_view *view = pages->view;
    sl_object_open(object, "process", '{');
    put_time(object, "started", view->started_at_us);
    sl_object_number(object, "uptime_s", (double)(view->now_us - view->started_us) / 1e6);
    sl_object_number(object, "restore_s", view->options.restore_s);
    sl_object_number(object, "cpu_s", view->cpu_s);
    sl_object_number(object, "resident_bytes", view->resident_bytes);
    sl_object_count(object, "watchers", sl_tap_n_watchers(pages->tap));
    sl_object_close(object, '}');
}

static sluice_span group_name(const sl_snapshot *snapshot, uint32_t i_group)
{
    const sl_group_count *group = &snapshot->group[i_group];
    return (sluice_span){group->name, group->name_size};
}

/* How unequally groups are dropped; null without fairness.group_by. */
static void put_fairness(sl_object *object, const sl_view *view)
{
    const sl_snapshot *snapshot = view->snapshot;
    const sluice_fairness *fairness = &snapshot->fairness;
    const sluice_config *config = &view->config; /* the one in force */
    if (config->fairness.group_by[0] == '\0') {
        sl_object_json(object, "fairness", (sluice_span){0});
        return;
    }
    sl_object_open(object, "fairness", '{');
    sl_object_text(object, "group_by", config->fairness.group_by);
    sl_object_number(object, "max_ratio", config->fairness.max_ratio);
    sl_object_number(object, "ratio", fairness->ratio);
    sl_object_bool(object, "unfair", fairness->unfair);
    bool compared = !isnan(fairness->ratio) && fairness->i_high < snapshot->n_groups &&
                    fairness->i_low < snapshot->n_groups;
    sl_object_span(object, "high",
                   compared ? group_name(snapshot, fairness->i_high) : (sluice_span){0});
    sl_object_span(object, "low",
                   compared ? group_name(snapshot, fairness->i_low) : (sluice_span){0});
    sl_object_open(object, "groups", '[');
    for (uint32_t i = 0; i < snapshot->n_groups; i++) {
        sl_object_open(object, NULL, '{');
        sl_object_span(object, "group", group_name(snapshot, i));
        sl_object_count(object, "received", snapshot->group[i].received);
        sl_object_count(object, "dropped", snapshot->group[i].dropped);
        sl_object_close(object, '}');
    }
    sl_object_close(object, ']');
    sl_object_close(object, '}');
}

sluice_status sl_pages_status(const sl_pages *pages, bool ready, sluice_bytes *out)
{
    const sl_view *view = pages->view;
    sl_object object = sl_object_of(out);
    sl_object_open(&object, NULL, '{');
    sl_object_text(&object, "name", view->options.config->name);
    sl_object_text(&object, "version", sluice_version());
    put_hash(&object, "config_hash", view->config_hash);
    put_reloads(&object, view);
    sl_object_bool(&object, "ready", ready);
    sl_object_open(&object, "total", '{'); /* since the state began */
    put_counts(&object, &view->total);
    sl_object_close(&object, '}');
    sl_object_open(&object, "since_start", '{');
    put_counts(&object, &view->here);
    sl_object_close(&object, '}');
    put_log(&object, view);
    put_verdicts(&object, &view->snapshot->tallies);
    put_methods(&object, view->snapshot);
    sl_object_count(&object, "alerts_raised", view->snapshot->n_raised);
    put_producers(&object, view);
    put_groups(&object, view);
    put_fairness(&object, view);
    put_encoders(&object, view->snapshot);
    put_process(&object, pages);
    sl_object_close(&object, '}');
    return object.status;
}

sluice_status sl_pages_portfolio(const sl_pages *pages, sluice_bytes *out)
{
    const sluice_portfolio *portfolio = sl_view_portfolio(pages->view);
    sl_portfolio_parts parts = {.sources = portfolio, .groups = sl_view_groups(pages->view)};
    return portfolio != NULL ? sl_record_portfolio_json(&parts, out) : SLUICE_E_NOMEM;
}

static double number_of(const sl_recent_row *row, uint32_t column)
{
    const float of[] = {row->similarity, row->loss, row->self, row->leverage, row->source_shift};
    return (double)(column < SL_RECENT_COLUMNS ? of[column]
                                               : row->toward[column - SL_RECENT_COLUMNS]);
}

sluice_status sl_pages_recent(const sl_pages *pages, sluice_bytes *out)
{
    static const char *const names[SL_RECENT_COLUMNS] = {"similarity", "loss", "self", "leverage",
                                                         "source_shift"};
    uint32_t n = sl_recent_n(pages->recent);
    sl_object object = sl_object_of(out);
    sl_object_open(&object, NULL, '{');
    sl_object_open(&object, "offset", '[');
    for (uint32_t i = 0; i < n; i++) {
        sl_object_count(&object, NULL, sl_recent_row_at(pages->recent, i)->offset);
    }
    sl_object_close(&object, ']');
    sl_object_open(&object, "decision", '[');
    for (uint32_t i = 0; i < n; i++) {
        sluice_decision decision = sl_recent_row_at(pages->recent, i)->decision;
        sl_object_text(&object, NULL, sl_record_decision_name(decision));
    }
    sl_object_close(&object, ']');
    for (uint32_t column = 0; column < SL_RECENT_COLUMNS + SLUICE_LIMIT_REFERENCES; column++) {
        char name[16 + SLUICE_LIMIT_STRING_BYTES];
        if (column < SL_RECENT_COLUMNS) {
            snprintf(name, sizeof name, "%s", names[column]);
        } else {
            const char *set = sl_recent_set(pages->recent, column - SL_RECENT_COLUMNS);
            if (set[0] == '\0') {
                continue;
            }
            snprintf(name, sizeof name, "toward.%s", set);
        }
        sl_object_open(&object, name, '[');
        for (uint32_t i = 0; i < n; i++) {
            sl_object_number(&object, NULL, number_of(sl_recent_row_at(pages->recent, i), column));
        }
        sl_object_close(&object, ']');
    }
    sl_object_close(&object, '}');
    return object.status;
}

static void put_source(sl_object *object, const sl_snapshot *snapshot, uint32_t i_source)
{
    if (i_source < snapshot->n_sources) {
        const sl_source_count *row = &snapshot->source[i_source];
        sl_object_span(object, "source", (sluice_span){row->name, row->name_size});
    } else {
        sl_object_json(object, "source", (sluice_span){0}); /* the stream as a whole */
    }
}

sluice_status sl_pages_alerts(const sl_pages *pages, sluice_bytes *out)
{
    const sl_snapshot *snapshot = pages->view->snapshot;
    sl_object object = sl_object_of(out);
    sl_object_open(&object, NULL, '[');
    for (uint32_t i = 0; i < snapshot->n_alerts; i++) {
        const sluice_alert *alert = &snapshot->alert[i];
        sl_object_open(&object, NULL, '{');
        put_time(&object, "since", alert->at_us);
        sl_object_text(&object, "kind", sluice_alert_word(alert->kind));
        put_source(&object, snapshot, alert->i_source);
        sl_object_count(&object, "offset", alert->offset);
        sl_object_number(&object, "value", alert->value);
        sl_object_number(&object, "usual", alert->usual);
        sl_object_number(&object, "limit", alert->limit);
        sl_object_bool(&object, "holds", alert->cleared == 0);
        sl_object_close(&object, '}');
    }
    sl_object_close(&object, ']');
    return object.status;
}

static void hide(char value[SLUICE_LIMIT_STRING_BYTES])
{
    if (value[0] != '\0') {
        snprintf(value, SLUICE_LIMIT_STRING_BYTES, "%s", HIDDEN);
    }
}

/* Thresholds, each once. */
typedef struct thresholds {
    double value[2 * SLUICE_N_PROFILES];
    uint32_t n;
} thresholds;

static void put_threshold(sl_object *object, thresholds *shown, double threshold)
{
    bool is_new = threshold > 0;
    for (uint32_t i = 0; i < shown->n; i++) {
        is_new = is_new && shown->value[i] != threshold;
    }
    if (is_new) {
        shown->value[shown->n++] = threshold;
        sl_object_number(object, NULL, threshold);
    }
}

/* From which similarity a sample is a duplicate; texts have one of several. */
static void put_thresholds(sl_object *object, const sluice_config *config)
{
    bool by_sample = config->duplicate.text_profile == SLUICE_PROFILE_AUTO;
    thresholds shown = {.n = 0};
    sl_object_open(object, "thresholds", '{');
    sl_object_open(object, "text", '[');
    for (int i = SLUICE_PROFILE_AUTO + 1; i < SLUICE_N_PROFILES; i++) {
        sluice_profile profile = by_sample ? (sluice_profile)i : config->duplicate.text_profile;
        sl_text_settings settings = sl_text_settings_of(config, profile);
        put_threshold(object, &shown, (double)settings.threshold);
        put_threshold(object, &shown, (double)settings.brief);
    }
    sl_object_close(object, ']');
    sl_object_number(object, "image", sl_image_threshold(config));
    sl_object_close(object, '}');
}

static void put_rules(sl_object *object, const sluice_config *config)
{
    sl_object_open(object, "rules", '[');
    for (uint32_t i = 0; i < config->policy.n_rules; i++) {
        const sluice_rule *rule = &config->policy.rule[i];
        sl_object_open(object, NULL, '{');
        sl_object_text(object, "when", rule->when);
        sl_object_text(object, "do", sl_record_decision_name(rule->decision));
        sl_object_text(object, "reason", rule->reason);
        sl_object_close(object, '}');
    }
    sl_object_close(object, ']');
}

void sl_pages_thresholds(sl_object *object, const sluice_config *config)
{
    put_thresholds(object, config);
    put_rules(object, config);
}

/* Where keys lie is nobody's business who only looks. */
sluice_status sl_pages_config(const sl_pages *pages, sluice_bytes *out)
{
    sluice_config config = pages->view->config;
    hide(config.security.server_key);
    hide(config.security.clients);
    hide(config.security.http_token);
    sluice_bytes yaml = {0};
    sluice_status status = sluice_config_print(&config, &yaml);
    if (status == SLUICE_OK) {
        sl_object object = sl_object_of(out);
        sl_object_open(&object, NULL, '{');
        put_hash(&object, "hash", pages->view->config_hash);
        sl_pages_thresholds(&object, &config);
        sl_object_span(&object, "yaml", (sluice_span){yaml.data, yaml.size});
        sl_object_close(&object, '}');
        status = object.status;
    }
    sl_bytes_fini(&yaml);
    return status;
}
