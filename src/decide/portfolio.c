/* portfolio.c - what each source (or group) came to: counts, costs, scores, repeats, changes.
 *
 *   name --XXH3--> slot[2048] --> entry[1 + 1024]    entry 0 is "(other)", the rest in order of
 *                                 entry[1 + 64]      first appearance in the log
 *   sample --+--> entry        counts, cost, toward
 *            +--> distribution loss, self, leverage, toward: quantiles of 1 %
 *            +--> repeats      whose samples repeat whose
 *            +--> trend        64 points from the beginning
 *            +--> curve        share of samples against share of influence
 *            +--> shortlist    label these first
 *            +--> alerts       against its own past
 *
 * Why "(other)" and no eviction: a portfolio that forgets a source would lie about it; a sender
 * that invents sources must not grow us. Which names get an entry depends on log order alone. */
#include "decide/portfolio.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

/* What differs between a portfolio by source and one by group: sizes. */
typedef struct sizes {
    uint32_t n_entries, n_pages, n_cells;
} sizes;

static sizes sizes_of(bool groups)
{
    return groups ? (sizes){1 + SLUICE_LIMIT_GROUPS, 128 * (1 + SLUICE_LIMIT_GROUPS), 8192}
                  : (sizes){SL_PORTFOLIO_ENTRIES, 65535, SL_REPEATS_CELLS};
}

size_t sluice_portfolio_bytes(bool groups)
{
    sizes most = sizes_of(groups);
    const sluice_portfolio *none = NULL;
    size_t all = sizeof *none + most.n_entries * (sizeof *none->entry + sizeof *none->distribution);
    all += most.n_pages * sizeof *none->pool.pages;
    all += sl_repeats_bytes(most.n_cells) + sl_trend_bytes(most.n_entries);
    return all + (groups ? sl_membership_bytes() : sl_alerts_bytes());
}

static sluice_status open_parts(sluice_portfolio *portfolio, const sizes *most)
{
    portfolio->entry = calloc(most->n_entries, sizeof *portfolio->entry);
    portfolio->distribution = calloc(most->n_entries, sizeof *portfolio->distribution);
    if (portfolio->entry == NULL || portfolio->distribution == NULL) {
        return SLUICE_E_NOMEM;
    }
    SLUICE_TRY(sl_distribution_pool_open(most->n_pages, &portfolio->pool));
    SLUICE_TRY(sl_repeats_open(most->n_cells, &portfolio->repeats));
    SLUICE_TRY(sl_trend_open(most->n_entries, &portfolio->trend));
    return portfolio->groups ? sl_membership_open(&portfolio->membership)
                             : sl_alerts_open(&portfolio->alerts);
}

/* Its pages become real when they are used. */
static sluice_status open_with(const char *group_by, sluice_portfolio **out)
{
    static const char other[] = "(other)";
    sluice_portfolio *portfolio = calloc(1, sizeof *portfolio);
    *out = portfolio;
    if (portfolio == NULL) {
        return SLUICE_E_NOMEM;
    }
    portfolio->groups = group_by != NULL;
    snprintf(portfolio->group_by, sizeof portfolio->group_by, "%s",
             group_by != NULL ? group_by : "");
    sizes most = sizes_of(portfolio->groups);
    portfolio->n_entries_most = most.n_entries;
    sluice_status status = open_parts(portfolio, &most);
    if (status != SLUICE_OK) {
        sluice_portfolio_close(out);
        return status;
    }
    memcpy(portfolio->entry[0].name, other, sizeof other - 1);
    portfolio->entry[0].name_size = sizeof other - 1;
    portfolio->n_entries = 1;
    return SLUICE_OK;
}

sluice_status sluice_portfolio_open(sluice_portfolio **out)
{
    return open_with(NULL, out);
}

sluice_status sluice_portfolio_open_groups(const char *group_by, sluice_portfolio **out)
{
    return open_with(group_by, out);
}

void sluice_portfolio_close(sluice_portfolio **portfolio_p)
{
    sluice_portfolio *portfolio = *portfolio_p;
    if (portfolio != NULL) {
        free(portfolio->entry);
        free(portfolio->distribution);
        sl_distribution_pool_close(&portfolio->pool);
        sl_repeats_close(&portfolio->repeats);
        sl_trend_close(&portfolio->trend);
        sl_alerts_close(&portfolio->alerts);
        sl_membership_close(&portfolio->membership);
        free(portfolio);
        *portfolio_p = NULL;
    }
}

const char *sluice_portfolio_group_by(const sluice_portfolio *portfolio)
{
    return portfolio->group_by;
}

/* --- names --- */

