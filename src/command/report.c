/* report.c - what each source of a stream is worth: the portfolio as a page or JSON, and the list
 * of samples to label first.
 *
 *   state or verdicts --> portfolio --+--> -o FILE.html
 *                                     +--> --json
 *                                     +--> --labels FILE.csv | FILE.jsonl */
#include "command/command.h"
#include "command/report_page.h"
#include "command/settings.h"

#include "bytes.h"
#include "record_json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define DEFAULT_STATE "./sluice-state"

static const char usage[] =
    "usage: sluice report [--state DIR | --verdicts FILE] [--samples N | --last TIME] [-c FILE]\n"
    "                     [-o FILE.html [--bare]] [--json] [--labels FILE]\n"
    "\n"
    "Says what each source is worth: counts, repeats, scores, cost, trend, alerts, advice.\n"
    "  --state DIR      of a filter, which may be running (" DEFAULT_STATE ")\n"
    "  --verdicts FILE  records of `sluice filter --verdicts` or `sluice recv --verdicts`:\n"
    "                   without cost, time, attributes (so no groups) and payloads\n"
    "  --samples N      of the last N samples, beside the N before them\n"
    "  --last TIME      of the last 7d, 12h, 30m or 90s before the newest sample of the log,\n"
    "                   beside as long a time before\n"
    "  -c FILE          of the filter, or --set KEY=VALUE: its rules are drawn into the page\n"
    "  -o FILE.html     a page with everything in it, to be opened anywhere or mailed: beside\n"
    "                   the numbers at most 20 pairs of duplicates and the 10 samples at the\n"
    "                   end of each score, 400 characters of a text, pictures of 96 pixels;\n"
    "                   - = standard output\n"
    "  --bare           no texts and no pictures in it\n"
    "  --json           the whole portfolio\n"
    "  --labels FILE    what to label first, best first: .csv or .jsonl\n";

typedef struct report_options {
    sl_portfolio_source source;
    sl_settings settings;
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

/* --- JSON and the page --- */

static sluice_status print_json(const sl_portfolios *portfolios)
{
    sluice_bytes out = {0};
    sluice_status status = sl_report_json(portfolios, &out);
    if (status == SLUICE_OK && fwrite(out.data, 1, out.size, stdout) != out.size) {
        status = SLUICE_E_IO;
    }
    sl_bytes_fini(&out);
    return status;
}

/* Without a file the rules of the filter are not known, only what its state was made with. */
static sluice_status write_page(const report_options *options, const sl_portfolios *portfolios,
                                sluice_config *config, sluice_message *why)
{
    sluice_bytes page = {0};
    bool given = options->settings.file != NULL || options->settings.n_assignments > 0;
    config->policy.n_rules = given ? config->policy.n_rules : 0;
    bool known = given || options->source.state != NULL;
    sluice_status status =
        sl_report_page(&options->source, portfolios, known ? config : NULL, &page);
    status = status == SLUICE_OK ? write_file(options->page, &page, why) : status;
    sl_bytes_fini(&page);
    return status;
}

/* --- the verb --- */

/* "7d", in microseconds; 0: not understood. */
static int64_t parse_time(const char *text)
{
    static const struct {
        const char *unit;
        double seconds;
    } units[] = {{"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
    char *end = NULL;
    double value = strtod(text, &end);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        double seconds = value * units[i].seconds;
        if (end != text && strcmp(end, units[i].unit) == 0 && seconds >= 1e-6 && seconds < 1e10) {
            return (int64_t)(seconds * 1e6);
        }
    }
    return 0;
}

/* What is wrong with the options together; NULL: nothing. */
static const char *fault_of(const report_options *options)
{
    const sl_portfolio_source *source = &options->source;
    if (source->state != NULL && source->verdicts != NULL) {
        return "--state and --verdicts: one of them";
    }
    if (source->samples > 0 && source->last_us > 0) {
        return "--samples and --last: one of them";
    }
    if (source->verdicts != NULL && source->last_us > 0) {
        return "--last: records hold no time of arrival; --samples N, or --state DIR";
    }
    if (options->labels != NULL && !ends_with(options->labels, ".csv") &&
        !ends_with(options->labels, ".jsonl")) {
        return "--labels: a name that ends in .csv or .jsonl";
    }
    if (options->json && options->page != NULL && strcmp(options->page, "-") == 0) {
        return "-o - and --json: standard output takes one of them";
    }
    if (!options->json && options->labels == NULL && options->page == NULL) {
        return "-o FILE.html, --json or --labels FILE: what to write";
    }
    return NULL;
}

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
        } else if (strcmp(argv[i], "--bare") == 0) {
            options->source.bare = true;
        } else if (strcmp(argv[i], "--json") == 0) {
            options->json = true;
        } else if (strcmp(argv[i], "--samples") == 0 && has_value &&
                   (options->source.samples = strtoull(argv[i + 1], &end, 10)) > 0 &&
                   *end == '\0') {
            i++;
        } else if (strcmp(argv[i], "--last") == 0 && has_value &&
                   (options->source.last_us = parse_time(argv[i + 1])) > 0) {
            i++;
        } else if (strcmp(argv[i], "-c") == 0 && has_value) {
            options->settings.file = argv[++i];
        } else if (strcmp(argv[i], "--set") == 0 && has_value &&
                   sl_settings_assign(&options->settings, argv[i + 1])) {
            i++;
        } else {
            fprintf(stderr, "sluice report: \"%s\" is not understood\n%s", argv[i], usage);
            return SL_EXIT_USAGE;
        }
    }
    const char *fault = fault_of(options);
    if (fault != NULL) {
        fprintf(stderr, "sluice report: %s\n%s", fault, usage);
        return SL_EXIT_USAGE;
    }
    if (options->source.state == NULL && options->source.verdicts == NULL) {
        options->source.state = DEFAULT_STATE;
    }
    return SL_EXIT_OK;
}

static sluice_status report(report_options *options, sl_portfolios *portfolios,
                            sluice_config *config, sluice_message *why)
{
    sl_portfolio_source *source = &options->source;
    if (options->page != NULL) {
        source->config = config;
        SLUICE_TRY(
            sl_highlights_open(source->verdicts != NULL || source->bare, &source->highlights));
    }
    SLUICE_TRY(sl_portfolios_read(source, portfolios, why));
    if (options->labels != NULL) {
        SLUICE_TRY(write_labels(portfolios->now.sources, options->labels, why));
    }
    if (options->page != NULL) {
        SLUICE_TRY(write_page(options, portfolios, config, why));
    }
    return options->json ? print_json(portfolios) : SLUICE_OK;
}

int sl_command_report(int argc, char **argv)
{
    report_options options = {0};
    int code = parse(argc, argv, &options);
    if (code != SL_EXIT_OK) {
        return code < 0 ? SL_EXIT_OK : code;
    }
    sluice_config *config = calloc(1, sizeof *config);
    sl_portfolios portfolios = {0};
    sluice_message why = {""};
    if (config != NULL && !sl_settings_read(&options.settings, config)) {
        free(config);
        return SL_EXIT_USAGE;
    }
    sluice_status status =
        config != NULL ? report(&options, &portfolios, config, &why) : SLUICE_E_NOMEM;
    if (status != SLUICE_OK) {
        fprintf(stderr, "sluice report: %s\n",
                why.text[0] != '\0' ? why.text : sluice_status_name(status));
    }
    sl_portfolios_close(&portfolios);
    sl_highlights_close(&options.source.highlights);
    free(config);
    return sl_exit_of(status);
}
