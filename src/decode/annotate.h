/* annotate.h - appends an annotation to an encoded sample. */
#ifndef SL_ANNOTATE_H
#define SL_ANNOTATE_H

#include "status.h"
#include "sluice/sample.h"
#include "sluice/v1/annotation.pb-c.h"

#define SL_ANNOTATIONS_FIELD 15 /* of Sample */

/* Appends `annotation` to `out` as one encoded field of a Sample: bytes of a sample followed by
 * this are the annotated sample, and what was there before is untouched. Nothing is appended on
 * error. */
SLUICE_MUST_USE sluice_status sl_annotate(const Sluice__V1__Annotation *annotation,
                                          sluice_bytes *out);

#endif
