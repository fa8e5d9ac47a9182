/* exact.c - judges every verdict of a stream by exact set similarity.
 *
 *   usage: exact [--set KEY=VALUE]... FILE.jsonl[.zst]
 *
 * The filter's engine runs over the file. Beside it the shingle sets of all kept texts are held
 * whole, in an inverted index, so that for every sample the most similar kept text and its exact
 * Jaccard J are known: among those that are no other text for their numbers, where the profile goes
 * by them. With t the threshold of the sample's profile and length, and e two standard deviations
 * of the sketch's estimate at t, e = 2 sqrt(t (1 - t) / 128):
 *
 *     J >= t + e  the sample must be dropped      recall    = dropped / must be dropped
 *     J <  t - e  the sample must be kept         precision = 1 - dropped among these / dropped
 *     between     either is right; counted as borderline
 *
 * A cover violation is a dropped text whose named kept text has exact J < t - 2 e (4 deviations).
 * One line of JSON on standard output. */
#include "bytes.h"
#include "command/input.h"
#include "command/settings.h"
#include "features/features.h"
#include "features/fold_chinese.h"
#include "features/normalize.h"
#include "features/shingle.h"
#include "features/trace.h"
#include "features/unicode.h"
#include "features/units.h"
#include "sluice/engine.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct set {
    uint64_t *hash; /* sorted, distinct */
    uint32_t n;
    uint8_t profile, trace[SLUICE_TRACE_BYTES];
} set;

typedef struct posting {
    uint64_t key; /* hash and profile; 0 = free place */
    uint32_t *text;
    uint32_t n, capacity;
} posting;

typedef struct counts {
    uint64_t samples, kept, dropped_exact, dropped_text, must_drop, missed, must_keep, wrong,
        borderline, uncovered;
    double error2;
    uint64_t n_error;
} counts;

static sluice_config config;
static sl_unicode *unicode;
static sl_normal normal, folded;
static sl_units units;
static set *sets; /* by offset */
static size_t n_sets;
static posting *postings;
static size_t n_postings = (size_t)1 << 23;
static uint32_t *shared; /* by offset: members in common with the sample at hand */

static void must(bool good, const char *what)
{
    if (!good) {
        fprintf(stderr, "exact: %s\n", what);
        exit(1);
    }
}

static int compare_hash(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static set set_of(const sluice_sample *sample)
{
    set made = {.profile = sample->features.profile};
    if ((sample->features.has & SLUICE_HAS_SKETCH) == 0) {
        return made;
    }
    memcpy(made.trace, sample->features.trace, sizeof made.trace);
    sl_text_settings settings = sl_text_settings_of(&config, (sluice_profile)made.profile);
    const sl_normal *text = &normal;
    must(sl_normalize(unicode, sample->payload, false, SL_KERNEL_REF, &normal) == SLUICE_OK,
         "normalize");
    if (settings.fold_chinese) {
        must(sl_fold_chinese(unicode, &normal, &folded) == SLUICE_OK, "fold");
        text = &folded;
    }
    must(sl_units_make(unicode, text, settings.shingle.unit, config.seed, SL_KERNEL_REF, &units) ==
             SLUICE_OK,
         "units");
    size_t n = sl_shingle_make(units.hash, units.n, settings.shingle.n, SL_KERNEL_REF);
    made.hash = malloc((n + 1) * sizeof *made.hash);
    must(made.hash != NULL, "memory");
    memcpy(made.hash, units.hash, n * sizeof *made.hash);
    qsort(made.hash, n, sizeof *made.hash, compare_hash);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || made.hash[i] != made.hash[i - 1]) {
            made.hash[made.n++] = made.hash[i];
        }
    }
    return made;
}

static posting *posting_of(uint64_t hash, uint8_t profile)
{
    uint64_t key = (hash ^ ((uint64_t)profile << 56)) | 1;
    size_t i = (size_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 20) % n_postings;
    while (postings[i].key != 0 && postings[i].key != key) {
        i = (i + 1) % n_postings;
    }
    postings[i].key = key;
    return &postings[i];
}

static void remember(const set *kept, uint32_t offset)
{
    for (uint32_t i = 0; i < kept->n; i++) {
        posting *list = posting_of(kept->hash[i], kept->profile);
        if (list->n == list->capacity) {
            list->capacity = list->capacity == 0 ? 2 : 2 * list->capacity;
            list->text = realloc(list->text, list->capacity * sizeof *list->text);
            must(list->text != NULL, "memory");
        }
        list->text[list->n++] = offset;
    }
}

static double jaccard(const set *a, const set *b)
{
    uint32_t i = 0, j = 0, common = 0;
    while (i < a->n && j < b->n) {
        common += a->hash[i] == b->hash[j];
        uint64_t x = a->hash[i], y = b->hash[j];
        i += x <= y;
        j += y <= x;
    }
    uint32_t all = a->n + b->n - common;
    return a->profile == b->profile && all > 0 ? (double)common / all : 0.0;
}

/* The largest exact Jaccard with a kept text that may be its original. */
static double best_jaccard(const set *sample, size_t n_texts, bool numbers)
{
    double best = 0.0;
    memset(shared, 0, n_texts * sizeof *shared);
    for (uint32_t i = 0; i < sample->n; i++) {
        const posting *list = posting_of(sample->hash[i], sample->profile);
        for (uint32_t j = 0; j < list->n; j++) {
            uint32_t common = ++shared[list->text[j]];
            double value = (double)common / (sample->n + sets[list->text[j]].n - common);
            bool other = value > best && numbers &&
                         sl_trace_compare(sample->trace, sets[list->text[j]].trace) ==
                             SLUICE_DIFFERS_NUMBERS;
            best = value > best && !other ? value : best;
        }
    }
    return best;
}

