/* wire_client_test.c - the blocking clients against a filter in a thread that misbehaves on
 * request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mock_filter.h"
#include "wire/client.h"

static sl_producer *open_producer(const mock_filter *mock, uint32_t timeout_ms)
{
    sl_client_options options = {.endpoint = mock->endpoint, .timeout_ms = timeout_ms};
    sl_producer *producer = NULL;
    sluice_message why = {""};
    sluice_status status = sl_producer_open(&options, "crawler", &producer, &why);
    if (status != SLUICE_OK) {
        fail_msg("%s", why.text);
    }
    return producer;
}

/* Sends `n` batches of three samples; the status of the first call that fails, or of the flush. */
static sluice_status put_all(sl_producer *producer, int n, sluice_message *why)
{
    for (int i = 0; i < n; i++) {
        sluice_status status = sl_producer_put(producer, sl_span_of("three samples"), 3, why);
        if (status != SLUICE_OK) {
            return status;
        }
    }
    return sl_producer_flush(producer, why);
}

static void assert_seen_once(const mock_filter *mock, uint64_t n)
{
    for (uint64_t i = 0; i < SAMPLES_MAX; i++) {
        assert_int_equal(mock->seen[i], i < n);
    }
}

static uint32_t n_faults;
static void count_fault(void *context, const sl_fault *fault)
{
    assert_ptr_equal(context, &n_faults);
    assert_string_equal(fault->reason, "not_utf8");
    n_faults++;
}

static void test_producer_put_and_flush_acknowledges_everything_once(void **state)
{
    (void)state;
    mock_filter *mock = start_mock(&(mock_plan){0});
    sl_producer *producer = open_producer(mock, 5000);
    n_faults = 0;
    sl_producer_on_fault(producer, count_fault, &n_faults);
    sluice_message why = {""};
    assert_int_equal(put_all(producer, 100, &why), SLUICE_OK);
    sl_producer_counts counts = sl_producer_counts_of(producer);
    assert_int_equal(counts.sent, 300);
    assert_int_equal(counts.acknowledged, 300);
    assert_int_equal(counts.kept, 300);
    assert_int_equal(counts.redelivered, 0);
    assert_int_equal(n_faults, 1);
    assert_int_equal(sl_producer_next_sequence(producer), 300);
    sl_producer_close(&producer);
    stop_mock(mock);
    assert_false(mock->bad_hash);
    assert_seen_once(mock, 300);
    free(mock);
}

static void test_producer_open_continues_where_the_filter_says(void **state)
{
    (void)state;
    mock_filter *mock = start_mock(&(mock_plan){.next_sequence = 40});
    sl_producer *producer = open_producer(mock, 5000);
    assert_int_equal(sl_producer_next_sequence(producer), 40);
    sluice_message why;
    assert_int_equal(put_all(producer, 2, &why), SLUICE_OK);
    assert_int_equal(sl_producer_counts_of(producer).acknowledged, 6);
    sl_producer_close(&producer);
    stop_mock(mock);
    assert_int_equal(mock->next_sequence, 46);
    free(mock);
}

static void test_producer_filter_restarts_resends_what_it_does_not_know(void **state)
{
    (void)state;
    mock_filter *mock = start_mock(&(mock_plan){.restart_at = 10});
    sl_producer *producer = open_producer(mock, 5000);
    sluice_message why = {""};
    assert_int_equal(put_all(producer, 50, &why), SLUICE_OK);
    assert_int_equal(sl_producer_counts_of(producer).acknowledged, 150);
    sl_producer_close(&producer);
    stop_mock(mock);
    assert_true(mock->n_hellos >= 2);
    assert_seen_once(mock, 150);
    free(mock);
}

static void test_producer_lost_batch_is_sent_again_after_gap(void **state)
{
    (void)state;
    mock_filter *mock = start_mock(&(mock_plan){.lose_at = 4});
    sl_producer *producer = open_producer(mock, 5000);
    sluice_message why = {""};
    assert_int_equal(put_all(producer, 40, &why), SLUICE_OK);
    sl_producer_close(&producer);
    stop_mock(mock);
    assert_seen_once(mock, 120);
    assert_int_equal(mock->n_hellos, 1);
    /* One going back: 40 batches, the lost one and at most those behind it once more. */
    assert_true(mock->n_puts <= 2 * 40);
    free(mock);
}

