/* made_samples.c - makes up samples, as they would come over the wire, out of nothing but a number.
 *
 *   number --> splitmix64 --> letters | colours --> JPEG | directions --> Batch { Sample ... }
 *
 * Why no two are alike: a sample that repeats another ends at the first look. */
#include "command/made_samples.h"
#include "bytes.h"

#include <stdio.h>
#include <stdlib.h>
#include <turbojpeg.h>

#define CELLS 8

struct sl_made {
    tjhandle jpeg;
    unsigned char *image; /* of tjCompress2, which lets it grow */
    unsigned long image_bytes;
    uint8_t rgb[SL_MADE_SIDE * SL_MADE_SIDE * 3];
    sluice_bytes tensor, view, one, all;
};

uint64_t sl_made_number(uint64_t value)
{
    value += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return value ^ value >> 31;
}

static sluice_status put_field(sluice_bytes *out, unsigned number, const void *data, size_t size)
{
    SLUICE_TRY(sl_bytes_put_varint(out, number << 3 | 2));
    SLUICE_TRY(sl_bytes_put_varint(out, size));
    return sl_bytes_append(out, data, size);
}

/* Words of 2 to 9 letters; the product of two draws makes a few of them frequent. */
static sluice_status put_text(sl_made *made, uint64_t number)
{
    char text[SL_MADE_TEXT + 16];
    size_t size = 0;
    for (uint64_t i = 0; size < SL_MADE_TEXT; i++) {
        uint64_t draw = sl_made_number(number * 1024 + i);
        uint64_t letters = sl_made_number((draw & 255) * (draw >> 8 & 255));
        for (uint64_t left = 2 + letters % 8; left > 0; left--, letters /= 26) {
            text[size++] = (char)('a' + letters % 26);
        }
        text[size++] = ' ';
    }
    return put_field(&made->one, 4, text, SL_MADE_TEXT);
}

/* 8 x 8 random colours, bilinear between the centres of the cells, as JPEG. */
static sluice_status put_image(sl_made *made, uint64_t number)
{
    uint8_t cell[CELLS + 1][CELLS + 1][3];
    for (uint64_t i = 0; i < sizeof cell; i++) {
        ((uint8_t *)cell)[i] = (uint8_t)(sl_made_number(number * 512 + i) >> 32);
    }
    for (int at = 0; at < SL_MADE_SIDE * SL_MADE_SIDE; at++) {
        int i = at / SL_MADE_SIDE * CELLS / SL_MADE_SIDE,
            v = at / SL_MADE_SIDE * CELLS % SL_MADE_SIDE;
        int j = at % SL_MADE_SIDE * CELLS / SL_MADE_SIDE,
            u = at % SL_MADE_SIDE * CELLS % SL_MADE_SIDE;
        for (int c = 0; c < 3; c++) {
            int above = cell[i][j][c] * (SL_MADE_SIDE - u) + cell[i][j + 1][c] * u;
            int below = cell[i + 1][j][c] * (SL_MADE_SIDE - u) + cell[i + 1][j + 1][c] * u;
            made->rgb[at * 3 + c] =
                (uint8_t)((above * (SL_MADE_SIDE - v) + below * v) / (SL_MADE_SIDE * SL_MADE_SIDE));
        }
    }
    if (tjCompress2(made->jpeg, made->rgb, SL_MADE_SIDE, 0, SL_MADE_SIDE, TJPF_RGB, &made->image,
                    &made->image_bytes, TJSAMP_420, 85, 0)) {
        return SLUICE_E_NOMEM;
    }
    SLUICE_TRY(put_field(&made->one, 4, made->image, made->image_bytes));
    return put_field(&made->one, 5, "image/jpeg", 10);
}

/* View k of a sample: a direction of its own, bent a little by k. */
static sluice_status put_view(sl_made *made, uint64_t number, uint64_t k)
{
    float row[SL_MADE_DIM];
    for (uint64_t i = 0; i < SL_MADE_DIM; i++) {
        uint64_t draw = sl_made_number(number * 4096 + i), bend = sl_made_number(draw + k);
        float own = (float)(draw & 0xffff) + (float)(draw >> 16 & 0xffff) - 0xffff;
        row[i] = own + (k == 0 ? 0.0F : 0.3F * ((float)(bend & 0xffff) - 0x7fff));
    }
    /* embedding { type f32, shape [384], data } */
    static const uint8_t head[] = {0x08, 1, 0x12, 2, (SL_MADE_DIM & 127) | 128, SL_MADE_DIM >> 7};
    sl_bytes_clear(&made->tensor);
    sl_bytes_clear(&made->view);
    SLUICE_TRY(sl_bytes_append(&made->tensor, head, sizeof head));
    SLUICE_TRY(put_field(&made->tensor, 3, row, sizeof row));
    SLUICE_TRY(put_field(&made->view, 1, made->tensor.data, made->tensor.size));
    return put_field(&made->one, 7, made->view.data, made->view.size);
}

static sluice_status put_embedding(sl_made *made, uint64_t number)
{
    SLUICE_TRY(put_field(&made->one, 6, "bench@1", 7));
    return put_view(made, number, 0);
}

static sluice_status put_views(sl_made *made, uint64_t number)
{
    SLUICE_TRY(put_embedding(made, number));
    return put_view(made, number, 1);
}

static sluice_status put_payload(sl_made *made, sl_made_kind kind, uint64_t number)
{
    switch (kind) {
    case SL_MADE_TEXTS:
        return put_text(made, number);
    case SL_MADE_IMAGES:
        return put_image(made, number);
    case SL_MADE_EMBEDDINGS:
        return put_embedding(made, number);
    default:
        return put_views(made, number);
    }
}

sluice_status sl_made_open(sl_made **out)
{
    sl_made *made = *out = calloc(1, sizeof *made);
    if (made != NULL && (made->jpeg = tjInitCompress()) != NULL) {
        return SLUICE_OK;
    }
    sl_made_close(out);
    return SLUICE_E_NOMEM;
}

void sl_made_close(sl_made **made_p)
{
    sl_made *made = *made_p;
    *made_p = NULL;
    if (made == NULL) {
        return;
    }
    if (made->jpeg != NULL) {
        tjDestroy(made->jpeg);
    }
    tjFree(made->image);
    sl_bytes_fini(&made->tensor);
    sl_bytes_fini(&made->view);
    sl_bytes_fini(&made->one);
    sl_bytes_fini(&made->all);
    free(made);
}

sluice_status sl_made_batch(sl_made *made, sl_made_kind kind, uint64_t first, uint32_t n,
                            sluice_span *out)
{
    sl_bytes_clear(&made->all);
    for (uint64_t number = first; number < first + n; number++) {
        char id[32];
        int size = snprintf(id, sizeof id, "made-%llu", (unsigned long long)number);
        sl_bytes_clear(&made->one);
        SLUICE_TRY(put_field(&made->one, 1, id, (size_t)size));
        SLUICE_TRY(put_field(&made->one, 2, "made up", 7));
        SLUICE_TRY(put_payload(made, kind, number));
        SLUICE_TRY(put_field(&made->all, 1, made->one.data, made->one.size));
    }
    *out = (sluice_span){made->all.data, made->all.size};
    return SLUICE_OK;
}
