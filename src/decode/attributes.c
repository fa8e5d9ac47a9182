/* attributes.c - finds a few attributes of one encoded Sample by name.
 *
 *   Sample   | ... | 4A len { 0A name, 12 value } | ... | 4A len { name, value } | ...
 *
 * Why a walk of its own: few policies speak of attributes, so decode keeps none; one that does pays
 * for a look at each field's head. */
#include "decode/attributes.h"
#include "decode/prescan.h"
#include "decode/sample_fields.h"

#define FIELD_ATTRIBUTES 9 /* of sluice.v1.Sample */

void sl_attributes_find(sluice_span wire, const char *const *name, uint32_t n, sluice_span *value)
{
    static const uint8_t empty[1] = {0};
    for (uint32_t i = 0; i < n; i++) {
        value[i] = (sluice_span){NULL, 0};
    }
    sl_reader reader = sl_reader_of(wire);
    sl_wire_field field;
    while (sl_wire_field_next(&reader, &field)) {
        if (field.number != FIELD_ATTRIBUTES || field.wire_type != SL_WIRE_BYTES) {
            continue;
        }
        sluice_span key, text;
        sl_attribute_read(field.span, &key, &text);
        for (uint32_t i = 0; i < n; i++) {
            if (sl_span_equal(key, sl_span_of(name[i]))) {
                value[i] = text.size > 0 ? text : (sluice_span){empty, 0};
            }
        }
    }
}
