/* highlights.c - the few samples that a report shows: duplicates, and those that stand out.
 *
 *   sample --+--> list[score][order]: the best 10    --+
 *            +--> pairs[method]: the 20 least alike  --+--> log at offset: record, text, picture
 *            +--> similarity[method][50]
 *
 * Why the least alike: equal bytes convince anybody; whether a threshold is right is seen at it.
 * Why a pass for what is repeated: the log names it, and has no index by name. */
#include "command/highlights.h"
#include "bytes.h"
#include "decode/sample_fields.h"
#include "record.h"
#include "watch/object.h"
#include "watch/observer.h"
#include "watch/pages.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define FIRST_TOWARD 4
#define N_SCORES     (FIRST_TOWARD + SLUICE_LIMIT_REFERENCES)
#define N_LISTS      (2 * N_SCORES) /* [2 * score + ascending] */
#define MOST_SHOWN   (N_LISTS * SL_HIGHLIGHTS_TOP + 2 * SL_HIGHLIGHTS_PAIRS)

static const char *const score_names[FIRST_TOWARD] = {"self", "loss", "leverage", "source_shift"};

typedef struct shown {
    double value; /* larger is shown before smaller */
    uint64_t offset;
    sluice_bytes record; /* with_records */
} shown;

typedef struct pair {
    shown sample;       /* value: how unlike */
    uint64_t of_offset; /* UINT64_MAX: not found */
    uint32_t of_id_size, of_source_size;
    uint8_t of_id[SLUICE_LIMIT_ID_BYTES], of_source[SLUICE_LIMIT_SOURCE_BYTES];
} pair;

struct sl_highlights {
    bool with_records;
    sluice_status status;
    uint64_t n_offered, by_method[SLUICE_N_METHODS];
    uint64_t similarity[SLUICE_N_METHODS][SL_SIMILARITY_BINS];
    uint32_t n_references;
    char reference[SLUICE_LIMIT_REFERENCES][64];
    uint32_t n[N_LISTS];
    shown list[N_LISTS][SL_HIGHLIGHTS_TOP];
    uint32_t n_pairs[SLUICE_N_METHODS];
    pair pair[SLUICE_N_METHODS][SL_HIGHLIGHTS_PAIRS];
    sluice_bytes samples; /* fetched: members of an object */
};

sluice_status sl_highlights_open(bool with_records, sl_highlights **out)
{
    *out = calloc(1, sizeof **out);
    if (*out == NULL) {
        return SLUICE_E_NOMEM;
    }
    (*out)->with_records = with_records;
    (*out)->status = SLUICE_OK;
    return SLUICE_OK;
}

void sl_highlights_close(sl_highlights **highlights_p)
{
    sl_highlights *highlights = *highlights_p;
    if (highlights == NULL) {
        return;
    }
    for (uint32_t l = 0; l < N_LISTS; l++) {
        for (uint32_t i = 0; i < highlights->n[l]; i++) {
            sl_bytes_fini(&highlights->list[l][i].record);
        }
    }
    for (uint32_t m = 0; m < SLUICE_N_METHODS; m++) {
        for (uint32_t i = 0; i < highlights->n_pairs[m]; i++) {
            sl_bytes_fini(&highlights->pair[m][i].sample.record);
        }
    }
    sl_bytes_fini(&highlights->samples);
    free(highlights);
    *highlights_p = NULL;
}

/* --- offer --- */

static void keep_record(sl_highlights *highlights, const sluice_sample *sample, shown *to)
{
    if (highlights->with_records && highlights->status == SLUICE_OK) {
        highlights->status = sl_record_json(sample, &to->record);
    }
}

/* Of equal values the older one stays. */
static void offer_to(sl_highlights *highlights, uint32_t l, double value,
                     const sluice_sample *sample)
{
    shown *list = highlights->list[l];
    uint32_t *n = &highlights->n[l];
    bool full = *n == SL_HIGHLIGHTS_TOP;
    if (!isfinite(value) || (full && value <= list[*n - 1].value)) {
        return;
    }
    if (full) {
        sl_bytes_fini(&list[--*n].record);
    }
    uint32_t i = *n;
    for (; i > 0 && list[i - 1].value < value; i--) {
        list[i] = list[i - 1];
    }
    list[i] = (shown){.value = value, .offset = sample->offset};
    keep_record(highlights, sample, &list[i]);
    ++*n;
}

static uint32_t reference_of(sl_highlights *highlights, const char *name)
{
    uint32_t r = 0;
    while (r < highlights->n_references && strcmp(highlights->reference[r], name) != 0) {
        r++;
    }
    if (r == highlights->n_references && r < SLUICE_LIMIT_REFERENCES) {
        snprintf(highlights->reference[r], sizeof highlights->reference[r], "%s", name);
        highlights->n_references++;
    }
    return r;
}

