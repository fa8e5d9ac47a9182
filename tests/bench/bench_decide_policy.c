/* bench_decide_policy.c - how many samples a second a policy judges, on one core.
 *
 *   bench_decide_policy [SAMPLES]       default: 1,000,000 a line
 *
 * CPU time of sl_decide_judge and sl_decide_apply over samples with scores and, one in ten, a
 * duplicate. The median of five runs. */
#include "decide/decide.h"
#include "bytes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define N_KINDS  1024
#define N_REPEAT 5

static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void make_samples(sluice_sample *sample)
{
    static const char *const names[] = {"catalogue"};
    static const uint8_t words[] = "shop.example/offers/0123456789";
    for (uint32_t i = 0; i < N_KINDS; i++) {
        float share = (float)((i * 7919u) % N_KINDS) / N_KINDS;
        sample[i] = (sluice_sample){.id = {words + i % 8, 16},
                                    .source = {words, 12 + i % 4},
                                    .payload = {words, 30},
                                    .arrived_us = 2000000 + i,
                                    .event_time_us = 1000000};
        sample[i].match.method = i % 10 == 0 ? SLUICE_METHOD_TEXT : SLUICE_METHOD_NONE;
        sample[i].match.similarity = 0.9F;
        sample[i].scores = (sluice_scores){.state = SLUICE_LIVE, .n_toward = 1};
        sample[i].scores.toward_name[0] = names[0];
        sample[i].scores.percentile.toward[0] = share;
        sample[i].scores.percentile.leverage = sample[i].scores.percentile.self = share;
    }
}

static int compare(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void measure(const char *name, const char *yaml, sluice_sample *sample, uint32_t n)
{
    static sluice_config_errors errors;
    sluice_config config;
    sl_decide *decide;
    sluice_message why;
    double seconds[N_REPEAT];
    uint32_t dropped = 0;
    sluice_config_default(&config);
    if (sluice_config_parse(&config, sl_span_of(yaml), &errors) != SLUICE_OK ||
        sl_decide_open(&config, &decide, &why) != SLUICE_OK) {
        fprintf(stderr, "bench_decide_policy: %s: %s\n", name, errors.error[0].text);
        exit(1);
    }
    for (uint32_t r = 0; r < N_REPEAT; r++) {
        double start = cpu_seconds();
        for (uint32_t i = 0; i < n; i++) {
            sluice_sample *one = &sample[i % N_KINDS];
            sl_facts facts = {one, NULL, false};
            sl_decide_judge(decide, &facts, &one->verdict);
            sl_decide_apply(decide, &facts);
            dropped += one->verdict.decision == SLUICE_DROP;
            if ((i + 1) % SLUICE_BLOCK_SAMPLES == 0) {
                sl_decide_freeze(decide);
            }
        }
        seconds[r] = cpu_seconds() - start;
    }
    qsort(seconds, N_REPEAT, sizeof *seconds, compare);
    printf(
        "bench_decide_policy/%-14s n=%u  %.2f M/s  median %.0f ns a sample  dropped %.2f  (%s)\n",
        name, n, n / seconds[N_REPEAT / 2] * 1e-6, seconds[N_REPEAT / 2] / n * 1e9,
        (double)dropped / N_REPEAT / n, __VERSION__);
    sl_decide_close(&decide);
}

int main(int argc, char **argv)
{
    static sluice_sample sample[N_KINDS];
    uint32_t n = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1000000;
    make_samples(sample);
    measure("default",
            "policy:\n  - {when: duplicate, do: drop, reason: duplicate}\n"
            "  - {when: percentile.leverage >= 0.99, do: flag, reason: rare}\n",
            sample, n);
    measure(
        "three_rules",
        "policy:\n  - {when: duplicate, do: drop, reason: duplicate}\n"
        "  - {when: percentile.leverage >= 0.99, do: flag, reason: rare}\n"
        "  - {when: percentile.self < 0.1 and percentile.leverage < 0.5, do: drop, reason: dull}\n",
        sample, n);
    measure(
        "three_texts",
        "policy:\n  - {when: 'duplicate and duplicate.method == \"text\"', do: drop, reason: "
        "duplicate}\n"
        "  - {when: 'starts(sample.source, \"shop.\") and sample.bytes < 20', do: flag, reason: "
        "short}\n"
        "  - {when: 'sample.source == \"shop.example/\"', do: drop, reason: bought}\n",
        sample, n);
    measure("budget",
            "influence: {references: [{name: catalogue, source: c, samples: 9}]}\n"
            "budget: {keep_fraction: 0.5, by: percentile.toward.catalogue}\n",
            sample, n);
    return 0;
}
