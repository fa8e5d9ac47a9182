/* thumbnail.h - a small picture of an encoded image, as a PNG of our own making. */
#ifndef SL_THUMBNAIL_H
#define SL_THUMBNAIL_H

#include "status.h"
#include "sluice/sample.h"

#define SL_THUMBNAIL_SIDE 96 /* pixels of the longer side */

/* sl_thumbnail_make - appends the PNG: the raster of mean colours that duplicates are judged by,
 * smoothed to the image's own proportions. It is blurred: 32 cells a side.
 *
 * image    Borrows; what sl_image_decode reads.
 * Returns  BADSAMPLE: it cannot be decoded. NOMEM. Nothing appended then.
 * Threads  Pure; any. */
SLUICE_MUST_USE sluice_status sl_thumbnail_make(sluice_span image, sluice_bytes *out);

#endif
