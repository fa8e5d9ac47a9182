/* repeats.h - how many samples of each source repeat samples of each other. */
#ifndef SL_REPEATS_H
#define SL_REPEATS_H

#include "bytes.h"
#include "sluice/portfolio.h"

#define SL_REPEATS_CELLS 65536 /* beyond: counted as repeats of "(other)" */

typedef struct sl_repeats sl_repeats; /* opaque; one writer */

SLUICE_MUST_USE sluice_status sl_repeats_open(sl_repeats **out);
void sl_repeats_close(sl_repeats **repeats_p);

void sl_repeats_add(sl_repeats *repeats, uint32_t i_source, uint32_t i_of, uint64_t count);

/* The largest first; returns how many there are in all. */
uint32_t sl_repeats_list(const sl_repeats *repeats, sluice_repeat *out, uint32_t n);

SLUICE_MUST_USE sluice_status sl_repeats_save(const sl_repeats *repeats, sluice_bytes *out);
/* Into an empty one; numbers below n_sources. */
bool sl_repeats_load(sl_repeats *repeats, sl_reader *reader, uint32_t n_sources);

#endif
