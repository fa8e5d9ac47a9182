/* unpack.h - protobuf-c behind the pre-scan, in bounded memory. */
#ifndef SL_UNPACK_H
#define SL_UNPACK_H

#include "arena.h"
#include "decode/prescan.h"

/* What a message of `size` bytes may need to be parsed. */
size_t sl_unpack_cap(size_t size);

/* sl_unpack - one message of `type`.
 *
 * arena    Reset by the caller; lends *out and all it points to until the next reset. Never call
 *          protobuf_c_message_free_unpacked on it.
 * Returns  BADSAMPLE with a sentence if sl_prescan refuses the bytes, TOOBIG if they need more
 *          memory than the arena allows. */
SLUICE_MUST_USE sluice_status sl_unpack(const ProtobufCMessageDescriptor *type, sluice_span bytes,
                                        sl_arena *arena, const ProtobufCMessage **out,
                                        sluice_message *why);

#endif
