/* fuzz_decode.c - any bytes as a Batch: what is accepted is what protobuf-c reads, and can be
 * annotated. */
#include "decode_oracle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static sluice_batch *batch; /* reused as in the program */
    if (batch == NULL) {
        wire_check(sluice_batch_open(&batch));
    }
    (void)oracle_check(batch, (sluice_span){data, size});

    sluice_bytes out = {0}; /* and the same bytes as a Sample that came annotated */
    if (sl_record_json_of_wire((sluice_span){data, size}, &out) == SLUICE_OK) {
        SLUICE_ASSERT(out.size > 0 && sl_utf8_valid(wire_span(&out)));
    } else {
        SLUICE_ASSERT(out.size == 0);
    }
    sl_bytes_clear(&out);
    if (sl_record_jsonl_of_wire((sluice_span){data, size}, false, &out) == SLUICE_OK) {
        SLUICE_ASSERT(sl_utf8_valid(wire_span(&out)));
    } else {
        SLUICE_ASSERT(out.size == 0);
    }
    sl_bytes_fini(&out);
    return 0;
}
