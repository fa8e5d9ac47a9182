/* client.h - blocking client of the verbs: a producer and a consumer over one DEALER socket each.
 */
#ifndef SL_CLIENT_H
#define SL_CLIENT_H

#include "wire/session.h"

typedef struct sl_client_options {
    const char *endpoint;   /* "tcp://127.0.0.1:5570"                                         */
    const char *key_file;   /* client key for CURVE (made by keygen), NULL = plain            */
    const char *server_key; /* file with the server's public key, needed with key_file        */
    uint32_t timeout_ms;    /* of one answer; 0 = 10 s                                        */
} sl_client_options;

/* Statuses of every call below: TIMEOUT nobody answers there (for timeout_ms, PINGs included);
 * CLOSED another producer took the name over, or an offset or lease is gone (see the code); TOOBIG,
 * BADSAMPLE the filter refused the message; CONFIG key, right, endpoint or wire version; CORRUPT
 * the filter has forgotten what it acknowledged. `why` is a sentence for a person. */

/* Producer: HELLO on open; put() returns as soon as the window allows; acknowledgements are read
 * meanwhile. Reconnects and resends from next_sequence by itself until timeout_ms passes without
 * any answer: keeps a copy of what is unacknowledged, at most the window. */
typedef struct sl_producer sl_producer;
SLUICE_MUST_USE sluice_status sl_producer_open(const sl_client_options *options, const char *name,
                                               sl_producer **out, sluice_message *why);
void sl_producer_close(sl_producer **producer_p);
uint64_t sl_producer_next_sequence(const sl_producer *producer); /* where this producer goes on   */
uint32_t sl_producer_max_batch(const sl_producer *producer);
/* ... of a batch of one sample: an image may be larger than any batch of several. */
uint32_t sl_producer_max_sample(const sl_producer *producer);
/* `batch` is an encoded Batch of `count` samples, the next ones in sequence. */
SLUICE_MUST_USE sluice_status sl_producer_put(sl_producer *producer, sluice_span batch,
                                              uint32_t count, sluice_message *why);
/* Sends and reads what is possible without waiting: for a caller that pauses between puts. */
SLUICE_MUST_USE sluice_status sl_producer_poll(sl_producer *producer, sluice_message *why);
/* Waits until everything put is acknowledged. */
SLUICE_MUST_USE sluice_status sl_producer_flush(sl_producer *producer, sluice_message *why);
typedef struct sl_producer_counts {
    uint64_t sent, acknowledged, kept, flagged, dropped, refused, redelivered;
} sl_producer_counts;
sl_producer_counts sl_producer_counts_of(const sl_producer *producer);
/* Called for every fault of an ACK, during put, poll and flush. */
typedef void sl_producer_fault(void *context, const sl_fault *fault);
void sl_producer_on_fault(sl_producer *producer, sl_producer_fault *fault, void *context);

/* Consumer: one request at a time; it is asked again on a new connection. */
typedef struct sl_consumer sl_consumer;
SLUICE_MUST_USE sluice_status sl_consumer_open(const sl_client_options *options, sl_consumer **out,
                                               sluice_message *why);
void sl_consumer_close(sl_consumer **consumer_p);
/* One FETCH; `batch` is lent until the next call. AGAIN: nothing within wait_ms (records filled
 * in). */
SLUICE_MUST_USE sluice_status sl_consumer_fetch(sl_consumer *consumer, const sl_fetch *fetch,
                                                sl_records *records, sluice_span *batch,
                                                sluice_message *why);
/* The code of the filter's last error, UNSPECIFIED if the last call had none: OFFSET_GONE,
 * LEASE_LOST... */
sl_code sl_consumer_code(const sl_consumer *consumer);
SLUICE_MUST_USE sluice_status sl_consumer_commit(sl_consumer *consumer, const sl_commit *commit,
                                                 uint64_t *floor_offset, sluice_message *why);
/* Reference sets: all there are; one more from an encoded Batch; one less. Durable when answered.
 */
SLUICE_MUST_USE sluice_status sl_consumer_references(sl_consumer *consumer,
                                                     sl_references *references,
                                                     sluice_message *why);
SLUICE_MUST_USE sluice_status sl_consumer_reference_add(sl_consumer *consumer, const char *name,
                                                        sluice_span batch,
                                                        sl_references *references,
                                                        sluice_message *why);
SLUICE_MUST_USE sluice_status sl_consumer_reference_remove(sl_consumer *consumer, const char *name,
                                                           sl_references *references,
                                                           sluice_message *why);
/* Erases what the index remembers of a kept sample; no rows: there was nothing. Durable when
 * answered. Asked again after a lost answer, it finds nothing left. */
SLUICE_MUST_USE sluice_status sl_consumer_forget(sl_consumer *consumer, const sl_forget *forget,
                                                 sl_forgotten *forgotten, sluice_message *why);
SLUICE_MUST_USE sluice_status sl_consumer_reject(sl_consumer *consumer, const sl_reject *reject,
                                                 sluice_message *why);

#endif