static void test_producer_part_of_a_batch_acknowledged_resends_it_whole(void **state)
{
    (void)state;
    mock_filter *mock = start_mock(&(mock_plan){.ack_early = 2});
    sl_producer *producer = open_producer(mock, 5000);
    sluice_message why = {""};
    assert_int_equal(put_all(producer, 3, &why), SLUICE_OK);
    sl_producer_close(&producer);
    stop_mock(mock);
    assert_seen_once(mock, 9);
    assert_true(mock->n_redelivered >= 1);
    free(mock);
}

static void test_producer_fenced_fails_and_names_the_producer(void **state)
{
    (void)state;
    mock_filter *mock = start_mock(&(mock_plan){.refuse_at = 2, .error = {.code = SL_CODE_FENCED}});
    sl_producer *producer = open_producer(mock, 5000);
    sluice_message why = {""};
    assert_int_equal(put_all(producer, 3, &why), SLUICE_E_CLOSED);
    assert_non_null(strstr(why.text, "crawler"));
    memset(&why, 0, sizeof why);
    assert_int_equal(sl_producer_flush(producer, &why), SLUICE_E_CLOSED); /* for good */
    assert_non_null(strstr(why.text, "crawler"));
    sl_producer_close(&producer);
    stop_mock(mock);
    free(mock);
}

static void test_producer_told_to_wait_goes_on_later(void **state)
{
    (void)state;
    sl_code codes[] = {SL_CODE_SHUTTING_DOWN, SL_CODE_WINDOW_EXCEEDED};
    for (size_t i = 0; i < 2; i++) {
        mock_filter *mock = start_mock(&(mock_plan){
            .refuse_at = 5,
            .error = {.code = codes[i], .retry = true, .retry_after_ms = 30, .text = "later"}});
        sl_producer *producer = open_producer(mock, 5000);
        sluice_message why = {""};
        assert_int_equal(put_all(producer, 20, &why), SLUICE_OK);
        sl_producer_close(&producer);
        stop_mock(mock);
        assert_seen_once(mock, 60);
        free(mock);
    }
}

static void test_producer_batch_over_the_limit_is_refused_here(void **state)
{
    (void)state;
    mock_filter *mock = start_mock(&(mock_plan){.max_batch = 12});
    sl_producer *producer = open_producer(mock, 5000);
    sluice_message why = {""};
    assert_int_equal(sl_producer_max_batch(producer), 12);
    assert_int_equal(sl_producer_put(producer, sl_span_of("123456789012"), 1, &why), SLUICE_OK);
    assert_int_equal(sl_producer_put(producer, sl_span_of("1234567890123"), 1, &why),
                     SLUICE_E_TOOBIG);
    assert_non_null(strstr(why.text, "12"));
    assert_int_equal(sl_producer_flush(producer, &why), SLUICE_OK);
    sl_producer_close(&producer);
    stop_mock(mock);
    assert_int_equal(mock->next_sequence, 1);
    free(mock);
}

static void test_producer_never_has_more_than_the_window_under_way(void **state)
{
    (void)state;
    mock_filter *mock = start_mock(&(mock_plan){.window_bytes = 40, .ack_every = 3});
    sl_producer *producer = open_producer(mock, 5000);
    sluice_message why = {""};
    assert_int_equal(put_all(producer, 12, &why), SLUICE_OK); /* 3 x 13 bytes fit into 40 */
    sl_producer_close(&producer);
    stop_mock(mock);
    assert_false(mock->overrun);
    assert_seen_once(mock, 36);
    free(mock);
}

static void *let_go(void *argument)
{
    mock_filter *mock = argument;
    usleep(300000);
    mock->hold = false;
    return NULL;
}

static void test_producer_closed_window_waits_for_an_unasked_ack(void **state)
{
    (void)state;
    mock_filter *mock = start_mock(&(mock_plan){0});
    mock->hold = true;
    sl_producer *producer = open_producer(mock, 5000);
    pthread_t opener;
    pthread_create(&opener, NULL, let_go, mock);
    sluice_message why = {""};
    assert_int_equal(sl_producer_put(producer, sl_span_of("three samples"), 3, &why), SLUICE_OK);
    assert_false(mock->hold); /* put() has waited */
    assert_int_equal(sl_producer_flush(producer, &why), SLUICE_OK);
    pthread_join(opener, NULL);
    sl_producer_close(&producer);
    stop_mock(mock);
    assert_seen_once(mock, 3);
    free(mock);
}

