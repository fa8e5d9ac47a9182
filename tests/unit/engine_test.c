/* engine_test.c - the table of cases of design 6, a test a row; order, restart, forgetting. */
#include "bytes.h"
#include "sluice/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define TEXT_A                                                                                     \
    "the heron stood in the shallow water and waited for the tide to bring the small fish in"
#define TEXT_A_EDITED                                                                              \
    "the heron stood in the shallow water and waited for the tide to bring the little fish in"
#define TEXT_B                                                                                     \
    "copper prices rose sharply on the exchange after a strike closed two mines in the north"

typedef struct fixture {
    sluice_config config;
    sluice_engine *engine;
    sluice_batch *batch;
    sluice_bytes bytes;
    sluice_bytes rows; /* u32 size, row; of every sample run */
} fixture;

static int open_fixture(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    sluice_config_default(&f->config);
    f->config.duplicate.exact_memory = 1 << 20;
    f->config.duplicate.text_memory = 1 << 20;
    f->config.duplicate.text_profile = SLUICE_PROFILE_PROSE;
    *state = f;
    return sluice_engine_open(&f->config, &f->engine, NULL) == SLUICE_OK &&
                   sluice_batch_open(&f->batch) == SLUICE_OK
               ? 0
               : -1;
}

static int close_fixture(void **state)
{
    fixture *f = *state;
    sluice_engine_close(&f->engine);
    sluice_batch_close(&f->batch);
    sl_bytes_fini(&f->bytes);
    sl_bytes_fini(&f->rows);
    free(f);
    return 0;
}

static void reopen(fixture *f)
{
    sluice_engine_close(&f->engine);
    assert_int_equal(sluice_engine_open(&f->config, &f->engine, NULL), SLUICE_OK);
}

static void put_field(sluice_bytes *bytes, unsigned number, const char *text)
{
    assert_int_equal(sl_bytes_put_varint(bytes, number << 3 | 2), SLUICE_OK);
    assert_int_equal(sl_bytes_put_varint(bytes, strlen(text)), SLUICE_OK);
    assert_int_equal(sl_bytes_append(bytes, text, strlen(text)), SLUICE_OK);
}

static void add_sample(fixture *f, const char *id, const char *text)
{
    sluice_bytes inner = {0};
    put_field(&inner, 1, id);
    put_field(&inner, 2, "src");
    put_field(&inner, 4, text);
    assert_int_equal(sl_bytes_put_varint(&f->bytes, 0x0a), SLUICE_OK);
    assert_int_equal(sl_bytes_put_varint(&f->bytes, inner.size), SLUICE_OK);
    assert_int_equal(sl_bytes_append(&f->bytes, inner.data, inner.size), SLUICE_OK);
    sl_bytes_fini(&inner);
}

static void assert_valid(const fixture *f)
{
    const char *reason = "";
    if (!sluice_engine_validate(f->engine, &reason)) {
        fail_msg("%s", reason);
    }
}

/* Runs what was added, as arrived at `arrived_us` from producer `i_producer`. */
static sluice_sample *run(fixture *f, int64_t arrived_us, uint32_t i_producer)
{
    sluice_message why = {""};
    if (sluice_batch_decode(f->batch, (sluice_span){f->bytes.data, f->bytes.size}, &why) !=
        SLUICE_OK) {
        fail_msg("%s", why.text);
    }
    assert_int_equal(sluice_batch_features(f->batch, &f->config), SLUICE_OK);
    for (uint32_t i = 0; i < f->batch->n_samples; i++) {
        f->batch->samples[i].arrived_us = arrived_us;
        f->batch->samples[i].i_producer = i_producer;
    }
    sluice_engine_run(f->engine, f->batch);
    assert_valid(f);
    sluice_row_mark mark = sluice_engine_row_mark(f->engine);
    for (uint32_t i = 0; i < f->batch->n_samples; i++) {
        sluice_bytes row = {0};
        const sluice_sample *sample = &f->batch->samples[i];
        if (sample->offset != UINT64_MAX && !sample->match.redelivered) {
            assert_int_equal(sluice_engine_row_write(f->engine, &mark, sample, &row), SLUICE_OK);
        }
        if (row.size > 0) {
            assert_int_equal(sl_bytes_put_u32(&f->rows, (uint32_t)row.size), SLUICE_OK);
            assert_int_equal(sl_bytes_append(&f->rows, row.data, row.size), SLUICE_OK);
        }
        sl_bytes_fini(&row);
    }
    return f->batch->samples;
}

