/* text.h - finds kept texts whose shingle sets are nearly the same. */
#ifndef SL_TEXT_H
#define SL_TEXT_H

#include "duplicate/duplicate.h"
#include "duplicate/index.h"

typedef struct sl_text sl_text; /* opaque; one writer */

SLUICE_MUST_USE sluice_status sl_text_open(const sluice_config *config, sl_text **out,
                                           sluice_message *why);
void sl_text_close(sl_text **text_p);
sl_index_options sl_text_index_options(const sluice_config *config);

void sl_text_prefetch(const sl_text *text, const sluice_sample *sample);

/* Highest similarity at or above the profile's threshold, then smallest offset. False: nothing
 * found, and `match` untouched but for what contains the sample, where that is asked for. */
bool sl_text_probe(const sl_text *text, const sluice_sample *sample, sluice_match *match);
/* Whether a row alone makes the sample a duplicate, and how similar it is. */
bool sl_text_compare(const sl_text *text, const sluice_sample *sample, const sl_row *row,
                     float *similarity);
void sl_text_insert(sl_text *text, const sluice_sample *sample); /* if it has a sketch */
void sl_text_evict(sl_text *text, uint64_t below_offset);
bool sl_text_forget(sl_text *text, uint64_t offset);

/* Bands met by probes so far whose bucket held nothing but rows that share them: boilerplate. */
uint64_t sl_text_hot_bands(const sl_text *text);

const sl_index *sl_text_index(const sl_text *text);
const sl_probe_counts *sl_text_counts(const sl_text *text);
bool sl_text_validate(const sl_text *text, const char **reason);

#endif
