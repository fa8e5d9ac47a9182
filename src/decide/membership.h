/* membership.h - which row of a portfolio the last kept samples were counted in, by their names. */
#ifndef SL_MEMBERSHIP_H
#define SL_MEMBERSHIP_H

#include "bytes.h"
#include "sluice/portfolio.h"

typedef struct sl_membership sl_membership; /* opaque; one writer */

SLUICE_MUST_USE sluice_status sl_membership_open(sl_membership **out);
void sl_membership_close(sl_membership **membership_p);
size_t sl_membership_bytes(void);

/* row is below 255. Of equal names the last one counts. */
void sl_membership_note(sl_membership *membership, sluice_span source, sluice_span id, uint8_t row);
/* 0: it was not noted, or too long ago. Another sample's row: in 1 of 2,000,000 such cases. */
uint8_t sl_membership_find(const sl_membership *membership, sluice_span source, sluice_span id);

SLUICE_MUST_USE sluice_status sl_membership_save(const sl_membership *membership,
                                                 sluice_bytes *out);
/* Into an empty one; rows below n_rows. */
bool sl_membership_load(sl_membership *membership, sl_reader *reader, uint32_t n_rows);

#endif
