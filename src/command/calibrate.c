/* calibrate.c - sluice check --calibrate: which cosine means "duplicate" for one encoder.
 *
 *   views.npy + ids --> unit rows (less their mean)      cosine of a pair --> bin of .001
 *   pairs.tsv       --> label of a pair: 1 yes, 0 no       yes[bin], no[bin] --> precision, recall
 *
 * Which pairs count: those with a label; where none is labelled 0, or ids have groups, every pair
 * of the ids: what is not said to be a duplicate is none.
 * Why F1 proposes: it needs no other number from the user. Beside it stands the lowest threshold of
 * precision .99, for those to whom a wrong drop costs more than a missed one.
 * Why the mean: vectors of some encoders (E5, BGE) all lie in one cone; without what they have in
 * common the cosine tells them apart as well or better, and sign bits do so much sooner.
 * Why bins of .001: no labelled file is so large that a finer threshold means anything. */
#include "command/calibrate.h"

#include "command/command.h"
#include "command/views.h"
#include "decode/tensor.h"
#include "bytes.h"

#include <jansson.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define N_BINS         1001 /* cosines of 0 and below, then up to 1 */
#define LEAST_BIN      500  /* the configuration takes thresholds of .5 to 1 */
#define FEW_DUPLICATES 50
#define RANDOM_PAIRS   50000
#define CONE           0.3 /* median cosine of random pairs from which on the mean is worth a word */
#define PRECISE        0.99

typedef enum pair_label { LABEL_NO, LABEL_YES, LABEL_NEITHER } pair_label;

typedef struct named_row {
    const char *id;
    const char *group; /* NULL: none */
    uint32_t row;
} named_row;

typedef struct calibration {
    const sl_calibrate_options *options;
    uint32_t n, dim;
    float *rows;      /* [n][dim], unit */
    named_row *names; /* [n], by id */
    sluice_bytes ids, pairs;
    uint64_t yes[N_BINS], no[N_BINS], random[N_BINS]; /* random: of two rows, whatever they are */
    uint64_t n_unknown;                               /* lines with an id that has no vector */
    bool has_groups, has_pairs, has_no;
} calibration;

static int fail(const char *path, const char *what)
{
    fprintf(stderr, "sluice check: %s: %s\n", path, what);
    return SL_EXIT_FAILED;
}

/* ---- what is read ---------------------------------------------------------------------------- */

static bool read_text(const char *path, sluice_bytes *text)
{
    FILE *file = fopen(path, "rb");
    char block[4096];
    bool good = file != NULL;
    for (size_t size = 1; good && size > 0;) {
        size = fread(block, 1, sizeof block, file);
        good = sl_bytes_append(text, block, size) == SLUICE_OK;
    }
    good = good && !ferror(file) && sl_bytes_put_u8(text, 0) == SLUICE_OK;
    if (file != NULL) {
        fclose(file);
    }
    return good;
}

/* Cuts the next line off, and a carriage return; NULL at the end. */
static char *next_line(char **rest)
{
    char *line = *rest;
    if (*line == '\0') {
        return NULL;
    }
    size_t size = strcspn(line, "\n");
    *rest = line + size + (line[size] == '\n');
    line[size] = '\0';
    if (size > 0 && line[size - 1] == '\r') {
        line[size - 1] = '\0';
    }
    return line;
}

/* Cuts the next field off; NULL if there is none. */
static char *next_field(char **rest)
{
    char *field = *rest;
    if (field == NULL) {
        return NULL;
    }
    size_t size = strcspn(field, "\t");
    *rest = field[size] == '\t' ? field + size + 1 : NULL;
    field[size] = '\0';
    return field;
}

static float number_at(const sl_npy *npy, uint64_t i)
{
    uint16_t half;
    float number;
    if (npy->item_bytes == 2) {
        memcpy(&half, npy->data.data + 2 * i, sizeof half);
        return sl_half_to_float(half);
    }
    memcpy(&number, npy->data.data + 4 * i, sizeof number);
    return number;
}

/* Makes a row a unit one; of zero or NaN nothing but zeros. */
static void make_unit(float *row, uint32_t dim)
{
    double square = 0;
    for (uint32_t k = 0; k < dim; k++) {
        square += (double)row[k] * (double)row[k];
    }
    double by = square > 0 && isfinite(square) ? 1 / sqrt(square) : 0;
    for (uint32_t k = 0; k < dim; k++) {
        row[k] = by > 0 ? (float)((double)row[k] * by) : 0;
    }
}

