/* engine.c - the order of the stages, and the one apply.
 *
 *   batch -> slices of offsets 0..63, 64..127, ...
 *            each slice:    score                         all its samples at once
 *            each sample:   probe -> judge -> apply       one after the other
 *
 * Why a sample at a time: the second of two copies in one message must find the first. What may run
 * ahead without changing an answer (features, prefetch, scores) does; what decides does not.
 * Why slices: scores read only what was frozen at the end of the last block, and are made by
 * products of 64 rows, a row for each offset modulo 64 (design 2). */
#include "engine_parts.h"
#include "arena.h"
#include "bytes.h"
#include "decode/attributes.h"

#include <stdlib.h>

#define SLICE_SAMPLES    64 /* offsets that are scored at once */
#define PREFETCH_SAMPLES 8  /* ahead of the probe: their lines are on their way at once */

sluice_status sluice_engine_open(const sluice_config *config, sluice_engine **out,
                                 sluice_message *why)
{
    *out = NULL;
    sluice_engine *engine = calloc(1, sizeof *engine);
    if (engine == NULL) {
        return sluice_fail(why, SLUICE_E_NOMEM, "no memory for the engine");
    }
    engine->config = *config;
    sluice_status status = sl_duplicate_open(config, &engine->duplicate, why);
    if (status == SLUICE_OK) {
        status = sluice_portfolio_open(&engine->portfolio);
    }
    if (status == SLUICE_OK) {
        status = sl_influence_open(config, &engine->influence, why);
    }
    if (status == SLUICE_OK) {
        status = sl_decide_open(config, &engine->decide, why);
    }
    if (status != SLUICE_OK) {
        sluice_engine_close(&engine);
        return status;
    }
    engine->changed_at = UINT64_MAX;
    *out = engine;
    return SLUICE_OK;
}

void sluice_engine_close(sluice_engine **engine_p)
{
    if (*engine_p != NULL) {
        sl_duplicate_close(&(*engine_p)->duplicate);
        sluice_portfolio_close(&(*engine_p)->portfolio);
        sl_influence_close(&(*engine_p)->influence);
        sl_decide_close(&(*engine_p)->decide);
        sl_decide_close(&(*engine_p)->next_decide);
        free(*engine_p);
        *engine_p = NULL;
    }
}

void sluice_engine_touch(sluice_engine *engine)
{
    sl_duplicate_touch(engine->duplicate);
}

/* What the rules may speak of; a sample's attributes are looked for only if they do. */
static sl_facts facts_of(const sluice_engine *engine, const sluice_sample *sample,
                         sluice_span attribute[SL_NAMES_ATTRIBUTES])
{
    const sl_names *names = sl_decide_names(engine->decide);
    if (names->n_attributes > 0) {
        const char *name[SL_NAMES_ATTRIBUTES];
        for (uint32_t i = 0; i < names->n_attributes; i++) {
            name[i] = names->attribute[i];
        }
        sl_attributes_find(sample->wire, name, names->n_attributes, attribute);
    }
    return (sl_facts){sample, attribute, false};
}

/* Reasons are lent by a policy that may be replaced while the batch is on its way to the disk. */
static void copy_reasons(sl_arena *arena, sluice_verdict *verdict)
{
    for (uint32_t i = 0; i < verdict->n_reasons; i++) {
        size_t size = strlen(verdict->reasons[i]) + 1;
        sl_arena_allow(arena, size + 16);
        char *copy = sl_arena_alloc(arena, size);
        SLUICE_ASSERT(copy != NULL); /* as for names */
        verdict->reasons[i] = memcpy(copy, verdict->reasons[i], size);
    }
}

/* Names found in the index are lent until the next apply; the batch needs them longer. */
static void copy_names(sl_arena *arena, sluice_match *match)
{
    sl_arena_allow(arena, match->of_id.size + match->of_source.size + match->contained_in.size);
    bool copied = sl_arena_copy(arena, match->of_id, &match->of_id) &&
                  sl_arena_copy(arena, match->of_source, &match->of_source) &&
                  sl_arena_copy(arena, match->contained_in, &match->contained_in);
    SLUICE_ASSERT(copied); /* nothing was acknowledged yet, so ending here loses nothing */
}

