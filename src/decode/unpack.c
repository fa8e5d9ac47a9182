/* unpack.c - protobuf-c behind the pre-scan, in bounded memory.
 *
 * Why an arena: one reset instead of a free for every string, and its cap is the one limit that
 * holds whatever the bytes are. What protobuf-c frees on its way stays until that reset. */
#include "decode/unpack.h"

size_t sl_unpack_cap(size_t size)
{
    const size_t least = (size_t)64 << 10;
    return size > SIZE_MAX / 4 ? SIZE_MAX : size * 4 > least ? size * 4 : least;
}

static void *arena_alloc(void *arena, size_t size)
{
    return sl_arena_alloc(arena, size);
}

static void arena_free(void *arena, void *pointer)
{
    (void)arena;
    (void)pointer;
}

sluice_status sl_unpack(const ProtobufCMessageDescriptor *type, sluice_span bytes, sl_arena *arena,
                        const ProtobufCMessage **out, sluice_message *why)
{
    static const uint8_t nothing;
    sl_scan_fault fault;
    uint32_t n_left = SL_SCAN_TOTAL_FIELDS;
    *out = NULL;
    if (sl_prescan(type, bytes, &n_left, &fault) != SL_SCAN_OK) {
        return sluice_fail(why, SLUICE_E_BADSAMPLE, "%s%s%s %s", fault.message,
                           fault.field != NULL ? "." : "", fault.field != NULL ? fault.field : "",
                           fault.what);
    }
    ProtobufCAllocator allocator = {arena_alloc, arena_free, arena};
    *out = protobuf_c_message_unpack(type, &allocator, bytes.size,
                                     bytes.data != NULL ? bytes.data : &nothing);
    if (*out == NULL) {
        return sluice_fail(why, SLUICE_E_TOOBIG, "%s of %zu bytes needs more memory than allowed",
                           type->short_name, bytes.size);
    }
    return SLUICE_OK;
}