/* The slot of a source, or the free one where it would be. */
static uint32_t find_slot(const sluice_portfolio *portfolio, sluice_span name)
{
    uint32_t i_slot = (uint32_t)XXH3_64bits(name.data, name.size) % SL_PORTFOLIO_SLOTS;
    while (portfolio->slot[i_slot] != 0) {
        const sl_portfolio_entry *known = &portfolio->entry[portfolio->slot[i_slot]];
        if (sl_span_equal((sluice_span){known->name, known->name_size}, name)) {
            break;
        }
        i_slot = (i_slot + 1) % SL_PORTFOLIO_SLOTS;
    }
    return i_slot;
}

uint32_t sl_portfolio_number(sluice_portfolio *portfolio, sluice_span source)
{
    uint32_t i_slot = find_slot(portfolio, source);
    if (portfolio->slot[i_slot] != 0) {
        return portfolio->slot[i_slot];
    }
    if (portfolio->n_entries == portfolio->n_entries_most ||
        source.size > SLUICE_LIMIT_SOURCE_BYTES) {
        return SLUICE_OTHER_SOURCES;
    }
    sl_portfolio_entry *added = &portfolio->entry[portfolio->n_entries];
    if (source.size > 0) {
        memcpy(added->name, source.data, source.size);
    }
    added->name_size = (uint32_t)source.size;
    portfolio->slot[i_slot] = (uint16_t)portfolio->n_entries;
    return portfolio->n_entries++;
}

uint32_t sluice_portfolio_find(const sluice_portfolio *portfolio, sluice_span source)
{
    uint32_t i_entry = portfolio->slot[find_slot(portfolio, source)];
    if (i_entry != 0) {
        return i_entry;
    }
    return portfolio->n_entries == portfolio->n_entries_most ? SLUICE_OTHER_SOURCES : UINT32_MAX;
}

uint32_t sl_portfolio_reference_slot(sluice_portfolio *portfolio, const char *name)
{
    uint32_t r = 0;
    while (r < portfolio->n_references && strcmp(portfolio->reference[r], name) != 0) {
        r++;
    }
    size_t size = strlen(name);
    if (r == portfolio->n_references && r < SLUICE_LIMIT_REFERENCES &&
        size < sizeof portfolio->reference[r]) {
        memcpy(portfolio->reference[r], name, size + 1);
        portfolio->n_references++;
    }
    return r < portfolio->n_references ? r : SLUICE_LIMIT_REFERENCES;
}

/* --- apply --- */

/* By its record and not by a flag: replay and reports have nothing else. Policies cannot say it. */
static bool is_restored(const sluice_verdict *verdict)
{
    return verdict->decision == SLUICE_KEEP && verdict->n_reasons == 1 &&
           strcmp(verdict->reasons[0], SLUICE_REASON_RESTORED) == 0;
}

static void apply_counts(sl_portfolio_entry *source, const sluice_sample *sample)
{
    source->kept += sample->verdict.decision == SLUICE_KEEP;
    source->flagged += sample->verdict.decision == SLUICE_FLAG;
    source->dropped += sample->verdict.decision == SLUICE_DROP;
    source->cost += isfinite(sample->cost) ? sample->cost : 0;
    source->first_us = source->first_us == 0 ? sample->arrived_us : source->first_us;
    source->last_us = sample->arrived_us;
}

static void apply_toward(sl_portfolio_toward *toward, double value)
{
    toward->n++;
    double step = value - toward->mean;
    toward->mean += step / (double)toward->n;
    toward->squares += step * (value - toward->mean);
    toward->positive += value > 0 ? value : 0;
}

static void apply_label(sluice_portfolio *portfolio, uint32_t i_source, const sluice_sample *sample)
{
    const sluice_scores *scores = &sample->scores;
    bool has_toward = scores->n_toward > 0 && !isnan(scores->percentile.toward[0]);
    float influence = has_toward ? scores->percentile.toward[0] : scores->percentile.self;
    if (sample->match.method == SLUICE_METHOD_NONE && sample->verdict.decision != SLUICE_DROP) {
        const float leverage = scores->percentile.leverage;
        const sluice_label candidate = {.score = (double)leverage * (double)influence,
                                        .leverage = leverage,
                                        .influence = influence,
                                        .offset = sample->offset,
                                        .i_source = i_source,
                                        .id = sample->id};
        sl_shortlist_offer(&portfolio->shortlist, &candidate);
    }
}

