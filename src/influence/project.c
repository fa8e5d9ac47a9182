/* project.c - long embeddings made short, by a seeded sparse projection.
 *
 *   coordinate i --> +- row[i] / sqrt(8) into 8 of 512 places, chosen by the seed
 *
 * Why sparse: a dense projection costs as much as all of influence.
 * Why by hand and not by BLAS: a row is projected when it comes, alone, and must not depend on its
 * neighbours.
 * Source: sparser Johnson-Lindenstrauss transforms, Kane & Nelson 2014. */
#include "influence/project.h"

#include <stdlib.h>
#include <string.h>

/* splitmix64, Vigna. */
static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

sluice_status sl_project_open(uint32_t dim, uint64_t seed, sl_project *out)
{
    const uint32_t stride = SL_PROJECT_DIM / SL_PROJECT_SIGNS;
    *out = (sl_project){.dim = dim};
    out->place = malloc(sizeof *out->place * dim * SL_PROJECT_SIGNS);
    if (out->place == NULL) {
        return SLUICE_E_NOMEM;
    }
    for (uint32_t i = 0; i < dim; i++) {
        for (uint32_t j = 0; j < SL_PROJECT_SIGNS; j++) { /* one place in each eighth */
            uint64_t random = mix(mix(seed) ^ ((uint64_t)i * SL_PROJECT_SIGNS + j));
            out->place[(size_t)i * SL_PROJECT_SIGNS + j] =
                (uint16_t)((j * stride + random % stride) | (random >> 63 << 15));
        }
    }
    return SLUICE_OK;
}

void sl_project_close(sl_project *project)
{
    free(project->place);
    *project = (sl_project){.dim = 0};
}

void sl_project_row(const sl_project *project, const float *row, float *out)
{
    const float scale = 0.35355339F; /* 1 / sqrt(8) */
    memset(out, 0, sizeof *out * SL_PROJECT_DIM);
    for (uint32_t i = 0; i < project->dim; i++) {
        const uint16_t *place = project->place + (size_t)i * SL_PROJECT_SIGNS;
        const float value = row[i] * scale;
        for (uint32_t j = 0; j < SL_PROJECT_SIGNS; j++) {
            out[place[j] & 0x7fff] += (place[j] & 0x8000) != 0 ? -value : value;
        }
    }
}
