/* expression.h - runs the expressions of a policy in a box of Lua 5.4. */
#ifndef SL_EXPRESSION_H
#define SL_EXPRESSION_H

#include "decide/scan.h"

#define SL_EXPRESSIONS_MAX  (SLUICE_LIMIT_RULES + 1)
#define SL_BOX_MEMORY_BYTES ((size_t)8 << 20) /* hard cap of one box */

typedef struct sl_box sl_box; /* opaque; one thread */

SLUICE_MUST_USE sluice_status sl_box_open(sl_box **out); /* Gives *out     */
void sl_box_close(sl_box **box_p);                       /* Takes; NULL ok */

/* sl_expression_compile - takes an expression into the box.
 *
 * wanted   BOOLEAN or NUMBER: what it is to give. One that gives something else is refused, as far
 *          as two runs can tell: one with nothing there, one with everything.
 * names    Borrows until the box is closed; attributes are entered.
 * number   Out: which expression of this box it is, from 0.
 * Returns  CONFIG with `fault`; NOMEM. */
SLUICE_MUST_USE sluice_status sl_expression_compile(sl_box *box, const char *text, sl_names *names,
                                                    sl_value_type wanted, uint32_t *number,
                                                    sl_expression_fault *fault);

/* Whether it speaks of the duplicate, by any of its names. */
bool sl_expression_tests_duplicate(const sl_box *box, uint32_t number);

typedef enum sl_outcome {
    SL_OUTCOME_FALSE, /* or nil */
    SL_OUTCOME_TRUE,
    SL_OUTCOME_NUMBER,
    SL_OUTCOME_TEXT,
    SL_OUTCOME_FAULT /* `fault` says why: a comparison of a missing text, for instance */
} sl_outcome;

/* sl_expression_run - what the expression says of one sample.
 *
 * value    Out with NUMBER.
 * fault    Out with FAULT; may be NULL.
 * Cost     60 to 120 ns for a comparison of numbers. Ends after as many steps as the expression has
 *          words; no more memory than the box has. */
sl_outcome sl_expression_run(sl_box *box, uint32_t number, const sl_facts *facts, double *value,
                             sluice_message *fault);

#endif
