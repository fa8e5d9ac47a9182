/* views.c - the array of --views, a row for each sample of the input.
 *
 *   array[i][k] --> Sample.views[k] { embedding: Tensor { f16 | f32, [d], the bytes as they are } }
 *
 * Why into the sample's bytes: from there on a file is judged, logged and replayed like a stream.
 */
#include "command/views.h"
#include "bytes.h"

enum { SAMPLE_VIEWS = 7 << 3 | 2, VIEW_EMBEDDING = 1 << 3 | 2 };
enum { TENSOR_TYPE = 1 << 3, TENSOR_SHAPE = 2 << 3, TENSOR_DATA = 3 << 3 | 2 };

sluice_status sl_views_open(const char *path, sl_views_file *out, sluice_message *why)
{
    *out = (sl_views_file){.n = 0};
    SLUICE_TRY(sl_npy_open(path, &out->npy, why));
    const sl_npy *npy = &out->npy;
    bool good = npy->kind == 'f' && npy->item_bytes <= 4 && (npy->n_dims == 2 || npy->n_dims == 3);
    uint64_t n_views = npy->n_dims == 3 ? npy->shape[1] : 1;
    uint64_t dim = good ? npy->shape[npy->n_dims - 1] : 0;
    if (!good || n_views < 1 || n_views > SLUICE_LIMIT_VIEWS || dim < 2 ||
        dim > SLUICE_LIMIT_DIMENSION) {
        sl_views_close(out);
        return sluice_fail(why, SLUICE_E_CONFIG,
                           "%s: expected float16 or float32 of shape (N, d) or (N, K, d), K up to "
                           "%d, d from 2 to %d",
                           path, SLUICE_LIMIT_VIEWS, SLUICE_LIMIT_DIMENSION);
    }
    out->n = npy->shape[0];
    out->n_views = (uint32_t)n_views;
    out->dim = (uint32_t)dim;
    return SLUICE_OK;
}

void sl_views_close(sl_views_file *views)
{
    sl_npy_close(&views->npy);
    *views = (sl_views_file){.n = 0};
}

static size_t varint_size(uint64_t value)
{
    size_t size = 1;
    for (; value >= 0x80; value >>= 7) {
        size++;
    }
    return size;
}

static sluice_status append_view(const sl_views_file *views, const uint8_t *row, sluice_bytes *wire)
{
    const size_t size = (size_t)views->dim * views->npy.item_bytes;
    const size_t tensor =
        2 + 1 + varint_size(views->dim) + 1 + varint_size(size) + size; /* type, shape, data */
    SLUICE_TRY(sl_bytes_put_u8(wire, SAMPLE_VIEWS));
    SLUICE_TRY(sl_bytes_put_varint(wire, 1 + varint_size(tensor) + tensor));
    SLUICE_TRY(sl_bytes_put_u8(wire, VIEW_EMBEDDING));
    SLUICE_TRY(sl_bytes_put_varint(wire, tensor));
    SLUICE_TRY(sl_bytes_put_u8(wire, TENSOR_TYPE));
    SLUICE_TRY(sl_bytes_put_u8(wire, views->npy.item_bytes == 4 ? 1 : 2));
    SLUICE_TRY(sl_bytes_put_u8(wire, TENSOR_SHAPE));
    SLUICE_TRY(sl_bytes_put_varint(wire, views->dim));
    SLUICE_TRY(sl_bytes_put_u8(wire, TENSOR_DATA));
    SLUICE_TRY(sl_bytes_put_varint(wire, size));
    return sl_bytes_append(wire, row, size);
}

sluice_status sl_views_append(sl_views_file *views, sluice_bytes *wire)
{
    if (views->next >= views->n) {
        return SLUICE_E_CLOSED;
    }
    const size_t size = (size_t)views->dim * views->npy.item_bytes;
    const uint8_t *rows = views->npy.data.data + views->next * views->n_views * size;
    for (uint32_t k = 0; k < views->n_views; k++) {
        SLUICE_TRY(append_view(views, rows + k * size, wire));
    }
    views->next++;
    return SLUICE_OK;
}

void sl_views_skip(sl_views_file *views)
{
    views->next++;
}
