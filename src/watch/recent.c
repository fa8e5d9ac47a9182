/* recent.c - follows the log: the newest verdicts with their numbers, and the live tap.
 *
 *   log   ...  | read before | skipped, if too much | read now |  end
 *                                                       +--> ring of 2,048 rows of numbers
 *                                                       +--> tap, as JSON, if anybody watches
 *
 * Why a watcher of a fast stream sees less of it and not more: what it gets has a gap in any case,
 * and each record takes time that the stream has not got.
 * Why the log and not the estimator: what is there has its record, is durable, and reading it takes
 * nothing from the thread that judges. Refused samples are not in it; those are told by the
 * estimator's tallies. */
#include "watch/recent.h"
#include "arena.h"
#include "bytes.h"
#include "log.h"
#include "record.h"
#include "watch/view.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define A_TURN      256  /* records looked at in a turn */
#define A_TURN_MOST 1024 /* if somebody watches and that is all that came */
#define A_TURN_US   5000
#define ARENA_BYTES ((size_t)1 << 20)

struct sl_recent {
    sl_spool *spool; /* Borrows */
    sl_tap *tap;     /* Borrows */
    sl_arena *arena;
    sluice_bytes json, shown;
    uint64_t cursor, n_refused;
    uint64_t n_rows; /* ever */
    sl_recent_row row[SL_RECENT_MAX];
    char set[SLUICE_LIMIT_REFERENCES][SLUICE_LIMIT_STRING_BYTES];
    uint32_t next_set; /* makes room for another, once all places are taken */
    /* of one turn */
    uint32_t n_turn, turn_max;
    int64_t now_us, turn_until_us;
    sl_log_limit limit;
};

sluice_status sl_recent_open(sl_spool *spool, sl_tap *tap, sl_recent **out)
{
    *out = calloc(1, sizeof **out);
    if (*out == NULL || sl_arena_open(&(*out)->arena) != SLUICE_OK) {
        sl_recent_close(out);
        return SLUICE_E_NOMEM;
    }
    (*out)->spool = spool;
    (*out)->tap = tap;
    /* The first turn looks back, so that there is something to see at once. */
    sl_spool_extent extent = sl_spool_extent_of(spool);
    uint64_t back = extent.next_offset - extent.first_offset;
    (*out)->cursor = extent.next_offset - (back < A_TURN ? back : A_TURN);
    return SLUICE_OK;
}

void sl_recent_close(sl_recent **recent_p)
{
    if (*recent_p != NULL) {
        sl_arena_close(&(*recent_p)->arena);
        sl_bytes_fini(&(*recent_p)->json);
        sl_bytes_fini(&(*recent_p)->shown);
        free(*recent_p);
        *recent_p = NULL;
    }
}

static void tell(sl_recent *recent, const sluice_sample *sample)
{
    sl_bytes_clear(&recent->json);
    if (sl_tap_wants(recent->tap, sample) && sl_record_json(sample, &recent->json) == SLUICE_OK) {
        sl_tap_record(recent->tap, sample, (sluice_span){recent->json.data, recent->json.size},
                      recent->now_us);
    }
}

/* Sets come and go while the filter runs, and a record has only those of its time, so a score is
 * kept by the name of its set. */
static uint32_t place_of_set(sl_recent *recent, const char *name)
{
    for (uint32_t i = 0; i < SLUICE_LIMIT_REFERENCES; i++) {
        if (strcmp(recent->set[i], name) == 0) {
            return i;
        }
    }
    uint32_t i = recent->next_set++ % SLUICE_LIMIT_REFERENCES;
    snprintf(recent->set[i], sizeof recent->set[i], "%s", name);
    for (uint32_t r = 0; r < SL_RECENT_MAX; r++) {
        recent->row[r].toward[i] = NAN;
    }
    return i;
}

