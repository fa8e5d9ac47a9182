/* set_sketch.c - makes 128 bytes of a set, so that equal bytes estimate how similar sets are.
 *
 *   element, mixed   | order, 64 bits ..............| walk 4 | . bin 7 |
 *
 *   round 0          the element stands in its bin
 *   round r          it stands step[r][walk] bins further; in 128 rounds it visits every bin once
 *
 * A bin takes the element that reaches it in the earliest round, of several the one with the
 * smallest order (its top byte flipped as the bin says); the coordinate is one byte of a hash of
 * the winner and the bin.
 *
 * Why it is unbiased: (round, order) of an element at a bin does not depend on the set, and is
 * distributed alike for all elements, so each element of A or B is equally likely to win there.
 * Why it varies less than MinHash: no element takes two bins in a round and none comes to a bin
 * twice, so small sets are sampled nearly evenly.
 * Why it is fast: a large set is done after round 0, one step an element; a set of 100 after about
 * 7 rounds. Rounds stop when no bin is empty: later ones never win.
 * Why the flips: two elements may share bin and walk (1 in 2048), and then meet in every round; the
 * same one must not win them all.
 * Why duplicates are taken out before round 1 of a long stream: a million times one word is a set
 * of one element, and would go through 128 rounds a million times.
 * Source: the rounds are Fast Similarity Sketching (Dahlgaard, Knudsen, Thorup 2017, arXiv
 * 1704.04370), the walks instead of fresh hashes are circulant MinHash's idea (Li, Li 2022, arXiv
 * 2109.03337); keeping 8 bits: Li, Koenig 2010, arXiv 0910.3349. */
#include "features/set_sketch_kernels.h"

#include "status.h"

#include <stdlib.h>
#include <string.h>

/* ---- tables ---------------------------------------------------------------------------------- */

static uint64_t next_random(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *state;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* A random order of all bins that begins where the element is. */
static void make_walk(sl_set_sketch *sketcher, unsigned walk, uint64_t *state)
{
    for (unsigned round = 0; round < N_ROUNDS; round++) {
        sketcher->step[round][walk] = (uint8_t)round;
    }
    for (unsigned round = N_ROUNDS - 1; round > 1; round--) {
        unsigned other = 1 + (unsigned)(next_random(state) % round);
        uint8_t moved = sketcher->step[round][walk];
        sketcher->step[round][walk] = sketcher->step[other][walk];
        sketcher->step[other][walk] = moved;
    }
    for (unsigned round = 0; round < N_ROUNDS; round++) {
        unsigned distance = sketcher->step[round][walk];
        sketcher->rank[walk][distance] = (uint16_t)(round << 8);
        sketcher->rank[walk][distance + N_BINS] = (uint16_t)(round << 8);
    }
}

sluice_status sl_set_sketch_open(uint64_t seed, sl_set_sketch **out)
{
    *out = calloc(1, sizeof **out);
    if (*out == NULL) {
        return SLUICE_E_NOMEM;
    }
    uint64_t state = seed;
    (*out)->mask = next_random(&state);
    for (unsigned b = 0; b < N_BINS; b++) {
        (*out)->stamp[b] = next_random(&state);
        (*out)->flip[b] = (uint8_t)next_random(&state);
        (*out)->turn[b] = (uint64_t)(*out)->flip[b] << 56;
        (*out)->order_stamp[b] = flipped(*out, (*out)->stamp[b], b);
    }
    for (unsigned walk = 0; walk < N_WALKS; walk++) {
        make_walk(*out, walk, &state);
    }
    return SLUICE_OK;
}

void sl_set_sketch_close(sl_set_sketch **sketcher_p)
{
    free(*sketcher_p);
    *sketcher_p = NULL;
}

/* ---- plain C --------------------------------------------------------------------------------- */

static void later_round_ref(const sl_set_sketch *sketcher, sketch_bins *bins, const uint64_t *x,
                            size_t n, unsigned round)
{
    uint64_t taken[2] = {0, 0};
    for (size_t i = 0; i < n; i++) {
        unsigned b = ((unsigned)x[i] + sketcher->step[round][walk_of(x[i])]) % N_BINS;
        if ((bins->empty[b / 64] >> (b % 64) & 1) != 0) {
            offer(bins, b, flipped(sketcher, x[i], b));
            take(taken, b);
        }
    }
    bins->empty[0] &= ~taken[0];
    bins->empty[1] &= ~taken[1];
}

static void stamp_ref(const sl_set_sketch *sketcher, const sketch_bins *bins, uint8_t out[N_BINS])
{
    for (unsigned b = 0; b < N_BINS; b++) {
        out[b] = (uint8_t)(((bins->smallest[b] ^ sketcher->order_stamp[b]) * MULTIPLIER) >> 56);
    }
}

static void note_empty(sketch_bins *bins)
{
    bins->empty[0] = 0;
    bins->empty[1] = 0;
    for (unsigned b = 0; b < N_BINS; b++) {
        bins->empty[b / 64] |= (uint64_t)(bins->smallest[b] == UINT64_MAX) << (b % 64);
    }
}

size_t sl_set_sketch_mix_distinct(const sl_set_sketch *sketcher, const uint64_t *hash, size_t n,
                                  uint64_t *x)
{
    uint64_t slot[DISTINCT_SLOTS] = {0}; /* 0 = free; an element that is 0 is kept every time */
    size_t n_kept = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t element = mix(hash[i], sketcher->mask);
        size_t at = (size_t)(element >> 40) % DISTINCT_SLOTS;
        while (slot[at] != 0 && slot[at] != element) {
            at = (at + 1) % DISTINCT_SLOTS;
        }
        if (slot[at] == 0) {
            if (n_kept == DISTINCT_MAX) {
                return 0;
            }
            slot[at] = element;
            x[n_kept++] = element;
        }
    }
    return n_kept;
}

