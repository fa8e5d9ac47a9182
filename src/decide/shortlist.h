/* shortlist.h - the samples of a stream that are best by a score. */
#ifndef SL_SHORTLIST_H
#define SL_SHORTLIST_H

#include "bytes.h"
#include "sluice/portfolio.h"

typedef struct sl_shortlist_entry {
    double score;
    float leverage, influence;
    uint32_t i_source;
    uint64_t offset;
    uint32_t id_size;
    uint8_t id[SLUICE_LIMIT_ID_BYTES];
} sl_shortlist_entry;

/* A heap with the worst in front; of equal scores the newer is better. */
typedef struct sl_shortlist {
    uint32_t n;
    sl_shortlist_entry entry[SLUICE_LIMIT_LABELS];
} sl_shortlist;

void sl_shortlist_offer(sl_shortlist *list, const sluice_label *candidate);
uint32_t sl_shortlist_read(const sl_shortlist *list, sluice_label labels[SLUICE_LIMIT_LABELS]);

SLUICE_MUST_USE sluice_status sl_shortlist_save(const sl_shortlist *list, sluice_bytes *out);
bool sl_shortlist_load(sl_shortlist *list, sl_reader *reader,
                       uint32_t n_sources); /* empty before */

#endif
