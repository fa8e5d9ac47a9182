/* pull.h - samples from plain PUSH sockets: no session, no acknowledgement. */
#ifndef SL_PULL_H
#define SL_PULL_H

#include "status.h"
#include "sluice/sample.h"

#define SL_PULL_PRODUCER "pull" /* the producer under which they are counted */

/* sl_pull_batch - the message as a Batch. A bare Sample gets the two leading fields around it.
 * Which of the two it is: every top-level field of a Batch has number 1 and holds a message that
 * starts with a field of a Sample; a Sample has more than its id.
 *
 * message  Borrows as long as `batch` is used.
 * wrapped  Cleared; holds the copy of a Sample.
 * Returns  TOOBIG: larger than a message may be (sl_session_batch_fits). NOMEM. */
SLUICE_MUST_USE sluice_status sl_pull_batch(sluice_span message, sluice_bytes *wrapped,
                                            sluice_span *batch);

#endif
