/* signature.c - the table keys under which image signatures meet that differ in few bits.
 *
 *   frequency   0 1 2 3 4 5 6 7 8 9 10 11 ...          99 symbols of 0..5
 *   group       0 1 2 3 4 5 6 7 8 9  0  1 ...          10 groups of 10 (one of 9), a key each
 *
 *   step    0 ..  9    the group's own key                                       1 key
 *          10 .. 19    one symbol moved by 1                                    16 of them
 *          20 .. 29    two symbols moved by 1, or one by 2                     140 of them
 *
 * Why symbols: the five bits of a frequency are a scale, 00000, 00001, 00011 ..., so bits that
 * differ are steps on it, and a key of whole symbols has few neighbours: 16 at distance 1, where
 * 50 single bits would have 50.
 * Why each signature within i bits is met by step i (pigeonhole): were it not, it would differ by
 * more than i / 10 in each group up to i mod 10 and by i / 10 or more in the others, which sums to
 * i + 1. So a search may end as soon as the next step's distance is beyond what it looks for: a
 * copy, typically 5 bits away, is found with a dozen looks.
 * Why every tenth frequency: neighbours say nearly the same, and each key is to tell 1 in 10^7.
 * Source: Norouzi, Punjani, Fleet 2012 (multi-index hashing), with scales in place of bits. */
#include "duplicate/signature.h"

#include "status.h"

#define SYMBOL_BITS 3
#define SYMBOL_MAX  5
#define LEVELS      (SLUICE_IMAGE_BITS / SL_SIGNATURE_SYMBOLS)
#define GROUP_MAX   10 /* symbols of a group */

_Static_assert(LEVELS == SYMBOL_MAX, "a symbol counts the levels");

void sl_signature_symbols(const uint8_t *signature, uint8_t *symbols)
{
    for (uint32_t i = 0; i < SL_SIGNATURE_SYMBOLS; i++) {
        uint32_t symbol = 0;
        for (uint32_t bit = i; bit < SLUICE_IMAGE_BITS; bit += SL_SIGNATURE_SYMBOLS) {
            symbol += (uint32_t)signature[bit / 8] >> (bit % 8) & 1u;
        }
        symbols[i] = (uint8_t)symbol;
    }
}

static uint32_t size_of(uint32_t i_group)
{
    return (SL_SIGNATURE_SYMBOLS - i_group + SL_SIGNATURE_GROUPS - 1) / SL_SIGNATURE_GROUPS;
}

static uint64_t pack(const uint8_t *symbols, uint32_t i_group)
{
    uint64_t packed = 0;
    for (uint32_t j = 0; j < size_of(i_group); j++) {
        packed |= (uint64_t)symbols[i_group + j * SL_SIGNATURE_GROUPS] << (SYMBOL_BITS * j);
    }
    return packed;
}

/* The finalizer of splitmix64, over the packed symbols and the group's number. */
static inline uint64_t key_of(uint64_t packed, uint32_t i_group)
{
    uint64_t key = packed | (uint64_t)(i_group + 1) << (SYMBOL_BITS * GROUP_MAX);
    key = (key ^ key >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    key = (key ^ key >> 27) * UINT64_C(0x94d049bb133111eb);
    return key ^ key >> 31;
}

uint64_t sl_signature_key(const uint8_t *symbols, uint32_t i_group)
{
    return key_of(pack(symbols, i_group), i_group);
}

/* What moving a symbol by `by` adds to the packed ones: at most two values. */
static uint32_t moves_of(uint8_t symbol, uint32_t j, uint32_t by, uint64_t *moves)
{
    uint32_t n = 0;
    if (symbol >= by) {
        moves[n++] = 0 - ((uint64_t)by << (SYMBOL_BITS * j));
    }
    if (symbol + by <= SYMBOL_MAX) {
        moves[n++] = (uint64_t)by << (SYMBOL_BITS * j);
    }
    return n;
}

uint32_t sl_signature_step(const uint8_t *symbols, uint32_t i_step, uint64_t *keys)
{
    SLUICE_DCHECK(i_step < SL_SIGNATURE_STEPS);
    uint32_t i_group = i_step % SL_SIGNATURE_GROUPS, distance = i_step / SL_SIGNATURE_GROUPS;
    uint64_t packed = pack(symbols, i_group);
    if (distance == 0) {
        keys[0] = key_of(packed, i_group);
        return 1;
    }
    uint64_t single[2 * GROUP_MAX];
    uint32_t n = 0, n_single = 0;
    for (uint32_t j = 0; j < size_of(i_group); j++) {
        uint8_t symbol = symbols[i_group + j * SL_SIGNATURE_GROUPS];
        uint64_t moves[2];
        uint32_t n_moves = moves_of(symbol, j, distance, moves);
        for (uint32_t m = 0; m < n_moves; m++) {
            keys[n++] = key_of(packed + moves[m], i_group);
        }
        if (distance == 2) {
            n_moves = moves_of(symbol, j, 1, moves);
            for (uint32_t m = 0; m < n_moves; m++) {
                for (uint32_t k = 0; k < n_single; k++) { /* with each of the symbols before */
                    keys[n++] = key_of(packed + single[k] + moves[m], i_group);
                }
            }
            for (uint32_t m = 0; m < n_moves; m++) {
                single[n_single++] = moves[m];
            }
        }
    }
    return n;
}
