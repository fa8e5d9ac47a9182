/* group.c - layout of a log group.
 *
 *      0                16              24         32       36          40
 *      | seal "SLLG"    | first offset  | ordinal  | count  | reserved  |            head, 40 bytes
 *      | entry 0 | entry 1 | ...                                         |  directory, 32 each
 *      | 0A len sample 0 annotation | 0A len sample 1 annotation | ...   |  batch
 *
 *      entry:  0          4      8            16      24          28         29
 *              | position | size | arrived_us | check | i_producer | decision | 0 0 0 |
 *
 * Why the samples lie there as fields of a Batch: reading for a consumer is one memcpy a run of
 * wanted samples; nothing is parsed or encoded again.
 * Why two levels of checksum: the seal covers head and directory, the directory holds a check of
 * every sample. A read of 64 KiB out of a group of 4 MiB proves what it gives and no more, and a
 * full verification still covers every byte.
 * Why an ordinal: shards split by log value, and it must not change when older values are deleted.
 * All numbers little-endian. Invariant: positions are dense from 0 to the end of the value. */
#include "spool/group.h"
#include "spool/seal.h"

#include <xxhash.h>

#define BATCH_TAG          0x0a /* field 1, length-delimited */
#define SAMPLE_BYTES_LIMIT (1u << 30)

static size_t varint_bytes(uint64_t value)
{
    size_t size = 1;
    while (value > 0x7f) {
        value >>= 7;
        size++;
    }
    return size;
}

static size_t entry_bytes(const sl_spool_sample *sample)
{
    size_t size = sample->wire.size + sample->annotation.size;
    return 1 + varint_bytes(size) + size;
}

uint32_t sl_group_plan(const sl_spool_sample *samples, uint32_t n_samples, size_t *value_bytes)
{
    size_t size = SL_GROUP_HEAD_BYTES;
    uint32_t count = 0;
    while (count < n_samples) {
        size_t more = SL_GROUP_ENTRY_BYTES + entry_bytes(&samples[count]);
        if (more > SAMPLE_BYTES_LIMIT || (count > 0 && size + more > SLUICE_LIMIT_GROUP_BYTES)) {
            break;
        }
        size += more;
        count++;
    }
    *value_bytes = size;
    return count;
}

static uint8_t *put_span(uint8_t *at, sluice_span span)
{
    if (span.size > 0) {
        memcpy(at, span.data, span.size);
    }
    return at + span.size;
}

/* Returns the end of the sample's field. */
static uint8_t *put_sample(uint8_t *at, const sl_spool_sample *sample)
{
    size_t left = sample->wire.size + sample->annotation.size;
    *at++ = BATCH_TAG;
    while (left > 0x7f) {
        *at++ = (uint8_t)(left | 0x80);
        left >>= 7;
    }
    *at++ = (uint8_t)left;
    return put_span(put_span(at, sample->wire), sample->annotation);
}

void sl_group_write(const sl_spool_sample *samples, uint32_t count, uint64_t ordinal,
                    uint8_t *value)
{
    uint8_t *entry = value + SL_GROUP_HEAD_BYTES;
    uint8_t *const batch = entry + (size_t)count * SL_GROUP_ENTRY_BYTES;
    uint8_t *at = batch;
    for (uint32_t i = 0; i < count; i++, entry += SL_GROUP_ENTRY_BYTES) {
        const sl_spool_sample *sample = &samples[i];
        SLUICE_ASSERT(sample->offset == samples[0].offset + i);
        SLUICE_ASSERT(sample->decision < SLUICE_REFUSE);
        uint8_t *end = put_sample(at, sample);
        size_t size = (size_t)(end - at);
        sl_put_u32(entry, (uint32_t)(at - batch));
        sl_put_u32(entry + 4, (uint32_t)size);
        sl_put_u64(entry + 8, (uint64_t)sample->arrived_us);
        sl_put_u64(entry + 16, XXH3_64bits(at, size));
        sl_put_u32(entry + 24, sample->i_producer);
        sl_put_u32(entry + 28, (uint32_t)sample->decision);
        at = end;
    }
    sl_put_u64(value + 16, samples[0].offset);
    sl_put_u64(value + 24, ordinal);
    sl_put_u32(value + 32, count);
    sl_put_u32(value + 36, 0);
    sl_seal_write(value, (size_t)(batch - value), SL_MAGIC_GROUP);
}

sl_group_entry sl_group_entry_of(const sl_group *group, uint32_t i)
{
    const uint8_t *entry = group->directory + (size_t)i * SL_GROUP_ENTRY_BYTES;
    return (sl_group_entry){
        .position = sl_get_u32(entry),
        .size = sl_get_u32(entry + 4),
        .arrived_us = (int64_t)sl_get_u64(entry + 8),
        .check = sl_get_u64(entry + 16),
        .i_producer = sl_get_u32(entry + 24),
        .decision = (sluice_decision)sl_get_u32(entry + 28),
    };
}

static const char *directory_fault(const sl_group *group)
{
    uint64_t position = 0;
    for (uint32_t i = 0; i < group->count; i++) {
        sl_group_entry entry = sl_group_entry_of(group, i);
        if (entry.position != position || entry.size < 2) {
            return "has a directory that does not match its bytes";
        }
        if ((uint32_t)entry.decision >= SLUICE_REFUSE) {
            return "holds an unknown decision";
        }
        position += entry.size;
    }
    return position == group->batch.size ? NULL : "has a directory that does not match its bytes";
}

const char *sl_group_fault(sluice_span value, sl_group *group)
{
    *group = (sl_group){0};
    if (value.size < SL_GROUP_HEAD_BYTES) {
        return "is cut off";
    }
    uint64_t first = sl_get_u64(value.data + 16);
    uint32_t count = sl_get_u32(value.data + 32);
    if (count == 0 || count > (value.size - SL_GROUP_HEAD_BYTES) / SL_GROUP_ENTRY_BYTES) {
        return "has an impossible number of samples";
    }
    size_t covered = SL_GROUP_HEAD_BYTES + (size_t)count * SL_GROUP_ENTRY_BYTES;
    const char *fault = sl_seal_fault(value, covered, SL_MAGIC_GROUP);
    if (fault != NULL) {
        return fault;
    }
    if (first > UINT64_MAX - count) {
        return "has an impossible offset";
    }
    *group = (sl_group){
        .first_offset = first,
        .next_offset = first + count,
        .ordinal = sl_get_u64(value.data + 24),
        .count = count,
        .directory = value.data + SL_GROUP_HEAD_BYTES,
        .batch = {value.data + covered, value.size - covered},
    };
    return directory_fault(group);
}

const char *sl_group_sample_fault(const sl_group *group, uint32_t i, sl_spool_sample *sample)
{
    sl_group_entry entry = sl_group_entry_of(group, i);
    const uint8_t *field = group->batch.data + entry.position;
    if (XXH3_64bits(field, entry.size) != entry.check) {
        return "holds a sample that does not match its checksum";
    }
    uint64_t size = 0;
    size_t at = 1;
    for (unsigned shift = 0; at < entry.size && shift < 35; shift += 7) {
        uint8_t byte = field[at++];
        size |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            break;
        }
    }
    if (field[0] != BATCH_TAG || (field[at - 1] & 0x80) != 0 || size != entry.size - at) {
        return "holds a sample that is not a field of a batch";
    }
    *sample = (sl_spool_sample){
        .offset = group->first_offset + i,
        .arrived_us = entry.arrived_us,
        .i_producer = entry.i_producer,
        .decision = entry.decision,
        .wire = {field + at, (size_t)size},
    };
    return NULL;
}
