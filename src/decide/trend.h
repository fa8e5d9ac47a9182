/* trend.h - a source from the beginning of the stream until now, in at most 64 points. */
#ifndef SL_TREND_H
#define SL_TREND_H

#include "bytes.h"
#include "sluice/portfolio.h"

typedef struct sl_trend sl_trend; /* opaque; one writer */

SLUICE_MUST_USE sluice_status sl_trend_open(uint32_t n_sources, sl_trend **out); /* at most */
size_t sl_trend_bytes(uint32_t n_sources);
void sl_trend_close(sl_trend **trend_p);

void sl_trend_add(sl_trend *trend, uint32_t i_source, const sluice_sample *sample);

/* The points of one source; returns how many. `span` = offsets each. */
uint32_t sl_trend_read(const sl_trend *trend, uint32_t i_source,
                       sluice_trend_point points[SLUICE_TREND_POINTS], uint64_t *span);

SLUICE_MUST_USE sluice_status sl_trend_save(const sl_trend *trend, uint32_t n_sources,
                                            sluice_bytes *out);
bool sl_trend_load(sl_trend *trend, sl_reader *reader, uint32_t n_sources); /* empty before */

#endif