static void apply_scores(sluice_portfolio *portfolio, uint32_t i_source,
                         const sluice_sample *sample)
{
    const sluice_scores *scores = &sample->scores;
    sl_portfolio_entry *source = &portfolio->entry[i_source];
    sl_distribution *of = portfolio->distribution[i_source];
    uint32_t slot[SLUICE_LIMIT_REFERENCES] = {0};
    source->scored += isnan(scores->loss) ? 0 : 1;
    source->rare += (double)scores->percentile.leverage >= SLUICE_RARE_SHARE;
    source->self += scores->self > 0 ? (double)scores->self : 0;
    sl_distribution_add(&of[SLUICE_STATISTIC_LOSS], &portfolio->pool, (double)scores->loss);
    sl_distribution_add(&of[SLUICE_STATISTIC_SELF], &portfolio->pool, (double)scores->self);
    sl_distribution_add(&of[SLUICE_STATISTIC_LEVERAGE], &portfolio->pool, (double)scores->leverage);
    for (uint32_t r = 0; r < scores->n_toward; r++) {
        slot[r] = sl_portfolio_reference_slot(portfolio, scores->toward_name[r]);
        if (slot[r] < SLUICE_LIMIT_REFERENCES && !isnan(scores->toward[r])) {
            apply_toward(&source->toward[slot[r]], (double)scores->toward[r]);
            sl_distribution_add(&of[SLUICE_STATISTIC_TOWARD + slot[r]], &portfolio->pool,
                                (double)scores->toward[r]);
        }
    }
    if (!portfolio->groups) {
        sl_curve_add(&portfolio->curve, scores, slot);
        apply_label(portfolio, i_source, sample);
    }
}

/* i_of: of whom, with a match */
static void apply_as(sluice_portfolio *portfolio, uint32_t i_source, uint32_t i_of,
                     const sluice_sample *sample)
{
    sl_portfolio_entry *source = &portfolio->entry[i_source];
    if (is_restored(&sample->verdict)) {
        source->restored++;
        return;
    }
    apply_counts(source, sample);
    if (sample->match.method != SLUICE_METHOD_NONE) {
        source->duplicates++;
        source->own += i_of == i_source;
        sl_repeats_add(portfolio->repeats, i_source, i_of, 1);
    }
    if (sample->scores.state != SLUICE_INFLUENCE_NONE) {
        apply_scores(portfolio, i_source, sample);
    }
    sl_trend_add(portfolio->trend, i_source, sample);
    if (!portfolio->groups) {
        sl_alerts_add(portfolio->alerts, i_source, sample);
    }
}

void sluice_portfolio_apply(sluice_portfolio *portfolio, const sluice_sample *sample)
{
    SLUICE_ASSERT(!portfolio->groups);
    bool repeats = sample->match.method != SLUICE_METHOD_NONE;
    uint32_t i_source = sl_portfolio_number(portfolio, sample->source);
    uint32_t i_of = repeats ? sl_portfolio_number(portfolio, sample->match.of_source) : 0;
    apply_as(portfolio, i_source, i_of, sample);
}

/* What was dropped is nothing that another one repeats. */
void sluice_portfolio_note_group(sluice_portfolio *portfolio, const sluice_sample *sample,
                                 sluice_span group)
{
    uint32_t i_group = sl_portfolio_number(portfolio, group);
    if (sample->verdict.decision != SLUICE_DROP) {
        sl_membership_note(portfolio->membership, sample->source, sample->id, (uint8_t)i_group);
    }
}

void sluice_portfolio_apply_group(sluice_portfolio *portfolio, const sluice_sample *sample,
                                  sluice_span group)
{
    const sluice_match *match = &sample->match;
    bool repeats = match->method != SLUICE_METHOD_NONE;
    uint32_t i_of =
        repeats ? sl_membership_find(portfolio->membership, match->of_source, match->of_id) : 0;
    sluice_portfolio_note_group(portfolio, sample, group);
    apply_as(portfolio, sl_portfolio_number(portfolio, group), i_of, sample);
}

/* --- rows --- */

uint32_t sluice_portfolio_n_sources(const sluice_portfolio *portfolio)
{
    return portfolio->n_entries;
}

uint32_t sluice_portfolio_n_references(const sluice_portfolio *portfolio)
{
    return portfolio->n_references;
}

const char *sluice_portfolio_reference(const sluice_portfolio *portfolio, uint32_t i_reference)
{
    SLUICE_ASSERT(i_reference < portfolio->n_references);
    return portfolio->reference[i_reference];
}

static sluice_toward toward_of(const sl_portfolio_toward *from)
{
    double n = (double)from->n;
    double error = from->n > 1 ? 1.96 * sqrt(from->squares / (n - 1) / n) : NAN;
    double mean = from->n > 0 ? from->mean : NAN;
    return (sluice_toward){from->n, mean, mean - error, mean + error, from->positive};
}