/* The first view of each as a unit row. */
static int read_views(calibration *work)
{
    sl_views_file views;
    sluice_message why;
    if (sl_views_open(work->options->views, &views, &why) != SLUICE_OK) {
        return fail(work->options->views, why.text);
    }
    work->dim = views.dim;
    work->n = (uint32_t)(views.n < UINT32_MAX ? views.n : UINT32_MAX);
    work->rows = calloc((size_t)work->n * work->dim + 1, sizeof *work->rows);
    work->names = calloc((size_t)work->n + 1, sizeof *work->names);
    bool good = work->rows != NULL && work->names != NULL;
    for (uint32_t i = 0; good && i < work->n; i++) {
        float *row = work->rows + (size_t)i * work->dim;
        uint64_t from = (uint64_t)i * views.n_views * views.dim;
        for (uint32_t k = 0; k < work->dim; k++) {
            row[k] = number_at(&views.npy, from + k);
        }
        make_unit(row, work->dim);
    }
    sl_views_close(&views);
    return good ? SL_EXIT_OK : fail(work->options->views, "no memory");
}

static bool write_array(const char *path, const float *row, uint32_t dim)
{
    char header[128];
    const size_t size = sizeof header - 10;
    memcpy(header, "\x93NUMPY\x01\x00\x76\x00", 10); /* version 1, 0x76 bytes follow */
    int used = snprintf(header + 10, size,
                        "{'descr': '<f4', 'fortran_order': False, 'shape': (%u,), }", dim);
    memset(header + 10 + used, ' ', size - (size_t)used);
    header[sizeof header - 1] = '\n';
    FILE *file = fopen(path, "wb");
    bool good = file != NULL && fwrite(header, sizeof header, 1, file) == 1 &&
                fwrite(row, sizeof *row, dim, file) == dim;
    return (file == NULL || fclose(file) == 0) && good;
}

/* Takes the mean of the rows off them, and writes it down. */
static int take_mean(calibration *work)
{
    const char *path = work->options->mean;
    double *sum = calloc(work->dim, sizeof *sum);
    float *mean = calloc(work->dim, sizeof *mean);
    bool good = sum != NULL && mean != NULL;
    for (size_t i = 0; good && i < (size_t)work->n * work->dim; i++) {
        sum[i % work->dim] += (double)work->rows[i];
    }
    for (uint32_t k = 0; good && k < work->dim; k++) {
        mean[k] = (float)(sum[k] / work->n);
    }
    for (uint32_t i = 0; good && i < work->n; i++) {
        float *row = work->rows + (size_t)i * work->dim;
        for (uint32_t k = 0; k < work->dim; k++) {
            row[k] -= mean[k];
        }
        make_unit(row, work->dim);
    }
    good = good && write_array(path, mean, work->dim);
    free(sum);
    free(mean);
    return good ? SL_EXIT_OK : fail(path, "cannot be written");
}

static int by_id(const void *a, const void *b)
{
    return strcmp(((const named_row *)a)->id, ((const named_row *)b)->id);
}

static int read_ids(calibration *work)
{
    const char *path = work->options->ids;
    char number[16];
    if (path != NULL && !read_text(path, &work->ids)) {
        return fail(path, "cannot be read");
    }
    for (uint32_t i = 0; path == NULL && i < work->n; i++) {
        int size = snprintf(number, sizeof number, "%u\n", i);
        if (sl_bytes_append(&work->ids, number, (size_t)size) != SLUICE_OK) {
            return fail("--ids", "no memory");
        }
    }
    if (path == NULL && sl_bytes_put_u8(&work->ids, 0) != SLUICE_OK) {
        return fail("--ids", "no memory");
    }
    char *rest = (char *)work->ids.data, *line;
    uint32_t n = 0;
    for (; (line = next_line(&rest)) != NULL; n++) {
        if (n < work->n) {
            work->names[n] = (named_row){.id = line, .row = n};
        }
    }
    if (n != work->n) {
        return fail(path, "has not as many lines as the views have rows");
    }
    qsort(work->names, work->n, sizeof *work->names, by_id);
    return SL_EXIT_OK;
}