static void offer_scores(sl_highlights *highlights, const sluice_sample *sample)
{
    const sluice_scores *scores = &sample->scores;
    double value[N_SCORES];
    for (uint32_t s = 0; s < N_SCORES; s++) {
        value[s] = (double)NAN;
    }
    value[0] = (double)scores->self;
    value[1] = (double)scores->loss;
    value[2] = (double)scores->leverage;
    value[3] = (double)scores->source_shift;
    for (uint32_t r = 0; r < scores->n_toward; r++) {
        uint32_t slot = reference_of(highlights, scores->toward_name[r]);
        if (slot < SLUICE_LIMIT_REFERENCES) {
            value[FIRST_TOWARD + slot] = (double)scores->toward[r];
        }
    }
    for (uint32_t s = 0; s < N_SCORES; s++) {
        offer_to(highlights, 2 * s, value[s], sample);
        offer_to(highlights, 2 * s + 1, -value[s], sample);
    }
}

static void fill_pair(pair *to, const sluice_match *match)
{
    to->of_offset = UINT64_MAX;
    to->of_id_size = (uint32_t)match->of_id.size;
    to->of_source_size = (uint32_t)match->of_source.size;
    memcpy(to->of_id, match->of_id.data, match->of_id.size);
    if (match->of_source.size > 0) {
        memcpy(to->of_source, match->of_source.data, match->of_source.size);
    }
}

static bool repeats(const pair *of, const sluice_match *match)
{
    return sl_span_equal((sluice_span){of->of_id, of->of_id_size}, match->of_id) &&
           sl_span_equal((sluice_span){of->of_source, of->of_source_size}, match->of_source);
}

/* The place that a pair would have to leave: that of the same sample repeated, or the last one.
 * n: none. A page is to show many samples, not one that came many times. */
static uint32_t place_to_leave(const pair *list, uint32_t n, const sluice_match *match)
{
    uint32_t i = 0;
    while (i < n && !repeats(&list[i], match)) {
        i++;
    }
    return i == n && n == SL_HIGHLIGHTS_PAIRS ? n - 1 : i;
}

/* Of equal ones the newer comes first. */
static void offer_pair(sl_highlights *highlights, const sluice_sample *sample)
{
    const sluice_match *match = &sample->match;
    pair *list = highlights->pair[match->method];
    uint32_t *n = &highlights->n_pairs[match->method];
    double value = -(double)match->similarity;
    uint32_t leaves = place_to_leave(list, *n, match);
    if ((leaves < *n && value < list[leaves].sample.value) || match->of_id.size == 0 ||
        match->of_id.size > SLUICE_LIMIT_ID_BYTES ||
        match->of_source.size > SLUICE_LIMIT_SOURCE_BYTES) {
        return;
    }
    if (leaves < *n) {
        sl_bytes_fini(&list[leaves].sample.record);
        memmove(list + leaves, list + leaves + 1, (--*n - leaves) * sizeof *list);
    }
    uint32_t i = *n;
    for (; i > 0 && list[i - 1].sample.value <= value; i--) {
        list[i] = list[i - 1];
    }
    list[i].sample = (shown){.value = value, .offset = sample->offset};
    fill_pair(&list[i], match);
    keep_record(highlights, sample, &list[i].sample);
    ++*n;
}

void sl_highlights_offer(sl_highlights *highlights, const sluice_sample *sample)
{
    highlights->n_offered++;
    if (sample->scores.state != SLUICE_INFLUENCE_NONE) {
        offer_scores(highlights, sample);
    }
    sluice_method method = sample->match.method;
    if (method > SLUICE_METHOD_NONE && method < SLUICE_N_METHODS) {
        int bin = (int)(sample->match.similarity * SL_SIMILARITY_BINS);
        bin = bin < 0 ? 0 : bin >= SL_SIMILARITY_BINS ? SL_SIMILARITY_BINS - 1 : bin;
        highlights->by_method[method]++;
        highlights->similarity[method][bin]++;
        offer_pair(highlights, sample);
    }
}

/* --- choosing --- */

static int compare_pairs(const void *a, const void *b)
{
    const shown *x = &(*(const pair *const *)a)->sample;
    const shown *y = &(*(const pair *const *)b)->sample;
    if (x->value != y->value) {
        return x->value > y->value ? -1 : 1;
    }
    return (x->offset < y->offset) - (x->offset > y->offset);
}

/* Some of each method in turn, so that one that finds much does not hide another; exact ones, which
 * all look alike, where there is room. The least alike first. Returns how many. */
