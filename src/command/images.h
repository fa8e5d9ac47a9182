/* images.h - the images of a folder or an archive, one after the other. */
#ifndef SL_IMAGES_H
#define SL_IMAGES_H

#include "status.h"
#include "sluice/sample.h"

#include <stdbool.h>

#define SL_IMAGES_DEPTH      64   /* folders inside each other                                   */
#define SL_IMAGES_PATH_BYTES 4096 /* of a path, with its end */

typedef struct sl_images sl_images;

/* One image. Lent until the next call. */
typedef struct sl_images_item {
    const char *path;    /* inside the folder or archive, '/' between its parts */
    sluice_span payload; /* empty with too_large                                */
    uint64_t bytes;
    bool too_large; /* beyond SLUICE_LIMIT_IMAGE_BYTES: not read           */
} sl_images_item;

/* A folder, or a name that ends in .tar, .tar.gz, .tgz or .tar.zst. */
bool sl_images_is_archive(const char *path);

/* sl_images_open - a folder is listed at once, in order of names; an archive is read as it goes.
 * What is not an image by its name (.jpg, .jpeg, .png, .webp, .gif, .bmp, .tif, .tiff, .avif,
 * .heic) is passed over, like hidden files and links to folders.
 * Returns  IO: cannot be read; CORRUPT: not an archive. Gives *out. */
SLUICE_MUST_USE sluice_status sl_images_open(const char *path, sl_images **out,
                                             sluice_message *why);
void sl_images_close(sl_images **images_p); /* Takes; NULL ok */

/* CLOSED at the end; IO or CORRUPT: nothing more can be read. */
SLUICE_MUST_USE sluice_status sl_images_next(sl_images *images, sl_images_item *item,
                                             sluice_message *why);

/* Bytes of the archive or images of the folder consumed, and how many there are; 0 = not known. */
uint64_t sl_images_progress(const sl_images *images);

/* Reads a whole file of at most SLUICE_LIMIT_IMAGE_BYTES into `out`.
 * Returns  IO: cannot be read; TOOBIG: `bytes` says how large it is. */
SLUICE_MUST_USE sluice_status sl_images_read(const char *path, sluice_bytes *out, uint64_t *bytes,
                                             sluice_message *why);

/* Media type by the first bytes, else by the name: "image/jpeg". */
const char *sl_images_media_type(sluice_span payload, const char *path);

#endif
