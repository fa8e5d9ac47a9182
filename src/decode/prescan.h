/* prescan.h - walks protobuf bytes against their schema before a parser allocates for them. */
#ifndef SL_PRESCAN_H
#define SL_PRESCAN_H

#include "bytes.h"
#include "status.h"

#include <protobuf-c/protobuf-c.h>

#define SL_SCAN_LEVEL_FIELDS 1024 /* in one message; a packed array counts its numbers */
#define SL_SCAN_TOTAL_FIELDS 4096 /* in a message with everything inside it */
#define SL_SCAN_DEPTH        8    /* messages inside each other; the schema itself needs 6 */

/* Wire types of protobuf. Groups (3 and 4) are no part of this wire. */
enum { SL_WIRE_VARINT = 0, SL_WIRE_64BIT = 1, SL_WIRE_BYTES = 2, SL_WIRE_32BIT = 5 };

typedef struct sl_wire_field {
    uint32_t number;    /* 1 .. 2^29 - 1                                 */
    uint32_t wire_type; /* one of the four above                         */
    uint64_t value;     /* of types 0, 1 and 5                           */
    sluice_span span;   /* of type 2; lent by the bytes that are walked  */
} sl_wire_field;

/* The next field of a message. False at its end and where it cannot be read on; then reader->bad
 * tells which. */
bool sl_wire_field_next(sl_reader *reader, sl_wire_field *field);

typedef enum sl_scan_result {
    SL_SCAN_OK,
    SL_SCAN_MALFORMED,
    SL_SCAN_NOT_UTF8,   /* a string field                                */
    SL_SCAN_HAS_NUL,    /* a string field; protobuf-c would cut it there */
    SL_SCAN_TOO_COMPLEX /* more fields than SL_SCAN_..._FIELDS           */
} sl_scan_result;

/* What is wrong, and where: "Tensor", "shape", "ends inside a number". */
typedef struct sl_scan_fault {
    const char *message, *field; /* names in the schema; field may be NULL, message is not */
    const char *what;            /* static                                                 */
} sl_scan_fault;

/* sl_prescan - checks a message of `type` and every known message inside it.
 *
 * Stricter than any protobuf runtime: what passes is read by all of them, and as the same values.
 * So also refused: a known field of another wire type (some runtimes skip it), a singular message
 * that occurs twice (protobuf-c merges it wrongly), strings that are not UTF-8 or hold NUL.
 *
 * n_left   In and out: fields still allowed; start with SL_SCAN_TOTAL_FIELDS.
 * fault    Written unless OK.
 * Cost     One pass, no allocation, no recursion.      Threads  pure. */
SLUICE_MUST_USE sl_scan_result sl_prescan(const ProtobufCMessageDescriptor *type,
                                          sluice_span message, uint32_t *n_left,
                                          sl_scan_fault *fault);

#endif
