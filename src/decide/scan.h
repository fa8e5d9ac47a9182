/* scan.h - checks the words of an expression before Lua sees it. */
#ifndef SL_DECIDE_SCAN_H
#define SL_DECIDE_SCAN_H

#include "decide/names.h"

#define SL_SCAN_BYTES SLUICE_LIMIT_EXPRESSION_BYTES
#define SL_SCAN_NAMES 32 /* different ones in one expression */

/* What is wrong with an expression, and at which byte of it. */
typedef struct sl_expression_fault {
    size_t at;
    sluice_message text;
} sl_expression_fault;

typedef struct sl_scanned {
    char parameters[2 * SL_SCAN_BYTES]; /* "duplicate, percentile_leverage": in place of names */
    char body[2 * SL_SCAN_BYTES + 16];  /* the expression with these in place of the names  */
    uint32_t n_names;
    sl_name name[SL_SCAN_NAMES]; /* by parameter */
} sl_scanned;

/* sl_scan_expression - admits operators, numbers, texts, known names and calls of known functions;
 * nothing that could repeat, define, assign or reach anything else.
 *
 * names    Attributes that occur are entered. */
bool sl_scan_expression(const char *text, sl_names *names, sl_scanned *out,
                        sl_expression_fault *fault);

/* The functions that may be called, NULL-terminated; math ones are written math.floor and called
 * math_floor in `body`. */
extern const char *const sl_scan_functions[];

#endif
