/* project.h - long embeddings made short, by a seeded sparse projection. */
#ifndef SL_PROJECT_H
#define SL_PROJECT_H

#include "status.h"

#include <stdint.h>

#define SL_PROJECT_ABOVE 1024 /* longer rows are projected */
#define SL_PROJECT_DIM   512
#define SL_PROJECT_SIGNS 8 /* places that each coordinate goes to */

/* Where each of `dim` coordinates goes: place in the low bits, sign in bit 15. */
typedef struct sl_project {
    uint32_t dim;
    uint16_t *place; /* [dim][SL_PROJECT_SIGNS] */
} sl_project;

SLUICE_MUST_USE sluice_status sl_project_open(uint32_t dim, uint64_t seed, sl_project *out);
void sl_project_close(sl_project *project);

/* out[SL_PROJECT_DIM] = P row[dim]; lengths and angles are kept within about 1 / sqrt(512). */
void sl_project_row(const sl_project *project, const float *row, float *out);

#endif
