/* command_made_samples_test.c - made-up samples: the same every time, accepted, none like another.
 */
#include "command/made_samples.h"
#include "bytes.h"
#include "sluice/config.h"
#include "sluice/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define N 24

static sl_made *open_made(void)
{
    sl_made *made = NULL;
    assert_int_equal(sl_made_open(&made), SLUICE_OK);
    return made;
}

static void test_made_batch_twice_has_the_same_bytes(void **state)
{
    (void)state;
    sl_made *a = open_made(), *b = open_made();
    for (int kind = 0; kind < SL_N_MADE_KINDS; kind++) {
        sluice_span first, again;
        assert_int_equal(sl_made_batch(b, (sl_made_kind)kind, 7, 1, &again), SLUICE_OK);
        assert_int_equal(sl_made_batch(a, (sl_made_kind)kind, 1000, N, &first), SLUICE_OK);
        assert_int_equal(sl_made_batch(b, (sl_made_kind)kind, 1000, N, &again), SLUICE_OK);
        assert_true(sl_span_equal(first, again));
    }
    sl_made_close(&a);
    sl_made_close(&b);
}

static void test_made_samples_have_what_their_kind_says_and_are_kept(void **state)
{
    (void)state;
    static sluice_config config;
    static const uint8_t has[SL_N_MADE_KINDS] = {SLUICE_HAS_SKETCH, SLUICE_HAS_IMAGE,
                                                 SLUICE_HAS_EMBEDDING, SLUICE_HAS_EMBEDDING};
    sl_made *made = open_made();
    sluice_batch *batch = NULL;
    sluice_message why;
    sluice_config_default(&config);
    assert_int_equal(sluice_batch_open(&batch), SLUICE_OK);
    for (int kind = 0; kind < SL_N_MADE_KINDS; kind++) {
        sluice_engine *engine = NULL;
        sluice_span wire;
        assert_int_equal(sluice_engine_open(&config, &engine, &why), SLUICE_OK);
        assert_int_equal(sl_made_batch(made, (sl_made_kind)kind, 0, N, &wire), SLUICE_OK);
        assert_int_equal(sluice_batch_decode(batch, wire, &why), SLUICE_OK);
        assert_int_equal(sluice_batch_features(batch, &config), SLUICE_OK);
        sluice_engine_run(engine, batch);
        assert_int_equal(batch->n_samples, N);
        for (uint32_t i = 0; i < N; i++) {
            const sluice_sample *sample = &batch->samples[i];
            assert_int_equal(sample->verdict.decision, SLUICE_KEEP);
            assert_true((sample->features.has & has[kind]) == has[kind]);
            assert_int_equal(sample->views.n_views, kind < 2 ? 0 : kind - 1);
        }
        sluice_engine_close(&engine);
    }
    sluice_batch_close(&batch);
    sl_made_close(&made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_made_batch_twice_has_the_same_bytes),
        cmocka_unit_test(test_made_samples_have_what_their_kind_says_and_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
