/* record.h - a verdict as Annotation bytes and as the JSON verdict record, by the same names. */
#ifndef SL_RECORD_H
#define SL_RECORD_H

#include "status.h"
#include "sluice/sample.h"

/* The verdict of a judged sample as one encoded `annotations` field (tag 15) of a Sample: appending
 * it to the sample's bytes annotates the sample. */
SLUICE_MUST_USE sluice_status sl_record_annotate(const sluice_sample *sample, sluice_bytes *out);

/* The JSON verdict record of design 10: one object, no newline; members in fixed order, numbers in
 * shortest form that reads back, so equal verdicts are equal bytes. */
SLUICE_MUST_USE sluice_status sl_record_json(const sluice_sample *sample, sluice_bytes *out);

/* The same record from an annotated sample's bytes (its last annotation), for recv and explain. */
SLUICE_MUST_USE sluice_status sl_record_json_of_wire(sluice_span annotated_sample,
                                                     sluice_bytes *out);

/* An annotated sample as the JSONL line that `filter` writes: the members of the input form and
 * "sluice": {verdict} (left out if bare). No newline. */
SLUICE_MUST_USE sluice_status sl_record_jsonl_of_wire(sluice_span annotated_sample, bool bare,
                                                      sluice_bytes *out);

/* The value behind an annotated sample's bytes, as it was judged by the last filter: its fields,
 * offset, verdict, match, scores and views. Not on the wire and so not here: match.of_offset
 * (UINT64_MAX), features, arrival and producer. BADSAMPLE without an annotation.
 *
 * annotated_sample  Borrows: spans of `out` lie in it.
 * arena             Lends the rest; reset by the caller, with room for 4 x the size at least. */
SLUICE_MUST_USE sluice_status sl_record_sample_of_wire(sluice_span annotated_sample,
                                                       sluice_arena *arena, sluice_sample *out);

/* The same without the views, for who only reads what was said of it. */
SLUICE_MUST_USE sluice_status sl_record_verdict_of_wire(sluice_span annotated_sample,
                                                        sluice_arena *arena, sluice_sample *out);

/* An annotated sample as it was before its last annotation; empty: it has none. Borrows. */
sluice_span sl_record_before(sluice_span annotated_sample);

const char *sl_record_decision_name(sluice_decision decision); /* "keep"; lends static memory */
const char *sl_record_method_name(sluice_method method);       /* "exact"; NULL for NONE */

#endif
