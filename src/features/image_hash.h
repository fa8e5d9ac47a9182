/* image_hash.h - a perceptual signature of an image, its colours and its quality. */
#ifndef SL_IMAGE_HASH_H
#define SL_IMAGE_HASH_H

#include "features/raster.h"
#include "sluice/sample.h"

#define SL_IMAGE_SIDE       10                                  /* of the square of frequencies */
#define SL_IMAGE_N          (SL_IMAGE_SIDE * SL_IMAGE_SIDE - 1) /* without the mean */
#define SL_IMAGE_LEVELS     5                                   /* thresholds a frequency */
#define SL_IMAGE_SIDE_LEAST 16 /* pixels; below, the quality is 0 */

typedef struct sl_image_hash sl_image_hash; /* constant tables */

SLUICE_MUST_USE sluice_status sl_image_hash_open(sl_image_hash **out);
void sl_image_hash_close(sl_image_hash **hash_p);

/* sl_image_hash_make - what a picture looks like, whatever its size, sharpness and contrast.
 *
 *     Y(u, v)  = orthonormal cosine transform of the 32 x 32 luma, u, v < 10, (u, v) != (0, 0)
 *     c(u, v)  = Y(u, v) sqrt(u^2 + v^2)          natural pictures fall as 1 / frequency
 *     bit      = c / median |c| > t               for t in 0, -.6, .6, -1.5, 1.5
 *
 * raster     Borrows.
 * signature  Out, SLUICE_IMAGE_BYTES: bit k n + i is frequency i at the k-th threshold, n = 99; the
 *            frequencies go from low to high. Bits beyond SLUICE_IMAGE_BITS are 0.
 * colours    Out, SLUICE_IMAGE_COLOURS: mean chroma (U, V) of 4 x 4 cells, -127..127, row-major.
 * quality    Out, 0..100: twice the median |c|, a measure of how far the signature is above noise.
 *            0 for an image with a side below SL_IMAGE_SIDE_LEAST.
 * Error      equal to sl_image_hash_ref but where c is within rounding of a threshold.
 * Source     Zauner 2010 (sign of cosine coefficients); F1 measured in tests/quality. */
void sl_image_hash_make(const sl_image_hash *hash, const sl_raster *raster, uint8_t *signature,
                        int8_t *colours, uint8_t *quality);

/* sl_image_turn - the signature and colours of the picture turned as by sl_raster_turn.
 *
 *     turn & 1  Y(u, v) becomes (-1)^v Y(u, v)
 *     turn & 2  Y(u, v) becomes (-1)^u Y(u, v)
 *     turn & 4  then Y(v, u)
 *
 * signature, colours  Borrow; not aliased with the outputs.
 * Error               as sl_image_hash_make of the turned raster, but where c is within rounding of
 *                     a threshold. */
void sl_image_turn(const uint8_t *signature, const int8_t *colours, uint32_t turn, uint8_t *turned,
                   int8_t *turned_colours);

/* The same by the definition, in float64 and without tables. */
void sl_image_hash_ref(const sl_raster *raster, uint8_t *signature, int8_t *colours,
                       uint8_t *quality);

#endif
