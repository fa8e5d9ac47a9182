/* set_sketch_kernels.h - what the kernels of the set sketch share; included by them alone. */
#ifndef SL_SET_SKETCH_KERNELS_H
#define SL_SET_SKETCH_KERNELS_H

#include "features/set_sketch.h"

#define N_BINS   SLUICE_SKETCH_COORDINATES
#define N_ROUNDS N_BINS
#define N_WALKS  16

/* What goes into later rounds is mixed once and kept, DISTINCT_MAX at most. Duplicates are taken
 * out before where they may be many: from DUPLICATES_MIN elements on, unless round 0 left so few
 * bins empty (EMPTY_MIN) that hardly anything will be looked at. More than DISTINCT_MAX different
 * ones leave a bin empty with probability 128 exp(-16) = 1.4e-5, and then go the long way. */
#define DUPLICATES_MIN 512
#define EMPTY_MIN      8
#define DISTINCT_MAX   2048
#define DISTINCT_SLOTS (2 * DISTINCT_MAX)

#define MULTIPLIER UINT64_C(0x9fb21c651e98df25)

struct sl_set_sketch {
    uint64_t mask;                      /* of the seed, into the mixing of elements             */
    uint64_t stamp[N_BINS];             /* makes the kept byte depend on the bin                */
    uint64_t order_stamp[N_BINS];       /* the same for an order instead of an element          */
    uint8_t flip[N_BINS];               /* of the top byte of the order                         */
    uint64_t turn[N_BINS];              /* the same of the whole order                          */
    uint8_t step[N_ROUNDS][N_WALKS];    /* bins from the first one; step[0] is 0                */
    uint16_t rank[N_WALKS][2 * N_BINS]; /* its inverse: round << 8 of a distance, written twice */
};

typedef struct sketch_bins {
    uint64_t smallest[N_BINS]; /* order, flipped, of the winner so far */
    uint64_t empty[2];         /* bit b: no round before this one reached bin b */
} sketch_bins;

static inline uint64_t mix(uint64_t x, uint64_t mask)
{
    x = (x ^ mask) * MULTIPLIER;
    return x ^ x >> 32;
}

static inline unsigned walk_of(uint64_t x)
{
    return (unsigned)(x >> 8) % N_WALKS;
}

static inline uint64_t flipped(const sl_set_sketch *sketcher, uint64_t x, unsigned b)
{
    return x ^ sketcher->turn[b];
}

static inline void offer(sketch_bins *bins, unsigned b, uint64_t order)
{
    bins->smallest[b] = order < bins->smallest[b] ? order : bins->smallest[b];
}

static inline void take(uint64_t taken[2], unsigned b)
{
    taken[b / 64] |= UINT64_C(1) << (b % 64);
}

static inline void first_round(const sl_set_sketch *sketcher, sketch_bins *bins,
                               const uint64_t *hash, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t x = mix(hash[i], sketcher->mask);
        unsigned b = (unsigned)x % N_BINS;
        offer(bins, b, flipped(sketcher, x, b));
    }
}

static inline bool any_empty(const sketch_bins *bins)
{
    return (bins->empty[0] | bins->empty[1]) != 0;
}

static inline int n_empty(const sketch_bins *bins)
{
    return __builtin_popcountll(bins->empty[0]) + __builtin_popcountll(bins->empty[1]);
}

static inline bool may_repeat(const sketch_bins *bins, size_t n)
{
    return n > DUPLICATES_MIN && (n > DISTINCT_MAX || n_empty(bins) > EMPTY_MIN);
}

/* sl_set_sketch_mix_distinct - mixes one of each element into x[0..DISTINCT_MAX).
 * Returns 0 if there are more different ones. */
size_t sl_set_sketch_mix_distinct(const sl_set_sketch *sketcher, const uint64_t *hash, size_t n,
                                  uint64_t *x);

/* sl_set_sketch_go_long - later rounds over elements that are not kept mixed: a block at a time,
 * and a round's bins are full for all blocks only at its end. */
void sl_set_sketch_go_long(const sl_set_sketch *sketcher, sketch_bins *bins, const uint64_t *hash,
                           size_t n);

#if defined(__x86_64__)
/* Kernels: sl_set_sketch_make by one instruction set. */
void sl_set_sketch_make_avx2(const sl_set_sketch *sketcher, const uint64_t *hash, size_t n,
                             uint8_t out[N_BINS]);
void sl_set_sketch_make_avx512(const sl_set_sketch *sketcher, const uint64_t *hash, size_t n,
                               uint8_t out[N_BINS]);
#endif

#endif
