/* fuzz_npy.c - any bytes as a .npy file: refused, or an array that lies inside them. */
#include "command/npy.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sl_npy npy;
    sluice_message why;
    if (sl_npy_parse((sluice_span){data, size}, &npy, &why) != SLUICE_OK) {
        return 0;
    }
    size_t n = npy.item_bytes;
    for (uint32_t i = 0; i < npy.n_dims; i++) {
        n *= npy.shape[i];
    }
    if (npy.data.data < data || npy.data.size != n || npy.data.data + n != data + size) {
        abort();
    }
    return 0;
}
