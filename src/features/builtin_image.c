/* builtin_image.c - views of an image without a model: a weak encoder.
 *
 *   raster 32 x 32 -> crop, mirror, light, colour -> luma, chroma 32 x 32
 *                       (views 1 and 2)                 |
 *          | layout 8x8 | chroma 4x4x2 | edges 4x4x8 | shares 16 + 16 |   = 256 values
 *
 * Why weak: it sees light, colour and coarse edges, no objects. Two blue things are near each
 * other.
 * Why the raster and not the image: it is decoded already, and what is left out is below what a
 * weak encoder can use.
 * Why no projection: the parts come to 256 values by themselves.
 * Why directions by products and not by angles: no function of the C library is in it, so the bits
 * are the same on every machine. */
#include "features/builtin_image.h"

#include <string.h>

#define SIDE      SL_RASTER_SIDE
#define N         (SIDE * SIDE)
#define LAYOUT    8  /* cells a side of luma   */
#define CELLS     4  /* cells a side of chroma and edges */
#define DIRECTION 8  /* of edges, in half a turn */
#define SHARES    16 /* of chroma (4 x 4) and of luma */

#define AT_LAYOUT 0
#define AT_CHROMA (LAYOUT * LAYOUT)
#define AT_EDGES  (AT_CHROMA + 2 * CELLS * CELLS)
#define AT_SHARES (AT_EDGES + CELLS * CELLS * DIRECTION)

_Static_assert(AT_SHARES + 2 * SHARES == SL_BUILTIN_DIM, "the parts fill the row");

/* Lengths of the parts. */
#define LENGTH_LAYOUT 1.0F
#define LENGTH_CHROMA 0.7F
#define LENGTH_EDGES  1.0F
#define LENGTH_SHARES 0.7F

/* cos and sin of k pi / 8 */
static const float direction[DIRECTION][2] = {{1.0F, 0.0F},
                                              {0.92387953F, 0.38268343F},
                                              {0.70710678F, 0.70710678F},
                                              {0.38268343F, 0.92387953F},
                                              {0.0F, 1.0F},
                                              {-0.38268343F, 0.92387953F},
                                              {-0.70710678F, 0.70710678F},
                                              {-0.92387953F, 0.38268343F}};

/* ---- augmenting ------------------------------------------------------------------------------ */

typedef struct pixels {
    float rgb[N][3];
} pixels;

static float luma_of(const float *rgb)
{
    return 0.299F * rgb[0] + 0.587F * rgb[1] + 0.114F * rgb[2];
}

static float between(float low, float high, uint64_t *state)
{
    return low + (high - low) * sl_builtin_uniform(state);
}

/* Where the samples along one axis lie: the pixel before, and how far on to the next. */
static void place_samples(float begin, float size, bool mirrored, uint32_t at[SIDE],
                          float share[SIDE])
{
    for (uint32_t i = 0; i < SIDE; i++) {
        float x = begin + size * ((float)(mirrored ? SIDE - 1 - i : i) + 0.5F) / SIDE - 0.5F;
        x = x < 0 ? 0 : x > SIDE - 1 ? SIDE - 1 : x;
        at[i] = x < SIDE - 1 ? (uint32_t)x : SIDE - 2;
        share[i] = x - (float)at[i];
    }
}

static void cut_out(const sl_raster *raster, uint64_t *state, pixels *out)
{
    float size = SIDE * sqrtf(between(0.6F, 1.0F, state));
    uint32_t x[SIDE], y[SIDE];
    float x_share[SIDE], y_share[SIDE];
    bool mirrored = (sl_builtin_draw(state) & 1) != 0;
    place_samples(between(0, SIDE - size, state), size, mirrored, x, x_share);
    place_samples(between(0, SIDE - size, state), size, false, y, y_share);
    for (uint32_t i = 0; i < N; i++) {
        const float(*from)[3] = raster->rgb + (size_t)y[i / SIDE] * SIDE + x[i % SIDE];
        float right = x_share[i % SIDE], down = y_share[i / SIDE];
        for (uint32_t c = 0; c < 3; c++) {
            float upper = from[0][c] + right * (from[1][c] - from[0][c]);
            float lower = from[SIDE][c] + right * (from[SIDE + 1][c] - from[SIDE][c]);
            out->rgb[i][c] = upper + down * (lower - upper);
        }
    }
}

static void change_colours(pixels *picture, uint64_t *state)
{
    float brightness = between(0.7F, 1.3F, state);
    float contrast = between(0.7F, 1.3F, state);
    float colour = between(0.7F, 1.3F, state);
    float mean = 0;
    for (uint32_t i = 0; i < N; i++) {
        mean += luma_of(picture->rgb[i]);
    }
    mean /= N;
    for (uint32_t i = 0; i < N; i++) {
        float *rgb = picture->rgb[i];
        float luma = luma_of(rgb);
        float light = brightness * (mean + contrast * (luma - mean));
        for (uint32_t c = 0; c < 3; c++) {
            float value = light + brightness * contrast * colour * (rgb[c] - luma);
            rgb[c] = value < 0 ? 0 : value > 255 ? 255 : value;
        }
    }
}

