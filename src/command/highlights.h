/* highlights.h - the few samples that a report shows: duplicates, and those that stand out. */
#ifndef SL_HIGHLIGHTS_H
#define SL_HIGHLIGHTS_H

#include "spool/spool.h"
#include "status.h"
#include "sluice/sample.h"

#define SL_HIGHLIGHTS_PAIRS      20      /* duplicates, those least like what they repeat */
#define SL_HIGHLIGHTS_TOP        10      /* samples by each score and order               */
#define SL_HIGHLIGHTS_CHARACTERS 400     /* of a text                                     */
#define SL_HIGHLIGHTS_LOOKED     100000  /* samples at the end of a log that are looked at */
#define SL_HIGHLIGHTS_BACK       1000000 /* further back what they repeat is not looked for */

typedef struct sl_highlights sl_highlights; /* opaque; at most 280 samples */

/* with_records  what is shown is taken from the samples that are offered, without payloads; no log
 *               is asked. */
SLUICE_MUST_USE sluice_status sl_highlights_open(bool with_records, sl_highlights **out);
void sl_highlights_close(sl_highlights **highlights_p); /* Takes; NULL ok */

/* In order of the log. No memory: an error of sl_highlights_write. */
void sl_highlights_offer(sl_highlights *highlights, const sluice_sample *sample);

/* Reads what is shown from the log: records, texts cut to SL_HIGHLIGHTS_CHARACTERS, thumbnails. */
SLUICE_MUST_USE sluice_status sl_highlights_fetch(sl_highlights *highlights, sl_spool *spool,
                                                  sluice_message *why);

/* sl_highlights_write - appends members of an object that is open, a comma before each:
 *
 *     "looked_at": n, "payloads": not with_records,
 *     "similarity": [{"method", "n", "similarity": [50 counts of 0, .02 ... 1]}],
 *     "pairs": [{"method", "similarity", "sample": OFFSET, "of": OFFSET or null, "of_record"}],
 *     "tops": [{"by", "order": "desc" or "asc", "samples": [[value, OFFSET], ...]}],
 *     "samples": {"OFFSET": as the API has it; of a record no payload} */
SLUICE_MUST_USE sluice_status sl_highlights_write(sl_highlights *highlights, sluice_bytes *out);

#endif
