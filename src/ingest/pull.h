/* pull.h - samples from plain PUSH sockets: no session, no acknowledgement. */
#ifndef SL_PULL_H
#define SL_PULL_H

#include "status.h"
#include "sluice/sample.h"

#define SL_PULL_PRODUCER "pull" /* the producer under which they are counted */

/* sl_pull_as_batch - the message as a Batch. A bare Sample gets the two leading fields around it.
 * Which of the two it is: every top-level field of a Batch has number 1 and holds a message that
 * starts with a field of a Sample; a Sample has more than its id.
 * header   Out: at most 8 bytes to put before the message; size 0 for a Batch. */
void sl_pull_header(sluice_span message, uint8_t header[8], size_t *header_bytes);

#endif
