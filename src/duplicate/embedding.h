/* embedding.h - finds kept samples whose embedding points the same way. */
#ifndef SL_EMBEDDING_H
#define SL_EMBEDDING_H

#include "duplicate/duplicate.h"
#include "duplicate/rows.h"

typedef struct sl_embedding sl_embedding; /* opaque; one writer */

SLUICE_MUST_USE sluice_status sl_embedding_open(const sluice_config *config, sl_embedding **out,
                                                sluice_message *why);
void sl_embedding_close(sl_embedding **embedding_p);

/* Rows that a budget holds for vectors of `dim` numbers, ids of `id_bytes` and sources of 8; and
 * whether sign-bit keys find them once they are many. */
uint64_t sl_embedding_rows_of(const sluice_config *config, uint32_t dim, uint32_t id_bytes);
bool sl_embedding_has_keys(const sluice_config *config);

/* Highest cosine at or above the threshold among the same encoder's vectors, then smallest offset.
 * False: nothing found, `match` is untouched. Of more than SL_FEW rows within the bounds of the
 * sign bits the nearest by bits are compared. */
bool sl_embedding_probe(const sl_embedding *embedding, const sluice_sample *sample,
                        sluice_match *match);
void sl_embedding_insert(sl_embedding *embedding, const sluice_sample *sample); /* if it has one */
void sl_embedding_evict(sl_embedding *embedding, uint64_t below_offset);
bool sl_embedding_forget(sl_embedding *embedding, uint64_t offset);

/* Whether that row is a duplicate, by brute force; its cosine. */
bool sl_embedding_compare(const sl_embedding *embedding, const sluice_sample *sample,
                          const sl_row *row, float *similarity);
const sl_probe_counts *sl_embedding_counts(const sl_embedding *embedding);

const sl_rows *sl_embedding_rows(const sl_embedding *embedding);
sl_duplicate_usage sl_embedding_usage(const sl_embedding *embedding);
bool sl_embedding_validate(const sl_embedding *embedding, const char **reason);

#endif
