/* builtin_image.h - views of an image without a model: a weak encoder. */
#ifndef SL_BUILTIN_IMAGE_H
#define SL_BUILTIN_IMAGE_H

#include "features/builtin.h"
#include "features/raster.h"

/* sl_builtin_image_make - where an image has which light, colours and edges, as three unit rows.
 *
 *     row = [ luma of 8 x 8 cells | chroma of 4 x 4 cells | 8 directions of edges in 4 x 4 cells
 *             | shares of 16 chromas, 16 lumas ],   each part of a fixed norm, the whole of norm 1
 *
 * raster  Borrows; of an image with some structure (its quality is above 0).
 * seed    Of the augmentations; a hash of the payload.
 * rows    Out, float[SL_BUILTIN_VIEWS][SL_BUILTIN_DIM], row-major. View 0: the raster. 1, 2: 60 to
 *         100 % of its area, mirrored or not, brightness, contrast and colour within 30 %.
 * Returns false if a row has no length. An image of one colour has one: its share is all of it.
 * Threads Pure.
 * Source  histograms of oriented gradients: Dalal & Triggs 2005; colour layout: MPEG-7. */
bool sl_builtin_image_make(const sl_raster *raster, uint64_t seed, float *rows);

#endif
