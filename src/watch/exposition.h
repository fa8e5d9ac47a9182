/* exposition.h - writes metrics in the text format of Prometheus, line by line. */
#ifndef SL_EXPOSITION_H
#define SL_EXPOSITION_H

#include "watch/view.h"

/* The first failure stays in `status` (NOMEM is the only one) and nothing is written after it. */
typedef struct sl_exposition {
    const sl_view *view; /* what is written about */
    sluice_bytes *out;   /* Borrows; appended to  */
    sluice_status status;
    const char *name; /* Borrows: of the metric that is being written */
} sl_exposition;

typedef struct sl_label {
    const char *name;
    sluice_span value; /* any bytes: escaped, and "?" for what is no UTF-8 */
} sl_label;

/* Begins a metric: the values that follow are its own. */
void sl_exposition_head(sl_exposition *to, const char *name, const char *type, const char *help);

void sl_exposition_value(sl_exposition *to, const char *suffix, const sl_label *labels,
                         uint32_t n_labels, double value);
void sl_exposition_plain(sl_exposition *to, double value);
void sl_exposition_one(sl_exposition *to, const char *label_name, const char *label_value,
                       double value);
void sl_exposition_two(sl_exposition *to, sl_label first, sl_label second, double value);

#endif
