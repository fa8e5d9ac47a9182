/* dead_letters.c - the samples of a state that found no way on: list, one of them, all their bytes.
 *
 *   list       key  when  producer or "group NAME"  sequence or offset  reason: text
 *   --show     the same of one, and its sample as it came
 *   --export   the samples alone, each behind its size
 *
 * Why the export leaves out cut samples: half a sample would be sent again as another one. */
#include "command/dead_letters.h"

#include "bytes.h"
#include "decode/sample_fields.h"

#include <jansson.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct dead_work {
    const sl_dead_options *options;
    FILE *file; /* of export */
    uint64_t key, n, n_written, n_cut;
    sluice_status status;
    sluice_message *why;
} dead_work;

static sl_sample_fields fields_of(const sl_spool_dead *dead)
{
    sl_sample_fields fields = {0};
    sl_refusal refusal;
    if (!sl_sample_fields_find(dead->wire, &fields, &refusal)) {
        return fields; /* what was found before the fault */
    }
    return fields;
}

static const char *date_of(int64_t at_us, char *out, size_t size)
{
    time_t seconds = (time_t)(at_us / 1000000);
    struct tm date;
    out[0] = '\0';
    if (gmtime_r(&seconds, &date) != NULL) {
        strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", &date);
    }
    return out;
}

static json_t *text_of(sluice_span span)
{
    if (span.size == 0) { /* which may have no address */
        return json_string("");
    }
    return sl_utf8_valid(span) ? json_stringn((const char *)span.data, span.size) : json_null();
}

static void print_json(uint64_t key, const sl_spool_dead *dead)
{
    sl_sample_fields fields = fields_of(dead);
    char date[32];
    json_t *letter = json_pack("{s:I, s:s, s:s, s:I, s:s, s:s, s:o, s:o, s:I}", "key",
                               (json_int_t)key, "at", date_of(dead->at_us, date, sizeof date), "by",
                               dead->by, "sequence", (json_int_t)dead->sequence, "reason",
                               dead->reason, "text", dead->text, "id", text_of(fields.id), "source",
                               text_of(fields.source), "bytes", (json_int_t)dead->wire_bytes);
    json_dumpf(letter, stdout, JSON_COMPACT);
    printf("\n");
    json_decref(letter);
}

static void print_line(uint64_t key, const sl_spool_dead *dead)
{
    sl_sample_fields fields = fields_of(dead);
    sluice_span id = sl_utf8_valid(fields.id) ? fields.id : (sluice_span){0};
    char date[32];
    printf("%-6" PRIu64 " %s %-20s %10" PRIu64 "  '%.*s'  %s%s%s\n", key,
           date_of(dead->at_us, date, sizeof date), dead->by, dead->sequence,
           id.size > 40 ? 40 : (int)id.size, id.data != NULL ? (const char *)id.data : "",
           dead->reason, dead->text[0] != '\0' ? ": " : "", dead->text);
}

static void print_whole(uint64_t key, const sl_spool_dead *dead)
{
    sl_sample_fields fields = fields_of(dead);
    print_line(key, dead);
    printf("%" PRIu64 " bytes%s\n", dead->wire_bytes,
           dead->wire.size < dead->wire_bytes ? ", of which not all are kept" : "");
    if (fields.payload.size > 0 && sl_utf8_valid(fields.payload)) {
        fwrite(fields.payload.data, 1, fields.payload.size, stdout);
        printf("\n");
    }
}

static bool visit_list(void *context, uint64_t key, const sl_spool_dead *dead)
{
    dead_work *work = context;
    work->n++;
    if (work->options->json) {
        print_json(key, dead);
    } else {
        print_line(key, dead);
    }
    return true;
}

static bool visit_one(void *context, uint64_t key, const sl_spool_dead *dead)
{
    dead_work *work = context;
    if (key != work->key) {
        return true;
    }
    work->n++;
    if (work->options->json) {
        print_json(key, dead);
    } else {
        print_whole(key, dead);
    }
    return false;
}

static bool visit_export(void *context, uint64_t key, const sl_spool_dead *dead)
{
    (void)key;
    dead_work *work = context;
    if (dead->wire.size == 0 || dead->wire.size < dead->wire_bytes) {
        work->n_cut++;
        return true;
    }
    sluice_bytes size = {0};
    work->status = sl_bytes_put_varint(&size, dead->wire.size);
    if (work->status == SLUICE_OK &&
        (fwrite(size.data, 1, size.size, work->file) != size.size ||
         fwrite(dead->wire.data, 1, dead->wire.size, work->file) != dead->wire.size)) {
        work->status = sluice_fail(work->why, SLUICE_E_IO, "cannot write %s: %s",
                                   work->options->export_file, strerror(errno));
    }
    sl_bytes_fini(&size);
    work->n_written += work->status == SLUICE_OK;
    return work->status == SLUICE_OK;
}

static sluice_status export_all(dead_work *work, sl_spool *spool)
{
    const char *path = work->options->export_file;
    bool is_stdout = strcmp(path, "-") == 0;
    work->file = is_stdout ? stdout : fopen(path, "wb");
    if (work->file == NULL) {
        return sluice_fail(work->why, SLUICE_E_IO, "cannot write %s: %s", path, strerror(errno));
    }
    sluice_status status = sl_spool_dead_letters(spool, visit_export, work, work->why);
    status = status == SLUICE_OK ? work->status : status;
    if ((is_stdout ? fflush(stdout) : fclose(work->file)) != 0 && status == SLUICE_OK) {
        status = sluice_fail(work->why, SLUICE_E_IO, "cannot write %s: %s", path, strerror(errno));
    }
    if (status == SLUICE_OK) {
        fprintf(stderr,
                "%" PRIu64 " samples written to %s; %" PRIu64 " left out, because they were "
                "cut when they were kept\n",
                work->n_written, path, work->n_cut);
    }
    return status;
}

sluice_status sl_dead_letters_show(const sl_dead_options *options, sl_spool *spool,
                                   sluice_message *why)
{
    dead_work work = {.options = options, .why = why};
    if (options->export_file != NULL) {
        return export_all(&work, spool);
    }
    if (options->show == NULL) {
        SLUICE_TRY(sl_spool_dead_letters(spool, visit_list, &work, why));
        if (work.n == 0 && !options->json) {
            printf("no dead letters\n");
        }
        return SLUICE_OK;
    }
    char *end = NULL;
    work.key = strtoull(options->show, &end, 10);
    if (end == options->show || *end != '\0') {
        return sluice_fail(why, SLUICE_E_IO, "--show %s: a key is the number that the list shows",
                           options->show);
    }
    SLUICE_TRY(sl_spool_dead_letters(spool, visit_one, &work, why));
    return work.n > 0
               ? SLUICE_OK
               : sluice_fail(why, SLUICE_E_IO, "no dead letter has the key %s", options->show);
}
