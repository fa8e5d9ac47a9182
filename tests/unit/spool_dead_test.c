/* spool_dead_test.c - dead letters come back as they were, and their room is bounded in the open.
 */
#include "unit/spool_state.h"

typedef struct seen {
    uint64_t n, n_without_wire, last_key;
    sl_spool_dead last;
    uint8_t first_byte;
} seen;

static bool see_letter(void *context, uint64_t key, const sl_spool_dead *dead)
{
    seen *s = context;
    s->n++;
    s->n_without_wire += dead->wire.size == 0;
    s->last_key = key;
    s->last = *dead;
    s->first_byte = dead->wire.size > 0 ? dead->wire.data[0] : 0;
    return true;
}

static seen letters_of(spool_state *s)
{
    seen all = {0};
    assert_int_equal(sl_spool_dead_letters(s->spool, see_letter, &all, &s->why), SLUICE_OK);
    return all;
}

static sl_spool_dead make_letter(size_t size)
{
    static uint8_t wire[SLUICE_LIMIT_DEAD_WIRE_BYTES + 1] = {'w'};
    assert_true(size <= sizeof wire);
    sl_spool_dead dead = {.at_us = -3, .sequence = 9, .wire = {wire, size}};
    strcpy(dead.by, "producer");
    strcpy(dead.reason, "malformed");
    strcpy(dead.text, "field 3 is no text");
    return dead;
}

static void append_letters(spool_state *s, const sl_spool_dead *dead, uint32_t n)
{
    sl_spool_dead *all = calloc(n, sizeof *all);
    assert_non_null(all);
    for (uint32_t i = 0; i < n; i++) {
        all[i] = *dead;
    }
    append_ok(s, &(sl_spool_write){.dead = all, .n_dead = n});
    free(all);
}

static void test_dead_letter_comes_back_as_it_was(void **state)
{
    spool_state *s = *state;
    sl_spool_dead dead = make_letter(100);
    append_letters(s, &dead, 2);
    reopen_state(s);
    seen all = letters_of(s);
    assert_int_equal(all.n, 2);
    assert_int_equal(all.last_key, 1);
    assert_int_equal(all.last.at_us, -3);
    assert_int_equal(all.last.sequence, 9);
    assert_string_equal(all.last.by, "producer");
    assert_string_equal(all.last.reason, "malformed");
    assert_string_equal(all.last.text, "field 3 is no text");
    assert_int_equal(all.last.wire_bytes, 100);
    assert_int_equal(all.last.wire.size, 100);
    assert_int_equal(all.first_byte, 'w');
    assert_int_equal(sl_spool_extent_of(s->spool).n_dead, 2);
    verify_ok(s);
}

static void test_dead_letter_with_longest_texts_and_no_sample_comes_back(void **state)
{
    spool_state *s = *state;
    sl_spool_dead dead = make_letter(0);
    memset(dead.by, 'b', sizeof dead.by - 1);
    memset(dead.reason, 'r', sizeof dead.reason - 1);
    memset(dead.text, 't', sizeof dead.text - 1);
    append_letters(s, &dead, 1);
    seen all = letters_of(s);
    assert_string_equal(all.last.by, dead.by);
    assert_string_equal(all.last.reason, dead.reason);
    assert_string_equal(all.last.text, dead.text);
    assert_int_equal(all.last.wire.size, 0);
}

static void test_dead_letter_at_the_limit_is_whole_and_one_byte_more_is_cut(void **state)
{
    spool_state *s = *state;
    sl_spool_dead dead = make_letter(SLUICE_LIMIT_DEAD_WIRE_BYTES);
    append_letters(s, &dead, 1);
    assert_int_equal(letters_of(s).last.wire.size, SLUICE_LIMIT_DEAD_WIRE_BYTES);
    dead = make_letter(SLUICE_LIMIT_DEAD_WIRE_BYTES + 1);
    append_letters(s, &dead, 1);
    seen all = letters_of(s);
    assert_int_equal(all.last.wire.size, SLUICE_LIMIT_DEAD_WIRE_BYTES);
    assert_int_equal(all.last.wire_bytes, SLUICE_LIMIT_DEAD_WIRE_BYTES + 1);
}

static void test_dead_letters_beyond_their_room_lose_the_sample_then_are_counted(void **state)
{
    spool_state *s = *state;
    sl_spool_dead dead = make_letter(SLUICE_LIMIT_DEAD_WIRE_BYTES);
    for (int i = 0; i < 8; i++) {
        append_letters(s, &dead, 32);
    }
    sl_spool_extent extent = sl_spool_extent_of(s->spool);
    seen all = letters_of(s);
    assert_int_equal(extent.n_dead, 256);
    assert_int_equal(all.n, 256);
    assert_true(extent.n_dead_cut > 50 && extent.n_dead_cut < 70);
    assert_int_equal(all.n_without_wire, extent.n_dead_cut);
    assert_int_equal(all.last.wire_bytes, SLUICE_LIMIT_DEAD_WIRE_BYTES);
    assert_int_equal(extent.n_dead_lost, 0);
    uint64_t n_sent = 256;
    while (sl_spool_extent_of(s->spool).n_dead_lost == 0 && n_sent < 2000000) {
        append_letters(s, &dead, 50000);
        n_sent += 50000;
    }
    reopen_state(s);
    extent = sl_spool_extent_of(s->spool);
    assert_true(extent.n_dead_lost > 0);
    assert_int_equal(extent.n_dead + extent.n_dead_lost, n_sent);
    assert_int_equal(letters_of(s).n, extent.n_dead);
    append_letters(s, &dead, 1);
    assert_int_equal(sl_spool_extent_of(s->spool).n_dead_lost, extent.n_dead_lost + 1);
    verify_ok(s);
}

static void test_dead_letters_dropped_make_room_and_stay_counted(void **state)
{
    spool_state *s = *state;
    sl_spool_dead dead = make_letter(SLUICE_LIMIT_DEAD_WIRE_BYTES);
    append_letters(s, &dead, 256);
    assert_true(sl_spool_extent_of(s->spool).n_dead_cut > 0);
    append_ok(s, &(sl_spool_write){.drop_dead = true});
    verify_ok(s);
    assert_int_equal(letters_of(s).n, 0);
    assert_int_equal(sl_spool_extent_of(s->spool).n_dead_dropped, 256);
    uint64_t n_cut = sl_spool_extent_of(s->spool).n_dead_cut;
    sl_spool_write both = {.drop_dead = true, .dead = &dead, .n_dead = 1};
    append_ok(s, &both);
    append_letters(s, &dead, 1);
    reopen_state(s);
    sl_spool_extent extent = sl_spool_extent_of(s->spool);
    assert_int_equal(letters_of(s).n, 2);
    assert_int_equal(extent.n_dead, 258);
    assert_int_equal(extent.n_dead_dropped, 256);
    assert_int_equal(extent.n_dead_cut, n_cut); /* there was room */
    verify_ok(s);
}

#define STATE_TEST(f) cmocka_unit_test_setup_teardown(f, setup_state, teardown_state)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STATE_TEST(test_dead_letter_comes_back_as_it_was),
        STATE_TEST(test_dead_letter_with_longest_texts_and_no_sample_comes_back),
        STATE_TEST(test_dead_letter_at_the_limit_is_whole_and_one_byte_more_is_cut),
        STATE_TEST(test_dead_letters_beyond_their_room_lose_the_sample_then_are_counted),
        STATE_TEST(test_dead_letters_dropped_make_room_and_stay_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