static sluice_sample *run_one(fixture *f, const char *id, const char *text)
{
    sl_bytes_clear(&f->bytes);
    add_sample(f, id, text);
    return run(f, 0, 0);
}

static void restore_rows(fixture *f)
{
    sl_reader reader = sl_reader_of((sluice_span){f->rows.data, f->rows.size});
    while (reader.at < reader.end) {
        uint32_t size = sl_reader_u32(&reader);
        assert_int_equal(sluice_engine_row_read(f->engine, sl_reader_span(&reader, size)),
                         SLUICE_OK);
    }
}

static void test_engine_new_sample_is_kept_and_gets_the_next_offset(void **state)
{
    fixture *f = *state;
    const sluice_sample *sample = run_one(f, "a", TEXT_A);
    assert_int_equal(sample->verdict.decision, SLUICE_KEEP);
    assert_int_equal(sample->match.method, SLUICE_METHOD_NONE);
    assert_int_equal(sample->offset, 0);
    assert_int_equal(run_one(f, "b", TEXT_B)->offset, 1);
    assert_int_equal(sluice_engine_next_offset(f->engine), 2);
}

static void test_engine_match_is_dropped_and_names_the_representative(void **state)
{
    fixture *f = *state;
    run_one(f, "a", TEXT_A);
    const sluice_sample *sample = run_one(f, "b", TEXT_A);
    assert_int_equal(sample->verdict.decision, SLUICE_DROP);
    assert_string_equal(sample->verdict.reasons[0], "duplicate");
    assert_int_equal(sample->match.method, SLUICE_METHOD_EXACT);
    assert_int_equal(sample->match.of_offset, 0);
    assert_memory_equal(sample->match.of_id.data, "a", 1);
    assert_memory_equal(sample->match.of_source.data, "src", 3);
    sample = run_one(f, "c", TEXT_A_EDITED);
    assert_int_equal(sample->match.method, SLUICE_METHOD_TEXT);
    assert_int_equal(sample->match.of_offset, 0);
    assert_true(sample->match.similarity >= 0.5F && sample->match.similarity < 1.0F);
}

static sluice_sample *run_restored(fixture *f, const char *id, const char *text)
{
    sl_bytes_clear(&f->bytes);
    add_sample(f, id, text);
    assert_int_equal(
        sluice_batch_decode(f->batch, (sluice_span){f->bytes.data, f->bytes.size}, NULL),
        SLUICE_OK);
    assert_int_equal(sluice_batch_features(f->batch, &f->config), SLUICE_OK);
    f->batch->samples[0].i_producer = 7;
    f->batch->samples[0].restored = true;
    sluice_engine_run(f->engine, f->batch);
    assert_valid(f);
    return f->batch->samples;
}

static void test_engine_restored_sample_is_kept_whatever_is_found_and_represents(void **state)
{
    fixture *f = *state;
    run_one(f, "a", "the quick brown fox jumps over the lazy dog");
    run_one(f, "b", "the quick brown fox jumps over the lazy dog");
    sluice_sample *sample = run_restored(f, "b", "the quick brown fox jumps over the lazy dog");
    assert_int_equal(sample->offset, 2);
    assert_int_equal(sample->verdict.decision, SLUICE_KEEP);
    assert_int_equal(sample->verdict.n_reasons, 1);
    assert_string_equal(sample->verdict.reasons[0], "restored");
    assert_true(sl_span_equal(sample->match.of_id, sl_span_of("a")));
    assert_true(sluice_engine_forget(f->engine, 0));
    sample = run_one(f, "c", "the quick brown fox jumps over the lazy dog");
    assert_int_equal(sample->verdict.decision, SLUICE_DROP);
    assert_true(sl_span_equal(sample->match.of_id, sl_span_of("b")));
    sample = run_restored(f, "b", "the quick brown fox jumps over the lazy dog");
    assert_true(sample->match.redelivered); /* once is enough */
}

