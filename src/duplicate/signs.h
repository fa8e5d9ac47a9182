/* signs.h - finds, among the newest rows, those whose sign bits are near. */
#ifndef SL_SIGNS_H
#define SL_SIGNS_H

#include "duplicate/sign_query.h"

#include <stdbool.h>

#define SL_SIGNS_ROW_BYTES (SLUICE_SIGN_BITS / 8 + sizeof(uint32_t))
#define SL_SIGNS_CHUNK     8192 /* rows looked at in one call                                    */

typedef struct sl_signs sl_signs; /* opaque; one writer */

/* One row found: its number (rows are numbered as they are appended) and its bits that differ. */
typedef struct sl_signs_hit {
    uint64_t number;
    uint32_t distance;
} sl_signs_hit;

/* Bytes for that many rows; the ring never holds more, the oldest make room. */
size_t sl_signs_bytes(uint32_t n_rows);
SLUICE_MUST_USE sluice_status sl_signs_open(uint32_t n_rows, sl_signs **out);
void sl_signs_close(sl_signs **signs_p);

uint64_t sl_signs_append(sl_signs *signs, const uint64_t *bits, uint32_t place); /* its number */
uint64_t sl_signs_head(const sl_signs *signs); /* number of the row to come */

/* Of a row among the newest n_rows. */
uint32_t sl_signs_place(const sl_signs *signs, uint64_t number);
void sl_signs_bits(const sl_signs *signs, uint64_t number, uint64_t *bits);
void sl_signs_set_place(sl_signs *signs, uint64_t number, uint32_t place);

/* To close gaps: row `to` becomes what row `from` is; rows from `head` on are gone. */
void sl_signs_copy(sl_signs *signs, uint64_t to, uint64_t from);
void sl_signs_cut(sl_signs *signs, uint64_t head);

/* Where in the ring a row lies, and which row lies there. */
uint32_t sl_signs_slot(const sl_signs *signs, uint64_t number);
uint64_t sl_signs_number_at(const sl_signs *signs, uint32_t slot);

/* sl_signs_find - rows from `number` on, at most SL_SIGNS_CHUNK of them, that are within all the
 * bounds.
 *
 * hits     Out, SL_SIGNS_CHUNK at most, oldest first.
 * Returns  how many were found. */
uint32_t sl_signs_find(const sl_signs *signs, const sl_sign_query *query, uint64_t number,
                       sl_signs_hit *hits);

/* Whether the row in a slot is. */
bool sl_signs_check(const sl_signs *signs, const sl_sign_query *query, uint32_t slot,
                    uint32_t *distance);
void sl_signs_prefetch(const sl_signs *signs, uint32_t slot);

/* A kernel: indices i < n within all the bounds, rising, and how many bits of each differ. */
typedef uint32_t sl_signs_kernel(const uint64_t *const *words, const sl_sign_query *query,
                                 uint32_t n, uint32_t *found, uint32_t *distance);
sl_signs_kernel sl_signs_kernel_ref;
#if defined(__x86_64__)
sl_signs_kernel sl_signs_kernel_avx2, sl_signs_kernel_avx512; /* where the processor has them */
#endif
sl_signs_kernel *sl_signs_kernel_best(void);

#endif
