/* estimator.h - the whole state of influence for one encoder. */
#ifndef SL_ESTIMATOR_H
#define SL_ESTIMATOR_H

#include "influence/leverage.h"
#include "influence/moments.h"
#include "influence/reference.h"
#include "influence/reliability.h"
#include "influence/shift.h"
#include "quantile.h"
#include "sluice/config.h"
#include "sluice/engine.h"

#include <stdatomic.h>

#define SL_BLOCK_SLICES 4
#define SL_BLOCK_SLOTS  (SL_BLOCK_SLICES * SL_SLOTS)

enum {
    SL_STAT_LOSS,
    SL_STAT_SELF,
    SL_STAT_LEVERAGE,
    SL_STAT_TOWARD,
    SL_N_STATS = 3 + SLUICE_LIMIT_REFERENCES
};

/* What apply leaves of one sample until its block is frozen. */
typedef struct sl_slot {
    bool present; /* applied */
    bool counted; /* absorbed at the end of the block: no duplicate */
    uint16_t i_source;
    float stat[SL_N_STATS]; /* as scored; NaN where there was none */
} sl_slot;

enum { SL_REFRESH_IDLE, SL_REFRESH_WAITING, SL_REFRESH_RUNNING, SL_REFRESH_DONE };

/* A refresh between its trigger and its publication. Inputs are copies: the stream goes on. Only
 * who moved `stage` from WAITING to RUNNING may write the results. */
typedef struct sl_refresh {
    bool pending, first;
    uint64_t publish_block;
    double weight, gradient_weight, mu;
    float *second_in, *second_out, *lambda, *gradient;
    bool with_reference[SLUICE_LIMIT_REFERENCES]; /* complete at the trigger */
    _Atomic int stage;
    bool failed;
    float *basis_in, *basis_out, *values, *moved;
    float *overlap_in, *overlap_out; /* (U_new' U_old)^2 */
    float *rotated[SLUICE_LIMIT_REFERENCES];
    float *left, *work; /* scratch of its own: it runs beside the stream */
    sl_slice scratch;
} sl_refresh;

/* Rows of the warm-up, in order: the curvature is summed over them once there is a basis. */
typedef struct sl_warm {
    uint32_t n, n_blocks, n_room; /* rows there; blocks that had any; rows that fit */
    float *outputs, *inputs;      /* [n_room][K][...]; inputs NULL without own ones */
    float *weight;                /* [n_room] */
    uint32_t *block_end;          /* [n_room] rows at the end of each block that had any */
} sl_warm;

typedef struct sl_estimator {
    sl_shape shape;
    const sluice_influence_config *settings; /* borrowed */
    bool two_sides;

    /* The block that is being filled. */
    sl_slice slice[SL_BLOCK_SLICES];
    bool ready[SL_BLOCK_SLICES];     /* derived rows are those of the rows as they came */
    uint64_t placed[SL_BLOCK_SLOTS]; /* offset whose rows are in the slot; UINT64_MAX: none */
    sl_slot slot[SL_BLOCK_SLOTS];

    /* Sums. */
    sl_moments moments;
    float *lambda;   /* [m][d] in the basis; zeros while there is none */
    double *eig_sum; /* [d] diag(U' M U), sum form */
    float *gradient; /* [m][d] sum of D since W moved */
    double gradient_weight;
    uint64_t n_absorbed, n_at_refresh; /* samples absorbed: ever, and at the last trigger */
    uint64_t n_refreshes;
    sl_quantile *quantile[SL_N_STATS];
    sl_shift shift;
    double source_count[SL_SHIFT_SOURCES], source_total; /* decayed, for the bound */
    sl_reliability reliability;

    sl_warm warm;

    /* Frozen: what scores are made with. */
    bool live;
    float *basis_in, *basis_out; /* the same array where there is one side */
    bool has_moved;
    float *moved; /* W - W_0 */
    double mu;
    double negative_share;
    bool new_basis; /* until it is derived from */
    float *inverse; /* 1 / (max(Lambda, 0) + mu) */
    float *mean;    /* [d] of the stream */
    sl_leverage leverage;
    sl_reference reference[SLUICE_LIMIT_REFERENCES];
    sl_refresh refresh;

    float *left, *work; /* scratch */
    sl_slice scratch;   /* rows of references and of the warm-up */
} sl_estimator;

/* Scores of one slice, by slot. */
typedef struct sl_slice_scores {
    double norm2[SL_SLOTS], self[SL_SLOTS], leverage[SL_SLOTS], residual[SL_SLOTS];
    double toward[SLUICE_LIMIT_REFERENCES][SL_SLOTS];
} sl_slice_scores;

