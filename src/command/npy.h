/* npy.h - arrays in NumPy's .npy files, mapped. */
#ifndef SL_NPY_H
#define SL_NPY_H

#include "status.h"
#include "sluice/sample.h"

#define SL_NPY_DIMS 4

/* Row-major, little-endian. */
typedef struct sl_npy {
    char kind;           /* 'f' or 'b' */
    uint32_t item_bytes; /* 1, 2, 4, 8 */
    uint32_t n_dims;
    uint64_t shape[SL_NPY_DIMS];
    sluice_span data; /* exactly the product of shape x item_bytes */
    sluice_span map;  /* the whole file */
} sl_npy;

/* sl_npy_parse - an array in memory.
 * bytes    Borrows; `data` lies in it.
 * Returns  BADSAMPLE with a sentence: not .npy, another order, type or size. */
SLUICE_MUST_USE sluice_status sl_npy_parse(sluice_span bytes, sl_npy *out, sluice_message *why);

SLUICE_MUST_USE sluice_status sl_npy_open(const char *path, sl_npy *out, sluice_message *why);
void sl_npy_close(sl_npy *npy); /* twice is fine */

#endif
