/* tensor.h - the views of a sample as unit rows. */
#ifndef SL_TENSOR_H
#define SL_TENSOR_H

#include "arena.h"
#include "decode/sample_fields.h"

#define SL_VIEW_NORM_MIN 1e-12 /* a shorter view has no direction */

/* sl_views_read - unit rows from the Tensors of a sample that has been walked.
 *
 *     rows[k] = h_k / |h_k|        inputs[k] = a_k / |h_k|, where activations came along
 *
 * arena    Lends the rows; its cap is raised by what they need, which the limits bound.
 * out      Zero where there are no views.
 * Returns  False with a reason: more than SLUICE_LIMIT_VIEWS views, one without an embedding, a
 *          Tensor of another type, shape or size than it may have, dimensions that differ, NaN,
 *          infinity, an embedding whose norm is at most SL_VIEW_NORM_MIN, memory. */
SLUICE_MUST_USE bool sl_views_read(const sl_sample_fields *fields, sl_arena *arena,
                                   sluice_views *out, sl_refusal *refusal);

float sl_half_to_float(uint16_t half); /* IEEE binary16; exact */

#endif
