/* report.c - what each source of a stream is worth: the portfolio as a page or JSON, and the list
 * of samples to label first.
 *
 *   state or verdicts --> portfolio --+--> -o FILE.html
 *                                     +--> --json
 *                                     +--> --labels FILE.csv | FILE.jsonl */
#include "command/command.h"
#include "command/portfolio_source.h"

#include "bytes.h"
#include "record_json.h"
#include "record_portfolio.h"
#include "sluice/version.h"
#include "watch/object.h"
#include "watch/page.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define DEFAULT_STATE "./sluice-state"

static const char usage[] =
    "usage: sluice report [--state DIR | --verdicts FILE] [--samples N] [-o FILE.html] [--json]\n"
    "                     [--labels FILE]\n"
    "\n"
    "Says what each source is worth: counts, repeats, scores, cost, trend, alerts, advice.\n"
    "  --state DIR      of a filter, which may be running (" DEFAULT_STATE ")\n"
    "  --verdicts FILE  records of `sluice filter --verdicts` or `sluice recv --verdicts`; they "
    "hold "
    "no\n"
    "                   cost and no time\n"
    "  --samples N      of the last N samples, beside the N before them\n"
    "  -o FILE.html     a page with everything in it, to be opened anywhere or mailed; - = "
    "standard\n"
    "                   output\n"
    "  --json           the whole portfolio\n"
    "  --labels FILE    what to label first, best first: .csv or .jsonl\n";

typedef struct report_options {
    sl_portfolio_source source;
    const char *page, *labels;
    bool json;
} report_options;

/* --- labels --- */

static sluice_status put_csv_field(sluice_bytes *out, sluice_span text)
{
    SLUICE_TRY(sl_json_put_text(out, "\""));
    for (size_t i = 0; i < text.size; i++) {
        SLUICE_TRY(sl_json_put_text(out, text.data[i] == '"' ? "\"" : ""));
        SLUICE_TRY(sl_bytes_append(out, &text.data[i], 1));
    }
    return sl_json_put_text(out, "\"");
}

/* A spreadsheet takes what begins so for a formula. */
static bool is_formula(sluice_span text)
{
    return text.size > 0 && strchr("=+-@\t\r", text.data[0]) != NULL;
}

static sluice_status put_csv_name(sluice_bytes *out, sluice_span name)
{
    if (!is_formula(name)) {
        return put_csv_field(out, name);
    }
    sluice_bytes safe = {0};
    sluice_status status = sl_bytes_append(&safe, "'", 1);
    status = status == SLUICE_OK ? sl_bytes_append(&safe, name.data, name.size) : status;
    status = status == SLUICE_OK ? put_csv_field(out, (sluice_span){safe.data, safe.size}) : status;
    sl_bytes_fini(&safe);
    return status;
}

static sluice_status put_label_csv(sluice_bytes *out, const sluice_label *label, sluice_span source)
{
    char numbers[128];
    SLUICE_TRY(put_csv_name(out, label->id));
    SLUICE_TRY(sl_json_put_text(out, ","));
    SLUICE_TRY(put_csv_name(out, source));
    snprintf(numbers, sizeof numbers, ",%" PRIu64 ",%.6g,%.6g,%.6g\n", label->offset, label->score,
             (double)label->leverage, (double)label->influence);
    return sl_json_put_text(out, numbers);
}

static sluice_status put_label_json(sluice_bytes *out, const sluice_label *label,
                                    sluice_span source)
{
    char numbers[160];
    SLUICE_TRY(sl_json_put_text(out, "{\"id\": "));
    SLUICE_TRY(sl_json_put_string(out, label->id));
    SLUICE_TRY(sl_json_put_text(out, ", \"source\": "));
    SLUICE_TRY(sl_json_put_string(out, source));
    snprintf(numbers, sizeof numbers,
             ", \"offset\": %" PRIu64
             ", \"score\": %.6g, \"leverage\": %.6g, \"influence\": %.6g}\n",
             label->offset, label->score, (double)label->leverage, (double)label->influence);
    return sl_json_put_text(out, numbers);
}

