/* influence_words.c - what the influence scores of one record mean, in words.
 *
 *   number --> number, its place among recent samples, what it says, what it does not say
 *
 * Why the caveats are here and not only in the docs: who reads one number of one sample is about to
 * decide something by it. */
#include "command/influence_words.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static double number_of(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

/* ", higher than 97 % of recent samples" */
static void print_place(double percentile)
{
    if (isnan(percentile)) {
        printf(", nothing to compare with yet\n");
    } else {
        const double share = 100 * fmax(percentile, 1 - percentile);
        printf(", %s than %.3g %% of recent samples\n", percentile < 0.5 ? "lower" : "higher",
               fmin(share, 99.9)); /* a histogram of recent ones does not know "all" */
    }
}

static void print_note(const char *text)
{
    printf("              %s\n", text);
}

static void print_loss(double loss, double percentile)
{
    printf("  loss        %.3g", loss);
    print_place(percentile);
    print_note(loss < 0.02 ? "its views nearly agree"
               : loss < 0.2
                   ? "its views differ somewhat"
                   : "its views differ much: a hard sample, or augmentations that change it");
}

static void print_self(double self, double percentile, double leverage)
{
    printf("  self        %.3g", self);
    print_place(percentile);
    print_note("how far the block gives way to this one sample");
    if (percentile >= 0.9) {
        print_note("high is hard, rare or badly augmented: by itself no reason to drop it");
        if (leverage < 2) {
            print_note("it does not lie apart, so it is rather its augmentations than its kind");
        }
    }
}

static void print_leverage(double leverage, double percentile)
{
    printf("  leverage    %.3g times the average", leverage);
    print_place(percentile);
    print_note(leverage >= 4
                   ? "far from what the stream has shown: isolated, or of a foreign domain"
               : leverage >= 2 ? "somewhat apart from what the stream has shown"
                               : "as ordinary as the stream itself");
}

static void print_source_shift(double shift)
{
    if (isnan(shift)) {
        return;
    }
    printf("  source      shift %.2g: its source is %s\n", shift,
           shift >= 4   ? "not what it was, or new and of its own kind"
           : shift >= 2 ? "drifting a little"
                        : "as it was");
}

static const sluice_reference *reference_of(const sluice_config *config, const char *name)
{
    for (uint32_t r = 0; config != NULL && r < config->influence.n_references; r++) {
        if (strcmp(config->influence.reference[r].name, name) == 0) {
            return &config->influence.reference[r];
        }
    }
    return NULL;
}

static void print_reference(const sluice_config *config, const char *name)
{
    const sluice_reference *set = reference_of(config, name);
    if (set != NULL && set->path[0] == '\0') {
        printf("              '%s' is the first %u samples of source '%s'\n", name, set->samples,
               set->source);
    } else if (set != NULL) {
        printf("              '%s' is the samples of %s\n", name, set->path);
    } else if (config != NULL) {
        printf("              '%s' was added while the filter ran (sluice reference ls)\n", name);
    }
}

static void print_toward(const json_t *influence, const sluice_config *config)
{
    const json_t *percentiles = json_object_get(json_object_get(influence, "percentile"), "toward");
    const char *name;
    json_t *value;
    json_object_foreach(json_object_get(influence, "toward"), name, value)
    {
        if (!json_is_number(value)) {
            printf("  toward      %s: no value yet, the set was not complete or not yet used\n",
                   name);
            continue;
        }
        const double toward = json_number_value(value);
        printf("  toward      %s %+.3g", name, toward);
        print_place(number_of(percentiles, name));
        print_note(toward > 0
                       ? "a proponent: without it the loss of the reference set would be higher"
                       : "an opponent: without it the loss of the reference set would be lower");
        print_reference(config, name);
    }
}

static void print_reliability(double reliability)
{
    if (isnan(reliability)) {
        printf(
            "  reliable    unknown: with two views nobody can tell a sample from the luck of one\n"
            "              augmentation; an anchor and two augmentations or more would say\n");
        return;
    }
    printf("  reliable    %.2f: %s\n", reliability,
           reliability >= 0.8   ? "another draw of augmentations would rank samples much the same"
           : reliability >= 0.5 ? "another draw of augmentations would rank samples roughly alike"
                                : "mostly the luck of these augmentations");
    if (reliability < 0.8) {
        print_note("what limits it is the number of augmentations: more of them raise it");
    }
}

void sl_influence_words_print(const json_t *influence, const sluice_config *config)
{
    if (!json_is_object(influence)) {
        printf("  influence   none: it came without two views, or influence is off\n");
        return;
    }
    const json_t *percentile = json_object_get(influence, "percentile");
    const char *state = json_string_value(json_object_get(influence, "state"));
    state = state != NULL ? state : "";
    const bool warming = strcmp(state, "warming") == 0;
    printf("  influence   %s: %s\n", state,
           warming ? "too little of this encoder was known, so only its loss"
           : strcmp(state, "stale") == 0
               ? "the stream had moved and a new basis was on its way: "
                 "read these with care"
               : "on one linear block over the embeddings that were sent");
    const double leverage = number_of(influence, "leverage");
    print_loss(number_of(influence, "loss"), number_of(percentile, "loss"));
    if (warming) {
        return;
    }
    if (!isnan(number_of(influence, "self"))) {
        print_self(number_of(influence, "self"), number_of(percentile, "self"), leverage);
        print_leverage(leverage, number_of(percentile, "leverage"));
    }
    print_toward(influence, config);
    print_source_shift(number_of(influence, "source_shift"));
    print_reliability(number_of(influence, "reliability"));
}
