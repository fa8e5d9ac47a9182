/* orientation.h - how an encoded image asks to be turned before it is looked at. */
#ifndef SL_ORIENTATION_H
#define SL_ORIENTATION_H

#include "sluice/sample.h"

/* sl_orientation_of - the turn (raster.h) that the Exif data of a JPEG, PNG or WebP ask for; 0
 * where there are none, or none that can be read.
 *
 * bytes    Borrows; any bytes at all.
 * Cost     one step a segment or chunk; their content is not read.
 * Source   Exif 2.32, tag 0x0112; PNG 3rd edition, eXIf; WebP container, EXIF. */
uint32_t sl_orientation_of(sluice_span bytes);

#endif
