/* tensor.c - the views of a sample as unit rows.
 *
 *   View  { embedding: Tensor h, activation: Tensor a, augmentation }
 *   Tensor{ type f32 | f16 | i8, shape [d] or [1, d], data, scale }      little-endian
 *
 *   h (m numbers) --> double norm --> rows[k]   = h / |h|  in float32
 *   a (d numbers) ------------------> inputs[k] = a / |h|
 *
 * Why unit rows at the door: the loss knows directions only, and a norm of 1e25 must neither own a
 * basis nor overflow a square.
 * Why a over the norm of h: only their ratio means anything then. */
#include "decode/tensor.h"

#include "decode/prescan.h"

#include <math.h>
#include <stdio.h>

enum { VIEW_EMBEDDING = 1, VIEW_ACTIVATION = 2 };
enum { TENSOR_TYPE = 1, TENSOR_SHAPE = 2, TENSOR_DATA = 3, TENSOR_SCALE = 4 };
enum { TYPE_F32 = 1, TYPE_F16 = 2, TYPE_I8 = 3 };

typedef struct tensor {
    uint64_t type;
    uint64_t n;      /* product of the shape */
    uint32_t n_long; /* dimensions other than 1 */
    sluice_span data;
    float scale;
} tensor;

static bool refuse(sl_refusal *refusal, const char *reason, uint32_t i_view, const char *text)
{
    refusal->reason = reason;
    snprintf(refusal->text, sizeof refusal->text, "view %u %s", i_view, text);
    return false;
}