static void test_producer_lost_ack_is_asked_for_again(void **state)
{
    (void)state;
    mock_filter *mock = start_mock(&(mock_plan){.no_ack_from = 1});
    sl_producer *producer = open_producer(mock, 20000);
    sluice_message why = {""};
    assert_int_equal(put_all(producer, 2, &why), SLUICE_OK); /* after STALLED_MS, by WELCOME */
    sl_producer_close(&producer);
    stop_mock(mock);
    assert_int_equal(mock->n_puts, 2);
    assert_int_equal(mock->n_hellos, 2);
    free(mock);
}

static void test_producer_silent_filter_times_out_and_names_it(void **state)
{
    (void)state;
    mock_filter *mock = start_mock(&(mock_plan){.silent_from = 2});
    sl_producer *producer = open_producer(mock, 700);
    sluice_message why = {""};
    assert_int_equal(put_all(producer, 3, &why), SLUICE_E_TIMEOUT);
    assert_non_null(strstr(why.text, mock->endpoint));
    assert_non_null(strstr(why.text, "0.7 s"));
    assert_int_equal(sl_producer_counts_of(producer).acknowledged, 3);
    sl_producer_close(&producer);
    stop_mock(mock);
    free(mock);
}

static void test_producer_open_nobody_there_times_out(void **state)
{
    (void)state;
    sl_client_options options = {.endpoint = "ipc:///tmp/sluice-mock-nobody", .timeout_ms = 300};
    sl_producer *producer = NULL;
    sluice_message why = {""};
    assert_int_equal(sl_producer_open(&options, "crawler", &producer, &why), SLUICE_E_TIMEOUT);
    assert_null(producer);
    assert_non_null(strstr(why.text, "nobody"));
    options.endpoint = "not an endpoint";
    assert_int_equal(sl_producer_open(&options, "crawler", &producer, &why), SLUICE_E_CONFIG);
    assert_int_equal(sl_producer_open(&options, "", &producer, &why), SLUICE_E_CONFIG);
}

static void test_producer_open_forbidden_says_so(void **state)
{
    (void)state;
    mock_filter *mock = start_mock(&(mock_plan){0});
    sl_client_options options = {.endpoint = mock->endpoint, .timeout_ms = 3000};
    sl_producer *producer = NULL;
    sluice_message why = {""};
    assert_int_equal(sl_producer_open(&options, "forbidden", &producer, &why), SLUICE_E_CONFIG);
    assert_non_null(strstr(why.text, "FORBIDDEN"));
    stop_mock(mock);
    free(mock);
}

static void test_producer_filter_forgot_acknowledged_samples_fails(void **state)
{
    (void)state;
    mock_filter *mock =
        start_mock(&(mock_plan){.next_sequence = 40, .restart_at = 3, .forget_to = 5});
    sl_producer *producer = open_producer(mock, 5000);
    sluice_message why = {""};
    for (int i = 0; i < 2; i++) { /* one after the other, so that 46 are acknowledged for sure */
        assert_int_equal(put_all(producer, 1, &why), SLUICE_OK);
    }
    assert_int_equal(put_all(producer, 2, &why), SLUICE_E_CORRUPT);
    assert_non_null(strstr(why.text, "waits for sample 5"));
    sl_producer_close(&producer);
    stop_mock(mock);
    free(mock);
}

/* --- consumer --- */

static sl_consumer *open_consumer(const mock_filter *mock, uint32_t timeout_ms)
{
    sl_client_options options = {.endpoint = mock->endpoint, .timeout_ms = timeout_ms};
    sl_consumer *consumer = NULL;
    sluice_message why;
    assert_int_equal(sl_consumer_open(&options, &consumer, &why), SLUICE_OK);
    return consumer;
}

static void test_consumer_fetch_commit_reject_reach_the_filter(void **state)
{
    (void)state;
    mock_filter *mock = start_mock(&(mock_plan){.head_offset = 2});
    sl_consumer *consumer = open_consumer(mock, 5000);
    sl_fetch fetch = {.group = "train", .after_commits = true};
    sl_records records;
    sluice_span batch;
    sluice_message why = {""};
    uint64_t floor = 0;
    for (uint64_t i = 0; i < 2; i++) {
        assert_int_equal(sl_consumer_fetch(consumer, &fetch, &records, &batch, &why), SLUICE_OK);
        assert_int_equal(records.first_offset, i);
        assert_true(sl_span_equal(batch, sl_span_of("BATCH")));
        sl_commit commit = {
            .group = "train", .first_offset = i, .next_offset = records.next_offset};
        assert_int_equal(sl_consumer_commit(consumer, &commit, &floor, &why), SLUICE_OK);
        assert_int_equal(floor, i + 1);
    }
    assert_int_equal(sl_consumer_fetch(consumer, &fetch, &records, &batch, &why), SLUICE_E_AGAIN);
    assert_int_equal(records.head_offset, 2);
    sl_reject reject = {.group = "train", .offset = 1, .reason = "broken"};
    assert_int_equal(sl_consumer_reject(consumer, &reject, &why), SLUICE_OK);
    sl_consumer_close(&consumer);
    stop_mock(mock);
    assert_int_equal(mock->rejected, 1);
    assert_int_equal(mock->n_fetches, 3); /* nothing was asked twice */
    assert_int_equal(mock->n_commits, 2);
    free(mock);
}

