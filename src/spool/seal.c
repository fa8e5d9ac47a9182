/* seal.c - marks a stored value with what it is and a checksum. */
#include "seal.h"

#include <xxhash.h>

static uint64_t hash_covered(const uint8_t *value, size_t covered_bytes, uint32_t magic,
                             uint32_t version)
{
    return XXH3_64bits_withSeed(value + SL_SEAL_BYTES, covered_bytes - SL_SEAL_BYTES,
                                (uint64_t)version << 32 | magic);
}

void sl_seal_write(uint8_t *value, size_t covered_bytes, uint32_t magic)
{
    SLUICE_ASSERT(covered_bytes >= SL_SEAL_BYTES);
    sl_put_u32(value, magic);
    sl_put_u32(value + 4, SL_SEAL_VERSION);
    sl_put_u64(value + 8, hash_covered(value, covered_bytes, magic, SL_SEAL_VERSION));
}

const char *sl_seal_fault(sluice_span value, size_t covered_bytes, uint32_t magic)
{
    if (value.size < SL_SEAL_BYTES || covered_bytes < SL_SEAL_BYTES || covered_bytes > value.size) {
        return "is cut off";
    }
    if (sl_get_u32(value.data) != magic) {
        return "is of another kind than its place says";
    }
    uint32_t version = sl_get_u32(value.data + 4);
    if (version != SL_SEAL_VERSION) {
        return "has a layout version that this program does not know";
    }
    if (sl_get_u64(value.data + 8) != hash_covered(value.data, covered_bytes, magic, version)) {
        return "does not match its checksum";
    }
    return NULL;
}
