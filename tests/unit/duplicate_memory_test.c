/* duplicate_memory_test.c - reserved memory is zero, whatever its size. */
#include "duplicate/memory.h"
#include "duplicate_samples.h"

#include <stdlib.h>

static void test_memory_reserve_gives_zeros(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 4096, 5u << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint8_t *memory = sl_memory_reserve(sizes[i]);
        assert_non_null(memory);
        for (size_t j = 0; j < sizes[i]; j += 509) {
            assert_int_equal(memory[j], 0);
        }
        assert_int_equal(memory[sizes[i] - 1], 0);
        free(memory);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_memory_reserve_gives_zeros)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
