/* encoders.c - the estimators of all encoders, each with what finds it.
 *
 *   name, K, dimensions --> 4 x [ estimator | projection of long rows | references that fit ]
 *
 * Why a table of four and no hash: it is walked once a sample, and the bound is the promise. */
#include "influence/encoders.h"
#include "bytes.h"

#include <math.h>
#include <stdlib.h>

void sl_encoder_close(sl_encoder *known)
{
    sl_estimator_close(&known->estimator);
    sl_project_close(&known->out);
    sl_project_close(&known->in);
    free(known->projected);
    free(known->projected_in);
    *known = (sl_encoder){.name_size = 0};
}

bool sl_encoder_has_name(const sl_encoder *known, sluice_span name)
{
    return known->estimator != NULL &&
           sl_span_equal((sluice_span){known->name, known->name_size}, name);
}

sl_encoder *sl_encoders_find(const sl_influence *influence, sluice_span name, uint32_t n_views,
                             uint32_t dim, uint32_t dim_in)
{
    for (uint32_t i = 0; i < SLUICE_LIMIT_ENCODERS; i++) {
        const sl_encoder *known = &influence->encoder[i];
        if (sl_encoder_has_name(known, name) && known->n_views == n_views && known->dim == dim &&
            known->dim_in == dim_in) {
            return (sl_encoder *)known;
        }
    }
    return NULL;
}

sl_encoder *sl_encoders_room(const sl_influence *influence)
{
    for (uint32_t i = 0; i < SLUICE_LIMIT_ENCODERS; i++) {
        if (influence->encoder[i].estimator == NULL) {
            return (sl_encoder *)&influence->encoder[i];
        }
    }
    return NULL;
}

static sluice_status open_projection(uint32_t dim, uint32_t n_views, uint64_t seed,
                                     sl_project *project, float **rows, uint32_t *dim_used)
{
    *dim_used = dim;
    if (dim <= SL_PROJECT_ABOVE) {
        return SLUICE_OK;
    }
    *dim_used = SL_PROJECT_DIM;
    *rows = calloc((size_t)n_views * SL_PROJECT_DIM, sizeof(float));
    return *rows != NULL ? sl_project_open(dim, seed, project) : SLUICE_E_NOMEM;
}

sluice_status sl_encoder_open(const sl_influence *influence, sluice_span name, uint32_t n_views,
                              uint32_t dim, uint32_t dim_in, sl_encoder *out)
{
    sl_encoder_close(out);
    *out = (sl_encoder){
        .name_size = (uint32_t)name.size, .n_views = n_views, .dim = dim, .dim_in = dim_in};
    if (name.size > 0) {
        memcpy(out->name, name.data, name.size);
    }
    sl_shape shape = {.n_views = n_views, .own_inputs = dim_in != 0};
    SLUICE_TRY(
        open_projection(dim, n_views, influence->seed, &out->out, &out->projected, &shape.dim_out));
    SLUICE_TRY(open_projection(dim_in, n_views, influence->seed + 1, &out->in, &out->projected_in,
                               &shape.dim_in));
    shape.dim_in = dim_in != 0 ? shape.dim_in : shape.dim_out;
    SLUICE_TRY(sl_estimator_open(&shape, &influence->settings, &out->estimator));
    for (uint32_t r = 0; r < influence->settings.n_references; r++) {
        const sluice_reference *wanted = &influence->settings.reference[r];
        if (wanted->name[0] != '\0' && wanted->path[0] == '\0') {
            SLUICE_TRY(sl_reference_open(&shape, wanted->samples, &out->estimator->reference[r]));
        }
    }
    sl_encoder_give_references(influence, out);
    return SLUICE_OK;
}

void sl_encoder_share(sl_influence *influence, const sl_encoder *known)
{
    atomic_store(&influence->shared[known - influence->encoder], known->estimator);
}

static void project_rows(const sl_project *project, const float *rows, uint32_t n_views, float *out)
{
    for (uint32_t k = 0; k < n_views; k++) {
        sl_project_row(project, rows + (size_t)k * project->dim, out + (size_t)k * SL_PROJECT_DIM);
    }
}

/* Rows as the estimator takes them: projected where they are long, over the norm of the output. */
sluice_views sl_encoder_views(sl_encoder *known, const sluice_views *views)
{
    sluice_views out = *views;
    if (known->in.dim > 0) {
        project_rows(&known->in, views->inputs, views->n_views, known->projected_in);
        out.inputs = known->projected_in;
    }
    if (known->out.dim > 0) {
        project_rows(&known->out, views->rows, views->n_views, known->projected);
        for (uint32_t k = 0; k < views->n_views; k++) {
            float *row = known->projected + (size_t)k * SL_PROJECT_DIM;
            double square = 0;
            for (uint32_t j = 0; j < SL_PROJECT_DIM; j++) {
                square += (double)row[j] * (double)row[j];
            }
            const float scale = square > 0 ? (float)(1 / sqrt(square)) : 0.0F;
            for (uint32_t j = 0; j < SL_PROJECT_DIM; j++) {
                row[j] *= scale;
            }
        }
        out.rows = known->projected;
    }
    return out;
}
