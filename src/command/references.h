/* references.h - reference sets of the configuration that lie in files. */
#ifndef SL_REFERENCES_H
#define SL_REFERENCES_H

#include "sluice/engine.h"

/* One set with a path; `set` is freed by the caller in any case.
 * config  Of the filter; NULL where it is not known: samples without views are the filter's to
 *         judge. */
SLUICE_MUST_USE sluice_status sl_reference_read(const sluice_config *config,
                                                const sluice_reference *reference,
                                                sluice_bytes *set, sluice_message *why);

/* sl_references_read - every influence.references entry with a path, as an encoded Batch.
 *
 * sets     Out, [SLUICE_LIMIT_REFERENCES], zero at first; to be freed by the caller in any case.
 * Returns  CONFIG or IO, with a sentence, if one cannot be read, is too large or has no views. */
SLUICE_MUST_USE sluice_status sl_references_read(const sluice_config *config, sluice_bytes *sets,
                                                 sluice_message *why);

/* The same, into an engine that has not run yet. */
SLUICE_MUST_USE sluice_status sl_references_load(const sluice_config *config, sluice_engine *engine,
                                                 sluice_message *why);

#endif
