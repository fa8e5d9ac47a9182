/* base_arena_test.c - memory of one batch: aligned, disjoint, capped. */
#include "arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static sl_arena *arena;

static int setup(void **state)
{
    (void)state;
    return sl_arena_open(&arena) != SLUICE_OK;
}

static int teardown(void **state)
{
    (void)state;
    sl_arena_close(&arena);
    assert_null(arena);
    sl_arena_close(&arena);
    return 0;
}

static void test_arena_gives_nothing_before_the_first_reset(void **state)
{
    (void)state;
    assert_null(sl_arena_alloc(arena, 1));
    assert_int_equal(sl_arena_used(arena), 0);
}

static void test_arena_pieces_are_aligned_and_do_not_overlap(void **state)
{
    (void)state;
    enum { N = 3000 };
    static uint8_t *pieces[N];
    sl_arena_reset(arena, 8 << 20);
    for (size_t i = 0; i < N; i++) {
        pieces[i] = sl_arena_alloc(arena, i);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % 16, 0);
        memset(pieces[i], (int)(i % 251), i);
    }
    for (size_t i = 0; i < N; i++) {
        for (size_t j = 0; j < i; j += 97) {
            assert_int_equal(pieces[i][j], i % 251);
        }
    }
    assert_int_equal(sl_arena_used(arena), (size_t)N * (N - 1) / 2);
}

static void test_arena_at_its_cap_gives_and_one_beyond_refuses(void **state)
{
    (void)state;
    sl_arena_reset(arena, 1000);
    assert_non_null(sl_arena_alloc(arena, 999));
    assert_null(sl_arena_alloc(arena, 2));
    assert_non_null(sl_arena_alloc(arena, 1));
    assert_null(sl_arena_alloc(arena, 1));
    assert_int_equal(sl_arena_used(arena), 1000);
    assert_null(sl_arena_alloc(arena, SIZE_MAX));
}

static void test_arena_sizes_near_the_largest_are_refused(void **state)
{
    (void)state;
    sl_arena_reset(arena, SIZE_MAX);
    assert_null(sl_arena_alloc(arena, SIZE_MAX));
    assert_null(sl_arena_alloc(arena, SIZE_MAX - 15));
}

static void test_arena_reset_forgets_and_can_be_used_again(void **state)
{
    (void)state;
    for (size_t size = 1; size <= (size_t)8 << 20; size *= 4) {
        sl_arena_reset(arena, size);
        uint8_t *piece = sl_arena_alloc(arena, size);
        assert_non_null(piece);
        piece[0] = piece[size - 1] = 1;
        sl_arena_reset(arena, size);
        assert_int_equal(sl_arena_used(arena), 0);
        assert_non_null(sl_arena_alloc(arena, size));
    }
}

static void test_arena_copy_is_the_bytes_elsewhere(void **state)
{
    (void)state;
    sluice_span copy;
    static const uint8_t bytes[] = {1, 2, 3};
    sl_arena_reset(arena, 4);
    assert_true(sl_arena_copy(arena, (sluice_span){bytes, 3}, &copy));
    assert_true(copy.data != bytes && copy.size == 3);
    assert_memory_equal(copy.data, bytes, 3);
    assert_true(sl_arena_copy(arena, (sluice_span){NULL, 0}, &copy));
    assert_int_equal(copy.size, 0);
    assert_false(sl_arena_copy(arena, (sluice_span){bytes, 3}, &copy));
    assert_int_equal(copy.size, 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_arena_gives_nothing_before_the_first_reset),
        T(test_arena_pieces_are_aligned_and_do_not_overlap),
        T(test_arena_at_its_cap_gives_and_one_beyond_refuses),
        T(test_arena_sizes_near_the_largest_are_refused),
        T(test_arena_reset_forgets_and_can_be_used_again),
        T(test_arena_copy_is_the_bytes_elsewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
