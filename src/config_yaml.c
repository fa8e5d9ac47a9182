/* config_yaml.c - turns YAML text into a row of items with line and column.
 *
 *   text -> check_text -> libfyaml events -> translate -> item
 *           size, UTF-8,   one at a time     no anchors,
 *           line length                      aliases, tags
 *
 * Why events and not a document tree: an event costs nothing however often the text repeats itself,
 * and carries its position.
 * Why lines are bounded: the scanner of YAML looks ahead to the end of a line before it yields an
 * event (1 MiB of "[" in a line costs it 400 MiB): a limit on depth alone would bound nothing. */
#include "config_yaml.h"
#include "bytes.h"

#include <libfyaml.h>

#include <stdarg.h>
#include <stdio.h>

#define SKIP_DEPTH_MAX 8

#define SL_CONFIG_LINE_BYTES 16384u

void sl_config_report(sl_config_yaml *yaml, uint32_t line, uint32_t column, const char *format, ...)
{
    sluice_config_errors *errors = yaml->errors;
    if (errors->n < SLUICE_LIMIT_CONFIG_ERRORS) {
        sluice_config_error *error = &errors->error[errors->n];
        va_list args;
        va_start(args, format);
        vsnprintf(error->text, sizeof error->text, format, args);
        va_end(args);
        error->line = yaml->positions ? line : 0;
        error->column = yaml->positions ? column : 0;
    }
    errors->n++;
}

static void report_item(sl_config_yaml *yaml, const sl_config_item *at, const char *what)
{
    sl_config_report(yaml, at->line, at->column, "%s%s%s", yaml->path,
                     yaml->path[0] != '\0' ? ": " : "", what);
}

/* What libfyaml must not see; every byte is looked at before it is parsed. */
static bool check_text(sl_config_yaml *yaml, sluice_span text)
{
    if (text.size > SLUICE_LIMIT_CONFIG_BYTES) {
        sl_config_report(yaml, 1, 1, "have %zu bytes of configuration; at most %u are read",
                         text.size, SLUICE_LIMIT_CONFIG_BYTES);
        return false;
    }
    uint32_t line = 1;
    size_t start = 0;
    for (size_t i = 0; i <= text.size; i++) {
        bool ends = i == text.size || text.data[i] == '\n';
        if (!ends && text.data[i] == '\0') {
            sl_config_report(yaml, line, (uint32_t)(i - start) + 1, "a NUL byte; expected text");
            return false;
        }
        if (!ends) {
            continue;
        }
        sluice_span whole = {i > start ? text.data + start : NULL, i - start};
        if (whole.size > SL_CONFIG_LINE_BYTES) {
            sl_config_report(yaml, line, 1, "have a line of %zu bytes; at most %u are read",
                             whole.size, SL_CONFIG_LINE_BYTES);
            return false;
        }
        if (!sl_utf8_valid(whole)) {
            sl_config_report(yaml, line, 1, "this line is not UTF-8");
            return false;
        }
        line++;
        start = i + 1;
    }
    return true;
}

static void discard_output(struct fy_diag *diag, void *user, const char *text, size_t size)
{
    (void)diag;
    (void)user;
    (void)text;
    (void)size;
}

sluice_status sl_config_yaml_open(sl_config_yaml *yaml, sluice_span text)
{
    if (!check_text(yaml, text)) {
        return SLUICE_E_CONFIG;
    }
    struct fy_diag_cfg quiet;
    fy_diag_cfg_default(&quiet);
    quiet.fp = NULL;
    quiet.output_fn = discard_output;
    quiet.level = FYET_ERROR;
    yaml->diag = fy_diag_create(&quiet);
    if (yaml->diag == NULL) {
        return SLUICE_E_NOMEM;
    }
    fy_diag_set_collect_errors(yaml->diag, true);
    struct fy_parse_cfg options = {.flags = FYPCF_JSON_NONE, .diag = yaml->diag};
    yaml->parser = fy_parser_create(&options);
    if (yaml->parser == NULL ||
        fy_parser_set_string(yaml->parser, (const char *)text.data, text.size) != 0) {
        sl_config_yaml_close(yaml);
        return SLUICE_E_NOMEM;
    }
    return SLUICE_OK;
}

void sl_config_yaml_close(sl_config_yaml *yaml)
{
    if (yaml->event != NULL) {
        fy_parser_event_free(yaml->parser, yaml->event);
    }
    if (yaml->parser != NULL) {
        fy_parser_destroy(yaml->parser);
    }
    if (yaml->diag != NULL) {
        fy_diag_destroy(yaml->diag);
    }
    yaml->event = NULL;
    yaml->parser = NULL;
    yaml->diag = NULL;
}

