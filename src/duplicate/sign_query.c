/* sign_query.c - which sign bits a vector asks of others, and how many of those may differ.
 *
 *   margins  | 3 | 90 | 41 | 12 | 200 | ...     bit 0 lies next to its plane: a near vector often
 *   asked    | 0 |  1 |  1 |  0 |   1 | ...     has another one there, so it tells nothing
 *
 * Why by the margins of one side: rows are remembered as bits alone; what the one who asks knows of
 * its own vector costs no memory. */
#include "duplicate/sign_query.h"

#include <math.h>
#include <string.h>

#define SHARE_FIRST 3e-4 /* missed in the first step, on which the speed depends */
#define SHARE       3e-5
#define DEVIATION   85.0 /* margins of a standard deviation: sign_sketch.c */
#define SQRT_2      1.41421356237309504880

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "margins are read eight at once");

/* ---- bounds ---------------------------------------------------------------------------------- */

/* P(an asked bit differs): midpoints of steps of a hundredth of a deviation. */
static double flip_chance(double cosine)
{
    const double step = 0.01;
    double flips = 0, all = 0, square = 1 - cosine * cosine;
    if (square <= 0) {
        return 0;
    }
    for (double m = SL_SIGN_MARGIN_MIN / DEVIATION + step / 2; m < 8; m += step) {
        double density = exp(-m * m / 2);
        all += density;
        flips += density * erfc(m * cosine / sqrt(square) / SQRT_2) / 2;
    }
    return flips / all;
}

/* P(X > most), X binomial (n, p). */
static double tail_above(uint32_t n, double p, uint32_t most)
{
    double r = most + 1.0, sum = 0;
    if (p <= 0 || most >= n) {
        return 0;
    }
    double log_choose = lgamma(n + 1.0) - lgamma(r + 1) - lgamma(n - r + 1);
    double term = exp(log_choose + r * log(p) + (n - r) * log1p(-p));
    for (; r <= n; r++) {
        sum += term;
        term *= (n - r) / (r + 1) * p / (1 - p);
    }
    return sum;
}

void sl_sign_bounds_of(double cosine, sl_sign_bounds *out)
{
    double p = flip_chance(cosine);
    memset(out, 0, sizeof *out);
    for (uint32_t s = 0; s < SL_SIGN_STEPS; s++) {
        uint32_t most = 0;
        for (uint32_t n = 1; n <= UINT32_C(64) << s; n++) {
            while (tail_above(n, p, most) > (s == 0 ? SHARE_FIRST : SHARE)) {
                most++;
            }
            out->most[s][n] = (uint16_t)most;
        }
    }
}

/* ---- a query --------------------------------------------------------------------------------- */

/* Bit i: byte i is at least SL_SIGN_MARGIN_MIN. Only bytes below 128 need the addition. */
static uint64_t mark_bytes(const uint8_t *margins)
{
    const uint64_t each = UINT64_C(0x0101010101010101);
    uint64_t eight;
    memcpy(&eight, margins, sizeof eight);
    uint64_t top = (eight & each * 127) + each * (128 - SL_SIGN_MARGIN_MIN);
    return ((top | eight) >> 7 & each) * UINT64_C(0x0102040810204080) >> 56;
}

void sl_sign_query_make(const sl_sign_bounds *bounds, const uint64_t *bits, const uint8_t *margins,
                        sl_sign_query *query)
{
    uint32_t n_asked = 0, s = 0;
    for (uint32_t k = 0; k < SLUICE_SIGN_WORDS; k++) {
        query->bits[k] = bits[k];
        query->asked[k] = 0;
        for (uint32_t i = 0; i < 64; i += 8) {
            query->asked[k] |= mark_bytes(margins + 64 * k + i) << i;
        }
        n_asked += (uint32_t)__builtin_popcountll(query->asked[k]);
        if (k + 1 == UINT32_C(1) << s) {
            query->most[s] = bounds->most[s][n_asked];
            s++;
        }
    }
    query->most_of_all = SLUICE_SIGN_BITS;
}