static void keep_row(sl_recent *recent, const sluice_sample *sample)
{
    const sluice_scores *scores = &sample->scores;
    bool scored = scores->state != SLUICE_INFLUENCE_NONE;
    sl_recent_row *row = &recent->row[recent->n_rows++ % SL_RECENT_MAX];
    *row = (sl_recent_row){.offset = sample->offset,
                           .decision = sample->verdict.decision,
                           .method = sample->match.method,
                           .similarity = sample->match.method != SLUICE_METHOD_NONE
                                             ? (float)sample->match.similarity
                                             : NAN,
                           .self = scored ? scores->self : NAN,
                           .leverage = scored ? scores->leverage : NAN,
                           .source_shift = scored ? scores->source_shift : NAN,
                           .loss = scored ? scores->loss : NAN};
    for (uint32_t i = 0; i < SLUICE_LIMIT_REFERENCES; i++) {
        row->toward[i] = NAN;
    }
    for (uint32_t i = 0; scored && i < scores->n_toward; i++) {
        row->toward[place_of_set(recent, scores->toward_name[i])] = scores->toward[i];
    }
}

static bool visit(void *context, const sl_spool_sample *stored)
{
    sl_recent *recent = context;
    if (recent->n_turn == recent->turn_max || sl_view_clock_us() > recent->turn_until_us) {
        return false;
    }
    sluice_sample sample;
    sl_arena_reset(recent->arena, ARENA_BYTES);
    if (sl_record_verdict_of_wire(stored->wire, recent->arena, &sample) == SLUICE_OK) {
        sample.offset = stored->offset;
        keep_row(recent, &sample);
        tell(recent, &sample);
    }
    recent->cursor = stored->offset + 1;
    recent->n_turn++;
    return true;
}

static void skip(sl_recent *recent, uint64_t n)
{
    sl_tap_skip(recent->tap, n);
}

static void tell_refused(sl_recent *recent, const sl_tallies *tallies)
{
    uint64_t n_new = tallies->n_refused - recent->n_refused;
    if (n_new > SL_REFUSED_MAX) {
        skip(recent, n_new - SL_REFUSED_MAX);
        recent->n_refused = tallies->n_refused - SL_REFUSED_MAX;
    }
    for (; recent->n_refused < tallies->n_refused; recent->n_refused++) {
        const sl_refused *refused = &tallies->refused[recent->n_refused % SL_REFUSED_MAX];
        sluice_sample sample = {.offset = UINT64_MAX,
                                .id = sl_span_of(refused->id),
                                .source = sl_span_of(refused->source),
                                .verdict = {.decision = SLUICE_REFUSE,
                                            .weight = 1.0f,
                                            .n_reasons = 1,
                                            .reasons = {refused->reason}}};
        tell(recent, &sample);
    }
}

void sl_recent_advance(sl_recent *recent, const sl_tallies *tallies, int64_t now_us)
{
    sl_spool_extent extent = sl_spool_extent_of(recent->spool);
    recent->now_us = now_us;
    recent->turn_until_us = now_us + A_TURN_US;
    recent->n_turn = 0;
    tell_refused(recent, tallies);
    bool whole =
        sl_tap_n_watchers(recent->tap) > 0 && extent.next_offset - recent->cursor <= A_TURN_MOST;
    recent->turn_max = whole ? A_TURN_MOST : A_TURN;
    if (extent.next_offset - recent->cursor > recent->turn_max) {
        uint64_t from = extent.next_offset - recent->turn_max;
        skip(recent, from - recent->cursor);
        recent->cursor = from;
    }
    if (recent->cursor < extent.next_offset) {
        sluice_message why = {""};
        if (sl_spool_samples(recent->spool, recent->cursor, visit, recent, &why) != SLUICE_OK &&
            sl_log_allowed(&recent->limit, 1)) {
            sl_log(0, "WATCH-READ", "%s", why.text);
        }
    }
    sl_tap_beat(recent->tap, now_us);
}

uint32_t sl_recent_n(const sl_recent *recent)
{
    return recent->n_rows < SL_RECENT_MAX ? (uint32_t)recent->n_rows : SL_RECENT_MAX;
}

const char *sl_recent_set(const sl_recent *recent, uint32_t i)
{
    return recent->set[i];
}

const sl_recent_row *sl_recent_row_at(const sl_recent *recent, uint32_t i)
{
    return &recent->row[(recent->n_rows - 1 - i) % SL_RECENT_MAX];
}
