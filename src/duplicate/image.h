/* image.h - finds kept images that look nearly the same. */
#ifndef SL_IMAGE_H
#define SL_IMAGE_H

#include "duplicate/duplicate.h"
#include "duplicate/rows.h"

typedef struct sl_image sl_image; /* opaque; one writer */

SLUICE_MUST_USE sluice_status sl_image_open(const sluice_config *config, sl_image **out,
                                            sluice_message *why);
void sl_image_close(sl_image **image_p);

/* Share of equal signature bits from which two images are duplicates: the configured one, or that
 * of the profile. */
double sl_image_threshold(const sluice_config *config);

/* Whether images are found by keys; else, with a threshold far out, by a scan. */
bool sl_image_is_keyed(const sluice_config *config);

/* Rows that a budget holds for ids of `id_bytes` and sources of 8. */
uint64_t sl_image_rows_of(const sluice_config *config, uint32_t id_bytes);

/* Highest similarity at or above the threshold among images of like colours, then smallest offset.
 * False: nothing found, `match` is untouched. */
bool sl_image_probe(const sl_image *image, const sluice_sample *sample, sluice_match *match);
/* Whether a row alone makes the sample a duplicate, and how similar it is. */
bool sl_image_compare(const sl_image *image, const sluice_sample *sample, const sl_row *row,
                      float *similarity);
void sl_image_insert(sl_image *image, const sluice_sample *sample); /* if it has a signature */
void sl_image_evict(sl_image *image, uint64_t below_offset);
bool sl_image_forget(sl_image *image, uint64_t offset);

const sl_rows *sl_image_rows(const sl_image *image);
const sl_probe_counts *sl_image_counts(const sl_image *image);
sl_duplicate_usage sl_image_usage(const sl_image *image);
bool sl_image_validate(const sl_image *image, const char **reason);

/* Colours are alike: root mean square difference of their 32 values at most 24, or one of the two
 * is a picture in grey. */
bool sl_image_colours_alike(const int8_t *a, const int8_t *b);

#endif