static named_row *find_name(const calibration *work, const char *id)
{
    named_row wanted = {.id = id};
    return bsearch(&wanted, work->names, work->n, sizeof wanted, by_id);
}

/* ---- pairs ----------------------------------------------------------------------------------- */

static uint32_t bin_of(const calibration *work, uint32_t a, uint32_t b)
{
    const float *x = work->rows + (size_t)a * work->dim, *y = work->rows + (size_t)b * work->dim;
    float part[8] = {0}, cosine = 0;
    uint32_t k = 0;
    for (; k + 8 <= work->dim; k += 8) {
        for (uint32_t i = 0; i < 8; i++) {
            part[i] += x[k + i] * y[k + i];
        }
    }
    for (; k < work->dim; k++) {
        cosine += x[k] * y[k];
    }
    for (uint32_t i = 0; i < 8; i++) {
        cosine += part[i];
    }
    double bin = (double)cosine * (N_BINS - 1) + 1e-3; /* identical vectors are 1, not .9999999 */
    return bin <= 0 ? 0 : bin >= N_BINS - 1 ? N_BINS - 1 : (uint32_t)bin;
}

static bool is_one_of(const char *word, const char *const *words)
{
    for (; *words != NULL && strcasecmp(word, *words) != 0; words++) {
    }
    return *words != NULL;
}

static pair_label label_of(const char *word)
{
    static const char *const yes[] = {"1", "yes", "true", "duplicate", NULL};
    static const char *const no[] = {"0", "no", "false", "different", NULL};
    return is_one_of(word, yes) ? LABEL_YES : is_one_of(word, no) ? LABEL_NO : LABEL_NEITHER;
}

/* One line: of a pair, of a group, or of ids without a vector (a heading, for one). */
static void take_line(calibration *work, char *line, int64_t *every)
{
    char *id = next_field(&line), *second = next_field(&line), *third = next_field(&line);
    named_row *a = find_name(work, id);
    if (third != NULL && a != NULL && !work->has_pairs && label_of(third) == LABEL_NEITHER &&
        find_name(work, second) == NULL) {
        third = NULL; /* a note behind a group */
    }
    if (second == NULL) {
        work->n_unknown += *id != '\0';
    } else if (third == NULL) {
        work->n_unknown += a == NULL;
        if (a != NULL) {
            a->group = second;
            work->has_groups = true;
        }
    } else {
        named_row *b = find_name(work, second);
        if (a == NULL || b == NULL || a == b) {
            work->n_unknown++;
            return;
        }
        pair_label label = label_of(third);
        uint32_t bin = bin_of(work, a->row, b->row);
        work->yes[bin] += label == LABEL_YES;
        work->no[bin] += label == LABEL_NO;
        work->has_no = work->has_no || label == LABEL_NO;
        work->has_pairs = true;
        every[bin]--; /* if all pairs are counted, this one is not a 0 */
    }
}

/* Every pair: of one group, or not; without groups not, and labelled ones are taken off. */
static void take_all_pairs(calibration *work, const int64_t *every)
{
    for (uint32_t i = 0; i < work->n; i++) {
        for (uint32_t k = 0; k < i; k++) {
            const named_row *a = &work->names[i], *b = &work->names[k];
            if (work->has_groups && (a->group == NULL || b->group == NULL)) {
                continue;
            }
            uint32_t bin = bin_of(work, a->row, b->row);
            bool same = work->has_groups && strcmp(a->group, b->group) == 0;
            work->yes[bin] += same;
            work->no[bin] += !same;
        }
    }
    for (uint32_t bin = 0; bin < N_BINS; bin++) {
        work->no[bin] += (uint64_t)every[bin]; /* below zero: taken off */
    }
}

static int read_pairs(calibration *work)
{
    const char *path = work->options->pairs;
    int64_t every[N_BINS] = {0};
    if (!read_text(path, &work->pairs)) {
        return fail(path, "cannot be read");
    }
    char *rest = (char *)work->pairs.data, *line;
    while ((line = next_line(&rest)) != NULL) {
        take_line(work, line, every);
    }
    if (work->has_groups && work->has_pairs) {
        return fail(path, "has lines of groups and lines of pairs");
    }
    if (!work->has_no) {
        if (work->n > SL_CALIBRATE_ROWS) {
            return fail(path, "labels no pair 0, and of more than 20,000 vectors not every pair "
                              "can be compared");
        }
        take_all_pairs(work, every);
    }
    return SL_EXIT_OK;
}

