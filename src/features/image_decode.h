/* image_decode.h - encoded JPEG, PNG or WebP bytes to a small raster of mean colours. */
#ifndef SL_IMAGE_DECODE_H
#define SL_IMAGE_DECODE_H

#include "features/raster.h"
#include "sluice/sample.h"

#define SL_IMAGE_PIXELS_MAX     40000000u  /* of an image                                        */
#define SL_IMAGE_INTERLACED_MAX 16000000u  /* of an interlaced PNG: it is decoded as a whole  */
#define SL_IMAGE_WORK_MAX       400000000u /* pixels x scans of a JPEG                           */

typedef enum sl_image_state {
    SL_IMAGE_DECODED,
    SL_IMAGE_FOREIGN,     /* neither JPEG, PNG nor WebP by its first bytes                       */
    SL_IMAGE_UNSUPPORTED, /* one of them, of a kind that is not read: animated, 12 bits          */
    SL_IMAGE_BROKEN,      /* truncated, damaged, empty                                           */
    SL_IMAGE_TOO_LARGE,   /* pixels, a side or the work to decode                                */
    SL_IMAGE_NO_MEMORY
} sl_image_state;

/* sl_image_decode - the raster of one image.
 *
 * bytes    Borrows. The format is told by the first bytes, whatever the media type claims.
 * raster   Out; undefined unless DECODED.
 * Kinds    JPEG: baseline and progressive, grey, CMYK. PNG: all, 16 bits as 8, the still picture of
 *          an APNG, transparent over white. WebP: lossy and lossless, not animated. The
 *          orientation that Exif data ask for is applied; colour profiles are not.
 * Cost     scaled decoding where the codec has it; at most 4 bytes a pixel (8 for a progressive
 *          JPEG) on the heap, freed before return.
 * Threads  Pure; any. */
sl_image_state sl_image_decode(sluice_span bytes, sl_raster *raster);

#endif