static void test_consumer_errors_carry_code_and_words(void **state)
{
    (void)state;
    mock_filter *mock = start_mock(&(mock_plan){
        .n_errors = 1, .error = {.code = SL_CODE_OFFSET_GONE, .text = "the log begins at 900"}});
    sl_consumer *consumer = open_consumer(mock, 5000);
    sl_fetch fetch = {.offset = 3};
    sl_records records;
    sluice_span batch;
    sluice_message why = {""};
    assert_int_equal(sl_consumer_fetch(consumer, &fetch, &records, &batch, &why), SLUICE_E_CLOSED);
    assert_int_equal(sl_consumer_code(consumer), SL_CODE_OFFSET_GONE);
    assert_non_null(strstr(why.text, "the log begins at 900"));
    assert_int_equal(sl_consumer_fetch(consumer, &fetch, &records, &batch, &why), SLUICE_E_AGAIN);
    assert_int_equal(sl_consumer_code(consumer), SL_CODE_UNSPECIFIED);
    sl_consumer_close(&consumer);
    stop_mock(mock);
    free(mock);
}

static void test_consumer_told_to_wait_asks_again(void **state)
{
    (void)state;
    mock_filter *mock = start_mock(&(mock_plan){
        .head_offset = 1,
        .n_errors = 2,
        .error = {.code = SL_CODE_SHUTTING_DOWN, .retry = true, .retry_after_ms = 20}});
    sl_consumer *consumer = open_consumer(mock, 5000);
    sl_records records;
    sluice_span batch;
    sluice_message why = {""};
    assert_int_equal(sl_consumer_fetch(consumer, &(sl_fetch){0}, &records, &batch, &why),
                     SLUICE_OK);
    sl_consumer_close(&consumer);
    stop_mock(mock);
    assert_int_equal(mock->n_fetches, 3);
    free(mock);
}

static void test_consumer_silent_filter_times_out(void **state)
{
    (void)state;
    mock_filter *mock = start_mock(&(mock_plan){.silent_from = 1});
    sl_consumer *consumer = open_consumer(mock, 300);
    sl_records records;
    sluice_span batch;
    sluice_message why = {""};
    assert_int_equal(sl_consumer_fetch(consumer, &(sl_fetch){0}, &records, &batch, &why),
                     SLUICE_E_TIMEOUT);
    assert_non_null(strstr(why.text, mock->endpoint));
    sl_consumer_close(&consumer);
    stop_mock(mock);
    free(mock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_producer_put_and_flush_acknowledges_everything_once),
        cmocka_unit_test(test_producer_open_continues_where_the_filter_says),
        cmocka_unit_test(test_producer_filter_restarts_resends_what_it_does_not_know),
        cmocka_unit_test(test_producer_lost_batch_is_sent_again_after_gap),
        cmocka_unit_test(test_producer_part_of_a_batch_acknowledged_resends_it_whole),
        cmocka_unit_test(test_producer_fenced_fails_and_names_the_producer),
        cmocka_unit_test(test_producer_told_to_wait_goes_on_later),
        cmocka_unit_test(test_producer_batch_over_the_limit_is_refused_here),
        cmocka_unit_test(test_producer_never_has_more_than_the_window_under_way),
        cmocka_unit_test(test_producer_closed_window_waits_for_an_unasked_ack),
        cmocka_unit_test(test_producer_lost_ack_is_asked_for_again),
        cmocka_unit_test(test_producer_silent_filter_times_out_and_names_it),
        cmocka_unit_test(test_producer_open_nobody_there_times_out),
        cmocka_unit_test(test_producer_open_forbidden_says_so),
        cmocka_unit_test(test_producer_filter_forgot_acknowledged_samples_fails),
        cmocka_unit_test(test_consumer_fetch_commit_reject_reach_the_filter),
        cmocka_unit_test(test_consumer_errors_carry_code_and_words),
        cmocka_unit_test(test_consumer_told_to_wait_asks_again),
        cmocka_unit_test(test_consumer_silent_filter_times_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
