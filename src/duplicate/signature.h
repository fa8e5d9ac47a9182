/* signature.h - the table keys under which image signatures meet that differ in few bits. */
#ifndef SL_SIGNATURE_H
#define SL_SIGNATURE_H

#include "sluice/sample.h"

#define SL_SIGNATURE_SYMBOLS 99 /* frequencies: each is a symbol, 0..5 */
#define SL_SIGNATURE_GROUPS  10 /* keys of a row; symbol i belongs to group i mod 10 */
#define SL_SIGNATURE_STEPS   30 /* of a search: distances 0, 1, 2 in each of the groups           */
#define SL_SIGNATURE_KEYS    200 /* of a step, at most                                            */

/* How many of the five levels each frequency is above. Two signatures have at least as many
 * different bits as the sum of the differences of their symbols. */
void sl_signature_symbols(const uint8_t *signature, uint8_t *symbols);

/* The key of a group, uniform in all bits. */
uint64_t sl_signature_key(const uint8_t *symbols, uint32_t i_group);

/* sl_signature_step - the keys that step i of a search looks up: in group i mod 10 all that are at
 * distance i / 10 of the symbols' own.
 *
 * keys     Out, SL_SIGNATURE_KEYS of them.
 * Returns  how many. After the steps 0..i every key of a signature with at most i different bits
 *          has met one of those looked up, in one group or more. */
uint32_t sl_signature_step(const uint8_t *symbols, uint32_t i_step, uint64_t *keys);

#endif