static void report_syntax(sl_config_yaml *yaml)
{
    void *place = NULL;
    struct fy_diag_error *error = fy_diag_errors_iterate(yaml->diag, &place);
    if (error != NULL) {
        sl_config_report(yaml, (uint32_t)error->line, (uint32_t)error->column, "not YAML: %.200s",
                         error->msg);
    } else {
        sl_config_report(yaml, 1, 1, "not YAML");
    }
}

static void read_scalar(const struct fy_event *event, sl_config_item *at)
{
    at->kind = SL_CONFIG_ITEM_SCALAR;
    struct fy_token *token = event->scalar.value;
    if (token == NULL) {
        at->null = true;
        return;
    }
    size_t size = 0;
    const char *text = fy_token_get_text(token, &size);
    at->text = (sluice_span){(const uint8_t *)text, text != NULL ? size : 0};
    enum fy_scalar_style style = fy_token_scalar_style(token);
    bool plain = style == FYSS_PLAIN;
    at->quoted = style == FYSS_SINGLE_QUOTED || style == FYSS_DOUBLE_QUOTED;
    if (at->quoted) {
        at->column -= at->column > 1; /* libfyaml's mark is behind the quote */
    }
    at->null = plain && (at->text.size == 0 || sl_span_equal(at->text, sl_span_of("~")) ||
                         sl_span_equal(at->text, sl_span_of("null")));
}

static void refuse_decoration(sl_config_yaml *yaml, const sl_config_item *at,
                              const struct fy_token *anchor, const struct fy_token *tag)
{
    if (anchor != NULL) {
        report_item(yaml, at, "anchors (&name) are not allowed");
    }
    if (tag != NULL) {
        report_item(yaml, at, "tags (!name) are not allowed");
    }
}

static void translate(sl_config_yaml *yaml, const struct fy_event *event, sl_config_item *at)
{
    switch (event->type) {
    case FYET_SCALAR:
        read_scalar(event, at);
        refuse_decoration(yaml, at, event->scalar.anchor, event->scalar.tag);
        break;
    case FYET_ALIAS:
        at->kind = SL_CONFIG_ITEM_ALIAS;
        report_item(yaml, at, "aliases (*name) are not allowed");
        break;
    case FYET_MAPPING_START:
        at->kind = SL_CONFIG_ITEM_MAPPING;
        refuse_decoration(yaml, at, event->mapping_start.anchor, event->mapping_start.tag);
        break;
    case FYET_SEQUENCE_START:
        at->kind = SL_CONFIG_ITEM_SEQUENCE;
        refuse_decoration(yaml, at, event->sequence_start.anchor, event->sequence_start.tag);
        break;
    case FYET_DOCUMENT_START:
        at->kind = SL_CONFIG_ITEM_DOCUMENT;
        break;
    case FYET_STREAM_END:
        at->kind = SL_CONFIG_ITEM_END;
        break;
    default:
        at->kind = SL_CONFIG_ITEM_CLOSE;
    }
}

sl_config_item sl_config_next(sl_config_yaml *yaml)
{
    sl_config_item at = {.kind = SL_CONFIG_ITEM_END};
    while (!yaml->stopped) {
        if (yaml->event != NULL) {
            fy_parser_event_free(yaml->parser, yaml->event);
        }
        yaml->event = fy_parser_parse(yaml->parser);
        if (yaml->event == NULL) {
            yaml->stopped = true;
            if (fy_parser_get_stream_error(yaml->parser)) {
                report_syntax(yaml);
            }
            break;
        }
        if (yaml->event->type == FYET_STREAM_START || yaml->event->type == FYET_DOCUMENT_END) {
            continue;
        }
        const struct fy_mark *mark = fy_event_start_mark(yaml->event);
        at.line = mark != NULL ? (uint32_t)mark->line + 1 : 1;
        at.column = mark != NULL ? (uint32_t)mark->column + 1 : 1;
        translate(yaml, yaml->event, &at);
        break;
    }
    return at;
}

void sl_config_skip(sl_config_yaml *yaml, const sl_config_item *first)
{
    uint32_t depth = 0;
    for (sl_config_item at = *first; at.kind != SL_CONFIG_ITEM_END; at = sl_config_next(yaml)) {
        if (at.kind == SL_CONFIG_ITEM_MAPPING || at.kind == SL_CONFIG_ITEM_SEQUENCE) {
            depth++;
            if (depth > SKIP_DEPTH_MAX) {
                sl_config_report(yaml, at.line, at.column, "nested too deep");
                yaml->stopped = true;
            }
        } else if (at.kind == SL_CONFIG_ITEM_CLOSE) {
            depth--;
        }
        if (depth == 0) {
            return;
        }
    }
}