static sluice_status put_labels(const sluice_portfolio *portfolio, bool csv, sluice_bytes *out)
{
    sluice_label *labels = calloc(SLUICE_LIMIT_LABELS, sizeof *labels);
    if (labels == NULL) {
        return SLUICE_E_NOMEM;
    }
    uint32_t n = sluice_portfolio_labels(portfolio, labels);
    sluice_status status =
        csv ? sl_json_put_text(out, "id,source,offset,score,leverage,influence\n") : SLUICE_OK;
    for (uint32_t i = 0; i < n && status == SLUICE_OK; i++) {
        sluice_span source = sluice_portfolio_row(portfolio, labels[i].i_source).source;
        status =
            csv ? put_label_csv(out, &labels[i], source) : put_label_json(out, &labels[i], source);
    }
    free(labels);
    return status;
}

static bool ends_with(const char *text, const char *end)
{
    size_t size = strlen(text);
    return size >= strlen(end) && strcmp(text + size - strlen(end), end) == 0;
}

static sluice_status write_file(const char *path, const sluice_bytes *bytes, sluice_message *why)
{
    if (strcmp(path, "-") == 0) { /* main looks whether there was room */
        return fwrite(bytes->data, 1, bytes->size, stdout) == bytes->size
                   ? SLUICE_OK
                   : sluice_fail(why, SLUICE_E_IO, "cannot write standard output: %s",
                                 strerror(errno));
    }
    FILE *file = fopen(path, "w");
    bool written = file != NULL && fwrite(bytes->data, 1, bytes->size, file) == bytes->size;
    if (file == NULL || fclose(file) != 0 || !written) {
        return sluice_fail(why, SLUICE_E_IO, "cannot write %s: %s", path, strerror(errno));
    }
    return SLUICE_OK;
}

static sluice_status write_labels(const sluice_portfolio *portfolio, const char *path,
                                  sluice_message *why)
{
    sluice_bytes out = {0};
    sluice_status status = put_labels(portfolio, ends_with(path, ".csv"), &out);
    status = status == SLUICE_OK ? write_file(path, &out, why) : status;
    sl_bytes_fini(&out);
    return status;
}

/* --- JSON --- */

/* {"portfolio": {...}, "before": {...} | null} */
static sluice_status put_report(const sluice_portfolio *now, const sluice_portfolio *before,
                                sluice_bytes *out)
{
    SLUICE_TRY(sl_json_put_text(out, "{\"portfolio\": "));
    SLUICE_TRY(sl_record_portfolio_json(now, out));
    SLUICE_TRY(sl_json_put_text(out, ", \"before\": "));
    SLUICE_TRY(before != NULL ? sl_record_portfolio_json(before, out)
                              : sl_json_put_text(out, "null"));
    return sl_json_put_text(out, "}\n");
}

static sluice_status print_json(const sluice_portfolio *now, const sluice_portfolio *before)
{
    sluice_bytes out = {0};
    sluice_status status = put_report(now, before, &out);
    if (status == SLUICE_OK && fwrite(out.data, 1, out.size, stdout) != out.size) {
        status = SLUICE_E_IO;
    }
    sl_bytes_fini(&out);
    return status;
}

/* --- the page --- */

static sluice_status put_title(const report_options *options, sluice_bytes *out)
{
    const sl_portfolio_source *source = &options->source;
    char made[128], period[128] = "from the beginning";
    const char *from = source->state != NULL ? source->state : source->verdicts;
    if (source->samples > 0) {
        snprintf(period, sizeof period, "the last %" PRIu64 " samples", source->samples);
    }
    snprintf(made, sizeof made, "Sluice %s", sluice_version());
    sl_object object = sl_object_of(out);
    object.comma = true;
    sl_object_text(&object, "name", from);
    sl_object_text(&object, "period", period);
    sl_object_text(&object, "made", made);
    return object.status;
}

