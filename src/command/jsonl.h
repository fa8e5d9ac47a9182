/* jsonl.h - one line of JSONL as an encoded Sample. */
#ifndef SL_JSONL_H
#define SL_JSONL_H

#include "status.h"
#include "sluice/sample.h"

/* Why an input is no sample. */
typedef struct sl_input_fault {
    const char *reason; /* static; "wrong_type" */
    sluice_message text;
} sl_input_fault;

/* An image that a line names. */
typedef struct sl_jsonl_image {
    char path[4096];     /* as it is written; "" = the line has none                             */
    bool has_media_type; /* the line says what it is                                             */
} sl_jsonl_image;

/* sl_jsonl_encode - appends the Sample of one line.
 *
 *   id, source    texts or numbers; id is `default_id` where there is none
 *   text          the payload; it or image must be there
 *   image         path of the payload, given in `image`: who reads it appends it to the Sample
 *   ts            RFC 3339 or seconds since 1970; any other text is kept as an attribute
 *   encoder, media_type   texts;   cost   a number
 *   null          as if the member were not there
 *   other texts, numbers, booleans   attributes, numbers as they are written
 *   lists, objects    stay in the line and are not sent
 *
 * line     Borrows; without its newline.
 * Returns  BADSAMPLE: `fault` says why and `wire` has a Sample of id and source alone, so that the
 *          refusal has a name. What only breaks a limit of the wire is left to decode. */
SLUICE_MUST_USE sluice_status sl_jsonl_encode(sluice_span line, const char *default_id,
                                              sluice_bytes *wire, sl_jsonl_image *image,
                                              sl_input_fault *fault);

/* Appends the line with one more member "sluice"; one that is there already is replaced. */
SLUICE_MUST_USE sluice_status sl_jsonl_annotate(sluice_span line, sluice_span verdict,
                                                sluice_bytes *out);

/* Appends a field of bytes to a Sample. */
SLUICE_MUST_USE sluice_status sl_jsonl_put_field(sluice_bytes *wire, uint32_t number,
                                                 sluice_span value);

/* Appends the line that stands for an image of a folder or an archive: its id and a member `where`
 * with a path. */
SLUICE_MUST_USE sluice_status sl_jsonl_put_image(const char *id, const char *where,
                                                 const char *path, sluice_bytes *line);

/* Appends a Sample of nothing but an id. */
SLUICE_MUST_USE sluice_status sl_jsonl_stub(sluice_span id, sluice_bytes *wire);

/* Microseconds since 1970 of an RFC 3339 time; false if it is none. */
bool sl_time_parse(const char *text, int64_t *time_us);

#endif
