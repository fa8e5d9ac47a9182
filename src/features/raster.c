/* raster.c - reduces the rows of an image to a small square of mean colours.
 *
 *   pixels      | 0    | 1    | 2    | 3    | 4    |      here 5 wide, reduced to 4 cells
 *   cells       |   0     |   1     |   2     |   3   |
 *
 * Counted in units of 1/32 pixel, pixel x begins at 32 x and cell j at j w: every overlap is an
 * integer and every cell has w h units, so the sums are exact.
 * Why means of areas: a picture scaled by any good filter keeps its local means, so the copy at
 * another size has nearly the same raster. */
#include "features/raster.h"

#include "status.h"

#include <string.h>

#define SIDE  SL_RASTER_SIDE
#define WHITE 255u

void sl_reducer_init(sl_reducer *reducer, uint32_t width, uint32_t height, uint32_t n_channels)
{
    SLUICE_ASSERT(width >= 1 && width <= SL_RASTER_PIXELS_MAX);
    SLUICE_ASSERT(height >= 1 && height <= SL_RASTER_PIXELS_MAX);
    SLUICE_ASSERT(n_channels == 3 || n_channels == 4);
    memset(reducer, 0, sizeof *reducer);
    reducer->width = width;
    reducer->height = height;
    reducer->n_channels = n_channels;
}

static inline void add_pixel(const uint8_t *pixel, uint32_t n_channels, uint32_t weight,
                             uint32_t *sum)
{
    if (n_channels == 3) {
        for (uint32_t c = 0; c < 3; c++) {
            sum[c] += weight * pixel[c];
        }
        return;
    }
    uint32_t alpha = pixel[3];
    for (uint32_t c = 0; c < 3; c++) {
        sum[c] += weight * ((pixel[c] * alpha + WHITE * (WHITE - alpha) + WHITE / 2) / WHITE);
    }
}

/* Sums of one row over the width of each cell: at most 255 x 65535, which fits 32 bits. */
static void sum_row(const uint8_t *row, uint32_t width, uint32_t n_channels, uint32_t sums[SIDE][3])
{
    for (uint32_t j = 0; j < SIDE; j++) {
        uint32_t begin = j * width, end = begin + width;
        uint32_t sum[3] = {0};
        for (uint32_t x = begin / SIDE; x * SIDE < end; x++) {
            uint32_t from = x * SIDE > begin ? x * SIDE : begin;
            uint32_t to = (x + 1) * SIDE < end ? (x + 1) * SIDE : end;
            add_pixel(row + (size_t)x * n_channels, n_channels, to - from, sum);
        }
        memcpy(sums[j], sum, sizeof sum);
    }
}

void sl_reducer_row(sl_reducer *reducer, const uint8_t *row)
{
    SLUICE_ASSERT(reducer->y < reducer->height);
    uint32_t sums[SIDE][3];
    sum_row(row, reducer->width, reducer->n_channels, sums);
    uint32_t top = reducer->y * SIDE, bottom = top + SIDE;
    for (uint32_t i = top / reducer->height; i * reducer->height < bottom; i++) {
        uint32_t begin = i * reducer->height, end = begin + reducer->height;
        uint32_t weight = (bottom < end ? bottom : end) - (top > begin ? top : begin);
        for (uint32_t j = 0; j < SIDE; j++) {
            for (uint32_t c = 0; c < 3; c++) {
                reducer->sums[i * SIDE + j][c] += (uint64_t)weight * sums[j][c];
            }
        }
    }
    reducer->y++;
}

void sl_reducer_finish(const sl_reducer *reducer, sl_raster *raster)
{
    SLUICE_ASSERT(reducer->y == reducer->height);
    double area = (double)reducer->width * reducer->height;
    for (uint32_t i = 0; i < SIDE * SIDE; i++) {
        for (uint32_t c = 0; c < 3; c++) {
            raster->rgb[i][c] = (float)((double)reducer->sums[i][c] / area);
        }
    }
}

void sl_raster_turn(sl_raster *raster, uint32_t turn)
{
    SLUICE_ASSERT(turn < SL_RASTER_TURNS);
    if (turn == 0) {
        return;
    }
    sl_raster from = *raster;
    for (uint32_t y = 0; y < SIDE; y++) {
        for (uint32_t x = 0; x < SIDE; x++) {
            uint32_t from_y = (turn & 4) != 0 ? x : y, from_x = (turn & 4) != 0 ? y : x;
            from_x = (turn & 1) != 0 ? SIDE - 1 - from_x : from_x;
            from_y = (turn & 2) != 0 ? SIDE - 1 - from_y : from_y;
            memcpy(raster->rgb[y * SIDE + x], from.rgb[from_y * SIDE + from_x],
                   sizeof raster->rgb[0]);
        }
    }
    raster->width = (turn & 4) != 0 ? from.height : from.width;
    raster->height = (turn & 4) != 0 ? from.width : from.height;
}