static sluice_status write_page(const report_options *options, const sluice_portfolio *now,
                                const sluice_portfolio *before, sluice_message *why)
{
    sluice_bytes data = {0}, page = {0};
    sluice_status status = put_report(now, before, &data);
    if (status == SLUICE_OK) {
        data.size -= strlen("}\n"); /* the same, and what it is of */
        status = put_title(options, &data);
        status = status == SLUICE_OK ? sl_json_put_text(&data, "}") : status;
    }
    if (status == SLUICE_OK) {
        status = sl_page_report((sluice_span){data.data, data.size}, &page);
    }
    status = status == SLUICE_OK ? write_file(options->page, &page, why) : status;
    sl_bytes_fini(&data);
    sl_bytes_fini(&page);
    return status;
}

/* --- the verb --- */

static int parse(int argc, char **argv, report_options *options)
{
    for (int i = 1; i < argc; i++) {
        bool has_value = i + 1 < argc;
        char *end = NULL;
        if (strcmp(argv[i], "--help") == 0) {
            fputs(usage, stdout);
            return -1;
        } else if (strcmp(argv[i], "--state") == 0 && has_value) {
            options->source.state = argv[++i];
        } else if (strcmp(argv[i], "--verdicts") == 0 && has_value) {
            options->source.verdicts = argv[++i];
        } else if (strcmp(argv[i], "--labels") == 0 && has_value) {
            options->labels = argv[++i];
        } else if (strcmp(argv[i], "-o") == 0 && has_value) {
            options->page = argv[++i];
        } else if (strcmp(argv[i], "--json") == 0) {
            options->json = true;
        } else if (strcmp(argv[i], "--samples") == 0 && has_value &&
                   (options->source.samples = strtoull(argv[i + 1], &end, 10)) > 0 &&
                   *end == '\0') {
            i++;
        } else {
            fprintf(stderr, "sluice report: \"%s\" is not understood\n%s", argv[i], usage);
            return SL_EXIT_USAGE;
        }
    }
    const char *fault = NULL;
    if (options->source.state != NULL && options->source.verdicts != NULL) {
        fault = "--state and --verdicts: one of them";
    } else if (options->labels != NULL && !ends_with(options->labels, ".csv") &&
               !ends_with(options->labels, ".jsonl")) {
        fault = "--labels: a name that ends in .csv or .jsonl";
    } else if (options->json && options->page != NULL && strcmp(options->page, "-") == 0) {
        fault = "-o - and --json: standard output takes one of them";
    } else if (!options->json && options->labels == NULL && options->page == NULL) {
        fault = "-o FILE.html, --json or --labels FILE: what to write";
    }
    if (fault != NULL) {
        fprintf(stderr, "sluice report: %s\n%s", fault, usage);
        return SL_EXIT_USAGE;
    }
    if (options->source.state == NULL && options->source.verdicts == NULL) {
        options->source.state = DEFAULT_STATE;
    }
    return SL_EXIT_OK;
}

int sl_command_report(int argc, char **argv)
{
    report_options options = {0};
    int code = parse(argc, argv, &options);
    if (code != SL_EXIT_OK) {
        return code < 0 ? SL_EXIT_OK : code;
    }
    sluice_portfolio *now = NULL;
    sluice_portfolio *before = NULL;
    sluice_message why = {""};
    sluice_status status = sl_portfolio_read(&options.source, &now, &before, &why);
    if (status == SLUICE_OK && options.labels != NULL) {
        status = write_labels(now, options.labels, &why);
    }
    if (status == SLUICE_OK && options.page != NULL) {
        status = write_page(&options, now, before, &why);
    }
    if (status == SLUICE_OK && options.json) {
        status = print_json(now, before);
    }
    if (status != SLUICE_OK) {
        fprintf(stderr, "sluice report: %s\n",
                why.text[0] != '\0' ? why.text : sluice_status_name(status));
    }
    sluice_portfolio_close(&now);
    sluice_portfolio_close(&before);
    return sl_exit_of(status);
}
