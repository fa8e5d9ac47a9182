/* scan.h - finds, among the newest rows, those whose signature begins alike. */
#ifndef SL_DUPLICATE_SCAN_H
#define SL_DUPLICATE_SCAN_H

#include "status.h"

#include <stddef.h>
#include <stdint.h>

#define SL_SCAN_WORDS     3 /* of 64 bits, of a signature's begin                                */
#define SL_SCAN_ROW_BYTES (SL_SCAN_WORDS * sizeof(uint64_t) + sizeof(uint32_t))
#define SL_SCAN_CHUNK     4096 /* rows looked at in one call                                     */

typedef struct sl_scan sl_scan; /* opaque; one writer */

/* Bytes for that many rows; the ring never holds more, the oldest make room. */
size_t sl_scan_bytes(uint32_t n_rows);
SLUICE_MUST_USE sluice_status sl_scan_open(uint32_t n_rows, sl_scan **out);
void sl_scan_close(sl_scan **scan_p);

void sl_scan_append(sl_scan *scan, const uint8_t *signature, uint32_t place);
void sl_scan_clear(sl_scan *scan);

/* sl_scan_find - places whose first n_words words differ from the signature's in at most `radius`
 * bits, oldest first.
 *
 * n_newest  the rows that count: the last so many appended.
 * i_from    rows of those that earlier calls looked at; 0 at first. At most SL_SCAN_CHUNK are
 *           looked at; the caller goes on behind them, with a smaller radius if it likes.
 * places    Out, SL_SCAN_CHUNK at most.
 * Returns   how many were found. */
uint32_t sl_scan_find(const sl_scan *scan, const uint8_t *signature, uint32_t n_words,
                      uint32_t radius, uint32_t n_newest, uint32_t i_from, uint32_t *places);

/* A kernel: indices i < n with sum over k < n_words of popcount(words[k][i] ^ query[k]) <= radius,
 * rising. */
typedef uint32_t sl_scan_kernel(const uint64_t *const *words, const uint64_t *query,
                                uint32_t n_words, uint32_t n, uint32_t radius, uint32_t *found);
sl_scan_kernel sl_scan_kernel_ref;
sl_scan_kernel *sl_scan_kernel_best(void); /* the fastest that this processor runs */

#endif