/* What the methods behind the winner found too, for the record. */
static void add_also(const sluice_engine *engine, sl_arena *arena, sluice_sample *sample)
{
    sluice_finding found[SLUICE_LIMIT_ALSO] = {0};
    sluice_match *match = &sample->match;
    uint32_t n = sl_duplicate_also(engine->duplicate, sample, match, found);
    for (uint32_t i = 0; i < n; i++) {
        sluice_match names = {.of_id = found[i].of_id, .of_source = found[i].of_source};
        copy_names(arena, &names);
        found[i].of_id = names.of_id;
        found[i].of_source = names.of_source;
    }
    if (n > 0) {
        sl_arena_allow(arena, sizeof found + 16);
        sluice_finding *also = sl_arena_alloc(arena, sizeof found);
        SLUICE_ASSERT(also != NULL); /* as for the names */
        memcpy(also, found, sizeof found);
        match->also = also;
        match->n_also = n;
    }
}

/* False if it came before: it keeps its first offset and verdict. */
static bool run_sample(sluice_engine *engine, sl_arena *arena, sluice_sample *sample)
{
    sl_duplicate_probe(engine->duplicate, sample, &sample->match);
    if (sample->match.redelivered) {
        sample->offset = sample->match.of_offset;
        sample->verdict = *sample->match.first;
        copy_reasons(arena, &sample->verdict);
        sample->match = (sluice_match){.redelivered = true, .of_offset = sample->offset};
        return false;
    }
    if (sample->match.method != SLUICE_METHOD_NONE || sample->match.contained > 0) {
        copy_names(arena, &sample->match);
        if (engine->config.duplicate.all_findings) {
            add_also(engine, arena, sample);
        }
    }
    sluice_span attribute[SL_NAMES_ATTRIBUTES];
    sl_facts facts = facts_of(engine, sample, attribute);
    sl_decide_judge(engine->decide, &facts, &sample->verdict);
    if (sample->restored) {
        sl_decide_restore(&sample->verdict);
    }
    copy_reasons(arena, &sample->verdict);
    sluice_engine_apply(engine, sample);
    return true;
}

static bool is_refused(const sluice_sample *sample)
{
    return sample->verdict.decision == SLUICE_REFUSE;
}

static void refuse(sluice_sample *sample, const char *reason)
{
    sample->verdict.decision = SLUICE_REFUSE;
    sample->verdict.reasons[0] = reason;
    sample->verdict.n_reasons = 1;
    sample->verdict.text = strcmp(reason, "too_many_encoders") == 0
                               ? "4 encoders are known already; influence takes no more"
                               : "this encoder's views had another dimension before";
}

/* A change holds from a block on, so that the log says where. */
static void change_if_due(sluice_engine *engine)
{
    if (engine->next_decide != NULL && engine->next_offset % SLUICE_BLOCK_SAMPLES == 0) {
        sl_decide_change(engine->decide, &engine->next_decide);
        engine->changed_at = engine->next_offset;
    }
}

/* Gives offsets to the samples from `first` on, as if all were new, up to the end of the slice of
 * 64; returns the end. It also ends before a sample that came before, which would take a place that
 * it does not get. */
static uint32_t open_slice(sluice_engine *engine, sluice_batch *batch, uint32_t first,
                           uint16_t i_source[])
{
    uint64_t next = engine->next_offset;
    uint32_t i = first;
    while (i < batch->n_samples && i - first < SLICE_SAMPLES) {
        sluice_sample *sample = &batch->samples[i];
        const char *reason =
            is_refused(sample) ? NULL : sl_influence_admit(engine->influence, sample);
        if (reason != NULL) {
            refuse(sample, reason);
        }
        sample->offset = is_refused(sample) ? UINT64_MAX : next;
        if (sample->views.n_views > 0 && !is_refused(sample) &&
            sl_duplicate_redelivers(engine->duplicate, sample)) {
            if (i == first) {
                sample->views.n_views = 0; /* not scored again */
                return i + 1;
            }
            return i;
        }
        uint32_t source = sluice_portfolio_find(engine->portfolio, sample->source);
        i_source[i - first] = source <= SLUICE_LIMIT_SOURCES ? (uint16_t)source : UINT16_MAX;
        next += is_refused(sample) ? 0 : 1;
        i++;
        if (next % SLICE_SAMPLES == 0 && next > engine->next_offset) {
            break;
        }
    }
    return i;
}

/* Judges the samples of an open slice; returns where the next one starts. A sample that came before
 * ends it: those behind it take other places than they were given. */
static uint32_t run_slice(sluice_engine *engine, sluice_batch *batch, uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end; i++) {
        if (i + PREFETCH_SAMPLES < batch->n_samples) {
            sl_duplicate_prefetch(engine->duplicate, &batch->samples[i + PREFETCH_SAMPLES]);
        }
        if (!is_refused(&batch->samples[i]) &&
            !run_sample(engine, batch->arena, &batch->samples[i])) {
            return i + 1;
        }
    }
    return end;
}

