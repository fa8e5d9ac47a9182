/* nearest_kept.c - the kept sample whose embedding is nearest to that of another one.
 *
 *   log --> view 0 of each kept sample of the same encoder --> cosine --> the largest
 *
 * Why a scan: it is asked for one sample by a person, and answers exactly. */
#include "command/nearest_kept.h"
#include "bytes.h"

#include <stdio.h>
#include <string.h>

/* The sample as a batch of its own; NULL if it cannot be read or has no views. */
static const sluice_sample *decode(sl_nearest_kept *nearest, sluice_span wire)
{
    sluice_message why;
    sl_bytes_clear(&nearest->frame);
    if (sl_bytes_put_u8(&nearest->frame, 0x0a) != SLUICE_OK || /* Batch.samples */
        sl_bytes_put_varint(&nearest->frame, wire.size) != SLUICE_OK ||
        sl_bytes_append(&nearest->frame, wire.data, wire.size) != SLUICE_OK ||
        sluice_batch_decode(nearest->batch, (sluice_span){nearest->frame.data, nearest->frame.size},
                            &why) != SLUICE_OK ||
        nearest->batch->n_samples != 1 || nearest->batch->samples[0].views.n_views == 0) {
        return NULL;
    }
    return &nearest->batch->samples[0];
}

static void copy_span(sluice_span span, char *out, size_t size)
{
    snprintf(out, size, "%.*s", (int)span.size, (const char *)span.data);
}

sluice_status sl_nearest_kept_open(sluice_span wire, sl_nearest_kept *out)
{
    *out = (sl_nearest_kept){.cosine = -2};
    SLUICE_TRY(sluice_batch_open(&out->batch));
    const sluice_sample *sample = decode(out, wire);
    sluice_status status = sample != NULL ? sl_bytes_append(&out->anchor, sample->views.rows,
                                                            sizeof(float) * sample->views.dim)
                                          : SLUICE_E_BADSAMPLE;
    if (status != SLUICE_OK) {
        sl_nearest_kept_close(out);
        return status;
    }
    copy_span(sample->encoder, out->encoder, sizeof out->encoder);
    return SLUICE_OK;
}

void sl_nearest_kept_close(sl_nearest_kept *nearest)
{
    sluice_batch_close(&nearest->batch);
    sl_bytes_fini(&nearest->frame);
    sl_bytes_fini(&nearest->anchor);
    nearest->cosine = -2;
}

void sl_nearest_kept_look(sl_nearest_kept *nearest, uint64_t offset, sluice_span wire)
{
    const sluice_sample *sample = nearest->batch != NULL ? decode(nearest, wire) : NULL;
    if (sample == NULL || sizeof(float) * sample->views.dim != nearest->anchor.size ||
        !sl_span_equal(sample->encoder, sl_span_of(nearest->encoder))) {
        return;
    }
    const float *anchor = (const float *)(const void *)nearest->anchor.data;
    double cosine = 0;
    for (uint32_t j = 0; j < sample->views.dim; j++) {
        cosine += (double)anchor[j] * (double)sample->views.rows[j];
    }
    if (cosine > nearest->cosine) {
        nearest->cosine = cosine;
        nearest->offset = offset;
        copy_span(sample->id, nearest->id, sizeof nearest->id);
        copy_span(sample->source, nearest->source, sizeof nearest->source);
    }
}