static void test_engine_all_findings_change_no_verdict(void **state)
{
    fixture *f = *state;
    for (int all = 0; all < 2; all++) {
        f->config.duplicate.all_findings = all;
        reopen(f);
        run_one(f, "a", "the quick brown fox jumps over the lazy dog");
        sluice_sample *sample = run_one(f, "b", "the quick brown fox jumps over the lazy dog");
        assert_int_equal(sample->verdict.decision, SLUICE_DROP);
        assert_int_equal(sample->match.method, SLUICE_METHOD_EXACT);
        assert_int_equal(sample->match.n_also, all);
        if (all) {
            assert_int_equal(sample->match.also[0].method, SLUICE_METHOD_TEXT);
            assert_true(sl_span_equal(sample->match.also[0].of_id, sl_span_of("a")));
        }
    }
}

static void test_engine_dropped_sample_represents_nothing(void **state)
{
    fixture *f = *state;
    run_one(f, "a", TEXT_A);
    run_one(f, "b", TEXT_A_EDITED); /* dropped in favour of a */
    const sluice_sample *sample = run_one(f, "c", TEXT_A_EDITED);
    assert_int_equal(sample->match.of_offset, 0);
}

static void test_engine_same_producer_id_and_content_is_redelivered(void **state)
{
    fixture *f = *state;
    run_one(f, "a", TEXT_A);
    run_one(f, "b", TEXT_B);
    const sluice_sample *sample = run_one(f, "a", TEXT_A);
    assert_true(sample->match.redelivered);
    assert_int_equal(sample->verdict.decision, SLUICE_KEEP);
    assert_int_equal(sample->match.method, SLUICE_METHOD_NONE);
    assert_int_equal(sample->offset, 0);
    assert_int_equal(sluice_engine_next_offset(f->engine), 2); /* took no place in the order */
}

static void test_engine_same_id_and_content_of_another_producer_is_a_duplicate(void **state)
{
    fixture *f = *state;
    run_one(f, "a", TEXT_A);
    sl_bytes_clear(&f->bytes);
    add_sample(f, "a", TEXT_A);
    const sluice_sample *sample = run(f, 0, 1);
    assert_false(sample->match.redelivered);
    assert_int_equal(sample->verdict.decision, SLUICE_DROP);
}

static void test_engine_two_copies_in_one_batch_are_not_both_kept_nor_both_dropped(void **state)
{
    fixture *f = *state;
    add_sample(f, "a", TEXT_A);
    add_sample(f, "b", TEXT_A);
    const sluice_sample *sample = run(f, 0, 0);
    assert_int_equal(sample[0].verdict.decision, SLUICE_KEEP);
    assert_int_equal(sample[1].verdict.decision, SLUICE_DROP);
    assert_int_equal(sample[1].match.of_offset, 0);
}

static void test_engine_refused_sample_gets_no_offset_and_changes_nothing(void **state)
{
    fixture *f = *state;
    sluice_bytes before = {0}, after = {0};
    assert_int_equal(sluice_engine_save(f->engine, &before), SLUICE_OK);
    const sluice_sample *sample = run_one(f, "", TEXT_A);
    assert_int_equal(sample->verdict.decision, SLUICE_REFUSE);
    assert_true(sample->offset == UINT64_MAX);
    assert_int_equal(sluice_engine_save(f->engine, &after), SLUICE_OK);
    assert_int_equal(before.size, after.size);
    assert_memory_equal(before.data, after.data, before.size);
    assert_int_equal(run_one(f, "b", TEXT_A)->verdict.decision, SLUICE_KEEP);
    sl_bytes_fini(&before);
    sl_bytes_fini(&after);
}

