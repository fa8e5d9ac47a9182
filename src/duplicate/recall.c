/* recall.c - how often the index finds what brute force finds, watched on a thin sample.
 *
 *   rows of a method   | ............ 256 rows from a place ...........| about the 256 newest |
 *                        \ chosen by seed and offset      /
 *   sample, 1 in 1,024:  best row of the two by comparison  <->  what probe says
 *                        found:  probe names one at least as similar
 *                        missed: probe names none, or one less similar
 *
 * Why two windows: copies mostly come soon after, so the newest rows show something at all; what a
 * full bucket lost is old, so the others show what ageing does.
 * Why by seed and offset: a second run over the same stream counts the same, and no sample can
 * know that it is watched.
 * Why it costs little: 512 comparisons of about 20 ns on one sample in 1,024 are 10 ns a sample. */
#include "duplicate/recall.h"

void sl_recall_init(sl_recall *recall, const sluice_config *config)
{
    *recall =
        (sl_recall){.seed = config->seed,
                    .window = {config->duplicate.window_samples, config->duplicate.window_age_us}};
}

/* splitmix64 of the two. */
static uint64_t draw(uint64_t seed, uint64_t offset)
{
    uint64_t value = seed * UINT64_C(0xd1342543de82ef95) + offset * UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return value ^ value >> 31;
}

bool sl_recall_watches(uint64_t seed, uint64_t offset)
{
    return draw(seed, offset) % SL_RECALL_SHARE == 0;
}

/* Where the two windows begin: offsets, the older one first. Rows have no numbers, so the newest
 * 256 are found by the mean distance between rows. */
static void choose_windows(const sl_recall *recall, const sl_rows *rows, uint64_t offset,
                           uint64_t from[2])
{
    sl_row oldest = {.offset = offset};
    (void)sl_rows_at(rows, sl_rows_first(rows), &oldest);
    uint64_t n_rows = sl_rows_count(rows), reach = offset - oldest.offset;
    uint64_t newest = n_rows > SL_RECALL_ROWS ? reach * SL_RECALL_ROWS / n_rows : reach;
    newest = newest < reach ? newest : reach;
    uint64_t span = reach - newest;
    from[0] = oldest.offset + (span > 0 ? (draw(recall->seed, offset) >> 20) % span : 0);
    from[1] = offset - newest;
}

/* The rows of one window, for the caller to compare; at most SL_RECALL_ROWS. */
static uint32_t take_rows(const sl_rows *rows, uint64_t from_offset, sl_row *taken)
{
    uint32_t n = 0;
    uint32_t place = sl_rows_lower(rows, from_offset, INT64_MIN);
    for (; n < SL_RECALL_ROWS && sl_rows_at(rows, place, &taken[n]); n++) {
        place = sl_rows_next(rows, place);
    }
    return n;
}

/* ---- the methods: a new one has a case in each of these ---- */

static uint8_t feature_of(sluice_method method)
{
    return method == SLUICE_METHOD_TEXT    ? SLUICE_HAS_SKETCH
           : method == SLUICE_METHOD_IMAGE ? SLUICE_HAS_IMAGE
                                           : SLUICE_HAS_EMBEDDING;
}

static const sl_rows *rows_of(const sl_recall_methods *methods, sluice_method method)
{
    return method == SLUICE_METHOD_TEXT    ? sl_text_index(methods->text)->rows
           : method == SLUICE_METHOD_IMAGE ? sl_image_rows(methods->image)
                                           : sl_embedding_rows(methods->embedding);
}

static bool probe(const sl_recall_methods *methods, sluice_method method,
                  const sluice_sample *sample, sluice_match *match)
{
    return method == SLUICE_METHOD_TEXT    ? sl_text_probe(methods->text, sample, match)
           : method == SLUICE_METHOD_IMAGE ? sl_image_probe(methods->image, sample, match)
                                           : sl_embedding_probe(methods->embedding, sample, match);
}

static bool compare(const sl_recall_methods *methods, sluice_method method,
                    const sluice_sample *sample, const sl_row *row, float *similarity)
{
    return method == SLUICE_METHOD_TEXT ? sl_text_compare(methods->text, sample, row, similarity)
           : method == SLUICE_METHOD_IMAGE
               ? sl_image_compare(methods->image, sample, row, similarity)
               : sl_embedding_compare(methods->embedding, sample, row, similarity);
}

/* ---- one watched sample ---- */

/* Highest similarity by brute force; below 0: no row of the windows is a duplicate. */
static float best_of_windows(const sl_recall *recall, const sl_recall_methods *methods,
                             sluice_method method, const sluice_sample *sample)
{
    const sl_rows *rows = rows_of(methods, method);
    sl_horizon horizon = sl_window_horizon(&recall->window, sample->offset, sample->arrived_us);
    sl_row row[SL_RECALL_ROWS];
    uint64_t from[2];
    float best = -1, similarity;
    choose_windows(recall, rows, sample->offset, from);
    for (int w = 0; w < 2; w++) {
        uint32_t n = take_rows(rows, from[w], row);
        for (uint32_t i = 0; i < n; i++) {
            if (sl_horizon_shows(&horizon, &row[i]) &&
                compare(methods, method, sample, &row[i], &similarity) && similarity > best) {
                best = similarity;
            }
        }
    }
    return best;
}

static void watch(sl_recall *recall, const sl_recall_methods *methods, sluice_method method,
                  const sluice_sample *sample)
{
    sluice_match match;
    bool found = probe(methods, method, sample, &match); /* closes gaps: rows can be walked now */
    float best = best_of_windows(recall, methods, method, sample);
    recall->of[method].checked++;
    if (best >= 0) {
        bool as_good = found && match.similarity >= best;
        recall->of[method].found += as_good;
        recall->of[method].missed += !as_good;
    }
}

void sl_recall_watch(sl_recall *recall, const sl_recall_methods *methods,
                     const sluice_sample *sample)
{
    static const sluice_method watched[] = {SLUICE_METHOD_TEXT, SLUICE_METHOD_IMAGE,
                                            SLUICE_METHOD_EMBEDDING};
    if (!sl_recall_watches(recall->seed, sample->offset)) {
        return;
    }
    for (size_t i = 0; i < sizeof watched / sizeof watched[0]; i++) {
        if (sample->features.has & feature_of(watched[i])) {
            watch(recall, methods, watched[i], sample);
        }
    }
}

void sl_recall_count(const sl_recall *recall, sluice_method method,
                     sluice_method_counters *counters)
{
    counters->recall_checked = recall->of[method].checked;
    counters->recall_found = recall->of[method].found;
    counters->recall_missed = recall->of[method].missed;
}