/* ---- encoding -------------------------------------------------------------------------------- */

/* Scales to a length; what is shorter than `least` stays as small beside it as it is. */
static void set_length(float *part, uint32_t n, float length, float least)
{
    float square = 0;
    for (uint32_t i = 0; i < n; i++) {
        square += part[i] * part[i];
    }
    float have = sqrtf(square);
    float scale = length / (have > least ? have : least);
    for (uint32_t i = 0; i < n; i++) {
        part[i] *= scale;
    }
}

static void remove_mean(float *part, uint32_t n)
{
    float mean = 0;
    for (uint32_t i = 0; i < n; i++) {
        mean += part[i];
    }
    mean /= (float)n;
    for (uint32_t i = 0; i < n; i++) {
        part[i] -= mean;
    }
}

static void add_edges(const float luma[N], float *edges)
{
    const uint32_t cell = SIDE / CELLS;
    for (uint32_t y = 1; y + 1 < SIDE; y++) {
        for (uint32_t x = 1; x + 1 < SIDE; x++) {
            const float *at = luma + y * SIDE + x;
            float right = at[1] - at[-1], down = at[SIDE] - at[-SIDE];
            float square = right * right + down * down;
            if (square < 1e-6F) {
                continue;
            }
            float strength = sqrtf(square);
            float *cell_edges = edges + (size_t)(y / cell * CELLS + x / cell) * DIRECTION;
            for (uint32_t k = 0; k < DIRECTION; k++) {
                float along = right * direction[k][0] + down * direction[k][1];
                float share = along * along / square; /* cos^2, then cos^8: three bins or so */
                share *= share;
                cell_edges[k] += strength * share * share;
            }
        }
    }
    for (uint32_t i = 0; i < CELLS * CELLS; i++) {
        remove_mean(edges + (size_t)i * DIRECTION, DIRECTION);
    }
}

static uint32_t bin_of(float value, float width, uint32_t n)
{
    return value < 0 ? 0 : value >= width * (float)n ? n - 1 : (uint32_t)(value / width);
}

static void encode(const pixels *picture, float *row)
{
    float luma[N];
    memset(row, 0, sizeof *row * SL_BUILTIN_DIM);
    for (uint32_t i = 0; i < N; i++) {
        const float *rgb = picture->rgb[i];
        uint32_t y = i / SIDE, x = i % SIDE;
        luma[i] = luma_of(rgb);
        float blue = 0.564F * (rgb[2] - luma[i]), red = 0.713F * (rgb[0] - luma[i]);
        row[AT_LAYOUT + y * LAYOUT / SIDE * LAYOUT + x * LAYOUT / SIDE] += luma[i];
        uint32_t cell = y * CELLS / SIDE * CELLS + x * CELLS / SIDE;
        row[AT_CHROMA + 2 * cell] += blue;
        row[AT_CHROMA + 2 * cell + 1] += red;
        row[AT_SHARES + 4 * bin_of(blue + 40, 20, 4) + bin_of(red + 40, 20, 4)] += 1;
        row[AT_SHARES + SHARES + bin_of(luma[i], 16, SHARES)] += 1;
    }
    add_edges(luma, row + AT_EDGES);
    remove_mean(row + AT_LAYOUT, LAYOUT * LAYOUT);
    remove_mean(row + AT_SHARES, SHARES);
    remove_mean(row + AT_SHARES + SHARES, SHARES);
    set_length(row + AT_LAYOUT, LAYOUT * LAYOUT, LENGTH_LAYOUT, 16);
    set_length(row + AT_CHROMA, 2 * CELLS * CELLS, LENGTH_CHROMA, 4 * N);
    set_length(row + AT_EDGES, CELLS * CELLS * DIRECTION, LENGTH_EDGES, 16);
    set_length(row + AT_SHARES, 2 * SHARES, LENGTH_SHARES, 1);
}

bool sl_builtin_image_make(const sl_raster *raster, uint64_t seed, float *rows)
{
    pixels seen;
    bool good = true;
    for (uint32_t v = 0; v < SL_BUILTIN_VIEWS; v++) {
        if (v == 0) {
            memcpy(seen.rgb, raster->rgb, sizeof seen.rgb);
        } else {
            cut_out(raster, &seed, &seen);
            change_colours(&seen, &seed);
        }
        float *row = rows + (size_t)v * SL_BUILTIN_DIM;
        encode(&seen, row);
        good = sl_builtin_unit(row) && good;
    }
    return good;
}
