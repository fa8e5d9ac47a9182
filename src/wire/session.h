/* session.h - the messages of design 4 as values: encode and decode of frame 1. */
#ifndef SL_SESSION_H
#define SL_SESSION_H

#include "status.h"
#include "sluice/sample.h"

#define SL_WIRE_VERSION 1
#define SLUICE_LIMIT_FRAME_BYTES                                                                   \
    (64u << 10) /* frame 1; an ACK carries at most SLUICE_LIMIT_FAULTS */
#define SLUICE_LIMIT_FAULTS 64

typedef enum sl_code { /* = sluice.v1.Error.Code */
                       SL_CODE_UNSPECIFIED,
                       SL_CODE_MALFORMED,
                       SL_CODE_TOO_LARGE,
                       SL_CODE_GAP,
                       SL_CODE_FENCED,
                       SL_CODE_UNKNOWN_PRODUCER,
                       SL_CODE_FORBIDDEN,
                       SL_CODE_WINDOW_EXCEEDED,
                       SL_CODE_OFFSET_GONE,
                       SL_CODE_LEASE_LOST,
                       SL_CODE_WIRE_VERSION,
                       SL_CODE_SHUTTING_DOWN
} sl_code;

typedef enum sl_kind {
    SL_HELLO,
    SL_PUT,
    SL_FETCH,
    SL_COMMIT,
    SL_REJECT,
    SL_REFERENCE,
    SL_FORGET,
    SL_PING, /* to the filter   */
    SL_WELCOME,
    SL_ACK,
    SL_RECORDS,
    SL_COMMITTED,
    SL_PONG,
    SL_REFERENCES,
    SL_FORGOTTEN,
    SL_ERROR /* from the filter */
} sl_kind;

/* Names and texts are NUL-terminated copies; decoding refuses longer ones and ones with NUL or
 * broken UTF-8. */
typedef struct sl_hello {
    uint32_t wire;
    char producer[SLUICE_LIMIT_ID_BYTES + 1];
} sl_hello;
typedef struct sl_put {
    uint64_t sequence;
    uint32_t count;
    uint64_t xxh3;
} sl_put;
typedef struct sl_fetch {
    char group[SLUICE_LIMIT_ID_BYTES + 1], consumer[SLUICE_LIMIT_ID_BYTES + 1];
    bool after_commits;
    uint64_t offset; /* one of the two */
    uint32_t max_bytes, wait_ms, shard, shards, lease_ms;
    bool all;
} sl_fetch;
typedef struct sl_commit {
    char group[SLUICE_LIMIT_ID_BYTES + 1];
    uint64_t first_offset, next_offset;
} sl_commit;
typedef struct sl_reject {
    char group[SLUICE_LIMIT_ID_BYTES + 1], reason[256];
    uint64_t offset;
} sl_reject;
typedef struct sl_welcome {
    uint64_t next_sequence, max_in_flight_bytes;
    uint32_t max_batch_bytes;
} sl_welcome;
typedef struct sl_fault {
    uint64_t sequence;
    char reason[64], text[256];
} sl_fault;
typedef struct sl_ack {
    uint64_t next_sequence, max_in_flight_bytes;
    uint32_t kept, flagged, dropped, refused, redelivered;
    uint32_t n_faults;
    sl_fault fault[SLUICE_LIMIT_FAULTS];
} sl_ack;
typedef struct sl_records {
    uint64_t first_offset, next_offset, head_offset;
    uint32_t count, delivery;
} sl_records;
typedef struct sl_committed {
    uint64_t floor_offset;
} sl_committed;
typedef struct sl_error {
    sl_code code;
    char text[256];
    bool retry;
    uint64_t expected_sequence;
    uint32_t retry_after_ms;
} sl_error;

typedef enum sl_reference_action {
    SL_REFERENCE_LIST,
    SL_REFERENCE_ADD,
    SL_REFERENCE_REMOVE
} sl_reference_action; /* = sluice.v1.Reference.Action */
typedef struct sl_reference_request {
    sl_reference_action action;
    char name[64];
    uint64_t at;
    bool more;
} sl_reference_request;
typedef struct sl_reference_set {
    char name[64], origin[16];
    uint32_t samples, wanted;
} sl_reference_set;
typedef struct sl_references {
    uint32_t n;
    sl_reference_set set[SLUICE_LIMIT_REFERENCES];
} sl_references;

typedef struct sl_forget {
    char id[SLUICE_LIMIT_ID_BYTES + 1];
    bool has_offset;
    uint64_t offset; /* only this one */
} sl_forget;
typedef struct sl_forgotten {
    uint32_t n_rows;
    uint64_t offset, head_offset;
} sl_forgotten;

typedef struct sl_message {
    sl_kind kind;
    union {
        sl_hello hello;
        sl_put put;
        sl_fetch fetch;
        sl_commit commit;
        sl_reject reject;
        sl_reference_request reference;
        sl_forget forget;
        sl_welcome welcome;
        sl_ack ack;
        sl_records records;
        sl_committed committed;
        sl_references references;
        sl_forgotten forgotten;
        sl_error error;
    } as;
} sl_message;

/* Decode: BADSAMPLE with a sentence if the bytes are not a ToFilter (FromFilter) of this version
 * with every field in its limits. Protobuf-c in a bounded arena behind the pre-scan; pure. */
SLUICE_MUST_USE sluice_status sl_session_decode_to(sluice_span frame, sl_message *out,
                                                   sluice_message *why);
SLUICE_MUST_USE sluice_status sl_session_decode_from(sluice_span frame, sl_message *out,
                                                     sluice_message *why);
/* Encode: clears `out` and writes the frame of either direction. */
SLUICE_MUST_USE sluice_status sl_session_encode(const sl_message *message, sluice_bytes *out);

/* Whether a Batch is small enough for the wire: SLUICE_LIMIT_BATCH_BYTES, or, if it is one sample
 * and nothing else, SLUICE_LIMIT_MESSAGE_BYTES: an image larger than any batch travels alone. */
bool sl_session_batch_fits(sluice_span batch);

const char *sl_code_name(sl_code code); /* "GAP" */

#endif
