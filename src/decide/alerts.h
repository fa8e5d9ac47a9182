/* alerts.h - which sources have turned strange, against their own past. */
#ifndef SL_ALERTS_H
#define SL_ALERTS_H

#include "bytes.h"
#include "sluice/portfolio.h"

typedef struct sl_alerts sl_alerts; /* opaque; one writer */

SLUICE_MUST_USE sluice_status sl_alerts_open(sl_alerts **out);
void sl_alerts_close(sl_alerts **alerts_p);
size_t sl_alerts_bytes(void);

/* One judged sample. */
void sl_alerts_add(sl_alerts *alerts, uint32_t i_source, const sluice_sample *sample);

/* Newest first. */
uint32_t sl_alerts_read(const sl_alerts *alerts, sluice_alert out[SLUICE_LIMIT_ALERTS]);
sluice_alert_counts sl_alerts_counts(const sl_alerts *alerts);

SLUICE_MUST_USE sluice_status sl_alerts_save(const sl_alerts *alerts, uint32_t n_sources,
                                             sluice_bytes *out);
bool sl_alerts_load(sl_alerts *alerts, sl_reader *reader, uint32_t n_sources); /* empty before */

#endif
