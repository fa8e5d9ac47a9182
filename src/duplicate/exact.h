/* exact.h - finds kept samples with the same bytes, or the same text once normalized. */
#ifndef SL_EXACT_H
#define SL_EXACT_H

#include "duplicate/duplicate.h"
#include "duplicate/index.h"

typedef struct sl_exact sl_exact; /* opaque; one writer */

SLUICE_MUST_USE sluice_status sl_exact_open(const sluice_config *config, sl_exact **out,
                                            sluice_message *why);
void sl_exact_close(sl_exact **exact_p);
sl_index_options sl_exact_index_options(const sluice_config *config);

void sl_exact_prefetch(const sl_exact *exact, const sluice_sample *sample);

/* A row of the same producer and id with the same raw bytes wins (redelivered), then the smallest
 * offset. False: nothing found, `match` is untouched. */
bool sl_exact_probe(const sl_exact *exact, const sluice_sample *sample, sluice_match *match);
void sl_exact_insert(sl_exact *exact, const sluice_sample *sample); /* if it has a hash */
void sl_exact_evict(sl_exact *exact, uint64_t below_offset);
bool sl_exact_forget(sl_exact *exact, uint64_t offset);

const sl_index *sl_exact_index(const sl_exact *exact);
const sl_probe_counts *sl_exact_counts(const sl_exact *exact);
bool sl_exact_validate(const sl_exact *exact, const char **reason);

#endif
