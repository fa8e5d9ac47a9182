/* reference.h - a reference set of one encoder: its rows, and its mean gradient at the adapter. */
#ifndef SL_REFERENCE_H
#define SL_REFERENCE_H

#include "influence/slice.h"
#include "sluice/sample.h"

typedef struct sl_reference {
    uint32_t n, n_wanted;    /* samples there and to be there; complete when equal */
    float *outputs, *inputs; /* [n][K][...]; inputs NULL without own ones        */
    float *rotated;          /* [m][d] U_G' Rbar U_A                             */
    float *solved;           /* [m][d] the same over the curvature               */
    bool active;             /* takes part: it was complete when a block ended           */
    bool known;              /* `rotated` belongs to the basis and adapter in force */
} sl_reference;

/* Room for n_wanted samples (at most SLUICE_LIMIT_REFERENCE), none there yet. */
SLUICE_MUST_USE sluice_status sl_reference_open(const sl_shape *shape, uint32_t n_wanted,
                                                sl_reference *out);
void sl_reference_close(sl_reference *reference);

static inline bool sl_reference_complete(const sl_reference *reference)
{
    return reference->n_wanted > 0 && reference->n == reference->n_wanted;
}

/* One more sample; nothing once it is complete. */
void sl_reference_add(const sl_shape *shape, sl_reference *reference, const sluice_views *views);

/* sl_reference_rotate - U_G' (mean D of the set at the adapter) U_A.
 *
 * moved    Borrows W - W_0 [m][d]; NULL while it is zero.
 * slice    Scratch, its rows are overwritten.
 * left     Scratch of K 64 m floats.
 * work     Scratch of m d + max(K 64 m, m d) floats.
 * rotated  Out [m][d]. */
void sl_reference_rotate(const sl_shape *shape, const sl_reference *reference, const float *moved,
                         const float *basis_out, const float *basis_in, sl_slice *slice,
                         float *left, float *work, float *rotated);

#endif
