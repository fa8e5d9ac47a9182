/* slice.c - the rows of 64 neighbouring offsets: room for them, and one row into its slot.
 *
 *   [view k][slot i][dimension j]     so that one view of all slots is one matrix
 *
 * Why both sides share memory where they can: with the identity as adapter u is x and s is a, and
 * half of all rotations is saved. */
#include "influence/slice.h"

#include <stdlib.h>
#include <string.h>

sluice_status sl_slice_open(const sl_shape *shape, bool two_sides, sl_slice *out)
{
    const size_t n_out = shape->n_views * sl_view_floats(shape->dim_out);
    const size_t n_in = shape->n_views * sl_view_floats(shape->dim_in);
    *out = (sl_slice){.outputs = calloc(n_out, sizeof(float))};
    out->u = calloc(n_out, sizeof(float));
    out->s = calloc(n_out, sizeof(float));
    out->inputs = shape->own_inputs ? calloc(n_in, sizeof(float)) : out->outputs;
    out->right = two_sides ? calloc(n_in, sizeof(float)) : out->u;
    out->a = two_sides ? calloc(n_in, sizeof(float)) : out->s;
    if (out->outputs == NULL || out->u == NULL || out->s == NULL || out->inputs == NULL ||
        out->right == NULL || out->a == NULL) {
        sl_slice_close(out);
        return SLUICE_E_NOMEM;
    }
    return SLUICE_OK;
}

void sl_slice_close(sl_slice *slice)
{
    if (slice->inputs != slice->outputs) {
        free(slice->inputs);
    }
    if (slice->right != slice->u) {
        free(slice->right);
    }
    if (slice->a != slice->s) {
        free(slice->a);
    }
    free(slice->outputs);
    free(slice->u);
    free(slice->s);
    *slice = (sl_slice){.outputs = NULL};
}

void sl_slice_put(const sl_shape *shape, sl_slice *slice, uint32_t i_slot, const float *outputs,
                  const float *inputs)
{
    for (uint32_t k = 0; k < shape->n_views; k++) {
        memcpy(slice->outputs + k * sl_view_floats(shape->dim_out) +
                   (size_t)i_slot * shape->dim_out,
               outputs + (size_t)k * shape->dim_out, sizeof(float) * shape->dim_out);
        if (shape->own_inputs) {
            memcpy(slice->inputs + k * sl_view_floats(shape->dim_in) +
                       (size_t)i_slot * shape->dim_in,
                   inputs + (size_t)k * shape->dim_in, sizeof(float) * shape->dim_in);
        }
    }
}

void sl_slice_clear(const sl_shape *shape, sl_slice *slice)
{
    const size_t n = shape->n_views;
    memset(slice->outputs, 0, sizeof(float) * n * sl_view_floats(shape->dim_out));
    if (shape->own_inputs) {
        memset(slice->inputs, 0, sizeof(float) * n * sl_view_floats(shape->dim_in));
    }
}
