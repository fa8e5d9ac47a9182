/* references.c - reference sets of the configuration that lie in files.
 *
 *   {name, path: refs.jsonl, views: refs.npy} --input, views--> samples --decode--> the engine
 *
 * At most 1,000 samples of a set are used, the first ones; more is an error, since which of them
 * would count is not for us to choose. */
#include "command/references.h"
#include "bytes.h"
#include "command/input.h"
#include "command/views.h"

#include <stdlib.h>

typedef struct loading {
    const sluice_reference *reference;
    sluice_engine *engine;
    sl_input *input;
    sl_views_file views;
    sluice_batch *batch;
    sluice_bytes wire, frame;
    uint32_t n;
} loading;

/* One sample as a batch of its own. */
static sluice_status add_sample(loading *self, const sl_input_item *item, sluice_message *why)
{
    const char *name = self->reference->name;
    sl_bytes_clear(&self->wire);
    sl_bytes_clear(&self->frame);
    SLUICE_TRY(sl_bytes_append(&self->wire, item->wire.data, item->wire.size));
    if (self->views.n > 0 && sl_views_append(&self->views, &self->wire) != SLUICE_OK) {
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
    sluice_status status = sluice_engine_reference_add(self->engine, name, sample);
    if (status == SLUICE_E_BADSAMPLE) {
        return sluice_fail(why, SLUICE_E_CONFIG,
                           "reference %s: %s: fewer than two views, or others than before", name,
                           item->position);
    }
    if (status == SLUICE_E_CONFIG) {
        return sluice_fail(why, status, "reference %s: more than %d samples", name,
                           SLUICE_LIMIT_REFERENCE);
    }
    self->n++;
    return status;
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

sluice_status sl_references_load(const sluice_config *config, sluice_engine *engine,
                                 sluice_message *why)
{
    sluice_status status = SLUICE_OK;
    for (uint32_t r = 0; r < config->influence.n_references && status == SLUICE_OK; r++) {
        loading self = {.reference = &config->influence.reference[r], .engine = engine};
        if (self.reference->path[0] == '\0') {
            continue;
        }
        status = load_set(&self, why);
        sl_input_close(&self.input);
        sl_views_close(&self.views);
        sluice_batch_close(&self.batch);
        sl_bytes_fini(&self.wire);
        sl_bytes_fini(&self.frame);
    }
    return status;
}
