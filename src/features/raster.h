/* raster.h - reduces the rows of an image to a small square of mean colours. */
#ifndef SL_RASTER_H
#define SL_RASTER_H

#include <stdint.h>

#define SL_RASTER_SIDE       32
#define SL_RASTER_PIXELS_MAX 65535 /* of a side of what is reduced */

typedef struct sl_raster {
    uint32_t width, height; /* of the image as it was encoded                                    */
    float rgb[SL_RASTER_SIDE * SL_RASTER_SIDE][3]; /* 0..255, row-major                           */
} sl_raster;

/* Sums on the way; rows come in order from the top. */
typedef struct sl_reducer {
    uint32_t width, height, n_channels, y;
    uint64_t sums[SL_RASTER_SIDE * SL_RASTER_SIDE][3];
} sl_reducer;

/* sl_reducer_init, _row, _finish - the mean of the area that each cell covers.
 *
 *     cell (i, j) covers [j w / 32, (j + 1) w / 32) x [i h / 32, (i + 1) h / 32) pixels
 *
 * n_channels  3: RGB; 4: RGBA, blended over white.
 * width, height  1..SL_RASTER_PIXELS_MAX; an image smaller than the raster is enlarged in squares.
 * row         Borrows uint8_t[width][n_channels]; exactly `height` calls.
 * Error       none: all sums are exact integers; the mean is rounded once. */
void sl_reducer_init(sl_reducer *reducer, uint32_t width, uint32_t height, uint32_t n_channels);
void sl_reducer_row(sl_reducer *reducer, const uint8_t *row);
void sl_reducer_finish(const sl_reducer *reducer, sl_raster *raster); /* rgb only */

#define SL_RASTER_TURNS 8 /* a square lies in eight ways */

/* sl_raster_turn - turns a raster; exchanges its width and height where that follows.
 *
 *     turn & 4  the picture's rows are what were columns
 *     turn & 1  ... counted from the other side: left and right of the original exchanged
 *     turn & 2  ... top and bottom of the original exchanged */
void sl_raster_turn(sl_raster *raster, uint32_t turn);

#endif
