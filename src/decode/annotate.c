/* annotate.c - appends an annotation to an encoded sample.
 *
 *   | the sample as it came ... | 7A | length | Annotation |
 *                                 \ field 15, length-delimited
 *
 * Why appending is enough: concatenated protobuf messages merge, and a repeated field merges by
 * adding one more element. Hence `annotations` is repeated and no field that a filter writes is a
 * singular message: protobuf-c loses parts of those when they merge. */
#include "decode/annotate.h"

#include "bytes.h"

sluice_status sl_annotate(const Sluice__V1__Annotation *annotation, sluice_bytes *out)
{
    size_t size = sluice__v1__annotation__get_packed_size(annotation);
    SLUICE_TRY(sl_bytes_reserve(out, size + 16)); /* tag and length are at most 11 bytes */
    SLUICE_TRY(sl_bytes_put_varint(out, SL_ANNOTATIONS_FIELD << 3 | 2));
    SLUICE_TRY(sl_bytes_put_varint(out, size));
    out->size += sluice__v1__annotation__pack(annotation, out->data + out->size);
    return SLUICE_OK;
}
