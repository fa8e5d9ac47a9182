/* fuzz_session.c - any bytes as frame 1, in both directions: what is accepted comes back from its
 * own encoding. */
#include "wire/session.h"
#include "wire_bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef sluice_status decode_call(sluice_span frame, sl_message *out, sluice_message *why);

static void check(decode_call *decode, sluice_span frame)
{
    static sl_message message, again;
    static sluice_bytes first, second;
    sluice_message why = {""};
    if (decode(frame, &message, &why) != SLUICE_OK) {
        SLUICE_ASSERT(why.text[0] != 0);
        return;
    }
    wire_check(sl_session_encode(&message, &first));
    wire_check(decode(wire_span(&first), &again, &why));
    SLUICE_ASSERT(again.kind == message.kind);
    wire_check(sl_session_encode(&again, &second));
    SLUICE_ASSERT(sl_span_equal(wire_span(&first), wire_span(&second)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check(sl_session_decode_to, (sluice_span){data, size});
    check(sl_session_decode_from, (sluice_span){data, size});
    return 0;
}
