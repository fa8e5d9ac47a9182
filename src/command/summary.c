/* summary.c - what a pass over samples came to, for people and for programs.
 *
 * Conservation, shown and asserted: received = kept + flagged + dropped + refused + redelivered. */
#include "summary.h"
#include "progress.h"
#include "status.h"

#include <jansson.h>

#include <stdlib.h>
#include <string.h>

#define SL_SUMMARY_SOURCES     8  /* shown to people */
#define SL_SUMMARY_SOURCE_SIZE 10 /* samples below which a share says little */

static const char *const method_names[SLUICE_N_METHODS] = {"none", "exact", "text", "image",
                                                           "embedding"};

/* Images that are compared by their bytes only; NULL: the others. */
static const char *const image_states[SLUICE_N_IMAGE_STATES] = {
    [SLUICE_IMAGE_FLAT] = "flat or tiny",
    [SLUICE_IMAGE_FOREIGN] = "of other formats",
    [SLUICE_IMAGE_UNSUPPORTED] = "of unsupported kinds"};

void sl_summary_add(sl_summary *summary, const sluice_sample *sample)
{
    summary->received++;
    if (sample->match.redelivered) {
        summary->redelivered++;
        return;
    }
    switch (sample->verdict.decision) {
    case SLUICE_KEEP:
        summary->kept++;
        break;
    case SLUICE_FLAG:
        summary->flagged++;
        break;
    case SLUICE_DROP:
        summary->dropped++;
        break;
    default:
        summary->refused++;
        return;
    }
    summary->images[sample->features.image_state]++;
    summary->duplicates[sample->match.method] += sample->match.method != SLUICE_METHOD_NONE;
}

static uint64_t samples_of(const sluice_source_row *source)
{
    return source->kept + source->flagged + source->dropped;
}

static int compare_shares(const void *a, const void *b)
{
    const sluice_source_row *x = a;
    const sluice_source_row *y = b;
    /* duplicates / samples, without the division; counts of one pass stay below 2^64 together */
    long double left = (long double)x->duplicates * (long double)samples_of(y);
    long double right = (long double)y->duplicates * (long double)samples_of(x);
    if (left > right || left < right) {
        return left > right ? -1 : 1;
    }
    if (samples_of(x) != samples_of(y)) {
        return samples_of(x) > samples_of(y) ? -1 : 1;
    }
    size_t size = x->source.size < y->source.size ? x->source.size : y->source.size;
    int order = size > 0 ? memcmp(x->source.data, y->source.data, size) : 0;
    return order != 0 ? order
                      : (x->source.size > y->source.size) - (x->source.size < y->source.size);
}

/* All sources, most duplicates first. NULL without memory or without sources. */
static sluice_source_row *sort_sources(const sluice_engine *engine, uint32_t *n)
{
    *n = sluice_portfolio_n_sources(sluice_engine_portfolio(engine));
    sluice_source_row *sources = *n > 0 ? calloc(*n, sizeof *sources) : NULL;
    if (sources == NULL) {
        *n = 0;
        return NULL;
    }
    for (uint32_t i = 0; i < *n; i++) {
        sources[i] = sluice_portfolio_row(sluice_engine_portfolio(engine), i);
    }
    qsort(sources, *n, sizeof *sources, compare_shares);
    return sources;
}

static void print_count(const char *name, uint64_t count, const sl_summary *summary, FILE *file)
{
    char text[32];
    double share = summary->received > 0 ? (double)count / (double)summary->received : 0;
    fprintf(file, "  %-12s %15s  %5.1f %%\n", name, sl_progress_count(count, text, sizeof text),
            share * 100);
}

static void print_source(const sluice_source_row *source, FILE *file)
{
    char duplicates[32], samples[32];
    int size = (int)(source->source.size < 40 ? source->source.size : 40);
    fprintf(file, "    %5.1f %%  %s of %s  %.*s\n",
            100 * (double)source->duplicates / (double)samples_of(source),
            sl_progress_count(source->duplicates, duplicates, sizeof duplicates),
            sl_progress_count(samples_of(source), samples, sizeof samples), size > 0 ? size : 9,
            size > 0 ? (const char *)source->source.data : "(unnamed)");
}

static void print_sources(const sluice_engine *engine, FILE *file)
{
    uint32_t n;
    uint32_t shown = 0;
    sluice_source_row *sources = sort_sources(engine, &n);
    for (uint32_t i = 0; n > 1 && i < n && shown < SL_SUMMARY_SOURCES; i++) {
        if (sources[i].duplicates == 0 || samples_of(&sources[i]) < SL_SUMMARY_SOURCE_SIZE) {
            continue;
        }
        if (shown == 0) {
            fprintf(file, "  largest shares of duplicates, of %u sources\n", n);
        }
        print_source(&sources[i], file);
        shown++;
    }
    free(sources);
}