void sluice_engine_run(sluice_engine *engine, sluice_batch *batch)
{
    uint16_t i_source[SLICE_SAMPLES];
    uint32_t i = 0;
    while (i < batch->n_samples) {
        change_if_due(engine);
        uint32_t end = open_slice(engine, batch, i, i_source);
        sl_influence_score(engine->influence, batch->samples + i, end - i, i_source, batch->arena);
        i = run_slice(engine, batch, i, end);
    }
}

void sluice_engine_apply(sluice_engine *engine, const sluice_sample *sample)
{
    SLUICE_ASSERT(sample->offset == engine->next_offset);
    if (sample->offset >= engine->rows_end) {
        sl_duplicate_apply(engine->duplicate, sample);
    }
    sluice_portfolio_apply(engine->portfolio, sample);
    sl_influence_apply(engine->influence, sample,
                       (uint16_t)sluice_portfolio_find(engine->portfolio, sample->source));
    sluice_span attribute[SL_NAMES_ATTRIBUTES];
    sl_facts facts = facts_of(engine, sample, attribute);
    sl_decide_apply(engine->decide, &facts);
    engine->next_offset++;
    if (engine->next_offset % SLUICE_BLOCK_SAMPLES == 0) {
        sl_decide_freeze(engine->decide);
        sl_influence_freeze(engine->influence, engine->next_offset);
    }
}

const sluice_config *sluice_engine_config(const sluice_engine *engine)
{
    return &engine->config;
}

uint64_t sluice_engine_next_offset(const sluice_engine *engine)
{
    return engine->next_offset;
}

sluice_row_mark sluice_engine_row_mark(const sluice_engine *engine)
{
    sl_durable_from from = sl_duplicate_row_from(engine->duplicate);
    return (sluice_row_mark){
        .exact = from.exact, .text = from.text, .image = from.image, .embedding = from.embedding};
}

sluice_status sluice_engine_row_write(const sluice_engine *engine, const sluice_row_mark *mark,
                                      const sluice_sample *sample, sluice_bytes *out)
{
    sl_durable_from from = {.exact = mark->exact,
                            .text = mark->text,
                            .image = mark->image,
                            .embedding = mark->embedding};
    return sl_duplicate_row_write(engine->duplicate, &from, sample, out);
}

sluice_status sluice_engine_row_read(sluice_engine *engine, sluice_span row)
{
    uint64_t offset;
    return sl_duplicate_row_read(engine->duplicate, row, &offset);
}

void sluice_engine_rows_complete(sluice_engine *engine, uint64_t next_offset)
{
    engine->rows_end = next_offset;
}

uint64_t sluice_engine_oldest_row(const sluice_engine *engine)
{
    uint64_t oldest = sl_duplicate_oldest(engine->duplicate);
    return oldest < engine->next_offset ? oldest : engine->next_offset;
}

uint32_t sluice_engine_find_id(const sluice_engine *engine, sluice_span id, uint64_t offset,
                               uint64_t *out, uint32_t max)
{
    return sl_duplicate_find_id(engine->duplicate, id, offset, out, max);
}

bool sluice_engine_forget(sluice_engine *engine, uint64_t offset)
{
    return sl_duplicate_forget(engine->duplicate, offset);
}

bool sluice_engine_refresh(sluice_engine *engine)
{
    return sl_influence_refresh(engine->influence);
}

bool sluice_engine_refresh_waits(const sluice_engine *engine)
{
    return sl_influence_refresh_waits(engine->influence);
}

sluice_status sluice_engine_reference_batch(sluice_engine *engine, const char *name,
                                            sluice_span bytes, sluice_message *why)
{
    sluice_batch *batch;
    SLUICE_TRY(sluice_batch_open(&batch));
    sluice_status status = sluice_batch_decode(batch, bytes, why);
    if (status == SLUICE_OK && engine->config.encoder == SLUICE_ENCODER_BUILTIN) {
        status = sluice_batch_features(batch, &engine->config);
    }
    for (uint32_t i = 0; i < batch->n_samples && status == SLUICE_OK; i++) {
        status = is_refused(&batch->samples[i])
                     ? SLUICE_E_BADSAMPLE
                     : sl_influence_reference_add(engine->influence, name, &batch->samples[i]);
        if (status != SLUICE_OK) {
            (void)sluice_fail(why, status, "reference %s: sample %u cannot be used", name, i + 1);
        }
    }
    sluice_batch_close(&batch);
    return status;
}