sluice_source_row sluice_portfolio_row(const sluice_portfolio *portfolio, uint32_t i_source)
{
    SLUICE_ASSERT(i_source < portfolio->n_entries);
    const sl_portfolio_entry *from = &portfolio->entry[i_source];
    sluice_source_row row = {.source = {from->name, from->name_size},
                             .kept = from->kept,
                             .flagged = from->flagged,
                             .dropped = from->dropped,
                             .duplicates = from->duplicates,
                             .own = from->own,
                             .scored = from->scored,
                             .rare = from->rare,
                             .restored = from->restored,
                             .cost = from->cost,
                             .self = from->self,
                             .first_us = from->first_us,
                             .last_us = from->last_us};
    for (uint32_t r = 0; r < SLUICE_LIMIT_REFERENCES; r++) {
        row.toward[r] = toward_of(&from->toward[r]);
    }
    return row;
}

/* --- distributions --- */

/* The buckets of a source, or of all; NULL if there is no memory or some values were lost. */
static uint64_t *unfold(const sluice_portfolio *portfolio, uint32_t i_source, uint32_t statistic)
{
    uint64_t *buckets = calloc(SL_DISTRIBUTION_BUCKETS, sizeof *buckets);
    uint32_t first = i_source == SLUICE_ALL_SOURCES ? 0 : i_source;
    uint32_t end = i_source == SLUICE_ALL_SOURCES ? portfolio->n_entries : i_source + 1;
    for (uint32_t i = first; buckets != NULL && i < end && i < portfolio->n_entries; i++) {
        const sl_distribution *of = &portfolio->distribution[i][statistic];
        if (of->lost > 0) {
            free(buckets);
            return NULL;
        }
        sl_distribution_unfold(of, &portfolio->pool, buckets);
    }
    return buckets;
}

void sluice_portfolio_quantiles(const sluice_portfolio *portfolio, uint32_t i_source,
                                uint32_t statistic, const double *q, uint32_t n, double *values)
{
    uint64_t *buckets = unfold(portfolio, i_source, statistic);
    uint64_t total = 0;
    for (uint32_t b = 0; buckets != NULL && b < SL_DISTRIBUTION_BUCKETS; b++) {
        total += buckets[b];
    }
    uint64_t below = 0; /* in buckets before b */
    uint32_t b = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (total == 0) {
            values[i] = NAN;
            continue;
        }
        uint64_t rank = (uint64_t)(q[i] * (double)(total - 1)); /* from 0 */
        while (below + buckets[b] <= rank) {
            below += buckets[b++];
        }
        values[i] = sl_distribution_middle(b);
    }
    free(buckets);
}

void sluice_portfolio_counts(const sluice_portfolio *portfolio, uint32_t i_source,
                             uint32_t statistic, const double *limit, uint32_t n, uint64_t *counts)
{
    uint64_t *buckets = unfold(portfolio, i_source, statistic);
    uint64_t below = 0;
    uint32_t b = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t last = sl_distribution_bucket(limit[i]);
        for (; buckets != NULL && b <= last && b < SL_DISTRIBUTION_BUCKETS; b++) {
            below += buckets[b];
        }
        counts[i] = below;
    }
    free(buckets);
}

/* --- the parts --- */

uint32_t sluice_portfolio_repeats(const sluice_portfolio *portfolio, sluice_repeat *repeats,
                                  uint32_t n)
{
    return sl_repeats_list(portfolio->repeats, repeats, n);
}

uint32_t sluice_portfolio_trend(const sluice_portfolio *portfolio, uint32_t i_source,
                                sluice_trend_point points[SLUICE_TREND_POINTS], uint64_t *span)
{
    SLUICE_ASSERT(i_source < portfolio->n_entries);
    return sl_trend_read(portfolio->trend, i_source, points, span);
}

bool sluice_portfolio_curve(const sluice_portfolio *portfolio, uint32_t ordering, uint32_t of,
                            double share[SLUICE_CURVE_POINTS])
{
    SLUICE_ASSERT(ordering < SLUICE_N_STATISTICS && of < SLUICE_N_STATISTICS);
    uint32_t kind = of < SLUICE_STATISTIC_TOWARD ? 0 : 1 + of - SLUICE_STATISTIC_TOWARD;
    return sl_curve_read(&portfolio->curve, ordering, kind, share);
}

uint32_t sluice_portfolio_labels(const sluice_portfolio *portfolio,
                                 sluice_label labels[SLUICE_LIMIT_LABELS])
{
    return sl_shortlist_read(&portfolio->shortlist, labels);
}

uint32_t sluice_portfolio_alerts(const sluice_portfolio *portfolio,
                                 sluice_alert alerts[SLUICE_LIMIT_ALERTS])
{
    return portfolio->groups ? 0 : sl_alerts_read(portfolio->alerts, alerts);
}

sluice_alert_counts sluice_portfolio_alert_counts(const sluice_portfolio *portfolio)
{
    return portfolio->groups ? (sluice_alert_counts){0, 0} : sl_alerts_counts(portfolio->alerts);
}
