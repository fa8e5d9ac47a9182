/* watch_observer_test.c - what the estimator notes is what is shown, whole, from another thread. */
#include "watch/observer.h"
#include "bytes.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static sl_observer *observer;
static sluice_engine *engine;

static int set_up(void **state)
{
    (void)state;
    sluice_config config;
    sluice_message why;
    sluice_config_default(&config);
    config.duplicate.exact_memory = config.duplicate.text_memory = 1 << 20;
    config.duplicate.image_memory = 1 << 20;
    return sluice_engine_open(&config, &engine, &why) == SLUICE_OK &&
                   sl_observer_open(&observer) == SLUICE_OK
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    (void)state;
    sluice_engine_close(&engine);
    sl_observer_close(&observer);
    return 0;
}

/* A judged message of samples that are all like the given one. */
static void note(const sluice_sample *sample, uint32_t n, uint64_t received)
{
    static sluice_sample samples[2000];
    sluice_batch batch = {.samples = samples, .n_samples = n};
    sl_job job = {.kind = SL_JOB_PUT, .batch = &batch, .i_producer = 3, .bytes = {NULL, 10}};
    for (uint32_t i = 0; i < n; i++) {
        samples[i] = *sample;
    }
    sl_observer_note(observer, &job, received);
}

static sluice_sample judged(sluice_decision decision, const char *reason)
{
    sluice_sample sample = {.verdict = {.decision = decision, .n_reasons = reason != NULL}};
    sample.verdict.reasons[0] = reason;
    return sample;
}

static void test_observer_counts_by_decision_and_reason(void **state)
{
    (void)state;
    sluice_sample kept = judged(SLUICE_KEEP, NULL), dropped = judged(SLUICE_DROP, "duplicate");
    sluice_sample refused = judged(SLUICE_REFUSE, "id_empty"), again = kept;
    dropped.match = (sluice_match){SLUICE_METHOD_TEXT, .similarity = 0.815f, .of_offset = 4};
    dropped.offset = 9;
    refused.id = sl_span_of("x");
    again.match.redelivered = true;
    note(&kept, 5, 5);
    note(&dropped, 2, 7);
    note(&refused, 3, 10);
    note(&again, 4, 14);
    sl_observer_publish(observer, engine);
    const sl_tallies *tallies = &sl_observer_latest(observer)->tallies;
    assert_int_equal(tallies->n_outcomes, 3);
    assert_int_equal(tallies->outcome[0].n, 5);
    assert_string_equal(tallies->outcome[1].reason, "duplicate");
    assert_int_equal(tallies->outcome[1].n, 2);
    assert_int_equal(tallies->outcome[2].n, 3);
    assert_int_equal(tallies->by_method[SLUICE_METHOD_TEXT], 2);
    assert_int_equal(tallies->similarity[SLUICE_METHOD_TEXT][40], 2);
    assert_int_equal(tallies->n_pairs, 2);
    assert_int_equal(tallies->pair[0].of_offset, 4);
    assert_int_equal(tallies->n_refused, 3);
    assert_string_equal(tallies->refused[2].id, "x");
    assert_int_equal(tallies->n_producers, 4);
    assert_int_equal(tallies->received[3], 14);
    assert_int_equal(tallies->bytes, 40);
}

static void test_observer_reasons_without_end_become_other(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++) {
        char reason[32];
        snprintf(reason, sizeof reason, "rule %d", i);
        sluice_sample flagged = judged(SLUICE_FLAG, reason), dropped = judged(SLUICE_DROP, reason);
        note(&flagged, 1, 1);
        note(&dropped, 1, 1);
    }
    sl_observer_publish(observer, engine);
    const sl_tallies *tallies = &sl_observer_latest(observer)->tallies;
    assert_true(tallies->n_outcomes <= SL_OUTCOMES_MAX);
    uint64_t sum = 0, n_other = 0;
    for (uint32_t i = 0; i < tallies->n_outcomes; i++) {
        sum += tallies->outcome[i].n;
        n_other += strcmp(tallies->outcome[i].reason, "(other)") == 0;
    }
    assert_int_equal(sum, 400);
    assert_int_equal(n_other, 2);
}

static void test_observer_is_asked_once_until_it_answers(void **state)
{
    (void)state;
    sl_job *job = sl_observer_ask(observer);
    assert_non_null(job);
    assert_int_equal(job->kind, SL_JOB_WATCH);
    assert_null(sl_observer_ask(observer));
    sl_observer_publish(observer, engine);
    assert_ptr_equal(sl_observer_ask(observer), job);
}

static atomic_bool ended;

static void *estimate(void *context)
{
    (void)context;
    sluice_sample kept = judged(SLUICE_KEEP, NULL);
    for (uint64_t i = 1; i <= 3000; i++) {
        note(&kept, 1, i);
        sl_observer_publish(observer, engine);
    }
    atomic_store(&ended, true);
    return NULL;
}

static void test_observer_shows_whole_snapshots_in_order(void **state)
{
    (void)state;
    pthread_t thread;
    atomic_store(&ended, false);
    assert_int_equal(pthread_create(&thread, NULL, estimate, NULL), 0);
    uint64_t last = 0;
    bool last_look = false;
    while (!last_look) {
        last_look = atomic_load(&ended);
        const sl_tallies *tallies = &sl_observer_latest(observer)->tallies;
        uint64_t n = tallies->n_outcomes > 0 ? tallies->outcome[0].n : 0;
        assert_true(n >= last);
        assert_int_equal(tallies->received[3], n);
        assert_int_equal(tallies->bytes, 10 * n);
        last = n;
    }
    pthread_join(thread, NULL);
    assert_int_equal(last, 3000);
}

int main(void)
{
#define WITH_ONE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_ONE(test_observer_counts_by_decision_and_reason),
        WITH_ONE(test_observer_reasons_without_end_become_other),
        WITH_ONE(test_observer_is_asked_once_until_it_answers),
        WITH_ONE(test_observer_shows_whole_snapshots_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
