/* membership.c - which row of a portfolio the last kept samples were counted in, by their names.
 *
 *   source, id --XXH3--> set[32768] of 8 x { fingerprint 24 | row + 1, 8 }     the newest in front,
 *                                                                             0 = free
 *
 * Why it is kept at all: the index knows name and source of what it remembers, and not the
 * attribute that makes a group; nor does the log of a duplicate.
 * Why fingerprints: 4 bytes a sample, whatever its name. The eighth of a set makes room, so that a
 * sample is known until about 260,000 others were kept, some a little shorter, some longer. */
#include "decide/membership.h"

#include <stdlib.h>
#include <xxhash.h>

#define WAYS   8u
#define N_SETS ((uint32_t)SLUICE_GROUPS_REMEMBERED / WAYS)

struct sl_membership {
    uint32_t set[N_SETS][WAYS];
};

sluice_status sl_membership_open(sl_membership **out)
{
    *out = calloc(1, sizeof **out);
    return *out != NULL ? SLUICE_OK : SLUICE_E_NOMEM;
}

void sl_membership_close(sl_membership **membership_p)
{
    free(*membership_p);
    *membership_p = NULL;
}

size_t sl_membership_bytes(void)
{
    return sizeof(sl_membership);
}

static uint32_t place_of(sluice_span source, sluice_span id, uint32_t *fingerprint)
{
    uint64_t hash = XXH3_64bits_withSeed(id.data, id.size, XXH3_64bits(source.data, source.size));
    *fingerprint = (uint32_t)(hash >> 40);
    return (uint32_t)hash % N_SETS;
}

void sl_membership_note(sl_membership *membership, sluice_span source, sluice_span id, uint8_t row)
{
    uint32_t fingerprint;
    uint32_t *set = membership->set[place_of(source, id, &fingerprint)];
    uint32_t way = 0;
    while (way < WAYS - 1 && set[way] != 0 && set[way] >> 8 != fingerprint) {
        way++;
    }
    memmove(set + 1, set, way * sizeof *set);
    set[0] = fingerprint << 8 | (row + 1u);
}

uint8_t sl_membership_find(const sl_membership *membership, sluice_span source, sluice_span id)
{
    uint32_t fingerprint;
    const uint32_t *set = membership->set[place_of(source, id, &fingerprint)];
    for (uint32_t way = 0; way < WAYS && set[way] != 0; way++) {
        if (set[way] >> 8 == fingerprint) {
            return (uint8_t)((set[way] & 0xff) - 1);
        }
    }
    return 0;
}

/* Sets that hold something: number + 1, how many, these; 0 ends. */
sluice_status sl_membership_save(const sl_membership *membership, sluice_bytes *out)
{
    for (uint32_t i = 0; i < N_SETS; i++) {
        const uint32_t *set = membership->set[i];
        uint8_t n = 0;
        while (n < WAYS && set[n] != 0) {
            n++;
        }
        if (n > 0) {
            SLUICE_TRY(sl_bytes_put_varint(out, i + 1));
            SLUICE_TRY(sl_bytes_put_u8(out, n));
        }
        for (uint8_t way = 0; way < n; way++) {
            SLUICE_TRY(sl_bytes_put_u32(out, set[way]));
        }
    }
    return sl_bytes_put_varint(out, 0);
}

bool sl_membership_load(sl_membership *membership, sl_reader *reader, uint32_t n_rows)
{
    for (uint64_t i = sl_reader_varint(reader); i != 0; i = sl_reader_varint(reader)) {
        uint8_t n = sl_reader_u8(reader);
        if (i > N_SETS || n > WAYS || membership->set[i - 1][0] != 0) {
            return false;
        }
        for (uint8_t way = 0; way < n; way++) {
            uint32_t entry = sl_reader_u32(reader);
            if ((entry & 0xff) == 0 || (entry & 0xff) > n_rows) {
                return false;
            }
            membership->set[i - 1][way] = entry;
        }
    }
    return !reader->bad;
}