static void judge(counts *all, const sluice_sample *sample)
{
    all->samples++;
    sets[n_sets] = set_of(sample);
    set *own = &sets[n_sets];
    bool dropped = sample->verdict.decision == SLUICE_DROP;
    bool by_text = sample->match.method == SLUICE_METHOD_TEXT;
    all->kept += !dropped;
    all->dropped_exact += dropped && !by_text;
    all->dropped_text += by_text;
    if (own->n > 0 && (!dropped || by_text)) {
        sl_text_settings settings = sl_text_settings_of(&config, (sluice_profile)own->profile);
        bool brief = sample->features.n_shingles < SL_TEXT_BRIEF && settings.brief > 0;
        double t = (double)(brief ? settings.brief : settings.threshold);
        double e = 2 * sqrt(t * (1 - t) / 128);
        double best = best_jaccard(own, n_sets, settings.numbers);
        bool must_drop = best >= t + e && t < 1, must_keep = best < t - e;
        all->must_drop += must_drop;
        all->missed += must_drop && !dropped;
        all->must_keep += must_keep;
        all->wrong += must_keep && dropped;
        all->borderline += !must_drop && !must_keep;
        if (by_text) {
            double exact = jaccard(own, &sets[sample->match.of_offset]);
            all->uncovered += exact < t - 2 * e;
            all->error2 += (exact - (double)sample->match.similarity) *
                           (exact - (double)sample->match.similarity);
            all->n_error++;
        }
    }
    if (!dropped) {
        remember(own, (uint32_t)n_sets);
    }
    n_sets++;
}

static void run_file(const char *path, counts *all)
{
    sluice_message why = {""};
    sl_input *input = NULL;
    sluice_engine *engine = NULL;
    sluice_batch *batch = NULL;
    must(sl_input_open(&path, 1, SL_INPUT_AUTO, &input, &why) == SLUICE_OK, why.text);
    must(sluice_engine_open(&config, &engine, &why) == SLUICE_OK, why.text);
    must(sluice_batch_open(&batch) == SLUICE_OK, "memory");
    sl_input_item item;
    sluice_bytes bytes = {0};
    size_t capacity = 0;
    while (sl_input_next(input, &item, &why) == SLUICE_OK) {
        if (item.reason != NULL) {
            continue;
        }
        if (n_sets == capacity) {
            capacity = capacity == 0 ? 4096 : 2 * capacity;
            sets = realloc(sets, capacity * sizeof *sets);
            shared = realloc(shared, capacity * sizeof *shared);
            must(sets != NULL && shared != NULL, "memory");
        }
        bytes.size = 0;
        must(sl_bytes_put_varint(&bytes, 0x0a) == SLUICE_OK &&
                 sl_bytes_put_varint(&bytes, item.wire.size) == SLUICE_OK &&
                 sl_bytes_append(&bytes, item.wire.data, item.wire.size) == SLUICE_OK,
             "memory");
        must(sluice_batch_decode(batch, (sluice_span){bytes.data, bytes.size}, &why) == SLUICE_OK,
             why.text);
        must(sluice_batch_features(batch, &config) == SLUICE_OK, "memory");
        sluice_engine_run(engine, batch);
        if (batch->samples[0].offset != UINT64_MAX && !batch->samples[0].match.redelivered) {
            judge(all, &batch->samples[0]);
        }
    }
}

static double share(uint64_t part, uint64_t whole)
{
    return whole == 0 ? 0.0 : (double)part / (double)whole;
}

int main(int argc, char **argv)
{
    sl_settings settings = {0};
    const char *path = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--set") == 0 && i + 1 < argc) {
            must(sl_settings_assign(&settings, argv[++i]), "too many --set");
        } else {
            path = argv[i];
        }
    }
    must(path != NULL, "usage: exact [--set KEY=VALUE]... FILE");
    must(sl_settings_read(&settings, &config), "configuration");
    must(sl_unicode_open(&unicode) == SLUICE_OK, "unicode");
    postings = calloc(n_postings, sizeof *postings);
    must(postings != NULL, "memory");
    counts all = {0};
    run_file(path, &all);
    printf(
        "{\"samples\": %llu, \"kept\": %llu, \"exact\": %llu, \"text\": %llu, \"must_drop\": %llu, "
        "\"missed\": %llu, \"must_keep\": %llu, \"wrong\": %llu, \"borderline\": %llu, "
        "\"uncovered\": %llu, \"recall\": %.4f, \"precision\": %.4f, \"rmse\": %.4f}\n",
        (unsigned long long)all.samples, (unsigned long long)all.kept,
        (unsigned long long)all.dropped_exact, (unsigned long long)all.dropped_text,
        (unsigned long long)all.must_drop, (unsigned long long)all.missed,
        (unsigned long long)all.must_keep, (unsigned long long)all.wrong,
        (unsigned long long)all.borderline, (unsigned long long)all.uncovered,
        1.0 - share(all.missed, all.must_drop), 1.0 - share(all.wrong, all.dropped_text),
        sqrt(all.n_error > 0 ? all.error2 / (double)all.n_error : 0.0));
    return 0;
}