static void test_engine_evicted_representative_makes_the_copy_new_and_its_successor(void **state)
{
    fixture *f = *state;
    f->config.duplicate.window_samples = 2;
    reopen(f);
    run_one(f, "a", TEXT_A);
    run_one(f, "b", TEXT_B);
    const sluice_sample *sample = run_one(f, "c", TEXT_A); /* offset 2, a is at 2 - 2: the last */
    assert_int_equal(sample->match.of_offset, 0);
    sample = run_one(f, "d", TEXT_A); /* offset 3: a is out of the window */
    assert_int_equal(sample->verdict.decision, SLUICE_KEEP);
    sample = run_one(f, "e", TEXT_A);
    assert_int_equal(sample->match.of_offset, 3);
}

static void test_engine_window_by_age_counts_recorded_time(void **state)
{
    fixture *f = *state;
    f->config.duplicate.window_age_us = 1000;
    reopen(f);
    run_one(f, "a", TEXT_A);
    sl_bytes_clear(&f->bytes);
    add_sample(f, "b", TEXT_A);
    assert_int_equal(run(f, 1000, 0)->verdict.decision, SLUICE_DROP);
    assert_int_equal(run(f, 1001, 0)->verdict.decision, SLUICE_KEEP);
}

static void test_engine_forgotten_representative_answers_no_more(void **state)
{
    fixture *f = *state;
    run_one(f, "a", TEXT_A);
    assert_true(sluice_engine_forget(f->engine, 0));
    assert_false(sluice_engine_forget(f->engine, 0));
    assert_int_equal(run_one(f, "b", TEXT_A)->verdict.decision, SLUICE_KEEP);
}

static void test_engine_rebuilt_from_rows_and_checkpoint_goes_on_alike(void **state)
{
    fixture *f = *state;
    sluice_bytes checkpoint = {0};
    run_one(f, "a", TEXT_A);
    run_one(f, "b", TEXT_A_EDITED);
    assert_int_equal(sluice_engine_save(f->engine, &checkpoint), SLUICE_OK);
    sluice_sample late = *run_one(f, "c", TEXT_B);
    reopen(f);
    assert_int_equal(sluice_engine_load(f->engine, (sluice_span){checkpoint.data, checkpoint.size}),
                     SLUICE_OK);
    restore_rows(f);
    sluice_engine_rows_complete(f->engine, 3);
    sluice_engine_apply(f->engine, &late); /* the log behind the checkpoint */
    assert_int_equal(sluice_engine_next_offset(f->engine), 3);
    assert_int_equal(run_one(f, "d", TEXT_B)->match.of_offset, 2);
    assert_int_equal(run_one(f, "e", TEXT_A)->match.of_offset, 0);
    assert_int_equal(sluice_portfolio_row(sluice_engine_portfolio(f->engine), 1).kept, 2);
    assert_int_equal(sluice_portfolio_row(sluice_engine_portfolio(f->engine), 1).dropped, 3);
    sl_bytes_fini(&checkpoint);
}

static void test_engine_row_erased_before_a_restart_stays_erased_through_the_replay(void **state)
{
    fixture *f = *state;
    sluice_sample late = *run_one(f, "a", TEXT_A);
    reopen(f); /* its row was rejected by a consumer: no row is read */
    sluice_engine_rows_complete(f->engine, 1);
    sluice_engine_apply(f->engine, &late);
    assert_int_equal(run_one(f, "b", TEXT_A)->verdict.decision, SLUICE_KEEP);
}

static void test_engine_damaged_checkpoint_is_refused_and_changes_nothing(void **state)
{
    fixture *f = *state;
    sluice_bytes checkpoint = {0};
    run_one(f, "a", TEXT_A);
    assert_int_equal(sluice_engine_save(f->engine, &checkpoint), SLUICE_OK);
    for (size_t size = 0; size < checkpoint.size; size++) {
        assert_int_equal(sluice_engine_load(f->engine, (sluice_span){checkpoint.data, size}),
                         SLUICE_E_CORRUPT);
    }
    assert_int_equal(sluice_engine_next_offset(f->engine), 1);
    sl_bytes_fini(&checkpoint);
}

