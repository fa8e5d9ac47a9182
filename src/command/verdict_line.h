/* verdict_line.h - one line of a verdict file as the sample that it was written of. */
#ifndef SL_VERDICT_LINE_H
#define SL_VERDICT_LINE_H

#include "status.h"
#include "sluice/sample.h"

typedef struct sl_verdict_line {
    sluice_sample sample; /* id, source, offset, match, scores, verdict; all else is zero.
                             Lent until fini                                             */
    void *json;
} sl_verdict_line;

/* BADSAMPLE: not a verdict record; `why` says what is wrong. Nothing is left to fini then. */
SLUICE_MUST_USE sluice_status sl_verdict_line_read(sluice_span line, sl_verdict_line *out,
                                                   sluice_message *why);
void sl_verdict_line_fini(sl_verdict_line *line);

#endif
