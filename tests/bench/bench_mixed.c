/* bench_mixed.c - writes made-up samples of all kinds for `sluice filter --format pb`.
 *
 *   usage: bench_mixed N WINDOW
 *
 *   sample i   text (5 in 10), JPEG (3 in 10) or embedding (2 in 10) by the hash of i; id "I" + i
 *   every 10th is a near copy of an earlier distinct one, id "I" + i + "=" + its number:
 *              half of them of one at most WINDOW back, half of one farther back
 *
 * A near copy of a text has one word more; of an image it is the same picture at another quality;
 * of an embedding it points nearly the same way (cosine .989 on average). Nothing is copied twice,
 * so a copy is a duplicate exactly if the one it copies is remembered. Texts are as in
 * bench_documents.c. A picture is 8 x 8 random colours, enlarged: no two are alike. */
#include "bytes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <turbojpeg.h>

#define WORDS      40
#define CELLS      8
#define SIDE       48 /* pixels */
#define TEXT_BYTES 1024
#define DIM        128 /* of an embedding */

static uint64_t mix(uint64_t value) /* the finalizer of splitmix64 */
{
    value += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return value ^ value >> 31;
}

static void check(bool good, const char *what)
{
    if (!good) {
        fprintf(stderr, "bench_mixed: %s\n", what);
        exit(1);
    }
}

typedef enum kind { TEXT, IMAGE, EMBEDDING } kind;

static kind kind_of(uint64_t number)
{
    uint64_t part = mix(number * 3 + 1) % 10;
    return part < 5 ? TEXT : part < 8 ? IMAGE : EMBEDDING;
}

static size_t make_text(uint64_t number, bool copy, char *text)
{
    size_t size = 0;
    for (uint64_t i = 0; i < WORDS + (copy ? 1 : 0); i++) {
        uint64_t word = mix(number * 64 + i) % 20000;
        size += (size_t)snprintf(text + size, TEXT_BYTES - size, "%s%c%c%c%c%llu", i > 0 ? " " : "",
                                 (int)('a' + word % 26), (int)('a' + word / 26 % 26), 'o', 'n',
                                 (unsigned long long)word);
    }
    return size;
}

/* Bilinear between the centres of the cells. */
static void make_pixels(uint64_t number, uint8_t *rgb)
{
    uint8_t cell[CELLS + 1][CELLS + 1][3];
    for (uint64_t i = 0; i < sizeof cell; i++) {
        ((uint8_t *)cell)[i] = (uint8_t)(mix(number * 512 + i) >> 32);
    }
    for (int y = 0; y < SIDE; y++) {
        for (int x = 0; x < SIDE; x++) {
            int i = y * CELLS / SIDE, j = x * CELLS / SIDE;
            int v = y * CELLS % SIDE, u = x * CELLS % SIDE;
            for (int c = 0; c < 3; c++) {
                int above = cell[i][j][c] * (SIDE - u) + cell[i][j + 1][c] * u;
                int below = cell[i + 1][j][c] * (SIDE - u) + cell[i + 1][j + 1][c] * u;
                rgb[(y * SIDE + x) * 3 + c] =
                    (uint8_t)((above * (SIDE - v) + below * v) / (SIDE * SIDE));
            }
        }
    }
}

static size_t make_image(tjhandle jpeg, uint64_t number, bool copy, unsigned char **out)
{
    uint8_t rgb[SIDE * SIDE * 3];
    unsigned long size = 0;
    make_pixels(number, rgb);
    check(tjCompress2(jpeg, rgb, SIDE, 0, SIDE, TJPF_RGB, out, &size, TJSAMP_444, copy ? 75 : 92,
                      0) == 0,
          "cannot make a JPEG");
    return size;
}

static void put_field(sluice_bytes *out, unsigned number, const void *data, size_t size)
{
    check(sl_bytes_put_varint(out, number << 3 | 2) == SLUICE_OK &&
              sl_bytes_put_varint(out, size) == SLUICE_OK &&
              sl_bytes_append(out, data, size) == SLUICE_OK,
          "no memory");
}

/* In [-1, 1). */
static float number_at(uint64_t seed)
{
    return (float)((double)(mix(seed) >> 11) * 0x1p-52 - 1);
}