/* Of rows drawn at random, the same ones each time. */
static void take_random_pairs(calibration *work)
{
    uint64_t state = 1;
    for (uint32_t i = 0; i < RANDOM_PAIRS; i++) {
        uint32_t row[2];
        for (uint32_t k = 0; k < 2; k++) {
            state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            row[k] = (uint32_t)((state >> 32) * work->n >> 32);
        }
        if (row[0] != row[1]) {
            work->random[bin_of(work, row[0], row[1])]++;
        }
    }
}

/* Cosine that such a share of random pairs does not exceed. */
static double random_cosine(const calibration *work, double share)
{
    uint64_t n = 0, within = 0;
    for (uint32_t bin = 0; bin < N_BINS; bin++) {
        n += work->random[bin];
    }
    uint32_t bin = 0;
    while (bin < N_BINS - 1 && (double)(within += work->random[bin]) < share * (double)n) {
        bin++;
    }
    return bin * 1e-3;
}

/* ---- what is said ---------------------------------------------------------------------------- */

typedef struct trade_off {
    double threshold, precision, recall, f1;
    uint64_t found, wrong;
} trade_off;

/* Of all thresholds, by bin. */
static uint64_t make_points(const calibration *work, trade_off *points)
{
    uint64_t n_yes = 0, found = 0, wrong = 0;
    for (uint32_t bin = 0; bin < N_BINS; bin++) {
        n_yes += work->yes[bin];
    }
    for (uint32_t bin = N_BINS; bin-- > 0;) {
        found += work->yes[bin];
        wrong += work->no[bin];
        double precision = found + wrong > 0 ? (double)found / (double)(found + wrong) : 1;
        double recall = n_yes > 0 ? (double)found / (double)n_yes : 0;
        double f1 = found > 0 ? 2 * precision * recall / (precision + recall) : 0;
        points[bin] = (trade_off){bin * 1e-3, precision, recall, f1, found, wrong};
    }
    return n_yes;
}

/* The highest F1, of equal ones the highest threshold. */
static uint32_t best_of(const trade_off *points)
{
    uint32_t best = N_BINS - 1;
    for (uint32_t bin = N_BINS - 1; bin >= LEAST_BIN; bin--) {
        best = points[bin].f1 > points[best].f1 ? bin : best;
    }
    return best;
}

/* The lowest threshold from which on the precision stays at least PRECISE; NULL if there is none,
 * or none that finds anything. */
static const trade_off *precise_of(const trade_off *points)
{
    uint32_t bin = N_BINS;
    while (bin > LEAST_BIN && points[bin - 1].precision >= PRECISE) {
        bin--;
    }
    return bin < N_BINS && points[bin].found > 0 ? &points[bin] : NULL;
}

static json_t *point_json(const trade_off *point)
{
    if (point == NULL) {
        return json_null();
    }
    return json_pack("{s:f, s:f, s:f, s:f, s:I, s:I}", "threshold", point->threshold, "precision",
                     point->precision, "recall", point->recall, "f1", point->f1, "found",
                     (json_int_t)point->found, "wrong", (json_int_t)point->wrong);
}

