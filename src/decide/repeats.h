/* repeats.h - how many samples of each source repeat samples of each other. */
#ifndef SL_REPEATS_H
#define SL_REPEATS_H

#include "bytes.h"
#include "sluice/portfolio.h"

#define SL_REPEATS_CELLS 65536 /* of sources */

typedef struct sl_repeats sl_repeats; /* opaque; one writer */

/* n_cells, a power of two: beyond, what is new is counted as repeats of "(other)". */
SLUICE_MUST_USE sluice_status sl_repeats_open(uint32_t n_cells, sl_repeats **out);
size_t sl_repeats_bytes(uint32_t n_cells);
void sl_repeats_close(sl_repeats **repeats_p);

void sl_repeats_add(sl_repeats *repeats, uint32_t i_source, uint32_t i_of, uint64_t count);

/* The largest first; returns how many there are in all. */
uint32_t sl_repeats_list(const sl_repeats *repeats, sluice_repeat *out, uint32_t n);

SLUICE_MUST_USE sluice_status sl_repeats_save(const sl_repeats *repeats, sluice_bytes *out);
/* Into an empty one; numbers below n_sources. */
bool sl_repeats_load(sl_repeats *repeats, sl_reader *reader, uint32_t n_sources);

#endif