static uint32_t choose_pairs(sl_highlights *highlights, pair *chosen[SL_HIGHLIGHTS_PAIRS])
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < SL_HIGHLIGHTS_PAIRS; i++) {
        for (uint32_t m = SLUICE_METHOD_EXACT + 1; m < SLUICE_N_METHODS; m++) {
            if (i < highlights->n_pairs[m] && n < SL_HIGHLIGHTS_PAIRS) {
                chosen[n++] = &highlights->pair[m][i];
            }
        }
    }
    for (uint32_t i = 0; i < highlights->n_pairs[SLUICE_METHOD_EXACT]; i++) {
        if (n < SL_HIGHLIGHTS_PAIRS) {
            chosen[n++] = &highlights->pair[SLUICE_METHOD_EXACT][i];
        }
    }
    qsort(chosen, n, sizeof *chosen, compare_pairs);
    return n;
}

static int compare_shown(const void *a, const void *b)
{
    const shown *x = *(const shown *const *)a;
    const shown *y = *(const shown *const *)b;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

/* Every sample that is shown once, by offset. Returns how many. */
static uint32_t choose_samples(sl_highlights *highlights, pair *const *pairs, uint32_t n_pairs,
                               const shown *chosen[MOST_SHOWN])
{
    uint32_t n = 0;
    for (uint32_t l = 0; l < N_LISTS; l++) {
        for (uint32_t i = 0; i < highlights->n[l]; i++) {
            chosen[n++] = &highlights->list[l][i];
        }
    }
    for (uint32_t i = 0; i < n_pairs; i++) {
        chosen[n++] = &pairs[i]->sample;
    }
    qsort(chosen, n, sizeof *chosen, compare_shown);
    uint32_t n_once = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (n_once == 0 || chosen[n_once - 1]->offset != chosen[i]->offset) {
            chosen[n_once++] = chosen[i];
        }
    }
    return n_once;
}

/* --- from the log --- */

typedef struct search {
    pair *pair[SL_HIGHLIGHTS_PAIRS];
    uint32_t n;
    uint64_t end; /* no pair is as late */
} search;

/* What is named last before its duplicate is it: ids are said to be unique, not more. */
static bool visit(void *context, const sl_spool_sample *sample)
{
    search *wanted = context;
    sl_sample_fields fields;
    sl_refusal refusal;
    if (sample->offset >= wanted->end) {
        return false;
    }
    if (sample->decision != SLUICE_DROP && sl_sample_fields_find(sample->wire, &fields, &refusal)) {
        for (uint32_t i = 0; i < wanted->n; i++) {
            pair *of = wanted->pair[i];
            if (sample->offset < of->sample.offset &&
                sl_span_equal(fields.id, (sluice_span){of->of_id, of->of_id_size}) &&
                sl_span_equal(fields.source, (sluice_span){of->of_source, of->of_source_size})) {
                of->of_offset = sample->offset;
            }
        }
    }
    return true;
}

static sluice_status find_repeated(search *wanted, sl_spool *spool, sluice_message *why)
{
    for (uint32_t i = 0; i < wanted->n; i++) {
        uint64_t offset = wanted->pair[i]->sample.offset;
        wanted->end = wanted->end > offset ? wanted->end : offset;
    }
    uint64_t from = wanted->end > SL_HIGHLIGHTS_BACK ? wanted->end - SL_HIGHLIGHTS_BACK : 0;
    return wanted->n > 0 ? sl_spool_samples(spool, from, visit, wanted, why) : SLUICE_OK;
}

static void put_one(sl_object *object, sl_spool *spool, uint64_t offset)
{
    static const sl_pages_look look = {4 * SL_HIGHLIGHTS_CHARACTERS, SL_HIGHLIGHTS_CHARACTERS,
                                       true};
    char name[24];
    snprintf(name, sizeof name, "%" PRIu64, offset);
    sl_pages_sample(object, name, spool, offset, &look);
}

sluice_status sl_highlights_fetch(sl_highlights *highlights, sl_spool *spool, sluice_message *why)
{
    search wanted = {.end = 0};
    const shown *chosen[MOST_SHOWN];
    wanted.n = choose_pairs(highlights, wanted.pair);
    SLUICE_TRY(find_repeated(&wanted, spool, why));
    uint32_t n = choose_samples(highlights, wanted.pair, wanted.n, chosen);
    sl_object object = sl_object_of(&highlights->samples);
    for (uint32_t i = 0; i < n; i++) {
        put_one(&object, spool, chosen[i]->offset);
    }
    /* One that is shown for its own sake besides is there twice, which does no harm. */
    for (uint32_t i = 0; i < wanted.n; i++) {
        if (wanted.pair[i]->of_offset != UINT64_MAX) {
            put_one(&object, spool, wanted.pair[i]->of_offset);
        }
    }
    return object.status;
}

/* --- from the records --- */

