/* record_influence.h - scores as the Influence message and as the JSON object, by the same names.
 */
#ifndef SL_RECORD_INFLUENCE_H
#define SL_RECORD_INFLUENCE_H

#include "status.h"
#include "sluice/sample.h"
#include "sluice/v1/annotation.pb-c.h"

/* Room for one packed message; its parts point into it. */
typedef struct sl_record_influence {
    Sluice__V1__Influence influence;
    Sluice__V1__Percentile percentile;
    struct {
        Sluice__V1__Influence__TowardEntry entry;
        Sluice__V1__Percentile__TowardEntry percentile_entry;
        Sluice__V1__Score score, percentile;
    } toward[SLUICE_LIMIT_REFERENCES];
    Sluice__V1__Influence__TowardEntry *entries[SLUICE_LIMIT_REFERENCES];
    Sluice__V1__Percentile__TowardEntry *percentile_entries[SLUICE_LIMIT_REFERENCES];
} sl_record_influence;

/* Lends &packed->influence; NULL where there are no scores. Borrows the names in scores. */
Sluice__V1__Influence *sl_record_influence_pack(const sluice_scores *scores,
                                                sl_record_influence *packed);

/* Names are lent by `from`. NULL gives no scores; references beyond the limit are left out. */
void sl_record_influence_unpack(const Sluice__V1__Influence *from, sluice_scores *out);

/* The object, or null. */
SLUICE_MUST_USE sluice_status sl_record_influence_json(const sluice_scores *scores,
                                                       sluice_bytes *out);

#endif
