/* score.h - what each row of a slice does to the block: on itself, and toward each reference. */
#ifndef SL_SCORE_H
#define SL_SCORE_H

#include "influence/slice.h"

/* sl_score_rotate - s and a of a slice: u and right in the eigenbasis.
 * basis_out, basis_in  Borrow [m][m] and [d][d], eigenvectors in columns. */
void sl_score_rotate(const sl_shape *shape, const float *basis_out, const float *basis_in,
                     sl_slice *slice);

/* sl_score_self - self[i] = sum_ab inverse[a][b] (U_G' D_i U_A)_ab^2, >= 0.
 *
 * left     Borrows [K][64][m], the rotated gradient's output side (sl_stability_left of slice->s).
 * inverse  Borrows [m][d]: 1 / (max(Lambda, 0) + mu).
 * work     Scratch of sl_score_floats.
 * Cost     64 K (K + 1) m d flops. */
void sl_score_self(const sl_shape *shape, const sl_slice *slice, const float *left,
                   const float *inverse, float *work, double self[SL_SLOTS]);

/* sl_score_toward - toward[i] = <D_i, U_G solved U_A'>; > 0: a proponent of the reference.
 *
 * left     As for self.
 * solved   Borrows [m][d]: inverse times the rotated mean gradient of the reference.
 * work     Scratch of K 64 d floats.
 * Cost     64 x 2 K m d flops.
 * Source   Influence-SSL, arXiv 2412.17170; EK-FAC, George et al. 2018. */
void sl_score_toward(const sl_shape *shape, const sl_slice *slice, const float *left,
                     const float *solved, float *work, double toward[SL_SLOTS]);

size_t sl_score_floats(const sl_shape *shape);

#endif
