/* fuzz_group.c - stored groups, rows and their samples from hostile bytes.
 *
 * Each input is read as it is, and once more with its checksums made right, so that what lies
 * behind them is reached as well. */
#include "spool/group.h"
#include "spool/rows_store.h"
#include "spool/seal.h"

#include <stdlib.h>
#include <xxhash.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_group(sluice_span value)
{
    sl_group group;
    if (sl_group_fault(value, &group) != NULL) {
        return;
    }
    SLUICE_ASSERT(group.count > 0 && group.next_offset == group.first_offset + group.count);
    const uint8_t *end = value.data + value.size;
    volatile uint8_t sum = 0;
    for (uint32_t i = 0; i < group.count; i++) {
        sl_spool_sample sample;
        if (sl_group_sample_fault(&group, i, &sample) == NULL) {
            SLUICE_ASSERT(sample.wire.data + sample.wire.size <= end);
            for (size_t k = 0; k < sample.wire.size; k++) {
                sum = (uint8_t)(sum + sample.wire.data[k]);
            }
        }
    }
}

static void read_rows(sluice_span value)
{
    sl_rows rows;
    if (sl_rows_store_fault(value, &rows) != NULL) {
        return;
    }
    for (uint32_t i = 0; i < rows.count; i++) {
        sluice_span row = sl_rows_store_row(&rows, i);
        SLUICE_ASSERT(row.data + row.size <= value.data + value.size);
        SLUICE_ASSERT(i == 0 ||
                      sl_rows_store_offset(&rows, i) > sl_rows_store_offset(&rows, i - 1));
    }
}

/* Makes the checks of the samples that a directory points to, then its seal. */
static void reseal_group(uint8_t *value, size_t size)
{
    uint64_t count = size >= SL_GROUP_HEAD_BYTES ? sl_get_u32(value + 32) : 0;
    uint64_t head = SL_GROUP_HEAD_BYTES + count * SL_GROUP_ENTRY_BYTES;
    if (count == 0 || head > size) {
        return;
    }
    for (uint64_t i = 0; i < count; i++) {
        uint8_t *entry = value + SL_GROUP_HEAD_BYTES + i * SL_GROUP_ENTRY_BYTES;
        uint64_t at = head + sl_get_u32(entry);
        uint64_t bytes = sl_get_u32(entry + 4);
        if (at + bytes <= size) {
            sl_put_u64(entry + 16, XXH3_64bits(value + at, bytes));
        }
    }
    sl_seal_write(value, head, SL_MAGIC_GROUP);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_group((sluice_span){data, size});
    read_rows((sluice_span){data, size});
    uint8_t *copy = malloc(size + (size == 0));
    if (copy == NULL) {
        return 0;
    }
    memcpy(copy, data, size);
    reseal_group(copy, size);
    read_group((sluice_span){copy, size});
    if (size >= SL_SEAL_BYTES) {
        sl_seal_write(copy, size, SL_MAGIC_ROWS);
        read_rows((sluice_span){copy, size});
    }
    free(copy);
    return 0;
}
