/* calibrate.h - sluice check --calibrate: which cosine means "duplicate" for one encoder. */
#ifndef SL_CALIBRATE_H
#define SL_CALIBRATE_H

#include <stdbool.h>

#define SL_CALIBRATE_ROWS 20000 /* of which every pair is compared, at most */

typedef struct sl_calibrate_options {
    const char *pairs; /* lines of `id_a TAB id_b TAB label`, or of `id TAB group`         */
    const char *views; /* .npy: (N, d) or (N, K, d); of K the first                        */
    const char *ids;   /* a line for each of the N; NULL: they are called 0, 1, 2 ...      */
    const char *mean;  /* taken off the unit vectors, and written there; NULL: it is not         */
    double now;        /* the threshold that is configured                                 */
    bool json;
} sl_calibrate_options;

/* Prints precision, recall and F1 by threshold, and a proposal; returns an exit code. */
int sl_calibrate(const sl_calibrate_options *options);

#endif
