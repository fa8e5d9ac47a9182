/* advice.c - recommendations in words, with their evidence and how sure they are.
 *
 *   row, trend, repeats of a source --> copies? noise? change? harm? value? labels? thin?
 *                                       the first that holds speaks
 *
 * A check compares an estimate with a limit. What is said needs LEAST samples, an effect that a
 * person would act on, and a confidence of at least 99 %: the normal probability that the source's
 * true value is beyond the limit. */
#include "decide/portfolio.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define LEAST         200  /* samples, or scored samples, behind a sentence */
#define SURE          0.99 /* least confidence                              */
#define COPIES_LIMIT  0.5  /* of samples repeat other sources               */
#define OWN_LIMIT     0.3  /* of samples repeat the source itself           */
#define NOISE_LIMIT   0.8  /* mean percentile of the loss                   */
#define EFFECT_LIMIT  0.5  /* standard deviations of influence in the stream */
#define FRESH_LIMIT   0.2  /* most duplicates of a source to collect more of */
#define RARE_LIMIT    0.1  /* of samples are rare                           */
#define CHANGE_LIMIT  0.2  /* of a mean percentile or a share               */
#define CHANGE_POINTS 4    /* of the trend, on each side of a change        */
#define SHIFT_LIMIT   10.0 /* standard deviations: mean source_shift of two points */

/* What the checks look at. */
typedef struct case_file {
    const sluice_portfolio *portfolio;
    uint32_t i_source;
    sluice_source_row row;
    double n; /* samples */
    sluice_trend_point points[SLUICE_TREND_POINTS];
    uint32_t n_points;
    uint64_t span;
    sluice_repeat most; /* whose samples it repeats most, itself aside; count 0 = nobody's */
    double loss;        /* mean percentile */
    double stream_mean, stream_deviation; /* of influence toward the first reference */
} case_file;

static double confidence_of(double estimate, double limit, double error)
{
    return 0.5 * erfc(-(estimate - limit) / (fmax(error, 1e-9) * sqrt(2)));
}

/* Of a share, with one success and one failure added: no share of a few samples is certain. */
static double share_error(double share, double n)
{
    double p = (share * n + 1) / (n + 2);
    return sqrt(p * (1 - p) / (n + 2));
}

static const char *name_of(const sluice_portfolio *portfolio, uint32_t i_source, char *room,
                           size_t size)
{
    const sl_portfolio_entry *entry = &portfolio->entry[i_source];
    snprintf(room, size, "%.*s", (int)(entry->name_size < 60 ? entry->name_size : 60),
             (const char *)entry->name);
    return room;
}

static bool says_copies(const case_file *file, sluice_advice *out)
{
    char name[64];
    double share = (double)(file->row.duplicates - file->row.own) / file->n;
    out->kind = SLUICE_ADVICE_STOP;
    out->confidence = confidence_of(share, COPIES_LIMIT, share_error(share, file->n));
    snprintf(out->text, sizeof out->text,
             "%.0f %% of its %.0f samples repeat other sources, %.0f %% the source \"%s\"",
             100 * share, file->n, 100 * (double)file->most.count / file->n,
             name_of(file->portfolio, file->most.i_of, name, sizeof name));
    return share > COPIES_LIMIT;
}

static bool says_noise(const case_file *file, sluice_advice *out)
{
    double n = (double)file->row.scored;
    out->kind = SLUICE_ADVICE_INSPECT;
    out->confidence = n >= LEAST ? confidence_of(file->loss, NOISE_LIMIT, 0.2887 / sqrt(n)) : 0;
    snprintf(out->text, sizeof out->text,
             "it looks like noise: the views of its samples disagree more than those of %.0f %% of "
             "the stream (mean of %.0f samples)",
             100 * file->loss, n);
    return file->loss > NOISE_LIMIT;
}

/* --- change --- */

typedef struct change_signal {
    const char *words;
    double (*value)(const sluice_trend_point *point); /* mean of the point; NaN without */
    uint32_t (*count)(const sluice_trend_point *point);
} change_signal;

static uint32_t scored_of(const sluice_trend_point *point)
{
    return point->scored;
}

static uint32_t received_of(const sluice_trend_point *point)
{
    return point->received;
}

static double leverage_of(const sluice_trend_point *point)
{
    return (double)point->leverage;
}

static double self_of(const sluice_trend_point *point)
{
    return (double)point->self;
}

static double loss_of(const sluice_trend_point *point)
{
    return (double)point->loss;
}

static double duplicates_of(const sluice_trend_point *point)
{
    return point->received > 0 ? (double)point->duplicates / point->received : NAN;
}

/* Mean of means over points [from, to), its error from their scatter; n of samples. */
typedef struct level {
    double mean, error, n;
} level;

static level level_of(const case_file *file, const change_signal *signal, uint32_t from,
                      uint32_t to)
{
    double n = 0;
    double sum = 0;
    double squares = 0;
    uint32_t n_points = 0;
    for (uint32_t i = from; i < to; i++) {
        double value = signal->value(&file->points[i]);
        double weight = signal->count(&file->points[i]);
        if (weight > 0 && !isnan(value)) {
            n += weight;
            sum += weight * value;
            squares += weight * value * value;
            n_points++;
        }
    }
    if (n_points < CHANGE_POINTS) {
        return (level){.n = 0};
    }
    double mean = sum / n;
    double variance = fmax(squares / n - mean * mean, 1 / (12 * n / n_points));
    return (level){mean, sqrt(variance / (n_points - 1)), n};
}

