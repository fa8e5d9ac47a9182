/* beside.h - two texts beside each other on a terminal. */
#ifndef SL_BESIDE_H
#define SL_BESIDE_H

#include "sluice/sample.h"

/* Prints the first lines in which the texts differ to standard output, in two columns with their
 * heads. Borrows all. */
void sl_beside_print(sluice_span left, const char *left_head, sluice_span right,
                     const char *right_head);

#endif
