/* attributes.h - finds a few attributes of one encoded Sample by name. */
#ifndef SL_ATTRIBUTES_H
#define SL_ATTRIBUTES_H

#include "status.h"
#include "sluice/sample.h"

#include <stdbool.h>

/* sl_attributes_find - the values of n attributes.
 *
 * wire     Borrows a sample that was decoded before; `value` points into it.
 * name     Borrows n names. As in every protobuf runtime, the last of equal names counts.
 * value    Out, n values; data NULL where the sample has no such attribute. */
void sl_attributes_find(sluice_span wire, const char *const *name, uint32_t n, sluice_span *value);

#endif