/* The split of the source's points that makes the largest difference. */
static double find_change(const case_file *file, const change_signal *signal, uint32_t *split,
                          level *before, level *after)
{
    double largest = 0;
    for (uint32_t i = CHANGE_POINTS; i + CHANGE_POINTS <= file->n_points; i++) {
        level left = level_of(file, signal, 0, i);
        level right = level_of(file, signal, i, file->n_points);
        double difference = fabs(right.mean - left.mean);
        if (left.n >= LEAST && right.n >= LEAST && difference > largest) {
            largest = difference;
            *split = i;
            *before = left;
            *after = right;
        }
    }
    return largest;
}

static bool says_change(const case_file *file, sluice_advice *out)
{
    static const change_signal signals[] = {
        {"mean percentile of leverage", leverage_of, scored_of},
        {"mean percentile of influence on itself", self_of, scored_of},
        {"mean percentile of the loss", loss_of, scored_of},
        {"share of duplicates", duplicates_of, received_of},
    };
    double largest = CHANGE_LIMIT;
    out->kind = SLUICE_ADVICE_INSPECT;
    out->confidence = 0;
    for (size_t s = 0; s < sizeof signals / sizeof signals[0]; s++) {
        uint32_t split = 0;
        level before = {0};
        level after = {0};
        double difference = find_change(file, &signals[s], &split, &before, &after);
        if (difference > largest) {
            largest = difference;
            out->confidence =
                confidence_of(difference, CHANGE_LIMIT, hypot(before.error, after.error));
            snprintf(out->text, sizeof out->text,
                     "it changed about %.0f %% into the stream: its %s went from %.2f to %.2f",
                     100.0 * split / file->n_points, signals[s].words, before.mean, after.mean);
        }
    }
    return largest > CHANGE_LIMIT;
}

/* source_shift is a z-score already: of independent samples its mean would stay near 0 with a
 * deviation of at most 1. */
static bool says_shift(const case_file *file, sluice_advice *out)
{
    double largest = 0;
    uint32_t at = 0;
    for (uint32_t i = 0; i + 1 < file->n_points; i++) {
        const sluice_trend_point *a = &file->points[i];
        const sluice_trend_point *b = a + 1;
        double n = (double)a->scored + b->scored;
        double mean = (a->scored * (double)a->shift + b->scored * (double)b->shift) / n;
        if (a->scored > 0 && b->scored > 0 && mean > largest) {
            largest = mean;
            at = i;
        }
    }
    out->kind = SLUICE_ADVICE_INSPECT;
    out->confidence = file->row.scored >= LEAST ? confidence_of(largest, SHIFT_LIMIT, 1) : 0;
    snprintf(out->text, sizeof out->text,
             "its samples moved away from its own past about %.0f %% into the stream: source_shift "
             "%.1f standard deviations",
             100.0 * at / file->n_points, largest);
    return largest > SHIFT_LIMIT;
}

/* --- influence toward the first reference --- */

static double toward_error(const case_file *file)
{
    const sluice_toward *toward = &file->row.toward[0];
    return (toward->high - toward->mean) / 1.96 / file->stream_deviation;
}

static bool has_toward(const case_file *file)
{
    return file->row.toward[0].n >= LEAST && file->stream_deviation > 0;
}

static bool says_harm(const case_file *file, sluice_advice *out)
{
    if (!has_toward(file)) {
        return false;
    }
    const sluice_toward *toward = &file->row.toward[0];
    double effect = toward->mean / file->stream_deviation;
    out->kind = SLUICE_ADVICE_STOP;
    out->confidence = confidence_of(-effect, EFFECT_LIMIT, toward_error(file));
    snprintf(out->text, sizeof out->text,
             "its samples pull away from the reference \"%s\": mean influence %.3g (95 %% interval "
             "%.3g to %.3g), stream %.3g",
             file->portfolio->reference[0], toward->mean, toward->low, toward->high,
             file->stream_mean);
    return effect < -EFFECT_LIMIT;
}

static bool says_value(const case_file *file, sluice_advice *out)
{
    double duplicates = (double)file->row.duplicates / file->n;
    if (!has_toward(file) || duplicates > FRESH_LIMIT) {
        return false;
    }
    const sluice_toward *toward = &file->row.toward[0];
    double effect = (toward->mean - file->stream_mean) / file->stream_deviation;
    out->kind = SLUICE_ADVICE_COLLECT;
    out->confidence = confidence_of(effect, EFFECT_LIMIT, toward_error(file));
    snprintf(out->text, sizeof out->text,
             "its samples pull toward the reference \"%s\" more than others: mean influence %.3g "
             "(95 %% interval %.3g to %.3g), stream %.3g; %.0f %% repeat anything",
             file->portfolio->reference[0], toward->mean, toward->low, toward->high,
             file->stream_mean, 100 * duplicates);
    return effect > EFFECT_LIMIT && toward->mean > 0;
}