static sluice_status refuse_set(sluice_status status, const char *name, sluice_message *why)
{
    switch (status) {
    case SLUICE_OK:
        return status;
    case SLUICE_E_CONFIG:
        return sluice_fail(why, status,
                           "reference \"%.64s\": a name of 1 to 63 of A-Z a-z 0-9 _ - and samples "
                           "with views are needed, and influence.enabled",
                           name);
    case SLUICE_E_CLOSED:
        return sluice_fail(why, status, "reference %s: another set has this name", name);
    case SLUICE_E_TOOBIG:
        return sluice_fail(why, status, "reference %s: %d sets of %d samples are the limit", name,
                           SLUICE_LIMIT_REFERENCES, SLUICE_LIMIT_REFERENCE);
    default:
        return sluice_fail(why, status,
                           "reference %s: a sample is refused, has fewer than two views, or others "
                           "than those before it",
                           name);
    }
}

sluice_status sluice_engine_reference_add(sluice_engine *engine, const char *name,
                                          sluice_span bytes, sluice_message *why)
{
    sluice_batch *batch;
    SLUICE_TRY(sluice_batch_open(&batch));
    sluice_status status = sluice_batch_decode(batch, bytes, why);
    bool decoded = status == SLUICE_OK;
    if (decoded && engine->config.encoder == SLUICE_ENCODER_BUILTIN) {
        status = sluice_batch_features(batch, &engine->config);
    }
    if (decoded && batch->n_samples > SLUICE_LIMIT_REFERENCE) {
        status = SLUICE_E_TOOBIG;
    }
    for (uint32_t i = 0; i < batch->n_samples && status == SLUICE_OK; i++) {
        status = is_refused(&batch->samples[i]) ? SLUICE_E_BADSAMPLE : SLUICE_OK;
    }
    if (status == SLUICE_OK) {
        status = sl_influence_set_add(engine->influence, name, batch->samples, batch->n_samples);
    }
    sluice_batch_close(&batch);
    return decoded ? refuse_set(status, name, why) : status;
}

sluice_status sluice_engine_reference_remove(sluice_engine *engine, const char *name,
                                             sluice_message *why)
{
    sluice_status status = sl_influence_set_remove(engine->influence, name);
    return status == SLUICE_OK ? status
                               : sluice_fail(why, status, "there is no reference \"%.64s\"", name);
}

uint32_t sluice_engine_references(const sluice_engine *engine,
                                  sluice_reference_info out[SLUICE_LIMIT_REFERENCES])
{
    return sl_influence_sets(engine->influence, out);
}

const sluice_portfolio *sluice_engine_portfolio(const sluice_engine *engine)
{
    return engine->portfolio;
}

const sluice_portfolio *sluice_engine_groups(const sluice_engine *engine)
{
    return sl_decide_groups(engine->decide);
}

void sluice_engine_counters(const sluice_engine *engine, sluice_counters *out)
{
    sl_duplicate_counters(engine->duplicate, out);
    out->next_offset = engine->next_offset;
}

sluice_status sluice_engine_change(sluice_engine *engine, const sluice_config *config,
                                   sluice_message *why)
{
    sl_decide *next;
    SLUICE_TRY(sl_decide_open(config, &next, why));
    sl_decide_close(&engine->next_decide);
    engine->next_decide = next;
    engine->changed_at = UINT64_MAX;
    return SLUICE_OK;
}

uint64_t sluice_engine_changed_at(const sluice_engine *engine)
{
    return engine->changed_at;
}

uint32_t sluice_engine_n_rules(const sluice_engine *engine)
{
    return sl_policy_n_rules(sl_decide_policy(engine->decide));
}

sluice_rule_faults sluice_engine_rule_faults(const sluice_engine *engine, uint32_t i_rule)
{
    const sl_policy_rule_faults *faults =
        sl_policy_faults_of(sl_decide_policy(engine->decide), i_rule);
    return (sluice_rule_faults){faults->n, faults->text.text};
}

uint32_t sluice_engine_n_groups(const sluice_engine *engine)
{
    return sl_groups_n(sl_decide_groups(engine->decide));
}

sluice_group_counts sluice_engine_group(const sluice_engine *engine, uint32_t i_group)
{
    return sl_groups_at(sl_decide_groups(engine->decide), i_group);
}

sluice_fairness sluice_engine_fairness(const sluice_engine *engine)
{
    return sl_decide_fairness(engine->decide);
}

uint32_t sluice_engine_encoders(const sluice_engine *engine,
                                sluice_encoder_state out[SLUICE_LIMIT_ENCODERS])
{
    return sl_influence_encoders(engine->influence, out);
}

bool sluice_engine_validate(const sluice_engine *engine, const char **reason)
{
    return sl_duplicate_validate(engine->duplicate, reason) &&
           sluice_portfolio_validate(engine->portfolio, reason);
}
