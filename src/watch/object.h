/* object.h - writes JSON objects and arrays, member by member. */
#ifndef SL_OBJECT_H
#define SL_OBJECT_H

#include "status.h"
#include "sluice/sample.h"

/* The first failure stays in `status` (NOMEM is the only one) and nothing is written after it, so a
 * writer looks once, at the end. */
typedef struct sl_object {
    sluice_bytes *out; /* Borrows; appended to */
    sluice_status status;
    bool comma; /* the next value follows another one */
} sl_object;

sl_object sl_object_of(sluice_bytes *out);

/* bracket  '{' or '['; name is NULL inside an array and for the outermost value, here and below. */
void sl_object_open(sl_object *object, const char *name, char bracket);
void sl_object_close(sl_object *object, char bracket); /* '}' or ']' */

void sl_object_span(sl_object *object, const char *name, sluice_span text);
void sl_object_text(sl_object *object, const char *name, const char *text);
void sl_object_count(sl_object *object, const char *name, uint64_t count);
void sl_object_number(sl_object *object, const char *name, double number); /* null: not finite */
void sl_object_bool(sl_object *object, const char *name, bool value);
void sl_object_json(sl_object *object, const char *name, sluice_span json); /* as it is; "" null */

/* Replaces < > & by their escapes. In JSON they stand inside strings only, so the value is the
 * same, and no browser finds a tag in it. */
SLUICE_MUST_USE sluice_status sl_object_defuse(sluice_span json, sluice_bytes *out);

#endif