SLUICE_MUST_USE sluice_status sl_estimator_open(const sl_shape *shape,
                                                const sluice_influence_config *settings,
                                                sl_estimator **out); /* Gives *out */
void sl_estimator_close(sl_estimator **estimator_p);                 /* Takes; NULL ok */

/* Puts the views of the sample at `offset` into its slot. */
void sl_estimator_place(sl_estimator *estimator, uint64_t offset, const sluice_views *views);

/* All 64 rows of the slice of `offset`; the loss is in slice->delta[0]. */
void sl_estimator_score(sl_estimator *estimator, uint64_t offset, sl_slice_scores *scores);

/* What the sample at `offset` leaves until the block is frozen. It was placed. */
void sl_estimator_apply(sl_estimator *estimator, uint64_t offset, const sl_slot *slot);

/* The end of block `i_block` (the first has number 1): learn, refresh, freeze. */
void sl_estimator_freeze(sl_estimator *estimator, uint64_t i_block);

/* The frozen numbers anew, from the sums: after a freeze, a load, a change of references. */
void sl_estimator_derive(sl_estimator *estimator);

sluice_influence_state sl_estimator_state(const sl_estimator *estimator);
/* All but the name. */
sluice_encoder_state sl_estimator_describe(const sl_estimator *estimator, uint32_t n_views,
                                           uint32_t dim);

/* prepare and, where there is a basis, rotate. */
void sl_estimator_make_ready(sl_estimator *estimator, sl_slice *slice);

/* Reference sets that are complete take part from now on. Only at the end of a block, so that a
 * restart in the middle of one changes nothing. */
void sl_estimator_admit_references(sl_estimator *estimator);

/* Reference r is gone, with all that was known of it. */
void sl_estimator_drop_reference(sl_estimator *estimator, uint32_t r);

/* Learns what there is of the open block, and publishes a refresh that is pending. */
void sl_estimator_settle(sl_estimator *estimator);

/* --- merge.c --- */

/* sl_estimator_merge - adds what another state of the same shape and settings has learned.
 *
 * other      Consumed: what is left of it can only be closed.
 * source_of  Borrows [SL_SHIFT_SOURCES]: the number here of each source there.
 * Returns    NOMEM, CORRUPT (no eigenvectors): nothing was added.
 * Order      a into b or b into a: the same bits. */
SLUICE_MUST_USE sluice_status sl_estimator_merge(sl_estimator *into, sl_estimator *other,
                                                 const uint16_t *source_of);

/* An encoder that only one of two states knows: settled, its sources with other numbers. */
SLUICE_MUST_USE sluice_status sl_estimator_renumber(sl_estimator *estimator,
                                                    const uint16_t *source_of);

/* --- refresh.c --- */

SLUICE_MUST_USE sluice_status sl_refresh_open(sl_estimator *estimator);
void sl_refresh_close(sl_estimator *estimator);
bool sl_refresh_due(const sl_estimator *estimator, uint64_t i_block);
void sl_refresh_trigger(sl_estimator *estimator, uint64_t publish_block);
void sl_refresh_offer(sl_estimator *estimator); /* to whoever runs it; also after a load */

/* Makes what waits; false if nothing did. Any thread: reads copies and what only publish writes. */
bool sl_refresh_run(sl_estimator *estimator);
void sl_refresh_finish(sl_estimator *estimator);  /* makes what waits, or waits for who is at it */
void sl_refresh_publish(sl_estimator *estimator); /* makes it, or waits for it, if need be */
size_t sl_estimator_work_floats(const sl_shape *shape);

/* Keeps the counted rows of a slice until there is a basis. */
void sl_refresh_keep_warm(sl_estimator *estimator, uint32_t i_slice, const float weight[SL_SLOTS]);
void sl_refresh_end_warm_block(sl_estimator *estimator);
/* The curvature of the kept rows of `from` in the basis and at the adapter of `estimator`, faded
 * block by block as the moments were. */
void sl_refresh_sum_warm(sl_estimator *estimator, const sl_estimator *from, float *lambda);
void sl_refresh_end_warmup(sl_estimator *estimator); /* drops those rows */

/* --- saved.c --- */

SLUICE_MUST_USE sluice_status sl_estimator_save(const sl_estimator *estimator, sluice_bytes *out);

/* Into an estimator that was just opened with the same shape and settings. */
SLUICE_MUST_USE sluice_status sl_estimator_load(sl_estimator *estimator, sluice_span saved);

#endif