static void test_engine_sources_beyond_the_limit_are_other(void **state)
{
    fixture *f = *state;
    sluice_sample sample = {.verdict = {.decision = SLUICE_DROP}};
    for (uint32_t i = 0; i < SLUICE_LIMIT_SOURCES + 10; i++) {
        char name[16];
        snprintf(name, sizeof name, "s%u", i);
        sample.source = sl_span_of(name);
        sample.offset = i;
        sluice_engine_apply(f->engine, &sample);
    }
    assert_int_equal(sluice_portfolio_n_sources(sluice_engine_portfolio(f->engine)),
                     SLUICE_LIMIT_SOURCES + 1);
    sluice_source_row other = sluice_portfolio_row(sluice_engine_portfolio(f->engine), 0);
    assert_memory_equal(other.source.data, "(other)", 7);
    assert_int_equal(other.dropped, 10);
    assert_valid(f);
}

/* --- what a policy decides --- */

static void set_policy(fixture *f, const char *yaml)
{
    static sluice_config_errors errors;
    if (sluice_config_parse(&f->config, sl_span_of(yaml), &errors) != SLUICE_OK) {
        fail_msg("%u:%u %s", errors.error[0].line, errors.error[0].column, errors.error[0].text);
    }
}

static void test_engine_match_that_the_policy_keeps_may_represent(void **state)
{
    fixture *f = *state;
    set_policy(f, "policy:\n"
                  "  - {when: 'duplicate.method == \"text\"', do: flag, reason: near}\n"
                  "  - {when: 'duplicate.method == \"exact\"', do: drop, reason: duplicate}\n");
    reopen(f);
    run_one(f, "a", TEXT_A);
    const sluice_sample *sample = run_one(f, "b", TEXT_A_EDITED);
    assert_int_equal(sample->verdict.decision, SLUICE_FLAG);
    assert_string_equal(sample->verdict.reasons[0], "near");
    assert_int_equal(sample->match.of_offset, 0);
    sample = run_one(f, "c", TEXT_A_EDITED);
    assert_int_equal(sample->verdict.decision, SLUICE_DROP);
    assert_int_equal(sample->match.of_offset, 1);
}

static void test_engine_sample_dropped_for_another_reason_represents_nothing(void **state)
{
    fixture *f = *state;
    set_policy(f, "policy: [{when: 'sample.source == \"src\"', do: drop, reason: bought}]\n");
    reopen(f);
    for (int i = 0; i < 2; i++) { /* no match, dropped: the copy finds nothing either */
        const sluice_sample *sample = run_one(f, i == 0 ? "a" : "b", TEXT_A);
        assert_int_equal(sample->verdict.decision, SLUICE_DROP);
        assert_string_equal(sample->verdict.reasons[0], "bought");
        assert_int_equal(sample->match.method, SLUICE_METHOD_NONE);
    }
    set_policy(f, "policy: [{when: duplicate or sample.bytes > 88, do: drop, reason: other}]\n");
    reopen(f);
    run_one(f, "a", TEXT_A_EDITED + 2);
    const sluice_sample *sample = run_one(f, "b", TEXT_A_EDITED); /* a match, dropped as `other` */
    assert_string_equal(sample->verdict.reasons[0], "other");
    assert_int_equal(sample->match.of_offset, 0);
    sample = run_one(f, "c", TEXT_A_EDITED);
    assert_int_equal(sample->match.of_offset, 0);
}

/* Same message, same verdict: also after a restart, and under another policy. */
static void test_engine_redelivered_sample_gets_its_first_verdict(void **state)
{
    fixture *f = *state;
    set_policy(f, "policy:\n"
                  "  - {when: sample.bytes > 4, do: flag, reason: long, weight: 0.5}\n"
                  "  - {when: sample.bytes > 5, do: flag, reason: longer}\n");
    reopen(f);
    run_one(f, "b", TEXT_B);
    run_one(f, "a", TEXT_A);
    for (int restarted = 0; restarted < 2; restarted++) {
        const sluice_sample *sample = run_one(f, "a", TEXT_A);
        assert_true(sample->match.redelivered);
        assert_int_equal(sample->offset, 1);
        assert_int_equal(sample->verdict.decision, SLUICE_FLAG);
        assert_int_equal(sample->verdict.n_reasons, 2);
        assert_string_equal(sample->verdict.reasons[0], "long");
        assert_string_equal(sample->verdict.reasons[1], "longer");
        assert_float_equal(sample->verdict.weight, 0.5, 0);
        sluice_bytes checkpoint = {0};
        assert_int_equal(sluice_engine_save(f->engine, &checkpoint), SLUICE_OK);
        set_policy(f, "policy: []\n");
        reopen(f);
        assert_int_equal(
            sluice_engine_load(f->engine, (sluice_span){checkpoint.data, checkpoint.size}),
            SLUICE_OK);
        restore_rows(f);
        sl_bytes_fini(&checkpoint);
    }
}

