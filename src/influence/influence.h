/* influence.h - what each sample does to the representation: the state of all encoders. */
#ifndef SL_INFLUENCE_H
#define SL_INFLUENCE_H

#include "arena.h"
#include "status.h"
#include "sluice/config.h"
#include "sluice/engine.h"

typedef struct sl_influence sl_influence;

SLUICE_MUST_USE sluice_status sl_influence_open(const sluice_config *config, sl_influence **out,
                                                sluice_message *why); /* Gives *out */
void sl_influence_close(sl_influence **influence_p);                  /* Takes; NULL ok */

/* NULL, or the reason for which a sample with these views cannot be taken: a fifth encoder, or
 * another dimension under the name of a known one. A new encoder gets its state here. Lends static
 * memory. */
const char *sl_influence_admit(sl_influence *influence, const sluice_sample *sample);

/* sl_influence_score - what each sample does to the frozen block; fills `scores`.
 *
 *     self      = g' (H + mu)^-1 g           >= 0, not divided by the weight
 *     toward[r] = G_r' (H + mu)^-1 g         > 0: removing it would raise the loss of reference r
 *
 * sample   Borrows n samples. Those that count have an offset, all in the same 64 (SL_SLOTS).
 * i_source Borrows n numbers of their sources, 0..SLUICE_LIMIT_SOURCES; UINT16_MAX: not seen yet.
 * arena    Lends the names of the references.
 * Cost     One product of 64 rows for each matrix, however few the samples; for K = 2, one
 *          reference and the stepped adapter about 64 x 32 d^2 flops with learning.
 * Error    relative to float64: 1e-5 typical (tests/property/influence_static_test.c). */
void sl_influence_score(sl_influence *influence, sluice_sample *sample, uint32_t n,
                        const uint16_t *i_source, sl_arena *arena);

/* What a judged sample leaves until its block ends. Dropped duplicates leave nothing but their
 * place. */
void sl_influence_apply(sl_influence *influence, const sluice_sample *sample, uint16_t i_source);

/* The end of a block: next_offset is a multiple of SLUICE_BLOCK_SAMPLES. */
void sl_influence_freeze(sl_influence *influence, uint64_t next_offset);

/* Makes a refresh that waits; false if none did. Any thread, beside everything but open, load and
 * close. Who calls it changes when work is done, never a score: a refresh is published at its
 * block, and made there if nobody has. */
bool sl_influence_refresh(sl_influence *influence);
bool sl_influence_refresh_waits(const sl_influence *influence);

/* One sample of the reference set `name` (of kind path in the configuration). BADSAMPLE: it has no
 * views, or others than the samples before it. CONFIG: no such set, or it is full. */
SLUICE_MUST_USE sluice_status sl_influence_reference_add(sl_influence *influence, const char *name,
                                                         const sluice_sample *sample);

/* sl_influence_set_add - a new set of n samples, scored toward from the next block on.
 *
 * Returns  CONFIG: not a name, no samples, or influence is off. CLOSED: the name is taken by
 * another set (the same once more is OK). TOOBIG: SLUICE_LIMIT_REFERENCES sets are there. BADSAMPLE
 * as above. Nothing changed. */
SLUICE_MUST_USE sluice_status sl_influence_set_add(sl_influence *influence, const char *name,
                                                   const sluice_sample *sample, uint32_t n);
/* CONFIG: there is none of this name. */
SLUICE_MUST_USE sluice_status sl_influence_set_remove(sl_influence *influence, const char *name);
uint32_t sl_influence_sets(const sl_influence *influence,
                           sluice_reference_info out[SLUICE_LIMIT_REFERENCES]);
uint32_t sl_influence_encoders(const sl_influence *influence,
                               sluice_encoder_state out[SLUICE_LIMIT_ENCODERS]);

SLUICE_MUST_USE sluice_status sl_influence_save(const sl_influence *influence, sluice_bytes *out);

/* sl_influence_merge - adds what another state with the same configuration has learned.
 *
 * saved      Borrows what save wrote there; has_sets as for load.
 * source_of  Borrows [SLUICE_LIMIT_SOURCES + 1]: the number here of each source there.
 * Order      a into b or b into a: the same scores to 1e-6. Blocks that are open are learned first.
 * Threads    As load: nobody makes refreshes meanwhile.
 * Returns    CORRUPT; CONFIG: too many encoders together, or one with two dimensions; other
 *            reference sets. Nothing was added. */
SLUICE_MUST_USE sluice_status sl_influence_merge(sl_influence *influence, sluice_span saved,
                                                 bool has_sets, const uint16_t *source_of);

/* On error nothing is known any more. CORRUPT: not what save wrote under this configuration.
 * has_sets  False for what was saved before sets could be added: those of the configuration. */
SLUICE_MUST_USE sluice_status sl_influence_load(sl_influence *influence, sluice_span saved,
                                                bool has_sets);

#endif
