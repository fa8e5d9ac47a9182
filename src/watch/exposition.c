/* exposition.c - writes metrics in the text format of Prometheus, line by line.
 *
 *   head: # HELP, # TYPE   value: name{label="..."} number
 *
 * Source: Prometheus exposition format 0.0.4. */
#include "watch/exposition.h"
#include "bytes.h"

#include <math.h>
#include <stdio.h>

static void put(sl_exposition *to, const char *text, size_t size)
{
    if (to->status == SLUICE_OK) {
        to->status = sl_bytes_append(to->out, text, size);
    }
}

static void put_text(sl_exposition *to, const char *text)
{
    put(to, text, strlen(text));
}

/* A value of a label: \ " and newline are escaped, what is no UTF-8 becomes "?". */
static void put_escaped(sl_exposition *to, sluice_span value)
{
    bool valid = sl_utf8_valid(value);
    for (size_t i = 0; i < value.size; i++) {
        char byte = (char)value.data[i];
        if (byte == '\\' || byte == '"') {
            char pair[2] = {'\\', byte};
            put(to, pair, 2);
        } else if (byte == '\n') {
            put(to, "\\n", 2);
        } else {
            bool shown = valid || (unsigned char)byte < 128;
            put(to, shown ? &byte : "?", 1);
        }
    }
}

void sl_exposition_value(sl_exposition *to, const char *suffix, const sl_label *labels,
                         uint32_t n_labels, double value)
{
    char number[40];
    put_text(to, to->name);
    put_text(to, suffix);
    for (uint32_t i = 0; i < n_labels; i++) {
        put_text(to, i == 0 ? "{" : ",");
        put_text(to, labels[i].name);
        put_text(to, "=\"");
        put_escaped(to, labels[i].value);
        put_text(to, i + 1 == n_labels ? "\"}" : "\"");
    }
    if (isnan(value)) {
        snprintf(number, sizeof number, " NaN\n");
    } else {
        bool whole = value == floor(value) && fabs(value) < 9e15;
        snprintf(number, sizeof number, whole ? " %.0f\n" : " %.15g\n", value);
    }
    put_text(to, number);
}

void sl_exposition_plain(sl_exposition *to, double value)
{
    sl_exposition_value(to, "", NULL, 0, value);
}

void sl_exposition_one(sl_exposition *to, const char *label_name, const char *label_value,
                       double value)
{
    sl_exposition_value(to, "", &(sl_label){label_name, sl_span_of(label_value)}, 1, value);
}

void sl_exposition_two(sl_exposition *to, sl_label first, sl_label second, double value)
{
    sl_label both[2] = {first, second};
    sl_exposition_value(to, "", both, 2, value);
}

void sl_exposition_head(sl_exposition *to, const char *name, const char *type, const char *help)
{
    put_text(to, "# HELP ");
    put_text(to, name);
    put_text(to, " ");
    put_text(to, help);
    put_text(to, "\n# TYPE ");
    put_text(to, name);
    put_text(to, " ");
    put_text(to, type);
    put_text(to, "\n");
    to->name = name;
}
