/* offered.h - a dropped sample that who looks on offers again. */
#ifndef SL_OFFERED_H
#define SL_OFFERED_H

#include "ingest/ingest.h"
#include "ingest/producers.h"

/* A job of who looks on: a RESTORE becomes a PUT and goes to the rings of `options`, or is refused
 * (code and why) and goes back; a PUT that is durable, or was refused on its way, goes back to its
 * owner, who may take it at once. held: the log is full. */
void sl_offered_take(sl_job *job, sl_producers *producers, const sl_ingest_options *options,
                     bool held, bool stopping);

#endif
