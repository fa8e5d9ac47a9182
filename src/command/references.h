/* references.h - reference sets of the configuration that lie in files. */
#ifndef SL_REFERENCES_H
#define SL_REFERENCES_H

#include "sluice/engine.h"

/* Gives every sample of every influence.references entry with a path to the engine, before it runs.
 * CONFIG or IO, with a sentence, if one cannot be read or has no views. */
SLUICE_MUST_USE sluice_status sl_references_load(const sluice_config *config, sluice_engine *engine,
                                                 sluice_message *why);

#endif
