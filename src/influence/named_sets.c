/* named_sets.c - reference sets that came as samples, until encoders come that they fit.
 *
 *   samples of a file --> rows as they came --> every encoder of their shape (and name, if they
 * have one)
 *
 * Why kept as they came: a second encoder version may begin months later, and gets its own copy. */
#include "influence/encoders.h"
#include "bytes.h"

void sl_encoder_give_references(const sl_influence *influence, sl_encoder *to)
{
    for (uint32_t r = 0; r < influence->settings.n_references; r++) {
        const sl_loose_reference *from = &influence->loose[r];
        sl_reference *reference = &to->estimator->reference[r];
        sluice_span name = {from->encoder, from->encoder_size};
        bool fits = from->n > 0 && from->n_views == to->n_views && from->dim == to->dim &&
                    from->dim_in == to->dim_in && (name.size == 0 || sl_encoder_has_name(to, name));
        if (!fits || reference->n_wanted > 0) {
            continue;
        }
        sluice_status status = sl_reference_open(&to->estimator->shape, from->n, reference);
        SLUICE_ASSERT(status == SLUICE_OK); /* no memory: as above */
        for (uint32_t i = 0; i < from->n; i++) {
            const size_t at = (size_t)i * from->n_views;
            const sluice_views views = {
                .n_views = from->n_views,
                .dim = from->dim,
                .dim_in = from->dim_in,
                .rows = (const float *)(const void *)from->rows.data + at * from->dim,
                .inputs = from->dim_in > 0
                              ? (const float *)(const void *)from->inputs.data + at * from->dim_in
                              : NULL};
            const sluice_views shorter = sl_encoder_views(to, &views);
            sl_reference_add(&to->estimator->shape, reference, &shorter);
        }
    }
}

sluice_status sl_influence_reference_add(sl_influence *influence, const char *name,
                                         const sluice_sample *sample)
{
    const sluice_views *views = &sample->views;
    for (uint32_t r = 0; r < influence->settings.n_references; r++) {
        sl_loose_reference *to = &influence->loose[r];
        if (strcmp(influence->settings.reference[r].name, name) != 0) {
            continue;
        }
        if (to->n == SLUICE_LIMIT_REFERENCE) {
            return SLUICE_E_CONFIG;
        }
        if (views->n_views < 2 ||
            (to->n > 0 && (views->n_views != to->n_views || views->dim != to->dim ||
                           views->dim_in != to->dim_in))) {
            return SLUICE_E_BADSAMPLE;
        }
        if (to->n == 0) {
            to->n_views = views->n_views;
            to->dim = views->dim;
            to->dim_in = views->dim_in;
            to->encoder_size = (uint32_t)sample->encoder.size;
            memcpy(to->encoder, sample->encoder.size > 0 ? sample->encoder.data : to->encoder,
                   sample->encoder.size);
        }
        SLUICE_TRY(
            sl_bytes_append(&to->rows, views->rows, sizeof(float) * views->n_views * views->dim));
        if (views->dim_in > 0) {
            SLUICE_TRY(sl_bytes_append(&to->inputs, views->inputs,
                                       sizeof(float) * views->n_views * views->dim_in));
        }
        to->n++;
        return SLUICE_OK;
    }
    return SLUICE_E_CONFIG;
}