static void add_texts(fixture *f, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        char id[16], text[64];
        uint32_t word = i * 2654435761u;
        snprintf(id, sizeof id, "i%u", i);
        snprintf(text, sizeof text, "w%x x%x y%x z%x v%x", word, word * 3, word * 5, word * 7, i);
        add_sample(f, id, text);
    }
}

static void test_engine_changed_policy_holds_from_the_next_block_on(void **state)
{
    fixture *f = *state;
    static const uint32_t batches[] = {1, 7, 700};
    for (uint32_t b = 0; b < 3; b++) {
        sluice_config changed = f->config;
        reopen(f);
        f->rows.size = 0;
        changed.policy.n_rules = 1;
        memset(&changed.policy.rule[0], 0, sizeof changed.policy.rule[0]);
        strcpy(changed.policy.rule[0].when, "true");
        strcpy(changed.policy.rule[0].reason, "new");
        changed.policy.rule[0].decision = SLUICE_FLAG;
        changed.policy.rule[0].weight = 1;
        for (uint32_t at = 0; at < 700;) {
            if (at == (b == 2 ? 0 : 7)) {
                assert_int_equal(sluice_engine_change(f->engine, &changed, NULL), SLUICE_OK);
            }
            uint32_t end = at == 0 ? 7 : at + batches[b] < 700 ? at + batches[b] : 700;
            sl_bytes_clear(&f->bytes);
            add_texts(f, at, end);
            const sluice_sample *sample = run(f, 0, 0);
            for (uint32_t i = 0; i < end - at; i++) {
                uint64_t from = b == 2 ? 0 : 256; /* asked for at 0, which begins a block */
                assert_int_equal(sample[i].verdict.decision,
                                 sample[i].offset >= from ? SLUICE_FLAG : SLUICE_KEEP);
            }
            at = end;
        }
        assert_int_equal(sluice_engine_changed_at(f->engine), b == 2 ? 0 : 256);
        strcpy(changed.policy.rule[0].when, "nonsense");
        assert_int_equal(sluice_engine_change(f->engine, &changed, NULL), SLUICE_E_CONFIG);
    }
}