static bool says_labels(const case_file *file, sluice_advice *out)
{
    double n = (double)file->row.scored;
    double share = n >= LEAST ? (double)file->row.rare / n : 0;
    double duplicates = (double)file->row.duplicates / file->n;
    out->kind = SLUICE_ADVICE_LABEL;
    out->confidence = n >= LEAST ? confidence_of(share, RARE_LIMIT, share_error(share, n)) : 0;
    snprintf(out->text, sizeof out->text,
             "%.0f %% of its %.0f scored samples are unlike the rest of the stream, and %.0f %% "
             "repeat anything",
             100 * share, n, 100 * duplicates);
    return share > RARE_LIMIT && duplicates <= FRESH_LIMIT;
}

static bool says_thin(const case_file *file, sluice_advice *out)
{
    double share = (double)file->row.own / file->n;
    out->kind = SLUICE_ADVICE_THIN;
    out->confidence = confidence_of(share, OWN_LIMIT, share_error(share, file->n));
    snprintf(out->text, sizeof out->text,
             "%.0f %% of its %.0f samples repeat earlier samples of its own", 100 * share, file->n);
    return share > OWN_LIMIT;
}

/* --- all sources --- */

static void open_file(const sluice_portfolio *portfolio, uint32_t i_source,
                      const sluice_repeat *repeats, uint32_t n_repeats, case_file *file)
{
    file->i_source = i_source;
    file->row = sluice_portfolio_row(portfolio, i_source);
    file->n = (double)(file->row.kept + file->row.flagged + file->row.dropped);
    file->n_points = sluice_portfolio_trend(portfolio, i_source, file->points, &file->span);
    file->most = (sluice_repeat){i_source, SLUICE_OTHER_SOURCES, 0};
    for (uint32_t i = 0; i < n_repeats; i++) { /* the largest come first */
        if (repeats[i].i_source == i_source && repeats[i].i_of != i_source) {
            file->most = repeats[i];
            break;
        }
    }
    double n = 0;
    double loss = 0;
    for (uint32_t i = 0; i < file->n_points; i++) {
        if (file->points[i].scored > 0) {
            n += file->points[i].scored;
            loss += file->points[i].scored * (double)file->points[i].loss;
        }
    }
    file->loss = n > 0 ? loss / n : 0;
}

static void measure_stream(const sluice_portfolio *portfolio, case_file *file)
{
    double n = 0;
    double mean = 0;
    double squares = 0;
    for (uint32_t i = 0; i < portfolio->n_entries; i++) {
        const sl_portfolio_toward *toward = &portfolio->entry[i].toward[0];
        double of = (double)toward->n;
        if (toward->n > 0) {
            double step = toward->mean - mean;
            squares += toward->squares + step * step * n * of / (n + of);
            n += of;
            mean += step * of / n;
        }
    }
    file->stream_mean = mean;
    file->stream_deviation = n > 1 ? sqrt(squares / (n - 1)) : 0;
}

static bool advise_source(const case_file *file, sluice_advice *out)
{
    static bool (*const checks[])(const case_file *, sluice_advice *) = {
        says_copies, says_noise, says_shift,  says_change,
        says_harm,   says_value, says_labels, says_thin};
    if (file->n < LEAST) {
        return false;
    }
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        *out = (sluice_advice){.i_source = file->i_source};
        if (checks[i](file, out) && out->confidence >= SURE) {
            return true;
        }
    }
    return false;
}

static int compare_advice(const void *a, const void *b)
{
    const sluice_advice *x = a;
    const sluice_advice *y = b;
    if (x->confidence != y->confidence) {
        return x->confidence < y->confidence ? 1 : -1;
    }
    return x->i_source < y->i_source ? -1 : 1;
}

uint32_t sluice_portfolio_advise(const sluice_portfolio *portfolio,
                                 sluice_advice advice[SLUICE_LIMIT_ADVICE])
{
    static const uint32_t most = SL_REPEATS_CELLS + SL_PORTFOLIO_ENTRIES;
    sluice_repeat *repeats = calloc(most, sizeof *repeats);
    uint32_t n = 0;
    if (repeats == NULL) {
        return 0;
    }
    uint32_t n_repeats = sluice_portfolio_repeats(portfolio, repeats, most);
    case_file file = {.portfolio = portfolio};
    measure_stream(portfolio, &file);
    for (uint32_t i = 1; i < portfolio->n_entries && n < SLUICE_LIMIT_ADVICE; i++) {
        open_file(portfolio, i, repeats, n_repeats, &file);
        n += advise_source(&file, &advice[n]);
    }
    free(repeats);
    qsort(advice, n, sizeof *advice, compare_advice);
    return n;
}

const char *sluice_advice_word(sluice_advice_kind kind)
{
    static const char *const words[SLUICE_N_ADVICE_KINDS] = {"collect more", "label first",
                                                             "thin out", "stop buying", "inspect"};
    return (unsigned)kind < SLUICE_N_ADVICE_KINDS ? words[kind] : "unknown";
}
