/* dependents.c - lists the samples of a state that were dropped in favour of another.
 *
 * Why a pass over the log: records name their representative by id, and the log has no index by it
 * (design 5.1); a pass reads about 1 GB/s. What retention has deleted is not listed. */
#include "command/dependents.h"
#include "command/restored.h"

#include "arena.h"
#include "bytes.h"
#include "record.h"

#include <jansson.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef struct listing {
    const char *id;
    bool json;
    sl_restored restored;
    sl_arena *arena;
    uint64_t n;
} listing;

static json_t *text_of(sluice_span span)
{
    return json_stringn(span.size > 0 ? (const char *)span.data : "", span.size);
}

static void print_json(const sluice_sample *sample, bool restored, uint64_t at)
{
    json_t *line =
        json_pack("{s:I, s:o, s:o, s:o, s:f, s:s, s:o}", "offset", (json_int_t)sample->offset, "id",
                  text_of(sample->id), "source", text_of(sample->source), "of_source",
                  text_of(sample->match.of_source), "similarity", (double)sample->match.similarity,
                  "method", sl_record_method_name(sample->match.method), "restored_at",
                  restored ? json_integer((json_int_t)at) : json_null());
    json_dumpf(line, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
    printf("\n");
    json_decref(line);
}

static void print_line(const sluice_sample *sample, bool restored, uint64_t at)
{
    char note[48] = "";
    if (restored) {
        snprintf(note, sizeof note, "  restored at offset %" PRIu64, at);
    }
    printf("%10" PRIu64 "  %-9s %.3f  %.*s  (%.*s)%s\n", sample->offset,
           sl_record_method_name(sample->match.method), (double)sample->match.similarity,
           (int)sample->id.size, (const char *)sample->id.data, (int)sample->source.size,
           sample->source.size > 0 ? (const char *)sample->source.data : "", note);
}

static bool visit(void *context, const sl_spool_sample *stored)
{
    listing *list = context;
    if (stored->decision != SLUICE_DROP ||
        memmem(stored->wire.data, stored->wire.size, list->id, strlen(list->id)) == NULL) {
        return true;
    }
    sluice_sample sample;
    sl_arena_reset(list->arena, 8 * stored->wire.size + 65536);
    if (sl_record_sample_of_wire(stored->wire, list->arena, &sample) != SLUICE_OK ||
        sample.match.method == SLUICE_METHOD_NONE ||
        !sl_span_equal(sample.match.of_id, sl_span_of(list->id))) {
        return true;
    }
    uint64_t at = 0;
    bool restored = sl_restored_find(&list->restored, stored->offset, &at);
    list->n++;
    if (list->json) {
        print_json(&sample, restored, at);
    } else {
        print_line(&sample, restored, at);
    }
    return true;
}

sluice_status sl_dependents_print(const char *id, bool json, sl_spool *spool, sluice_message *why)
{
    listing list = {.id = id, .json = json};
    SLUICE_TRY(sl_arena_open(&list.arena));
    sluice_status status = sl_restored_load(&list.restored, spool, why);
    if (status == SLUICE_OK) {
        status = sl_spool_samples(spool, 0, visit, &list, why);
    }
    if (status == SLUICE_OK && list.n == 0 && !json) {
        printf("no sample in the log was dropped in favour of \"%s\"\n", id);
    }
    sl_restored_fini(&list.restored);
    sl_arena_close(&list.arena);
    return status;
}