static void test_engine_budget_and_groups_go_on_after_a_checkpoint(void **state)
{
    fixture *f = *state;
    static uint8_t decisions[2000];
    sluice_bytes checkpoint = {0}, groups[2] = {{0}, {0}};
    set_policy(f, "budget: {keep_fraction: 0.3, by: sample.bytes}\n"
                  "fairness: {group_by: sample.source, min_samples: 1}\n");
    for (int restarted = 0; restarted < 2; restarted++) {
        reopen(f);
        uint32_t begin = 0;
        if (restarted == 1) {
            sluice_span saved = {checkpoint.data, checkpoint.size};
            assert_int_equal(sluice_engine_load(f->engine, saved), SLUICE_OK);
            restore_rows(f);
            sluice_engine_rows_complete(f->engine, 900);
            begin = 900;
        }
        for (uint32_t at = begin; at < 2000; at += 100) {
            if (at == 900 && restarted == 0) {
                assert_int_equal(sluice_engine_save(f->engine, &checkpoint), SLUICE_OK);
            }
            sl_bytes_clear(&f->bytes);
            add_texts(f, at, at + 100);
            size_t rows = f->rows.size;
            const sluice_sample *sample = run(f, 0, 0);
            f->rows.size = at >= 900 ? rows : f->rows.size; /* of the first 900 alone */
            for (uint32_t i = 0; i < 100; i++) {
                if (restarted == 0) {
                    decisions[at + i] = (uint8_t)sample[i].verdict.decision;
                }
                assert_int_equal(sample[i].verdict.decision, decisions[at + i]);
                bool dropped = sample[i].verdict.decision == SLUICE_DROP;
                assert_true(!dropped || strcmp(sample[i].verdict.reasons[0], "budget") == 0);
            }
        }
        assert_int_equal(sluice_engine_n_groups(f->engine), 1);
        assert_int_equal(sluice_engine_group(f->engine, 0).received, 2000);
        assert_in_range(sluice_engine_group(f->engine, 0).dropped, 1400 - 65, 1400 + 65);
        assert_int_equal(sluice_portfolio_save(sluice_engine_groups(f->engine), &groups[restarted]),
                         SLUICE_OK);
    }
    assert_int_equal(groups[0].size, groups[1].size); /* all that is known of a group */
    assert_memory_equal(groups[0].data, groups[1].data, groups[0].size);
    sluice_config other = f->config;
    strcpy(other.fairness.group_by, "sample.media_type");
    assert_int_equal(sluice_engine_change(f->engine, &other, NULL), SLUICE_OK);
    sl_bytes_clear(&f->bytes);
    add_texts(f, 2000, 2100); /* past the end of the block */
    (void)run(f, 0, 0);
    assert_string_equal(sluice_portfolio_group_by(sluice_engine_groups(f->engine)),
                        "sample.media_type");
    assert_int_equal(sluice_engine_group(f->engine, 0).received, 52); /* counted anew */
    sl_bytes_fini(&groups[0]);
    sl_bytes_fini(&groups[1]);
    sl_bytes_fini(&checkpoint);
}

/* Runs 2,000 texts; the mean size of the kept ones of the second half, and of the dropped ones. */
static void run_sizes(fixture *f, double *kept, double *dropped)
{
    double sum[2] = {0, 0}, n[2] = {0, 0};
    for (uint32_t at = 0; at < 2000; at += 100) {
        sl_bytes_clear(&f->bytes);
        for (uint32_t i = at; i < at + 100; i++) {
            char id[16], text[128];
            uint32_t size = (i * 7919u) % 64;
            snprintf(id, sizeof id, "i%u", i);
            snprintf(text, sizeof text, "%u %.*s", i * i, (int)size,
                     "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz0123456789");
            add_sample(f, id, text);
        }
        const sluice_sample *sample = run(f, 0, 0);
        for (uint32_t i = 0; i < 100 && at >= 1000; i++) {
            int out = sample[i].verdict.decision == SLUICE_DROP;
            sum[out] += (double)sample[i].payload.size;
            n[out]++;
        }
    }
    *kept = sum[0] / n[0];
    *dropped = sum[1] / n[1];
}

static void test_engine_budget_keeps_the_highest_scores_and_begins_anew_with_another(void **state)
{
    fixture *f = *state;
    double kept, dropped;
    sluice_bytes saved = {0}, other = {0};
    set_policy(f, "duplicate: {enabled: false}\nbudget: {keep_fraction: 0.5, by: sample.bytes}\n");
    reopen(f);
    run_sizes(f, &kept, &dropped);
    assert_true(kept - dropped > 25); /* 48 and 16 of 64, about */
    assert_int_equal(sluice_engine_save(f->engine, &saved), SLUICE_OK);
    set_policy(f, "budget: {keep_fraction: 0.5, by: -sample.bytes}\n");
    reopen(f);
    assert_int_equal(sluice_engine_load(f->engine, (sluice_span){saved.data, saved.size}),
                     SLUICE_OK);
    assert_int_equal(sluice_engine_save(f->engine, &other), SLUICE_OK);
    assert_true(other.size < saved.size - 4000); /* no scores of the other budget */
    reopen(f);
    run_sizes(f, &kept, &dropped);
    assert_true(dropped - kept > 25);
    sl_bytes_fini(&saved);
    sl_bytes_fini(&other);
}