float sl_half_to_float(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    uint32_t exponent = half >> 10 & 31;
    uint32_t mantissa = half & 0x3ff;
    float value;
    if (exponent == 0) { /* subnormal: mantissa x 2^-24, exact in float */
        value = (float)mantissa * 0x1p-24F;
        return sign != 0 ? -value : value;
    }
    exponent = exponent == 31 ? 255 : exponent + (127 - 15);
    uint32_t bits = sign | exponent << 23 | mantissa << 13;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void take_dimension(tensor *out, uint64_t size)
{
    out->n = size > SLUICE_LIMIT_DIMENSION || out->n > SLUICE_LIMIT_DIMENSION ? UINT32_MAX
                                                                              : out->n * size;
    out->n_long += size != 1;
}

static void take_shape(const sl_wire_field *field, tensor *out)
{
    if (field->wire_type != SL_WIRE_BYTES) {
        take_dimension(out, field->value);
        return;
    }
    sl_reader packed = sl_reader_of(field->span);
    while (packed.at != packed.end && !packed.bad) {
        take_dimension(out, sl_reader_varint(&packed));
    }
}

static tensor tensor_of(sluice_span span)
{
    tensor out = {.n = 1};
    sl_reader reader = sl_reader_of(span);
    sl_wire_field field;
    bool shaped = false;
    while (sl_wire_field_next(&reader, &field)) {
        if (field.number == TENSOR_TYPE) {
            out.type = field.value;
        } else if (field.number == TENSOR_SHAPE) {
            shaped = true;
            take_shape(&field, &out);
        } else if (field.number == TENSOR_DATA) {
            out.data = field.span;
        } else if (field.number == TENSOR_SCALE) {
            uint32_t bits = (uint32_t)field.value;
            memcpy(&out.scale, &bits, sizeof out.scale);
        }
    }
    out.n = shaped ? out.n : 0;
    return out;
}

static size_t item_bytes(const tensor *from)
{
    return from->type == TYPE_F32 ? 4 : from->type == TYPE_F16 ? 2 : from->type == TYPE_I8 ? 1 : 0;
}

/* A vector of 2..SLUICE_LIMIT_DIMENSION numbers of a known type, all there. */
static bool check_tensor(const tensor *from, uint32_t i_view, sl_refusal *refusal)
{
    char text[120];
    if (item_bytes(from) == 0) {
        return refuse(refusal, "tensor_type", i_view, "is neither f32 nor f16 nor i8");
    }
    if (from->n < 2 || from->n > SLUICE_LIMIT_DIMENSION || from->n_long > 1) {
        snprintf(text, sizeof text, "is not one vector of 2 to %d numbers", SLUICE_LIMIT_DIMENSION);
        return refuse(refusal, "tensor_shape", i_view, text);
    }
    if (from->data.size != from->n * item_bytes(from)) {
        snprintf(text, sizeof text, "has %zu bytes; its shape and type need %zu", from->data.size,
                 (size_t)from->n * item_bytes(from));
        return refuse(refusal, "tensor_size", i_view, text);
    }
    return true;
}

static double item_at(const tensor *from, size_t i)
{
    const uint8_t *at = from->data.data + i * item_bytes(from);
    if (from->type == TYPE_F32) {
        float value;
        memcpy(&value, at, sizeof value);
        return (double)value;
    }
    if (from->type == TYPE_F16) {
        return (double)sl_half_to_float((uint16_t)(at[0] | at[1] << 8));
    }
    return (double)from->scale * (int8_t)at[0];
}

/* False if a number is NaN or infinite. */
static bool norm_of(const tensor *from, double *norm)
{
    double sum = 0;
    for (size_t i = 0; i < from->n; i++) {
        double value = item_at(from, i);
        sum += value * value;
    }
    *norm = sqrt(sum);
    return isfinite(sum); /* squares of finite floats do not overflow a double */
}

static bool fill_row(const tensor *from, double norm, float *row)
{
    bool finite = true;
    for (size_t i = 0; i < from->n; i++) {
        row[i] = (float)(item_at(from, i) / norm);
        finite = finite && isfinite(row[i]);
    }
    return finite;
}

static void find_tensors(sluice_span view, sluice_span *embedding, sluice_span *activation)
{
    sl_reader reader = sl_reader_of(view);
    sl_wire_field field;
    *embedding = *activation = (sluice_span){NULL, 0};
    while (sl_wire_field_next(&reader, &field)) {
        if (field.number == VIEW_EMBEDDING) {
            *embedding = field.span;
        } else if (field.number == VIEW_ACTIVATION) {
            *activation = field.span;
        }
    }
}

static bool open_views(const tensor *h, const tensor *a, uint32_t n_views, sl_arena *arena,
                       sluice_views *out, sl_refusal *refusal)
{
    size_t floats = n_views * ((size_t)h->n + (a != NULL ? (size_t)a->n : 0));
    sl_arena_allow(arena, floats * sizeof(float) + 32);
    float *rows = sl_arena_alloc(arena, floats * sizeof(float));
    if (rows == NULL) {
        return refuse(refusal, "out_of_memory", 0, "has no room");
    }
    *out = (sluice_views){.n_views = n_views,
                          .dim = (uint32_t)h->n,
                          .dim_in = a != NULL ? (uint32_t)a->n : 0,
                          .rows = rows,
                          .inputs = a != NULL ? rows + n_views * h->n : NULL};
    return true;
}

/* One view into its rows. The first one says what the others must be like. */
static bool read_view(sluice_span view, uint32_t i_view, uint32_t n_views, sl_arena *arena,
                      sluice_views *out, sl_refusal *refusal)
{
    sluice_span embedding, activation;
    find_tensors(view, &embedding, &activation);
    const tensor h = tensor_of(embedding);
    const tensor a = tensor_of(activation);
    if (embedding.data == NULL) {
        return refuse(refusal, "view_without_embedding", i_view, "has no embedding");
    }
    if (!check_tensor(&h, i_view, refusal) ||
        (activation.data != NULL && !check_tensor(&a, i_view, refusal))) {
        return false;
    }
    if (i_view == 0 &&
        !open_views(&h, activation.data != NULL ? &a : NULL, n_views, arena, out, refusal)) {
        return false;
    }
    if (h.n != out->dim || (activation.data != NULL ? a.n : 0) != out->dim_in) {
        return refuse(refusal, "views_differ", i_view, "has other dimensions than view 0");
    }
    double norm;
    if (!norm_of(&h, &norm)) {
        return refuse(refusal, "view_not_finite", i_view, "holds NaN or infinity");
    }
    if (norm <= SL_VIEW_NORM_MIN) {
        return refuse(refusal, "view_zero_norm", i_view, "has norm 0 and so no direction");
    }
    bool finite = fill_row(&h, norm, (float *)out->rows + i_view * h.n);
    if (out->inputs != NULL) {
        finite = fill_row(&a, norm, (float *)out->inputs + i_view * a.n) && finite;
    }
    return finite || refuse(refusal, "view_not_finite", i_view, "holds NaN or infinity");
}

bool sl_views_read(const sl_sample_fields *fields, sl_arena *arena, sluice_views *out,
                   sl_refusal *refusal)
{
    *out = (sluice_views){.n_views = 0};
    if (fields->n_views > SLUICE_LIMIT_VIEWS) {
        refusal->reason = "too_many_views";
        snprintf(refusal->text, sizeof refusal->text, "views are %u; the limit is %d",
                 fields->n_views, SLUICE_LIMIT_VIEWS);
        return false;
    }
    for (uint32_t i = 0; i < fields->n_views; i++) {
        if (!read_view(fields->views[i], i, fields->n_views, arena, out, refusal)) {
            *out = (sluice_views){.n_views = 0};
            return false;
        }
    }
    return true;
}
