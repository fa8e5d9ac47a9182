/* pull.c - samples from plain PUSH sockets: no session, no acknowledgement.
 *
 *   Sample  0a 02 'a' '1'  22 05 'h' 'e' 'l' 'l' 'o'     fields 1 (id), 4 (payload) ...
 *   Batch   0a 0b { Sample }  0a 0b { Sample }           field 1 only
 *
 * What this cannot promise: a PUSH socket that is killed, or whose peer is, loses what is queued in
 * it, and nobody is told. Once a message is here it is as durable as any other. */
#include "ingest/pull.h"
#include "bytes.h"
#include "wire/session.h"

static bool looks_like_batch(sluice_span message)
{
    sl_reader reader = sl_reader_of(message);
    bool any = false;
    while (reader.at < reader.end) {
        if (sl_reader_varint(&reader) != 0x0a) {
            return false;
        }
        uint64_t size = sl_reader_varint(&reader);
        sluice_span inner = sl_reader_span(&reader, (size_t)size);
        /* A Sample starts with a known field; text starts with 0x0a only if it is a line feed. */
        if (reader.bad || inner.size < 2 || inner.data[0] != 0x0a) {
            return false;
        }
        any = true;
    }
    return any;
}

sluice_status sl_pull_batch(sluice_span message, sluice_bytes *wrapped, sluice_span *batch)
{
    sl_bytes_clear(wrapped);
    *batch = message;
    if (!looks_like_batch(message)) {
        SLUICE_TRY(sl_bytes_put_u8(wrapped, 0x0a));
        SLUICE_TRY(sl_bytes_put_varint(wrapped, message.size));
        SLUICE_TRY(sl_bytes_append(wrapped, message.data, message.size));
        *batch = (sluice_span){wrapped->data, wrapped->size};
    }
    return sl_session_batch_fits(*batch) ? SLUICE_OK : SLUICE_E_TOOBIG;
}
