/* references.c - reference sets of the configuration that lie in files.
 *
 *   {name, path: refs.jsonl, views: refs.npy} --input, views--> an encoded Batch --> the engine
 *
 * At most 1,000 samples of a set are used; more is an error, since which of them would count is not
 * for us to choose. Each sample is decoded here once, so that what is wrong with one is said with
 * its line. */
#include "command/references.h"
#include "bytes.h"
#include "command/input.h"
#include "command/views.h"

#include <stdlib.h>

typedef struct loading {
    const sluice_config *config;
    const sluice_reference *reference;
    sluice_bytes *set;
    sl_input *input;
    sl_views_file views;
    sluice_batch *batch;
    sluice_bytes wire, frame;
    uint32_t n, n_views, dim, dim_in;
} loading;

/* One sample as a batch of its own. */
static sluice_status add_sample(loading *self, const sl_input_item *item, sluice_message *why)
{
    const char *name = self->reference->name;
    sl_bytes_clear(&self->wire);
    sl_bytes_clear(&self->frame);
    SLUICE_TRY(sl_bytes_append(&self->wire, item->wire.data, item->wire.size));
    if (self->views.n_views > 0 && sl_views_append(&self->views, &self->wire) != SLUICE_OK) {
        return sluice_fail(why, SLUICE_E_CONFIG, "%s: fewer rows than samples in %s",
                           self->reference->views, self->reference->path);
    }
    SLUICE_TRY(sl_bytes_put_u8(&self->frame, 0x0a)); /* Batch.samples */
    SLUICE_TRY(sl_bytes_put_varint(&self->frame, self->wire.size));
    SLUICE_TRY(sl_bytes_append(&self->frame, self->wire.data, self->wire.size));
    SLUICE_TRY(
        sluice_batch_decode(self->batch, (sluice_span){self->frame.data, self->frame.size}, why));
    const sluice_sample *sample = &self->batch->samples[0];
    if (item->reason != NULL || sample->verdict.decision == SLUICE_REFUSE) {
        const char *text = item->reason != NULL ? item->text : sample->verdict.text;
        return sluice_fail(why, SLUICE_E_CONFIG, "reference %s: %s: %s", name, item->position,
                           text != NULL ? text : "refused");
    }
    if (self->config != NULL && self->config->encoder == SLUICE_ENCODER_BUILTIN) {
        SLUICE_TRY(sluice_batch_features(self->batch, self->config));
    }
    const sluice_views *views = &sample->views;
    bool open = self->config == NULL && views->n_views == 0; /* the filter may make them */
    if ((views->n_views < 2 && !open) ||
        (self->n > 0 && (views->n_views != self->n_views || views->dim != self->dim ||
                         views->dim_in != self->dim_in))) {
        return sluice_fail(why, SLUICE_E_CONFIG,
                           "reference %s: %s: fewer than two views, or others than before", name,
                           item->position);
    }
    if (self->n == SLUICE_LIMIT_REFERENCE) {
        return sluice_fail(why, SLUICE_E_CONFIG, "reference %s: more than %d samples", name,
                           SLUICE_LIMIT_REFERENCE);
    }
    self->n_views = views->n_views;
    self->dim = views->dim;
    self->dim_in = views->dim_in;
    self->n++;
    return sl_bytes_append(self->set, self->frame.data, self->frame.size);
}

static sluice_status load_set(loading *self, sluice_message *why)
{
    const char *path = self->reference->path;
    SLUICE_TRY(sl_input_open(&path, 1, SL_INPUT_AUTO, &self->input, why));
    if (self->reference->views[0] != '\0') {
        SLUICE_TRY(sl_views_open(self->reference->views, &self->views, why));
    }
    if (sluice_batch_open(&self->batch) != SLUICE_OK) {
        return sluice_fail(why, SLUICE_E_NOMEM, "no memory for a batch");
    }
    sl_input_item item;
    sluice_status status = sl_input_next(self->input, &item, why);
    while (status == SLUICE_OK) {
        SLUICE_TRY(add_sample(self, &item, why));
        status = sl_input_next(self->input, &item, why);
    }
    if (status != SLUICE_E_CLOSED) {
        return status;
    }
    return self->n > 0 ? SLUICE_OK
                       : sluice_fail(why, SLUICE_E_CONFIG, "reference %s: %s has no samples",
                                     self->reference->name, path);
}

sluice_status sl_reference_read(const sluice_config *config, const sluice_reference *reference,
                                sluice_bytes *set, sluice_message *why)
{
    loading self = {.config = config, .reference = reference, .set = set};
    sluice_status status = load_set(&self, why);
    sl_input_close(&self.input);
    sl_views_close(&self.views);
    sluice_batch_close(&self.batch);
    sl_bytes_fini(&self.wire);
    sl_bytes_fini(&self.frame);
    return status;
}

sluice_status sl_references_read(const sluice_config *config, sluice_bytes *sets,
                                 sluice_message *why)
{
    sluice_status status = SLUICE_OK;
    for (uint32_t r = 0; r < config->influence.n_references && status == SLUICE_OK; r++) {
        if (config->influence.reference[r].path[0] != '\0') {
            status = sl_reference_read(config, &config->influence.reference[r], &sets[r], why);
        }
    }
    return status;
}

sluice_status sl_references_load(const sluice_config *config, sluice_engine *engine,
                                 sluice_message *why)
{
    sluice_bytes sets[SLUICE_LIMIT_REFERENCES] = {{0}};
    sluice_status status = sl_references_read(config, sets, why);
    for (uint32_t r = 0; r < config->influence.n_references && status == SLUICE_OK; r++) {
        status = sluice_engine_reference_batch(engine, config->influence.reference[r].name,
                                               (sluice_span){sets[r].data, sets[r].size}, why);
    }
    for (uint32_t r = 0; r < SLUICE_LIMIT_REFERENCES; r++) {
        sl_bytes_fini(&sets[r]);
    }
    return status;
}
