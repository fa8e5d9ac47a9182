/* ingest_sessions_test.c - connections and the producers they speak for. */
#include "ingest/sessions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static sl_peer peer_of(uint32_t number)
{
    sl_peer peer = {.size = 5};
    memcpy(peer.id + 1, &number, sizeof number);
    return peer;
}

static int open_sessions(void **state)
{
    sl_sessions *sessions = NULL;
    if (sl_sessions_open(&sessions) != SLUICE_OK) {
        return -1;
    }
    *state = sessions;
    return 0;
}

static int close_sessions(void **state)
{
    sl_sessions *sessions = *state;
    sl_sessions_close(&sessions);
    return 0;
}

static void test_sessions_bind_finds_the_producer_by_connection(void **state)
{
    sl_sessions *sessions = *state;
    sl_peer fenced;
    for (uint32_t i = 0; i < SLUICE_LIMIT_PRODUCERS; i++) {
        sl_peer peer = peer_of(i);
        assert_false(sl_sessions_bind(sessions, i, &peer, &fenced));
    }
    for (uint32_t i = 0; i < SLUICE_LIMIT_PRODUCERS; i++) {
        sl_peer peer = peer_of(i);
        sl_session *session = sl_sessions_of_peer(sessions, &peer);
        assert_non_null(session);
        assert_int_equal(session->i_producer, i);
        assert_true(session->live);
    }
    sl_peer stranger = peer_of(SLUICE_LIMIT_PRODUCERS);
    assert_null(sl_sessions_of_peer(sessions, &stranger));
}

static void test_sessions_second_hello_of_a_name_fences_the_first(void **state)
{
    sl_sessions *sessions = *state;
    sl_peer first = peer_of(1), second = peer_of(2), fenced;
    assert_false(sl_sessions_bind(sessions, 7, &first, &fenced));
    assert_false(sl_sessions_bind(sessions, 7, &first, &fenced)); /* HELLO again, same connection */
    assert_true(sl_sessions_bind(sessions, 7, &second, &fenced));
    assert_true(sl_peer_equal(&fenced, &first));
    assert_null(sl_sessions_of_peer(sessions, &first));
    assert_true(sl_sessions_fenced(sessions, &first));
    assert_false(sl_sessions_fenced(sessions, &second));
    assert_int_equal(sl_sessions_of_peer(sessions, &second)->i_producer, 7);
}

static void test_sessions_connection_that_changes_its_name_leaves_the_old_one(void **state)
{
    sl_sessions *sessions = *state;
    sl_peer peer = peer_of(1), fenced;
    assert_false(sl_sessions_bind(sessions, 3, &peer, &fenced));
    assert_false(sl_sessions_bind(sessions, 4, &peer, &fenced));
    assert_int_equal(sl_sessions_of_peer(sessions, &peer)->i_producer, 4);
    assert_false(sl_sessions_of_producer(sessions, 3)->live);
    assert_false(sl_sessions_fenced(sessions, &peer));
}

static void test_sessions_window_is_shared_by_those_who_talk(void **state)
{
    sl_sessions *sessions = *state;
    const uint64_t mib = 1 << 20;
    sl_peer fenced;
    assert_int_equal(sl_sessions_window(sessions, 0), SL_WINDOW_BYTES_MAX);
    for (uint32_t i = 0; i < SLUICE_LIMIT_PRODUCERS; i++) {
        sl_peer peer = peer_of(i);
        sl_sessions_bind(sessions, i, &peer, &fenced);
        if (i == 14) {
            assert_int_equal(sl_sessions_window(sessions, 0), 4 * mib); /* 15 and room for one */
        }
    }
    assert_int_equal(sl_sessions_window(sessions, 0), 64 << 10);                   /* never less */
    assert_int_equal(sl_sessions_window(sessions, 61000000), SL_WINDOW_BYTES_MAX); /* all quiet */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_sessions_bind_finds_the_producer_by_connection,
                                        open_sessions, close_sessions),
        cmocka_unit_test_setup_teardown(test_sessions_second_hello_of_a_name_fences_the_first,
                                        open_sessions, close_sessions),
        cmocka_unit_test_setup_teardown(
            test_sessions_connection_that_changes_its_name_leaves_the_old_one, open_sessions,
            close_sessions),
        cmocka_unit_test_setup_teardown(test_sessions_window_is_shared_by_those_who_talk,
                                        open_sessions, close_sessions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