static void print_json(const calibration *work, const trade_off *points, uint64_t n_yes)
{
    json_t *table = json_array();
    for (uint32_t bin = LEAST_BIN; bin < N_BINS; bin += 10) {
        json_array_append_new(table, point_json(&points[bin]));
    }
    uint32_t now = (uint32_t)(work->options->now * (N_BINS - 1) + 0.5);
    json_t *object = json_pack(
        "{s:I, s:I, s:I, s:f, s:f, s:o, s:o, s:o, s:o}", "vectors", (json_int_t)work->n,
        "duplicates", (json_int_t)n_yes, "unknown_lines", (json_int_t)work->n_unknown,
        "random_cosine", random_cosine(work, 0.5), "random_cosine_999", random_cosine(work, 0.999),
        "thresholds", table, "proposed", point_json(&points[best_of(points)]), "precise",
        point_json(precise_of(points)), "configured", point_json(&points[now]));
    json_dumpf(object, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(object);
}

static void print_point(const trade_off *point, const char *mark)
{
    printf("  %9.3f   %9.4f   %6.4f   %6.4f   %10llu   %10llu%s\n", point->threshold,
           point->precision, point->recall, point->f1, (unsigned long long)point->found,
           (unsigned long long)point->wrong, mark);
}

static void print_random(const calibration *work)
{
    double median = random_cosine(work, 0.5);
    bool has_mean = work->options->mean != NULL;
    printf("Cosine of two at random: median %.3f, of one pair in 1,000 above %.3f.\n", median,
           random_cosine(work, 0.999));
    if (has_mean) {
        printf("All this is of unit vectors less their mean, which is in %s now: send those.\n",
               work->options->mean);
    } else if (median >= CONE) {
        printf("They all resemble each other. Less their mean (--mean FILE) they are told apart as "
               "well or\nbetter, and several times faster.\n");
    }
}

static void print_table(const calibration *work, const trade_off *points, uint64_t n_yes)
{
    uint32_t best = best_of(points);
    const trade_off *precise = precise_of(points);
    uint32_t now = (uint32_t)(work->options->now * (N_BINS - 1) + 0.5);
    printf("%u vectors of %u numbers, %llu pairs of duplicates", work->n, work->dim,
           (unsigned long long)n_yes);
    printf(work->has_no ? " and those labelled 0.\n" : "; every other pair counts as none.\n");
    print_random(work);
    printf("  threshold   precision   recall       F1        right        wrong\n");
    for (uint32_t bin = LEAST_BIN; bin < N_BINS; bin++) {
        const trade_off *point = &points[bin];
        if (bin % 20 == 0 || bin == best || point == precise || bin == now) {
            const char *mark = bin == best        ? "   <- highest F1: proposed"
                               : point == precise ? "   <- lowest of precision .99"
                               : bin == now       ? "   <- configured"
                                                  : "";
            print_point(point, mark);
        }
    }
    printf("Proposed (highest F1): --set duplicate.embedding.threshold=%.3f\n",
           points[best].threshold);
    if (precise != NULL) {
        printf("Where a wrong drop costs more than a missed one: %.3f (precision %.2f).\n",
               precise->threshold, precise->precision);
    } else {
        printf("warning: no threshold reaches precision %.2f: whatever it is, it drops samples "
               "that are no duplicates.\n",
               PRECISE);
    }
    printf("It holds for this encoder and this preprocessing only.\n");
    if (n_yes < FEW_DUPLICATES) {
        printf("warning: %llu pairs of duplicates are few; 200 and more say something.\n",
               (unsigned long long)n_yes);
    }
    if (work->n_unknown > 1) { /* one may be a heading */
        printf("warning: %llu lines name an id that has no vector, or are no pair.\n",
               (unsigned long long)work->n_unknown);
    }
}

static int run(calibration *work)
{
    trade_off points[N_BINS];
    int exit_code = read_views(work);
    if (exit_code == SL_EXIT_OK && work->options->mean != NULL) {
        exit_code = take_mean(work);
    }
    exit_code = exit_code == SL_EXIT_OK ? read_ids(work) : exit_code;
    exit_code = exit_code == SL_EXIT_OK ? read_pairs(work) : exit_code;
    if (exit_code != SL_EXIT_OK) {
        return exit_code;
    }
    take_random_pairs(work);
    uint64_t n_yes = make_points(work, points);
    if (n_yes == 0) {
        return fail(work->options->pairs, "no pair of two vectors is labelled 1");
    }
    if (work->options->json) {
        print_json(work, points, n_yes);
    } else {
        print_table(work, points, n_yes);
    }
    return SL_EXIT_OK;
}

int sl_calibrate(const sl_calibrate_options *options)
{
    calibration *work = calloc(1, sizeof *work);
    if (work == NULL) {
        return fail(options->pairs, "no memory");
    }
    work->options = options;
    int exit_code = run(work);
    sl_bytes_fini(&work->ids);
    sl_bytes_fini(&work->pairs);
    free(work->rows);
    free(work->names);
    free(work);
    return exit_code;
}