static bool adds_up(const sl_summary *summary)
{
    return summary->received == summary->kept + summary->flagged + summary->dropped +
                                    summary->refused + summary->redelivered;
}

static void print_images(const sl_summary *summary, FILE *file)
{
    char count[32];
    const char *before = "  images compared by their bytes only: ";
    for (int i = 0; i < SLUICE_N_IMAGE_STATES; i++) {
        if (image_states[i] != NULL && summary->images[i] > 0) {
            fprintf(file, "%s%s %s", before,
                    sl_progress_count(summary->images[i], count, sizeof count), image_states[i]);
            before = ", ";
        }
    }
    fputs(before[0] == ',' ? "\n" : "", file);
}

void sl_summary_print(const sl_summary *summary, const sluice_engine *engine, FILE *file)
{
    char received[32], bytes[32], rate[32], seconds[32], each[32];
    double time = summary->seconds > 1e-9 ? summary->seconds : 1e-9;
    SLUICE_ASSERT(adds_up(summary));
    fprintf(file, "%s samples, %s in %s (%s/s, %s samples/s)\n",
            sl_progress_count(summary->received, received, sizeof received),
            sl_progress_bytes((double)summary->bytes, bytes, sizeof bytes),
            sl_progress_duration(summary->seconds, seconds, sizeof seconds),
            sl_progress_bytes((double)summary->bytes / time, rate, sizeof rate),
            sl_progress_count((uint64_t)((double)summary->received / time), each, sizeof each));
    print_count("kept", summary->kept, summary, file);
    print_count("flagged", summary->flagged, summary, file);
    print_count("dropped", summary->dropped, summary, file);
    print_count("refused", summary->refused, summary, file);
    print_count("redelivered", summary->redelivered, summary, file);
    const char *before = "  duplicates found: ";
    for (int i = SLUICE_METHOD_EXACT; i < SLUICE_N_METHODS; i++) {
        if (summary->duplicates[i] > 0) {
            fprintf(file, "%s%s by %s", before,
                    sl_progress_count(summary->duplicates[i], received, sizeof received),
                    method_names[i]);
            before = ", ";
        }
    }
    fputs(before[0] == ',' ? "\n" : "", file);
    print_images(summary, file);
    print_sources(engine, file);
}

static void set_count(json_t *object, const char *name, uint64_t count)
{
    json_object_set_new(object, name, json_integer((json_int_t)count));
}

static json_t *source_json(const sluice_source_row *source)
{
    json_t *object = json_object();
    json_object_set_new(
        object, "source",
        json_stringn(source->source.size > 0 ? (const char *)source->source.data : "",
                     source->source.size));
    set_count(object, "kept", source->kept);
    set_count(object, "flagged", source->flagged);
    set_count(object, "dropped", source->dropped);
    set_count(object, "duplicates", source->duplicates);
    return object;
}

void sl_summary_print_json(const sl_summary *summary, const sluice_engine *engine, FILE *file)
{
    SLUICE_ASSERT(adds_up(summary));
    json_t *object = json_object();
    json_t *duplicates = json_object();
    json_t *list = json_array();
    uint32_t n;
    sluice_source_row *sources = sort_sources(engine, &n);
    set_count(object, "received", summary->received);
    set_count(object, "kept", summary->kept);
    set_count(object, "flagged", summary->flagged);
    set_count(object, "dropped", summary->dropped);
    set_count(object, "refused", summary->refused);
    set_count(object, "redelivered", summary->redelivered);
    for (int i = SLUICE_METHOD_EXACT; i < SLUICE_N_METHODS; i++) {
        set_count(duplicates, method_names[i], summary->duplicates[i]);
    }
    json_object_set_new(object, "duplicates", duplicates);
    json_t *images = json_object();
    set_count(images, "usable", summary->images[SLUICE_IMAGE_USABLE]);
    set_count(images, "flat", summary->images[SLUICE_IMAGE_FLAT]);
    set_count(images, "foreign", summary->images[SLUICE_IMAGE_FOREIGN]);
    set_count(images, "unsupported", summary->images[SLUICE_IMAGE_UNSUPPORTED]);
    json_object_set_new(object, "images", images);
    set_count(object, "bytes", summary->bytes);
    json_object_set_new(object, "seconds", json_real(summary->seconds));
    for (uint32_t i = 0; i < n; i++) {
        json_array_append_new(list, source_json(&sources[i]));
    }
    json_object_set_new(object, "sources", list);
    json_dumpf(object, file, JSON_COMPACT | JSON_REAL_PRECISION(6));
    fputc('\n', file);
    free(sources);
    json_decref(object);
}
