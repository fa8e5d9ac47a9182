/* engine_parts.h - what an engine is made of. */
#ifndef SL_ENGINE_PARTS_H
#define SL_ENGINE_PARTS_H

#include "decide/decide.h"
#include "duplicate/duplicate.h"
#include "influence/influence.h"
#include "sluice/engine.h"

struct sluice_engine {
    sluice_config config;
    sl_duplicate *duplicate;
    sluice_portfolio *portfolio;
    sl_influence *influence;
    sl_decide *decide;
    sl_decide *next_decide; /* from the next block on; NULL: no change waits */
    uint64_t changed_at;
    uint64_t next_offset;
    uint64_t rows_end; /* samples below are remembered by their rows, or forgotten */
};

#endif