void sl_set_sketch_go_long(const sl_set_sketch *sketcher, sketch_bins *bins, const uint64_t *hash,
                           size_t n)
{
    for (unsigned round = 1; round < N_ROUNDS && any_empty(bins); round++) {
        uint64_t left[2] = {bins->empty[0], bins->empty[1]};
        for (size_t start = 0; start < n; start += DUPLICATES_MIN) {
            uint64_t x[DUPLICATES_MIN];
            size_t size = n - start < DUPLICATES_MIN ? n - start : DUPLICATES_MIN;
            const uint64_t before[2] = {bins->empty[0], bins->empty[1]};
            for (size_t i = 0; i < size; i++) {
                x[i] = mix(hash[start + i], sketcher->mask);
            }
            later_round_ref(sketcher, bins, x, size, round);
            left[0] &= bins->empty[0];
            left[1] &= bins->empty[1];
            bins->empty[0] = before[0];
            bins->empty[1] = before[1];
        }
        bins->empty[0] = left[0];
        bins->empty[1] = left[1];
    }
}

static void make_ref(const sl_set_sketch *sketcher, const uint64_t *hash, size_t n,
                     uint8_t out[N_BINS])
{
    sketch_bins bins;
    uint64_t x[DISTINCT_MAX];
    memset(bins.smallest, 0xff, sizeof bins.smallest);
    first_round(sketcher, &bins, hash, n);
    note_empty(&bins);
    if (any_empty(&bins)) {
        size_t n_x = n;
        if (may_repeat(&bins, n)) {
            n_x = sl_set_sketch_mix_distinct(sketcher, hash, n, x);
        } else {
            for (size_t i = 0; i < n; i++) {
                x[i] = mix(hash[i], sketcher->mask);
            }
        }
        if (n_x == 0) {
            sl_set_sketch_go_long(sketcher, &bins, hash, n);
        }
        for (unsigned round = 1; round < N_ROUNDS && any_empty(&bins); round++) {
            later_round_ref(sketcher, &bins, x, n_x, round);
        }
    }
    stamp_ref(sketcher, &bins, out);
}

void sl_set_sketch_make(const sl_set_sketch *sketcher, const uint64_t *hash, size_t n,
                        sl_kernel kernel, uint8_t out[N_BINS])
{
    SLUICE_DCHECK(n > 0);
#if defined(__x86_64__)
    if (kernel == SL_KERNEL_AVX512) {
        sl_set_sketch_make_avx512(sketcher, hash, n, out);
        return;
    }
    if (kernel == SL_KERNEL_AVX2) {
        sl_set_sketch_make_avx2(sketcher, hash, n, out);
        return;
    }
#endif
    (void)kernel;
    make_ref(sketcher, hash, n, out);
}
