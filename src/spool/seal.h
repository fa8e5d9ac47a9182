/* seal.h - the first 16 bytes of every stored value, and the little-endian fields behind them.
 *
 *     0        4         8                16
 *     | magic  | version | XXH3-64        | covered bytes ...
 *
 * The hash is seeded with magic and version, so it covers those as well. A value is sealed last. */
#ifndef SL_SEAL_H
#define SL_SEAL_H

#include "status.h"
#include "sluice/sample.h"

#include <string.h>

#define SL_SEAL_BYTES 16

/* Written as text in a hex dump of the data file. */
#define SL_MAGIC_GROUP      0x474c4c53u /* "SLLG" a group of the log          */
#define SL_MAGIC_ROWS       0x53524c53u /* "SLRS" rows of one commit          */
#define SL_MAGIC_PRODUCER   0x52504c53u /* "SLPR" a producer                  */
#define SL_MAGIC_CONSUMERS  0x47434c53u /* "SLCG" a consumer group            */
#define SL_MAGIC_DEAD       0x44444c53u /* "SLDD" a dead letter               */
#define SL_MAGIC_COUNTERS   0x52434c53u /* "SLCR" the running numbers         */
#define SL_MAGIC_LINES      0x4c534c53u /* "SLSL" state lines                 */
#define SL_MAGIC_CHECKPOINT 0x50434c53u /* "SLCP" the checkpoint              */

#define SL_SEAL_VERSION 1u

/* Fills the head of `value`; bytes [16, covered_bytes) are final already. */
void sl_seal_write(uint8_t *value, size_t covered_bytes, uint32_t magic);

/* What is wrong with the head of a value of which `covered_bytes` <= value.size are under the hash:
 * a static phrase, or NULL if nothing is. */
const char *sl_seal_fault(sluice_span value, size_t covered_bytes, uint32_t magic);

static inline void sl_put_u32(uint8_t *at, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++) {
        at[i] = (uint8_t)(value >> (8 * i));
    }
}

static inline void sl_put_u64(uint8_t *at, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++) {
        at[i] = (uint8_t)(value >> (8 * i));
    }
}

static inline uint32_t sl_get_u32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static inline uint64_t sl_get_u64(const uint8_t *at)
{
    return sl_get_u32(at) | (uint64_t)sl_get_u32(at + 4) << 32;
}

#endif
