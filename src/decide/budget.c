/* budget.c - keeps a share of the stream: the samples of the highest score.
 *
 *   the last 1,024 scores offered --end of a block--> threshold: their quantile at 1 - share
 *   debt = what should have been kept - what was      share: what the block must keep to pay it
 *                                                     back, over what it is likely to be offered
 *
 * Two loops. The threshold follows the scores, block by block: it moves with a stream that drifts.
 * The debt follows the count, sample by sample: at 64 samples too few everything is kept, at 64 too
 * many nothing is, whatever the scores do. So between any two places of the log the kept samples
 * are within 128 of the share (.0064 of 20,000), as long as rules leave enough to choose from.
 * Why the debt never grows beyond that: rules that drop more than the budget would are no loan to
 * be paid back later.
 * Why a few equal scores are split by chance: scores such as a cost have only a few values, and a
 * threshold alone would take all or none of one. Chance is a hash of the sample, so it falls the
 * same way everywhere. */
#include "decide/budget.h"
#include "bytes.h"

#include <math.h>
#include <stdlib.h>

#define MIN_SCORES 64 /* fewer make no threshold; chance decides */
#define BLOCK      256.0

void sl_budget_init(sl_budget *budget, double keep_fraction)
{
    *budget = (sl_budget){.keep_fraction = keep_fraction,
                          .threshold = (double)NAN,
                          .ties = 1,
                          .share = keep_fraction,
                          .offered = 1};
}

bool sl_budget_judge(const sl_budget *budget, double score, double chance)
{
    if (budget->keep_fraction <= 0 || budget->debt >= SL_BUDGET_SLACK) {
        return true;
    }
    if (budget->debt <= -SL_BUDGET_SLACK) {
        return false;
    }
    float rounded = (float)score; /* as it is remembered */
    if (!isfinite(rounded) || isnan(budget->threshold)) {
        return chance < budget->share;
    }
    double at = (double)rounded;
    return at > budget->threshold || (at >= budget->threshold && chance < budget->ties);
}

void sl_budget_apply(sl_budget *budget, bool offered, bool kept, double score)
{
    if (budget->keep_fraction <= 0) {
        return;
    }
    budget->debt += budget->keep_fraction - (kept ? 1 : 0);
    budget->debt = fmin(fmax(budget->debt, -SL_BUDGET_SLACK - 1), SL_BUDGET_SLACK + 1);
    budget->n_block++;
    budget->n_block_offered += offered;
    if (offered && isfinite((float)score)) {
        budget->score[budget->next_score] = (float)score;
        budget->next_score = (budget->next_score + 1) % SL_BUDGET_SCORES;
        budget->n_scores += budget->n_scores < SL_BUDGET_SCORES;
    }
}

static int compare_floats(const void *a, const void *b)
{
    const float *x = a;
    const float *y = b;
    return (*x > *y) - (*x < *y);
}

static void find_threshold(sl_budget *budget)
{
    float sorted[SL_BUDGET_SCORES];
    uint32_t n = budget->n_scores;
    if (n < MIN_SCORES) {
        budget->threshold = (double)NAN;
        return;
    }
    memcpy(sorted, budget->score, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, compare_floats);
    double wanted = budget->share * n; /* of these would have been kept */
    uint32_t i = (uint32_t)fmin(fmax(n - ceil(wanted), 0), n - 1);
    uint32_t first = i, end = i + 1;
    while (first > 0 && sorted[first - 1] >= sorted[i]) {
        first--;
    }
    while (end < n && sorted[end] <= sorted[i]) {
        end++;
    }
    budget->threshold = (double)sorted[i];
    budget->ties = (wanted - (n - end)) / (end - first);
}

void sl_budget_freeze(sl_budget *budget)
{
    if (budget->keep_fraction <= 0) {
        return;
    }
    double offered = budget->n_block > 0 ? (double)budget->n_block_offered / budget->n_block : 1;
    budget->offered += (offered - budget->offered) / 4;
    double wanted = budget->keep_fraction * BLOCK + budget->debt;
    double likely = fmax(budget->offered * BLOCK, 1);
    budget->share = fmin(fmax(wanted / likely, 0), 1);
    budget->n_block = budget->n_block_offered = 0;
    find_threshold(budget);
}

/* --- keeping --- */

sluice_status sl_budget_save(const sl_budget *budget, sluice_bytes *out)
{
    const double number[] = {budget->keep_fraction, budget->debt,  budget->threshold,
                             budget->ties,          budget->share, budget->offered};
    for (size_t i = 0; i < sizeof number / sizeof number[0]; i++) {
        SLUICE_TRY(sl_bytes_put_double(out, number[i]));
    }
    SLUICE_TRY(sl_bytes_put_u32(out, budget->n_block));
    SLUICE_TRY(sl_bytes_put_u32(out, budget->n_block_offered));
    SLUICE_TRY(sl_bytes_put_u32(out, budget->next_score));
    SLUICE_TRY(sl_bytes_put_u32(out, budget->n_scores));
    for (uint32_t i = 0; i < budget->n_scores; i++) {
        uint32_t bits;
        memcpy(&bits, &budget->score[i], sizeof bits);
        SLUICE_TRY(sl_bytes_put_u32(out, bits));
    }
    return SLUICE_OK;
}

sluice_status sl_budget_load(sl_budget *budget, sl_reader *reader)
{
    sl_budget loaded = {.keep_fraction = sl_reader_double(reader)};
    loaded.debt = sl_reader_double(reader);
    loaded.threshold = sl_reader_double(reader);
    loaded.ties = sl_reader_double(reader);
    loaded.share = sl_reader_double(reader);
    loaded.offered = sl_reader_double(reader);
    loaded.n_block = sl_reader_u32(reader);
    loaded.n_block_offered = sl_reader_u32(reader);
    loaded.next_score = sl_reader_u32(reader);
    loaded.n_scores = sl_reader_u32(reader);
    if (reader->bad || loaded.n_scores > SL_BUDGET_SCORES ||
        loaded.next_score >= SL_BUDGET_SCORES || !(fabs(loaded.debt) <= SL_BUDGET_SLACK + 1) ||
        !(loaded.share >= 0 && loaded.share <= 1) ||
        !(loaded.offered >= 0 && loaded.offered <= 1)) {
        return SLUICE_E_CORRUPT;
    }
    for (uint32_t i = 0; i < loaded.n_scores; i++) {
        uint32_t bits = sl_reader_u32(reader);
        memcpy(&loaded.score[i], &bits, sizeof bits);
        if (!isfinite(loaded.score[i])) {
            return SLUICE_E_CORRUPT;
        }
    }
    if (reader->bad) {
        return SLUICE_E_CORRUPT;
    }
    *budget = loaded;
    return SLUICE_OK;
}