static void test_engine_rules_may_speak_of_attributes(void **state)
{
    fixture *f = *state;
    set_policy(f, "policy: [{when: 'attributes.region == \"north\"', do: drop, reason: north}]\n"
                  "fairness: {group_by: attributes.region, min_samples: 1, max_ratio: 2}\n");
    reopen(f);
    static const char *const regions[] = {"north", "south", ""};
    for (uint32_t i = 0; i < 3; i++) {
        sluice_bytes inner = {0}, entry = {0};
        put_field(&entry, 1, "region");
        put_field(&entry, 2, "first");
        put_field(&entry, 2, regions[i]);
        put_field(&inner, 1, i == 0 ? "a" : i == 1 ? "b" : "c");
        put_field(&inner, 4, i == 0 ? "text one" : i == 1 ? "words two" : "letters three");
        assert_int_equal(sl_bytes_put_varint(&inner, 9 << 3 | 2), SLUICE_OK);
        assert_int_equal(sl_bytes_put_varint(&inner, entry.size), SLUICE_OK);
        assert_int_equal(sl_bytes_append(&inner, entry.data, entry.size), SLUICE_OK);
        assert_int_equal(sl_bytes_put_varint(&f->bytes, 0x0a), SLUICE_OK);
        assert_int_equal(sl_bytes_put_varint(&f->bytes, inner.size), SLUICE_OK);
        assert_int_equal(sl_bytes_append(&f->bytes, inner.data, inner.size), SLUICE_OK);
        sl_bytes_fini(&inner);
        sl_bytes_fini(&entry);
    }
    const sluice_sample *sample = run(f, 0, 0);
    assert_int_equal(sample[0].verdict.decision, SLUICE_DROP);
    assert_int_equal(sample[1].verdict.decision, SLUICE_KEEP);
    assert_int_equal(sample[2].verdict.decision, SLUICE_KEEP);
    assert_int_equal(sluice_engine_n_groups(f->engine), 3);
    assert_int_equal(sluice_engine_group(f->engine, 0).dropped, 1);
    sluice_fairness fairness = sluice_engine_fairness(f->engine);
    assert_float_equal(fairness.ratio, 2, 1e-9); /* 1 of 1 to half a drop of 1 */
    assert_false(fairness.unfair);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)
    const struct CMUnitTest tests[] = {
        TEST(test_engine_new_sample_is_kept_and_gets_the_next_offset),
        TEST(test_engine_match_is_dropped_and_names_the_representative),
        TEST(test_engine_restored_sample_is_kept_whatever_is_found_and_represents),
        TEST(test_engine_all_findings_change_no_verdict),
        TEST(test_engine_dropped_sample_represents_nothing),
        TEST(test_engine_same_producer_id_and_content_is_redelivered),
        TEST(test_engine_same_id_and_content_of_another_producer_is_a_duplicate),
        TEST(test_engine_two_copies_in_one_batch_are_not_both_kept_nor_both_dropped),
        TEST(test_engine_refused_sample_gets_no_offset_and_changes_nothing),
        TEST(test_engine_evicted_representative_makes_the_copy_new_and_its_successor),
        TEST(test_engine_window_by_age_counts_recorded_time),
        TEST(test_engine_forgotten_representative_answers_no_more),
        TEST(test_engine_rebuilt_from_rows_and_checkpoint_goes_on_alike),
        TEST(test_engine_row_erased_before_a_restart_stays_erased_through_the_replay),
        TEST(test_engine_damaged_checkpoint_is_refused_and_changes_nothing),
        TEST(test_engine_sources_beyond_the_limit_are_other),
        TEST(test_engine_match_that_the_policy_keeps_may_represent),
        TEST(test_engine_sample_dropped_for_another_reason_represents_nothing),
        TEST(test_engine_redelivered_sample_gets_its_first_verdict),
        TEST(test_engine_changed_policy_holds_from_the_next_block_on),
        TEST(test_engine_budget_and_groups_go_on_after_a_checkpoint),
        TEST(test_engine_budget_keeps_the_highest_scores_and_begins_anew_with_another),
        TEST(test_engine_rules_may_speak_of_attributes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