/* View { embedding { F32, [DIM], data } } of a sample without a payload. */
static void put_embedding(uint64_t number, uint64_t copy_seed, sluice_bytes *one)
{
    static const uint8_t head[] = {1 << 3, 1, 2 << 3 | 2, 2, (DIM & 127) | 128, DIM >> 7};
    static sluice_bytes tensor, view;
    float row[DIM];
    for (uint64_t i = 0; i < DIM; i++) {
        row[i] = number_at(number * 1024 + i) +
                 (copy_seed != 0 ? 0.15F * number_at(copy_seed * 1024 + i + 512) : 0);
    }
    sl_bytes_clear(&tensor);
    sl_bytes_clear(&view);
    check(sl_bytes_append(&tensor, head, sizeof head) == SLUICE_OK, "no memory");
    put_field(&tensor, 3, row, sizeof row);
    put_field(&view, 1, tensor.data, tensor.size);
    put_field(one, 6, "bench@1", 7);
    put_field(one, 7, view.data, view.size);
}

static void put_sample(tjhandle jpeg, uint64_t i, uint64_t of, sluice_bytes *one)
{
    static unsigned char *image;
    char id[64], text[TEXT_BYTES];
    uint64_t number = of != UINT64_MAX ? of : i;
    bool copy = of != UINT64_MAX;
    int id_size =
        copy ? snprintf(id, sizeof id, "I%llu=%llu", (unsigned long long)i, (unsigned long long)of)
             : snprintf(id, sizeof id, "I%llu", (unsigned long long)i);
    sl_bytes_clear(one);
    put_field(one, 1, id, (size_t)id_size);
    static const char *const sources[] = {"text", "image", "embedding"};
    const char *source = sources[kind_of(number)];
    put_field(one, 2, source, strlen(source));
    switch (kind_of(number)) {
    case IMAGE: {
        size_t size = make_image(jpeg, number, copy, &image);
        put_field(one, 4, image, size);
        put_field(one, 5, "image/jpeg", 10);
        break;
    }
    case EMBEDDING:
        put_embedding(number, copy ? i : 0, one);
        break;
    case TEXT:
        put_field(one, 4, text, make_text(number, copy, text));
        break;
    }
    uint8_t head[10];
    size_t n = 0;
    for (uint64_t left = one->size; left > 0 || n == 0; left >>= 7) {
        head[n++] = (uint8_t)((left & 127) | (left > 127 ? 128 : 0));
    }
    check(fwrite(head, 1, n, stdout) == n && fwrite(one->data, 1, one->size, stdout) == one->size,
          "cannot write");
}

/* A distinct sample from [low, high) that was not copied yet; UINT64_MAX if a few draws find none.
 */
static uint64_t draw(uint64_t i, uint64_t low, uint64_t high, uint8_t *copied)
{
    for (uint64_t k = 0; k < 20 && low < high; k++) {
        uint64_t of = low + mix(i * 32 + k) % (high - low);
        if (of % 10 != 9 && !copied[of]) {
            copied[of] = 1;
            return of;
        }
    }
    return UINT64_MAX;
}

int main(int argc, char **argv)
{
    check(argc == 3, "usage: bench_mixed N WINDOW");
    uint64_t n = (uint64_t)strtod(argv[1], NULL), window = (uint64_t)strtod(argv[2], NULL);
    uint8_t *copied = calloc(n + 1, 1);
    tjhandle jpeg = tjInitCompress();
    sluice_bytes one = {0};
    check(copied != NULL && jpeg != NULL, "no memory");
    for (uint64_t i = 0; i < n; i++) {
        uint64_t of = UINT64_MAX;
        if (i % 10 == 9) {
            uint64_t edge = i > window ? i - window : 0;
            of = i % 20 == 9 || edge == 0 ? draw(i, edge, i, copied) : draw(i, 0, edge, copied);
        }
        put_sample(jpeg, i, of, &one);
    }
    check(fflush(stdout) == 0, "cannot write");
    sl_bytes_fini(&one);
    tjDestroy(jpeg);
    free(copied);
    return 0;
}