static void put_records(sl_object *object, const shown *const *chosen, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        char name[24];
        snprintf(name, sizeof name, "%" PRIu64, chosen[i]->offset);
        sl_object_open(object, name, '{');
        sl_object_count(object, "offset", chosen[i]->offset);
        sl_object_json(object, "record",
                       (sluice_span){chosen[i]->record.data, chosen[i]->record.size});
        sl_object_close(object, '}');
    }
}

/* --- write --- */

static void put_similarity(sl_object *object, const sl_highlights *highlights)
{
    sl_object_open(object, "similarity", '[');
    for (int m = SLUICE_METHOD_NONE + 1; m < SLUICE_N_METHODS; m++) {
        sl_object_open(object, NULL, '{');
        sl_object_text(object, "method", sl_record_method_name((sluice_method)m));
        sl_object_count(object, "n", highlights->by_method[m]);
        sl_object_open(object, "similarity", '[');
        for (int i = 0; i < SL_SIMILARITY_BINS; i++) {
            sl_object_count(object, NULL, highlights->similarity[m][i]);
        }
        sl_object_close(object, ']');
        sl_object_close(object, '}');
    }
    sl_object_close(object, ']');
}

static sluice_method method_of(const sl_highlights *highlights, const pair *of)
{
    size_t i = (size_t)(of - &highlights->pair[0][0]);
    return (sluice_method)(i / SL_HIGHLIGHTS_PAIRS);
}

static void put_pair(sl_object *object, const sl_highlights *highlights, const pair *of)
{
    sl_object_open(object, NULL, '{');
    sl_object_text(object, "method", sl_record_method_name(method_of(highlights, of)));
    sl_object_number(object, "similarity", -of->sample.value);
    sl_object_count(object, "sample", of->sample.offset);
    if (of->of_offset != UINT64_MAX) {
        sl_object_count(object, "of", of->of_offset);
    } else {
        sl_object_json(object, "of", (sluice_span){0});
    }
    sl_object_open(object, "of_record", '{');
    sl_object_span(object, "id", (sluice_span){of->of_id, of->of_id_size});
    sl_object_span(object, "source", (sluice_span){of->of_source, of->of_source_size});
    sl_object_close(object, '}');
    sl_object_close(object, '}');
}

static void put_list(sl_object *object, const sl_highlights *highlights, uint32_t l)
{
    char by[96];
    uint32_t s = l / 2;
    bool ascending = l % 2 == 1;
    snprintf(by, sizeof by, "%s%s", s < FIRST_TOWARD ? "" : "toward.",
             s < FIRST_TOWARD ? score_names[s] : highlights->reference[s - FIRST_TOWARD]);
    sl_object_open(object, NULL, '{');
    sl_object_text(object, "by", by);
    sl_object_text(object, "order", ascending ? "asc" : "desc");
    sl_object_open(object, "samples", '[');
    for (uint32_t i = 0; i < highlights->n[l]; i++) {
        const shown *one = &highlights->list[l][i];
        sl_object_open(object, NULL, '[');
        sl_object_number(object, NULL, ascending ? -one->value : one->value);
        sl_object_count(object, NULL, one->offset);
        sl_object_close(object, ']');
    }
    sl_object_close(object, ']');
    sl_object_close(object, '}');
}

static void put_samples(sl_object *object, sl_highlights *highlights, pair *const *pairs,
                        uint32_t n_pairs)
{
    const shown *chosen[MOST_SHOWN];
    sl_object_open(object, "samples", '{');
    if (highlights->with_records) {
        uint32_t n = choose_samples(highlights, pairs, n_pairs, chosen);
        put_records(object, chosen, n);
    } else if (highlights->samples.size > 0 && object->status == SLUICE_OK) {
        object->status =
            sl_bytes_append(object->out, highlights->samples.data, highlights->samples.size);
    }
    sl_object_close(object, '}');
}

sluice_status sl_highlights_write(sl_highlights *highlights, sluice_bytes *out)
{
    pair *pairs[SL_HIGHLIGHTS_PAIRS];
    uint32_t n_pairs = choose_pairs(highlights, pairs);
    sl_object object = sl_object_of(out);
    object.comma = true;
    object.status = highlights->status;
    sl_object_count(&object, "looked_at", highlights->n_offered);
    sl_object_bool(&object, "payloads", !highlights->with_records);
    put_similarity(&object, highlights);
    sl_object_open(&object, "pairs", '[');
    for (uint32_t i = 0; i < n_pairs; i++) {
        put_pair(&object, highlights, pairs[i]);
    }
    sl_object_close(&object, ']');
    sl_object_open(&object, "tops", '[');
    for (uint32_t l = 0; l < 2 * (FIRST_TOWARD + highlights->n_references); l++) {
        put_list(&object, highlights, l);
    }
    sl_object_close(&object, ']');
    put_samples(&object, highlights, pairs, n_pairs);
    return object.status;
}
